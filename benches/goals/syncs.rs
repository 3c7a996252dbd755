//! P1's other half, P3 and P9: which syncs the daemon asks for, counted by strace, and what a slow disk does to a scan.

use std::path::Path;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};

use crate::lane::{Lane, Setup};
use crate::table::{Row, at, both};

const SYNCS: &str = "fsync,fdatasync,sync,syncfs,msync,sync_file_range";
/// Sales between two idle moments: with two synced commits each, the fewest after which the log is checkpointed, and so
/// the dearest case.
const BURST: u32 = 48;
/// Longer than the quiet time before the journal's upkeep.
const IDLE: Duration = Duration::from_millis(6_500);

/// Whether strace is there; without it these goals cannot be measured.
pub fn can_trace() -> bool {
    Command::new("strace").arg("-V").output().is_ok_and(|told| told.status.success())
}

fn strace(arguments: &[&str]) -> Setup {
    let wrap = ["strace", "-f"].iter().chain(arguments).map(|&word| word.to_owned()).collect();
    Setup { wrap, ..Setup::default() }
}

/// Seconds since 1970, as strace stamps its lines.
fn now() -> f64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

/// Bursts of sales with an idle moment after each.
pub fn counted(dir: &Path, bursts: u32) -> Result<Vec<Row>> {
    std::fs::create_dir_all(dir)?;
    let path = dir.join("trace");
    let out = path.to_str().context("path is text")?.to_owned();
    let calls = format!("trace={SYNCS},read,write,writev,sendto,sendmsg");
    let mut lane =
        Lane::start(&dir.join("traced"), &strace(&["-ttt", "-s", "24", "-o", &out, "-e", &calls]))?;
    lane.sell()?;
    sleep(IDLE);
    let from = now();
    for _ in 0..bursts {
        for _ in 0..BURST {
            lane.sell()?;
        }
        sleep(IDLE);
    }
    let to = now();
    lane.stop()?;
    let trace = std::fs::read_to_string(&path)?;
    let sales = bursts * BURST;
    let all = trace.lines().filter(|line| is_sync(line) && (from..to).contains(&stamp(line))).count();
    let (scans, between) = between_scan_and_request(&trace);
    let each = all as f64 / f64::from(sales);
    Ok(vec![
        Row {
            goal: "P1",
            what: format!("syncs between the last scanner byte and the last request byte; {scans} scans"),
            ours: between.to_string(),
            floor: "0".to_owned(),
            ratio: "= 0".to_owned(),
            met: Some(between == 0 && scans >= sales as usize),
        },
        Row {
            goal: "P3",
            what: format!("syncs for each paid sale, checkpoints included; {sales} sales in {bursts} bursts"),
            ours: format!("{each:.3}"),
            floor: "2".to_owned(),
            ratio: format!("{each:.3} ≤ 2.1"),
            met: Some(each <= 2.1),
        },
    ])
}

/// Calls and stamps of a line `PID SECONDS CALL(…`. The second half of an interrupted call is none.
fn call(line: &str) -> &str {
    line.splitn(3, ' ').nth(2).map_or("", str::trim_start)
}

fn stamp(line: &str) -> f64 {
    line.split_whitespace().nth(1).and_then(|text| text.parse().ok()).unwrap_or(0.0)
}

fn is_sync(line: &str) -> bool {
    let name = line.split_whitespace().nth(2).unwrap_or_default();
    name.split_once('(').is_some_and(|(name, _)| SYNCS.split(',').any(|sync| sync == name))
}

/// Scans that led to a request, and the syncs that any thread asked for in between.
fn between_scan_and_request(trace: &str) -> (usize, usize) {
    let (mut scans, mut syncs) = (0, 0);
    let mut open: Option<usize> = None;
    for line in trace.lines() {
        let text = call(line.trim_start());
        if text.contains(r#"\r", 4096) = "#) {
            open = Some(0);
        } else if let Some(so_far) = &mut open {
            let sends =
                ["write(", "writev(", "sendto(", "sendmsg("].iter().any(|name| text.starts_with(name));
            if is_sync(line) {
                *so_far += 1;
            } else if sends && text.contains(r#""\27\3\3"#) {
                scans += 1;
                syncs += *so_far;
                open = None;
            }
        }
    }
    (scans, syncs)
}

/// Sales in turn on two lanes, one with a disk that needs 20 ms for each sync.
pub fn slow_disk(dir: &Path, sales: u32) -> Result<Vec<Row>> {
    let calls = "trace=fsync,fdatasync";
    let quick = ["--seccomp-bpf", "-o", "/dev/null", "-e", calls];
    let delayed = "inject=fsync,fdatasync:delay_enter=20000";
    let slow = ["--seccomp-bpf", "-o", "/dev/null", "-e", calls, "-e", delayed];
    let mut quick = Lane::start(&dir.join("quick"), &strace(&quick))?;
    let mut slow = Lane::start(&dir.join("slow"), &strace(&slow))?;
    let (mut quick_t1, mut slow_t1) = (Vec::new(), Vec::new());
    for n in 0..sales + 10 {
        sleep(Duration::from_millis(10));
        let one = quick.sell()?.t1;
        sleep(Duration::from_millis(10));
        let other = slow.sell()?.t1;
        if n >= 10 {
            quick_t1.push(one);
            slow_t1.push(other);
        }
    }
    let more = |share| at(&slow_t1, share).as_secs_f64() * 1e3 - at(&quick_t1, share).as_secs_f64() * 1e3;
    Ok(vec![Row {
        goal: "P9",
        what: format!("T1 with a disk that needs 20 ms to sync, against this one; n = {sales}"),
        ours: both(&slow_t1),
        floor: both(&quick_t1),
        ratio: format!("p50 {:+.3} ms, p99 {:+.3} ms; ≤ 1 ms", more(500), more(990)),
        met: Some(more(500) <= 1.0),
    }])
}
