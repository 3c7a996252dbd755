//! The built binary: exit codes, messages and the way to a daemon that is not there.

use std::path::Path;
use std::process::{Command, Output, Stdio};

fn micropayd(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_micropayd"))
        .args(arguments)
        .env_clear()
        .stdin(Stdio::null())
        .output()
        .expect("the binary starts")
}

fn code(output: &Output) -> i32 {
    output.status.code().expect("no signal")
}

fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn wrong_usage_is_64_and_help_is_0() {
    for arguments in [
        &[][..],
        &["py"],
        &["pay"],
        &["pay", "twelve"],
        &["pay", "0"],
        &["pay", "12.345"],
        &["pay", "-1"],
        &["list", "--phase", "payed"],
        &["list", "--date", "2026-02-30"],
        &["list", "--limit", "0"],
        &["show"],
        &["run", "--no-such-flag"],
    ] {
        let output = micropayd(arguments);
        assert_eq!(code(&output), 64, "{arguments:?}: {}", err(&output));
        assert_eq!(out(&output), "", "{arguments:?}");
        assert!(!err(&output).is_empty(), "{arguments:?}");
    }
    for arguments in [&["--help"][..], &["--version"], &["pay", "--help"], &["check-config", "-h"]] {
        let output = micropayd(arguments);
        assert_eq!(code(&output), 0, "{arguments:?}");
        assert!(!out(&output).is_empty(), "{arguments:?}");
    }
}

#[test]
fn a_daemon_that_is_not_there_is_69_with_a_remedy() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("api.sock");
    let socket = socket.to_str().unwrap();
    for arguments in [
        &["pay", "12.50"][..],
        &["list"],
        &["show", "T0126112100004200000101"],
        &["cancel", "T0126112100004200000101"],
        &["reprint", "T0126112100004200000101"],
        &["list", "--json"],
    ] {
        // Port 1 is never listened on in tests; the socket is in an empty directory.
        for place in [socket, "http://127.0.0.1:1", "127.0.0.1:1"] {
            let output = micropayd(&[arguments, &["--api", place]].concat());
            assert_eq!(code(&output), 69, "{arguments:?}: {}", err(&output));
            assert!(err(&output).starts_with("error: daemon is not reachable at "), "{}", err(&output));
            assert!(
                err(&output).contains("\nhelp: start it with: systemctl start micropayd"),
                "{}",
                err(&output)
            );
        }
    }
}

#[test]
fn a_configuration_that_is_wrong_is_78_with_the_line() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("micropayd.toml");
    std::fs::write(&file, "[terminal]\nid = \"T 1\"\n").unwrap();
    let path = file.to_str().unwrap();
    let expected = format!(
        "error: {path}:2: terminal.id \"T 1\" is not usable, expected 1 to 8 of A-Z a-z 0-9\nhelp: write id = \"T01\"\n"
    );

    let checked = micropayd(&["check-config", path]);
    assert_eq!(code(&checked), 78);
    assert!(out(&checked).contains(&expected), "{}", out(&checked));
    assert!(out(&checked).contains(" cannot be used: "), "{}", out(&checked));

    let run = micropayd(&["run", "--config", path]);
    assert_eq!(code(&run), 78);
    assert!(err(&run).contains(&expected), "{}", err(&run));

    let json = micropayd(&["check-config", "--json", path]);
    assert_eq!(code(&json), 78);
    let report: serde_json::Value = serde_json::from_str(&out(&json)).unwrap();
    assert_eq!(report["usable"], false);
    let problems = report["problems"].as_array().unwrap();
    let of_id = problems.iter().find(|problem| problem["line"] == 2).unwrap();
    assert_eq!(of_id["help"], "write id = \"T01\"");
}

#[test]
fn the_environment_can_name_the_configuration() {
    let output = Command::new(env!("CARGO_BIN_EXE_micropayd"))
        .arg("check-config")
        .env_clear()
        .env("MICROPAYD_CONFIG", "/no/such/file.toml")
        .output()
        .unwrap();
    assert_eq!(code(&output), 78);
    assert!(out(&output).starts_with("error: /no/such/file.toml: cannot be read: "), "{}", out(&output));
}

#[test]
fn completions_and_manual_pages_are_made_of_the_help() {
    for shell in ["bash", "zsh", "fish"] {
        let output = micropayd(&["completions", shell]);
        assert_eq!(code(&output), 0);
        assert!(out(&output).contains("check-config"), "{shell}");
    }
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(code(&micropayd(&["man", dir.path().to_str().unwrap()])), 0);
    assert!(page(dir.path(), "micropayd.1").contains("check\\-config"));
    assert!(page(dir.path(), "micropayd-pay.1").contains("Ctrl"));
    assert_eq!(code(&micropayd(&["man", "/proc/no"])), 70);
}

fn page(dir: &Path, name: &str) -> String {
    std::fs::read_to_string(dir.join(name)).unwrap()
}

#[test]
fn a_life_is_told_from_the_journal_while_its_owner_writes() {
    use micropayd::journal::{Entry, Journal, Settings};
    use micropayd::payment::{Payment, Policy};
    use micropayd::sale::{ReceiptState, Sale};
    use micropayd::time::Timestamp;

    let dir = tempfile::tempdir().unwrap();
    let settings = Settings { dir: dir.path().to_owned() };
    let mut journal = Journal::open(&settings, &"T01".parse().unwrap()).unwrap().journal;
    let at = Timestamp::from_wechat("20261121193841").unwrap();
    let sale = Sale {
        refunds: Vec::new(),
        id: journal.name_sale(at.day()).unwrap(),
        payment: Payment::new("12.50".parse().unwrap(), false, at, &Policy::default()),
        subject: "朝阳门店-消费".to_owned(),
        reference: Some("POS-4711".to_owned()),
        gateway: "wechat".to_owned(),
        receipt: ReceiptState::None,
        copies: 0,
        created_at: at,
        updated_at: at,
    };
    let entry = Entry { at, event: "opened", sale: &sale, job: None };
    journal.open_sale(&entry, "key", "fingerprint").unwrap();

    let state = dir.path().to_str().unwrap();
    let order = sale.id.order(1);
    for id in [sale.id.as_str(), order.as_str()] {
        let told = micropayd(&["replay", id, "--state-dir", state]);
        assert_eq!(code(&told), 0, "{}", err(&told));
        let told = out(&told);
        assert!(
            told.starts_with(&format!("{}: 12.50 CNY, 朝阳门店-消费, reference POS-4711\n", sale.id)),
            "{told}"
        );
        assert!(told.contains("2026-11-21 19:38:41.000  opened  awaiting_code  none   none"), "{told}");
    }
    let json = micropayd(&["replay", sale.id.as_str(), "--state-dir", state, "--json"]);
    let life: serde_json::Value = serde_json::from_str(&out(&json)).unwrap();
    assert_eq!(life["steps"][0]["payment"]["amount"], 1250);

    let other = micropayd(&["replay", "T0126112100004200000199", "--state-dir", state]);
    assert_eq!(code(&other), 1);
    assert!(err(&other).starts_with("error: payment T0126112100004200000199 was never seen\nhelp: "));
}
