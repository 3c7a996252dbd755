//! What a receipt must be on paper, whatever the profile: the interpreter reads back what the layout said.

use micropayd::money::Amount;
use micropayd::printer::profile::Chinese;
use micropayd::printer::{Profile, escpos};
use micropayd::receipt::{Copy, Line, Receipt, Template, layout, raster, to_text};
use micropayd::time::Timestamp;

use crate::paper::{Item, Paper, decode_qr};

/// The store's name on the receipt of a sale. What is left of one that was cut off is no other's.
pub fn store(number: u32) -> String {
    format!("店{number}号")
}

/// The receipt of the `number`-th sale; its shop's name is the number, so that it can be told from others on one paper.
pub fn receipt(number: u32, copy: Copy) -> Receipt {
    Receipt {
        store_name: store(number),
        terminal: "T01".parse().unwrap(),
        order: format!("T01261121{number:06}ABCDEF01").parse().unwrap(),
        gateway_txn: "4200001234202611211234567890".to_owned(),
        gateway: "wechat".to_owned(),
        subject: "豆浆 — “甜” ①×2 é 镕喆".to_owned(),
        reference: Some("POS-4711".to_owned()),
        amount: Amount::from_fen(1250).unwrap(),
        coupon: 100,
        payer_paid: 1150,
        paid_at: Timestamp::from_wechat("20261121193841").unwrap(),
        copy,
        sandbox: false,
    }
}

/// Whether `items`, from the first on, are these lines.
pub fn shows(items: &[Item], lines: &[Line], profile: &Profile) -> bool {
    items.len() >= lines.len() && items.iter().zip(lines).all(|(item, line)| same(item, line, profile))
}

/// Whether what was printed is this line: as text, or as the picture that the font gives.
pub fn same(item: &Item, line: &Line, profile: &Profile) -> bool {
    match (item, line) {
        (Item::Text(text, false), Line::Text(expected)) | (Item::Text(text, true), Line::Large(expected)) => {
            text == expected
        }
        (Item::Qr(code), Line::Qr(expected)) | (Item::Barcode(code), Line::Barcode(expected)) => {
            code == expected
        }
        (Item::Raster(width, dots), line) => {
            let picture = raster::line(line, profile.columns).unwrap();
            *width == picture.row_bytes()
                && dots.len() == *width * picture.height()
                // Dots may have been added to keep real-time commands out, never taken away.
                && dots.iter().zip(picture.rows().flatten()).all(|(got, drawn)| got & drawn == *drawn)
        }
        _ => false,
    }
}

fn read(lines: &[Line], profile: &Profile) -> Vec<Item> {
    Paper::read(&escpos::receipt(lines, profile), profile.chinese != Chinese::None)
}

fn profiles() -> impl Iterator<Item = (&'static str, Profile)> {
    Profile::names().map(|name| (name, Profile::built_in(name).unwrap()))
}

#[test]
fn every_profile_prints_what_the_layout_says() {
    for (name, profile) in profiles() {
        for copy in [Copy::Original, Copy::MaybeSecond, Copy::Reprint(2)] {
            for subject in
                ["豆浆", "a long one: 朝阳区建国路一号院十八号楼 — 二十一层 AB", "😀 𠮷 㐂 \u{1b}@"]
            {
                let mut receipt = receipt(7, copy);
                receipt.subject = subject.to_owned();
                let lines = layout(&receipt, profile.columns, &Template::default());
                let items = read(&lines, &profile);
                assert!(shows(&items, &lines, &profile), "{name}: {items:#?}\n{lines:#?}");
                for (item, line) in items.iter().zip(&lines) {
                    if let (Item::Raster(width, dots), Line::Qr(code)) = (item, line) {
                        assert_eq!(decode_qr(*width, dots).as_ref(), Some(code), "{name}");
                    }
                }
                let rest = &items[lines.len()..];
                assert!(matches!(rest, [] | [Item::Cut]), "{name}: {rest:?}");
            }
        }
    }
}

#[test]
fn the_paper_reads_as_the_screen_does() {
    let profile = Profile::built_in("rongta-rp326").unwrap();
    let mut plain = receipt(7, Copy::Reprint(2));
    plain.subject = "豆浆 — “甜” ①×2".to_owned();
    let lines = layout(&plain, profile.columns, &Template::default());
    let mut printed = String::new();
    for item in read(&lines, &profile) {
        let line = match item {
            Item::Text(text, false) => text,
            // The screen shows large lines small, in the middle.
            Item::Text(text, true) => {
                let wide = encoding_rs::GB18030.encode(text.trim_start()).0.len();
                format!("{}{}", " ".repeat((profile.columns - wide) / 2), text.trim_start())
            }
            Item::Barcode(code) => format!("[CODE 128: {code}]"),
            Item::Qr(code) => format!("[QR: {code}]"),
            Item::Cut => continue,
            other => panic!("{other:?}"),
        };
        printed.push_str(&line);
        printed.push('\n');
    }
    assert_eq!(printed, to_text(&lines, profile.columns));
}

#[test]
fn no_job_holds_a_real_time_command() {
    for (name, profile) in profiles() {
        for number in 0..40 {
            let mut receipt = receipt(160_400 + number * 7, Copy::Original);
            receipt.subject = format!("😀{number} 豆浆豆浆");
            let bytes = escpos::receipt(&layout(&receipt, profile.columns, &Template::default()), &profile);
            let obeyed = bytes.windows(2).any(|two| two[0] == 0x10 && matches!(two[1], 0x04 | 0x05 | 0x14));
            assert!(!obeyed, "{name}");
        }
    }
}
