//! Reports of the layouts that are known, as bytes, played into the decoder.

use proptest::prelude::*;

use super::*;
use crate::scanner::{Kind, Settings, recorded};

const CODE: &str = "134567890123458406";

/// The layout of Honeywell and Access-IS (LSR118 manual, page 68): number 2, count, AIM identifier, 56 bytes of data,
/// two of the vendor's, and a bit for more.
const HONEYWELL: &[u8] = &[
    0x05, 0x8c, 0x09, 0x02, 0xa1, 0x01, 0x85, 0x02, 0x15, 0x00, 0x26, 0xff, 0x00, 0x75, 0x08, 0x95, 0x01,
    0x05, 0x01, 0x09, 0x3b, 0x81, 0x02, 0x05, 0x8c, 0x95, 0x03, 0x09, 0xfb, 0x09, 0xfc, 0x09, 0xfd, 0x81,
    0x02, 0x95, 0x38, 0x09, 0xfe, 0x82, 0x02, 0x01, 0x06, 0x66, 0xff, 0x95, 0x02, 0x09, 0x04, 0x82, 0x02,
    0x01, 0x05, 0x8c, 0x75, 0x01, 0x95, 0x01, 0x09, 0xff, 0x81, 0x02, 0x95, 0x07, 0x81, 0x03, 0x85, 0x04,
    0x75, 0x08, 0x95, 0x3f, 0x09, 0x00, 0x91, 0x02, 0xc0,
];

/// No numbers, no count, the vendor's page, and the bit for more in front.
const BARE: &[u8] = &[
    0x06, 0x8c, 0xff, 0x09, 0x02, 0xa1, 0x01, 0x75, 0x01, 0x95, 0x01, 0x09, 0xff, 0x81, 0x02, 0x95, 0x07,
    0x81, 0x01, 0x75, 0x08, 0x95, 0x20, 0x09, 0xfe, 0x81, 0x02, 0xc0,
];

/// A boot keyboard (HID 1.11, appendix E.6).
const KEYBOARD: &[u8] = &[
    0x05, 0x01, 0x09, 0x06, 0xa1, 0x01, 0x05, 0x07, 0x19, 0xe0, 0x29, 0xe7, 0x15, 0x00, 0x25, 0x01, 0x75,
    0x01, 0x95, 0x08, 0x81, 0x02, 0x95, 0x01, 0x75, 0x08, 0x81, 0x01, 0x95, 0x06, 0x75, 0x08, 0x15, 0x00,
    0x25, 0x65, 0x05, 0x07, 0x19, 0x00, 0x29, 0x65, 0x81, 0x00, 0xc0,
];

/// A report in [`HONEYWELL`]'s layout.
fn report(data: &[u8], more: bool) -> Vec<u8> {
    let mut report = vec![0; 64];
    report[0] = 2;
    report[1] = data.len() as u8;
    report[2..5].copy_from_slice(b"]Q1");
    report[5..5 + data.len()].copy_from_slice(data);
    report[63] = more.into();
    report
}

fn reports(descriptor: &[u8]) -> Reports {
    let settings = Settings { kind: Kind::Hidpos, ..Settings::default() };
    Reports::new(settings.framer(), Layout::from_descriptor(descriptor).unwrap())
}

/// Reads reports one after the other, then a long silence.
fn play(decoder: &mut Reports, reads: &[Vec<u8>]) -> Vec<String> {
    let mut at = Duration::from_secs(10);
    let mut out = Vec::new();
    for read in reads {
        at += Duration::from_millis(8);
        out.extend(decoder.take(&mut read.as_slice(), at));
    }
    if let Some(deadline) = decoder.framer().deadline() {
        out.extend(decoder.framer().idle(deadline));
    }
    out.iter()
        .map(|frame| match &frame.what {
            Ok(code) => code.expose().to_owned(),
            Err(why) => format!("{why:?}"),
        })
        .collect()
}

#[test]
fn the_layout_is_read_from_the_descriptor() {
    assert_eq!(HONEYWELL.len(), 77);
    assert_eq!(
        Layout::from_descriptor(HONEYWELL),
        Some(Layout { report: Some(2), count: Some(1), data: (5, 56), more: Some((63, 0)) })
    );
    assert_eq!(
        Layout::from_descriptor(BARE),
        Some(Layout { report: None, count: None, data: (1, 32), more: Some((0, 0)) })
    );
    assert_eq!(Layout::from_descriptor(KEYBOARD), None);
    for cut in 0..BARE.len() - 4 {
        assert_eq!(Layout::from_descriptor(&BARE[..cut]), None, "cut at {cut}");
    }
}

#[test]
fn a_code_in_one_report_and_in_two() {
    let mut decoder = reports(HONEYWELL);
    assert_eq!(play(&mut decoder, &[report(CODE.as_bytes(), false)]), [CODE]);
    assert_eq!(play(&mut decoder, &[report(format!("{CODE}\r\n").as_bytes(), false)]), [CODE]);
    for split in 1..CODE.len() {
        let (head, tail) = CODE.as_bytes().split_at(split);
        assert_eq!(play(&mut decoder, &[report(head, true), report(tail, false)]), [CODE]);
        assert_eq!(play(&mut decoder, &[report(head, true)]), ["Broken"], "and the rest never came");
    }
    let mut bare = reports(BARE);
    let mut read = vec![0; 33];
    read[1..19].copy_from_slice(CODE.as_bytes());
    assert_eq!(play(&mut bare, &[read]), [CODE]);
}

#[test]
fn a_report_that_cannot_be_right_loses_the_code() {
    let mut decoder = reports(HONEYWELL);
    let whole = report(CODE.as_bytes(), false);
    assert_eq!(play(&mut decoder, &[whole[..20].to_vec()]), ["Lost"]);
    let mut boast = whole.clone();
    boast[1] = 57;
    assert_eq!(play(&mut reports(HONEYWELL), &[boast]), ["Lost"]);
    let mut other = whole.clone();
    other[0] = 3;
    assert!(play(&mut reports(HONEYWELL), &[other]).is_empty(), "a report of another number");
    assert_eq!(play(&mut reports(HONEYWELL), &[report(b"6901234567892", false)]), ["Length"]);
    let endless = vec![report(&[b'7'; 56], true); 100];
    assert_eq!(play(&mut reports(HONEYWELL), &endless), ["Flood"]);
}

#[test]
fn what_a_kernel_handed_out_is_read_again() {
    let descriptor = recorded::lines(include_str!("../../tests/vm/recorded/reports-descriptor.hex")).concat();
    for recording in [
        include_str!("../../tests/vm/recorded/reports.hex"),
        include_str!("../../tests/vm/recorded/reports-two.hex"),
    ] {
        let reads = recorded::lines(recording);
        assert_eq!(play(&mut reports(&descriptor), &reads), ["134500000000001234"]);
        assert_eq!(
            play(&mut reports(&descriptor), &reads[..reads.len() - 1]).len(),
            reads.len() - 1,
            "half of it is none"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    #[test]
    fn ten_thousand_scans_in_any_pieces(
        code in "1[0-5][0-9]{16}",
        mut cuts in prop::collection::vec(0usize..18, 0..4),
        lost in prop::option::of(0usize..5),
    ) {
        cuts.extend([0, 18]);
        cuts.sort_unstable();
        let mut reads: Vec<Vec<u8>> = cuts
            .windows(2)
            .map(|piece| report(&code.as_bytes()[piece[0]..piece[1]], piece[1] < 18))
            .collect();
        // The kernel keeps 64 reports and drops the rest; no code has so many.
        if let Some(lost) = lost.filter(|lost| *lost < reads.len()) {
            reads[lost].truncate(30);
        }
        let got = play(&mut reports(HONEYWELL), &reads);
        let expected = if lost.is_some_and(|lost| lost < reads.len()) { "Lost" } else { code.as_str() };
        prop_assert_eq!(got, [expected]);
    }

    #[test]
    fn no_descriptor_and_no_report_makes_it_panic(
        descriptor in prop::collection::vec(any::<u8>(), 0..80),
        change in (0usize..77, any::<u8>()),
        reads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..80), 0..4),
    ) {
        let _ = Layout::from_descriptor(&descriptor);
        let mut changed = HONEYWELL.to_vec();
        changed[change.0] = change.1;
        if Layout::from_descriptor(&changed).is_some() {
            play(&mut reports(&changed), &reads);
        }
    }
}
