//! What runs inside the virtual machine of `tests/vm/run`: plays scanners, a printer and a cashier, and says of each row
//! whether the program on the other side did the right thing. Runs nowhere else.

mod figures;
mod gadget;
mod paper;
mod power;
mod printer;
mod reader;
mod reading;
mod record;
mod sales;
mod scanner;
mod serial;
mod shop;

use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};

use crate::printer::Printer;
use crate::scanner::{Guise, Scanner};
use crate::shop::Gateway;

/// How many scans a row of many has, unless it is said otherwise.
pub const SCANS: u32 = 100;

/// The rows that were tried so far.
pub struct Table {
    only: String,
    /// How many scans a row of many has.
    pub scans: u32,
    tried: u32,
    failed: u32,
    started: Instant,
}

impl Table {
    /// Tries a row and prints how it went.
    pub fn row(&mut self, name: &str, body: impl FnOnce() -> Result<String>) {
        if !name.contains(&self.only) {
            return;
        }
        self.tried += 1;
        let (word, detail) = match body() {
            Ok(detail) => ("passed", detail),
            Err(error) => {
                self.failed += 1;
                ("failed", format!("{error:#}"))
            }
        };
        println!(
            "{name} | {word} | {:.1} {}",
            self.started.elapsed().as_secs_f64(),
            detail.replace('\n', " ")
        );
    }

    /// Notes that a part of the table could not even be set up.
    fn broke(&mut self, part: &str, done: Result<()>) {
        if let Err(error) = done {
            self.row(&format!("{part}: set up"), || Err(error));
        }
    }
}

/// Asks `try_it` until it has an answer.
pub fn until<T>(what: &str, seconds: f64, mut try_it: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let end = Instant::now() + Duration::from_secs_f64(seconds);
    loop {
        if let Some(found) = try_it()? {
            return Ok(found);
        }
        if Instant::now() >= end {
            return Err(anyhow!("not within {seconds} s: {what}"));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn main() -> Result<()> {
    match std::env::args().nth(1).as_deref() {
        Some("live") => return power::live(),
        Some("settle") => return power::settle(),
        _ => {}
    }
    let mut arguments = std::env::args().skip(1);
    let only = arguments.next().unwrap_or_default();
    if let ("read", Some(config)) = (only.as_str(), arguments.next()) {
        return reader::run(&config);
    }
    let scans = std::env::var("SCANS").ok().and_then(|count| count.parse().ok()).unwrap_or(SCANS);
    let mut table = Table { only, scans, tried: 0, failed: 0, started: Instant::now() };
    println!("row | result | detail");
    let gateway = Gateway::start()?;
    let keyboard = Scanner::plugged(0, Guise::Keyboard, "hid.keys")?;
    let point_of_sale = Scanner::plugged(1, Guise::PointOfSale, "hid.pos")?;
    let acm = Scanner::plugged(2, Guise::Acm, "acm.com")?;
    if table.only == "record" {
        return record::all(&keyboard, &point_of_sale);
    }
    let done = reading::keyboard(&mut table, &gateway, &keyboard);
    table.broke("keyboard", done);
    let done = reading::point_of_sale(&mut table, &gateway, &point_of_sale);
    table.broke("HID-POS", done);
    let done = reading::acm(&mut table, &gateway, &acm);
    table.broke("USB COM", done);
    for (name, near, far) in
        [("RS-232", "/dev/ttyS1", "/dev/ttyS2"), ("USB bridge", "/dev/ttyUSB0", "/dev/ttyS3")]
    {
        let done = reading::cable(&mut table, &gateway, name, near, far);
        table.broke(name, done);
    }
    let mut printer = Printer::plugged(3)?;
    let scanners = [("keyboard", &keyboard), ("HID-POS", &point_of_sale), ("USB COM", &acm)];
    sales::kinds(&mut table, &gateway, &scanners, &printer);
    sales::together(&mut table, &gateway, &scanners, &printer);
    let done = sales::habits(&mut table, &gateway, &keyboard, &point_of_sale);
    table.broke("two scanners", done);
    let done = serial::printer(&mut table, &gateway, &acm);
    table.broke("serial printer", done);
    let done = paper::paper(&mut table, &gateway, &acm, &printer);
    table.broke("paper", done);
    let done = paper::cable(&mut table, &gateway, &acm, &mut printer);
    table.broke("printer", done);
    let Table { tried, failed, started, .. } = table;
    if failed > 0 {
        for log in ["/tmp/simulator.log", "/tmp/reader.log", "/tmp/daemon.log"] {
            let text = std::fs::read_to_string(log).unwrap_or_default();
            let lines: Vec<_> = text.lines().collect();
            println!("--- {log}\n{}", lines[lines.len().saturating_sub(40)..].join("\n"));
        }
    }
    println!("vm: {:.1} s after the first row", started.elapsed().as_secs_f64());
    match failed {
        0 => println!("vm: all {tried} rows passed"),
        _ => println!("vm: {failed} of {tried} rows failed"),
    }
    Ok(())
}
