//! Figures: how many scans get lost while the reader is starved, and how long a scanner or a receipt takes. A scan that is
//! lost must be said to be lost, and none may be wrong: only that can fail a row.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};

use crate::printer::Printer;
use crate::reading::{BACK_WITHIN, PAUSE, back};
use crate::scanner::Scanner;
use crate::shop::{Daemon, Gateway, Reader, Seen};
use crate::{SCANS, Table};

/// A row of scans ends here, however many were asked for.
const LONGEST: Duration = Duration::from_secs(30 * 60);

/// How long a reader is kept from running, and how long it then runs, at most, in milliseconds. A keyboard's scan takes
/// about 25 ms here, and the kernel has room for 16 of its keys: what is longer loses it if it falls right.
const STARVED: (u64, u64) = (80, 600);

/// How many receipts are timed.
const RECEIPTS: usize = 20;

/// Numbers that look random and are the same in every run (xorshift64, Marsaglia 2003).
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// From 0 to `below`, exclusive.
    pub fn roll(&mut self, below: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % below
    }
}

/// What became of some scans.
#[derive(Default)]
struct Scans {
    right: u32,
    said: u32,
    silent: u32,
    wrong: Vec<String>,
}

impl Scans {
    fn all(&self) -> u32 {
        self.right + self.said + self.silent + self.wrong.len() as u32
    }

    /// Judges what a scan of `code` brought.
    fn note(&mut self, code: &str, seen: Result<Seen>) {
        match seen {
            Err(_) => self.silent += 1,
            Ok(seen) if seen.event == "refused" => self.said += 1,
            Ok(seen) if seen.event == "code" && seen.text.ends_with(&code[14..]) => self.right += 1,
            Ok(seen) => self.wrong.push(format!("{code} became {seen:?}")),
        }
    }
}

/// Reads many codes while the reader is stopped at random.
pub fn scans(table: &mut Table, name: &str, reader: &Reader, mut scan: impl FnMut(&str) -> Result<()>) {
    let wanted = table.scans;
    table.row(&format!("{name}: {wanted} codes, reader starved at random"), || {
        let process = reader.process.id();
        let (stop, mut scans, started) = (AtomicBool::new(false), Scans::default(), Instant::now());
        std::thread::scope(|both| -> Result<()> {
            both.spawn(|| starve(process, &stop));
            let done = (|| {
                for number in 0..wanted {
                    let code = format!("1345000000000{number:05}");
                    scan(&code)?;
                    let seen = reader.next(5.0);
                    let right = seen.as_ref().is_ok_and(|seen| seen.event == "code");
                    scans.note(&code, seen);
                    if !right {
                        // As a cashier does: what follows at once would be taken for its tail.
                        sleep(PAUSE);
                    }
                    if started.elapsed() > LONGEST {
                        break;
                    }
                }
                Ok(())
            })();
            stop.store(true, Ordering::Relaxed);
            done
        })?;
        reader.nothing(0.5)?;
        let Scans { right, said, silent, ref wrong } = scans;
        let all = scans.all();
        let figure = format!(
            "{all} scans: {right} read, {said} lost and said so, {silent} lost silently, {} wrong; {:.1} ms each",
            wrong.len(),
            started.elapsed().as_secs_f64() * 1000.0 / f64::from(all.max(1)),
        );
        if silent > 0 || !wrong.is_empty() {
            bail!("{figure} {wrong:?}");
        }
        Ok(figure)
    });
}

/// Keeps a process from running at random, until `stop`.
fn starve(process: Pid, stop: &AtomicBool) {
    let mut dice = Dice::new(1);
    while !stop.load(Ordering::Relaxed) {
        sleep(Duration::from_millis(dice.roll(STARVED.1)));
        let _ = kill_process(process, Signal::STOP);
        sleep(Duration::from_millis(1 + dice.roll(STARVED.0)));
        let _ = kill_process(process, Signal::CONT);
    }
}

/// How long a scanner that comes back takes to be ready.
pub fn replugs(table: &mut Table, name: &str, scanner: &Scanner, reader: &Reader) {
    // A figure takes some; a quick look a few.
    let pulls = if table.scans > SCANS { 40 } else { 5 };
    table.row(&format!("{name}: replug to ready, {pulls} times"), || {
        let mut dice = Dice::new(2);
        let mut took = Vec::new();
        for _ in 0..pulls {
            scanner.pull()?;
            let gone = reader.next(3.0)?;
            ensure!(gone.event == "trouble", "got {gone:?}");
            sleep(Duration::from_millis(dice.roll(2500)));
            let plugged = Instant::now();
            scanner.plug()?;
            back(reader)?;
            took.push(plugged.elapsed());
        }
        let (figure, longest) = spread(took);
        ensure!(longest <= BACK_WITHIN, "{figure}");
        Ok(figure)
    });
}

/// How long the first byte of a receipt takes: from the moment it is asked for, and from the scan that paid.
pub fn first_byte(
    table: &mut Table,
    gateway: &Gateway,
    daemon: &Daemon,
    printer: &Printer,
    scanner: &Scanner,
) {
    table.row(&format!("job to first byte at the printer, {RECEIPTS} receipts"), || {
        let (mut after_job, mut after_scan) = (Vec::new(), Vec::new());
        for _ in 0..RECEIPTS {
            let id = daemon.open(1250)?;
            let code = gateway.code("pay")?;
            printer.inside().first = None;
            let scanned = Instant::now();
            scanner.scan(&code)?;
            daemon.receipt(&id, "printed", 10.0)?;
            after_scan.push(printer.first(scanned)?);
            printer.inside().first = None;
            let asked = Instant::now();
            daemon.reprint(&id)?;
            after_job.push(printer.first(asked)?);
            daemon.receipt(&id, "printed", 10.0)?;
        }
        Ok(format!("asked for: {}; scan that pays: {}", spread(after_job).0, spread(after_scan).0))
    });
}

/// The middle and the longest of some times, in words; and the longest.
fn spread(mut times: Vec<Duration>) -> (String, Duration) {
    times.sort_unstable();
    let middle = times.get(times.len() / 2).copied().unwrap_or_default();
    let longest = times.last().copied().unwrap_or_default();
    (format!("p50 {} ms, max {} ms", middle.as_millis(), longest.as_millis()), longest)
}
