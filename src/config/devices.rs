//! `[[scanner]]`, `[printer]`, `[display]` and `[sounds]`: which devices, and how to reach them. A device that is absent is not a mistake.

use super::section::{Entry, Section};
use crate::printer::profile::Chinese;
use crate::scanner::{Beep, End, Kind, Trigger};
use crate::{display, printer, scanner, sounds};

pub fn scanner(section: Section<'_>) -> Option<scanner::Settings> {
    let default = scanner::Settings::default();
    let kinds = [("serial", Kind::Serial), ("evdev", Kind::Evdev), ("hidpos", Kind::Hidpos)];
    let kind = section.choice("kind", &kinds);
    section.missing("kind", "write kind = \"serial\", \"evdev\" or \"hidpos\"");
    let path = section.text("path");
    section.missing("path", "write path = \"/dev/serial/by-id/usb-…\"");
    let ends = [
        ("auto", End::Auto),
        ("cr", End::Newline),
        ("lf", End::Newline),
        ("crlf", End::Newline),
        ("tab", End::Tab),
        ("nul", End::Nul),
        ("etx", End::Etx),
        ("idle", End::Idle),
    ];
    let triggers = [("honeywell", Trigger::Honeywell), ("datalogic", Trigger::Datalogic)];
    let bytes = |key| section.text(key).map(|entry| entry.value.into_bytes()).unwrap_or_default();
    let settings = scanner::Settings {
        name: section.text("name").map(|entry| entry.value).unwrap_or_default(),
        kind: kind.as_ref().map_or(default.kind, |entry| entry.value),
        path: path.as_ref().map(|entry| entry.value.clone()).unwrap_or_default(),
        baud: section
            .number("baud", 50, 4_000_000)
            .and_then(|entry| u32::try_from(entry.value).ok())
            .unwrap_or(default.baud),
        end: section.choice("end", &ends).map_or(default.end, |entry| entry.value),
        prefix: bytes("prefix"),
        suffix: bytes("suffix"),
        gap: section.duration("gap").map(|entry| entry.value),
        dtr: section.choice("dtr", &[("on", true), ("off", false)]).map(|entry| entry.value),
        trigger: section.choice("trigger", &triggers).map(|entry| entry.value),
        beep: section.choice("beep", &[("datalogic", Beep::Datalogic)]).map(|entry| entry.value),
    };
    if path.is_some() && kind.is_some() {
        check(&section, settings.check());
    }
    section.finish();
    Some(settings)
}

/// Says what a door says about its settings as a whole.
fn check(section: &Section<'_>, checked: Result<(), String>) {
    if let Err(text) = checked {
        let (what, help) = text.split_once("\nhelp: ").unwrap_or((&text, "write what is expected"));
        section.problem(what, help);
    }
}

pub fn printer(section: Section<'_>) -> Option<printer::Settings> {
    let default = printer::Settings::default();
    let kinds = [
        ("usblp", printer::Kind::Usblp),
        ("serial", printer::Kind::Serial),
        ("network", printer::Kind::Network),
        ("file", printer::Kind::File),
        ("none", printer::Kind::None),
    ];
    let flows = [
        ("none", printer::Flow::None),
        ("software", printer::Flow::Software),
        ("hardware", printer::Flow::Hardware),
    ];
    let fonts = [
        ("gb18030", Chinese::Gb18030),
        ("gbk", Chinese::Gbk),
        ("gb2312", Chinese::Gb2312),
        ("none", Chinese::None),
    ];
    let drawers = [("never", None), ("pin2", Some(printer::Pin::Two)), ("pin5", Some(printer::Pin::Five))];
    let kind = section.choice("kind", &kinds);
    let settings = printer::Settings {
        kind: kind.as_ref().map_or(default.kind, |entry| entry.value),
        path: section.path("path").map(|entry| entry.value),
        address: section.text("address").map(|entry| entry.value),
        baud: section
            .number("baud", 300, 4_000_000)
            .and_then(|entry| u32::try_from(entry.value).ok())
            .unwrap_or(default.baud),
        flow: section.choice("flow", &flows).map_or(default.flow, |entry| entry.value),
        profile: section.text("profile").map_or(default.profile, |entry| entry.value),
        chinese: section.choice("chinese", &fonts).map(|entry| entry.value),
        drawer: section.choice("drawer", &drawers).and_then(|entry| entry.value),
        template: section.path("template").map(|entry| entry.value),
        waits: default.waits,
    };
    if kind.is_some() {
        check(&section, settings.check());
    }
    section.finish();
    Some(settings)
}

pub fn display(section: Section<'_>) -> Option<display::Settings> {
    let kinds = [("led8", display::Kind::Led8), ("vfd", display::Kind::Vfd), ("none", display::Kind::None)];
    let dialects = [
        ("ascii", display::Dialect::Ascii),
        ("binary", display::Dialect::Binary),
        ("cd5220", display::Dialect::Cd5220),
        ("epson", display::Dialect::Epson),
    ];
    let kind = section.choice("kind", &kinds);
    let settings = display::Settings {
        kind: kind.as_ref().map_or(display::Kind::None, |entry| entry.value),
        path: section.path("path").map(|entry| entry.value),
        baud: section.number("baud", 300, 4_000_000).and_then(|entry| u32::try_from(entry.value).ok()),
        dialect: section.choice("dialect", &dialects).map(|entry| entry.value),
        ..display::Settings::default()
    };
    if kind.is_some() {
        check(&section, settings.check());
    }
    section.finish();
    Some(settings)
}

pub fn sounds(section: Section<'_>) -> Option<sounds::Settings> {
    let default = sounds::Settings::default();
    let command = section.texts("command");
    let texts = |entry: Entry<Vec<Entry<String>>>| entry.value.into_iter().map(|text| text.value).collect();
    let settings = sounds::Settings {
        command: command.map_or(default.command, texts),
        within: section.duration("within").map_or(default.within, |entry| entry.value),
    };
    check(&section, settings.check());
    section.finish();
    Some(settings)
}
