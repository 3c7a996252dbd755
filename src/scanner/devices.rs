//! Which devices are there that could be scanners, read from the kernel's own lists, and names for them that survive
//! a new plug, a restart and a machine without udev. Never opens a device.
//!
//! A `path` in the settings is a path, or one of these, which need no links in `/dev`:
//! `usb:1eab:0c06` (the only one of its kind), `usb:1eab:0c06:SERIAL`, `usb:1a86:7523@1-1.2` (the socket it sits in).

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use super::Kind;
use super::hidpos::Layout;

/// Where the kernel's lists and the device nodes are, on every machine but a test's.
pub const ROOT: &str = "/";

/// A device that could be a scanner.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Found {
    /// How it presents itself.
    pub kind: Kind,
    /// Its node, as `/dev/ttyACM0`.
    pub node: PathBuf,
    /// What it is on USB; `None` for RS-232 sockets.
    pub usb: Option<Usb>,
}

/// A USB device as it describes itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Usb {
    /// Its maker's number.
    pub vendor: u16,
    /// Its model's number.
    pub product: u16,
    /// Its serial number; empty, and worth nothing, for many cheap ones.
    pub serial: String,
    /// The socket it sits in: bus and ports, as `1-1.2`.
    pub port: String,
    /// Maker and model in its own words.
    pub label: String,
}

/// Makers of scanners (usb.ids 2025.07.26).
const MAKERS: &[(u16, &str)] = &[
    (0x1eab, "Newland 新大陆"),
    (0x0c2e, "Honeywell"),
    (0x0536, "Honeywell (Hand Held Products)"),
    (0x05e0, "Zebra"),
    (0x05f9, "Datalogic"),
    (0x080c, "Datalogic"),
    (0x27dd, "Mindeo 民德"),
    (0x065a, "Opticon"),
];

/// The maker's name, if it is known to make scanners.
pub fn maker(vendor: u16) -> Option<&'static str> {
    MAKERS.iter().find(|(known, _)| *known == vendor).map(|(_, name)| *name)
}

/// Every device that could be a scanner; in the order of their names.
pub fn all(root: &Path) -> Vec<Found> {
    let mut found = Vec::new();
    for name in names(&root.join("sys/class/tty")) {
        let class = root.join("sys/class/tty").join(&name);
        // Consoles and pseudo-terminals have no device; an RS-232 socket that is not there has type 0.
        let present =
            class.join("device").exists() && text(&class.join("type")).is_none_or(|kind| kind != "0");
        if present {
            found.push(Found { kind: Kind::Serial, node: root.join("dev").join(&name), usb: usb(&class) });
        }
    }
    for name in names(&root.join("sys/class/input")) {
        let class = root.join("sys/class/input").join(&name);
        let keys = text(&class.join("device/capabilities/key")).unwrap_or_default();
        if name.starts_with("event") && types_digits(&keys) {
            let node = root.join("dev/input").join(&name);
            found.push(Found { kind: Kind::Evdev, node, usb: usb(&class) });
        }
    }
    for name in names(&root.join("sys/class/hidraw")) {
        let class = root.join("sys/class/hidraw").join(&name);
        if layout_of(&class).is_some() {
            found.push(Found { kind: Kind::Hidpos, node: root.join("dev").join(&name), usb: usb(&class) });
        }
    }
    found
}

/// The node that a `path` of the settings means.
///
/// # Errors
///
/// `NotFound` when it is not there; a sentence when several devices fit.
pub fn resolve(root: &Path, kind: Kind, path: &str) -> io::Result<PathBuf> {
    let Some(wanted) = path.strip_prefix("usb:") else { return Ok(PathBuf::from(path)) };
    let mut fitting = all(root)
        .into_iter()
        .filter(|found| found.kind == kind && found.usb.as_ref().is_some_and(|usb| usb.fits(wanted)));
    match (fitting.next(), fitting.next()) {
        (None, _) => Err(Errno::NOENT.into()),
        (Some(only), None) => Ok(only.node),
        (Some(one), Some(other)) => Err(io::Error::other(format!(
            "both {} and {} fit {path}; write path = {:?} for the first",
            one.node.display(),
            other.node.display(),
            one.usb.map(|usb| usb.by_port()).unwrap_or_default(),
        ))),
    }
}

/// The maker of the USB device behind a serial node, if it is known to make scanners.
pub fn maker_of_tty(root: &Path, node: &Path) -> Option<&'static str> {
    let node = fs::canonicalize(node).ok()?;
    maker(usb(&root.join("sys/class/tty").join(node.file_name()?))?.vendor)
}

/// The layout of a raw HID node's reports, and its maker.
///
/// # Errors
///
/// `InvalidInput` when it is no point-of-sale scanner.
pub fn reports(root: &Path, node: &Path) -> io::Result<(Layout, Option<u16>)> {
    let node = fs::canonicalize(node)?;
    let class = root.join("sys/class/hidraw").join(node.file_name().unwrap_or_default());
    // What `sentence` says for a device of another kind.
    let layout = layout_of(&class).ok_or(Errno::INVAL)?;
    Ok((layout, usb(&class).map(|usb| usb.vendor)))
}

/// What to write as `path` for a device so that it is found again: a link that udev made, if it names this device and
/// no other; else the serial number or the socket on USB.
pub fn lasting_path(root: &Path, found: &Found) -> String {
    let Some(usb) = &found.usb else { return found.node.display().to_string() };
    let twin = |other: &Found| {
        other.node != found.node
            && other.usb.as_ref().is_some_and(|other| other.port != usb.port && other.same_name(usb))
    };
    let certain = !usb.serial.is_empty() && !all(root).iter().any(twin);
    let links = match (found.kind, certain) {
        (Kind::Serial, true) => "dev/serial/by-id",
        (Kind::Serial, false) => "dev/serial/by-path",
        (Kind::Evdev, true) => "dev/input/by-id",
        (Kind::Evdev, false) => "dev/input/by-path",
        (Kind::Hidpos, _) => "",
    };
    let folder = root.join(links);
    let node = fs::canonicalize(&found.node).ok();
    let link = names(&folder)
        .into_iter()
        .map(|name| folder.join(name))
        .find(|link| fs::canonicalize(link).ok() == node);
    match link.filter(|_| node.is_some() && !links.is_empty()) {
        Some(link) => link.display().to_string(),
        None if certain => usb.by_serial(),
        None => usb.by_port(),
    }
}

/// What can be said about a scanner that is looked for and not there: that one is there in another guise.
pub fn hint(root: &Path, wanted: Kind) -> Option<String> {
    let found = all(root);
    let folder = root.join("sys/bus/usb/devices");
    let (maker, usb) = names(&folder).into_iter().find_map(|name| {
        let usb = described(&folder.join(name))?;
        // One that this process reads is not the one that is missing.
        let mut ways =
            found.iter().filter(|found| found.usb.as_ref().is_some_and(|one| one.port == usb.port));
        if ways.any(|way| is_open(root, &way.node)) {
            return None;
        }
        Some((maker(usb.vendor)?, usb))
    })?;
    let mut ways = found.iter().filter(|found| found.usb.as_ref().is_some_and(|one| one.port == usb.port));
    let first = ways.clone().next();
    Some(match (ways.find(|way| way.kind == wanted), first) {
        (Some(way), _) => format!("A {maker} is plugged in: write path = {:?}.", lasting_path(root, way)),
        (None, Some(way)) => format!(
            "A {maker} is plugged in as {}: write kind = \"{}\" and path = {:?}, \
             or let it read its setup code for {}.",
            guise(way.kind),
            way.kind,
            lasting_path(root, way),
            guise(wanted),
        ),
        (None, None) => format!(
            "A {maker} ({:04x}:{:04x}) is plugged in in a mode that needs its maker's driver: \
             let it read its setup code for USB COM or USB keyboard.",
            usb.vendor, usb.product
        ),
    })
}

/// Whether this process has a device open.
fn is_open(root: &Path, node: &Path) -> bool {
    let files = root.join("proc/self/fd");
    names(&files).into_iter().any(|file| fs::read_link(files.join(file)).is_ok_and(|open| open == node))
}

fn guise(kind: Kind) -> &'static str {
    match kind {
        Kind::Serial => "USB COM",
        Kind::Evdev => "a USB keyboard",
        Kind::Hidpos => "USB HID-POS",
    }
}

impl Usb {
    /// Whether `wanted`, what is written after `usb:`, means this device.
    fn fits(&self, wanted: &str) -> bool {
        let (name, port) = wanted.split_once('@').map_or((wanted, None), |(name, port)| (name, Some(port)));
        let mut parts = name.splitn(3, ':');
        let number = |part: Option<&str>| part.and_then(|part| u16::from_str_radix(part, 16).ok());
        number(parts.next()) == Some(self.vendor)
            && number(parts.next()) == Some(self.product)
            && parts.next().is_none_or(|serial| serial == self.serial)
            && port.is_none_or(|port| port == self.port)
    }

    fn same_name(&self, other: &Self) -> bool {
        (self.vendor, self.product, &self.serial) == (other.vendor, other.product, &other.serial)
    }

    fn by_serial(&self) -> String {
        format!("usb:{:04x}:{:04x}:{}", self.vendor, self.product, self.serial)
    }

    fn by_port(&self) -> String {
        format!("usb:{:04x}:{:04x}@{}", self.vendor, self.product, self.port)
    }
}

/// The USB device that a class entry belongs to.
fn usb(class: &Path) -> Option<Usb> {
    let device = fs::canonicalize(class.join("device")).ok()?;
    device.ancestors().find_map(described)
}

/// What a USB device's folder says about it.
fn described(folder: &Path) -> Option<Usb> {
    let number = |name: &str| u16::from_str_radix(&text(&folder.join(name))?, 16).ok();
    let word = |name: &str| text(&folder.join(name)).unwrap_or_default();
    Some(Usb {
        vendor: number("idVendor")?,
        product: number("idProduct")?,
        serial: word("serial"),
        port: folder.file_name()?.to_str()?.to_owned(),
        label: format!("{} {}", word("manufacturer"), word("product")).trim().to_owned(),
    })
}

fn layout_of(class: &Path) -> Option<Layout> {
    Layout::from_descriptor(&fs::read(class.join("device/report_descriptor")).ok()?)
}

/// Whether a key bitmap (words in hexadecimal, the highest first) has the ten digits and Enter.
fn types_digits(keys: &str) -> bool {
    let words: Vec<u64> =
        keys.split_whitespace().rev().map_while(|word| u64::from_str_radix(word, 16).ok()).collect();
    let has = |code: usize| {
        let bits = usize::BITS as usize;
        words.get(code / bits).is_some_and(|word| word >> (code % bits) & 1 == 1)
    };
    (2..=11).all(has) && has(28)
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<_> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    names
}

fn text(file: &Path) -> Option<String> {
    Some(fs::read_to_string(file).ok()?.trim().to_owned())
}

#[cfg(test)]
#[path = "devices_tests.rs"]
mod tests;
