//! Orders from the first request to the bill: moods, repetitions, reversals, refunds, vouchers.

use std::time::Duration;

use micropayd::simulator::mood::Mood;
use micropayd::simulator::order::{Coupon, CouponKind};
use micropayd::simulator::world::Offer;

use crate::rig::{Rig, fields};

const N: &str = "T0126112100000101";

#[tokio::test]
async fn a_payment_is_taken_found_and_given_back() {
    let rig = Rig::plain().await;
    let code = rig.simulator.new_code(Mood::Pay);
    let paid = rig.pay(N, 1250, &code).await;
    assert_eq!(paid["result_code"], "SUCCESS", "{paid:?}");
    assert_eq!((paid["total_fee"].as_str(), paid["cash_fee"].as_str()), ("1250", "1250"));
    assert_eq!((paid["out_trade_no"].as_str(), paid["trade_type"].as_str()), (N, "MICROPAY"));
    assert_eq!(paid["time_end"], "20261121120000");
    assert_eq!(rig.state(N).await, "SUCCESS");
    let by_transaction =
        rig.common().into_iter().chain(fields(&[("transaction_id", &paid["transaction_id"])]));
    assert_eq!(rig.ask("/pay/orderquery", by_transaction.collect()).await["out_trade_no"], N);
    assert_eq!(rig.out_of_pocket(), 1250);

    rig.wait(15);
    for _ in 0..2 {
        let reversed = rig.reverse(N).await;
        assert_eq!((reversed["result_code"].as_str(), reversed["recall"].as_str()), ("SUCCESS", "N"));
        assert_eq!(rig.state(N).await, "REVOKED");
        assert_eq!(rig.out_of_pocket(), 0);
    }
    assert_eq!(rig.pay(N, 1250, &code).await["err_code"], "ORDERREVERSED");
}

#[tokio::test]
async fn a_password_is_waited_for_and_then_charged() {
    for mood in [Mood::Password, Mood::Again] {
        let rig = Rig::plain().await;
        let asked = rig.pay(N, 1250, &rig.simulator.new_code(mood)).await;
        assert_eq!((asked["result_code"].as_str(), asked["err_code"].as_str()), ("FAIL", "USERPAYING"));
        assert!(!asked.contains_key("out_trade_no"), "the real one does not repeat it");
        rig.wait(2);
        assert_eq!((rig.state(N).await.as_str(), rig.out_of_pocket()), ("USERPAYING", 0));
        rig.wait(1);
        assert_eq!((rig.state(N).await.as_str(), rig.out_of_pocket()), ("SUCCESS", 1250));
    }
}

#[tokio::test]
async fn every_other_mood_ends_without_a_charge() {
    for (mood, err_code, at_once, after_three, after_a_minute) in [
        (Mood::Cancel, "USERPAYING", "USERPAYING", "PAYERROR", "REVOKED"),
        (Mood::WalkAway, "USERPAYING", "USERPAYING", "USERPAYING", "REVOKED"),
        (Mood::Poor, "NOTENOUGH", "PAYERROR", "PAYERROR", "REVOKED"),
        (Mood::Card, "NOTSUPORTCARD", "PAYERROR", "PAYERROR", "REVOKED"),
        (Mood::Expired, "AUTHCODEEXPIRE", "ORDERNOTEXIST", "ORDERNOTEXIST", "ORDERNOTEXIST"),
        (Mood::Invalid, "AUTH_CODE_INVALID", "ORDERNOTEXIST", "ORDERNOTEXIST", "ORDERNOTEXIST"),
    ] {
        let rig = Rig::plain().await;
        assert_eq!(rig.pay(N, 1250, &rig.simulator.new_code(mood)).await["err_code"], err_code);
        assert_eq!(rig.state(N).await, at_once, "{mood:?}");
        rig.wait(3);
        assert_eq!(rig.state(N).await, after_three, "{mood:?}");
        rig.wait(57);
        assert_eq!(rig.state(N).await, after_a_minute, "{mood:?}");
        assert_eq!(rig.out_of_pocket(), 0, "{mood:?}");
    }
}

#[tokio::test]
async fn a_late_password_is_charged_unless_the_order_was_revoked_or_reversed_before() {
    let late = |seconds| Offer { after: Some(Duration::from_secs(seconds)), ..Offer::default() };
    let rig = Rig::plain().await;
    rig.pay(N, 1250, &rig.simulator.new_code(Mood::Late)).await;
    rig.wait(60);
    assert_eq!((rig.state(N).await.as_str(), rig.out_of_pocket()), ("SUCCESS", 1250), "40 s by default");

    let rig = Rig::plain().await;
    rig.pay(N, 1250, &rig.simulator.new_code_with(Mood::Late, late(46)).0).await;
    rig.wait(60);
    assert_eq!((rig.state(N).await.as_str(), rig.out_of_pocket()), ("REVOKED", 0));

    let rig = Rig::plain().await;
    rig.pay(N, 1250, &rig.simulator.new_code(Mood::Late)).await;
    rig.wait(39);
    assert_eq!(rig.reverse(N).await["result_code"], "SUCCESS");
    rig.wait(60);
    assert_eq!((rig.state(N).await.as_str(), rig.out_of_pocket()), ("REVOKED", 0));
}

#[tokio::test]
async fn fixed_codes_choose_the_mood_by_their_last_digit() {
    let rig = Rig::plain().await;
    for (n, expected) in [
        "SUCCESS",
        "USERPAYING",
        "USERPAYING",
        "USERPAYING",
        "USERPAYING",
        "USERPAYING",
        "NOTENOUGH",
        "NOTSUPORTCARD",
        "AUTHCODEEXPIRE",
        "AUTH_CODE_INVALID",
    ]
    .iter()
    .enumerate()
    {
        let answer = rig.pay(&format!("T01261121000{n:05}"), 1, &format!("15000000000000000{n}")).await;
        assert_eq!(answer.get("err_code").unwrap_or(&answer["result_code"]), expected, "{n}");
    }
    assert_eq!(rig.pay("T0126112100000199", 1, "134500001234568406").await["result_code"], "SUCCESS");
}

#[tokio::test]
async fn above_a_thousand_yuan_a_password_is_always_asked_for() {
    let rig = Rig::plain().await;
    assert_eq!(rig.pay(N, 100_000, &rig.simulator.new_code(Mood::Pay)).await["result_code"], "SUCCESS");
    let answer = rig.pay("T0126112100000201", 100_001, &rig.simulator.new_code(Mood::Pay)).await;
    assert_eq!(answer["err_code"], "USERPAYING");
    rig.wait(3);
    assert_eq!(rig.state("T0126112100000201").await, "SUCCESS");
}

#[tokio::test]
async fn a_repetition_is_recognised_and_never_charged_twice() {
    let rig = Rig::plain().await;
    let (code, customer) = rig.simulator.new_code_with(Mood::Pay, Offer::default());
    rig.pay(N, 1250, &code).await;
    assert_eq!(rig.pay(N, 1250, &code).await["err_code"], "ORDERPAID");
    let fresh =
        rig.simulator.new_code_with(Mood::Pay, Offer { customer: Some(customer), ..Offer::default() }).0;
    assert_eq!(rig.pay(N, 1250, &fresh).await["err_code"], "ORDERPAID");
    assert_eq!(rig.pay(N, 1251, &code).await["err_code"], "OUT_TRADE_NO_USED");
    assert_eq!(
        rig.pay("T0126112100000102", 1250, &code).await["err_code"],
        "AUTH_CODE_INVALID",
        "a code pays once"
    );
    assert_eq!(rig.out_of_pocket(), 1250);
    assert_eq!(rig.simulator.purses()[0].charges, 1);
}

#[tokio::test]
async fn an_unpaid_number_takes_the_same_terms_and_the_same_payer_again() {
    let rig = Rig::plain().await;
    let (poor, customer) = rig.simulator.new_code_with(Mood::Poor, Offer::default());
    rig.pay(N, 1250, &poor).await;
    let richer = |customer| rig.simulator.new_code_with(Mood::Pay, Offer { customer, ..Offer::default() }).0;
    let mut other_body = rig.micropay(N, 1250, &richer(Some(customer)));
    other_body.insert("body".to_owned(), "其他".to_owned());
    let refused = rig.ask("/pay/micropay", other_body).await;
    assert_eq!(
        (refused["err_code"].as_str(), refused["err_code_des"].as_str()),
        ("INVALID_REQUEST", "201 商户订单号重复")
    );
    assert_eq!(rig.pay(N, 1250, &richer(None)).await["err_code"], "BUYER_MISMATCH");
    assert_eq!(rig.pay(N, 1250, &richer(Some(customer))).await["result_code"], "SUCCESS");
    assert_eq!(rig.out_of_pocket(), 1250);
}

#[tokio::test]
async fn a_code_is_good_for_a_minute() {
    let rig = Rig::plain().await;
    let code = rig.simulator.new_code(Mood::Pay);
    rig.wait(61);
    assert_eq!(rig.pay(N, 1250, &code).await["err_code"], "AUTHCODEEXPIRE");
}

#[tokio::test]
async fn reversals_know_their_window_and_what_was_refunded() {
    let rig = Rig::plain().await;
    let unknown = rig.reverse(N).await;
    assert_eq!((unknown["result_code"].as_str(), unknown["err_code"].as_str()), ("FAIL", "ORDERNOTEXIST"));
    rig.pay(N, 1250, &rig.simulator.new_code(Mood::Pay)).await;
    assert_eq!(rig.out_of_pocket(), 1250, "reversing an unknown number does not make it dead");
    rig.wait(7 * 24 * 3600 + 1);
    assert_eq!(rig.reverse(N).await["err_code"], "REVERSE_EXPIRE");

    let other = "T0126112100000201";
    rig.pay(other, 500, &rig.simulator.new_code(Mood::Pay)).await;
    refund(&rig, other, "R1", 500, 100).await;
    assert_eq!(rig.reverse(other).await["err_code"], "TRADE_ERROR");
}

async fn refund(rig: &Rig, order: &str, number: &str, total: u32, fee: u32) -> crate::rig::Fields {
    let mut request = rig.about(order);
    let more =
        [("out_refund_no", number), ("total_fee", &total.to_string()), ("refund_fee", &fee.to_string())];
    request.extend(fields(&more));
    rig.ask("/secapi/pay/refund", request).await
}

#[tokio::test]
async fn refunds_are_accepted_then_credited_and_never_exceed_the_order() {
    let rig = Rig::plain().await;
    assert_eq!(refund(&rig, N, "R1", 1250, 1).await["err_code"], "ORDERNOTEXIST");
    rig.pay(N, 1250, &rig.simulator.new_code(Mood::Pay)).await;
    assert_eq!(refund(&rig, N, "R1", 1251, 1).await["err_code"], "PARAM_ERROR");
    let first = refund(&rig, N, "R1", 1250, 1000).await;
    assert_eq!((first["result_code"].as_str(), first["refund_fee"].as_str()), ("SUCCESS", "1000"));
    let again = refund(&rig, N, "R1", 1250, 1000).await;
    assert_eq!(again["refund_id"], first["refund_id"], "the same number is the same refund");
    assert_eq!(refund(&rig, N, "R1", 1250, 999).await["err_code"], "INVALID_REQUEST");
    assert_eq!(refund(&rig, N, "R2", 1250, 251).await["err_code"], "ERROR");
    assert_eq!(rig.out_of_pocket(), 1250, "accepted is not credited");

    let ask = |number: &str| rig.common().into_iter().chain(fields(&[("out_refund_no", number)])).collect();
    assert_eq!(rig.ask("/pay/refundquery", ask("R1")).await["refund_status_0"], "PROCESSING");
    rig.wait(3);
    let done = rig.ask("/pay/refundquery", ask("R1")).await;
    assert_eq!(done["refund_status_0"], "SUCCESS");
    assert_eq!(done["refund_success_time_0"], "2026-11-21 12:00:03");
    assert_eq!(rig.out_of_pocket(), 250);
    assert_eq!(refund(&rig, N, "R2", 1250, 250).await["result_code"], "SUCCESS");
    let all = rig.ask("/pay/refundquery", rig.about(N)).await;
    assert_eq!((all["refund_count"].as_str(), all["refund_fee_1"].as_str()), ("2", "250"));
    rig.wait(3);
    assert_eq!((rig.state(N).await.as_str(), rig.out_of_pocket()), ("REFUND", 0));
    assert_eq!(rig.ask("/pay/refundquery", ask("R9")).await["err_code"], "REFUNDNOTEXIST");
}

#[tokio::test]
async fn vouchers_split_the_amount_and_come_back_after_the_cash() {
    let rig = Rig::plain().await;
    let coupons =
        vec![Coupon { fee: 100, kind: CouponKind::Cash }, Coupon { fee: 200, kind: CouponKind::NoCash }];
    let code = rig.simulator.new_code_with(Mood::Pay, Offer { coupons, ..Offer::default() }).0;
    let paid = rig.pay(N, 1000, &code).await;
    let amounts =
        ["total_fee", "coupon_fee", "cash_fee", "settlement_total_fee"].map(|name| paid[name].as_str());
    assert_eq!(amounts, ["1000", "300", "700", "800"]);
    let found = rig.ask("/pay/orderquery", rig.about(N)).await;
    let of = |names: [&str; 5]| names.map(|name| found[name].clone());
    assert_eq!(
        of(["coupon_count", "coupon_type_0", "coupon_fee_0", "coupon_type_1", "coupon_fee_1"]),
        ["2", "CASH", "100", "NO_CASH", "200"]
    );
    assert_eq!(rig.out_of_pocket(), 700);
    let back = refund(&rig, N, "R1", 1000, 850).await;
    let of = |names: [&str; 4]| names.map(|name| back[name].clone());
    assert_eq!(
        of(["cash_refund_fee", "coupon_refund_fee", "coupon_refund_count", "settlement_refund_fee"]),
        ["700", "150", "2", "800"]
    );
    rig.wait(3);
    assert_eq!(rig.out_of_pocket(), 0);
}

#[tokio::test]
async fn the_bill_lists_what_was_taken_and_what_went_back() {
    let rig = Rig::plain().await;
    let bill = |kind: &'static str| {
        let mut request = rig.common();
        request.extend(fields(&[("bill_date", "20261121"), ("bill_type", kind)]));
        rig.signed("/pay/downloadbill", request)
    };
    let none = crate::rig::read(&String::from_utf8(bill("ALL").await.body).unwrap());
    assert_eq!((none["error_code"].as_str(), none["return_msg"].as_str()), ("20002", "No Bill Exist"));

    rig.pay(N, 1250, &rig.simulator.new_code(Mood::Pay)).await;
    rig.pay("T0126112100000201", 999, &rig.simulator.new_code(Mood::Poor)).await;
    rig.pay("T0126112100000301", 500, &rig.simulator.new_code(Mood::Pay)).await;
    rig.wait(20);
    rig.reverse("T0126112100000301").await;
    refund(&rig, N, "R1", 1250, 250).await;
    rig.wait(3);

    let text = String::from_utf8(bill("ALL").await.body).unwrap();
    let lines: Vec<&str> = text.strip_prefix('\u{feff}').unwrap().split("\r\n").collect();
    assert_eq!(lines.len(), 1 + 4 + 2 + 1, "{text}");
    let titles: Vec<&str> = lines[0].split(',').collect();
    assert_eq!(titles.len(), 27);
    let rows: Vec<Vec<&str>> =
        lines[1..5].iter().map(|line| line.strip_prefix('`').unwrap().split(",`").collect()).collect();
    let at = |title: &str| titles.iter().position(|it| *it == title).unwrap();
    let cells = |title: &str| rows.iter().map(|row| row[at(title)]).collect::<Vec<_>>();
    assert!(rows.iter().all(|row| row.len() == 27));
    assert_eq!(cells("交易状态"), ["REFUND", "REVOKED", "SUCCESS", "SUCCESS"]);
    assert_eq!(cells("订单金额"), ["0.00", "0.00", "12.50", "5.00"]);
    assert_eq!(cells("申请退款金额"), ["2.50", "5.00", "0.00", "0.00"]);
    assert_eq!(lines[6], "`4,`17.50,`7.50,`0.00,`0.06000,`17.50,`7.50");

    let mut request = rig.common();
    request.extend(fields(&[("bill_date", "20261121"), ("bill_type", "SUCCESS"), ("tar_type", "GZIP")]));
    let zipped = rig.signed("/pay/downloadbill", request).await.body;
    assert_eq!(zipped[..2], [0x1f, 0x8b]);
    let plain = bill("SUCCESS").await.body;
    assert!(zipped.windows(plain.len()).any(|window| window == plain), "stored as it is");
}
