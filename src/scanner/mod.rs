//! The door to the scanners: device bytes become whole payment codes or are refused with a reason, and then forgotten.
//!
//! | file | for |
//! |---|---|
//! | [`framing`] | bytes and their times become codes or refusals; pure |
//! | [`mod@line`] | one open scanner: its reads become frames |
//! | `reader` | one task a scanner: open, report, open again |
//! | [`devices`] | which devices could be scanners, and names for them that last |
//! | [`learn`] | which device is the scanner, and what it sends |
//! | `trigger` | when a scanner is told to read |
//! | `serial` | opens a tty |
//! | [`evdev`] | keys of a USB keyboard become characters |
//! | [`hidpos`] | reports of a USB point-of-sale scanner become characters |
//!
//! What is for the terminal's loop and not for this room: whether a sale waits for a code, whether a gateway takes a
//! code of this length and prefix, and that the same code twice (two scanners, or one that re-reads the same phone
//! every half second) is one customer.

pub mod devices;
pub mod evdev;
pub mod framing;
pub mod hidpos;
pub mod learn;
pub mod line;
mod reader;
#[cfg(test)]
mod recorded;
mod serial;
mod trigger;

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use tokio::sync::watch;

use crate::input::Inbox;

/// Which scanner, and how to read it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settings {
    /// The name in messages; the path if empty.
    pub name: String,
    /// How the scanner presents itself.
    pub kind: Kind,
    /// The device: `/dev/serial/by-id/…`, any other path to it, or a name of [`devices`].
    pub path: String,
    /// Bits per second; only real serial lines care.
    pub baud: u32,
    /// How a code ends.
    pub end: End,
    /// What the scanner sends before each code (after it: the AIM identifier, if any).
    pub prefix: Vec<u8>,
    /// What the scanner sends after each code, before the end.
    pub suffix: Vec<u8>,
    /// The gap that ends a code where a gap does; `None` for the kind's own.
    pub gap: Option<Duration>,
    /// Whether DTR is raised (most scanners with a serial line want it) or lowered; `None` leaves it to the kernel,
    /// which raises it.
    pub dtr: Option<bool>,
    /// How the scanner is told to beep when a code was taken, and when something was refused.
    pub beep: Option<Beep>,
    /// How the scanner is told to read while a sale waits for a code, and to stop; `None` for one that reads by itself.
    pub trigger: Option<Trigger>,
}

impl Default for Settings {
    /// A serial scanner at 9600 baud, 8N1: what RS-232 engines are delivered with (GM65 manual; Datalogic Gryphon).
    fn default() -> Self {
        Self {
            name: String::new(),
            kind: Kind::Serial,
            path: String::new(),
            baud: 9600,
            end: End::Auto,
            prefix: Vec::new(),
            suffix: Vec::new(),
            gap: None,
            dtr: None,
            beep: None,
            trigger: None,
        }
    }
}

impl Settings {
    /// The name in messages.
    pub fn name(&self) -> &str {
        if self.name.is_empty() { &self.path } else { &self.name }
    }

    /// Says what cannot work.
    pub fn check(&self) -> Result<(), String> {
        if self.path.is_empty() {
            return Err(
                "scanner has no path\nhelp: write the device, as in path = \"/dev/serial/by-id/usb-…\""
                    .into(),
            );
        }
        if self.kind == Kind::Serial && !(50..=4_000_000).contains(&self.baud) {
            return Err(format!("scanner baud is {}, expected 50 to 4000000", self.baud));
        }
        if self.kind != Kind::Serial && self.beep.is_some() {
            return Err(format!(
                "scanner of kind {} cannot be told to beep\nhelp: leave out `beep`",
                self.kind
            ));
        }
        if self.kind != Kind::Serial && self.trigger.is_some() {
            return Err(format!(
                "scanner of kind {} cannot be told to read\nhelp: leave out `trigger`",
                self.kind
            ));
        }
        for (what, bytes) in [("prefix", &self.prefix), ("suffix", &self.suffix)] {
            if bytes.len() > 16 {
                return Err(format!("scanner {what} has {} bytes, expected at most 16", bytes.len()));
            }
            if let Some(byte) = bytes.iter().find(|byte| self.end.is(**byte)) {
                return Err(format!(
                    "scanner {what} contains the ending character {byte:02X}\nhelp: leave it out, `end` stands for it"
                ));
            }
        }
        Ok(())
    }

    fn pace(&self) -> framing::Pace {
        let ms = Duration::from_millis;
        // Three characters of ten bits at this speed, on top of what a USB bridge may hold back.
        let serial = (ms(50) + Duration::from_secs(30) / self.baud.max(1)).max(ms(80));
        let (gap, stale) = match self.kind {
            Kind::Serial => (serial, ms(1000)),
            // Keys come one by one, up to 50 ms apart.
            Kind::Evdev => (ms(100), ms(500)),
            Kind::Hidpos => (ms(100), ms(1000)),
        };
        let usual = if self.end == End::Auto { ms(300) } else { gap };
        framing::Pace { gap: self.gap.unwrap_or(usual).min(stale), stale }
    }

    fn framer(&self) -> framing::Framer {
        let end = if self.kind == Kind::Hidpos { End::Report } else { self.end };
        framing::Framer::new(end, &self.prefix, &self.suffix, self.pace())
    }
}

/// How a scanner presents itself to Linux.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Kind {
    /// A byte stream: RS-232, a USB bridge, or USB CDC-ACM (虚拟串口).
    Serial,
    /// A USB keyboard.
    Evdev,
    /// A USB HID point-of-sale scanner (usage page 0x8C).
    Hidpos,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Serial => "serial",
            Self::Evdev => "evdev",
            Self::Hidpos => "hidpos",
        })
    }
}

impl FromStr for Kind {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "serial" => Ok(Self::Serial),
            "evdev" => Ok(Self::Evdev),
            "hidpos" => Ok(Self::Hidpos),
            _ => Err(format!("scanner kind {text:?} is not known, expected serial, evdev or hidpos")),
        }
    }
}

/// How a code ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum End {
    /// With CR, LF, TAB, NUL or ETX; until the scanner has sent one of them, also with a gap after exactly 18 digits.
    Auto,
    /// With CR, LF or both.
    Newline,
    /// With TAB.
    Tab,
    /// With NUL.
    Nul,
    /// With ETX.
    Etx,
    /// With a gap: the scanner sends no ending character. An ending character that comes all the same is one.
    Idle,
    /// The device says where a code ends (HID-POS reports).
    Report,
}

impl End {
    fn is(self, byte: u8) -> bool {
        match self {
            Self::Auto | Self::Idle => matches!(byte, b'\r' | b'\n' | b'\t' | 0 | 3),
            Self::Newline => matches!(byte, b'\r' | b'\n'),
            Self::Tab => byte == b'\t',
            Self::Nul => byte == 0,
            Self::Etx => byte == 3,
            Self::Report => false,
        }
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto | Self::Report => "auto",
            Self::Newline => "crlf",
            Self::Tab => "tab",
            Self::Nul => "nul",
            Self::Etx => "etx",
            Self::Idle => "idle",
        })
    }
}

impl FromStr for End {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "cr" | "lf" | "crlf" => Ok(Self::Newline),
            "tab" => Ok(Self::Tab),
            "nul" => Ok(Self::Nul),
            "etx" => Ok(Self::Etx),
            "idle" => Ok(Self::Idle),
            _ => Err(format!(
                "scanner end {text:?} is not known, expected auto, cr, lf, crlf, tab, nul, etx or idle"
            )),
        }
    }
}

/// The commands by which a scanner is told to beep. What a command means to one make means something else to another:
/// none is ever sent unless it was asked for by name.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Beep {
    /// Datalogic and PSC on a serial line (Magellan 9300i manual, page 481): `B` good read, `F` not on file.
    Datalogic,
}

impl Beep {
    fn maker(self) -> &'static str {
        match self {
            Self::Datalogic => "Datalogic",
        }
    }

    fn command(self, taken: bool) -> &'static [u8] {
        match (self, taken) {
            (Self::Datalogic, true) => b"B",
            (Self::Datalogic, false) => b"F",
        }
    }
}

impl FromStr for Beep {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "datalogic" => Ok(Self::Datalogic),
            _ => Err(format!("scanner beep {text:?} is not known, expected datalogic")),
        }
    }
}

/// The commands by which a scanner is told to read and to stop. Here are only those to which the scanner says nothing:
/// a reply would stand in the stream of codes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Trigger {
    /// Honeywell and Hand Held Products, set to manual or serial trigger (N3680 guide, page 160; NCR 7837 manual, page
    /// 138): `SYN T CR` and `SYN U CR`.
    Honeywell,
    /// Datalogic and PSC on a serial line (Magellan 9300i manual, page 481): `E` enable, `D` disable.
    Datalogic,
}

impl Trigger {
    fn maker(self) -> &'static str {
        match self {
            Self::Honeywell => "Honeywell",
            Self::Datalogic => "Datalogic",
        }
    }

    fn command(self, read: bool) -> &'static [u8] {
        match (self, read) {
            (Self::Honeywell, true) => b"\x16T\r",
            (Self::Honeywell, false) => b"\x16U\r",
            (Self::Datalogic, true) => b"E",
            (Self::Datalogic, false) => b"D",
        }
    }
}

/// Starts reading on the current runtime; reports scans and the device's state to `inbox`. An absent scanner is
/// reported and taken up when it appears. Ends when `inbox` closes.
pub fn start(settings: Settings, inbox: Inbox) {
    tokio::spawn(async move {
        let (_always, wanted) = watch::channel(true);
        reader::run(settings, inbox, wanted).await;
    });
}

/// Like [`start`]; a scanner that is told when to read reads while `wanted` is true. What others read is passed on
/// whether it is wanted or not: the loop refuses it with a sentence.
pub fn start_when(settings: Settings, inbox: Inbox, wanted: watch::Receiver<bool>) {
    tokio::spawn(reader::run(settings, inbox, wanted));
}
