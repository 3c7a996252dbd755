//! Bytes with their arrival times become whole payment codes or refusals; pure. Must never let through a part of a
//! code, two codes run together, or a code's digits into anything but the code itself.
//!
//! A frame ends at an ending character (CR, LF, TAB, NUL, ETX) or, for a scanner that sends none, at a gap. A gap
//! proves less than a character, because a line can pause in the middle of a code. So these rules hold:
//!
//! - [`End::Auto`] takes a gap for an end only until this scanner has shown an ending character, and only for exactly
//!   18 digits. What is left of the risk: the first 18 digits of a longer number, cut by a pause right there. Such a
//!   number is no WeChat code (18 digits, first two 10–15) unless it also begins like one; a configured ending
//!   character removes the risk.
//! - A frame with a pause inside, or after one that broke off, is taken only if it has exactly 18 digits: what is left
//!   of a scan makes a longer number with the next code, and a shorter one alone.
//! - An AIM identifier is taken off before the digits are counted. If the line lost its last character, the first digit
//!   stands for that one: a code of 18 digits then has 17 and is refused by the gateway's rule, but a number of 19 that
//!   goes on like a code would have 18. A scanner that needs no identifiers should send none.
//! - After a refused fragment that ended at a gap, or a part that was lost, what follows without a rest is its tail.

use std::time::Duration;

use zeroize::{Zeroize, Zeroizing};

use crate::ids::{CodeError, PaymentCode};
use crate::input::ScanRefusal;

use super::End;

/// The length that a code must have when nothing but its length proves it whole: WeChat's 付款码 (pay.weixin.qq.com,
/// micropay, `auth_code`), and that of the usual Alipay code.
const CERTAIN: usize = 18;

/// After a loss, a silence of this length begins something new; shorter than any pause between two scans, longer than
/// any between two characters of one (USB keyboard mode at its slowest setting: 50 ms).
const REST: Duration = Duration::from_millis(150);

/// Room for prefix, AIM identifier, 24 digits and suffix; more than that is only counted.
const ROOM: usize = 96;

/// Characters without an end after which nobody waits for one: longer than any barcode that is scanned by mistake in a
/// shop, a few reads of memory at most.
const FLOOD: usize = 1024;

/// How long silences may be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pace {
    /// Where a gap may be an end, this one is.
    pub gap: Duration,
    /// A frame that got no end for this long is broken.
    pub stale: Duration,
}

/// What came between two ends.
#[derive(Debug)]
pub struct Frame {
    /// The code, or why it is none.
    pub what: Result<PaymentCode, ScanRefusal>,
    /// What ended it.
    pub ended: Ended,
    /// How many characters it had, whatever they were.
    pub count: usize,
    /// From its first character to its last.
    pub span: Duration,
    /// What a refused one looked like, without its digits and letters; empty for a code.
    pub shape: String,
}

/// What ended a frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ended {
    /// An ending character.
    Byte(u8),
    /// A silence that stands for one.
    Gap,
    /// The device itself said so.
    Report,
    /// Nothing: it was given up.
    Nothing,
}

/// Cuts one scanner's bytes into frames. Holds at most one frame, and wipes it.
pub struct Framer {
    end: End,
    prefix: Vec<u8>,
    suffix: Vec<u8>,
    pace: Pace,
    frame: Zeroizing<[u8; ROOM]>,
    kept: usize,
    count: usize,
    /// Something beyond the kept bytes was not a digit.
    odd: bool,
    began: Duration,
    last: Option<Duration>,
    /// There was a pause inside this frame.
    paused: bool,
    /// The frame before broke off: this one may be its tail.
    after_broken: bool,
    announced: bool,
    /// Everything is dropped until a silence of this length.
    skip_until: Option<Duration>,
    /// `Auto` has seen this scanner end a code with a character.
    sends_end: bool,
    /// The last frame was a code that a gap ended.
    by_gap: bool,
}

impl Framer {
    /// A framer for one connection; `prefix` and `suffix` are what the scanner puts around each code, before the end.
    pub fn new(end: End, prefix: &[u8], suffix: &[u8], pace: Pace) -> Self {
        Self {
            end,
            prefix: prefix.to_vec(),
            suffix: suffix.to_vec(),
            pace,
            frame: Zeroizing::new([0; ROOM]),
            kept: 0,
            count: 0,
            odd: false,
            began: Duration::ZERO,
            last: None,
            paused: false,
            after_broken: false,
            announced: false,
            skip_until: None,
            sends_end: false,
            by_gap: false,
        }
    }

    /// Takes bytes from `input` up to and with the end of a frame; all of them if there is none. `at` is when they
    /// arrived, on any clock that does not go back.
    pub fn take(&mut self, input: &mut &[u8], at: Duration) -> Option<Frame> {
        while let [byte, rest @ ..] = *input {
            *input = rest;
            if let Some(frame) = self.push(*byte, at) {
                return Some(frame);
            }
        }
        None
    }

    /// Takes one byte.
    pub fn push(&mut self, byte: u8, at: Duration) -> Option<Frame> {
        let gap = self.last.map_or(Duration::MAX, |last| at.saturating_sub(last));
        self.last = Some(at);
        if let Some(silence) = self.skip_until {
            if gap < silence {
                return None;
            }
            self.skip_until = None;
        }
        if self.end.is(byte) {
            if self.count > 0 {
                return Some(self.finish(Ended::Byte(byte)));
            }
            // The second half of CRLF, or the late ending character of a code that a gap had ended.
            self.sends_end |= self.by_gap && gap < self.pace.stale;
            self.by_gap = false;
            return None;
        }
        self.by_gap = false;
        if self.count == 0 {
            if (byte == 0 || byte == b' ' || byte == STX) && self.prefix.first() != Some(&byte) {
                return None;
            }
            self.began = at;
        } else if gap >= REST.min(self.pace.gap) {
            self.paused = true;
        }
        match self.frame.get_mut(self.kept) {
            Some(place) => {
                *place = byte;
                self.kept += 1;
            }
            None => self.odd |= !byte.is_ascii_digit(),
        }
        self.count += 1;
        if self.count < FLOOD {
            return None;
        }
        self.skip_until = Some(REST);
        Some(self.give_up(ScanRefusal::Flood))
    }

    /// The device says that the frame is over.
    pub fn end(&mut self) -> Option<Frame> {
        (self.count > 0).then(|| self.finish(Ended::Report))
    }

    /// A part was lost: nothing of what is here, and nothing of what follows without a rest, is used. Says so once, and
    /// again for what is lost after a rest: that was another scan.
    pub fn lost(&mut self, at: Duration) -> Option<Frame> {
        let rest = self.last.map_or(Duration::MAX, |last| at.saturating_sub(last));
        let said = self.skip_until.is_some_and(|silence| rest < silence);
        self.last = Some(at);
        let lost = self.give_up(ScanRefusal::Lost);
        self.skip_until = Some(REST);
        (!said).then_some(lost)
    }

    /// Whether a frame has begun; `true` once for each.
    pub fn begun(&mut self) -> bool {
        let begun = self.count > 0 && !self.announced;
        self.announced |= begun;
        begun
    }

    /// When [`idle`](Self::idle) has something to say if no byte comes before.
    pub fn deadline(&self) -> Option<Duration> {
        let last = self.last.filter(|_| self.count > 0)?;
        Some(last.saturating_add(if self.gap_ends() { self.pace.gap } else { self.pace.stale }))
    }

    /// Nothing has come until `at`. The caller must have looked once more before it says so: after a stall of this
    /// process the rest of a code waits in the kernel.
    pub fn idle(&mut self, at: Duration) -> Option<Frame> {
        if self.deadline().is_none_or(|deadline| at < deadline) {
            return None;
        }
        if self.gap_ends() {
            let frame = self.finish(Ended::Gap);
            match frame.what {
                Ok(_) => self.by_gap = true,
                Err(_) => self.skip_until = Some(self.pace.stale),
            }
            return Some(frame);
        }
        self.after_broken = true;
        Some(self.give_up(ScanRefusal::Broken))
    }

    fn gap_ends(&self) -> bool {
        match self.end {
            End::Idle => true,
            End::Auto => !self.sends_end && self.digits().is_ok_and(|digits| digits.len() == CERTAIN),
            End::Newline | End::Tab | End::Nul | End::Etx | End::Report => false,
        }
    }

    fn finish(&mut self, ended: Ended) -> Frame {
        let what = self.judge();
        self.sends_end |= what.is_ok() && matches!(ended, Ended::Byte(_));
        self.after_broken = false;
        self.close(what, ended)
    }

    fn give_up(&mut self, why: ScanRefusal) -> Frame {
        self.close(Err(why), Ended::Nothing)
    }

    fn close(&mut self, what: Result<PaymentCode, ScanRefusal>, ended: Ended) -> Frame {
        let shape = if what.is_ok() { String::new() } else { shape(self.kept(), self.count) };
        let span = self.last.unwrap_or_default().saturating_sub(self.began);
        let frame = Frame { what, ended, count: self.count, span, shape };
        self.wipe();
        frame
    }

    fn judge(&self) -> Result<PaymentCode, ScanRefusal> {
        let digits = self.digits()?;
        if (self.paused || self.after_broken) && digits.len() != CERTAIN {
            return Err(ScanRefusal::Broken);
        }
        let text = std::str::from_utf8(digits).map_err(|_| ScanRefusal::NotDigits)?;
        PaymentCode::parse(text).map_err(|why| match why {
            CodeError::NotDigits => ScanRefusal::NotDigits,
            CodeError::Length { .. } => ScanRefusal::Length,
        })
    }

    /// What is left when everything is taken off that a scanner may put around a code.
    fn digits(&self) -> Result<&[u8], ScanRefusal> {
        let mut text = self.kept();
        if self.count > self.kept {
            let digits = !self.odd && text.iter().all(u8::is_ascii_digit);
            return Err(if digits { ScanRefusal::Length } else { ScanRefusal::NotDigits });
        }
        if !self.prefix.is_empty() {
            text = text.strip_prefix(self.prefix.as_slice()).ok_or(ScanRefusal::Broken)?;
        }
        if !self.suffix.is_empty() {
            let end = text.iter().rposition(|byte| !is_blank(*byte)).map_or(0, |last| last + 1);
            // The suffix itself may end in what counts as blank.
            text = text
                .strip_suffix(self.suffix.as_slice())
                .or_else(|| text[..end].strip_suffix(self.suffix.as_slice()))
                .ok_or(ScanRefusal::Broken)?;
        }
        text = trim(without_aim(trim(text)));
        // Zebra and Honeywell can send one letter for the kind of barcode instead of the AIM identifier.
        if let [letter, rest @ ..] = text
            && letter.is_ascii_alphabetic()
            && (16..=24).contains(&rest.len())
        {
            text = rest;
        }
        if text.iter().all(u8::is_ascii_digit) { Ok(text) } else { Err(ScanRefusal::NotDigits) }
    }

    fn kept(&self) -> &[u8] {
        &self.frame[..self.kept]
    }

    fn wipe(&mut self) {
        self.frame[..self.kept].zeroize();
        self.kept = 0;
        self.count = 0;
        self.odd = false;
        self.paused = false;
        self.announced = false;
    }
}

const STX: u8 = 2;
const ETX: u8 = 3;

fn is_blank(byte: u8) -> bool {
    matches!(byte, 0 | STX | ETX | b' ' | b'\r' | b'\n' | b'\t')
}

fn trim(mut text: &[u8]) -> &[u8] {
    while let [first, rest @ ..] = text
        && is_blank(*first)
    {
        text = rest;
    }
    while let [rest @ .., last] = text
        && is_blank(*last)
    {
        text = rest;
    }
    text
}

/// Takes off an AIM symbology identifier: `]`, a letter, a letter or digit (ISO/IEC 15424).
fn without_aim(text: &[u8]) -> &[u8] {
    match text {
        [b']', code, modifier, rest @ ..]
            if code.is_ascii_alphabetic() && modifier.is_ascii_alphanumeric() =>
        {
            rest
        }
        _ => text,
    }
}

/// What a frame looks like without saying what is in it: `]Q1 + 18 digits`, `3 letters + 5 digits`, `12 bytes`.
fn shape(frame: &[u8], count: usize) -> String {
    fn class(byte: u8) -> &'static str {
        match byte {
            b'0'..=b'9' => "digits",
            b'a'..=b'z' | b'A'..=b'Z' => "letters",
            0..=31 | 127 => "controls",
            _ => "others",
        }
    }
    let mut parts = Vec::new();
    let mut rest = without_aim(frame);
    if rest.len() < frame.len() {
        parts.push(String::from_utf8_lossy(&frame[..3]).into_owned());
    }
    while let Some(first) = rest.first() {
        let run = rest.iter().take_while(|byte| class(**byte) == class(*first)).count();
        if parts.len() == 6 {
            parts.push("…".to_owned());
            break;
        }
        parts.push(format!("{run} {}", class(*first)));
        rest = &rest[run..];
    }
    if count > frame.len() {
        parts.push(format!("{} in all", count));
    }
    parts.join(" + ")
}

#[cfg(test)]
#[path = "framing_tests.rs"]
mod tests;
