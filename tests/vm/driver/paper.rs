//! Rows about the printer: whatever happens to paper and cable, a sale is paid at once, and its receipt is on paper
//! exactly once or a person is told.

use std::fs::OpenOptions;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;

use crate::Table;
use crate::figures;
use crate::printer::Printer;
use crate::sales::{USBLP, paid, sale};
use crate::scanner::Scanner;
use crate::shop::{Daemon, Gateway, text};

/// A cheap printer that draws codes as pictures and proves nothing.
const CHEAP: &str = "[printer]\nkind = \"usblp\"\nprofile = \"generic-58mm\"\n";

/// Longer than the daemon's look at a printer, and any retry after trouble that is over.
const QUIET: Duration = Duration::from_secs(3);

/// A printer without a Chinese font: its receipts are pictures, more than what fits into the kernel and the printer.
const PICTURES: &str = "[printer]\nkind = \"usblp\"\nprofile = \"epson-tm-t88v\"\n";

pub fn paper(table: &mut Table, gateway: &Gateway, scanner: &Scanner, printer: &Printer) -> Result<()> {
    let daemon = Daemon::with(gateway, &(scanner.section("") + USBLP))?;
    daemon.device("printer", true, 3.0)?;
    let scan = |code: &str| scanner.scan(code);
    figures::first_byte(table, gateway, &daemon, printer, scanner);
    table.row("paper out before the sale", || {
        printer.inside().paper = false;
        let said = daemon.device("printer", false, 4.0)?;
        let (before, (id, took)) = (printer.receipts(), paid(gateway, &daemon, scan)?);
        daemon.receipt(&id, "queued", 3.0)?;
        ensure!(printer.receipts() == before, "printed without paper");
        let back = printer.load();
        daemon.receipt(&id, "printed", 6.0)?;
        ensure!(printer.receipts() == before + 1, "{} receipts", printer.receipts() - before);
        Ok(format!(
            "{said:?}; paid in {} ms; printed {:.1} s after loading",
            took.as_millis(),
            back.elapsed().as_secs_f64()
        ))
    });
    table.row("paper out in the middle of the receipt", || {
        let before = printer.receipts();
        printer.inside().paper_for = Some(150);
        let (id, _) = paid(gateway, &daemon, scan)?;
        let said = daemon.device("printer", false, 6.0)?;
        let during = daemon.payment(&id)?["receipt"]["state"].clone();
        ensure!(during == "sending", "receipt is {during}");
        let back = printer.load();
        daemon.receipt(&id, "printed", 10.0)?;
        ensure!(printer.receipts() == before + 1 && printer.has(&id), "not once and whole");
        daemon.device("printer", true, 5.0)?;
        Ok(format!("{said:?}; went on by itself, proved {:.1} s after loading", back.elapsed().as_secs_f64()))
    });
    table.row("paper out after the receipt", || {
        let (id, _) = sale(gateway, &daemon, printer, scan)?;
        printer.inside().paper = false;
        let out = Instant::now();
        daemon.device("printer", false, 5.0)?;
        let noticed = out.elapsed();
        daemon.receipt(&id, "printed", 1.0)?;
        printer.load();
        daemon.device("printer", true, 5.0)?;
        Ok(format!("noticed after {:.1} s, the receipt stays printed", noticed.as_secs_f64()))
    });
    table.row("printer is taken by the daemon alone", || {
        let error = open_lp().err().context("a second open succeeded")?;
        ensure!(error.raw_os_error() == Some(16), "expected EBUSY, got {error}");
        Ok("a second open is EBUSY".to_owned())
    });
    Ok(())
}

pub fn cable(table: &mut Table, gateway: &Gateway, scanner: &Scanner, printer: &mut Printer) -> Result<()> {
    let scan = |code: &str| scanner.scan(code);
    table.row("printer held by another program at the start", || {
        let held = open_lp()?;
        let daemon = Daemon::with(gateway, &(scanner.section("") + USBLP))?;
        let said = daemon.device("printer", false, 3.0)?;
        ensure!(said.contains("in use"), "said {said:?}");
        let (id, _) = paid(gateway, &daemon, scan)?;
        drop(held);
        daemon.receipt(&id, "printed", 10.0)?;
        Ok("said so; printed when it was free".to_owned())
    });
    table.row("printer absent at the start, plugged in later", || {
        printer.pull()?;
        let daemon = Daemon::with(gateway, &(scanner.section("") + USBLP))?;
        let said = daemon.device("printer", false, 3.0)?;
        let before = printer.receipts();
        let (id, _) = paid(gateway, &daemon, scan)?;
        daemon.receipt(&id, "queued", 3.0)?;
        let back = Instant::now();
        printer.plug()?;
        daemon.receipt(&id, "printed", 10.0)?;
        ensure!(printer.receipts() == before + 1, "{} receipts", printer.receipts() - before);
        Ok(format!("{said:?}; printed {:.1} s after it was plugged in", back.elapsed().as_secs_f64()))
    });
    let daemon = Daemon::with(gateway, &(scanner.section("") + USBLP))?;
    table.row("printer unplugged between two receipts", || {
        sale(gateway, &daemon, printer, scan)?;
        printer.pull()?;
        daemon.device("printer", false, 5.0)?;
        printer.plug()?;
        let back = Instant::now();
        daemon.device("printer", true, 5.0)?;
        let took = back.elapsed();
        sale(gateway, &daemon, printer, scan)?;
        Ok(format!("ready {:.1} s after it was plugged in", took.as_secs_f64()))
    });
    table.row("printer unplugged in the middle of a receipt (ENODEV)", || {
        let before = printer.receipts();
        let (id, state, why) = torn(gateway, &daemon, printer, scan, 150)?;
        mend(&daemon, printer)?;
        ensure!(printer.receipts() <= before + 1, "printed again by itself");
        ensure!(daemon.payment(&id)?["receipt"]["state"] == state.as_str(), "changed by itself");
        daemon.reprint(&id)?;
        daemon.receipt(&id, "printed", 10.0)?;
        ensure!(printer.has("【补打】"), "the copy is not marked");
        Ok(format!("{state}: {why:?}; no copy by itself, one marked on request"))
    });
    table.row("daemon killed in the middle of a receipt", || {
        let shop = gateway.shop(&(scanner.section("") + USBLP))?;
        drop(daemon);
        let daemon = Daemon::start(&shop)?;
        daemon.device("scanner", true, 3.0)?;
        printer.inside().jam_after = Some(150);
        let (id, _) = paid(gateway, &daemon, scan)?;
        daemon.receipt(&id, "sending", 3.0)?;
        daemon.process.signal(Signal::KILL)?;
        drop(daemon);
        printer.inside().jam_after = None;
        let daemon = Daemon::start(&shop)?;
        daemon.receipt(&id, "unconfirmed", 3.0)?;
        daemon.device("printer", true, 10.0)?;
        std::thread::sleep(QUIET);
        daemon.receipt(&id, "unconfirmed", 0.1)?;
        Ok("unconfirmed after the restart, no copy by itself".to_owned())
    });
    table.row("receipt as pictures: paper out in the middle", || {
        let daemon = Daemon::with(gateway, &(scanner.section("") + PICTURES))?;
        daemon.device("printer", true, 3.0)?;
        let before = printer.inside().printed.len();
        printer.inside().paper_for = Some(6000);
        let (id, took) = paid(gateway, &daemon, scan)?;
        daemon.device("printer", false, 6.0)?;
        printer.load();
        daemon.receipt(&id, "printed", 10.0)?;
        let bytes = printer.inside().printed.len() - before;
        Ok(format!("paid in {} ms; {bytes} bytes, went on by itself", took.as_millis()))
    });
    table.row("receipt as pictures: unplugged in the middle (ENODEV)", || {
        let daemon = Daemon::with(gateway, &(scanner.section("") + PICTURES))?;
        daemon.device("printer", true, 3.0)?;
        let (_, state, why) = torn(gateway, &daemon, printer, scan, 6000)?;
        let before = printer.inside().printed.len();
        mend(&daemon, printer)?;
        // Zeros end what broke off and leave no mark; questions and set-up commands are a few bytes.
        let inside = printer.inside();
        let came: Vec<u8> = inside.printed[before..].iter().copied().filter(|byte| *byte != 0).collect();
        let first = &came[..came.len().min(40)];
        ensure!(came.len() < 100, "{} bytes came by themselves, at first {first:02x?}", came.len());
        Ok(format!("{state}: {why:?}; nothing by itself"))
    });
    table.row("printer that answers nothing, codes as pictures", || {
        printer.inside().answers = false;
        let daemon = Daemon::with(gateway, &(scanner.section("") + CHEAP))?;
        let before = printer.inside().printed.len();
        let (id, _) = paid(gateway, &daemon, scan)?;
        daemon.receipt(&id, "unconfirmed", 10.0)?;
        let bytes = printer.inside().printed.len() - before;
        printer.inside().answers = true;
        Ok(format!("{bytes} bytes taken, unconfirmed and shown as such"))
    });
    table.row("cheap printer: paper out in the middle of a picture", || {
        let daemon = Daemon::with(gateway, &(scanner.section("") + CHEAP))?;
        daemon.device("printer", true, 3.0)?;
        printer.inside().paper_for = Some(1500);
        let (id, took) = paid(gateway, &daemon, scan)?;
        let said = daemon.device("printer", false, 6.0)?;
        printer.load();
        let (state, why) = ended(&daemon, &id)?;
        ensure!(state == "printed" || state == "unconfirmed", "{state}: {why}");
        ensure!(printer.has(&id), "the receipt is not whole");
        Ok(format!("paid in {} ms; {said:?}; went on after loading, {state}", took.as_millis()))
    });
    Ok(())
}

fn open_lp() -> std::io::Result<std::fs::File> {
    let node = std::fs::read_dir("/dev/usb")?
        .flatten()
        .find(|node| node.file_name().to_string_lossy().starts_with("lp"));
    let node = node.ok_or(std::io::ErrorKind::NotFound)?;
    OpenOptions::new().read(true).write(true).open(node.path())
}

/// A sale of whose receipt so many bytes are taken when the cable is pulled: its id, how the receipt ended, the word on it.
pub fn torn(
    gateway: &Gateway,
    daemon: &Daemon,
    printer: &mut Printer,
    scan: impl FnOnce(&str) -> Result<()>,
    bytes: usize,
) -> Result<(String, String, String)> {
    printer.inside().jam_after = Some(bytes);
    let (id, _) = paid(gateway, daemon, scan)?;
    daemon.receipt(&id, "sending", 3.0)?;
    printer.stuck()?;
    printer.pull()?;
    let (state, why) = ended(daemon, &id)?;
    Ok((id, state, why))
}

/// Plugs it in again, and waits until whatever comes by itself has come.
pub fn mend(daemon: &Daemon, printer: &mut Printer) -> Result<()> {
    printer.inside().jam_after = None;
    printer.plug()?;
    daemon.device("printer", true, 5.0)?;
    std::thread::sleep(QUIET);
    Ok(())
}

/// How a receipt ended, and the word on it.
fn ended(daemon: &Daemon, id: &str) -> Result<(String, String)> {
    let state = crate::until("the receipt ends", 15.0, || {
        let state = text(&daemon.payment(id)?["receipt"]["state"]).to_owned();
        Ok((state != "sending" && state != "queued").then_some(state))
    })?;
    Ok((state, daemon.owed()?))
}
