//! A merchant with a key that no fuzzer knows, the codec under trial, and every honest answer that its gateway ever gave.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use micropayd::gateway::wechat::{Secret, Settings, SignType, Wechat};
use micropayd::gateway::{Call, Gateway, Order, RefundOrder};
use micropayd::ids::{PaymentCode, SaleId};
use micropayd::payment::{Answer, Cause, ReversalAnswer};
use micropayd::refund;
use micropayd::simulator::fields::Api;
use micropayd::simulator::front::{Certificate, Delivery, Front, Merchant};
use micropayd::simulator::mood::Mood;
use micropayd::simulator::wire::{self, Fields};
use micropayd::simulator::world::{Offer, Rules, World};
use micropayd::time::Timestamp;

pub const APP: &str = "wx8888888888888888";
pub const MCH: &str = "1900000109";
pub const KEY: &str = "k7Qm2ZxW9rTb4VnC6LpYs3HdJf8GaEu5";
pub const FEE: &str = "1250";
/// Yuan.
pub const REFUND_FEE: &str = "5.00";

/// 2026-11-21T19:38:31+08:00.
pub const NOW: Timestamp = Timestamp(1_795_261_111_000);

/// The five questions.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Question {
    Pay,
    Query,
    Reverse,
    Refund,
    RefundQuery,
}

/// What the codec makes of an answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Word {
    Pay(Answer),
    Reverse(ReversalAnswer),
    Refund(refund::Answer),
}

impl Word {
    /// Why nothing was believed, if so.
    pub fn silence(&self) -> Option<&Cause> {
        match self {
            Word::Pay(Answer::Unknown(cause))
            | Word::Reverse(ReversalAnswer::Unknown(cause))
            | Word::Refund(refund::Answer::Unknown(cause)) => Some(cause),
            Word::Pay(Answer::NeverSent(cause))
            | Word::Reverse(ReversalAnswer::NeverSent(cause))
            | Word::Refund(refund::Answer::NeverSent(cause)) => {
                panic!("an answer came, and the request was never sent: {cause}")
            }
            _ => None,
        }
    }
}

pub fn sign_type(choice: u8) -> SignType {
    if choice & 4 == 0 { SignType::HmacSha256 } else { SignType::Md5 }
}

pub fn question(choice: u8) -> Question {
    match (choice & 8, choice & 3) {
        (0, 0) => Question::Pay,
        (0, 2) => Question::Reverse,
        (0, _) => Question::Query,
        (_, 0 | 2) => Question::Refund,
        (_, _) => Question::RefundQuery,
    }
}

pub fn wire_type(kind: SignType) -> wire::SignType {
    match kind {
        SignType::Md5 => wire::SignType::Md5,
        SignType::HmacSha256 => wire::SignType::HmacSha256,
    }
}

pub fn codec(sign_type: SignType) -> Wechat {
    let settings = Settings {
        app_id: APP.to_owned(),
        mch_id: MCH.to_owned(),
        sub_app_id: None,
        sub_mch_id: None,
        sign_type,
        api_key: Secret::parse(KEY).expect("the key has 32 letters and digits"),
        ip: [127, 0, 0, 1].into(),
        device: None,
        has_client_certificate: true,
    };
    Wechat::new(settings).expect("the settings are usable")
}

/// The order that every answer should be about.
pub fn order() -> Order {
    let day = "2026-11-21".parse().expect("a day");
    let sale = SaleId::new(&"T01".parse().expect("a name"), day, 42, 7);
    Order {
        number: sale.order(1),
        amount: "12.50".parse().expect("an amount"),
        subject: "朝阳门店-消费".to_owned(),
    }
}

/// The refund that every answer about one should be about.
pub fn refund_order() -> RefundOrder {
    let order = order();
    let number = order.number.split().0.refund(1, 7);
    RefundOrder { order, number, amount: REFUND_FEE.parse().expect("an amount"), reason: None }
}

/// Asks, and reads `body` as the answer.
pub fn hear(codec: &Wechat, question: Question, body: &[u8]) -> Word {
    fn read<A>(call: Call<A>, body: &[u8]) -> A {
        match call {
            Call::Send(request) => (request.read)(200, body),
            Call::NotSendable(_) => panic!("the order is in order, and the request was not made"),
        }
    }
    let order = order();
    match question {
        Question::Pay => {
            let code = PaymentCode::parse("134567890123458406").expect("a code");
            Word::Pay(read(codec.pay(&order, code), body))
        }
        Question::Query => Word::Pay(read(codec.query(&order), body)),
        Question::Reverse => Word::Reverse(read(codec.reverse(&order), body)),
        Question::Refund => Word::Refund(read(codec.refund(&refund_order()), body)),
        Question::RefundQuery => Word::Refund(read(codec.query_refund(&refund_order()), body)),
    }
}

/// An answer that the gateway really gave.
pub struct Honest {
    pub sign_type: SignType,
    pub body: Vec<u8>,
    pub fields: Fields,
}

/// Everything that the gateway ever said to this merchant.
pub static HONEST: LazyLock<Vec<Honest>> = LazyLock::new(|| {
    let mut all = Vec::new();
    for sign_type in [SignType::HmacSha256, SignType::Md5] {
        for mood in [Mood::Pay, Mood::Password, Mood::Poor, Mood::Expired] {
            let mut gateway = front();
            let offer = Offer::default();
            let (code, _) = gateway.world.new_code(NOW, mood, offer);
            let pay =
                [("auth_code", code.as_str()), ("body", "朝阳门店-消费"), ("spbill_create_ip", "127.0.0.1")];
            let fee = [("total_fee", FEE)];
            let order = order();
            let number = [("out_trade_no", order.number.as_str())];
            let pay: Vec<_> = pay.into_iter().chain(fee).chain(number).collect();
            for (api, own) in [
                (Api::Orderquery, &number[..]),
                (Api::Micropay, &pay),
                (Api::Orderquery, &number),
                (Api::Reverse, &number),
                (Api::Orderquery, &number),
            ] {
                let body = ask(&mut gateway, api, own, wire_type(sign_type));
                let fields = wire::read(&body).expect("the simulator writes what it can read");
                all.push(Honest { sign_type, body, fields });
            }
        }
    }
    for sign_type in [SignType::HmacSha256, SignType::Md5] {
        let mut gateway = front();
        let (code, _) = gateway.world.new_code(NOW, Mood::Pay, Offer::default());
        let wanted = refund_order();
        let (order, number) = (wanted.order.number.as_str(), wanted.number.as_str());
        let pay = [
            ("auth_code", code.as_str()),
            ("body", "朝阳门店-消费"),
            ("spbill_create_ip", "127.0.0.1"),
            ("total_fee", FEE),
            ("out_trade_no", order),
        ];
        let fen = wanted.amount.fen().to_string();
        let refund = [
            ("out_trade_no", order),
            ("out_refund_no", number),
            ("total_fee", FEE),
            ("refund_fee", fen.as_str()),
        ];
        let too_much = [refund[0], ("out_refund_no", "another"), refund[2], ("refund_fee", FEE)];
        let query = [("out_refund_no", number)];
        for (api, own) in [
            (Api::Micropay, &pay[..]),
            (Api::Refundquery, &query),
            (Api::Refund, &refund),
            (Api::Refund, &too_much),
            (Api::Refundquery, &query),
            (Api::Orderquery, &refund[..1]),
        ] {
            let body = ask(&mut gateway, api, own, wire_type(sign_type));
            let fields = wire::read(&body).expect("the simulator writes what it can read");
            all.push(Honest { sign_type, body, fields });
        }
    }
    let distinct: BTreeSet<&[u8]> = all.iter().map(|honest| honest.body.as_slice()).collect();
    assert!(distinct.len() > 20, "the gateway said more than the same again");
    all
});

/// The gateway, with this merchant and no order yet.
pub fn front() -> Front {
    let merchant = Merchant { app_id: APP.to_owned(), mch_id: MCH.to_owned(), api_key: KEY.to_owned() };
    Front::new(merchant, World::new(7, Rules::default()), 7)
}

/// Sends the gateway a signed request.
pub fn ask(gateway: &mut Front, api: Api, own: &[(&str, &str)], kind: wire::SignType) -> Vec<u8> {
    let named = match kind {
        wire::SignType::Md5 => "MD5",
        wire::SignType::HmacSha256 => "HMAC-SHA256",
    };
    let common = [("appid", APP), ("mch_id", MCH), ("nonce_str", "n0"), ("sign_type", named)];
    let pairs = common.iter().chain(own);
    let mut fields: Fields = pairs.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let sign = wire::sign(&fields, KEY, kind);
    fields.insert("sign".to_owned(), sign);
    let body = wire::write(&fields);
    match gateway.call(NOW, api, body.as_bytes(), Certificate::NotAsked) {
        Delivery::Answer(answer) => answer.body,
        other => panic!("fair weather, and {other:?}"),
    }
}
