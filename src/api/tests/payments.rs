//! Payments over HTTP: opened once, found for ever, refused clearly.

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use serde_json::{Value, json};

use super::shop::{CODE, Till};
use crate::api::payments::WAITS_MAX;

const BODY: &str = r#"{"amount": 1250, "reference": "POS-4711"}"#;

#[tokio::test]
async fn a_payment_is_opened_once_however_often_it_is_asked_for() {
    let till = Till::open();
    let first = till.post("/v1/payments", "k1", BODY).await;
    assert_eq!(first.status, 201, "{}", first.text());
    let id = first.json()["id"].as_str().unwrap().to_owned();
    assert_eq!(first.header("location"), format!("/v1/payments/{id}"));

    let again =
        till.post("/v1/payments", "k1", r#"{ "reference":"POS-4711","amount":1250,"subject":null}"#).await;
    assert_eq!((again.status.as_u16(), again.json()["id"].as_str()), (200, Some(id.as_str())));

    let other = till.post("/v1/payments", "k1", r#"{"amount": 1251, "reference": "POS-4711"}"#).await;
    assert_eq!(other.problem(), problem(409, "key_reused", "none", "never"));
    assert_eq!(other.json()["id"], *id);

    let busy = till.post("/v1/payments", "k2", BODY).await;
    assert_eq!(busy.problem(), problem(409, "busy", "none", "same_key"));
    assert_eq!(busy.json()["id"], *id);
    assert_eq!(busy.header("location"), format!("/v1/payments/{id}"));

    till.paid(&id);
    let paid = till.post("/v1/payments", "k1", BODY).await;
    assert_eq!((paid.status.as_u16(), &paid.json()["money"]), (200, &json!("taken")));
    let other = till.post("/v1/payments", "k1", r#"{"amount": 1}"#).await;
    assert_eq!(other.problem(), problem(409, "key_reused", "taken", "never"));
    assert_eq!(till.book.lock().unwrap().keys.len(), 1);
}

#[tokio::test]
async fn a_payment_reads_as_the_contract_says() {
    let till = Till::open();
    let opened = till.post("/v1/payments", "k1", BODY).await.json();
    assert_eq!((&opened["phase"], &opened["waiting_for"]), (&json!("awaiting_code"), &json!("scan")));
    let id = opened["id"].as_str().unwrap();
    till.paid(id);
    let mut paid = till.get(&format!("/v1/payments/{id}")).await.json();
    // The sentence is the payment room's business.
    paid["cashier"].take();
    assert_eq!(
        paid,
        json!({
            "id": id, "reference": "POS-4711", "amount": 1250, "currency": "CNY", "subject": "朝阳门店-消费",
            "phase": "paid", "waiting_for": null, "money": "taken", "cashier": null,
            "attempts": [{
                "order_no": format!("{id}01"), "gateway": "wechat", "code_hint": "…8406", "phase": "paid",
                "gateway_txn": "4200000000202611210000000000", "paid_at": "2026-11-21T19:38:31.000+08:00",
                "payer_paid": 1249, "coupon": 1, "error_code": null, "error_text": null
            }],
            "refunds": [], "refundable": 1250, "receipt": {"state": "queued", "copies": 1},
            "created_at": "2026-11-21T19:38:31.000+08:00", "updated_at": "2026-11-21T19:38:31.000+08:00"
        })
    );
    // By the order number on the receipt, too.
    assert_eq!(till.get(&format!("/v1/payments/{id}01")).await.json()["id"], *id);
    let life = till.get(&format!("/v1/payments/{id}/life")).await.json();
    let events: Vec<_> = life["steps"].as_array().unwrap().iter().map(|step| &step["event"]).collect();
    assert_eq!(events, ["opened", "paid"]);
    assert_eq!(life["steps"][1]["payment"]["phase"], "paid");
}

#[tokio::test]
async fn what_was_never_seen_is_safe_to_repeat() {
    let till = Till::open();
    for uri in [
        "/v1/payments/T01261121000042000001",
        "/v1/payments/x",
        "/v1/payments/%ff",
        "/v1/payments/T01261121000042000001/life",
        "/v1/payments?reference=POS-1",
        "/v1/payments?key=k9",
    ] {
        assert_eq!(till.get(uri).await.problem(), problem(404, "never_seen", "none", "same_key"), "{uri}");
    }
    let empty = till.get("/v1/payments").await;
    assert_eq!((empty.status.as_u16(), empty.json()), (200, json!({"payments": [], "next_cursor": null})));
}

#[tokio::test]
async fn the_log_is_found_by_reference_and_key_and_read_in_pages() {
    let till = Till::open();
    for number in 1..=5 {
        let body = format!(r#"{{"amount": {number}, "reference": "R{}"}}"#, number % 2);
        let opened = till.post("/v1/payments", &format!("k{number}"), &body).await.json();
        till.paid(opened["id"].as_str().unwrap());
    }
    let amounts = |page: &Value| -> Vec<u64> {
        page["payments"]
            .as_array()
            .unwrap()
            .iter()
            .map(|payment| payment["amount"].as_u64().unwrap())
            .collect()
    };
    let found = till.get("/v1/payments?reference=R1").await.json();
    assert_eq!(amounts(&found), [5, 3, 1]);
    assert_eq!((&found["id"], &found["amount"]), (&found["payments"][0]["id"], &json!(5)));
    assert_eq!(till.get("/v1/payments").await.json()["id"], Value::Null);
    assert_eq!(amounts(&till.get("/v1/payments?key=k2").await.json()), [2]);
    let mut seen = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = till.get(&format!("/v1/payments?phase=paid&limit=2{cursor}")).await.json();
        seen.extend(amounts(&page));
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(seen, [5, 4, 3, 2, 1]);
    for bad in [
        "phase=payed",
        "limit=0",
        "limit=201",
        "date=21.11.2026",
        "cursor=x",
        "refrence=R1",
        "limit=1&limit=2",
        "lang=fr",
    ] {
        let reply = till.get(&format!("/v1/payments?{bad}")).await;
        assert_eq!(reply.problem(), problem(400, "invalid_query", "none", "never"), "{bad}");
    }
}

#[tokio::test]
async fn a_request_that_cannot_be_used_says_why_and_does_nothing() {
    let till = Till::open();
    let field = |reply: &super::shop::Reply| reply.json()["field"].as_str().unwrap_or("").to_owned();
    for (body, name) in [
        (r#"{}"#, "amount"),
        (r#"{"amount": "12.50"}"#, "amount"),
        (r#"{"amount": 12.5}"#, "amount"),
        (r#"{"amount": 0}"#, "amount"),
        (r#"{"amount": -5}"#, "amount"),
        (r#"{"amount": 4294967296}"#, "amount"),
        (r#"{"amount": 1, "currency": "CNY"}"#, "currency"),
        (r#"{"amount": 1, "reference": ""}"#, "reference"),
        (r#"{"amount": 1, "reference": 7}"#, "reference"),
        (r#"{"amount": 1, "subject": "a\u0000b"}"#, "subject"),
        (r#"{"amount": 1, "subject": "a\u202eb"}"#, "subject"),
    ] {
        let reply = till.post("/v1/payments", "k1", body).await;
        assert_eq!(reply.problem(), problem(422, "invalid_field", "none", "never"), "{body}");
        assert_eq!(field(&reply), name, "{body}");
    }
    let long = format!(r#"{{"amount": 1, "subject": "{}"}}"#, "店".repeat(43));
    assert_eq!(field(&till.post("/v1/payments", "k1", &long).await), "subject");
    let much = till.post("/v1/payments", "k1", r#"{"amount": 500001}"#).await;
    assert_eq!(much.problem(), problem(422, "too_much", "none", "never"));
    let short = till.post("/v1/payments", "k1", r#"{"amount": 1, "auth_code": "1345"}"#).await;
    assert_eq!(short.problem(), problem(422, "not_a_code", "none", "never"));

    let broken = till.post("/v1/payments", "k1", r#"{"amount": 1,"#).await;
    assert_eq!(broken.problem(), problem(400, "malformed_json", "none", "never"));
    let large = till.post("/v1/payments", "k1", &format!("{{\"amount\": 1{}}}", " ".repeat(17_000))).await;
    assert_eq!(large.problem(), problem(413, "body_too_large", "none", "never"));
    let form = till
        .call("POST", "/v1/payments", &[("content-type", "text/plain"), ("idempotency-key", "k")], Some(BODY))
        .await;
    assert_eq!(form.problem(), problem(415, "unsupported_media_type", "none", "never"));
    let keyless = till.call("POST", "/v1/payments", &[], Some(BODY)).await;
    assert_eq!(keyless.problem(), problem(400, "key_missing", "none", "new_key"));
    for keys in [vec!["a", "b"], vec![""], vec!["ключ"]] {
        let headers: Vec<_> = keys.iter().map(|key| ("idempotency-key", *key)).collect();
        let reply = till.call("POST", "/v1/payments", &headers, Some(BODY)).await;
        assert_eq!(reply.problem(), problem(400, "invalid_header", "none", "never"), "{keys:?}");
    }
    assert_eq!(till.get("/v1/paymints").await.problem(), problem(404, "no_such_route", "none", "never"));
    let method = till.call("DELETE", "/v1/payments", &[], None).await;
    assert_eq!(method.problem(), problem(405, "method_not_allowed", "none", "never"));
    assert_eq!(method.header("allow"), "POST,GET,HEAD");
    assert!(till.book.lock().unwrap().keys.is_empty());
}

#[tokio::test]
async fn a_wait_ends_with_the_payment() {
    let till = Till::open();
    let opened = till.post("/v1/payments", "k1", BODY).await.json();
    let id = opened["id"].as_str().unwrap().to_owned();
    let uri = format!("/v1/payments/{id}?wait=100");
    let (waited, posted, ()) = tokio::join!(
        till.get(&uri).then_json(),
        till.post("/v1/payments?wait=4000000000", "k1", BODY).then_json(),
        async {
            // More notices than a follower can hold back: a waiter that lags reads the journal.
            for _ in 0..40 {
                till.step(&id, "asked", |_| {});
            }
            tokio::task::yield_now().await;
            till.paid(&id);
        },
    );
    assert_eq!((&waited["phase"], &posted["phase"]), (&json!("paid"), &json!("paid")));
    assert_eq!(till.get(&format!("/v1/payments/{id}?wait=x")).await.problem().1, "invalid_query");
}

#[tokio::test]
async fn a_wait_ends_with_the_time_and_with_the_process() {
    let till = Till::open();
    let opened = till.post("/v1/payments?wait=1", "k1", BODY).await;
    assert_eq!((opened.status.as_u16(), &opened.json()["phase"]), (201, &json!("awaiting_code")));
    till.stop.send(true).unwrap();
    let stopped = till.post("/v1/payments?wait=100", "k1", BODY).await;
    assert_eq!((stopped.status.as_u16(), &stopped.json()["phase"]), (200, &json!("awaiting_code")));
}

#[tokio::test]
async fn a_crowd_that_waits_leaves_room_for_others() {
    let till = Till::open();
    let id = till.post("/v1/payments", "k1", BODY).await.json()["id"].as_str().unwrap().to_owned();
    let uri = format!("/v1/payments/{id}?wait=100");
    let mut crowd: FuturesUnordered<_> = (0..=WAITS_MAX).map(|_| till.get(&uri).then_json()).collect();
    let first = crowd.next().await.unwrap();
    assert_eq!(first["phase"], "awaiting_code", "one more than there are places does not wait for the end");
    till.paid(&id);
    let others: Vec<Value> = crowd.collect().await;
    assert!(others.iter().all(|told| told["phase"] == "paid"), "the others do");
}

#[tokio::test]
async fn an_end_is_asked_for_and_refused_when_it_is_too_late() {
    let till = Till::open();
    let id = till.post("/v1/payments", "k1", BODY).await.json()["id"].as_str().unwrap().to_owned();
    let cancelled = till.call("POST", &format!("/v1/payments/{id}/cancel"), &[], None).await;
    assert_eq!((cancelled.status.as_u16(), &cancelled.json()["phase"]), (202, &json!("cancelled")));
    let id = till.post("/v1/payments", "k2", BODY).await.json()["id"].as_str().unwrap().to_owned();
    till.paid(&id);
    let late = till.call("POST", &format!("/v1/payments/{id}/cancel"), &[], Some("{}")).await;
    assert_eq!(late.problem(), problem(409, "not_now", "taken", "never"));
    assert_eq!(late.json()["id"], *id);
    let checked = till.call("POST", &format!("/v1/payments/{id}/check?lang=en"), &[], None).await;
    assert_eq!(checked.status, 202);
    assert!(checked.json()["cashier"]["text"].as_str().unwrap().is_ascii());
    let wrong = till.call("POST", &format!("/v1/payments/{id}/check?wait=1"), &[], None).await;
    assert_eq!(wrong.problem().1, "invalid_query");
    for (headers, body) in [
        (vec![("content-type", "application/x-www-form-urlencoded")], None),
        (vec![("content-type", "text/plain")], Some("{}")),
    ] {
        let form = till.call("POST", &format!("/v1/payments/{id}/check"), &headers, body).await;
        assert_eq!(form.problem().1, "unsupported_media_type");
    }
    let filled = till.call("POST", &format!("/v1/payments/{id}/check"), &[], Some(r#"{"x":1}"#)).await;
    assert_eq!(filled.problem().1, "invalid_field");
}

#[tokio::test]
async fn a_code_goes_in_and_never_comes_out() {
    let till = Till::open();
    let nothing = till.call("POST", "/v1/scan", &[], Some(&format!(r#"{{"code": "{CODE}"}}"#))).await;
    assert_eq!(nothing.problem(), problem(409, "nothing_to_pay", "none", "never"));
    let mut replies = vec![nothing];
    for body in [
        format!(r#"{{"amount": 1, "reference": "{CODE}x\u0001"}}"#),
        format!(r#"{{"amount": 1, "auth_code": "{CODE}9999999"}}"#),
        format!(r#"{{"amount": 1, "auth_code": {CODE}}}"#),
        format!(r#"{{"amount": {CODE}}}"#),
        format!(r#"{{"amount": 1, "{CODE}": 1}}"#),
        format!(r#"{{"amount": 1, "auth_code": "{CODE}"#),
    ] {
        replies.push(till.post("/v1/payments", "k1", &body).await);
    }
    replies.push(till.get(&format!("/v1/scan/{CODE}")).await);
    replies.push(till.get(&format!("/v1/payments?{CODE}=1")).await);
    assert!(replies.iter().all(|reply| reply.status.as_u16() >= 400));
    replies
        .push(till.post("/v1/payments", "k1", &format!(r#"{{"amount": 1, "auth_code": "{CODE}"}}"#)).await);
    replies.push(till.call("POST", "/v1/scan", &[], Some(&format!(r#"{{"code": "{CODE}"}}"#))).await);
    assert_eq!(replies.last().unwrap().json()["attempts"][0]["code_hint"], "…8406");
    for reply in replies {
        assert!(!reply.text().contains("34567890"), "{}", reply.text());
    }
}

#[tokio::test]
async fn a_journal_that_cannot_be_read_is_not_an_answer() {
    let till = Till::open();
    let id = till.post("/v1/payments", "k1", BODY).await.json()["id"].as_str().unwrap().to_owned();
    till.book.lock().unwrap().broken = true;
    for uri in
        [format!("/v1/payments/{id}"), "/v1/payments".to_owned(), "/v1/payments?reference=x".to_owned()]
    {
        let reply = till.get(&uri).await;
        assert_eq!(reply.problem(), problem(503, "journal_unreadable", "possible", "same_key"), "{uri}");
    }
}

fn problem(status: u16, code: &str, money: &str, retry: &str) -> (u16, String, String, String) {
    (status, code.to_owned(), money.to_owned(), retry.to_owned())
}

trait ThenJson: Future<Output = super::shop::Reply> + Sized {
    async fn then_json(self) -> Value {
        self.await.json()
    }
}

impl<F: Future<Output = super::shop::Reply>> ThenJson for F {}
