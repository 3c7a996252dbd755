//! A scanner that presents itself as a USB keyboard, read as raw key events and taken away from the desktop. Must
//! never use a part of what the kernel dropped.
//!
//! The kernel keeps 64 events for a reader and then drops everything it has (`SYN_DROPPED`,
//! Documentation/input/event-codes.rst): what is read after that looks like a shorter code with a proper end. So a
//! drop loses the scan, and what follows it up to a rest.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use rustix::fs::{Mode, OFlags, open};

use super::framing::{Frame, Framer};
use super::line::Decode;
use crate::ioctl;

/// `struct input_event` (linux/input.h): two longs of time, type, code, value.
const EVENT: usize = 2 * size_of::<usize>() + 8;

const EV_SYN: u16 = 0;
const EV_KEY: u16 = 1;
const EV_MSC: u16 = 4;
const SYN_DROPPED: u16 = 3;

/// Opens a key device for this process alone.
///
/// # Errors
///
/// `BUSY` when another program has taken it; whatever `open` says.
pub fn open_keys(node: &Path) -> io::Result<OwnedFd> {
    let device = open(node, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty())?;
    ioctl::grab(device.as_fd())?;
    // A third of all events are scan codes that say nothing new; without them 16 digits fit into the kernel's buffer
    // instead of 10. Kernels before 4.4 cannot leave them out, and nothing else changes.
    let _ = ioctl::leave_out(device.as_fd(), EV_MSC);
    Ok(device)
}

/// Lets an opened key device stamp its events with the clock of [`now`](super::line::now); whether it does.
pub fn stamp(device: &OwnedFd) -> bool {
    ioctl::stamp_monotonic(device.as_fd()).is_ok()
}

/// Key events become characters, and those frames.
pub struct Keys {
    framer: Framer,
    /// Whether the events' own times are of [`now`](super::line::now)'s clock: they stay true when this process stalls.
    stamped: bool,
    shift: bool,
    control: bool,
    /// While Alt is held: what its keypad digits make.
    alt: Option<u16>,
}

impl Keys {
    /// For one connection.
    pub fn new(framer: Framer, stamped: bool) -> Self {
        Self { framer, stamped, shift: false, control: false, alt: None }
    }

    fn event(&mut self, event: &Event, at: Duration) -> Option<Frame> {
        match (event.kind, event.code, event.value) {
            (EV_SYN, SYN_DROPPED, _) => {
                (self.shift, self.control, self.alt) = (false, false, None);
                self.framer.lost(at)
            }
            (EV_KEY, 42 | 54, value) => {
                self.shift = value != 0;
                None
            }
            (EV_KEY, 29 | 97, value) => {
                self.control = value != 0;
                None
            }
            // Alt and a number on the keypad is the character with that number (the "ALT mode" of many scanners).
            (EV_KEY, 56 | 100, 1) => {
                self.alt = Some(0);
                None
            }
            (EV_KEY, 56 | 100, 0) => match self.alt.take()? {
                0 => None,
                number => self.framer.push(u8::try_from(number).unwrap_or(b'?'), at),
            },
            // Only presses: a release that is lost makes the kernel repeat the key (value 2).
            (EV_KEY, code, 1) => self.press(code, at),
            _ => None,
        }
    }

    fn press(&mut self, code: u16, at: Duration) -> Option<Frame> {
        // CapsLock, NumLock, ScrollLock, the desktop's own keys: no characters, and digits do not depend on them.
        if matches!(code, 58 | 69 | 70 | 125 | 126) {
            return None;
        }
        if let (Some(number), Some(digit)) = (&mut self.alt, keypad(code)) {
            *number = number.saturating_mul(10).saturating_add(digit.into());
            return None;
        }
        let character = character(code, self.shift);
        self.framer.push(if self.control { character & 0x1f } else { character }, at)
    }
}

impl Decode for Keys {
    fn take(&mut self, input: &mut &[u8], at: Duration) -> Option<Frame> {
        // The kernel hands out whole events only.
        while let Some((event, rest)) = input.split_at_checked(EVENT) {
            let event = Event::parse(event);
            let at = if self.stamped { event.at.min(at) } else { at };
            // The time between two events is the true one, so a silence inside of what was read counts too.
            if self.stamped
                && event.kind == EV_KEY
                && let Some(frame) = self.framer.idle(at)
            {
                return Some(frame);
            }
            *input = rest;
            if let Some(frame) = self.event(&event, at) {
                return Some(frame);
            }
        }
        *input = &[];
        None
    }

    fn framer(&mut self) -> &mut Framer {
        &mut self.framer
    }
}

struct Event {
    at: Duration,
    kind: u16,
    code: u16,
    value: i32,
}

impl Event {
    fn parse(bytes: &[u8]) -> Self {
        const WORD: usize = size_of::<usize>();
        let word = |at: usize| {
            let mut word = [0; WORD];
            word.copy_from_slice(&bytes[at..at + WORD]);
            usize::from_ne_bytes(word) as u64
        };
        let half = |at: usize| u16::from_ne_bytes([bytes[at], bytes[at + 1]]);
        let at = 2 * WORD;
        Self {
            at: Duration::from_secs(word(0)).saturating_add(Duration::from_micros(word(WORD))),
            kind: half(at),
            code: half(at + 2),
            value: i32::from_ne_bytes([bytes[at + 4], bytes[at + 5], bytes[at + 6], bytes[at + 7]]),
        }
    }
}

/// The digit of a keypad key (linux/input-event-codes.h).
fn keypad(code: u16) -> Option<u8> {
    Some(match code {
        71..=73 => 7 + (code - 71) as u8,
        75..=77 => 4 + (code - 75) as u8,
        79..=81 => 1 + (code - 79) as u8,
        82 => 0,
        _ => return None,
    })
}

/// The character of a key (linux/input-event-codes.h). Key codes are places on the keyboard, so the desktop's layout
/// does not matter. The scanner's own does: one that is set to French holds Shift for digits, so for digits Shift is
/// ignored. Letters are those of the US layout; they matter only in front of a code.
fn character(code: u16, shift: bool) -> u8 {
    const LETTERS: [&[u8]; 3] = [b"qwertyuiop", b"asdfghjkl", b"zxcvbnm"];
    let letter = |row: usize, place: u16| {
        let letter = LETTERS[row][usize::from(place)];
        if shift { letter.to_ascii_uppercase() } else { letter }
    };
    match code {
        2..=10 => b'1' + (code - 2) as u8,
        11 => b'0',
        15 => b'\t',
        16..=25 => letter(0, code - 16),
        27 if !shift => b']',
        28 | 96 => b'\r',
        30..=38 => letter(1, code - 30),
        44..=50 => letter(2, code - 44),
        57 => b' ',
        _ => keypad(code).map_or(b'?', |digit| b'0' + digit),
    }
}

#[cfg(test)]
#[path = "evdev_tests.rs"]
mod tests;
