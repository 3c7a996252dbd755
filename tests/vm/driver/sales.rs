//! Rows about whole sales: an amount at the API, a code through a device, money at the gateway, a receipt on paper.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::Table;
use crate::printer::Printer;
use crate::scanner::{AWAY, Scanner, send, tty};
use crate::shop::{Daemon, Gateway};
use crate::until;

/// A printer whose answers prove what it printed, behind usblp.
pub const USBLP: &str = "[printer]\nkind = \"usblp\"\nprofile = \"epson-tm-t70ii-ch\"\n";

/// One sale from the amount to the paper; its id.
pub fn sale(
    gateway: &Gateway,
    daemon: &Daemon,
    printer: &Printer,
    scan: impl FnOnce(&str) -> Result<()>,
) -> Result<(String, String)> {
    let before = printer.receipts();
    let (id, paid) = paid(gateway, daemon, scan)?;
    daemon.receipt(&id, "printed", 10.0)?;
    ensure!(printer.receipts() == before + 1, "{} receipts, expected {}", printer.receipts(), before + 1);
    ensure!(printer.has(&id), "the receipt has no order number of {id}");
    Ok((id, format!("paid {} ms after the scan", paid.as_millis())))
}

/// One sale up to the money; its id, and the time from the first key to `paid`.
pub fn paid(
    gateway: &Gateway,
    daemon: &Daemon,
    scan: impl FnOnce(&str) -> Result<()>,
) -> Result<(String, Duration)> {
    let code = gateway.code("pay")?;
    let id = daemon.open(1250)?;
    let started = Instant::now();
    scan(&code)?;
    daemon.phase(&id, "paid")?;
    let took = started.elapsed();
    let charged = gateway.charged(&code)?;
    ensure!(charged == (1, 1250), "charged {charged:?}, expected once and 1250 fen");
    Ok((id, took))
}

pub fn kinds(table: &mut Table, gateway: &Gateway, scanners: &[(&str, &Scanner)], printer: &Printer) {
    for (name, scanner) in scanners {
        table.row(&format!("sale: {name}, usblp"), || {
            let daemon = Daemon::with(gateway, &(scanner.section("") + USBLP))?;
            daemon.device("printer", true, 3.0)?;
            let (_, detail) = sale(gateway, &daemon, printer, |code| scanner.scan(code))?;
            Ok(detail)
        });
    }
    table.row("sale: RS-232, file", || {
        let paper = "/tmp/paper";
        std::fs::create_dir(paper)?;
        let devices = "[[scanner]]\nkind = \"serial\"\npath = \"/dev/ttyS1\"\n[printer]\nkind = \"file\"\n";
        let daemon = Daemon::with(gateway, &format!("{devices}path = \"{paper}\"\n"))?;
        let mut wire = tty("/dev/ttyS2")?;
        let (id, took) = paid(gateway, &daemon, |code| send(&mut wire, format!("{code}\r\n").as_bytes()))?;
        daemon.receipt(&id, "printed", 5.0)?;
        ensure!(std::fs::read_dir(paper)?.count() == 1, "expected one file");
        Ok(format!("paid {} ms after the scan", took.as_millis()))
    });
    table.row("sale: RS-232, serial printer on a USB bridge", || {
        let devices = "[[scanner]]\nkind = \"serial\"\npath = \"/dev/ttyS1\"\n\
             [printer]\nkind = \"serial\"\npath = \"/dev/ttyUSB0\"\nbaud = 115200\nprofile = \"epson-tm-t70ii-ch\"\n";
        let printer = Printer::on_cable("/dev/ttyS3")?;
        let daemon = Daemon::with(gateway, devices)?;
        let mut wire = tty("/dev/ttyS2")?;
        let (_, detail) =
            sale(gateway, &daemon, &printer, |code| send(&mut wire, format!("{code}\r\n").as_bytes()))?;
        Ok(detail)
    });
}

/// Several scanners on one terminal, and the drawer.
pub fn together(table: &mut Table, gateway: &Gateway, scanners: &[(&str, &Scanner)], printer: &Printer) {
    let sections: String = scanners.iter().map(|(_, scanner)| scanner.section("")).collect();
    table.row("three scanners at once: a sale with each, the drawer stays shut", || {
        let daemon = Daemon::with(gateway, &(sections.clone() + USBLP))?;
        daemon.device("printer", true, 3.0)?;
        let pulses = printer.pulses();
        for (_, scanner) in scanners {
            sale(gateway, &daemon, printer, |code| scanner.scan(code))?;
        }
        ensure!(printer.pulses() == pulses, "the drawer opened for a sale without cash");
        Ok(String::new())
    });
    table.row("drawer by hand: asked twice, opened once", || {
        let daemon = Daemon::start(&gateway.shop(&(sections.clone() + USBLP))?)?;
        daemon.device("printer", true, 3.0)?;
        let pulses = printer.pulses();
        daemon.drawer()?;
        until("the drawer opens", 2.0, || Ok((printer.pulses() > pulses).then_some(())))?;
        // A second pulse so soon burns the magnet: it is left out.
        daemon.drawer()?;
        std::thread::sleep(Duration::from_millis(500));
        ensure!(printer.pulses() == pulses + 1, "{} pulses", printer.pulses() - pulses);
        Ok("one pulse of five bytes, 1B 70 00 19 FA".to_owned())
    });
    table.row("scanner in the desktop's hands: the terminal says so", || {
        let (_, keyboard) = scanners[0];
        let held = keyboard.grab()?;
        let daemon = Daemon::start(&gateway.shop(&keyboard.section(""))?)?;
        let said = daemon.device("scanner", false, 3.0)?;
        let node = keyboard.node()?;
        ensure!(said.contains(&format!("fuser -v {}", node.display())), "said {said:?}");
        drop(held);
        daemon.device("scanner", true, 3.0)?;
        let (_, took) = paid(gateway, &daemon, |code| keyboard.scan(code))?;
        Ok(format!("{said:?}; let go: paid {} ms after the scan", took.as_millis()))
    });
}

pub fn habits(table: &mut Table, gateway: &Gateway, keyboard: &Scanner, other: &Scanner) -> Result<()> {
    let devices = keyboard.section("name = \"keys\"") + &other.section("name = \"pos\"");
    let daemon = Daemon::with(gateway, &devices)?;
    table.row("two scanners, the same code at once: one payment", || {
        let (id, _) = paid(gateway, &daemon, |code| {
            std::thread::scope(|both| {
                let one = both.spawn(|| keyboard.scan(code));
                other.scan(code)?;
                one.join().unwrap_or(Ok(()))
            })
        })?;
        let attempts = daemon.payment(&id)?["attempts"].as_array().map_or(0, Vec::len);
        ensure!(attempts == 1, "{attempts} attempts");
        Ok("one attempt, one charge".to_owned())
    });
    table.row("two scanners, the same code for the next sale", || {
        let code = gateway.code("pay")?;
        let first = daemon.open(100)?;
        keyboard.scan(&code)?;
        daemon.phase(&first, "paid")?;
        let second = daemon.open(200)?;
        other.scan(&code)?;
        std::thread::sleep(Duration::from_millis(500));
        let phase = daemon.payment(&second)?["phase"].clone();
        ensure!(phase == "awaiting_code", "the second sale is {phase}");
        ensure!(gateway.charged(&code)? == (1, 100), "charged {:?}", gateway.charged(&code)?);
        let fresh = gateway.code("pay")?;
        other.scan(&fresh)?;
        daemon.phase(&second, "paid")?;
        Ok("not used again; the next customer's is".to_owned())
    });
    table.row("scan without a sale is not kept for the next one", || {
        let code = gateway.code("pay")?;
        keyboard.scan(&code)?;
        std::thread::sleep(Duration::from_millis(200));
        let id = daemon.open(300)?;
        std::thread::sleep(Duration::from_millis(500));
        let phase = daemon.payment(&id)?["phase"].clone();
        ensure!(phase == "awaiting_code", "the sale is {phase}");
        keyboard.scan(&gateway.code("pay")?)?;
        daemon.phase(&id, "paid")?;
        Ok(String::new())
    });
    table.row("scanner unplugged in the middle of a scan while a sale waits", || {
        let code = gateway.code("pay")?;
        let id = daemon.open(400)?;
        other.report(b"]Q1", &code.as_bytes()[..10], true)?;
        other.pull()?;
        std::thread::sleep(AWAY);
        let said = daemon.device_named("pos", false, 1.0)?;
        ensure!(!said.contains("write path"), "sends people to the other scanner: {said}");
        let plugged = Instant::now();
        other.plug()?;
        daemon.device_named("pos", true, 5.0)?;
        let took = plugged.elapsed();
        other.scan(&code)?;
        daemon.phase(&id, "paid")?;
        ensure!(took <= Duration::from_secs(2), "ready after {} ms", took.as_millis());
        Ok(format!("ready {} ms after the replug, then paid", took.as_millis()))
    });
    Ok(())
}
