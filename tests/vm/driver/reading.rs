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
use crate::figures;
use crate::scanner::{AWAY, ENTER, Key, Scanner, TAB, on_keypad, send, send_in_two, shifted, tty, typed};
use crate::shop::{Gateway, Reader};

const CODE: &str = "134500000000001234";
const LONG: &str = "134500000000001234567890";

/// The longest that a cashier should wait for a scanner that was plugged in again.
pub const BACK_WITHIN: Duration = Duration::from_secs(2);

/// A pause inside a code, shorter than the one after which a part is thrown away.
pub const PAUSE: Duration = Duration::from_millis(200);

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
    table.row("keyboard: 50 ms between two keys", || {
        for key in typed(CODE, ENTER) {
            scanner.keys(&[key])?;
            sleep(Duration::from_millis(50));
        }
        reader.code(CODE).map(|()| String::new())
    });
    figures::scans(table, "keyboard", &reader, |code| scanner.scan(code));
    table.row("keyboard: unplugged in the middle of a scan, then replugged", || {
        let half = typed(&CODE[..9], ENTER);
        scanner.keys(&half[..9])?;
        replug(scanner, &reader)
    });
    figures::replugs(table, "keyboard", scanner, &reader);
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
    figures::scans(table, "HID-POS", &reader, |code| scanner.scan(code));
    table.row("HID-POS: unplugged between two reports, then replugged", || {
        scanner.report(b"]Q1", &CODE.as_bytes()[..10], true)?;
        replug(scanner, &reader)
    });
    figures::replugs(table, "HID-POS", scanner, &reader);
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
    figures::scans(table, "USB COM", &reader, |code| scanner.scan(code));
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
    figures::replugs(table, "USB COM", scanner, &reader);
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
    figures::scans(table, name, &reader, |code| send(&mut wire, format!("{code}\r").as_bytes()));
    Ok(())
}

/// Pulls the plug, puts it back, and scans: nothing of what came before may be used, and it must work soon.
fn replug(scanner: &Scanner, reader: &Reader) -> Result<String> {
    scanner.pull()?;
    let gone = reader.next(3.0);
    let before = reader.process.worked()?;
    sleep(AWAY);
    let worked = reader.process.worked()? - before;
    let plugged = Instant::now();
    scanner.plug()?;
    let gone = gone?;
    ensure!(worked * 4 < AWAY, "busy while there is nothing to read: {worked:?}");
    ensure!(gone.event == "trouble" && gone.text.contains("not connected"), "got {gone:?}");
    back(reader)?;
    let took = plugged.elapsed();
    ensure!(took <= BACK_WITHIN, "ready after {} ms", took.as_millis());
    scanner.scan(CODE)?;
    reader.code(CODE)?;
    Ok(format!("ready {} ms after it was plugged in", took.as_millis()))
}

/// Waits until a scanner that was plugged in again is ready.
pub fn back(reader: &Reader) -> Result<()> {
    loop {
        match reader.next(5.0)?.event.as_str() {
            "ready" => return Ok(()),
            // Another sentence: what was said before gets more precise.
            "trouble" => {}
            other => bail!("expected ready, got {other}"),
        }
    }
}
