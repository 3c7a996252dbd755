//! A scanner's bytes and the silences between them: what is taken for a code stands whole in them, once, and nothing of a
//! refused frame is told.

use std::time::Duration;

use micropayd::scanner::End;
use micropayd::scanner::framing::{Ended, Frame, Framer, Pace};

use super::{has_digits, head};

const ENDS: [End; 7] = [End::Auto, End::Newline, End::Tab, End::Nul, End::Etx, End::Idle, End::Report];

/// Milliseconds of a silence.
const SILENCES: [u64; 12] = [1, 5, 40, 79, 81, 99, 149, 151, 299, 310, 600, 5000];

/// After this long without a byte something new may begin, whatever the gap.
const REST: Duration = Duration::from_millis(150);

#[derive(Clone, Copy, PartialEq)]
enum Item {
    Byte(u8),
    Silence(Duration),
    /// A part was lost, or the device said that a frame is over.
    Break,
}

/// The first byte says how codes end, the second how long gaps are; then bytes, but FF and a number is a silence, FE a
/// loss and FD the device's own end.
pub fn holds(mut data: &[u8]) {
    let [end, pace] = head(&mut data);
    let end = ENDS[usize::from(end) % ENDS.len()];
    let ms = Duration::from_millis;
    let pace = [
        Pace { gap: ms(80), stale: ms(1000) },
        Pace { gap: ms(300), stale: ms(1000) },
        Pace { gap: ms(100), stale: ms(500) },
    ][usize::from(pace) % 3];
    let mut framer = Framer::new(end, b"", b"", pace);
    let mut line = Line { items: Vec::new(), used: 0, pause: REST.min(pace.gap) };
    let mut now = Duration::from_secs(10);
    let mut rest = data.iter().copied();
    while let Some(byte) = rest.next() {
        let frame = match byte {
            0xff => {
                let silence = ms(SILENCES[usize::from(rest.next().unwrap_or(0)) % SILENCES.len()]);
                let until = now + silence;
                line.items.push(Item::Silence(silence));
                // The reader wakes at each deadline on the way.
                while let Some(deadline) = framer.deadline().filter(|deadline| *deadline <= until) {
                    assert!(deadline >= now, "a deadline lies in the past");
                    if let Some(frame) = framer.idle(deadline) {
                        line.judge(&frame);
                    }
                    assert!(framer.deadline() != Some(deadline), "a deadline does not pass");
                }
                now = until;
                None
            }
            0xfe => {
                line.items.push(Item::Break);
                framer.lost(now)
            }
            0xfd => {
                let frame = framer.end();
                line.items.push(Item::Break);
                frame
            }
            byte => {
                line.items.push(Item::Byte(byte));
                framer.push(byte, now)
            }
        };
        if let Some(frame) = frame {
            line.judge(&frame);
        }
    }
}

struct Line {
    items: Vec<Item>,
    /// Everything before this place was part of an earlier code.
    used: usize,
    /// From here on a silence is one in the middle of a frame.
    pause: Duration,
}

impl Line {
    fn judge(&mut self, frame: &Frame) {
        assert!(frame.count <= 1024, "{} characters in a frame", frame.count);
        let Ok(code) = &frame.what else {
            assert!(!has_digits(&frame.shape, 5) && frame.shape.len() < 120, "{}", frame.shape);
            assert!(!has_digits(&format!("{frame:?}"), 10), "{frame:?}");
            return;
        };
        assert!(frame.shape.is_empty() && frame.ended != Ended::Nothing, "{frame:?}");
        // Backwards from the end: blanks, then the code's last digit.
        let blank = |item: &Item| match item {
            Item::Byte(byte) => matches!(byte, 0 | 2 | 3 | b' ' | b'\r' | b'\n' | b'\t'),
            Item::Silence(_) | Item::Break => true,
        };
        let last = self.items.iter().rposition(|item| !blank(item)).expect("a code has digits");
        let mut first = last + 1;
        let mut paused = false;
        for digit in code.expose().bytes().rev() {
            loop {
                first = first.checked_sub(1).expect("a code has no more digits than came");
                match self.items[first] {
                    Item::Byte(byte) => {
                        assert_eq!(byte, digit, "a digit that did not come at its place");
                        break;
                    }
                    Item::Silence(silence) => paused |= silence >= self.pause,
                    Item::Break => panic!("a code from both sides of a loss"),
                }
            }
        }
        let length = code.expose().len();
        assert!(!paused || length == 18, "{length} digits with a pause inside");
        assert!(first >= self.used, "a digit is used twice");
        self.used = last + 1;
        let before = &self.items[..first];
        // An identifier may have silences in it like everything else of a frame. If its last character was lost, the
        // first digit stands for it: no rule about bytes can tell.
        let mut said = before.iter().rev().filter(|item| !matches!(item, Item::Silence(_)));
        let aim = matches!((said.next(), said.next(), said.next()),
            (Some(Item::Byte(modifier)), Some(Item::Byte(letter)), Some(Item::Byte(b']')))
            if letter.is_ascii_alphabetic() && modifier.is_ascii_alphanumeric());
        let cut = matches!(before.last(), Some(Item::Byte(byte)) if byte.is_ascii_digit());
        assert!(aim || !cut, "a part of a longer number is taken for a code");
    }
}
