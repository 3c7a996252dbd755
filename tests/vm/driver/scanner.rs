//! Scanners from the inside: what each make of scanner puts on its wire when it has read a code.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::fs::OFlags;
use rustix::ioctl::{IntegerSetter, ioctl, opcode};
use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};

use crate::gadget::{Function, Gadget, Identity};
use crate::until;

/// The boot keyboard of the HID specification 1.11, appendix B.1, without its lamps.
const KEYBOARD: &[u8] = &[
    0x05, 0x01, 0x09, 0x06, 0xa1, 0x01, 0x05, 0x07, 0x19, 0xe0, 0x29, 0xe7, 0x15, 0x00, 0x25, 0x01, 0x75,
    0x01, 0x95, 0x08, 0x81, 0x02, 0x95, 0x01, 0x75, 0x08, 0x81, 0x03, 0x95, 0x06, 0x75, 0x08, 0x15, 0x00,
    0x25, 0x65, 0x05, 0x07, 0x19, 0x00, 0x29, 0x65, 0x81, 0x00, 0xc0,
];

/// The report of USB HID point-of-sale scanners (HID POS 1.02) as Access-IS prints it in the manual of its LSR118:
/// 02, length, AIM identifier, 56 bytes of data, two of the maker's, one bit "goes on in the next report".
const POINT_OF_SALE: &[u8] = &[
    0x05, 0x8c, 0x09, 0x02, 0xa1, 0x01, 0x85, 0x02, 0x15, 0x00, 0x26, 0xff, 0x00, 0x75, 0x08, // bytes
    0x95, 0x01, 0x05, 0x01, 0x09, 0x3b, 0x81, 0x02, // byte count
    0x95, 0x03, 0x05, 0x8c, 0x09, 0xfb, 0x09, 0xfc, 0x09, 0xfd, 0x81, 0x02, // AIM identifier
    0x95, 0x38, 0x09, 0xfe, 0x82, 0x02, 0x01, // decoded data
    0x95, 0x02, 0x06, 0x66, 0xff, 0x09, 0x04, 0x81, 0x02, // the maker's
    0x05, 0x8c, 0x75, 0x01, 0x95, 0x01, 0x25, 0x01, 0x09, 0xff, 0x81, 0x02, // goes on
    0x75, 0x07, 0x95, 0x01, 0x81, 0x03, 0xc0,
];

/// How long a plug is out: somebody has to find it, and by then the waits between two tries are the longest.
pub const AWAY: Duration = Duration::from_millis(1800);

/// How a scanner writes what it has read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Guise {
    /// A USB keyboard.
    Keyboard,
    /// USB HID point of sale.
    PointOfSale,
    /// USB COM.
    Acm,
}

/// A scanner on USB.
pub struct Scanner {
    guise: Guise,
    gadget: Gadget,
    identity: Identity,
    function: &'static str,
}

/// A key with its modifiers, as in a boot report.
#[derive(Clone, Copy)]
pub struct Key(pub u8, pub u8);

pub const SHIFT: u8 = 0x02;
pub const ENTER: Key = Key(0, 0x28);
pub const TAB: Key = Key(0, 0x2b);
const BRACKET: Key = Key(0, 0x30);

impl Scanner {
    /// Makes a scanner in the socket `socket` and plugs it in.
    pub fn plugged(socket: usize, guise: Guise, function: &'static str) -> Result<Self> {
        let hid = |protocol: &str, length: &str, descriptor: &[u8]| {
            vec![
                ("subclass", protocol.into()),
                ("protocol", protocol.into()),
                ("report_length", length.into()),
                ("report_desc", descriptor.into()),
            ]
        };
        // Newland's numbers for one engine in its three modes (usb.ids 2025.07.26).
        let (product, settings) = match guise {
            Guise::Keyboard => (0x8203, hid("1", "8", KEYBOARD)),
            Guise::PointOfSale => (0x8210, hid("0", "64", POINT_OF_SALE)),
            Guise::Acm => (0x8206, vec![]),
        };
        let serial = ["A0", "A1", "A2", "A3", "A4", "A5", "A6", "A7"][socket];
        let identity = Identity { vendor: 0x1eab, product, serial };
        let gadget = Gadget::new(socket, &identity, &Function { name: function, settings })?;
        gadget.plug()?;
        Ok(Self { guise, gadget, identity, function })
    }

    /// Its section in the configuration, with `more` in it.
    pub fn section(&self, more: &str) -> String {
        let Identity { vendor, product, serial } = self.identity;
        let kind = match self.guise {
            Guise::Keyboard => "evdev",
            Guise::PointOfSale => "hidpos",
            Guise::Acm => "serial",
        };
        format!(
            "[[scanner]]\nkind = \"{kind}\"\npath = \"usb:{vendor:04x}:{product:04x}:{serial}\"\n{more}\n"
        )
    }

    /// The node that the kernel made for it on the near side.
    pub fn node(&self) -> Result<PathBuf> {
        let (class, folder, name) = match self.guise {
            Guise::Keyboard => ("input", "/dev/input", "event"),
            Guise::PointOfSale => ("hidraw", "/dev", "hidraw"),
            Guise::Acm => ("tty", "/dev", "ttyACM"),
        };
        let mine = |entry: &fs::DirEntry| {
            let device = fs::canonicalize(entry.path().join("device")).unwrap_or_default();
            let serial = device.ancestors().find_map(|folder| fs::read_to_string(folder.join("serial")).ok());
            serial.is_some_and(|serial| serial.trim() == self.identity.serial)
        };
        until("a node", 2.0, || {
            let found = fs::read_dir(format!("/sys/class/{class}"))?
                .flatten()
                .find(|entry| entry.file_name().to_string_lossy().starts_with(name) && mine(entry));
            Ok(found.map(|entry| Path::new(folder).join(entry.file_name())))
        })
    }

    /// Takes it away from everybody else, as another program would.
    pub fn grab(&self) -> Result<File> {
        const GRAB: rustix::ioctl::Opcode = opcode::write::<i32>(b'E', 0x90);
        let device = File::open(self.node()?)?;
        // SAFETY: the argument of EVIOCGRAB (linux/input.h) is a number; any other file refuses the call.
        #[allow(unsafe_code)]
        unsafe {
            ioctl(&device, IntegerSetter::<GRAB>::new_usize(1))?;
        }
        Ok(device)
    }

    pub fn pull(&self) -> Result<()> {
        self.gadget.pull()
    }

    pub fn plug(&self) -> Result<()> {
        self.gadget.plug()
    }

    /// Opens the wire. After a pull it must be opened anew.
    pub fn wire(&self) -> Result<File> {
        let node = match self.guise {
            Guise::Acm => format!("/dev/ttyGS{}", self.gadget.number(self.function, "port_num")?),
            _ => format!("/dev/hidg{}", self.gadget.number(self.function, "dev")?),
        };
        tty(&node)
    }

    /// Reads a code the way this scanner does as it comes from the factory: Enter or CR at the end, AIM identifier where
    /// the report has a place for it.
    pub fn scan(&self, code: &str) -> Result<()> {
        match self.guise {
            Guise::Keyboard => self.keys(&typed(code, ENTER)),
            Guise::PointOfSale => self.report(b"]Q1", code.as_bytes(), false),
            Guise::Acm => self.send(format!("{code}\r").as_bytes()),
        }
    }

    /// Presses and releases keys, as fast as they are fetched.
    pub fn keys(&self, keys: &[Key]) -> Result<()> {
        let mut wire = self.wire()?;
        for Key(modifier, usage) in keys {
            wire.write_all(&[*modifier, 0, *usage, 0, 0, 0, 0, 0])?;
            wire.write_all(&[0; 8])?;
        }
        Ok(())
    }

    /// Sends one HID-POS report.
    pub fn report(&self, aim: &[u8; 3], data: &[u8], more: bool) -> Result<()> {
        let mut report = [0; 64];
        report[0] = 2;
        report[1] = data.len() as u8;
        report[2..5].copy_from_slice(aim);
        report[5..5 + data.len()].copy_from_slice(data);
        report[63] = more.into();
        Ok(self.wire()?.write_all(&report)?)
    }

    /// Sends bytes over USB COM.
    pub fn send(&self, bytes: &[u8]) -> Result<()> {
        send(&mut self.wire()?, bytes)
    }
}

/// Opens a device node; a terminal is made raw.
pub fn tty(node: &str) -> Result<File> {
    let open =
        || OpenOptions::new().read(true).write(true).custom_flags(OFlags::NOCTTY.bits() as i32).open(node);
    let wire = until(node, 2.0, || Ok(open().ok()))?;
    if let Ok(mut modes) = tcgetattr(&wire) {
        modes.make_raw();
        tcsetattr(&wire, OptionalActions::Now, &modes)?;
    }
    Ok(wire)
}

/// Writes to a terminal and waits until the other end has fetched it: closing earlier would lose it.
pub fn send(wire: &mut File, bytes: &[u8]) -> Result<()> {
    wire.write_all(bytes)?;
    rustix::termios::tcdrain(&*wire)?;
    Ok(())
}

/// Sends bytes in two pieces with a pause between.
pub fn send_in_two(wire: &mut File, bytes: &[u8], at: usize, pause: Duration) -> Result<()> {
    send(wire, &bytes[..at])?;
    sleep(pause);
    send(wire, &bytes[at..])
}

/// The keys for a text of digits and `]Q1`, and a last one.
pub fn typed(text: &str, end: Key) -> Vec<Key> {
    let key = |character: char| -> Result<Key> {
        Ok(match character {
            '0' => Key(0, 0x27),
            '1'..='9' => Key(0, 0x1e + (character as u8 - b'1')),
            ']' => BRACKET,
            'A'..='Z' => Key(SHIFT, 0x04 + (character as u8 - b'A')),
            _ => bail!("no key for {character}"),
        })
    };
    text.chars().map(|character| key(character).context("typed").unwrap_or(ENTER)).chain([end]).collect()
}

/// The same digits on the keypad.
pub fn on_keypad(text: &str, end: Key) -> Vec<Key> {
    let key = |digit: u8| Key(0, if digit == b'0' { 0x62 } else { 0x59 + (digit - b'1') });
    text.bytes().map(key).chain([end]).collect()
}

/// The same digits with Shift held, as a scanner types them that is set to a French keyboard.
pub fn shifted(text: &str, end: Key) -> Vec<Key> {
    typed(text, end).into_iter().map(|Key(_, usage)| Key(SHIFT, usage)).collect()
}
