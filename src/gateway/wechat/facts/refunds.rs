//! Refunds: what is sent, what each answer means, and what is unknown because it is not about this refund.

use super::super::refund::LONGEST_REASON;
use super::super::xml::Fields;
use super::*;
use crate::gateway::{RefundOrder, SecondHost};
use crate::payment::{Reason, Refusal};
use crate::refund;

const REFUND_NO: &str = "T01261121000042000001R01X7K";
const ID: &str = "50000000382019052709732678859";

fn wanted() -> RefundOrder {
    RefundOrder {
        order: order(),
        number: REFUND_NO.parse().unwrap(),
        amount: "5.00".parse().unwrap(),
        reason: Some("商品有瑕疵".to_owned()),
    }
}

fn asked(answer: &[u8]) -> refund::Answer {
    (sent(wechat().refund(&wanted())).read)(200, answer)
}

fn queried(answer: &[u8]) -> refund::Answer {
    (sent(wechat().query_refund(&wanted())).read)(200, answer)
}

fn unknown(cause: Cause) -> refund::Answer {
    refund::Answer::Unknown(cause)
}

fn accepted() -> Message {
    let body = message(&[
        ("result_code", "SUCCESS"),
        ("transaction_id", "4200001234202611217777777777"),
        ("out_trade_no", NUMBER),
        ("out_refund_no", REFUND_NO),
        ("refund_id", ID),
        ("refund_channel", ""),
        ("refund_fee", "500"),
        ("coupon_refund_fee", "0"),
        ("total_fee", "1250"),
        ("cash_fee", "1150"),
        ("coupon_refund_count", "0"),
        ("cash_refund_fee", "500"),
    ]);
    [head(), body].concat()
}

/// The second of two refunds of the order is ours.
fn listed(status: &'static str) -> Message {
    let body = message(&[
        ("result_code", "SUCCESS"),
        ("transaction_id", "4200001234202611217777777777"),
        ("out_trade_no", NUMBER),
        ("total_fee", "1250"),
        ("refund_count", "2"),
        ("out_refund_no_0", "T01261121000042000001R02ABC"),
        ("refund_id_0", "50000000382019052709732670000"),
        ("refund_fee_0", "300"),
        ("refund_status_0", "REFUNDCLOSE"),
        ("out_refund_no_1", REFUND_NO),
        ("refund_id_1", ID),
        ("refund_fee_1", "500"),
        ("refund_recv_accout_1", "招商银行信用卡0403"),
        ("refund_status_1", status),
    ]);
    [head(), body].concat()
}

fn names(body: &[u8]) -> Vec<String> {
    Fields::read(body).unwrap().iter().map(|(name, _)| name.to_owned()).collect()
}

#[test]
fn a_refund_has_exactly_its_fields_and_may_be_asked_of_another_host() {
    let request = sent(wechat().refund(&wanted()));
    assert_eq!((request.path, request.client_certificate), ("/secapi/pay/refund", true));
    assert_eq!(request.second_host, SecondHost::Always);
    let expected = [
        "appid",
        "mch_id",
        "nonce_str",
        "out_refund_no",
        "out_trade_no",
        "refund_desc",
        "refund_fee",
        "sign",
        "sign_type",
        "total_fee",
    ];
    assert_eq!(names(&request.body), expected);
    let fields = Fields::read(&request.body).unwrap();
    let value = |name: &str| fields.get(name).unwrap().to_owned();
    assert_eq!((value("total_fee"), value("refund_fee")), ("1250".to_owned(), "500".to_owned()));
    assert_eq!((value("out_trade_no"), value("out_refund_no")), (NUMBER.to_owned(), REFUND_NO.to_owned()));
    let silent = RefundOrder { reason: None, ..wanted() };
    assert!(!names(&sent(wechat().refund(&silent)).body).contains(&"refund_desc".to_owned()));
}

#[test]
fn it_is_looked_up_by_its_own_number_alone() {
    let request = sent(wechat().query_refund(&wanted()));
    assert_eq!((request.path, request.client_certificate), ("/pay/refundquery", false));
    // Of several numbers WeChat takes the one that stands first in its own order.
    assert_eq!(names(&request.body), ["appid", "mch_id", "nonce_str", "out_refund_no", "sign", "sign_type"]);
}

#[test]
fn what_breaks_the_rules_of_a_refund_is_not_sent() {
    let long = "退".repeat(LONGEST_REASON / 3);
    let refund = |reason: &str| wechat().refund(&RefundOrder { reason: Some(reason.to_owned()), ..wanted() });
    assert!(matches!(refund(&long), Call::Send(_)));
    for reason in [format!("{long}退"), "a\u{1}b".to_owned(), "a\nb".to_owned()] {
        let Call::NotSendable(answer) = refund(&reason) else { panic!("{reason:?} would be sent") };
        assert_eq!(answer, refund::Answer::NeverSent(Cause::Field("refund_desc")));
    }
    let bare = Wechat::new(Settings { has_client_certificate: false, ..settings(SignType::HmacSha256) });
    let Call::NotSendable(answer) = bare.unwrap().refund(&wanted()) else { panic!("it needs a certificate") };
    assert_eq!(answer, refund::Answer::NeverSent(Cause::ClientCertificate));
}

#[test]
fn a_success_is_taken_on_and_not_yet_with_the_payer() {
    assert_eq!(asked(&signed(&accepted())), refund::Answer::Accepted(ID.to_owned()));
}

#[test]
fn each_status_is_read_of_our_refund_among_others() {
    use refund::Answer::{Accepted, Closed, Returned, Stuck};
    let id = || ID.to_owned();
    for (status, answer) in [
        ("PROCESSING", Accepted(id())),
        ("SUCCESS", Returned(id())),
        ("CHANGE", Stuck(id())),
        ("REFUNDCLOSE", Closed(id())),
        ("FUTURE", unknown(Cause::Code("FUTURE".to_owned()))),
    ] {
        assert_eq!(queried(&signed(&listed(status))), answer);
    }
}

#[test]
fn an_answer_about_another_refund_order_or_amount_says_nothing() {
    let ways: &[(&str, Option<&'static str>, Cause)] = &[
        ("out_trade_no", Some("T0126112100004200000102"), Cause::OtherOrder),
        ("out_trade_no", None, Cause::Malformed),
        ("total_fee", Some("1251"), Cause::OtherAmount),
        ("total_fee", None, Cause::OtherAmount),
        ("mch_id", Some("1900000110"), Cause::OtherMerchant),
    ];
    for (name, value, cause) in ways {
        let name: &'static str = name;
        let changed = with(accepted(), &[(name, *value)]);
        assert_eq!(asked(&signed(&changed)), unknown(cause.clone()), "{name} {value:?}");
        let changed = with(listed("SUCCESS"), &[(name, *value)]);
        assert_eq!(queried(&signed(&changed)), unknown(cause.clone()), "{name} {value:?}");
    }
    let of_ask: &[(&'static str, Option<&'static str>, Cause)] = &[
        ("out_refund_no", Some("T01261121000042000001R01X7J"), Cause::OtherOrder),
        ("out_refund_no", None, Cause::OtherOrder),
        ("refund_fee", Some("501"), Cause::OtherAmount),
        ("refund_fee", None, Cause::OtherAmount),
        ("refund_fee", Some("0500"), Cause::Malformed),
        ("refund_id", None, Cause::Malformed),
        ("refund_id", Some("5000 0000"), Cause::Malformed),
    ];
    for (name, value, cause) in of_ask {
        let changed = with(accepted(), &[(name, *value)]);
        assert_eq!(asked(&signed(&changed)), unknown(cause.clone()), "{name} {value:?}");
    }
    let of_query: &[(&'static str, Option<&'static str>, Cause)] = &[
        ("out_refund_no_1", Some("T01261121000042000001R01X7J"), Cause::OtherOrder),
        ("refund_fee_1", Some("300"), Cause::OtherAmount),
        ("refund_status_1", None, Cause::Malformed),
        ("refund_id_1", None, Cause::Malformed),
    ];
    for (name, value, cause) in of_query {
        let changed = with(listed("SUCCESS"), &[(name, *value)]);
        assert_eq!(queried(&signed(&changed)), unknown(cause.clone()), "{name} {value:?}");
    }
}

#[test]
fn a_refusal_is_listed_and_everything_else_is_not_known() {
    let refused = |code: &str, reason| {
        refund::Answer::Refused(Refusal {
            code: code.to_owned(),
            text: "基本账户余额不足".to_owned(),
            reason,
        })
    };
    for (code, reason) in [("NOTENOUGH", Reason::Merchant), ("TRADE_OVERDUE", Reason::Other)] {
        assert_eq!(asked(&signed(&failed(code, "基本账户余额不足"))), refused(code, reason));
    }
    for code in ["SYSTEMERROR", "BIZERR_NEED_RETRY", "FREQUENCY_LIMITED", "INVALID_REQUEST", "BRAND_NEW"] {
        assert_eq!(asked(&signed(&failed(code, ""))), unknown(Cause::Code(code.to_owned())));
    }
    assert_eq!(queried(&signed(&failed("REFUNDNOTEXIST", ""))), refund::Answer::NotFound);
    for code in ["SYSTEMERROR", "NOTENOUGH", "ORDERNOTEXIST"] {
        assert_eq!(queried(&signed(&failed(code, ""))), unknown(Cause::Code(code.to_owned())), "to a query");
    }
}

#[test]
fn what_is_not_signed_or_was_said_before_is_not_believed() {
    assert_eq!(asked(&plain(&accepted())), unknown(Cause::Unsigned));
    assert_eq!(
        queried(&signed_with(&listed("SUCCESS"), "k", SignType::HmacSha256)),
        unknown(Cause::BadSignature)
    );
    let wechat = wechat();
    let nothing = signed(&failed("REFUNDNOTEXIST", ""));
    let ask = || (sent(wechat.query_refund(&wanted())).read)(200, &nothing);
    assert_eq!(ask(), refund::Answer::NotFound);
    assert_eq!(ask(), unknown(Cause::Repeated), "it names no refund, so it can be an old one of another");
}
