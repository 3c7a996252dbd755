//! Finds out which device is the scanner by asking for a scan, and shows what a scanner sends. For setting up, not for
//! selling: must never show a code, only its last four digits.

use std::cell::RefCell;
use std::io;
use std::path::Path;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;

use super::devices::{self, Found};
use super::framing::{Ended, Frame};
use super::line::{Line, News};
use super::reader::open;
use super::{End, Kind, Settings};
use crate::input::ScanRefusal;

/// The speeds at which serial engines are delivered, the most usual first (GM65: 9600; YX-212e: 115200).
const SPEEDS: [u32; 5] = [9600, 115_200, 38_400, 19_200, 57_600];

/// Keys that are still held when a keyboard is taken away would be held for ever for the desktop: the Enter that
/// started this program is let go first.
const LET_GO: Duration = Duration::from_millis(500);

/// A scanner sends a character at least this often, setup codes for slow keyboards included; fingers do not.
const BY_MACHINE: Duration = Duration::from_millis(50);

/// Fewer characters are a key that somebody pressed, or noise.
const ENOUGH: usize = 6;

/// The scanner that answered.
#[derive(Debug)]
pub struct Learned {
    /// The device.
    pub found: Found,
    /// How to read it.
    pub settings: Settings,
    /// What it sent, without showing it.
    pub seen: String,
}

impl Learned {
    /// The section for the configuration file.
    pub fn lines(&self) -> String {
        let Settings { kind, path, baud, end, .. } = &self.settings;
        let mut lines = format!("[[scanner]]\nkind = \"{kind}\"\npath = {path:?}\n");
        if *kind == Kind::Serial {
            lines += &format!("baud = {baud}\n");
        }
        if *end != End::Report {
            lines += &format!("end = \"{end}\"\n");
        }
        lines
    }
}

/// Watches everything that could be a scanner until one of them sends something, at most for `within`. While it does,
/// no keyboard types anywhere else. `say` gets a line for each thing that somebody should know.
///
/// # Errors
///
/// `TimedOut` when nothing answered; `NotFound` when there is nothing to watch.
pub async fn learn(root: &Path, within: Duration, say: impl FnMut(String)) -> io::Result<Learned> {
    let say = RefCell::new(say);
    tokio::time::sleep(LET_GO).await;
    let mut watched: FuturesUnordered<_> =
        devices::all(root).into_iter().map(|found| answer(found, |line| say.borrow_mut()(line))).collect();
    let first = async {
        while let Some(answered) = watched.next().await {
            if let Some((found, baud, frame)) = answered {
                return Ok((found, baud, frame));
            }
        }
        Err(io::Error::new(io::ErrorKind::NotFound, "no device that could be a scanner can be opened"))
    };
    let late = |_| io::Error::new(io::ErrorKind::TimedOut, "nothing was scanned in time");
    let (found, baud, frame) = tokio::time::timeout(within, first).await.map_err(late)??;
    let settings = Settings {
        kind: found.kind,
        path: devices::lasting_path(root, &found),
        baud,
        end: match frame.ended {
            Ended::Byte(b'\t') => End::Tab,
            Ended::Byte(0) => End::Nul,
            Ended::Byte(3) => End::Etx,
            Ended::Byte(_) => End::Newline,
            Ended::Gap | Ended::Nothing => End::Idle,
            Ended::Report => End::Report,
        },
        ..Settings::default()
    };
    Ok(Learned { seen: describe(&frame), found, settings })
}

/// Shows what a scanner sends, until it is gone or `within` is over.
///
/// # Errors
///
/// What opening or reading it says.
pub async fn watch(settings: &Settings, within: Duration, mut say: impl FnMut(String)) -> io::Result<()> {
    let mut line = open(settings).and_then(Line::new)?;
    let show = async {
        loop {
            if let News::Frame(frame) = line.next().await? {
                say(describe(&frame));
            }
        }
    };
    tokio::time::timeout(within, show).await.unwrap_or(Ok(()))
}

/// A frame in words, without its digits: `code …8406: 18 characters in 21 ms, ended by CR`.
pub fn describe(frame: &Frame) -> String {
    let what = match &frame.what {
        Ok(code) => format!("code {}", code.hint()),
        Err(ScanRefusal::NotDigits) => format!("not only digits ({})", frame.shape),
        Err(ScanRefusal::Length) => format!("too short or too long for a payment code ({})", frame.shape),
        Err(ScanRefusal::Broken) => format!("broken off ({})", frame.shape),
        Err(ScanRefusal::Lost) => "a part was lost".to_owned(),
        Err(ScanRefusal::Flood) => "an endless text".to_owned(),
    };
    let ended = match frame.ended {
        Ended::Byte(b'\r') => "CR",
        Ended::Byte(b'\n') => "LF",
        Ended::Byte(b'\t') => "TAB",
        Ended::Byte(0) => "NUL",
        Ended::Byte(_) => "ETX",
        Ended::Gap => "a gap",
        Ended::Report => "its report",
        Ended::Nothing => "nothing",
    };
    format!("{what}: {} characters in {} ms, ended by {ended}", frame.count, frame.span.as_millis())
}

/// Waits for one device to send something that a scanner sends; `None` if it cannot be watched.
async fn answer(found: Found, say: impl Fn(String)) -> Option<(Found, u32, Frame)> {
    let shown = found.node.display().to_string();
    // On USB COM the speed means nothing; a bridge or a socket needs the scanner's.
    let speeds = if shown.contains("ttyUSB") || shown.contains("ttyS") { &SPEEDS[..] } else { &SPEEDS[..1] };
    for baud in speeds.iter().cycle() {
        let settings = Settings {
            kind: found.kind,
            path: shown.clone(),
            baud: *baud,
            // Ends with every character that can be an end, and with a silence.
            end: End::Idle,
            gap: Some(Duration::from_millis(300)),
            ..Settings::default()
        };
        let mut line = match open(&settings).and_then(Line::new) {
            Ok(line) => line,
            Err(error) => {
                say(format!("{shown} cannot be watched: {error}"));
                return None;
            }
        };
        let frame = loop {
            match line.next().await {
                Ok(News::Begun) => {}
                Ok(News::Frame(frame)) => break frame,
                Err(error) => {
                    say(format!("{shown} is gone: {error}"));
                    return None;
                }
            }
        };
        let by_machine = frame.span < BY_MACHINE * u32::try_from(frame.count).unwrap_or(u32::MAX);
        let garbled = frame.shape.contains("others") || frame.shape.contains("controls");
        if frame.count >= ENOUGH && by_machine && !(garbled && speeds.len() > 1) {
            return Some((found, *baud, frame));
        }
        if speeds.len() > 1 {
            say(format!("{shown} sent something that cannot be read at {baud} baud: scan once more"));
        }
    }
    None
}

#[cfg(test)]
#[path = "learn_tests.rs"]
mod tests;
