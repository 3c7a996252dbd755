//! P6 and P8: what a journal costs when it is large. Journals are made once and kept in `target/`.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use micropayd::ids::{CodeHint, TerminalId};
use micropayd::journal::{Durability, Entry, JobChange, Journal, Opened, Settings};
use micropayd::money::Amount;
use micropayd::payment::{Payment, Phase, Policy, Proof, Reversal, Why};
use micropayd::sale::{Filter, ReceiptState, Sale};
use micropayd::time::Timestamp;

use crate::gateway::FEN;
use crate::lane::{configure, launch};
use crate::table::{Row, at, both, compared, ratio};

/// Sales that stay open in each journal.
const OPEN: u32 = 3;
/// 2026-01-01 in Beijing.
const BEGIN: i64 = 1_767_196_800_000;

/// A journal of so many payments, made if it is not there yet.
pub fn journal(dir: &Path, payments: u32) -> Result<PathBuf> {
    let dir = dir.join(format!("journal-{payments}"));
    let whole = dir.join("whole");
    if whole.exists() {
        return Ok(dir);
    }
    let _ = std::fs::remove_dir_all(&dir);
    std::fs::create_dir_all(&dir)?;
    let began = Instant::now();
    let Opened { mut journal, .. } = open(&dir)?;
    for n in 0..payments {
        // A sale every 30 s, so that a day has as many in a large journal as in a small one.
        sell(&mut journal, Timestamp(BEGIN + i64::from(n) * 30_000), n + OPEN >= payments)?;
        if n % 100_000 == 99_999 {
            eprintln!("journal of {payments}: {} written after {:?}", n + 1, began.elapsed());
        }
    }
    journal.close()?;
    std::fs::write(whole, "")?;
    Ok(dir)
}

fn open(dir: &Path) -> Result<Opened> {
    let terminal: TerminalId = "T01".parse().map_err(anyhow::Error::msg)?;
    Ok(Journal::open(&Settings { dir: dir.to_owned() }, &terminal)?)
}

/// One paid sale as the terminal takes it, or one whose reversal never ends. What the synced commit of its end took.
fn sell(journal: &mut Journal, at: Timestamp, stays_open: bool) -> Result<Duration> {
    let id = journal.name_sale(at.day())?;
    let mut sale = Sale {
        refunds: Vec::new(),
        payment: Payment::new(Amount::from_fen(FEN)?, false, at, &Policy::default()),
        subject: "朝阳门店-消费".to_owned(),
        reference: None,
        gateway: "wechat".to_owned(),
        receipt: ReceiptState::None,
        copies: 0,
        created_at: at,
        updated_at: at,
        id,
    };
    let key = format!("bench-{}", sale.id);
    journal.open_sale(
        &Entry { at, event: "opened 12.50 -> awaiting_code", sale: &sale, job: None },
        &key,
        "",
    )?;
    let sent_at = at + Duration::from_secs(4);
    let attempt = sale.payment.attempts.last_mut().context("a sale has an attempt")?;
    attempt.phase = Phase::Paying { sent_at, payer_asked: false, refusal: None, interrupted: false };
    attempt.hint = CodeHint::from_digits("8406");
    attempt.wake = Some(sent_at + Duration::from_secs(5));
    sale.updated_at = sent_at;
    let entry = Entry { at: sent_at, event: "code …8406 -> paying", sale: &sale, job: None };
    journal.append(&entry, Durability::ProcessEnd)?;
    let ended = sent_at + Duration::from_millis(400);
    let attempt = sale.payment.attempts.last_mut().context("a sale has an attempt")?;
    if stays_open {
        let why = Why::GaveUp;
        attempt.phase = Phase::Reversing(Reversal { tries: 1, ..Reversal::new(sent_at, ended, why) });
        let entry = Entry { at: ended, event: "gave up -> reversing", sale: &sale, job: None };
        journal.append(&entry, Durability::PowerCut)?;
        return Ok(Duration::ZERO);
    }
    let gateway_txn = format!("42000026712026112{:011}", at.0 / 1_000 % 100_000_000_000);
    attempt.phase = Phase::Paid(Proof { gateway_txn, paid_at: ended, payer_paid: FEN, coupon: 0 });
    attempt.wake = None;
    (sale.receipt, sale.copies, sale.updated_at) = (ReceiptState::Queued, 1, ended);
    let new = JobChange { job: None, state: ReceiptState::Queued, marked: false };
    let began = Instant::now();
    let entry = Entry { at: ended, event: "paid -> paid", sale: &sale, job: Some(new) };
    let job = journal.append(&entry, Durability::PowerCut)?.job;
    let took = began.elapsed();
    for state in [ReceiptState::Sending, ReceiptState::Printed] {
        sale.receipt = state;
        let job = Some(JobChange { job, state, marked: false });
        journal.append(&Entry { at: ended, event: "receipt 1", sale: &sale, job }, Durability::ProcessEnd)?;
    }
    Ok(took)
}

/// Exec to READY, in turn with the small and the large journal.
pub fn ready(dir: &Path, small: u32, large: u32, starts: u32) -> Result<Vec<Row>> {
    let lane = dir.join("starts");
    std::fs::create_dir_all(&lane)?;
    // Nobody answers there: what is open stays open.
    let (gateway, _reports) = crate::gateway::Gateway::start(&lane)?;
    let nowhere = "127.0.0.1:1".parse()?;
    let (_scanner, scanner) = crate::devices::pseudo_terminal()?;
    let printer = crate::devices::Printer::start()?;
    drop(gateway);
    let states = [journal(dir, small)?, journal(dir, large)?];
    let mut times = [Vec::new(), Vec::new()];
    for n in 0..starts + 2 {
        for (state, times) in states.iter().zip(&mut times) {
            let listen = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?;
            configure(&lane, state, nowhere, &scanner, &printer.path, listen)?;
            let (mut child, pid, after) = launch(&lane, &[])?;
            crate::lane::stop(&mut child, pid)?;
            if n >= 2 {
                times.push(after);
            }
        }
    }
    let [small_times, large_times] = times;
    let what = format!("exec → READY, {large} payments, {OPEN} open, against {small}, p50; n = {starts}");
    let ten = at(&large_times, 500) <= Duration::from_millis(10);
    Ok(vec![
        compared("P6", what, &large_times, &small_times, 500, 1.2),
        Row {
            goal: "P6",
            what: format!("exec → READY, {large} payments, p50 / p99"),
            ours: both(&large_times),
            floor: "800–1,400 µs, a bare process".to_owned(),
            ratio: "≤ 10 ms".to_owned(),
            met: Some(ten),
        },
    ])
}

/// Commit, day report and search, in turn in the small and the large journal.
pub fn journals(dir: &Path, small: u32, large: u32, commits: i64) -> Result<Vec<Row>> {
    let mut opened = [open(&journal(dir, small)?)?, open(&journal(dir, large)?)?];
    let counts = [small, large];
    let mut kept = [Vec::new(), Vec::new()];
    let mut reports = [Vec::new(), Vec::new()];
    let mut searches = [Vec::new(), Vec::new()];
    for n in 0..commits {
        for (place, Opened { journal, .. }) in opened.iter_mut().enumerate() {
            std::thread::sleep(Duration::from_millis(2));
            let last = BEGIN + i64::from(counts[place]) * 30_000;
            kept[place].push(sell(journal, Timestamp(last + (n + 1) * 30_000), false)?);
            let records = journal.records();
            // A day in the middle of what both have.
            let day = Timestamp(BEGIN + i64::from(small) * 15_000).day();
            let began = Instant::now();
            let totals = records.totals(day)?;
            reports[place].push(began.elapsed());
            anyhow::ensure!(totals.paid_count > 1_000, "the day has its sales: {totals:?}");
            let number = format!("42000026712026112{:011}", (BEGIN + i64::from(small) * 15_000) / 1_000);
            for (text, hits) in [(number, 1), ("nowhere".to_owned(), 0)] {
                let filter = Filter { text: Some(text), limit: 50, ..Filter::default() };
                let began = Instant::now();
                let page = records.page(&filter)?;
                searches[place].push(began.elapsed());
                anyhow::ensure!(page.sales.len() == hits, "expected {hits}, found {}", page.sales.len());
            }
        }
    }
    for Opened { journal, .. } in opened {
        journal.close()?;
    }
    let tail = at(&searches[1], 990);
    Ok(vec![
        compared(
            "P8",
            format!("commit, {large} payments against {small}, p50"),
            &kept[1],
            &kept[0],
            500,
            1.15,
        ),
        compared("P8", "day report", &reports[1], &reports[0], 500, 1.5),
        Row {
            goal: "P8",
            what: format!("log search, {large} payments: a number, and a text that is nowhere"),
            ours: both(&searches[1]),
            floor: both(&searches[0]),
            ratio: format!("p99 ≤ 20 ms ({:.1} ×)", ratio(tail, at(&searches[0], 990))),
            met: Some(tail <= Duration::from_millis(20)),
        },
    ])
}

/// Commits while the day's copy is made, against commits when it is done.
pub fn beside_the_copy(dir: &Path, payments: u32) -> Result<Vec<Row>> {
    let state = journal(dir, payments)?;
    let backup = state.join("backup");
    let _ = std::fs::remove_dir_all(&backup);
    let Opened { mut journal, .. } = open(&state)?;
    let copies = || {
        let names = std::fs::read_dir(&backup).into_iter().flatten().flatten().map(|file| file.path());
        let is_whole = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "db");
        names.filter(is_whole).count()
    };
    // After those that `journals` sold.
    let mut now = Timestamp(BEGIN + i64::from(payments + 10_000) * 30_000);
    let mut sell = |journal: &mut Journal| {
        now = now + Duration::from_secs(30);
        std::thread::sleep(Duration::from_millis(2));
        self::sell(journal, now, false)
    };
    sell(&mut journal)?;
    journal.idle()?;
    let (began, mut beside, mut alone) = (Instant::now(), Vec::new(), Vec::new());
    while copies() == 0 {
        beside.push(sell(&mut journal)?);
        anyhow::ensure!(began.elapsed() < Duration::from_secs(600), "the copy is never done");
    }
    let copied = began.elapsed();
    for _ in 0..beside.len().max(200) {
        alone.push(sell(&mut journal)?);
    }
    journal.close()?;
    let worst = |times: &[Duration]| times.iter().max().map_or(0, Duration::as_millis);
    Ok(vec![Row {
        goal: "P8",
        what: format!(
            "commit beside the day's copy, {payments} payments, which takes {:.1} s; n = {}",
            copied.as_secs_f64(),
            beside.len()
        ),
        ours: format!("{}, worst {} ms", both(&beside), worst(&beside)),
        floor: format!("{} without it, worst {} ms", both(&alone), worst(&alone)),
        ratio: format!("p50 {:.1}", ratio(at(&beside, 500), at(&alone, 500))),
        met: None,
    }])
}
