//! A day of a real journal against the bill that the gateway makes of it: clean, then with everything that can be done to
//! an order behind the terminal's back.

use micropayd::gateway::http::{self, Http};
use micropayd::gateway::wechat::{Secret, Settings, SignType, Wechat};
use micropayd::gateway::{Gateway, Order};
use micropayd::ids::{PaymentCode, SaleId};
use micropayd::payment::{Answer, ReversalAnswer};
use micropayd::time::Day;
use serde_json::Value;

use crate::rig::{PATIENCE, Rig, err, out};

/// Somebody else with the merchant's key.
struct Other {
    http: Http,
    wechat: Wechat,
    runtime: tokio::runtime::Runtime,
}

impl Other {
    fn new(rig: &Rig) -> Self {
        let http = Http::new(http::Settings {
            base_urls: vec![rig.of_gateway("base_url")],
            roots: Vec::new(),
            identity: None,
            connect_timeout: PATIENCE / 2,
            request_timeout: PATIENCE,
        });
        let wechat = Wechat::new(Settings {
            app_id: rig.of_gateway("app_id"),
            mch_id: rig.of_gateway("mch_id"),
            sub_app_id: None,
            sub_mch_id: None,
            sign_type: SignType::HmacSha256,
            api_key: Secret::parse(&rig.of_gateway("api_key")).unwrap(),
            ip: [127, 0, 0, 1].into(),
            device: None,
            has_client_certificate: true,
        });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        Self { http: http.unwrap(), wechat: wechat.unwrap(), runtime }
    }

    fn order(number: &str) -> Order {
        let (number, subject) = (number.parse().unwrap(), "茶".to_owned());
        Order { number, amount: "12.50".parse().unwrap(), subject }
    }

    fn pay(&self, number: &str, code: &str) {
        let call = self.wechat.pay(&Self::order(number), PaymentCode::parse(code).unwrap());
        assert!(matches!(self.runtime.block_on(self.http.call(call)), Answer::Paid(_)));
    }

    fn reverse(&self, number: &str) {
        let call = self.wechat.reverse(&Self::order(number));
        assert_eq!(self.runtime.block_on(self.http.call(call)), ReversalAnswer::Done);
    }

    fn bill(&self, day: Day) -> Vec<u8> {
        let mut bytes = Vec::new();
        let download = self.wechat.statement(day).unwrap();
        let take = |piece: &[u8]| {
            bytes.extend_from_slice(piece);
            Ok::<(), ()>(())
        };
        self.runtime.block_on(self.http.download(download, take)).unwrap();
        bytes
    }
}

fn reconcile(rig: &Rig, more: &[&str]) -> (Option<i32>, String, String) {
    let config = rig.path("c.toml").to_str().unwrap().to_owned();
    let arguments = [&["reconcile", "--config", &config], more].concat();
    let output = rig.shell(&arguments).env("STATE_DIRECTORY", rig.path("state")).output().unwrap();
    (output.status.code(), out(&output), err(&output))
}

fn json(rig: &Rig, more: &[&str]) -> (Option<i32>, Value) {
    let (code, out, err) = reconcile(rig, &[more, &["--json"]].concat());
    (code, serde_json::from_str(&out).unwrap_or_else(|_| panic!("{err}")))
}

/// A payment of 12.50: its order number, and the day on which it was opened.
fn pay(rig: &Rig, code: &str) -> (String, Day) {
    let paid = rig.json(&["pay", "12.50", "--code", code]);
    let order = paid["attempts"][0]["order_no"].as_str().unwrap().to_owned();
    (order, paid["created_at"].as_str().unwrap()[..10].parse().unwrap())
}

#[test]
fn a_day_agrees_with_its_bill_and_what_somebody_did_behind_the_terminal_is_listed() {
    let mut rig = Rig::new();
    rig.configure("[policy]\n", "[policy]\ngive_up_after = \"1s\"\n");
    rig.start();
    let (kept, day) = pay(&rig, &rig.code("pay", 0.0));
    let date = day.to_string();
    pay(&rig, &rig.code("poor", 0.0));
    let (part, _) = pay(&rig, &rig.code("pay", 0.0));
    let refunded = rig.run(&["refund", &part, "2.50"]);
    assert_eq!(refunded.status.code(), Some(0), "{}", err(&refunded));
    // Charged, and the answer and all that could tell of it lost: taken back.
    rig.weather(
        r#"[{"api":"micropay","fault":"lost_after"},{"api":"orderquery","fault":"lost_before","seconds":3}]"#,
    );
    let (lost, _) = pay(&rig, &rig.code("pay", 0.0));
    rig.fair();
    rig.told_until("STATUS=", |status| !status.contains("to be reversed"));

    let (code, report) = json(&rig, &["--date", &date]);
    assert_eq!(code, Some(0), "{report}");
    assert_eq!((&report["agrees"], &report["here"]), (&Value::from(true), &report["bill"]), "{report}");
    let sums =
        [("paid_count", 3), ("reversed_count", 1), ("reversed", 1250), ("refunded", 250), ("net", 2250)];
    for (name, expected) in sums {
        assert_eq!(report["bill"][name], expected, "{name}: {report}");
    }
    let (_, text, _) = reconcile(&rig, &["--date", &date]);
    assert!(text.contains("账单与本机一致"), "{text}");

    let other = Other::new(&rig);
    // As another terminal with the same id, or this one before its journal was lost, would.
    let foreign = SaleId::new(&"T01".parse().unwrap(), day, 900_000, 7).order(1);
    other.pay(foreign.as_str(), &rig.code("pay", 0.0));
    other.pay("OURSHOP2026112100001", &rig.code("pay", 0.0));
    other.reverse(&kept);
    let (code, report) = json(&rig, &["--date", &date]);
    assert_eq!(code, Some(1), "{report}");
    let listed: Vec<(&str, &str)> = report["differences"].as_array().unwrap().iter().map(of).collect();
    let mut expected = [("reversed_in_bill", kept.as_str()), ("unknown_here", foreign.as_str())];
    expected.sort_by_key(|(_, order)| *order);
    assert_eq!(listed, expected, "{report}");
    assert_eq!(report["bill"]["net"], 2250, "{report}");
    let (_, text, _) = reconcile(&rig, &["--date", &date]);
    for part in ["有 2 处不同 · differences: 2", "货已给就是损失", "help: somebody reversed it elsewhere"]
    {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(!text.contains(&lost), "what agrees is not listed: {text}");

    // The same from a file, without a key and without a line; and cut short.
    let bill = other.bill(day);
    let file = rig.path("bill.csv").to_str().unwrap().to_owned();
    std::fs::write(&file, &bill).unwrap();
    rig.configure("\nbase_urls", "\n#");
    std::fs::remove_file(rig.path("key")).unwrap();
    assert_eq!(json(&rig, &["--date", &date, "--bill", &file]), (Some(1), report));
    std::fs::write(&file, &bill[..bill.len() / 2]).unwrap();
    let (code, text, why) = reconcile(&rig, &["--date", &date, "--bill", &file]);
    assert_eq!((code, text.as_str()), (Some(2), ""), "{why}");
    assert!(why.contains("help: download the bill again"), "{why}");
    std::fs::write(&file, &bill).unwrap();
    let (code, _, why) = reconcile(&rig, &["--date", "2026-01-01", "--bill", &file]);
    assert!(code == Some(2) && why.contains(&format!("bill is of {date}, expected 2026-01-01")), "{why}");
    let (code, _, why) = reconcile(&rig, &["--bill", "nowhere.csv"]);
    assert!(code == Some(64) && why.contains("nowhere.csv cannot be read"), "{why}");
}

fn of(difference: &Value) -> (&str, &str) {
    (difference["cause"].as_str().unwrap(), difference["order_no"].as_str().unwrap())
}

#[test]
fn where_there_is_nothing_to_compare_one_sentence_says_so() {
    let mut rig = Rig::new();
    let (code, _, why) = reconcile(&rig, &["--date", "2026-01-01"]);
    assert_eq!(code, Some(70), "there is no journal: {why}");
    assert!(why.contains("without this terminal's journal") && why.contains("help: run it as"), "{why}");
    rig.start();

    let (code, text, why) = reconcile(&rig, &["--date", "2026-01-01"]);
    assert_eq!(code, Some(0), "{why}");
    assert!(text.contains("nobody paid on that day"), "{text}");
    // The days go on while a test runs; all three are days without trades.
    let now = rig.json(&["status"])["started_at"].as_str().unwrap()[..10].parse::<Day>().unwrap();
    let (code, _, why) = reconcile(&rig, &["--date", &now.to_string()]);
    assert_eq!(code, Some(2), "{why}");
    assert!(why.contains("there is no bill of") && why.contains("help: ask again after 10:00"), "{why}");
    let later = now.end().day().end().day();
    let (code, _, why) = reconcile(&rig, &["--date", &later.to_string()]);
    assert!(code == Some(64) && why.contains("is still to come"), "{why}");

    rig.weather(r#"{"api":"downloadbill","fault":"down","times":10}"#);
    let (code, _, why) = reconcile(&rig, &["--date", "2026-01-01"]);
    assert!(code == Some(69) && why.contains("--bill FILE"), "{why}");
    rig.fair();
    let key = rig.path("key");
    std::fs::remove_file(&key).unwrap();
    std::fs::write(&key, "0".repeat(32)).unwrap();
    let strict = <std::fs::Permissions as std::os::unix::fs::PermissionsExt>::from_mode(0o400);
    std::fs::set_permissions(&key, strict).unwrap();
    let (code, _, why) = reconcile(&rig, &["--date", "2026-01-01"]);
    assert!(code == Some(2) && why.contains("签名错误"), "{why}");
    assert!(!why.contains(&"0".repeat(32)), "{why}");
}
