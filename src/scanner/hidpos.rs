//! A USB HID point-of-sale scanner, read as raw reports. Makers order their reports as they like, so where the data
//! stands is read from the device's own descriptor. Must never take a report for whole that says it goes on.
//!
//! Sources: HID Point of Sale Usage Tables 1.02 (usb.org), section 3; Device Class Definition for HID 1.11, section
//! 6.2.2.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use rustix::fs::{Mode, OFlags, open};

use super::framing::{Frame, Framer};
use super::line::Decode;
use crate::ioctl;

/// Where a scanner's input report holds what.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Layout {
    /// The report's number, the first byte of each read; `None` where the device does not number its reports.
    report: Option<u8>,
    /// The byte that says how much of the data counts; without one the data ends at its trailing NULs.
    count: Option<usize>,
    /// The first byte of the data, and how many there can be.
    data: (usize, usize),
    /// The byte and its bit that say that the code goes on in the next report.
    more: Option<(usize, u8)>,
}

/// Makers whose scanners send reports only after feature report 254 was set to 1: Honeywell (0c2e) and one more
/// (23d0), as @point-of-sale/webhid-barcode-scanner 1.2.2 does it.
const WAKES_BY_FEATURE: [u16; 2] = [0x0c2e, 0x23d0];

const BARCODE_SCANNER: u16 = 0x8c;
/// What at least one Honeywell configuration reports instead (qzind/tray, issue 1312).
const BARCODE_SCANNER_VENDOR: u16 = 0xff8c;

/// Opens a raw HID device. `vendor` is its USB vendor, if known.
pub fn open_reports(node: &Path, vendor: Option<u16>) -> io::Result<OwnedFd> {
    let device = open(node, OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty())?;
    // Two daemons would each get every report.
    rustix::fs::flock(&device, rustix::fs::FlockOperation::NonBlockingLockExclusive)?;
    if vendor.is_some_and(|vendor| WAKES_BY_FEATURE.contains(&vendor)) {
        // Models of these makers without that report refuse, and need none.
        let _ = ioctl::send_feature(device.as_fd(), &mut [254, 1]);
    }
    Ok(device)
}

/// Reports become frames.
pub struct Reports {
    framer: Framer,
    layout: Layout,
}

impl Reports {
    /// For one connection; the framer's end is [`End::Report`](super::End::Report).
    pub fn new(framer: Framer, layout: Layout) -> Self {
        Self { framer, layout }
    }
}

impl Decode for Reports {
    fn take(&mut self, input: &mut &[u8], at: Duration) -> Option<Frame> {
        // One read is one report (Documentation/hid/hidraw.rst).
        let report = std::mem::take(input);
        let layout = &self.layout;
        if layout.report.is_some_and(|number| report.first() != Some(&number)) {
            return None;
        }
        let (start, room) = layout.data;
        let length = match layout.count {
            Some(place) => report.get(place).map(|count| usize::from(*count)),
            None => Some(room),
        };
        // A report that is shorter than it should be, or says that it holds more than it can, has lost a part.
        let data =
            length.filter(|length| *length <= room).and_then(|length| report.get(start..start + length));
        let more =
            layout.more.map_or(Some(0), |(place, bit)| report.get(place).map(|byte| byte & (1 << bit)));
        let (Some(data), Some(more)) = (data, more) else {
            return self.framer.lost(at);
        };
        let data = match layout.count {
            Some(_) => data,
            None => &data[..data.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1)],
        };
        if let Some(flood) = self.framer.take(&mut &*data, at) {
            return Some(flood);
        }
        if more == 0 { self.framer.end() } else { None }
    }

    fn framer(&mut self) -> &mut Framer {
        &mut self.framer
    }
}

/// What is in force while a descriptor is read.
#[derive(Clone, Copy, Default)]
struct Globals {
    page: u16,
    size: usize,
    count: usize,
    report: Option<u8>,
}

impl Layout {
    /// Reads a report descriptor; `None` if it is not a barcode scanner's, or has no data that stands on whole bytes.
    pub fn from_descriptor(descriptor: &[u8]) -> Option<Self> {
        let mut globals = Globals::default();
        let mut stack = Vec::new();
        let mut usages: Vec<(u16, u16)> = Vec::new();
        let mut lowest = None;
        // How many bits of each report are taken so far.
        let mut filled: Vec<(Option<u8>, usize)> = Vec::new();
        let mut found: Vec<(Option<u8>, Layout)> = Vec::new();
        let mut rest = descriptor;
        while let [prefix, tail @ ..] = rest {
            if *prefix == 0xfe {
                // A long item: its length is in the next byte; none is in use.
                rest = tail.get(2 + usize::from(*tail.first()?)..)?;
                continue;
            }
            let length = [0, 1, 2, 4][usize::from(prefix & 3)];
            let (bytes, after) = tail.split_at_checked(length)?;
            rest = after;
            let value = bytes.iter().rev().fold(0u32, |value, byte| value << 8 | u32::from(*byte));
            let usage = |value: u32| {
                let page = if length == 4 { (value >> 16) as u16 } else { globals.page };
                (page, value as u16)
            };
            match prefix & 0xfc {
                0x04 => globals.page = value as u16,
                0x74 => globals.size = value as usize,
                0x94 => globals.count = value as usize,
                0x84 => globals.report = Some(value as u8),
                0xa4 if stack.len() < 16 => stack.push(globals),
                0xb4 => globals = stack.pop()?,
                0x08 => usages.push(usage(value)),
                0x18 => lowest = Some(usage(value)),
                0x28 => {
                    let ((page, from), (_, to)) = (lowest.take()?, usage(value));
                    usages.extend((from..=to).take(256).map(|usage| (page, usage)));
                }
                0x80 => {
                    let at = match filled.iter_mut().find(|(report, _)| *report == globals.report) {
                        Some((_, bits)) => bits,
                        None => {
                            // The report's number is its first byte.
                            filled.push((globals.report, if globals.report.is_some() { 8 } else { 0 }));
                            &mut filled.last_mut()?.1
                        }
                    };
                    if value & 1 == 0 {
                        note(&mut found, &globals, &usages, *at);
                    }
                    *at = at.checked_add(globals.size.checked_mul(globals.count)?)?;
                    // The largest report that hidraw hands out (linux/hid.h, HID_MAX_BUFFER_SIZE).
                    if *at > 16384 * 8 {
                        return None;
                    }
                    usages.clear();
                }
                // Output, Feature, Collection, End Collection end the local items too.
                0x90 | 0xb0 | 0xa0 | 0xc0 => usages.clear(),
                _ => {}
            }
        }
        found.into_iter().map(|(_, layout)| layout).find(|layout| layout.data.1 > 0)
    }
}

/// Notes what an input field that begins at bit `at` means.
fn note(found: &mut Vec<(Option<u8>, Layout)>, globals: &Globals, usages: &[(u16, u16)], at: usize) {
    let Globals { size, count, report, .. } = *globals;
    let index = found.iter().position(|(number, _)| *number == report).unwrap_or_else(|| {
        found.push((report, Layout { report, count: None, data: (0, 0), more: None }));
        found.len() - 1
    });
    let layout = &mut found[index].1;
    // A list of usages names one place each; a single one, or the last, names all that are left.
    for (index, (page, usage)) in usages.iter().enumerate().take(count) {
        let bit = at + index * size;
        let places = if index + 1 == usages.len() { count - index } else { 1 };
        let whole_byte = size == 8 && bit.is_multiple_of(8);
        match (*page, *usage) {
            // Generic Desktop: Byte Count.
            (0x01, 0x3b) if whole_byte => layout.count = Some(bit / 8),
            // Decoded Data.
            (BARCODE_SCANNER | BARCODE_SCANNER_VENDOR, 0xfe) if whole_byte => layout.data = (bit / 8, places),
            // Decoded Data Continued.
            (BARCODE_SCANNER | BARCODE_SCANNER_VENDOR, 0xff) => {
                layout.more = Some((bit / 8, (bit % 8) as u8))
            }
            _ => {}
        }
    }
}

#[cfg(test)]
#[path = "hidpos_tests.rs"]
mod tests;
