//! Refunds over HTTP: asked for once, shown to the end, refused clearly.

use serde_json::{Value, json};

use super::shop::{NOW, Till};
use crate::payment::Refusal;
use crate::refund::{Phase, Refund};

const PRICE: u32 = 1250;

/// A till with a payment, and its id.
async fn opened() -> (Till, String) {
    let till = Till::open();
    let opened = till.post("/v1/payments", "sale", &format!(r#"{{"amount": {PRICE}}}"#)).await.json();
    (till, opened["id"].as_str().unwrap().to_owned())
}

/// The same, paid.
async fn paid() -> (Till, String) {
    let (till, id) = opened().await;
    till.paid(&id);
    (till, id)
}

fn problem(status: u16, code: &str, money: &str, retry: &str) -> (u16, String, String, String) {
    (status, code.to_owned(), money.to_owned(), retry.to_owned())
}

/// The newest refund of a payment goes on.
fn moves(till: &Till, id: &str, change: impl FnOnce(&mut Refund)) {
    till.step(id, "refund", |sale| change(sale.refunds.last_mut().unwrap()));
}

fn number() -> String {
    "50000000012026112100000000001".to_owned()
}

#[tokio::test]
async fn a_refund_is_asked_for_once_however_often_it_is_repeated() {
    let (till, id) = paid().await;
    let path = format!("/v1/payments/{id}/refunds");
    let first = till.post(&path, "r1", r#"{"amount": 500, "reason": "商品有瑕疵"}"#).await;
    assert_eq!((first.status.as_u16(), first.header("location")), (201, &*format!("/v1/payments/{id}")));
    // By an order number, as it stands on the receipt, and written another way, it is the same refund.
    let again = format!("/v1/payments/{id}01/refunds");
    let again = till.post(&again, "r1", r#"{ "reason":"商品有瑕疵","amount":500}"#).await;
    assert_eq!((again.status.as_u16(), again.json()), (200, first.json()));
    for other in [r#"{"amount": 500}"#, r#"{"amount": 501, "reason": "商品有瑕疵"}"#] {
        let reused = till.post(&path, "r1", other).await;
        assert_eq!(reused.problem(), problem(409, "key_reused", "taken", "never"), "{other}");
        assert_eq!(reused.json()["id"], *id);
    }
    let second = till.post(&path, "r2", r#"{"amount": 500, "reason": "商品有瑕疵"}"#).await;
    assert_eq!((second.status.as_u16(), &second.json()["refundable"]), (201, &json!(250)));
    let numbers: Vec<_> = second.json()["refunds"].as_array().unwrap().iter().map(refund_no).collect();
    assert!(numbers.len() == 2 && numbers[0] != numbers[1], "{numbers:?}");
}

fn refund_no(refund: &Value) -> String {
    refund["refund_no"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn what_cannot_be_refunded_is_refused_and_says_what_would_do() {
    let (till, id) = opened().await;
    let path = format!("/v1/payments/{id}/refunds");
    let early = till.post(&path, "r1", r#"{"amount": 500}"#).await;
    assert_eq!(early.problem(), problem(409, "not_now", "none", "never"));
    till.paid(&id);
    let much = till.post(&path, "r1", r#"{"amount": 1251}"#).await;
    assert_eq!(much.problem(), problem(422, "refund_too_much", "taken", "never"));
    let json = much.json();
    assert_eq!((&json["id"], &json["field"]), (&json!(id), &json!("amount")));
    assert_eq!(json["detail"], "field amount: expected at most 1250 fen (12.50 yuan)");
    // Nothing was done, so the key of what was refused is still unused; and what is given once is gone.
    assert_eq!(till.post(&path, "r1", r#"{"amount": 1200}"#).await.status, 201);
    let more = till.post(&path, "r2", r#"{"amount": 51}"#).await;
    assert_eq!(more.json()["detail"], "field amount: expected at most 50 fen (0.50 yuan)");

    let dear = till.post("/v1/payments", "dear", r#"{"amount": 200000}"#).await.json();
    let dear = dear["id"].as_str().unwrap();
    till.paid(dear);
    let limit = till.post(&format!("/v1/payments/{dear}/refunds"), "r3", r#"{"amount": 100001}"#).await;
    assert_eq!(limit.problem(), problem(422, "refund_limit", "taken", "never"));
    let json = limit.json();
    assert_eq!((&json["id"], &json["field"]), (&json!(dear), &json!("amount")));
    assert_eq!(json["detail"], "field amount: expected at most 100000 fen (1000.00 yuan)");

    for unknown in ["T01261121000042000001", "x", "%ff"] {
        let never = till.post(&format!("/v1/payments/{unknown}/refunds"), "r9", r#"{"amount": 1}"#).await;
        assert_eq!(never.problem(), problem(404, "never_seen", "none", "same_key"), "{unknown}");
    }
    let keyless = till.call("POST", &path, &[], Some(r#"{"amount": 50}"#)).await;
    assert_eq!(keyless.problem(), problem(400, "key_missing", "none", "new_key"));
    assert_eq!(till.get(&format!("/v1/payments/{id}")).await.json()["refunds"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_field_that_cannot_be_used_is_named_and_nothing_goes_back() {
    let (till, id) = paid().await;
    let path = format!("/v1/payments/{id}/refunds");
    // 26 characters are 78 bytes, 27 are one too many for WeChat, which counts bytes.
    let (fits, long) = ("瑕".repeat(26) + "ab", "瑕".repeat(27));
    for (body, field) in [
        (json!({}), "amount"),
        (json!({"amount": 0}), "amount"),
        (json!({"amount": -1}), "amount"),
        (json!({"amount": 4.5}), "amount"),
        (json!({"amount": 4_294_967_296u64}), "amount"),
        (json!({"amount": "500"}), "amount"),
        (json!({"amount": null}), "amount"),
        (json!({"amount": 500, "reason": ""}), "reason"),
        (json!({"amount": 500, "reason": 7}), "reason"),
        (json!({"amount": 500, "reason": "a\nb"}), "reason"),
        (json!({"amount": 500, "reason": "a\u{202e}b"}), "reason"),
        (json!({"amount": 500, "reason": long}), "reason"),
        (json!({"amount": 500, "reason": "a".repeat(81)}), "reason"),
        (json!({"amount": 500, "refund_no": "R1"}), "refund_no"),
    ] {
        let refused = till.post(&path, "r1", &body.to_string()).await;
        assert_eq!(refused.problem(), problem(422, "invalid_field", "none", "never"), "{body}");
        assert_eq!(refused.json()["field"], field, "{body}");
    }
    let text = till.post(&path, "r1", "500").await;
    assert_eq!(text.problem(), problem(400, "malformed_json", "none", "never"));
    let nothing = till.get(&format!("/v1/payments/{id}")).await.json();
    assert_eq!((&nothing["refunds"], &nothing["refundable"]), (&json!([]), &json!(PRICE)));
    let body = json!({"amount": 500, "reason": fits}).to_string();
    assert_eq!(till.post(&path, "r1", &body).await.json()["refunds"][0]["reason"], *fits);
}

#[tokio::test]
async fn the_example_in_the_description_is_a_refund() {
    let (till, id) = paid().await;
    let document = till.get("/openapi.json").await.json();
    let schema = &document["components"]["schemas"]["NewRefund"];
    assert_eq!(schema["additionalProperties"], false);
    let asked = till.post(&format!("/v1/payments/{id}/refunds"), "r1", &schema["example"].to_string()).await;
    assert_eq!(asked.status, 201, "{}", asked.text());
    let shown = &asked.json()["refunds"][0];
    assert_eq!((&shown["amount"], &shown["reason"]), (&json!(500), &json!("商品有瑕疵")));
    let fields = &document["components"]["schemas"]["Refund"]["properties"];
    let (described, there) = (fields.as_object().unwrap(), shown.as_object().unwrap());
    assert!(described.keys().eq(there.keys()), "{:?} {:?}", described.keys(), there.keys());
}

#[tokio::test]
async fn a_refund_reads_as_the_contract_says_in_every_phase() {
    let (till, id) = paid().await;
    let asked = till.post(&format!("/v1/payments/{id}/refunds"), "r1", r#"{"amount": 500}"#).await.json();
    let no = refund_no(&asked["refunds"][0]);
    assert!(no.starts_with(&id), "{no}");
    let at = "2026-11-21T19:38:31.000+08:00";
    let refusal = || Refusal {
        reason: crate::payment::Reason::Merchant,
        code: "NOTENOUGH".to_owned(),
        text: "余额不足".to_owned(),
    };
    let taken = |text: &str, phase: &str| {
        json!({
            "refund_no": no, "amount": 500, "reason": null, "phase": phase, "text": text, "gateway_refund": number(),
            "error_code": null, "error_text": null, "asked_at": at, "accepted_at": at
        })
    };
    let (gateway_number, accepted_at) = (number(), NOW);
    let mut closed = taken("退款 5.00 元已关闭，款项仍在商户，请店长核实后重新退款", "closed");
    closed["accepted_at"].take();
    let mut refused = taken("退款 5.00 元未办理，款项仍在商户：余额不足", "refused");
    (refused["gateway_refund"], refused["accepted_at"]) = (Value::Null, Value::Null);
    (refused["error_code"], refused["error_text"]) = (json!("NOTENOUGH"), json!("余额不足"));
    let mut asking = taken("正在申请退款 5.00 元", "asking");
    (asking["gateway_refund"], asking["accepted_at"]) = (Value::Null, Value::Null);
    assert_eq!(asked["refunds"], json!([asking]));
    for (phase, shown, refundable) in [
        (
            Phase::Accepted {
                gateway_number: gateway_number.clone(),
                accepted_at,
                since: accepted_at,
                called: false,
            },
            taken("退款 5.00 元已受理，将原路退回；银行卡约需 1 至 3 个工作日", "accepted"),
            750,
        ),
        (
            Phase::Stuck { gateway_number: gateway_number.clone(), accepted_at, since: accepted_at },
            taken("退款 5.00 元无法退回原银行卡，请店长到微信商户平台处理", "stuck"),
            750,
        ),
        (
            Phase::Returned { gateway_number: gateway_number.clone(), accepted_at },
            taken("已退款 5.00 元", "returned"),
            750,
        ),
        (Phase::Refused(refusal()), refused, PRICE),
        (Phase::Closed { gateway_number }, closed, PRICE),
    ] {
        moves(&till, &id, |refund| refund.phase = phase);
        let payment = till.get(&format!("/v1/payments/{id}")).await.json();
        assert_eq!(payment["refunds"], json!([shown]));
        // Part of it is still the shop's, so the sale stays paid and its goods the customer's.
        assert_eq!((&payment["refundable"], &payment["money"]), (&json!(refundable), &json!("taken")));
        assert_eq!(payment["cashier"]["hand_over_goods"], true);
        let mixed = payment["cashier"]["text"].as_str().unwrap().ends_with("；其中 5.00 元已退或正在退");
        assert_eq!(mixed, refundable == 750, "{payment}");
    }
    let english = till.get(&format!("/v1/payments/{id}?lang=en")).await.json();
    let text = english["refunds"][0]["text"].as_str().unwrap();
    assert!(text.starts_with("The refund of 5.00 was closed, and the money is still the shop's."), "{text}");
}

#[tokio::test]
async fn goods_whose_whole_price_goes_back_are_not_handed_over() {
    let (till, id) = paid().await;
    let path = format!("/v1/payments/{id}/refunds");
    let returned = Phase::Returned { gateway_number: number(), accepted_at: NOW };
    till.post(&path, "r1", r#"{"amount": 500}"#).await;
    moves(&till, &id, |refund| refund.phase = returned.clone());
    let whole = till.post(&path, "r2", r#"{"amount": 750}"#).await.json();
    let told = |payment: &Value| {
        let cashier = &payment["cashier"];
        (cashier["text"].clone(), cashier["next"].clone(), cashier["hand_over_goods"].clone())
    };
    assert_eq!(told(&whole), (json!("正在申请退款 7.50 元；请勿交付商品"), json!("wait"), json!(false)));
    // On its way is not yet with the payer.
    assert_eq!(
        (&whole["money"], &whole["refundable"], &whole["phase"]),
        (&json!("taken"), &json!(0), &json!("paid"))
    );
    moves(&till, &id, |refund| {
        refund.phase = Phase::Stuck { gateway_number: number(), accepted_at: NOW, since: NOW };
    });
    let stuck = till.get(&format!("/v1/payments/{id}")).await.json();
    assert_eq!((told(&stuck).1, told(&stuck).2), (json!("call_manager"), json!(false)));
    moves(&till, &id, |refund| refund.phase = returned);
    let over = till.get(&format!("/v1/payments/{id}?lang=en")).await.json();
    assert_eq!(
        told(&over),
        (json!("All of it was refunded. Do not hand over the goods."), json!("other_tender"), json!(false))
    );
    assert_eq!((&over["money"], &over["phase"]), (&json!("returned"), &json!("paid")));
    let nothing = till.post(&path, "r3", r#"{"amount": 1}"#).await;
    assert_eq!(nothing.problem(), problem(422, "refund_too_much", "returned", "never"));
}

#[tokio::test]
async fn a_refund_that_is_waited_for_is_answered_when_it_has_moved_on() {
    let (till, id) = paid().await;
    let path = format!("/v1/payments/{id}/refunds?wait=60");
    let mut notices = till.notices.subscribe();
    let asked = till.post(&path, "r1", r#"{"amount": 500}"#);
    let accepted = async {
        notices.recv().await.unwrap();
        moves(&till, &id, |refund| {
            refund.phase =
                Phase::Accepted { gateway_number: number(), accepted_at: NOW, since: NOW, called: false };
        });
    };
    let (answer, ()) = tokio::join!(asked, accepted);
    assert_eq!((answer.status.as_u16(), &answer.json()["refunds"][0]["phase"]), (201, &json!("accepted")));
    let report = till.get("/v1/reports/2026-11-21").await.json();
    assert_eq!((&report["refund_count"], &report["refunded"]), (&json!(1), &json!(500)));
}
