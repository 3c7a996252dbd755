//! Weather: payments whose every fault is thrown by dice, held against the rules at every step. A seed repeats a payment.

mod dice;
mod gateway;
mod rules;
mod world;

use std::fmt;
use std::thread;

use micropayd::payment::SalePhase;

pub use world::{Broken, Outcome, SIGHTS};

/// What a run saw.
#[derive(Default)]
pub struct Report {
    pub payments: u64,
    pub faults: u64,
    pub crashes: u64,
    pub steps: u64,
    pub calls: u64,
    /// The longest time from the last thing that happened outside to the end, milliseconds.
    pub late: i64,
    /// How many payments met each of [`SIGHTS`].
    pub sights: [u64; SIGHTS.len()],
    /// How sales ended, by [`SalePhase::ALL`].
    pub ends: [u64; SalePhase::ALL.len()],
}

/// Plays payments `first..first + count` of the run `seed` on `threads` threads; the first broken rule with its story.
pub fn run(seed: u64, first: u64, count: u64, threads: u64) -> Result<Report, String> {
    let share = |index: u64| (first + count * index / threads)..(first + count * (index + 1) / threads);
    let reports = thread::scope(|scope| {
        let workers: Vec<_> =
            (0..threads).map(|index| scope.spawn(move || stretch(seed, share(index)))).collect();
        workers
            .into_iter()
            .map(|worker| worker.join().expect("the weather does not panic"))
            .collect::<Vec<_>>()
    });
    let mut total = Report::default();
    for report in reports {
        total.join(report?);
    }
    Ok(total)
}

fn stretch(seed: u64, numbers: std::ops::Range<u64>) -> Result<Report, String> {
    let mut report = Report::default();
    for number in numbers {
        match world::play(seed, number, u32::MAX, false).0 {
            Ok(outcome) => report.add(&outcome),
            Err(broken) => return Err(story(seed, number, &broken)),
        }
    }
    Ok(report)
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { payments, steps, calls, faults, crashes, .. } = self;
        writeln!(
            f,
            "{payments} payments, {steps} steps, {calls} calls, {faults} faults, {crashes} restarts, no rule broken"
        )?;
        writeln!(f, "at rest at most {} s after the last thing that happened outside", self.late / 1000)?;
        for (phase, count) in SalePhase::ALL.iter().zip(self.ends).filter(|(phase, _)| phase.is_final()) {
            writeln!(f, "{count:>12} ended {}", phase.label())?;
        }
        for (sight, count) in SIGHTS.iter().zip(self.sights) {
            writeln!(f, "{count:>12} were {sight}")?;
        }
        Ok(())
    }
}

impl Report {
    /// Adds another run's sights to these.
    pub fn join(&mut self, more: Report) {
        self.payments += more.payments;
        self.faults += more.faults;
        self.crashes += more.crashes;
        self.steps += more.steps;
        self.calls += more.calls;
        self.late = self.late.max(more.late);
        self.sights.iter_mut().zip(more.sights).for_each(|(total, more)| *total += more);
        self.ends.iter_mut().zip(more.ends).for_each(|(total, more)| *total += more);
    }

    fn add(&mut self, outcome: &Outcome) {
        self.payments += 1;
        self.faults += u64::from(outcome.faults);
        self.late = self.late.max(outcome.late);
        self.crashes += u64::from(outcome.crashes);
        self.steps += u64::from(outcome.steps);
        self.calls += u64::from(outcome.calls);
        for (index, count) in self.sights.iter_mut().enumerate() {
            *count += u64::from(outcome.sights >> index & 1);
        }
        if let Some(end) = outcome.end {
            let index = SalePhase::ALL.iter().position(|phase| *phase == end);
            self.ends[index.expect("every phase is listed")] += 1;
        }
    }
}

/// The story of a payment that broke a rule, with as few of its faults as still break one.
fn story(seed: u64, number: u64, broken: &Broken) -> String {
    let budget =
        (0..200).find(|budget| world::play(seed, number, *budget, false).0.is_err()).unwrap_or(u32::MAX);
    let (result, lines) = world::play(seed, number, budget, true);
    let shrunk = result.err().unwrap_or_default();
    format!("payment {number} of seed {seed}: {broken}\nwith {budget} faults: {shrunk}\n{}", lines.join("\n"))
}

#[cfg(test)]
#[test]
fn a_million_payments_keep_every_rule() {
    let report = run(1, 0, 1_000_000, 2).unwrap_or_else(|story| panic!("{story}"));
    for (sight, count) in SIGHTS.iter().zip(report.sights) {
        assert!(count > 0, "no payment was {sight}: the weather is too fair to prove anything");
    }
}
