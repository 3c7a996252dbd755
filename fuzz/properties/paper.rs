//! A printer profile, a receipt template and names from outside: whatever they hold, the receipt fits its paper, says
//! what was paid for which order, and no name commands the printer.

use micropayd::money::Amount;
use micropayd::printer::escpos;
use micropayd::printer::profile::Profile;
use micropayd::receipt::template::{Field, Template, Written};
use micropayd::receipt::{Copy, Line, Receipt, layout, text, to_text};

use super::{head, part};

const ORDER: &str = "T0126112100004200000101";

/// Two bytes of choices; a profile and a template with their lengths before them; the rest are names.
pub fn holds(mut data: &[u8]) {
    let [built_in, copy] = head(&mut data);
    let written = String::from_utf8_lossy(part(&mut data)).into_owned();
    let names = Profile::names().count();
    let profile = match Profile::parse(&written) {
        Ok(profile) => profile,
        Err(why) => {
            assert!(!why.trim().is_empty());
            let name = Profile::names().nth(usize::from(built_in) % names).expect("there are some");
            Profile::built_in(name).expect("it is built in")
        }
    };
    assert!(profile.dots <= 1024 && (20..=80).contains(&profile.columns));
    let template = match Written::parse(&String::from_utf8_lossy(part(&mut data))) {
        Ok(written) => written.template,
        Err(why) => {
            assert!(!why.trim().is_empty());
            Template::default()
        }
    };
    let names = String::from_utf8_lossy(data);
    print(&receipt(&names, copy), &profile, &template);
}

fn receipt(names: &str, copy: u8) -> Receipt {
    let mut names = names.splitn(3, '|').map(str::to_owned);
    let mut name = || names.next().unwrap_or_default();
    Receipt {
        store_name: name(),
        terminal: "T01".parse().expect("a name"),
        order: ORDER.parse().expect("a number"),
        gateway_txn: "4200001234202611211234567890".to_owned(),
        gateway: "wechat".to_owned(),
        subject: name(),
        reference: Some(name()),
        amount: Amount::from_fen(1250).expect("an amount"),
        coupon: 100,
        payer_paid: 1150,
        paid_at: super::merchant::NOW,
        copy: [Copy::Original, Copy::MaybeSecond, Copy::Reprint(2)][usize::from(copy) % 3],
        sandbox: copy & 0x80 != 0,
    }
}

fn print(receipt: &Receipt, profile: &Profile, template: &Template) {
    let lines = layout(receipt, profile.columns, template);
    for line in &lines {
        let (text, room) = match line {
            Line::Text(text) => (text, profile.columns),
            Line::Large(text) => (text, profile.columns / 2),
            Line::Barcode(code) | Line::Qr(code) => {
                assert_eq!(code, ORDER);
                continue;
            }
            Line::Picture(_) => continue,
        };
        assert!(text::columns(text) <= room, "{text:?} is wider than {room}");
        assert!(!text.chars().any(char::is_control), "{text:?}");
        let bytes =
            text.chars().filter_map(text::gb18030).flat_map(|(bytes, length)| bytes.into_iter().take(length));
        assert!(bytes.into_iter().all(|byte| byte >= 0x20 && byte != 0x7f), "{text:?} commands the printer");
    }
    let shown = to_text(&lines, profile.columns);
    assert!(shown.contains("12.50"), "{shown}");
    let flat: String = shown.split_whitespace().collect();
    assert!(flat.contains(ORDER), "{shown}");
    if receipt.copy != Copy::Original {
        let mut original = receipt.clone();
        original.copy = Copy::Original;
        assert_ne!(lines, layout(&original, profile.columns, template), "a copy looks like an original");
    }
    assert!(template.fields.contains(&Field::Amount) && template.fields.contains(&Field::Order));
    let bytes = escpos::receipt(&lines, profile);
    assert!(bytes.starts_with(&[0x1b, 0x40]) && bytes.len() < 1 << 20, "{} bytes", bytes.len());
}
