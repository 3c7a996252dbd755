//! Rows about a printer that is a serial port: what the cable does to a receipt it does here as well.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::Table;
use crate::paper::{mend, torn};
use crate::printer::Printer;
use crate::sales::{paid, sale};
use crate::scanner::Scanner;
use crate::shop::{Daemon, Gateway};

pub fn printer(table: &mut Table, gateway: &Gateway, scanner: &Scanner) -> Result<()> {
    let mut printer = Printer::com(4)?;
    let section = format!(
        "[printer]\nkind = \"serial\"\npath = \"{}\"\nbaud = 115200\nprofile = \"epson-tm-t70ii-ch\"\n",
        printer.port()?.display()
    );
    let scan = |code: &str| scanner.scan(code);
    let daemon = Daemon::with(gateway, &(scanner.section("") + &section))?;
    table.row("serial printer: paper out in the middle of the receipt", || {
        daemon.device("printer", true, 3.0)?;
        printer.inside().paper_for = Some(150);
        let (id, took) = paid(gateway, &daemon, scan)?;
        let said = daemon.device("printer", false, 6.0)?;
        let back = printer.load();
        daemon.receipt(&id, "printed", 10.0)?;
        ensure!(printer.receipts() == 1 && printer.has(&id), "not once and whole");
        daemon.device("printer", true, 5.0)?;
        let back = back.elapsed().as_secs_f64();
        Ok(format!("paid in {} ms; {said:?}; proved {back:.1} s after loading", took.as_millis()))
    });
    table.row("serial printer: unplugged between two receipts", || {
        printer.pull()?;
        let said = daemon.device("printer", false, 5.0)?;
        let before = printer.receipts();
        let (id, _) = paid(gateway, &daemon, scan)?;
        std::thread::sleep(Duration::from_millis(500));
        daemon.receipt(&id, "queued", 1.0)?;
        let plugged = Instant::now();
        printer.plug()?;
        daemon.receipt(&id, "printed", 10.0)?;
        ensure!(printer.receipts() == before + 1, "{} receipts", printer.receipts() - before);
        let took = plugged.elapsed().as_secs_f64();
        sale(gateway, &daemon, &printer, scan)?;
        Ok(format!("{said:?}; what waited was printed once, {took:.1} s after it was plugged in"))
    });
    table.row("serial printer: unplugged in the middle of a receipt", || {
        let before = printer.receipts();
        let (_, state, why) = torn(gateway, &daemon, &mut printer, scan, 150)?;
        mend(&daemon, &mut printer)?;
        ensure!(printer.receipts() <= before + 1, "printed again by itself");
        Ok(format!("{state}: {why:?}; no copy by itself"))
    });
    Ok(())
}
