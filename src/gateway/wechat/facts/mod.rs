//! What is known of APIv2, as tests: each holds one fact of the official pages, of an observed message, or of a mistake that
//! somebody's library made.

mod answers;
mod changed;
mod refunds;
mod requests;
mod xml;

use std::borrow::Cow;

use super::sign::sign;
use super::xml::write;
use super::{Secret, Settings, SignType, Wechat};
use crate::gateway::{Call, Gateway, Order, Request};
use crate::ids::PaymentCode;
use crate::payment::{Answer, Cause, ReversalAnswer};

const KEY: &str = "192006250b4c09247ec02edce69f6a2d";
const CODE: &str = "134567890123458406";
const NUMBER: &str = "T0126112100004200000101";

type Message = Vec<(Cow<'static, str>, Cow<'static, str>)>;

fn settings(sign_type: SignType) -> Settings {
    Settings {
        app_id: "wx8888888888888888".to_owned(),
        mch_id: "1900000109".to_owned(),
        sub_app_id: None,
        sub_mch_id: None,
        sign_type,
        api_key: Secret::parse(KEY).unwrap(),
        ip: [127, 0, 0, 1].into(),
        device: None,
        has_client_certificate: true,
    }
}

fn wechat() -> Wechat {
    Wechat::new(settings(SignType::HmacSha256)).unwrap()
}

fn provider() -> Wechat {
    let sub = |text: &str| Some(text.to_owned());
    Wechat::new(Settings {
        sub_app_id: sub("wx9999999999999999"),
        sub_mch_id: sub("1900000200"),
        ..settings(SignType::HmacSha256)
    })
    .unwrap()
}

fn order() -> Order {
    Order {
        number: NUMBER.parse().unwrap(),
        amount: "12.50".parse().unwrap(),
        subject: "朝阳门店-消费".to_owned(),
    }
}

fn code() -> PaymentCode {
    PaymentCode::parse(CODE).unwrap()
}

#[track_caller]
fn sent<A>(call: Call<A>) -> Request<A> {
    match call {
        Call::Send(request) => request,
        Call::NotSendable(_) => panic!("not sendable"),
    }
}

fn message(fields: &[(&'static str, &'static str)]) -> Message {
    fields.iter().map(|(name, value)| (Cow::Borrowed(*name), Cow::Borrowed(*value))).collect()
}

/// `message` with these fields set, added, or taken out where the value is `None`.
fn with(mut message: Message, changes: &[(&'static str, Option<&'static str>)]) -> Message {
    for (name, value) in changes {
        message.retain(|(known, _)| known != name);
        message.extend(value.map(|value| (Cow::Borrowed(*name), Cow::Borrowed(value))));
    }
    message
}

/// The head of every signed answer.
fn head() -> Message {
    message(&[
        ("return_code", "SUCCESS"),
        ("return_msg", "OK"),
        ("appid", "wx8888888888888888"),
        ("mch_id", "1900000109"),
        ("nonce_str", "5K8264ILTKCH16CQ"),
    ])
}

fn paid() -> Message {
    let body = message(&[
        ("result_code", "SUCCESS"),
        ("openid", "oUpF8uN95-Ptaags6E_roPHg7AG0"),
        ("is_subscribe", "N"),
        ("trade_type", "MICROPAY"),
        ("bank_type", "CMB_DEBIT"),
        ("fee_type", "CNY"),
        ("total_fee", "1250"),
        ("coupon_fee", "100"),
        ("cash_fee_type", "CNY"),
        ("cash_fee", "1150"),
        ("transaction_id", "4200001234202611217777777777"),
        ("out_trade_no", NUMBER),
        ("attach", ""),
        ("time_end", "20261121120001"),
    ]);
    [head(), body].concat()
}

fn found(state: &'static str) -> Message {
    let own = message(&[("trade_state", state), ("trade_state_desc", "…")]);
    if state == "SUCCESS" {
        return [paid(), own].concat();
    }
    let body = message(&[("result_code", "SUCCESS"), ("out_trade_no", NUMBER), ("attach", "")]);
    [head(), body, own].concat()
}

fn reversed(recall: &'static str) -> Message {
    [head(), message(&[("result_code", "SUCCESS"), ("recall", recall)])].concat()
}

fn failed(code: &'static str, text: &'static str) -> Message {
    [head(), message(&[("result_code", "FAIL"), ("err_code", code), ("err_code_des", text)])].concat()
}

/// The message as it comes over the line, without a signature.
fn plain(message: &Message) -> Vec<u8> {
    write(message.iter().map(|(name, value)| (&**name, &**value))).to_vec()
}

fn signed_with(message: &Message, key: &str, kind: SignType) -> Vec<u8> {
    let mut sorted = message.clone();
    sorted.sort_unstable();
    let key = Secret::of_any_length(key);
    let fields = sorted.iter().map(|(name, value)| (&**name, &**value));
    let digits = sign(fields, &key, kind).as_str().to_owned();
    plain(&[message.clone(), vec![("sign".into(), digits.into())]].concat())
}

fn signed(message: &Message) -> Vec<u8> {
    signed_with(message, KEY, SignType::HmacSha256)
}

fn pay(answer: &[u8]) -> Answer {
    (sent(wechat().pay(&order(), code())).read)(200, answer)
}

fn query(answer: &[u8]) -> Answer {
    (sent(wechat().query(&order())).read)(200, answer)
}

fn reverse(answer: &[u8]) -> ReversalAnswer {
    (sent(wechat().reverse(&order())).read)(200, answer)
}

/// Reads the same bytes as an answer to each of the three.
fn each(answer: &[u8]) -> (Answer, Answer, ReversalAnswer) {
    (pay(answer), query(answer), reverse(answer))
}

/// Asserts that an answer tells none of the three anything.
#[track_caller]
fn assert_unknown(answer: &[u8], cause: &Cause) {
    let unknown = (
        Answer::Unknown(cause.clone()),
        Answer::Unknown(cause.clone()),
        ReversalAnswer::Unknown(cause.clone()),
    );
    assert_eq!(each(answer), unknown, "{}", String::from_utf8_lossy(answer));
}
