//! Profiles and templates from files: a mistake is named when it is read, and never stops a receipt.

use std::path::PathBuf;

use micropayd::input::{Input, PrintOutcome};
use micropayd::printer::{Job, Kind, Printer, Settings};
use micropayd::receipt::{Bitmap, Copy};

use crate::jobs::receipt;

fn with_template(text: &str, logo: Option<&Bitmap>) -> (tempfile::TempDir, Settings) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("receipt.toml");
    std::fs::write(&path, text).unwrap();
    if let Some(logo) = logo {
        std::fs::write(folder.path().join("logo.png"), logo.to_png()).unwrap();
    }
    (folder, Settings { template: Some(path), ..Settings::default() })
}

#[test]
fn a_shops_template_is_on_the_preview() {
    let logo = Bitmap::new(64, 32);
    let (_folder, settings) =
        with_template("language = \"zh\"\nheader = [\"电话 010\"]\nlogo = \"logo.png\"", Some(&logo));
    let paper = settings.paper().unwrap();
    let text = paper.text(&receipt(1, Copy::Original));
    assert!(text.contains("电话 010") && text.contains("[LOGO]") && !text.contains("Amount"), "{text}");
    let picture = paper.png(&receipt(1, Copy::Original));
    // The width stands in the first chunk of a PNG, behind its signature, length and name.
    assert_eq!(picture[16..20], 384u32.to_be_bytes());
}

#[test]
fn a_mistake_is_named_with_its_file() {
    let wide = Bitmap::new(600, 8);
    for (text, logo, expected) in [
        ("langage = \"zh\"", None, "unknown key \"langage\""),
        ("logo = \"logo.png\"", None, "logo.png"),
        ("logo = \"logo.png\"", Some(&wide), "600 dots wide, the paper has 384"),
    ] {
        let (_folder, settings) = with_template(text, logo);
        let error = settings.check().unwrap_err();
        assert!(error.contains("receipt.toml") && error.contains(expected), "{error}");
    }
    for (settings, expected) in [
        (Settings { profile: "epson".to_owned(), ..Settings::default() }, "one of generic-58mm"),
        (Settings { profile: "/nonexistent.toml".to_owned(), ..Settings::default() }, "/nonexistent.toml"),
        // Neither of these ends.
        (Settings { profile: "/dev/zero".to_owned(), ..Settings::default() }, "more than 65536 bytes"),
        (Settings { template: Some("/dev/zero".into()), ..Settings::default() }, "more than 65536 bytes"),
        (Settings { kind: Kind::Network, ..Settings::default() }, "address = "),
        (Settings { kind: Kind::Serial, ..Settings::default() }, "path = "),
    ] {
        let error = settings.check().unwrap_err();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn a_mistake_never_stops_a_receipt() {
    let (folder, mut settings) = with_template("language = 7", None);
    let paper: PathBuf = folder.path().join("paper.bin");
    settings.kind = Kind::File;
    settings.path = Some(paper.clone());
    settings.profile = "no such printer".to_owned();
    let (sender, mut inbox) = tokio::sync::mpsc::channel(4);
    let printer = Printer::start(settings, false, sender).unwrap();
    printer.hand_over(Job::Receipt(1, Box::new(receipt(1, Copy::Original)))).unwrap();
    let mut complaint = String::new();
    loop {
        match inbox.blocking_recv().unwrap() {
            Input::Device(device) => complaint = device.trouble,
            Input::Print(printed) => break assert_eq!(printed.outcome, PrintOutcome::Printed),
            other => panic!("{other:?}"),
        }
    }
    assert!(complaint.contains("language is a integer"), "{complaint}");
    assert!(std::fs::metadata(paper).unwrap().len() > 300);
}
