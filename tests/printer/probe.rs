//! `printer probe` against virtual printers: what they say of themselves, the sheet of samples, the configuration lines.

use std::io::Write;
use std::process::{Command, Output, Stdio};

use micropayd::printer::escpos::SAMPLES;

use crate::machine::Temper;
use crate::paper::Item;
use crate::servers::{Manners, Server};

/// Runs `printer probe` and answers its question.
fn probe(server: &Server, profile: &str, arguments: &[&str], answer: &str) -> Output {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("c.toml");
    let section =
        format!("[printer]\nkind = \"network\"\naddress = {:?}\nprofile = {profile:?}\n", server.address);
    std::fs::write(&file, section).unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_micropayd"))
        .args(["printer", "probe", "--config"])
        .arg(&file)
        .args(arguments)
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // It does not ask where it knows, and may be gone by then.
    let _ = child.stdin.take().unwrap().write_all(answer.as_bytes());
    child.wait_with_output().unwrap()
}

fn out(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[test]
fn a_printer_that_names_its_font_needs_no_samples() {
    let server = Server::start(Temper::Epson, Manners::Good, 1000);
    server.machine.lock().unwrap().font = Some("CHINA GB2312");
    let told = out(&probe(&server, "epson-tm-t70ii-ch", &[], ""));
    for line in ["ready    yes\n", "maker    EPSON\n", "model    TM-T70II\n", "font     CHINA GB2312\n"] {
        assert!(told.contains(line), "{told}");
    }
    let section = format!(
        "\n[printer]\nkind = \"network\"\naddress = {:?}\nprofile = \"epson-tm-t70ii-ch\"\nchinese = \"gb2312\"\n",
        server.address
    );
    assert!(told.ends_with(&section), "{told}");
    assert_eq!(server.machine.lock().unwrap().paper.items, [], "nothing was printed");
}

#[test]
fn a_printer_that_says_nothing_is_found_out_by_its_samples() {
    let server = Server::start(Temper::Clone, Manners::Good, 1000);
    let told = out(&probe(&server, "generic-58mm", &[], ""));
    assert!(told.contains("micropayd printer probe --samples"), "{told}");
    // Nonsense is asked again.
    let told = out(&probe(&server, "generic-58mm", &["--samples"], "x\n7\n1\n"));
    assert!(told.ends_with("profile = \"generic-58mm\"\nchinese = \"gb2312\"\n"), "{told}");
    let machine = server.machine.lock().unwrap();
    let items = &machine.paper.items;
    for (number, (sample, _)) in (1..).zip(SAMPLES) {
        let at = items.iter().position(|item| *item == Item::Text(format!("{number} {sample}"), false));
        assert!(matches!(items[at.unwrap() + 1], Item::Raster(48, _)), "{items:?}");
    }
}

#[test]
fn a_profile_that_fits_is_said_to() {
    let server = Server::start(Temper::Blind, Manners::Good, 1000);
    let told = out(&probe(&server, "generic-58mm", &["--samples"], "2\n"));
    assert!(told.ends_with("profile = \"generic-58mm\"\n"), "{told}");
    let output = probe(&server, "generic-58mm", &["--samples"], "");
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("nobody said which samples are right"));
}
