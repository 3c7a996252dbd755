//! P7: resident memory, idle and under answers that are made to fill it.

use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use anyhow::Result;

use crate::gateway::Temper;
use crate::lane::{Lane, Setup};
use crate::table::Row;

const HOSTILE: [Temper; 6] =
    [Temper::Huge, Temper::HugeChunks, Temper::HugeHead, Temper::Drip, Temper::Fields, Temper::Deep];
/// How long the gateway stays hostile to one sale: some queries get the same answer as the payment.
const HOSTILE_FOR: Duration = Duration::from_millis(3_500);

fn mib(kib: u64) -> String {
    format!("{:.1} MiB", kib as f64 / 1024.0)
}

/// On a fresh journal, or on the one in `state`.
pub fn resident(dir: &Path, state: Option<PathBuf>, payments: &str) -> Result<Vec<Row>> {
    let name = if state.is_some() { "memory-large" } else { "memory" };
    let mut lane = Lane::start(&dir.join(name), &Setup { state, ..Setup::default() })?;
    sleep(Duration::from_secs(1));
    let started = lane.kib("status", "VmRSS:")?;
    for _ in 0..200 {
        lane.sell()?;
    }
    // The journal's upkeep comes with the first quiet moment.
    sleep(Duration::from_secs(7));
    let idle = lane.kib("status", "VmRSS:")?;
    let share = lane.kib("smaps_rollup", "Pss:")?;
    let peak_before = lane.kib("status", "VmHWM:")?;
    for temper in HOSTILE {
        lane.gateway.set_temper(temper);
        lane.open()?;
        sleep(Duration::from_millis(20));
        lane.scan()?;
        lane.seen()?;
        sleep(HOSTILE_FOR);
        lane.gateway.set_temper(Temper::Honest);
        // The next query is answered honestly: the sale ends paid, however hostile the first words were.
        lane.sheet(Duration::from_secs(20))?;
        eprintln!("after {temper:?}: peak {}", mib(lane.kib("status", "VmHWM:")?));
    }
    let peak = lane.kib("status", "VmHWM:")?;
    let row = |what: String, ours: u64, limit: u64| Row {
        goal: "P7",
        what: format!("{what}; journal of {payments}"),
        ours: mib(ours),
        floor: "5.0 MiB, a bare process".to_owned(),
        ratio: format!("≤ {limit} MiB"),
        met: Some(ours <= limit * 1024),
    };
    let told = format!("resident idle after 200 sales (at start {}, PSS {})", mib(started), mib(share));
    Ok(vec![
        row(told, idle, 12),
        row(format!("largest ever, hostile answers (before them {})", mib(peak_before)), peak, 16),
    ])
}
