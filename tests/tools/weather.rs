//! The long run of the weather: `cargo run --release --example weather -- --payments 1000000000 --seed 1`.
//!
//! Plays payments against a modelled gateway with every fault there is, and holds each step against the rules. Ends
//! with exit status 1 and the story of the first payment that breaks one; `--first N --payments 1` plays it again.

#[path = "../payment/weather/mod.rs"]
mod weather;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;

/// Payments between two lines of progress.
const STRETCH: u64 = 10_000_000;

#[derive(Parser)]
struct Arguments {
    /// How many payments.
    #[arg(long, default_value_t = 10_000_000)]
    payments: u64,
    /// Which weather.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The first payment's number.
    #[arg(long, default_value_t = 0)]
    first: u64,
    /// How many threads.
    #[arg(long, default_value_t = 2)]
    threads: u64,
    /// Ends after this many seconds even if payments are left, and says how many were played.
    #[arg(long)]
    seconds: Option<u64>,
}

fn main() -> ExitCode {
    let Arguments { payments, seed, first, threads, seconds } = Arguments::parse();
    let began = Instant::now();
    let enough = seconds.map(Duration::from_secs);
    let mut total = weather::Report::default();
    while total.payments < payments && enough.is_none_or(|enough| began.elapsed() < enough) {
        let start = first + total.payments;
        let count = STRETCH.min(payments - total.payments);
        match weather::run(seed, start..start + count, threads.max(1)) {
            Ok(report) => total.join(report),
            Err(story) => {
                eprintln!("{story}");
                return ExitCode::FAILURE;
            }
        }
        let rate = total.payments as f64 / began.elapsed().as_secs_f64();
        let weather::Report { payments, faults, crashes, .. } = total;
        println!("{payments} payments, {faults} faults, {crashes} restarts, {rate:.0} payments a second");
    }
    print!("{total}");
    ExitCode::SUCCESS
}
