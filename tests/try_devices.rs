//! `scanner test`, `printer probe` and `receipt preview` with devices that a test can have: a pseudo-terminal, a file.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use rustix::fs::{OFlags, open};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use serde_json::Value;

fn config(dir: &Path, text: &str) -> String {
    let file = dir.join("c.toml");
    std::fs::write(&file, text).unwrap();
    file.to_str().unwrap().to_owned()
}

fn micropayd(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_micropayd")).args(arguments).env_clear().output().unwrap()
}

#[test]
fn a_scanner_is_tried_without_showing_the_code() {
    let dir = tempfile::tempdir().unwrap();
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let slave = ptsname(&master, Vec::new()).unwrap().into_string().unwrap();
    // Held open, so that the pseudo-terminal lives between the readers.
    let _slave = open(slave.as_str(), OFlags::RDWR | OFlags::NOCTTY, rustix::fs::Mode::empty()).unwrap();
    let path =
        config(dir.path(), &format!("[[scanner]]\nname = \"till\"\nkind = \"serial\"\npath = {slave:?}\n"));

    let mut child = Command::new(env!("CARGO_BIN_EXE_micropayd"))
        .args(["scanner", "test", "--count", "2", "--config", &path])
        .env_clear()
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "till: scan something");
    let mut scanner = File::from(master);
    scanner.write_all(b"134567890123458406\r\n").unwrap();
    let read = lines.next().unwrap().unwrap();
    assert!(read.starts_with("till: code …8406: 18 characters in "), "{read}");
    scanner.write_all(b"6901234567892x\r\n").unwrap();
    let refused = lines.next().unwrap().unwrap();
    assert!(refused.starts_with("till: not only digits "), "{refused}");
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_printer_is_asked_and_prints_a_sample() {
    let dir = tempfile::tempdir().unwrap();
    let paper = dir.path().join("paper");
    let path = config(dir.path(), &format!("[printer]\nkind = \"file\"\npath = {paper:?}\n"));
    let output = micropayd(&["printer", "probe", "--print", "--json", "--config", &path]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(told["ready"], true);
    assert_ne!(told["sample"]["outcome"], "failed");
    assert!(paper.exists());

    let path = config(dir.path(), "[terminal]\n");
    let output = micropayd(&["printer", "probe", "--config", &path]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).starts_with("error: no printer is set up\nhelp: "));
}

#[test]
fn a_receipt_is_shown_as_the_paper_will_show_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = config(dir.path(), "[printer]\nkind = \"none\"\n");
    let output = micropayd(&["receipt", "preview", "--config", &path]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("12.50") && text.contains("NOT A RECEIPT"), "{text}");
    let png = dir.path().join("receipt.png");
    let output = micropayd(&[
        "receipt",
        "preview",
        "--kind",
        "copy",
        "--png",
        png.to_str().unwrap(),
        "--config",
        &path,
    ]);
    assert!(output.status.success());
    assert!(std::fs::read(png).unwrap().starts_with(b"\x89PNG"));
}
