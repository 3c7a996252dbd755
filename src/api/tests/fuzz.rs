//! Whatever is sent, the answer is whole and never "internal error".

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::shop::Till;

/// Something like JSON: values of every kind under the names that bodies use and some that they do not.
fn json() -> impl Strategy<Value = String> {
    let text = || any::<String>().prop_map(|text| serde_json::Value::String(text).to_string());
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        any::<i64>().prop_map(|number| number.to_string()),
        any::<u64>().prop_map(|number| number.to_string()),
        any::<f64>().prop_map(|number| number.to_string()),
        (1u32..10_000).prop_map(|fen| fen.to_string()),
        "\"[0-9]{16,24}\"",
        "[0-9eE.+-]{1,30}",
        text(),
    ];
    let value = leaf
        .prop_recursive(4, 16, 4, |inner| vec(inner, 0..4).prop_map(|list| format!("[{}]", list.join(","))));
    let name = prop_oneof![
        4 => prop::sample::select(vec!["amount", "reference", "subject", "auth_code", "code", "token"])
            .prop_map(|name| format!("\"{name}\"")),
        1 => text(),
    ];
    let object = vec((name, value), 0..6).prop_map(|fields| {
        let fields: Vec<_> = fields.into_iter().map(|(name, value)| format!("{name}:{value}")).collect();
        format!("{{{}}}", fields.join(","))
    });
    prop_oneof![6 => object, 1 => any::<String>(), 1 => "[\\[\\]{}:,\"0-9a]{0,200}"]
}

#[test]
fn no_body_is_an_internal_error() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let till = runtime.block_on(async { Till::open() });
    let uris = [
        "/v1/payments",
        "/v1/scan",
        "/v1/session",
        "/v1/drawer",
        "/v1/payments/T01261121000001000007/cancel",
    ];
    let mut runner = TestRunner::new(Config { cases: 2_000, ..Config::default() });
    let input = (prop::sample::select(uris.to_vec()), json(), "[ -~]{0,20}");
    let outcome = runner.run(&input, |(uri, body, key)| {
        let reply = runtime.block_on(till.post(uri, &key, &body));
        prop_assert!(reply.status.as_u16() < 500, "{} {}", reply.status, reply.text());
        if reply.status.as_u16() >= 400 {
            reply.problem();
        }
        Ok(())
    });
    outcome.unwrap();
}

#[test]
fn no_path_and_no_query_is_an_internal_error() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let till = runtime.block_on(async { Till::open() });
    let mut runner = TestRunner::new(Config { cases: 2_000, ..Config::default() });
    let piece = "[!$'()*+,.0-9:;=@A-Z_a-z~-]{0,40}|(%[0-9A-Fa-f]{2}){0,12}|T01[0-9]{6}[0-9A-Z]{12,20}";
    let name = prop::sample::select(vec![
        "q",
        "phase",
        "date",
        "limit",
        "cursor",
        "reference",
        "key",
        "lang",
        "wait",
        "x",
    ]);
    let input = (piece, prop::sample::select(vec!["", "/life", "/receipt.txt", "/receipt.png"]), name, piece);
    let outcome = runner.run(&input, |(id, rest, name, value)| {
        // A wait for a payment that is not final would be honest, and long.
        let value = if name == "wait" { format!("x{value}") } else { value };
        for uri in [
            format!("/v1/payments/{id}{rest}?{name}={value}"),
            format!("/v1/payments?{name}={value}"),
            format!("/v1/reports/{id}"),
        ] {
            let reply = runtime.block_on(till.get(&uri));
            prop_assert!(reply.status.as_u16() < 500, "{uri} {}", reply.text());
            if reply.status.as_u16() >= 400 {
                reply.problem();
            }
        }
        Ok(())
    });
    outcome.unwrap();
}
