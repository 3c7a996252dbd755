//! `[[scanner]]` and `[printer]`: which devices, and how to reach them. A device that is absent is not a mistake.

use super::section::Section;
use crate::{printer, scanner};

pub fn scanner(section: Section<'_>) -> Option<scanner::Settings> {
    section.choice("kind", &[("serial", ()), ("evdev", ()), ("hidpos", ())]);
    section.missing("kind", "write kind = \"serial\", \"evdev\" or \"hidpos\"");
    section.path("path");
    section.missing("path", "write path = \"/dev/serial/by-id/usb-…\"");
    section.number("baud", 1, 4_000_000);
    section.finish();
    Some(scanner::Settings {})
}

pub fn printer(section: Section<'_>) -> Option<printer::Settings> {
    section.choice("kind", &[("usblp", ()), ("serial", ()), ("network", ()), ("file", ()), ("none", ())]);
    section.path("path");
    section.text("address");
    section.text("profile");
    section.finish();
    Some(printer::Settings {})
}
