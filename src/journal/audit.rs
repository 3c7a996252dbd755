//! Everything held against everything: for day close, for backups, for `doctor`. Reads only, and changes nothing.

use std::collections::BTreeMap;
use std::path::Path;

use rusqlite::{Connection, OptionalExtension};

use super::chain::{self, Head, StepRow};
use super::codec::{self, receipt_tag};
use super::fault::{self, Fault};
use super::rows::{self, Found, day_number, phase_tag};
use super::witness::{self, Note};
use super::{FILE, JournalError, Settings, check, records, schema, store};
use crate::sale::ReceiptState;

/// What was looked at and found to be whole.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Verified {
    /// Steps.
    pub steps: u64,
    /// Sales.
    pub sales: u64,
    /// The newest step's number.
    pub newest: u64,
}

/// Reads the whole journal: SQLite's own check, the chain from the first row on, every table that follows from it,
/// and what the witness saw. Needs no lock and may run beside the daemon; takes seconds for 100,000 sales.
pub fn verify_all(settings: &Settings) -> Result<Verified, JournalError> {
    let dir = settings.dir.as_path();
    // The notes before the rows: what was noted was written before.
    let notes = witness::notes(dir).map_err(|error| fault::io(&witness::path(dir), &error))?;
    let path = dir.join(FILE);
    if notes.is_empty() {
        let what = "the witness is missing or holds no whole note".to_owned();
        return Err(JournalError::Damaged { path, what });
    }
    verify_file(&path, &notes)
}

/// [`verify_all`] for one file and what is known of it.
pub fn verify_file(path: &Path, notes: &[Note]) -> Result<Verified, JournalError> {
    let conn = records::connect(path).map_err(|fault| fault.at(path))?;
    let version = schema::version(&conn, path)?;
    if version == 0 {
        let what = "it is empty, expected a journal".to_owned();
        return Err(JournalError::Failed { path: path.to_owned(), what });
    }
    let verify = || -> Result<Verified, Fault> {
        let moment = conn.unchecked_transaction()?;
        let verified = whole(&moment, version, notes)?;
        moment.finish()?;
        Ok(verified)
    };
    verify().map_err(|fault| fault.at(path))
}

fn whole(conn: &Connection, version: i64, notes: &[Note]) -> Result<Verified, Fault> {
    let verdict: String = conn.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
    if verdict != "ok" {
        return Err(Fault::Damage(format!("SQLite finds: {verdict}")));
    }
    let mut steps = 0u64;
    let head = chain::walk(conn, Head::default(), |_| {
        steps += 1;
        Ok(())
    })?;
    check::meet(conn, head, notes, &witness::boot())?;
    let mut derived = Derived::default();
    let mut numbers = conn.prepare("SELECT n FROM sale ORDER BY n")?;
    let mut rows = numbers.query([])?;
    while let Some(row) = rows.next()? {
        derived.sale(conn, row.get(0)?)?;
    }
    let count =
        |sql: &str| Ok::<u64, Fault>(conn.query_row(sql, [], |row| row.get::<_, i64>(0))?.unsigned_abs());
    for (what, expected, got) in [
        ("steps of sales", steps, derived.steps),
        ("keys", derived.sales, count("SELECT count(*) FROM key")?),
        ("print jobs", derived.jobs, count("SELECT count(*) FROM job")?),
    ] {
        if expected != got {
            return Err(Fault::Damage(format!("there are {got} {what}, expected {expected}")));
        }
    }
    derived.days.retain(|_, totals| *totals != [0; 5]);
    // A copy from before an upgrade has no refunds.
    let refunds = if version < 2 { "0, 0" } else { "refunds, refunded" };
    let mut days = conn.prepare(&format!("SELECT day, paid, fen, coupon, {refunds} FROM day"))?;
    let kept = days.query_map([], |row| {
        Ok((row.get(0)?, [row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?]))
    })?;
    let mut kept = kept.collect::<Result<BTreeMap<i64, [i64; 5]>, _>>()?;
    kept.retain(|_, totals| *totals != [0; 5]);
    if kept != derived.days {
        return Err(Fault::Damage("the totals of days are not those of their sales".to_owned()));
    }
    Ok(Verified { steps, sales: derived.sales, newest: head.seq.unsigned_abs() })
}

/// What follows from the steps, gathered sale by sale.
#[derive(Default)]
struct Derived {
    sales: u64,
    steps: u64,
    jobs: u64,
    days: BTreeMap<i64, [i64; 5]>,
}

/// A print job as its steps say, in the form of its row.
type Job = (i64, i64, bool, i64, i64);

impl Derived {
    /// Lives a sale again and holds its rows against the outcome.
    fn sale(&mut self, conn: &Connection, n: i64) -> Result<(), Fault> {
        let of = |what: &str| Fault::Damage(format!("sale {n} is not listed as its steps left it: {what}"));
        let found = rows::by_number(conn, n)?.ok_or_else(|| of("steps"))?;
        let steps = rows::steps_of(conn, n, found.last)?;
        let mut counted: Option<(i64, [i64; 3])> = None;
        let mut number = None;
        let mut jobs: BTreeMap<i64, Job> = BTreeMap::new();
        for step in &steps {
            let decoded = codec::decode(step.at, &step.state)?;
            if decoded.whole.is_some() != (step.seq == found.base) {
                return Err(of("first step"));
            }
            if let Some(note) = decoded.job {
                follow(&mut jobs, step, note);
            }
            let payment = codec::Constant::of(&found.sale).with(decoded.state).payment;
            let day = counted.map_or(day_number(step.at), |(day, _)| day);
            let paid = payment.paid().map(|(_, proof)| proof);
            counted = paid.map(|proof| (day, [1, i64::from(payment.amount.fen()), i64::from(proof.coupon)]));
            number = paid.map(|proof| proof.gateway_txn.clone()).or(number);
        }
        self.listed(conn, &found, counted.map(|(day, _)| day), number)?;
        for (job, expected) in &jobs {
            let sql = "SELECT sale, state, marked, number, since FROM job WHERE job = ?1";
            let kept = conn.prepare_cached(sql)?.query_row([job], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?))
            });
            if kept.optional()?.as_ref() != Some(expected) {
                return Err(of("print job"));
            }
        }
        let paid = counted.map(|(day, [count, fen, coupon])| (day, [count, fen, coupon, 0, 0]));
        let refunded = found.sale.refunds.iter().filter_map(store::refunded);
        for (day, parts) in refunded.map(|(day, fen)| (day, [0, 0, 0, 1, fen])).chain(paid) {
            let totals = self.days.entry(day).or_default();
            for (total, part) in totals.iter_mut().zip(parts) {
                *total += part;
            }
        }
        self.sales += 1;
        self.steps += steps.len() as u64;
        self.jobs += jobs.len() as u64;
        Ok(())
    }

    fn listed(
        &self,
        conn: &Connection,
        found: &Found,
        counted: Option<i64>,
        number: Option<String>,
    ) -> Result<(), Fault> {
        let sale = &found.sale;
        let expected = (
            day_number(sale.created_at),
            phase_tag(sale.payment.phase()),
            sale.is_open(),
            sale.reference.clone(),
            number,
            counted,
        );
        let sql = "SELECT day, phase, open, reference, number, counted FROM sale WHERE n = ?1";
        let listed = conn.prepare_cached(sql)?.query_row([found.n], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?))
        })?;
        let (_, opening) = rows::opening(conn, found.base)?;
        let key = rows::by_key(conn, &opening.key)?;
        if listed != expected || key != Some((found.n, opening.fingerprint.to_vec())) {
            return Err(Fault::Damage(format!("sale {} is not listed as its steps left it", found.n)));
        }
        Ok(())
    }
}

/// What `note` does to a sale's print jobs.
fn follow(jobs: &mut BTreeMap<i64, Job>, step: &StepRow, note: codec::JobNote) {
    let state = i64::from(receipt_tag(note.state));
    let name = note.job.cast_signed();
    if let Some(job) = jobs.get_mut(&name) {
        (job.1, job.2) = (state, note.marked);
        return;
    }
    let failed = i64::from(receipt_tag(ReceiptState::Failed));
    for job in jobs.values_mut().filter(|job| job.1 == failed) {
        job.1 = i64::from(receipt_tag(ReceiptState::None));
    }
    jobs.insert(name, (step.sale, state, note.marked, note.number.into(), step.at.0));
}
