//! Holds the picture of the house: a room uses only the rooms below it, doors do not know each other, and the pure rooms
//! have no clock, no I/O, no async. Reads the source, so that a new file cannot slip past it.

use std::fs;
use std::path::{Path, PathBuf};

/// Rooms by height. A room may use rooms of lower height, and itself; nothing beside it.
const ROOMS: &[(&str, u32)] = &[
    ("money", 0),
    ("time", 1),
    ("ids", 2),
    ("payment", 3),
    ("refund", 4),
    ("receipt", 5),
    ("sale", 5),
    ("reconcile", 6),
    ("input", 6),
    ("listen", 6),
    ("ioctl", 6),
    ("scanner", 7),
    ("gateway", 7),
    ("journal", 7),
    ("printer", 7),
    ("display", 7),
    ("sounds", 7),
    ("api", 7),
    ("service", 7),
    ("simulator", 7),
    ("terminal", 8),
    ("config", 8),
    ("cli", 9),
    ("main", 10),
];

/// What a room without a clock, I/O or async never says.
const PURE: &[&str] = &["money", "time", "ids", "payment", "refund", "receipt", "sale", "reconcile"];
const IMPURE: &[&str] = &[
    "std::fs",
    "std::net",
    "std::io",
    "std::thread",
    "std::env",
    "std::process",
    "SystemTime",
    "Instant",
    "tokio",
    "async fn",
    "getrandom",
    "rusqlite",
    "reqwest",
    "serde",
    "tracing",
    "println!",
];

fn height(room: &str) -> Option<u32> {
    ROOMS.iter().find(|(name, _)| *name == room).map(|(_, height)| *height)
}

fn sources(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).expect("src is readable") {
        let path = entry.expect("entry is readable").path();
        // Unit tests may reach for clocks and files.
        if path.is_dir() && !path.ends_with("tests") && !path.ends_with("facts") {
            sources(&path, found);
        } else if path.is_file()
            && !path.ends_with("tests.rs")
            && path.extension().is_some_and(|ext| ext == "rs")
        {
            found.push(path);
        }
    }
}

/// The code of a file: without comments, and without its unit tests (which may reach for clocks and files).
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).expect("source is readable");
    let body = text.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
    body.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

/// Every source file with the room that it belongs to.
fn rooms() -> Vec<(String, PathBuf)> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    sources(&src, &mut found);
    found
        .into_iter()
        .filter_map(|path| {
            let inside = path.strip_prefix(&src).expect("found under src");
            let first = inside.iter().next().expect("a file has a name").to_string_lossy().into_owned();
            let room = first.trim_end_matches(".rs").to_owned();
            (room != "lib").then_some((room, path))
        })
        .collect()
}

/// The rooms that a path names first: one, or those of a group.
fn named(rest: &str) -> Vec<&str> {
    let word = |text: &str| text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    let Some(group) = rest.strip_prefix('{') else { return vec![&rest[..word(rest)]] };
    let (mut names, mut depth, mut begins) = (Vec::new(), 0, true);
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => begins = true,
            c if begins && !c.is_whitespace() => {
                names.push(&group[at..at + word(&group[at..])]);
                begins = false;
            }
            _ => {}
        }
    }
    names
}

#[test]
fn every_room_is_in_the_picture() {
    for (room, path) in rooms() {
        assert!(
            height(&room).is_some(),
            "{} belongs to no known room: add it to the picture",
            path.display()
        );
    }
}

#[test]
fn a_room_uses_only_what_is_below_it() {
    let mut uses_seen = 0;
    for (room, path) in rooms() {
        let own = height(&room).expect("known room");
        let code = code(&path);
        // Only the program itself names the library from outside.
        let prefix = if room == "main" { "micropayd::" } else { "crate::" };
        for (at, _) in code.match_indices(prefix) {
            for name in named(&code[at + prefix.len()..]) {
                let Some(used) = height(name) else { continue };
                uses_seen += 1;
                assert!(
                    name == room || used < own,
                    "{} uses {name}, which is not below {room}",
                    path.display()
                );
            }
        }
    }
    assert!(uses_seen > 50, "the test reads the source, it saw only {uses_seen} uses");
}

#[test]
fn pure_rooms_have_no_clock_no_io_no_async() {
    for (room, path) in rooms().into_iter().filter(|(room, _)| PURE.contains(&room.as_str())) {
        // A cursor reads memory.
        let code = code(&path).replace("std::io::Cursor", "");
        for word in IMPURE {
            assert!(!code.contains(word), "{} says {word}, but {room} is pure", path.display());
        }
    }
}

#[test]
fn only_the_terminals_clock_reads_a_clock_that_decides() {
    // Doors measure their own deadlines; nobody but the clock asks for the date.
    for (room, path) in rooms() {
        if path.ends_with("terminal/clock.rs") || room == "simulator" || room == "cli" {
            continue;
        }
        let code = code(&path);
        assert!(!code.contains("SystemTime::now"), "{} reads the wall clock", path.display());
    }
}
