//! P1, P2, P5 and P10: how long the customer waits, what a sale costs, and that a printer that blocks stops nobody.

use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use anyhow::Result;

use crate::floor::Floor;
use crate::lane::{Lane, Setup};
use crate::table::{Row, at, both, compared};

/// Sales before anything is measured.
const WARM_UP: u32 = 20;

/// `sales` sales, a round of the floor after each.
pub fn sale(dir: &Path, sales: u32) -> Result<Vec<Row>> {
    let mut lane = Lane::start(&dir.join("speed"), &Setup::default())?;
    let hops = lane.hops();
    let mut floor = Floor::start(dir, &lane.gateway, hops)?;
    for _ in 0..WARM_UP {
        lane.sell()?;
        floor.round()?;
    }
    let (mut t1, mut both_ways, mut questions) = (Vec::new(), Vec::new(), Vec::new());
    let (mut t1_floor, mut whole_floor) = (Vec::new(), Vec::new());
    let mut rounds = Vec::new();
    let cpu = lane.cpu()?;
    for _ in 0..sales {
        let sale = lane.sell()?;
        let round = floor.round()?;
        t1.push(sale.t1);
        both_ways.push(sale.t1 + sale.t2.unwrap_or_default());
        questions.push(sale.t1 + sale.t2_question.unwrap_or_default());
        t1_floor.push(round.scan_commit_hop());
        whole_floor.push(round.whole());
        rounds.push(round);
    }
    let cpu = (lane.cpu()? - cpu) / sales;
    let parts =
        |part: fn(&crate::floor::Round) -> Duration| both(&rounds.iter().map(part).collect::<Vec<_>>());
    eprintln!(
        "floor: pty {}, commit {}, hop {}, round trip {}",
        parts(|r| r.ttys[0]),
        parts(|r| r.commits[0]),
        parts(|r| r.hop),
        parts(|r| r.round_trip),
    );
    let n = format!("n = {sales}");
    let mut rows = vec![
        compared("P1", format!("T1, p50 / p99; {n}"), &t1, &t1_floor, 990, 0.5),
        compared("P2", "T1 + T2 to the first byte of the receipt", &both_ways, &whole_floor, 990, 1.25),
        compared(
            "",
            "the same to the first byte at the printer, a question",
            &questions,
            &whole_floor,
            990,
            1.25,
        ),
    ];
    rows.push(Row {
        goal: "P5",
        what: format!("CPU of the whole daemon for a sale, API and receipt included; {n}"),
        ours: format!("{} µs", cpu.as_micros()),
        floor: "gopay's bare call: not run here, no Go modules".to_owned(),
        ratio: String::new(),
        met: None,
    });
    Ok(rows)
}

/// Sales in turn on a lane whose printer prints and on one whose printer takes nothing.
pub fn blocked_printer(dir: &Path, sales: u32) -> Result<Vec<Row>> {
    let mut well = Lane::start(&dir.join("prints"), &Setup::default())?;
    let blocks = Setup { printer_blocks: true, ..Setup::default() };
    let mut ill = Lane::start(&dir.join("blocks"), &blocks)?;
    let (mut well_t1, mut ill_t1) = (Vec::new(), Vec::new());
    let mut lanes = [(&mut well, &mut well_t1), (&mut ill, &mut ill_t1)];
    for n in 0..WARM_UP + sales {
        // Neither always follows the other: what one leaves in the caches is in the next one's way.
        lanes.swap(0, 1);
        for (lane, times) in &mut lanes {
            sleep(Duration::from_millis(20));
            let t1 = lane.sell()?.t1;
            if n >= WARM_UP {
                times.push(t1);
            }
        }
    }
    let tail = crate::table::ratio(at(&ill_t1, 990), at(&well_t1, 990));
    let what =
        format!("T1 while the printer blocks, against one that prints, p50 (p99: {tail:.2}); n = {sales}");
    Ok(vec![compared("P10", what, &ill_t1, &well_t1, 500, 1.05)])
}
