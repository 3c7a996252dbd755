//! What a framer must never do, tried with every split, pause and kind of dirt that a line can make.

use proptest::prelude::*;

use super::*;

const CODE: &str = "134567890123458406";

const SERIAL: Pace = Pace { gap: ms(80), stale: ms(1000) };
const AUTO: Pace = Pace { gap: ms(300), stale: ms(1000) };

const fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

/// What came out, in words: the code itself, or the refusal.
fn word(frame: &Frame) -> String {
    match &frame.what {
        Ok(code) => code.expose().to_owned(),
        Err(why) => format!("{why:?}"),
    }
}

/// Plays bytes that arrive after the given silences, the way the reading task does, then a long silence. Begins two
/// seconds after what this framer saw before.
fn play(framer: &mut Framer, script: &[(u64, &[u8])]) -> Vec<String> {
    let mut at = framer.last.unwrap_or_default() + ms(2000);
    let mut out = Vec::new();
    for (pause, bytes) in script {
        let next = at + ms(*pause);
        while let Some(deadline) = framer.deadline().filter(|deadline| *deadline < next) {
            out.extend(framer.idle(deadline).as_ref().map(word));
        }
        at = next;
        let mut rest = *bytes;
        while let Some(read) = framer.take(&mut rest, at) {
            out.push(word(&read));
        }
    }
    while let Some(deadline) = framer.deadline() {
        out.extend(framer.idle(deadline).as_ref().map(word));
    }
    out
}

fn framer(end: End) -> Framer {
    Framer::new(end, b"", b"", if end == End::Auto { AUTO } else { SERIAL })
}

fn frames(end: End, script: &[(u64, &[u8])]) -> Vec<String> {
    play(&mut framer(end), script)
}

#[test]
fn every_ending_character_ends_a_code_at_once() {
    for (end, suffix) in [
        (End::Auto, "\r"),
        (End::Auto, "\n"),
        (End::Auto, "\r\n"),
        (End::Auto, "\t"),
        (End::Auto, "\0"),
        (End::Auto, "\x03"),
        (End::Newline, "\r\n"),
        (End::Newline, "\n"),
        (End::Tab, "\t"),
        (End::Nul, "\0"),
        (End::Etx, "\x03"),
        (End::Idle, "\r"),
    ] {
        let mut framer = framer(end);
        let text = format!("{CODE}{suffix}");
        let mut rest = text.as_bytes();
        let read = framer.take(&mut rest, ms(1)).expect("a code without any wait");
        assert_eq!(word(&read), CODE, "{end:?} {suffix:?}");
        assert!(framer.take(&mut rest, ms(1)).is_none());
        assert_eq!(framer.deadline(), None, "nothing is left of {suffix:?}");
    }
}

#[test]
fn a_code_split_at_any_offset_by_a_pause_below_a_second_is_whole() {
    for end in [End::Auto, End::Newline] {
        for split in 1..CODE.len() {
            for pause in [1, 79, 150, 299, 999] {
                let (head, tail) = CODE.split_at(split);
                let tail = format!("{tail}\r\n");
                let got = frames(end, &[(0, head.as_bytes()), (pause, tail.as_bytes())]);
                assert_eq!(got, [CODE], "{end:?} split at {split}, {pause} ms");
            }
        }
    }
}

#[test]
fn half_a_code_is_refused_after_a_second_and_its_tail_too() {
    for split in 1..CODE.len() {
        let (head, tail) = CODE.split_at(split);
        let tail = format!("{tail}\r");
        let got = frames(End::Newline, &[(0, head.as_bytes()), (1001, tail.as_bytes())]);
        assert_eq!(got[0], "Broken", "split at {split}");
        assert!(got[1] == "Length" || got[1] == "Broken", "split at {split}: {got:?}");
        assert_eq!(got.len(), 2);
    }
}

#[test]
fn what_is_left_of_a_broken_scan_never_makes_another_code_with_the_next() {
    for left in 1..=6 {
        let whole = format!("{CODE}\r");
        for pause in [150, 400, 999] {
            for end in [End::Auto, End::Newline] {
                let got = frames(end, &[(0, &CODE.as_bytes()[..left]), (pause, whole.as_bytes())]);
                assert_eq!(got, ["Broken"], "{left} digits, {pause} ms, {end:?}");
            }
        }
    }
}

#[test]
fn a_scanner_without_an_ending_character_is_read_by_the_gap() {
    assert_eq!(frames(End::Idle, &[(0, CODE.as_bytes())]), [CODE]);
    assert_eq!(frames(End::Idle, &[(0, &CODE.as_bytes()[..9]), (79, &CODE.as_bytes()[9..])]), [CODE]);
    assert_eq!(frames(End::Idle, &[(0, b"6212345678901234567")]), ["6212345678901234567"]);
    assert_eq!(frames(End::Auto, &[(0, CODE.as_bytes()), (2000, CODE.as_bytes())]), [CODE, CODE]);
    // Its ending character comes late: one code, and from now on a gap is no end.
    let whole = format!("{CODE}\r");
    let mut framer = framer(End::Auto);
    assert_eq!(
        play(&mut framer, &[(0, CODE.as_bytes()), (400, b"\r\n"), (900, whole.as_bytes())]),
        [CODE, CODE]
    );
    assert_eq!(play(&mut framer, &[(0, CODE.as_bytes())]), ["Broken"]);
}

#[test]
fn auto_takes_no_gap_for_an_end_unless_the_length_is_certain() {
    for length in (1..=24).filter(|length| *length != 18) {
        let text = "134567890123458406789012";
        assert_eq!(frames(End::Auto, &[(0, &text.as_bytes()[..length])]), ["Broken"], "{length}");
    }
}

#[test]
fn the_tail_after_a_fragment_is_not_a_code() {
    // 24 digits that pause after 6: the other 18 look like a code.
    let text = "286789134567890123458406";
    let (head, tail) = text.split_at(6);
    assert_eq!(frames(End::Idle, &[(0, head.as_bytes()), (200, tail.as_bytes())]), ["Length"]);
    assert_eq!(frames(End::Idle, &[(0, head.as_bytes()), (999, tail.as_bytes())]), ["Length"]);
    // A cashier who scans again is slower than that.
    assert_eq!(frames(End::Idle, &[(0, head.as_bytes()), (1001, CODE.as_bytes())]), ["Length", CODE]);
}

#[test]
fn a_stall_of_ours_does_not_make_a_gap_an_end() {
    // Both halves were waiting in the kernel when the process came back: `idle` was never called.
    for end in [End::Idle, End::Auto] {
        let mut framer = framer(end);
        let (mut head, mut tail) = CODE.as_bytes().split_at(16);
        assert!(framer.take(&mut head, ms(0)).is_none());
        assert!(framer.take(&mut tail, ms(3000)).is_none());
        let deadline = framer.deadline().unwrap();
        assert_eq!(framer.idle(deadline).as_ref().map(word).as_deref(), Some(CODE));
    }
}

#[test]
fn two_codes_run_together_are_refused() {
    for end in [End::Auto, End::Newline, End::Idle] {
        let glued = format!("{CODE}{CODE}\r");
        assert_eq!(frames(end, &[(0, glued.as_bytes())]), ["Length"], "{end:?}");
        assert_eq!(frames(end, &[(0, &glued.as_bytes()[..36])]).len(), 1);
        assert!(frames(end, &[(0, &glued.as_bytes()[..36])])[0] != CODE);
    }
    let two = format!("{CODE}\r{CODE}\r");
    assert_eq!(frames(End::Auto, &[(0, two.as_bytes())]), [CODE, CODE]);
}

#[test]
fn what_scanners_put_around_a_code_is_taken_off() {
    for (text, expected) in [
        ("]Q1134567890123458406\r", CODE),
        ("]C0134567890123458406\r", CODE),
        ("]Q1 134567890123458406\r", CODE),
        ("D134567890123458406\r", CODE),
        ("j134567890123458406\r", CODE),
        ("\x00\x00134567890123458406\r", CODE),
        ("  134567890123458406 \r", CODE),
        ("\x02134567890123458406\x03", CODE),
        ("DD134567890123458406\r", "NotDigits"),
        ("]1134567890123458406\r", "NotDigits"),
        ("1345678901234584o6\r", "NotDigits"),
        ("wxp://f2f0AbCdEfGhIjKlMnOpQrStUvWxYz0123456789\r", "NotDigits"),
        ("6901234567892\r", "Length"),
        ("13456789012345\u{ff10}06\r", "NotDigits"),
        ("-34567890123458406\r", "NotDigits"),
    ] {
        assert_eq!(frames(End::Auto, &[(0, text.as_bytes())]), [expected], "{text:?}");
    }
}

#[test]
fn a_configured_prefix_and_suffix_are_demanded() {
    let make = || Framer::new(End::Newline, b"\x02PAY", b"#", SERIAL);
    let pay = |text: &str| play(&mut make(), &[(0, text.as_bytes())]);
    assert_eq!(pay("\x02PAY134567890123458406#\r\n"), [CODE]);
    assert_eq!(pay("\x02PAY]Q1134567890123458406#\r"), [CODE]);
    assert_eq!(pay("134567890123458406#\r"), ["Broken"]);
    assert_eq!(pay("\x02PAY134567890123458406\r"), ["Broken"]);
    assert_eq!(pay("\x02POS134567890123458406#\r"), ["Broken"]);
}

#[test]
fn a_flood_is_refused_once_and_forgotten_at_the_next_rest() {
    for end in [End::Auto, End::Newline, End::Idle] {
        let flood = vec![b'7'; 100_000];
        let whole = format!("{CODE}\r");
        let got = frames(end, &[(0, &flood), (10, whole.as_bytes()), (150, whole.as_bytes())]);
        assert_eq!(got, ["Flood", CODE], "{end:?}");
    }
    assert_eq!(frames(End::Newline, &[(0, &[b'7'; 200]), (1, b"\r")]), ["Length"]);
    assert_eq!(frames(End::Newline, &[(0, &[b'x'; 200]), (1, b"\r")]), ["NotDigits"]);
}

#[test]
fn after_a_loss_nothing_counts_before_a_rest() {
    let whole = format!("{CODE}\r");
    let mut framer = framer(End::Auto);
    let mut rest = &CODE.as_bytes()[..7];
    assert!(framer.take(&mut rest, ms(0)).is_none());
    assert_eq!(framer.lost(ms(5)).as_ref().map(word).as_deref(), Some("Lost"));
    assert!(framer.lost(ms(6)).is_none(), "said once");
    assert!(framer.take(&mut whole.as_bytes(), ms(100)).is_none());
    assert!(framer.take(&mut whole.as_bytes(), ms(249)).is_none());
    assert!(framer.take(&mut whole.as_bytes(), ms(400)).is_some());
}

#[test]
fn a_frame_is_announced_once_and_blanks_announce_nothing() {
    let mut framer = framer(End::Newline);
    assert!(!framer.begun());
    let _ = framer.take(&mut b"\r\n\0 ".as_slice(), ms(0));
    assert!(!framer.begun());
    let _ = framer.take(&mut b"1".as_slice(), ms(1));
    assert!(framer.begun());
    let _ = framer.take(&mut b"2".as_slice(), ms(2));
    assert!(!framer.begun());
}

#[test]
fn no_digit_stays_behind_and_none_is_shown() {
    let mut framer = framer(End::Newline);
    for script in ["134567890123458406\r", "13456789\r", "]Q1999999x9999\r"] {
        let mut rest = script.as_bytes();
        if let Some(Frame { shape, .. }) = framer.take(&mut rest, ms(0)) {
            assert!(!shape.contains("13456789") && !shape.contains("999"), "{shape}");
        }
        assert_eq!(*framer.frame, [0; ROOM], "{script:?}");
    }
    assert_eq!(shape(b"]Q1134567890123458406x", 22), "]Q1 + 18 digits + 1 letters");
    assert_eq!(shape(&[0xff, 0, b'1'], 3), "1 others + 1 controls + 1 digits");
}

/// A code that was scanned, with what the line and the scanner made of it.
#[derive(Debug, Clone)]
struct Scanned {
    code: String,
    around: (Vec<u8>, Vec<u8>),
    cuts: Vec<(usize, u64)>,
    damage: Option<Damage>,
}

#[derive(Debug, Clone)]
enum Damage {
    /// Only this many bytes came, and then nothing for a while.
    Stops(usize),
    /// These bytes came right before.
    Noise(Vec<u8>),
}

fn scanned(suffix: &'static [u8], longest: u64) -> impl Strategy<Value = Scanned> {
    let prefix = prop_oneof![
        3 => Just(&b""[..]), 1 => Just(&b"]Q1"[..]), 1 => Just(&b"D"[..]), 1 => Just(&b"\0"[..]), 1 => Just(&b" "[..])
    ];
    // No digits, because a digit right before a code makes a longer number that looks like one: only the gateway's own
    // length can tell. No `]`, because with a letter it makes the first digit a part of an AIM identifier.
    let noise = any::<u8>().prop_filter("digit or ]", |byte| !byte.is_ascii_digit() && *byte != b']');
    let damage = prop_oneof![
        6 => Just(None),
        1 => (1usize..16).prop_map(|at| Some(Damage::Stops(at))),
        1 => prop::collection::vec(noise, 1..40).prop_map(|noise| Some(Damage::Noise(noise))),
    ];
    ("1[0-5][0-9]{16}", prefix, prop::collection::vec((0usize..24, 0..longest), 0..6), damage).prop_map(
        move |(code, prefix, cuts, damage)| Scanned {
            code,
            around: (prefix.to_vec(), suffix.to_vec()),
            cuts,
            damage,
        },
    )
}

/// Scans several codes, two seconds apart; says what came out for each.
fn scan(end: End, scans: &[Scanned]) -> Vec<(Scanned, Vec<String>)> {
    let mut framer = framer(end);
    scans
        .iter()
        .map(|scanned| {
            let mut bytes = [&scanned.around.0, scanned.code.as_bytes(), &scanned.around.1].concat();
            match &scanned.damage {
                Some(Damage::Stops(at)) => bytes.truncate(*at),
                Some(Damage::Noise(noise)) => bytes = [noise, bytes.as_slice()].concat(),
                None => {}
            }
            let mut cuts = scanned.cuts.clone();
            cuts.sort_unstable();
            let mut script = Vec::new();
            let mut from = 0;
            let mut pause = 0;
            for (at, after) in cuts {
                let at = at.min(bytes.len());
                if at > from {
                    script.push((pause, &bytes[from..at]));
                    (from, pause) = (at, after);
                }
            }
            script.push((pause, &bytes[from..]));
            let got = play(&mut framer, &script);
            (scanned.clone(), got)
        })
        .collect()
}

fn no_wrong_code(end: End, scans: &[Scanned]) -> Result<(), TestCaseError> {
    for (scanned, got) in scan(end, scans) {
        for word in &got {
            let is_code = word.bytes().all(|byte| byte.is_ascii_digit());
            prop_assert!(!is_code || *word == scanned.code, "{scanned:?} became {got:?}");
        }
        let codes = got.iter().filter(|word| **word == scanned.code).count();
        match scanned.damage {
            None => prop_assert_eq!(&got, std::slice::from_ref(&scanned.code), "{:?}", scanned),
            Some(Damage::Stops(_)) => prop_assert_eq!(codes, 0, "{:?}", scanned),
            Some(Damage::Noise(_)) => {
                prop_assert!(codes == 1 || !got.is_empty(), "lost silently: {scanned:?}")
            }
        }
    }
    Ok(())
}

// 1,250 runs of eight scans: ten thousand for each kind of end.
proptest! {
    #![proptest_config(ProptestConfig::with_cases(1250))]

    #[test]
    fn ten_thousand_scans_with_cr(scans in prop::collection::vec(scanned(b"\r", 900), 8)) {
        no_wrong_code(End::Newline, &scans)?;
    }

    #[test]
    fn ten_thousand_scans_with_crlf_found_out(scans in prop::collection::vec(scanned(b"\r\n", 290), 8)) {
        no_wrong_code(End::Auto, &scans)?;
    }

    #[test]
    fn ten_thousand_scans_with_tab(scans in prop::collection::vec(scanned(b"\t", 900), 8)) {
        no_wrong_code(End::Tab, &scans)?;
    }

    #[test]
    fn ten_thousand_scans_without_an_end(scans in prop::collection::vec(scanned(b"", 79), 8)) {
        no_wrong_code(End::Idle, &scans)?;
    }

    #[test]
    fn ten_thousand_scans_without_an_end_found_out(scans in prop::collection::vec(scanned(b"", 290), 8)) {
        no_wrong_code(End::Auto, &scans)?;
    }

    #[test]
    fn no_bytes_at_any_time_make_it_panic_or_keep_a_deadline(
        script in prop::collection::vec((0u64..2000, prop::collection::vec(any::<u8>(), 0..200)), 0..20)
    ) {
        for end in [End::Auto, End::Newline, End::Tab, End::Nul, End::Etx, End::Idle, End::Report] {
            let script: Vec<(u64, &[u8])> = script.iter().map(|(pause, bytes)| (*pause, bytes.as_slice())).collect();
            let mut framer = framer(end);
            let _ = play(&mut framer, &script);
            prop_assert_eq!(framer.deadline(), None);
        }
    }
}
