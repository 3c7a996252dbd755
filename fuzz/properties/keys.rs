//! Key events of a scanner that is a keyboard: a code is what was pressed since the kernel last lost events, and reads may
//! be cut between any two events.

use std::time::Duration;

use micropayd::scanner::End;
use micropayd::scanner::evdev::Keys;
use micropayd::scanner::framing::{Framer, Pace};
use micropayd::scanner::line::Decode;

use super::head;

const WORD: usize = size_of::<usize>();
const EVENT: usize = 2 * WORD + 8;

/// The first byte's lowest bit: the rest is events as they are; else four bytes make one (kind, key, value, milliseconds).
/// Its second bit: the events' own times count.
pub fn holds(mut data: &[u8]) {
    let [choice] = head(&mut data);
    let stamped = choice & 2 != 0;
    let mut bytes = if choice & 1 == 0 { typed(data) } else { data.to_vec() };
    bytes.truncate(bytes.len() / EVENT * EVENT);
    let whole = played(&bytes, stamped, usize::MAX);
    assert_eq!(whole, played(&bytes, stamped, 1), "it matters how events are read");

    // With Alt held, a number on the keypad is one character: then what was pressed does not say what was typed.
    let events: Vec<(u16, u16, i32)> = bytes.chunks_exact(EVENT).map(parse).collect();
    if events.iter().any(|(kind, key, _)| *kind == 1 && matches!(key, 29 | 56 | 97 | 100)) {
        return;
    }
    let mut pressed: Vec<String> = vec![String::new()];
    for (kind, key, value) in events {
        match (kind, key, value) {
            (0, 3, _) => pressed.push(String::new()),
            (1, key, 1) if !matches!(key, 42 | 54 | 58 | 69 | 70 | 125 | 126) => {
                pressed.last_mut().expect("there is one").push(digit(key).unwrap_or('x'));
            }
            _ => {}
        }
    }
    for code in whole.iter().filter_map(|told| told.strip_prefix("code ")) {
        let place = pressed.iter_mut().find_map(|run| run.find(code).map(|place| (run, place)));
        let Some((run, place)) = place else { panic!("a code of keys that were not pressed: {pressed:?}") };
        // Pressed once, told once.
        run.replace_range(place..place + code.len(), "");
    }
}

fn played(bytes: &[u8], stamped: bool, events_a_read: usize) -> Vec<String> {
    let pace = Pace { gap: Duration::from_millis(100), stale: Duration::from_millis(500) };
    let mut keys = Keys::new(Framer::new(End::Auto, b"", b"", pace), stamped);
    let now = Duration::from_secs(1 << 40);
    let mut told = Vec::new();
    for mut read in bytes.chunks(EVENT.saturating_mul(events_a_read)) {
        while !read.is_empty() {
            let before = read.len();
            let frame = keys.take(&mut read, now);
            assert!(frame.is_some() || read.is_empty(), "a read is left over without a frame");
            // A frame that a silence ended comes before the event that broke it.
            assert!(read.len() < before || frame.is_some());
            told.extend(frame.map(|frame| match frame.what {
                Ok(code) => format!("code {}", code.expose()),
                Err(why) => format!("{why:?} {}", frame.shape),
            }));
        }
    }
    told
}

fn typed(data: &[u8]) -> Vec<u8> {
    let mut at = 10_000_000usize;
    let mut bytes = Vec::new();
    for four in data.chunks_exact(4) {
        at += usize::from(four[3]) * 3000;
        bytes.extend((at / 1_000_000).to_ne_bytes());
        bytes.extend((at % 1_000_000).to_ne_bytes());
        bytes.extend(u16::from(four[0] & 7).to_ne_bytes());
        bytes.extend(u16::from(four[1]).to_ne_bytes());
        bytes.extend(i32::from(four[2] & 3).to_ne_bytes());
    }
    bytes
}

fn parse(event: &[u8]) -> (u16, u16, i32) {
    let half = |at: usize| u16::from_ne_bytes([event[2 * WORD + at], event[2 * WORD + at + 1]]);
    let value = [0, 1, 2, 3].map(|byte| event[2 * WORD + 4 + byte]);
    (half(0), half(2), i32::from_ne_bytes(value))
}

/// The digit on a key, by the kernel's numbers of keys.
fn digit(key: u16) -> Option<char> {
    const ROW: &[u8] = b"1234567890";
    const PAD: [(u16, char); 10] = [
        (82, '0'),
        (79, '1'),
        (80, '2'),
        (81, '3'),
        (75, '4'),
        (76, '5'),
        (77, '6'),
        (71, '7'),
        (72, '8'),
        (73, '9'),
    ];
    let row =
        usize::from(key).checked_sub(2).and_then(|place| ROW.get(place)).map(|digit| char::from(*digit));
    row.or_else(|| PAD.iter().find(|(pad, _)| *pad == key).map(|(_, digit)| *digit))
}
