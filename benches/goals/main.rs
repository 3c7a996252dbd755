//! The goals for speed and size, each beside its floor, measured in turn in one run with the real daemon:
//! `cargo bench --bench goals -- [--quick] [--payments N] [--dir DIR] [GOAL …]`. What they mean: docs/performance.md.

mod codec;
mod devices;
mod floor;
mod gateway;
mod growth;
mod idle;
mod lane;
mod memory;
mod speed;
mod syncs;
mod table;

use std::path::PathBuf;

use anyhow::{Context, Result};

/// The journal that large ones are held against.
const SMALL: u32 = 10_000;

fn main() -> Result<()> {
    micropayd::gateway::http::install_ring();
    let mut dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("goals");
    let (mut quick, mut large, mut wanted) = (false, 100_000, Vec::new());
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        match word.as_str() {
            // What cargo itself says.
            "--bench" => {}
            "--quick" => quick = true,
            "--payments" => large = words.next().context("--payments needs a number")?.parse()?,
            "--dir" => dir = words.next().context("--dir needs a directory")?.into(),
            goal => wanted.push(goal.to_ascii_lowercase()),
        }
    }
    let run = dir.join("run");
    // Lanes begin with an empty journal; the large journals beside them are kept.
    let _ = std::fs::remove_dir_all(&run);
    std::fs::create_dir_all(&run)?;
    let wants = |goal: &str| wanted.is_empty() || wanted.iter().any(|name| name == goal);
    let many = |all: u32| if quick { all / 10 } else { all };
    let mut rows = Vec::new();
    if wants("speed") {
        rows.extend(speed::sale(&run, many(1_500))?);
    }
    if wants("codec") {
        rows.extend(codec::codec()?);
    }
    if wants("syncs") && can_trace() {
        rows.extend(syncs::counted(&run, if quick { 1 } else { 6 })?);
    }
    if wants("idle") {
        rows.extend(idle::first_sale(&run, if quick { 1 } else { 3 })?);
    }
    if wants("start") {
        rows.extend(growth::ready(&dir, SMALL, large, many(40).max(10))?);
    }
    if wants("memory") {
        rows.extend(memory::resident(&run, None, "a day")?);
        let state = growth::journal(&dir, large)?;
        rows.extend(memory::resident(&run, Some(state), &format!("{large} payments"))?);
    }
    if wants("journal") {
        rows.extend(growth::journals(&dir, SMALL, large, i64::from(many(300)))?);
        rows.extend(growth::beside_the_copy(&dir, large)?);
    }
    if wants("disk") && can_trace() {
        rows.extend(syncs::slow_disk(&run, many(300))?);
    }
    if wants("printer") {
        rows.extend(speed::blocked_printer(&run, many(500))?);
    }
    table::print(&rows);
    Ok(())
}

/// Says so when strace is missing, and goes on with the rest.
fn can_trace() -> bool {
    let can = syncs::can_trace();
    if !can {
        eprintln!("strace is missing: syncs are not counted, no disk is slowed down");
    }
    can
}
