//! Weather: payments whose every fault is thrown by dice, held against the rules at every step. A seed repeats a payment.

mod dice;
mod driver;
mod gateway;
mod rules;
mod sights;
mod words;
mod world;

use std::fmt;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use micropayd::payment::SalePhase;

use rules::{Broken, Rule};
use sights::SIGHTS;
use world::{Outcome, World};

/// Payments that a thread takes at a time.
const SHARE: u64 = 5_000;
/// A run ends early once this many payments broke a rule.
const ENOUGH: u64 = 100;

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
    /// How many payments broke a rule, by [`Rule::ALL`].
    broken: [u64; Rule::ALL.len()],
    first_broken: Option<u64>,
}

/// Plays the payments `numbers` of the run `seed` on `threads` threads. A rule that was broken is told with the story
/// of the first payment that broke one, and how many of the others broke which.
pub fn run(seed: u64, numbers: Range<u64>, threads: u64) -> Result<Report, String> {
    let next = AtomicU64::new(numbers.start);
    let broken = AtomicU64::new(0);
    let work = || {
        let mut world = World::new(seed);
        let mut report = Report::default();
        loop {
            let start = next.fetch_add(SHARE, Ordering::Relaxed);
            if start >= numbers.end || broken.load(Ordering::Relaxed) >= ENOUGH {
                return report;
            }
            for number in start..(start + SHARE).min(numbers.end) {
                match world.play(number, u32::MAX) {
                    Ok(outcome) => report.add(&outcome),
                    Err(rule) => {
                        broken.fetch_add(1, Ordering::Relaxed);
                        report.add_broken(number, rule.rule);
                    }
                }
            }
        }
    };
    let mut total = Report::default();
    thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        for worker in workers {
            total.join(worker.join().expect("the weather does not panic"));
        }
    });
    match total.first_broken {
        None => Ok(total),
        Some(number) => Err(format!("{}\n{}", total.rules_broken(), story(seed, number))),
    }
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
        for (sight, count) in SIGHTS.iter().zip(self.sights).take(sights::EXPECTED) {
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
        self.broken.iter_mut().zip(more.broken).for_each(|(total, more)| *total += more);
        self.first_broken = self.first_broken.into_iter().chain(more.first_broken).min();
    }

    fn add_broken(&mut self, number: u64, rule: Rule) {
        self.payments += 1;
        self.first_broken = Some(self.first_broken.map_or(number, |first| first.min(number)));
        let index = Rule::ALL.iter().position(|each| *each == rule);
        self.broken[index.expect("every rule is listed")] += 1;
    }

    /// `broken rules: money 12, rest 1, of 5000 payments`; a program reads this line (`--example planted`).
    fn rules_broken(&self) -> String {
        let counts = Rule::ALL.iter().zip(self.broken).filter(|(_, count)| *count > 0);
        let counts: Vec<_> = counts.map(|(rule, count)| format!("{} {count}", rule.name())).collect();
        format!("broken rules: {}, of {} payments", counts.join(", "), self.payments)
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

/// The story of a payment that breaks a rule, with as few of its faults as still break one.
fn story(seed: u64, number: u64) -> String {
    let mut world = World::new(seed);
    let all = word(world.play(number, u32::MAX));
    let budget = (0..200).find(|budget| world.play(number, *budget).is_err()).unwrap_or(u32::MAX);
    let (result, lines) = world.play_aloud(number, budget);
    let shrunk = word(result);
    format!("payment {number} of seed {seed}: {all}\nwith {budget} faults: {shrunk}\n{}", lines.join("\n"))
}

fn word(result: Result<Outcome, Broken>) -> String {
    result.err().map_or_else(|| "no rule is broken".to_owned(), |broken| broken.to_string())
}

#[cfg(test)]
#[test]
fn a_million_payments_keep_every_rule() {
    let report = run(1, 0..1_000_000, 2).unwrap_or_else(|story| panic!("{story}"));
    for (sight, count) in SIGHTS.iter().zip(report.sights).take(sights::EXPECTED) {
        assert!(count > 0, "no payment was {sight}: the weather is too fair to prove anything");
    }
}
