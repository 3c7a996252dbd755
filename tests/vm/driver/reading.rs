//! Rows about scanners alone: what is typed or sent is read whole, or refused; never in part.

use std::fs::File;
use std::io::Read;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::process::Signal;

use crate::Table;
use crate::scanner::{ENTER, Key, Scanner, TAB, on_keypad, send, send_in_two, shifted, tty, typed};
use crate::shop::{Gateway, Reader};

const CODE: &str = "134500000000001234";
const LONG: &str = "134500000000001234567890";

/// How many codes are read one after the other to see whether one gets lost.
const MANY: u32 = 100;

/// The longest that a cashier should wait for a scanner that was plugged in again.
const BACK_WITHIN: Duration = Duration::from_secs(2);

/// A pause inside a code, shorter than the one after which a part is thrown away.
const PAUSE: Duration = Duration::from_millis(200);

/// A pause as a USB bridge or a busy machine makes it.
const HITCH: Duration = Duration::from_millis(20);

pub fn keyboard(table: &mut Table, gateway: &Gateway, scanner: &Scanner) -> Result<()> {
    let reader = Reader::start(&gateway.shop(&scanner.section(""))?, 1)?;
    table.row("keyboard: 18, 19 and 24 digits", || {
        for code in [CODE, "1345000000000012345", LONG] {
            scanner.scan(code)?;
            reader.code(code)?;
        }
        Ok(String::new())
    });
    table.row("keyboard: digits with Shift held", || {
        scanner.keys(&shifted(CODE, ENTER))?;
        reader.code(CODE).map(|()| String::new())
    });
    table.row("keyboard: digits of the keypad", || {
        scanner.keys(&on_keypad(CODE, Key(0, 0x58)))?;
        reader.code(CODE).map(|()| String::new())
    });
    table.row("keyboard: AIM identifier in front", || {
        scanner.keys(&typed(&format!("]Q1{LONG}"), ENTER))?;
        reader.code(LONG).map(|()| String::new())
    });
    table.row("keyboard: 15 and 25 digits are refused", || {
        for code in [&LONG[..15], "1345000000000012345678901"] {
            scanner.scan(code)?;
            reader.refused("length")?;
        }
        Ok(String::new())
    });
    table.row("keyboard: nobody else gets the keys", || {
        let error = scanner.grab().err().context("a second program could take it")?;
        ensure!(error.downcast_ref() == Some(&Errno::BUSY), "expected EBUSY, got {error}");
        let mut other = File::open(scanner.node()?)?;
        rustix::fs::fcntl_setfl(&other, OFlags::NONBLOCK)?;
        scanner.scan(CODE)?;
        reader.code(CODE)?;
        let heard = other.read(&mut [0; 64]);
        ensure!(heard.is_err(), "another reader got {heard:?}");
        Ok("a second EVIOCGRAB is EBUSY, an open without it hears nothing".to_owned())
    });
    table.row("keyboard: reader stalled through a scan (SYN_DROPPED)", || {
        reader.process.signal(Signal::STOP)?;
        let sent = scanner.scan(LONG);
        reader.process.signal(Signal::CONT)?;
        sent?;
        reader.refused("lost")?;
        reader.nothing(0.5)?;
        scanner.scan(CODE)?;
        reader.code(CODE)?;
        Ok("reported as lost, no digit of it used, the next scan is read".to_owned())
    });
    table.row("keyboard: unplugged in the middle of a scan, then replugged", || {
        let half = typed(&CODE[..9], ENTER);
        scanner.keys(&half[..9])?;
        replug(scanner, &reader)
    });
    many(table, "keyboard", &reader, |code| scanner.scan(code));
    drop(reader);

    table.row("keyboard: Tab at the end", || {
        let reader = Reader::start(&gateway.shop(&scanner.section("end = \"tab\""))?, 1)?;
        scanner.keys(&typed(CODE, TAB))?;
        reader.code(CODE).map(|()| String::new())
    });
    table.row("keyboard: nothing at the end", || {
        let reader = Reader::start(&gateway.shop(&scanner.section("end = \"idle\""))?, 1)?;
        let keys = typed(CODE, ENTER);
        scanner.keys(&keys[..CODE.len()])?;
        reader.code(CODE).map(|()| String::new())
    });
    table.row("keyboard: taken by another program", || {
        let holder = scanner.grab()?;
        let reader = Reader::begin(&gateway.shop(&scanner.section(""))?)?;
        let said = reader.next(3.0)?;
        ensure!(said.event == "trouble" && said.text.contains("Another program"), "got {said:?}");
        drop(holder);
        let ready = reader.next(3.0)?;
        ensure!(ready.event == "ready", "got {ready:?}");
        scanner.scan(CODE)?;
        reader.code(CODE)?;
        Ok("said so, and took it when it was free".to_owned())
    });
    Ok(())
}

pub fn point_of_sale(table: &mut Table, gateway: &Gateway, scanner: &Scanner) -> Result<()> {
    let reader = Reader::start(&gateway.shop(&scanner.section(""))?, 1)?;
    table.row("HID-POS: one report", || {
        for code in [CODE, LONG] {
            scanner.scan(code)?;
            reader.code(code)?;
        }
        Ok("18 and 24 digits, AIM identifier in its own field".to_owned())
    });
    table.row("HID-POS: two reports", || {
        scanner.report(b"]Q1", &CODE.as_bytes()[..10], true)?;
        scanner.report(b"]Q1", &CODE.as_bytes()[10..], false)?;
        reader.code(CODE).map(|()| String::new())
    });
    table.row("HID-POS: AIM identifier and CR in the data", || {
        scanner.report(b"\0\0\0", format!("]C1{LONG}\r").as_bytes(), false)?;
        reader.code(LONG).map(|()| String::new())
    });
    table.row("HID-POS: unplugged between two reports, then replugged", || {
        scanner.report(b"]Q1", &CODE.as_bytes()[..10], true)?;
        replug(scanner, &reader)
    });
    many(table, "HID-POS", &reader, |code| scanner.scan(code));
    Ok(())
}

pub fn acm(table: &mut Table, gateway: &Gateway, scanner: &Scanner) -> Result<()> {
    let reader = Reader::start(&gateway.shop(&scanner.section(""))?, 1)?;
    table.row("USB COM: CR, LF, CRLF, AIM identifier", || {
        for end in ["\r", "\n", "\r\n"] {
            scanner.send(format!("{CODE}{end}").as_bytes())?;
            reader.code(CODE)?;
        }
        scanner.send(format!("]Q1{LONG}\r").as_bytes())?;
        reader.code(LONG)?;
        reader.nothing(0.1).map(|()| String::new())
    });
    table.row("USB COM: in two pieces, at every place", || {
        let line = format!("{CODE}\r");
        let mut wire = scanner.wire()?;
        for at in 1..line.len() {
            send_in_two(&mut wire, line.as_bytes(), at, HITCH)?;
            reader.code(CODE)?;
        }
        send_in_two(&mut wire, line.as_bytes(), 9, PAUSE)?;
        reader.code(CODE)?;
        Ok(format!("{} ms between; {} ms once", HITCH.as_millis(), PAUSE.as_millis()))
    });
    table.row("USB COM: unplugged in the middle of a scan, then replugged", || {
        scanner.send(&CODE.as_bytes()[..9])?;
        replug(scanner, &reader)
    });
    table.row("USB COM: comes back under another name (ttyACM1)", || {
        let before = scanner.node()?;
        let _held = File::open(&before)?;
        let took = replug(scanner, &reader)?;
        let after = scanner.node()?;
        ensure!(before != after, "it is {after:?} again: nothing was tried");
        Ok(format!("{} became {}; {took}", before.display(), after.display()))
    });
    many(table, "USB COM", &reader, |code| scanner.scan(code));
    Ok(())
}

/// RS-232: a real 16550 at both ends of a cable. `far` is the scanner's end.
pub fn cable(table: &mut Table, gateway: &Gateway, name: &str, near: &str, far: &str) -> Result<()> {
    let reader =
        Reader::start(&gateway.shop(&format!("[[scanner]]\nkind = \"serial\"\npath = \"{near}\"\n"))?, 1)?;
    let mut wire = tty(far)?;
    table.row(&format!("{name}: CR, and in two pieces"), || {
        send(&mut wire, format!("{CODE}\r").as_bytes())?;
        reader.code(CODE)?;
        send_in_two(&mut wire, format!("]Q1{CODE}\r\n").as_bytes(), 12, PAUSE)?;
        reader.code(CODE).map(|()| String::new())
    });
    many(table, name, &reader, |code| send(&mut wire, format!("{code}\r").as_bytes()));
    Ok(())
}

/// Reads many codes, as fast as they are taken. What is lost must be said to be lost.
fn many(table: &mut Table, name: &str, reader: &Reader, mut scan: impl FnMut(&str) -> Result<()>) {
    table.row(&format!("{name}: {MANY} codes in a row"), || {
        let started = Instant::now();
        let mut lost = 0;
        for number in 0..MANY {
            let code = format!("1345000000000{number:05}");
            scan(&code)?;
            let seen = reader.next(3.0)?;
            if (seen.event.as_str(), seen.text.as_str()) == ("refused", "lost") {
                lost += 1;
                // What follows without a rest is taken for its tail.
                sleep(PAUSE);
            } else {
                ensure!(
                    seen.event == "code" && seen.text.ends_with(&code[14..]),
                    "expected {code}, got {seen:?}"
                );
            }
        }
        let each = started.elapsed().as_secs_f64() * 1000.0 / f64::from(MANY);
        ensure!(lost * 50 <= MANY, "{lost} lost");
        Ok(format!("{lost} lost (and said so), none wrong, {each:.1} ms each"))
    });
}

/// Pulls the plug, puts it back, and scans: nothing of what came before may be used, and it must work soon.
fn replug(scanner: &Scanner, reader: &Reader) -> Result<String> {
    scanner.pull()?;
    let gone = reader.next(3.0);
    // As long as somebody needs to find the plug: by then the waits between two tries are the longest.
    sleep(Duration::from_millis(2500));
    let plugged = Instant::now();
    scanner.plug()?;
    let gone = gone?;
    ensure!(gone.event == "trouble" && gone.text.contains("not connected"), "got {gone:?}");
    loop {
        match reader.next(5.0)?.event.as_str() {
            "ready" => break,
            // Another sentence: what was said before gets more precise.
            "trouble" => {}
            other => bail!("expected ready, got {other}"),
        }
    }
    let took = plugged.elapsed();
    ensure!(took <= BACK_WITHIN, "ready after {} ms", took.as_millis());
    scanner.scan(CODE)?;
    reader.code(CODE)?;
    Ok(format!("ready {} ms after it was plugged in", took.as_millis()))
}
