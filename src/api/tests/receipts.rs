//! Receipts, the drawer, the day's numbers, and whether all is well.

use super::shop::Till;

#[tokio::test]
async fn a_receipt_is_shown_and_printed_again_once_there_is_one() {
    let till = Till::open();
    let opened = till.post("/v1/payments", "k1", r#"{"amount": 1250}"#).await.json();
    let id = opened["id"].as_str().unwrap();
    for (method, path, code, status) in [
        ("GET", "receipt.txt", "no_receipt", 404),
        ("GET", "receipt.png", "no_receipt", 404),
        ("POST", "receipts", "not_now", 409),
    ] {
        let early = till.call(method, &format!("/v1/payments/{id}/{path}"), &[], None).await;
        assert_eq!(early.problem(), (status, code.to_owned(), "none".to_owned(), "never".to_owned()));
    }
    till.paid(id);
    let text = till.get(&format!("/v1/payments/{id}01/receipt.txt")).await;
    assert_eq!(
        (text.header("content-type"), text.text().as_str()),
        ("text/plain; charset=utf-8", "朝阳门店-消费 12.50\n")
    );
    let picture = till.get(&format!("/v1/payments/{id}/receipt.png")).await;
    assert_eq!((picture.header("content-type"), &picture.body[1..4]), ("image/png", &b"PNG"[..]));
    let copy = till.call("POST", &format!("/v1/payments/{id}/receipts"), &[], None).await;
    assert_eq!((copy.status.as_u16(), copy.json()["receipt"]["copies"].as_u64()), (202, Some(2)));
}

#[tokio::test]
async fn the_till_says_how_it_is() {
    let till = Till::open();
    let status = till.get("/v1/status").await.json();
    assert_eq!((status["terminal"].as_str(), status["sandbox"].as_bool()), (Some("T01"), Some(true)));
    assert_eq!(
        (&status["gateway"]["line"], &status["in_hand"]),
        (&"unknown".into(), &serde_json::Value::Null)
    );
    assert_eq!(till.get("/healthz").await.json()["status"], "ok");
    assert_eq!(till.get("/readyz").await.status, 200);
    assert_eq!(till.call("POST", "/v1/drawer", &[], None).await.status, 204);
    let report = till.get("/v1/reports/2026-11-21").await.json();
    assert_eq!((report["paid_count"].as_u64(), report["paid"].as_u64()), (Some(3), Some(3750)));
    assert_eq!(till.get("/v1/reports/today").await.problem().1, "invalid_query");
}
