//! What is sent: exactly these fields, signed, within the limits of the documents; and what is refused before it is sent.

use super::super::xml::Fields;
use super::super::{LONGEST_SUBJECT, SettingsError};
use super::*;
use crate::gateway::{Outcome, SecondHost};

fn fields(body: &[u8]) -> Vec<(String, String)> {
    let read = Fields::read(body).unwrap();
    read.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

fn names(body: &[u8]) -> Vec<String> {
    fields(body).into_iter().map(|(name, _)| name).collect()
}

#[track_caller]
fn refused<A: Outcome + PartialEq + std::fmt::Debug>(call: Call<A>, cause: Cause) {
    match call {
        Call::NotSendable(answer) => assert_eq!(answer, A::never_sent(cause)),
        Call::Send(_) => panic!("would be sent, expected {cause:?}"),
    }
}

fn with_subject(subject: &str) -> Order {
    Order { subject: subject.to_owned(), ..order() }
}

#[test]
fn micropay_has_exactly_its_fields() {
    let request = sent(wechat().pay(&order(), code()));
    assert_eq!(request.path, "/pay/micropay");
    assert!(!request.client_certificate);
    assert_eq!(request.second_host, SecondHost::IfNeverSent);
    assert!(request.content_type.ends_with("charset=utf-8"));
    // No trade_type, notify_url, time_start: WeChat refuses the first two.
    let expected = [
        "appid",
        "auth_code",
        "body",
        "mch_id",
        "nonce_str",
        "out_trade_no",
        "sign",
        "sign_type",
        "spbill_create_ip",
        "total_fee",
    ];
    assert_eq!(names(&request.body), expected);
    let body = fields(&request.body);
    let value = |name: &str| body.iter().find(|(known, _)| known == name).unwrap().1.clone();
    assert_eq!(value("total_fee"), "1250");
    assert_eq!(value("auth_code"), CODE);
    assert_eq!(value("out_trade_no"), NUMBER);
    assert_eq!(value("body"), "朝阳门店-消费");
    assert_eq!(value("nonce_str").len(), 32);
    assert_eq!(value("sign").len(), 64);
}

#[test]
fn sales_are_kept_under_the_gateways_name() {
    assert_eq!(wechat().name(), "wechat");
}

#[test]
fn query_and_reverse_name_the_order_by_our_number_and_nothing_else() {
    let expected = ["appid", "mch_id", "nonce_str", "out_trade_no", "sign", "sign_type"];
    let query = sent(wechat().query(&order()));
    assert_eq!((query.path, query.client_certificate), ("/pay/orderquery", false));
    assert_eq!(query.second_host, SecondHost::Always);
    assert_eq!(names(&query.body), expected);
    let reverse = sent(wechat().reverse(&order()));
    assert_eq!((reverse.path, reverse.client_certificate), ("/secapi/pay/reverse", true));
    assert_eq!(reverse.second_host, SecondHost::Always);
    assert_eq!(names(&reverse.body), expected);
}

#[test]
fn a_service_provider_names_the_shop_and_signs_it() {
    for body in [
        sent(provider().pay(&order(), code())).body,
        sent(provider().query(&order())).body,
        sent(provider().reverse(&order())).body,
    ] {
        let names = names(&body);
        assert!(
            names.iter().any(|name| name == "sub_mch_id") && names.iter().any(|name| name == "sub_appid")
        );
        examine(&body, SignType::HmacSha256);
    }
}

/// Checks a request's signature as WeChat does.
#[track_caller]
fn examine(body: &[u8], kind: SignType) {
    let read = Fields::read(body).unwrap();
    let signature = sign(read.iter(), &Secret::parse(KEY).unwrap(), kind);
    assert_eq!(read.get("sign"), Some(signature.as_str()));
    assert_eq!(read.get("sign_type"), Some(kind.as_str()));
}

#[test]
fn a_request_is_signed_over_what_is_received_not_over_what_is_written() {
    for kind in [SignType::Md5, SignType::HmacSha256] {
        let wechat = Wechat::new(Settings { device: Some("T01".to_owned()), ..settings(kind) }).unwrap();
        let odd = with_subject("A & B <c> \"d\" 100%+ ]]> 😀");
        for body in [
            sent(wechat.pay(&odd, code())).body,
            sent(wechat.query(&odd)).body,
            sent(wechat.reverse(&odd)).body,
        ] {
            examine(&body, kind);
        }
    }
}

#[test]
fn each_request_has_a_nonce_of_its_own() {
    let nonce = || {
        let body = sent(wechat().query(&order())).body;
        fields(&body).into_iter().find(|(name, _)| name == "nonce_str").unwrap().1
    };
    let mut nonces: Vec<_> = (0..64).map(|_| nonce()).collect();
    nonces.sort();
    nonces.dedup();
    assert_eq!(nonces.len(), 64);
}

#[test]
fn only_18_digits_with_prefix_10_to_15_are_wechats() {
    let accepted = |text: &str| wechat().accepts(&PaymentCode::parse(text).unwrap());
    for prefix in 10..=15 {
        assert!(accepted(&format!("{prefix}0123456789012345")));
    }
    for foreign in [
        "160123456789012345",
        "090123456789012345",
        "280123456789012345",
        "2801234567890123",
        "300123456789012345678901",
        "6223456789012345678",
        "1301234567890123456",
        "13012345678901234",
    ] {
        assert!(!accepted(foreign), "{foreign}");
        refused(wechat().pay(&order(), PaymentCode::parse(foreign).unwrap()), Cause::Field("auth_code"));
    }
}

#[test]
fn a_subject_has_127_bytes_at_most_and_limits_count_bytes_not_characters() {
    let fits = format!("{}a", "店".repeat(42));
    assert_eq!(fits.len(), LONGEST_SUBJECT);
    sent(wechat().pay(&with_subject(&fits), code()));
    for bad in [
        format!("{fits}a"),
        "店".repeat(43),
        String::new(),
        "   ".to_owned(),
        "a\nb".to_owned(),
        "a\0".to_owned(),
    ] {
        refused(wechat().pay(&with_subject(&bad), code()), Cause::Field("body"));
    }
    // Queries do not carry it, so a bad one never keeps us from asking.
    sent(wechat().query(&with_subject("")));
    sent(wechat().reverse(&with_subject("")));
}

#[test]
fn blanks_around_the_subject_are_not_sent() {
    let body = sent(wechat().pay(&with_subject(" 消费\u{3000}"), code())).body;
    assert!(fields(&body).contains(&("body".to_owned(), "消费".to_owned())));
}

#[test]
fn reverse_without_a_client_certificate_is_not_sent() {
    let wechat = Wechat::new(Settings { has_client_certificate: false, ..settings(SignType::Md5) }).unwrap();
    refused(wechat.reverse(&order()), Cause::ClientCertificate);
    sent(wechat.pay(&order(), code()));
    sent(wechat.query(&order()));
}

#[test]
fn names_that_wechat_could_not_have_given_are_refused_at_start() {
    let bad = |change: fn(&mut Settings)| {
        let mut settings = settings(SignType::Md5);
        change(&mut settings);
        Wechat::new(settings).err()
    };
    assert_eq!(bad(|s| s.app_id.clear()), Some(SettingsError::Name("app_id")));
    assert_eq!(bad(|s| s.mch_id = "1900000109\n".to_owned()), Some(SettingsError::Name("mch_id")));
    assert_eq!(bad(|s| s.sub_mch_id = Some("x".repeat(33))), Some(SettingsError::Name("sub_mch_id")));
    assert_eq!(bad(|s| s.device = Some("店".to_owned())), Some(SettingsError::Name("device_info")));
    assert_eq!(bad(|s| s.sub_app_id = Some("wx1".to_owned())), Some(SettingsError::SubMerchant));
    assert_eq!(bad(|_| ()), None);
}

#[test]
fn neither_key_nor_payment_code_is_in_what_is_printed() {
    let printed = format!("{:?} {:?}", settings(SignType::Md5), code());
    assert!(!printed.contains(KEY) && !printed.contains(CODE), "{printed}");
}
