//! What an answer means: each code and state that WeChat sends, and what is unknown because it cannot be trusted.

use super::*;
use crate::gateway::LARGEST_ANSWER;
use crate::payment::{Proof, Reason, Refusal};
use crate::time::Timestamp;

fn proof(payer_paid: u32, coupon: u32) -> Answer {
    Answer::Paid(Proof {
        gateway_txn: "4200001234202611217777777777".to_owned(),
        paid_at: Timestamp::from_wechat("20261121120001").unwrap(),
        payer_paid,
        coupon,
    })
}

fn refusal(code: &str, text: &str, reason: Reason) -> Refusal {
    Refusal { code: code.to_owned(), text: text.to_owned(), reason }
}

fn code_said(code: &str) -> Cause {
    Cause::Code(code.to_owned())
}

#[test]
fn micropay_success_success_is_paid() {
    assert_eq!(pay(&signed(&paid())), proof(1150, 100));
}

#[test]
fn a_success_with_md5_is_paid_where_md5_was_sent() {
    let wechat = Wechat::new(settings(SignType::Md5)).unwrap();
    let answer = signed_with(&paid(), KEY, SignType::Md5);
    assert_eq!((sent(wechat.pay(&order(), code())).read)(200, &answer), proof(1150, 100));
}

#[test]
fn userpaying_is_read_in_the_business_branch() {
    // IJPay's demo looks for it beside return_code=FAIL and so charges twice.
    for text in ["需要用户输入支付密码", "用户已在1分钟内支付过金额相同的订单，需用户确认后继续支付。"]
    {
        assert_eq!(pay(&signed(&failed("USERPAYING", text))), Answer::AwaitingPayer);
    }
    let unsigned = with(failed("USERPAYING", "x"), &[("return_code", Some("FAIL"))]);
    assert_unknown(&signed(&unsigned), &Cause::ProtocolFailure("OK".to_owned()));
}

#[test]
fn systemerror_and_bankerror_are_not_failures() {
    for code in
        ["SYSTEMERROR", "BANKERROR", "ORDERPAID", "OUT_TRADE_NO_USED", "INVALID_REQUEST", "BUYER_MISMATCH"]
    {
        assert_eq!(pay(&signed(&failed(code, "system error"))), Answer::Unknown(code_said(code)));
    }
}

#[test]
fn a_listed_refusal_is_told_with_its_reason() {
    for (code, text, reason) in [
        ("NOTENOUGH", "余额不足", Reason::BalanceTooLow),
        ("AUTHCODEEXPIRE", "二维码已过期，请用户在微信上刷新后再试", Reason::CodeExpired),
        ("AUTH_CODE_INVALID", "101 每个二维码仅限使用一次，请刷新再试", Reason::CodeUsed),
        ("AUTH_CODE_INVALID", "101 付款码无效,请重新扫码", Reason::CodeInvalid),
        ("NOTSUPORTCARD", "不支持卡类型", Reason::CardNotSupported),
        ("NOTSUPPORTCARD", "不支持卡类型", Reason::CardNotSupported),
        ("TRADE_ERROR", "用户取消支付", Reason::CancelledByPayer),
    ] {
        assert_eq!(pay(&signed(&failed(code, text))), Answer::Refused(refusal(code, text, reason)));
    }
}

#[test]
fn an_unlisted_code_is_unknown() {
    for code in ["BRAND_NEW", "notenough", "SUCCESS"] {
        let answer = signed(&failed(code, "余额不足"));
        let unknown = code_said(code);
        assert_unknown(&answer, &unknown);
    }
    assert_unknown(&signed(&with(failed("X", ""), &[("err_code", None)])), &Cause::Malformed);
}

#[test]
fn a_refusal_to_pay_is_none_to_a_query() {
    assert_eq!(query(&signed(&failed("NOTENOUGH", ""))), Answer::Unknown(code_said("NOTENOUGH")));
}

#[test]
fn a_success_may_carry_err_code() {
    // The sandbox and the report API were seen to send these along with successes.
    for (code, text) in [("0", ""), ("SUCCESS", "ok")] {
        let answer =
            with(paid(), &[("err_code", Some(code)), ("err_code_des", Some(text)), ("err_msg", Some("ok"))]);
        assert_eq!(pay(&signed(&answer)), proof(1150, 100));
    }
}

#[test]
fn an_unknown_field_takes_part_in_the_signature() {
    let answer = with(paid(), &[("field_of_2031", Some("新")), ("Z", Some("1"))]);
    assert_eq!(pay(&signed(&answer)), proof(1150, 100));
    let late = with(paid(), &[("field_of_2031", Some("新"))]);
    let mut bytes = signed(&paid());
    let added = plain(&late);
    bytes.truncate(bytes.len() - "</xml>".len());
    let field = "<field_of_2031>新</field_of_2031>";
    assert!(String::from_utf8_lossy(&added).contains(field));
    bytes.extend_from_slice(format!("{field}</xml>").as_bytes());
    assert_unknown(&bytes, &Cause::BadSignature);
}

#[test]
fn sign_type_in_an_answer_is_signed_and_must_be_ours() {
    let answer = with(paid(), &[("sign_type", Some("HMAC-SHA256"))]);
    assert_eq!(pay(&signed(&answer)), proof(1150, 100));
    assert_unknown(&signed(&with(paid(), &[("sign_type", Some("MD5"))])), &Cause::BadSignature);
}

#[test]
fn md5_where_hmac_was_sent_is_refused_and_the_other_way_round() {
    assert_unknown(&signed_with(&paid(), KEY, SignType::Md5), &Cause::BadSignature);
    let wechat = Wechat::new(settings(SignType::Md5)).unwrap();
    let answer = (sent(wechat.pay(&order(), code())).read)(200, &signed(&paid()));
    assert_eq!(answer, Answer::Unknown(Cause::BadSignature));
}

#[test]
fn a_wrong_or_missing_signature_is_refused() {
    assert_unknown(&signed_with(&paid(), &KEY.replace('6', "7"), SignType::HmacSha256), &Cause::BadSignature);
    assert_unknown(&plain(&paid()), &Cause::Unsigned);
    assert_unknown(&plain(&with(paid(), &[("sign", Some(""))])), &Cause::Unsigned);
    let lower = String::from_utf8(signed(&paid())).unwrap();
    let (before, after) = lower.split_once("<sign>").unwrap();
    assert_unknown(format!("{before}<sign>{}", after.to_lowercase()).as_bytes(), &Cause::BadSignature);
    // Vector of a guide that leaves the key out of the text: what a forger without the key can make.
    assert_unknown(&plain(&with(paid(), &[("sign", Some(&KEY[..32]))])), &Cause::BadSignature);
}

#[test]
fn return_code_fail_is_never_believed_even_if_signed() {
    for fields in [
        &[("return_code", "FAIL"), ("return_msg", "签名错误")][..],
        &[("return_code", "FAIL"), ("retcode", "1"), ("retmsg", "签名错误")],
    ] {
        let cause = Cause::ProtocolFailure("签名错误".to_owned());
        assert_unknown(&plain(&message(fields)), &cause);
        assert_unknown(&signed(&message(fields)), &cause);
    }
    assert_unknown(b"<xml><return_code>FAIL</return_code></xml>", &Cause::ProtocolFailure(String::new()));
    let refused = with(failed("NOTENOUGH", ""), &[("return_code", Some("FAIL")), ("return_msg", None)]);
    assert_unknown(&signed(&refused), &Cause::ProtocolFailure(String::new()));
}

#[test]
fn a_missing_return_code_or_result_code_is_not_an_answer() {
    for (name, value) in [
        ("return_code", None),
        ("return_code", Some("success")),
        ("return_code", Some("")),
        ("result_code", None),
        ("result_code", Some("OK")),
    ] {
        for answer in [paid(), found("CLOSED"), reversed("N")] {
            assert_unknown(&signed(&with(answer, &[(name, value)])), &Cause::Malformed);
        }
    }
}

#[test]
fn only_http_200_is_wechats_answer() {
    let answer = signed(&paid());
    for status in [100, 201, 204, 301, 302, 307, 400, 401, 404, 429, 500, 502, 504] {
        let read = sent(wechat().pay(&order(), code())).read;
        assert_eq!(read(status, &answer), Answer::Unknown(Cause::HttpStatus(status)));
    }
}

#[test]
fn pages_and_empty_bodies_are_not_answers() {
    let page = b"<html><head><title>400 No required SSL certificate was sent</title></head></html>";
    for body in [&page[..], b"", b"{}", b"<xml></xml>", b"\xef\xbb\xbf<xml></xml>", b"SUCCESS"] {
        assert_unknown(body, &Cause::Malformed);
    }
    assert_unknown(&vec![b' '; LARGEST_ANSWER], &Cause::Malformed);
    assert_unknown(&vec![b' '; LARGEST_ANSWER + 1], &Cause::TooLarge);
}

#[test]
fn an_answer_about_another_merchant_is_refused() {
    for (name, value) in [
        ("mch_id", Some("1900000110")),
        ("mch_id", None),
        ("appid", Some("wx8888888888888889")),
        ("appid", None),
        ("sub_mch_id", Some("1900000200")),
    ] {
        for answer in
            [paid(), found("CLOSED"), failed("NOTENOUGH", ""), failed("ORDERNOTEXIST", ""), reversed("N")]
        {
            assert_unknown(&signed(&with(answer, &[(name, value)])), &Cause::OtherMerchant);
        }
    }
}

#[test]
fn behind_a_service_provider_the_money_must_go_to_our_shop() {
    let read = |changes: &[(&'static str, Option<&'static str>)]| {
        (sent(provider().query(&order())).read)(200, &signed(&with(found("SUCCESS"), changes)))
    };
    let (app, shop) = (("sub_appid", Some("wx9999999999999999")), ("sub_mch_id", Some("1900000200")));
    assert_eq!(read(&[app, shop]), proof(1150, 100));
    assert_eq!(read(&[shop]), proof(1150, 100));
    assert_eq!(read(&[("sub_appid", Some("")), shop]), proof(1150, 100));
    let other = Answer::Unknown(Cause::OtherMerchant);
    assert_eq!(read(&[app]), other);
    assert_eq!(read(&[app, ("sub_mch_id", Some("1900000201"))]), other);
    assert_eq!(read(&[("sub_appid", Some("wx0")), shop]), other);
}

#[test]
fn an_answer_about_another_order_is_refused() {
    for answer in [paid(), found("CLOSED"), found("SUCCESS"), failed("NOTENOUGH", ""), reversed("N")] {
        let answer = with(answer, &[("out_trade_no", Some("T0126112100004300000101"))]);
        assert_unknown(&signed(&answer), &Cause::OtherOrder);
    }
}

#[test]
fn an_answer_that_must_name_the_order_and_does_not_is_refused() {
    assert_eq!(pay(&signed(&with(paid(), &[("out_trade_no", None)]))), Answer::Unknown(Cause::Malformed));
    for state in ["SUCCESS", "REFUND", "NOTPAY", "USERPAYING", "ACCEPT", "CLOSED", "REVOKED", "PAYERROR"] {
        let answer = with(found(state), &[("out_trade_no", Some(""))]);
        assert_eq!(query(&signed(&answer)), Answer::Unknown(Cause::Malformed));
    }
}

#[test]
fn a_userpaying_answer_does_not_name_the_order_and_is_taken() {
    assert!(!failed("USERPAYING", "").iter().any(|(name, _)| name == "out_trade_no"));
    assert_eq!(pay(&signed(&failed("USERPAYING", ""))), Answer::AwaitingPayer);
}

#[test]
fn an_answer_about_another_amount_or_currency_is_refused() {
    for change in [("total_fee", Some("1251")), ("total_fee", Some("1")), ("fee_type", Some("USD"))] {
        for answer in [paid(), found("SUCCESS"), found("REFUND")] {
            assert_unknown(&signed(&with(answer, &[change])), &Cause::OtherAmount);
        }
    }
    for bad in ["1250.0", "12.50", "+1250", "01250", " 1250", "-1", "1e3", "4294967296", "１２５０"] {
        assert_unknown(&signed(&with(paid(), &[("total_fee", Some(bad))])), &Cause::Malformed);
    }
    assert_eq!(pay(&signed(&with(paid(), &[("total_fee", None)]))), Answer::Unknown(Cause::OtherAmount));
}

#[test]
fn coupon_and_purse_add_up_to_the_amount() {
    let read = |cash, coupon| pay(&signed(&with(paid(), &[("cash_fee", cash), ("coupon_fee", coupon)])));
    assert_eq!(read(Some("1150"), Some("100")), proof(1150, 100));
    assert_eq!(read(None, Some("100")), proof(1150, 100));
    assert_eq!(read(Some("1150"), None), proof(1150, 100));
    assert_eq!(read(None, None), proof(1250, 0));
    assert_eq!(read(Some("1250"), Some("0")), proof(1250, 0));
    // A coupon for everything: the payer's own money may be nothing.
    assert_eq!(read(Some("0"), Some("1250")), proof(0, 1250));
    for (cash, coupon) in [("1250", "100"), ("1150", "99"), ("4294967295", "1251"), ("1251", "0")] {
        assert_eq!(read(Some(cash), Some(coupon)), Answer::Unknown(Cause::OtherAmount));
    }
    assert_eq!(read(None, Some("1251")), Answer::Unknown(Cause::OtherAmount));
    assert_eq!(read(Some("1251"), None), Answer::Unknown(Cause::OtherAmount));
}

#[test]
fn a_purse_in_another_currency_is_not_counted_in_fen() {
    let answer = with(paid(), &[("cash_fee_type", Some("HKD")), ("cash_fee", Some("1333"))]);
    assert_eq!(pay(&signed(&answer)), proof(1150, 100));
}

#[test]
fn what_the_merchant_settles_does_not_change_what_was_paid() {
    let answer = with(
        found("SUCCESS"),
        &[
            ("settlement_total_fee", Some("1150")),
            ("coupon_count", Some("2")),
            ("coupon_type_1", Some("NO_CASH")),
            ("coupon_fee_1", Some("60")),
            ("coupon_type_0", Some("CASH")),
            ("coupon_fee_0", Some("40")),
            ("promotion_detail", Some(r#"{"promotion_detail":[{"amount":100,"name":"满减 & 券"}]}"#)),
        ],
    );
    assert_eq!(query(&signed(&answer)), proof(1150, 100));
}

#[test]
fn a_success_needs_wechats_number_and_time() {
    for change in [
        ("transaction_id", None),
        ("transaction_id", Some("")),
        ("transaction_id", Some("420000123420261121777777777777777")),
        ("transaction_id", Some("4200 001")),
        ("time_end", None),
        ("time_end", Some("2026-11-21 12:00:01")),
        ("time_end", Some("20261321120001")),
    ] {
        assert_eq!(pay(&signed(&with(paid(), &[change]))), Answer::Unknown(Cause::Malformed), "{change:?}");
        assert_eq!(query(&signed(&with(found("SUCCESS"), &[change]))), Answer::Unknown(Cause::Malformed));
    }
}

#[test]
fn wechats_number_may_have_32_characters() {
    let longest = "42000012342026112177777777777777";
    let answer = pay(&signed(&with(paid(), &[("transaction_id", Some(longest))])));
    assert!(matches!(answer, Answer::Paid(proof) if proof.gateway_txn == longest));
}

#[test]
fn each_trade_state_has_its_meaning() {
    assert_eq!(query(&signed(&found("SUCCESS"))), proof(1150, 100));
    for (state, answer) in [
        ("REFUND", Answer::Refunded),
        ("NOTPAY", Answer::NotPaid),
        ("USERPAYING", Answer::AwaitingPayer),
        ("ACCEPT", Answer::AwaitingPayer),
        ("CLOSED", Answer::Closed),
        ("REVOKED", Answer::Closed),
        ("PAYERROR", Answer::PayFailed),
        ("success", Answer::Unknown(code_said("success"))),
        ("NEW_STATE", Answer::Unknown(code_said("NEW_STATE"))),
    ] {
        assert_eq!(query(&signed(&found(state))), answer);
    }
}

#[test]
fn query_success_success_without_trade_state_is_not_paid() {
    assert_eq!(query(&signed(&paid())), Answer::Unknown(Cause::Malformed));
}

#[test]
fn a_query_answer_in_place_of_a_pay_answer_is_not_paid() {
    for state in ["REFUND", "REVOKED", "PAYERROR", "USERPAYING"] {
        let answer = with(found("SUCCESS"), &[("trade_state", Some(state))]);
        assert_eq!(pay(&signed(&answer)), Answer::Unknown(code_said(state)));
    }
    assert_eq!(pay(&signed(&reversed("N"))), Answer::Unknown(Cause::Malformed));
}

#[test]
fn a_pay_answer_that_says_paid_twice_is_paid() {
    assert_eq!(pay(&signed(&found("SUCCESS"))), proof(1150, 100));
}

#[test]
fn an_answer_that_names_no_order_is_believed_once() {
    let wechat = wechat();
    let reverse = |answer: &[u8]| (sent(wechat.reverse(&order())).read)(200, answer);
    let (first, other) =
        (signed(&reversed("N")), signed(&with(reversed("N"), &[("nonce_str", Some("other"))])));
    assert_eq!(reverse(&first), ReversalAnswer::Done);
    assert_eq!(reverse(&first), ReversalAnswer::Unknown(Cause::Repeated));
    assert_eq!(reverse(&other), ReversalAnswer::Done);
    // One that names our order is about it each time.
    for _ in 0..2 {
        assert_eq!((sent(wechat.query(&order())).read)(200, &signed(&found("SUCCESS"))), proof(1150, 100));
    }
}

#[test]
fn no_such_order_is_told_to_queries_and_reversals_only() {
    let answer = signed(&failed("ORDERNOTEXIST", "此交易订单号不存在"));
    let said = (Answer::Unknown(code_said("ORDERNOTEXIST")), Answer::NotFound, ReversalAnswer::NotFound);
    assert_eq!(each(&answer), said);
}

#[test]
fn recall_decides_whether_a_reversal_is_done() {
    assert_eq!(reverse(&signed(&reversed("N"))), ReversalAnswer::Done);
    assert_eq!(reverse(&signed(&reversed("Y"))), ReversalAnswer::Again);
    assert_eq!(reverse(&signed(&with(reversed("N"), &[("recall", None)]))), ReversalAnswer::Again);
    assert_eq!(reverse(&signed(&reversed("n"))), ReversalAnswer::Unknown(Cause::Malformed));
}

#[test]
fn a_failed_reversal_is_not_done_whatever_recall_says() {
    let read = |code, recall| reverse(&signed(&with(failed(code, "正在支付中"), &[("recall", recall)])));
    for recall in [None, Some("N"), Some("Y")] {
        assert_eq!(read("SYSTEMERROR", recall), ReversalAnswer::Again);
        assert_eq!(read("USERPAYING", recall), ReversalAnswer::Again);
        assert_eq!(read("SOMETHING_NEW", recall), ReversalAnswer::Unknown(code_said("SOMETHING_NEW")));
    }
    for (code, reason) in [
        ("REVERSE_EXPIRE", Reason::Other),
        ("TRADE_ERROR", Reason::Other),
        ("INVALID_REQUEST", Reason::Other),
        ("PARAM_ERROR", Reason::Merchant),
    ] {
        assert_eq!(read(code, Some("N")), ReversalAnswer::Refused(refusal(code, "正在支付中", reason)));
        assert_eq!(read(code, Some("Y")), ReversalAnswer::Again);
    }
}

#[test]
fn a_gateways_text_is_cut_and_cleaned() {
    let long: &'static str = Box::leak(format!("余额\u{7f}\n\t{}", "不".repeat(200)).into_boxed_str());
    let Answer::Refused(refusal) = pay(&signed(&failed("NOTENOUGH", long))) else { panic!("not refused") };
    assert_eq!(refusal.text, format!("余额{}", "不".repeat(126)));
    let Answer::Unknown(Cause::Code(code)) = pay(&signed(&failed(long, ""))) else { panic!("not unknown") };
    assert_eq!(code.chars().count(), 128);
}

#[test]
fn a_field_cannot_hide_in_the_value_of_another() {
    // Both texts are signed alike: `…&recall=Y&result_code=SUCCESS&…`.
    let open = signed(&reversed("Y"));
    let signature = String::from_utf8(open.clone()).unwrap();
    let signature = signature.split_once("<sign>").unwrap().1.split_once('<').unwrap().0.to_owned();
    let mut hidden =
        with(reversed("Y"), &[("recall", None), ("nonce_str", Some("5K8264ILTKCH16CQ&recall=Y"))]);
    hidden.push(("sign".into(), signature.into()));
    assert_eq!(reverse(&open), ReversalAnswer::Again);
    assert_unknown(&plain(&hidden), &Cause::Malformed);
    // Ordinary text with the two characters is none.
    let text = "满100&减10 a=b & c =d &=";
    let answer = signed(&failed("NOTENOUGH", text));
    assert!(matches!(pay(&answer), Answer::Refused(_)));
}
