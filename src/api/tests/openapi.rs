//! The description of the API holds: every route is in it, and its examples are what the handlers read and write.

use std::collections::BTreeSet;

use serde_json::Value;

use super::shop::Till;
use crate::api::problem::{self, Problem};
use crate::api::view::Payment;

/// The contract with shops and POS programs: what must be there.
const ROUTES: &[&str] = &[
    "get /healthz",
    "get /metrics",
    "get /readyz",
    "get /v1/events",
    "get /v1/payments",
    "get /v1/payments/{id}",
    "get /v1/payments/{id}/life",
    "get /v1/payments/{id}/receipt.png",
    "get /v1/payments/{id}/receipt.txt",
    "get /v1/reports/{date}",
    "get /v1/status",
    "post /v1/drawer",
    "post /v1/payments",
    "post /v1/payments/{id}/cancel",
    "post /v1/payments/{id}/check",
    "post /v1/payments/{id}/receipts",
    "post /v1/scan",
    "post /v1/payments/{id}/refunds",
    "post /v1/session",
];

#[tokio::test]
async fn every_route_is_described_and_every_described_route_is_there() {
    let till = Till::open();
    let document = till.get("/openapi.json").await.json();
    let mut described = BTreeSet::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            described.insert(format!("{method} {path}"));
            assert!(operation["summary"].as_str().is_some_and(|text| !text.is_empty()), "{method} {path}");
            let path = path.replace("{id}", "T01261121000042000001").replace("{date}", "2026-11-21");
            if path == "/v1/events" {
                continue;
            }
            let reply = till.call(&method.to_uppercase(), &path, &[], None).await;
            assert!(reply.status != 405 && !reply.text().contains("no_such_route"), "{method} {path}");
        }
    }
    let text = document.to_string();
    for (at, start) in text.match_indices("\"#/components/schemas/") {
        let name = text[at + start.len()..].split('"').next().unwrap();
        assert!(document["components"]["schemas"].get(name).is_some(), "{name} is named and not described");
    }
    assert_eq!(described, ROUTES.iter().map(|route| (*route).to_owned()).collect());
}

#[tokio::test]
async fn its_examples_are_what_the_handlers_read_and_write() {
    let till = Till::open();
    let document = till.get("/openapi.json").await.json();
    let example = |name: &str| -> Value {
        let example = &document["components"]["schemas"][name]["example"];
        assert!(!example.is_null(), "{name} has no example");
        example.clone()
    };
    let payment = example("Payment");
    let read: Payment = serde_json::from_value(payment.clone()).unwrap();
    assert_eq!(serde_json::to_value(read).unwrap(), payment);
    let problem = example("Problem");
    let read: Problem = serde_json::from_value(problem.clone()).unwrap();
    assert_eq!(serde_json::to_value(&read).unwrap(), problem);
    assert_eq!(
        Problem { id: None, ..read },
        Problem { detail: problem["detail"].as_str().unwrap().into(), ..problem::BUSY.because("").into() }
    );

    let codes =
        document["components"]["schemas"]["Problem"]["properties"]["code"]["enum"].as_array().unwrap();
    assert!(codes.len() == problem::ALL.len() && codes.contains(&"key_reused".into()));

    let opened = till.post("/v1/payments", "k1", &example("NewPayment").to_string()).await;
    assert_eq!(opened.status, 201, "{}", opened.text());
    assert_eq!(till.call("POST", "/v1/scan", &[], Some(&example("Scanned").to_string())).await.status, 200);
}

#[tokio::test]
async fn what_is_answered_has_the_fields_that_are_described() {
    let till = Till::open();
    let document = till.get("/openapi.json").await.json();
    let id = till.post("/v1/payments", "k1", r#"{"amount": 1250}"#).await.json()["id"]
        .as_str()
        .unwrap()
        .to_owned();
    till.paid(&id);
    for (uri, schema) in [
        (format!("/v1/payments/{id}"), "Payment"),
        (format!("/v1/payments/{id}/life"), "Life"),
        ("/v1/payments".to_owned(), "Payments"),
        ("/v1/status".to_owned(), "Status"),
        ("/v1/reports/2026-11-21".to_owned(), "Report"),
        ("/v1/nothing".to_owned(), "Problem"),
    ] {
        let schema = &document["components"]["schemas"][schema];
        let answer = till.get(&uri).await.json();
        for name in schema["required"].as_array().unwrap() {
            assert!(answer.get(name.as_str().unwrap()).is_some(), "{uri} lacks {name}");
        }
        for name in answer.as_object().unwrap().keys() {
            assert!(schema["properties"].get(name).is_some(), "{uri} has {name}, which is not described");
        }
    }
}

#[tokio::test]
async fn metrics_are_numbers_by_route_never_by_path() {
    let till = Till::open();
    till.get("/v1/payments/T01261121000042000001").await;
    till.get("/v1/nothing/134567890123458406").await;
    till.call("BREW", "/v1/status", &[], None).await;
    let text = till.get("/metrics").await.text();
    for line in [
        r#"micropayd_http_requests_total{method="GET",route="/v1/payments/{id}",status="404"} 1"#,
        r#"micropayd_http_requests_total{method="GET",route="none",status="404"} 1"#,
        r#"micropayd_http_requests_total{method="other",route="/v1/status",status="405"} 1"#,
        "micropayd_loop_answers 1",
        "micropayd_takes_sales 1",
        "micropayd_paid_today_fen 3750",
        r#"micropayd_unfinished{kind="reversal"} 0"#,
        "# EOF",
    ] {
        assert!(text.lines().any(|got| got == line), "{line} is missing in\n{text}");
    }
    assert!(!text.contains("T0126") && !text.contains("34567890"), "{text}");
}
