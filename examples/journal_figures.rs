//! Measures the journal on the disk at hand: commits, bytes, starts, searches; syncs when run under `strace -fc`.
//!
//! `cargo run --release --example journal_figures -- --dir DIR --fill 1000000 --sales 1000`
//!
//! `--fill` takes that many sales first, unmeasured and without idle moments, to see what a large journal costs.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use micropayd::ids::{CodeHint, TerminalId};
use micropayd::journal::{Durability, Entry, JobChange, Journal, Opened, Settings};
use micropayd::money::Amount;
use micropayd::payment::{Payment, Phase, Policy, Proof};
use micropayd::sale::{Filter, ReceiptState, Sale};
use micropayd::time::Timestamp;

/// What one sale's commits took, in the order of its life.
#[derive(Default)]
struct Took {
    open: Vec<Duration>,
    scan: Vec<Duration>,
    paid: Vec<Duration>,
    print: Vec<Duration>,
    idle: Vec<Duration>,
}

fn main() -> anyhow::Result<()> {
    let mut dir = PathBuf::from("target/journal_figures");
    let mut sales = 1_000u32;
    let mut fill = 0u32;
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let value = arguments.next().ok_or_else(|| anyhow::anyhow!("{argument} needs a value"))?;
        match argument.as_str() {
            "--dir" => dir = value.into(),
            "--sales" => sales = value.parse()?,
            "--fill" => fill = value.parse()?,
            other => anyhow::bail!("argument {other} is not known, expected --dir, --fill or --sales"),
        }
    }
    let settings = Settings { dir: dir.clone() };
    let terminal: TerminalId = "T01".parse().map_err(anyhow::Error::msg)?;
    let began = Instant::now();
    let Opened { mut journal, open, .. } = Journal::open(&settings, &terminal)?;
    println!("open: {:?}, {} sales open", began.elapsed(), open.len());

    // 2026-11-21 in Beijing, a sale a minute from where an earlier run stopped.
    let base = 1_795_190_400_000 + journal.records().newest()? as i64 * 12_000;
    for number in 0..fill {
        sell(&mut journal, Timestamp(base + i64::from(number) * 60_000), &mut Took::default())?;
    }
    if fill > 0 {
        println!("filled with {fill} sales in {:?}", began.elapsed());
    }
    let base = base + i64::from(fill) * 60_000;
    let mut took = Took::default();
    let began = Instant::now();
    let mut last = None;
    for number in 0..sales {
        last = Some(sell(&mut journal, Timestamp(base + i64::from(number) * 60_000), &mut took)?);
        let began = Instant::now();
        journal.idle()?;
        took.idle.push(began.elapsed());
    }
    println!("{sales} sales in {:?}", began.elapsed());
    for (name, times) in [
        ("open_sale, synced", &mut took.open),
        ("scan, unsynced", &mut took.scan),
        ("paid, synced", &mut took.paid),
        ("print, unsynced", &mut took.print),
        ("idle", &mut took.idle),
    ] {
        times.sort();
        let at = |share: usize| times.get(times.len() * share / 1000).copied().unwrap_or_default();
        println!("{name}: p50 {:?} p99 {:?} p99.9 {:?}", at(500), at(990), at(999));
    }
    read(&journal, last)?;
    journal.close()?;
    let newest = micropayd::journal::read_only(&settings)?.newest()?;
    let bytes = std::fs::metadata(dir.join("journal.db"))?.len();
    println!("{newest} steps, {bytes} bytes, {} bytes a sale of 5 steps", bytes * 5 / newest.max(1));
    let mut opens: Vec<Duration> = Vec::new();
    for _ in 0..20 {
        let began = Instant::now();
        let opened = Journal::open(&settings, &terminal)?;
        opens.push(began.elapsed());
        opened.journal.close()?;
    }
    opens.sort();
    println!("open after a clean end: p50 {:?} max {:?}", opens[10], opens[19]);
    Ok(())
}

/// Reads what a cashier and a manager read.
fn read(journal: &Journal, last: Option<Sale>) -> anyhow::Result<()> {
    let records = journal.records();
    let Some(last) = last else { return Ok(()) };
    let text = |text: &str| Filter { text: Some(text.to_owned()), limit: 50, ..Filter::default() };
    let day = Filter { day: Some(last.created_at.day()), limit: 50, ..Filter::default() };
    let number = last.payment.paid().map_or("", |(_, proof)| proof.gateway_txn.as_str());
    for (name, filter) in [
        ("newest page", Filter { limit: 50, ..Filter::default() }),
        ("day's page", day),
        ("search by order number", text(last.id.order(1).as_str())),
        ("search by the gateway's number", text(number)),
        ("search by a part that is nowhere", text("nowhere")),
        ("search by a prefix of every id", text("T01")),
    ] {
        let mut times = Vec::new();
        for _ in 0..20 {
            let began = Instant::now();
            records.page(&filter)?;
            times.push(began.elapsed());
        }
        times.sort();
        println!("{name}: p50 {:?} max {:?}", times[10], times[19]);
    }
    let began = Instant::now();
    let totals = records.totals(last.created_at.day())?;
    println!("day's totals: {:?}, {} paid", began.elapsed(), totals.paid_count);
    Ok(())
}

/// One paid sale, as the terminal takes it: two synced commits, three that are not.
fn sell(journal: &mut Journal, at: Timestamp, took: &mut Took) -> anyhow::Result<Sale> {
    let timed = |times: &mut Vec<Duration>, began: Instant| times.push(began.elapsed());
    let fen = 1250;
    let id = journal.name_sale(at.day())?;
    let mut sale = Sale {
        payment: Payment::new(Amount::from_fen(fen)?, false, at, &Policy::default()),
        subject: "朝阳门店-消费".to_owned(),
        reference: None,
        gateway: "wechat".to_owned(),
        receipt: ReceiptState::None,
        copies: 0,
        created_at: at,
        updated_at: at,
        id,
    };
    let key = format!("0190d4f2-{}", sale.id);
    let began = Instant::now();
    journal.open_sale(
        &Entry { at, event: &format!("open {} 12.50", sale.id), sale: &sale, job: None },
        &key,
        "12.50",
    )?;
    timed(&mut took.open, began);

    let sent_at = at + Duration::from_millis(4_000);
    let attempt = sale.payment.attempts.last_mut().expect("one attempt");
    attempt.phase = Phase::Paying { sent_at, payer_asked: false, refusal: None, interrupted: false };
    attempt.hint = CodeHint::from_digits("8406");
    attempt.wake = Some(sent_at + Duration::from_secs(5));
    sale.updated_at = sent_at;
    let event = format!("code …8406 {}", sale.id);
    let began = Instant::now();
    journal.append(&Entry { at: sent_at, event: &event, sale: &sale, job: None }, Durability::ProcessEnd)?;
    timed(&mut took.scan, began);

    let paid_at = sent_at + Duration::from_millis(400);
    let gateway_txn = format!("42000026712026112{:011}", at.0 / 1_000 % 100_000_000_000);
    let event = format!("paid {} {gateway_txn}", sale.id);
    let attempt = sale.payment.attempts.last_mut().expect("one attempt");
    attempt.phase = Phase::Paid(Proof { gateway_txn, paid_at, payer_paid: fen, coupon: 0 });
    attempt.wake = None;
    (sale.receipt, sale.copies, sale.updated_at) = (ReceiptState::Queued, 1, paid_at);
    let new = JobChange { job: None, state: ReceiptState::Queued, marked: false };
    let began = Instant::now();
    let entry = Entry { at: paid_at, event: &event, sale: &sale, job: Some(new) };
    let job = journal.append(&entry, Durability::PowerCut)?.job;
    timed(&mut took.paid, began);

    for (state, event) in [(ReceiptState::Sending, "printing"), (ReceiptState::Printed, "printed")] {
        sale.receipt = state;
        let change = JobChange { job, state, marked: false };
        let began = Instant::now();
        let entry = Entry { at: paid_at, event, sale: &sale, job: Some(change) };
        journal.append(&entry, Durability::ProcessEnd)?;
        timed(&mut took.print, began);
    }
    Ok(sale)
}
