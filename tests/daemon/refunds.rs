//! Money goes back as a manager gives it back: once, never more than was paid, and through a line that is down and a kill.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::process::Stdio;
use std::time::Instant;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::rig::{PATIENCE, Process, Rig, err, out};

/// Asks for a refund and waits for the gateway's word; the status and the body.
fn refund(rig: &Rig, id: &str, key: &str, body: &Value) -> (u16, Value) {
    post(rig, &format!("/v1/payments/{id}/refunds?wait=30"), key, body)
}

/// The same without waiting.
fn refund_at_once(rig: &Rig, id: &str, key: &str, fen: u32) -> (u16, Value) {
    post(rig, &format!("/v1/payments/{id}/refunds"), key, &json!({"amount": fen}))
}

fn post(rig: &Rig, path: &str, key: &str, body: &Value) -> (u16, Value) {
    let mut line = UnixStream::connect(rig.path("run/api.sock")).unwrap();
    let body = body.to_string();
    write!(
        line,
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nIdempotency-Key: {key}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut answer = String::new();
    line.read_to_string(&mut answer).unwrap();
    let status = answer[9..12].parse().unwrap();
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    (status, serde_json::from_str(body).unwrap_or_else(|_| panic!("{answer}")))
}

fn paid(rig: &Rig) -> String {
    let paid = rig.json(&["pay", "12.50", "--code", &rig.code("pay", 0.0)]);
    assert_eq!(paid["phase"], "paid", "{paid}");
    paid["id"].as_str().unwrap().to_owned()
}

/// What all customers together are out of pocket for, fen.
fn taken(rig: &Rig) -> i64 {
    let purses: Value = serde_json::from_str(&rig.control("GET", "purses", "")).unwrap();
    let purses = purses["purses"].as_array().unwrap();
    purses.iter().map(|purse| purse["out_of_pocket"].as_i64().unwrap()).sum()
}

/// The payment once the payer has all of so many refunds.
fn until_returned(rig: &Rig, id: &str, count: usize) -> Value {
    let begun = Instant::now();
    loop {
        let shown = rig.json(&["show", id]);
        let refunds = shown["refunds"].as_array().unwrap();
        assert!(refunds.len() == count && begun.elapsed() < PATIENCE, "{shown}");
        if refunds.iter().all(|refund| refund["phase"] == "returned") {
            return shown;
        }
        rig.told("WATCHDOG=1");
    }
}

fn code_of(answer: &(u16, Value)) -> (u16, &str) {
    (answer.0, answer.1["code"].as_str().unwrap_or_default())
}

#[test]
fn a_refund_is_made_once_and_never_of_more_than_was_paid() {
    let mut rig = Rig::new();
    rig.start();
    let id = paid(&rig);
    assert_eq!(taken(&rig), 1250);

    let body = json!({"amount": 500, "reason": "商品有瑕疵"});
    let (status, first) = refund(&rig, &id, "r1", &body);
    assert_eq!((status, &first["refunds"][0]["phase"]), (201, &json!("accepted")), "{first}");
    assert_eq!((&first["refundable"], &first["money"]), (&json!(750), &json!("taken")));
    assert_eq!(first["cashier"]["hand_over_goods"], true, "the rest is still paid");
    let (status, again) = refund(&rig, &id, "r1", &body);
    assert_eq!(
        (status, again["refunds"].as_array().unwrap().len()),
        (200, 1),
        "the same key is the same refund"
    );
    assert_eq!(code_of(&refund(&rig, &id, "r1", &json!({"amount": 501}))), (409, "key_reused"));
    assert_eq!(code_of(&refund(&rig, &id, "r2", &json!({"amount": 751}))), (422, "refund_too_much"));
    let wrong = rig.run(&["refund", &id, "7.51"]);
    assert_eq!(wrong.status.code(), Some(1), "{}", err(&wrong));

    let rest = rig.run(&["refund", &id]);
    assert_eq!(rest.status.code(), Some(0), "{}", err(&rest));
    assert!(out(&rest).contains(&format!("{id}R02")), "{}", out(&rest));
    assert_eq!(code_of(&refund(&rig, &id, "r3", &json!({"amount": 1}))), (422, "refund_too_much"));
    let shown = until_returned(&rig, &id, 2);
    assert_eq!((&shown["phase"], &shown["money"]), (&json!("paid"), &json!("returned")));
    assert_eq!(shown["cashier"]["hand_over_goods"], false, "{shown}");
    let number = shown["refunds"][1]["refund_no"].as_str().unwrap();
    assert_eq!(rig.json(&["show", number])["id"], *id, "found by its refund's number");
    assert_eq!(taken(&rig), 0);
    let report = rig.json(&["report"]);
    assert_eq!(
        (&report["paid"], &report["refund_count"], &report["refunded"]),
        (&json!(1250), &json!(2), &json!(1250))
    );

    // The gateway says REFUND of the order now; that is no news here.
    let before = rig.log().matches("needs the manager").count();
    refund(&rig, &id, "r1", &body);
    let mut line = UnixStream::connect(rig.path("run/api.sock")).unwrap();
    write!(line, "POST /v1/payments/{id}/check HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        .unwrap();
    line.read_to_string(&mut String::new()).unwrap();
    let other = paid(&rig);
    assert!(rig.control("GET", "calls", "").contains("orderquery"), "it was asked");
    assert_eq!(rig.log().matches("needs the manager").count(), before);
    assert_eq!(rig.json(&["show", &other])["refunds"], json!([]));
}

#[test]
fn what_is_not_paid_for_certain_is_not_refunded() {
    let mut rig = Rig::new();
    rig.configure("[policy]\n", "[policy]\ngive_up_after = \"500ms\"\n");
    rig.start();
    rig.weather(
        r#"[{"api":"micropay","fault":"lost_after"},{"api":"orderquery","fault":"lost_before","times":100000},
        {"api":"reverse","fault":"lost_before","times":100000}]"#,
    );
    let paying = rig.shell(&["pay", "12.50", "--code", &rig.code("pay", 0.0)]).stderr(Stdio::null()).spawn();
    let _paying = Process(paying.unwrap());
    rig.told_until("STATUS=", |status| status.contains('·'));
    let open = rig.json(&["status"])["open"][0].clone();
    let id = open["payment"].as_str().unwrap();
    assert_eq!(rig.json(&["show", id])["phase"], "reversing");
    let refused = refund(&rig, id, "r1", &json!({"amount": 1250}));
    assert_eq!(code_of(&refused), (409, "not_now"));
    assert_eq!(refused.1["money"], "possible");
    rig.fair();
    rig.told_until("STATUS=", |status| !status.contains('·'));
    assert_eq!(taken(&rig), 0, "reversed");
    assert_eq!(
        code_of(&refund(&rig, id, "r1", &json!({"amount": 1250}))),
        (409, "not_now"),
        "nor what went back"
    );
    assert_eq!(
        code_of(&refund(&rig, "T01261121000042ABCDEF", "r1", &json!({"amount": 1}))),
        (404, "never_seen")
    );
}

#[test]
fn a_refund_outlives_a_line_that_is_down_and_a_kill_and_is_made_once() {
    let mut rig = Rig::new();
    rig.start();
    let id = paid(&rig);
    rig.weather(r#"[{"api":"refund","fault":"lost_after","times":2},{"api":"refundquery","fault":"lost_before","times":3}]"#);
    let (status, asked) = refund_at_once(&rig, &id, "r1", 500);
    assert_eq!((status, &asked["refunds"][0]["phase"]), (201, &json!("asking")), "{asked}");
    let open = rig.json(&["status"])["open"].clone();
    assert_eq!((&open[0]["kind"], &open[0]["payment"]), (&json!("refund"), &json!(id)), "{open}");
    assert_eq!(
        code_of(&refund_at_once(&rig, &id, "r2", 751)),
        (422, "refund_too_much"),
        "what is under way is gone"
    );
    rig.signal(Signal::KILL);
    rig.ended();
    rig.start();
    assert_eq!(rig.json(&["status"])["open"][0]["kind"], "refund");
    until_returned(&rig, &id, 1);
    assert_eq!(taken(&rig), 750);
    let (status, _) = refund_at_once(&rig, &id, "r1", 500);
    assert_eq!(status, 200, "the key is known after the kill, too");
    assert_eq!(taken(&rig), 750);
}

/// Database and witness are gone, and the log is still there: one refund was over, one had been made at the gateway and
/// nobody here had heard of it, one had never come so far.
#[test]
fn refunds_of_a_lost_journal_are_put_back_from_the_log_and_made_once() {
    let mut rig = Rig::new();
    rig.start();
    let id = paid(&rig);
    let (status, _) = refund(&rig, &id, "r1", &json!({"amount": 300}));
    assert_eq!(status, 201);
    until_returned(&rig, &id, 1);
    rig.weather(
        r#"[{"api":"refund","fault":"lost_after"},{"api":"refund","fault":"lost_before"},
        {"api":"refundquery","fault":"lost_before","times":100000}]"#,
    );
    for (key, fen) in [("r2", 400), ("r3", 250)] {
        let (status, asked) = refund_at_once(&rig, &id, key, fen);
        assert_eq!(
            (status, asked["refunds"].as_array().unwrap().last().unwrap()["phase"].as_str()),
            (201, Some("asking"))
        );
    }
    let begun = Instant::now();
    while rig.log().matches(" refund: not known").count() < 2 {
        assert!(begun.elapsed() < PATIENCE, "{}", rig.log());
        rig.told("WATCHDOG=1");
    }
    rig.signal(Signal::KILL);
    rig.ended();
    rig.fair();
    let at_the_gateway = || rig.control("GET", "orders", "").matches(r#""out_refund_no""#).count();
    assert_eq!(at_the_gateway(), 2, "one of the two has reached it");
    let state = rig.path("state");
    for name in ["journal.db", "journal.db-wal", "journal.db-shm", "witness"] {
        let _ = std::fs::remove_file(state.join(name));
    }
    let text = |name: &str| rig.path(name).to_str().unwrap().to_owned();
    let (config, state) = (text("c.toml"), text("state"));
    let restored = rig.run(&["restore", "--config", &config, "--state-dir", &state, "--log", &text("log")]);
    assert_eq!(restored.status.code(), Some(0), "{}", err(&restored));
    assert!(
        out(&restored).contains("1 paid sales, 0 about which the gateway is asked, and 3 refunds"),
        "{}",
        out(&restored)
    );

    rig.start();
    let open = rig.json(&["status"])["open"].clone();
    assert_eq!(open[0]["kind"], "refund", "{open}");
    assert_eq!(code_of(&refund_at_once(&rig, &id, "r4", 301)), (422, "refund_too_much"));
    let shown = until_returned(&rig, &id, 3);
    assert_eq!((&shown["phase"], &shown["refundable"]), (&json!("paid"), &json!(300)), "{shown}");
    assert_eq!(taken(&rig), 300, "each went back once");
    let report = rig.json(&["report"]);
    assert_eq!((&report["refund_count"], &report["refunded"]), (&json!(3), &json!(950)));
}
