//! Reading sales, steps and print jobs back from their rows; for the writer and for readers alike.

use rusqlite::{Connection, OptionalExtension, Params, Row};

use super::PendingJob;
use super::chain::StepRow;
use super::codec::{self, Constant, Decoded, Opening};
use super::fault::Fault;
use crate::ids::SaleId;
use crate::payment::SalePhase;
use crate::sale::{LifeStep, Sale};
use crate::time::Timestamp;

/// A sale and where its rows are.
#[derive(Clone, Debug)]
pub struct Found {
    /// Its number in this journal.
    pub n: i64,
    /// Its first step.
    pub base: i64,
    /// Its newest step.
    pub last: i64,
    /// The day in whose totals it is.
    pub counted: Option<i64>,
    /// What it is now.
    pub sale: Sale,
}

const SALE: &str = "SELECT s.n, s.base, s.last, s.counted, s.id, b.at, b.state, l.at, l.state \
    FROM sale s JOIN step b ON b.seq = s.base JOIN step l ON l.seq = s.last ";

/// The sales that `rest` (a `WHERE` clause and more, about `s`) selects.
pub fn sales(conn: &Connection, rest: &str, params: impl Params) -> Result<Vec<Found>, Fault> {
    let mut statement = conn.prepare_cached(&format!("{SALE}{rest}"))?;
    let mut rows = statement.query(params)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(sale(row)?);
    }
    Ok(found)
}

/// The sale with this name.
pub fn by_id(conn: &Connection, id: &str) -> Result<Option<Found>, Fault> {
    Ok(sales(conn, "WHERE s.id = ?1", [id])?.pop())
}

/// The sale with this number.
pub fn by_number(conn: &Connection, n: i64) -> Result<Option<Found>, Fault> {
    Ok(sales(conn, "WHERE s.n = ?1", [n])?.pop())
}

fn sale(row: &Row<'_>) -> Result<Found, Fault> {
    let (n, base, last): (i64, i64, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
    let id: String = row.get(4)?;
    let of = |what: String| Fault::Damage(format!("sale {n} cannot be read: {what}"));
    let first = decode(row, 5).map_err(of)?;
    let (constant, _) = first.whole.ok_or_else(|| of(format!("step {base} is not its first")))?;
    if constant.id.as_str() != id {
        return Err(of(format!("it is called {id} and {}", constant.id)));
    }
    let state = if base == last { first.state } else { decode(row, 7).map_err(of)?.state };
    Ok(Found { n, base, last, counted: row.get(3)?, sale: constant.with(state) })
}

fn decode(row: &Row<'_>, column: usize) -> Result<Decoded, String> {
    let at = Timestamp(row.get(column).map_err(|error| error.to_string())?);
    let state = row.get_ref(column + 1).and_then(|value| Ok(value.as_blob()?));
    codec::decode(at, state.map_err(|error| error.to_string())?)
}

/// What a sale was opened with; read from its first step.
pub fn opening(conn: &Connection, base: i64) -> Result<(Constant, Opening), Fault> {
    let step = step(conn, base)?;
    let whole = codec::decode(step.at, &step.state)?.whole;
    whole.ok_or_else(|| Fault::Damage(format!("step {base} is not a sale's first")))
}

/// A row that another row names.
pub fn step(conn: &Connection, seq: i64) -> Result<StepRow, Fault> {
    super::chain::row(conn, seq)?.ok_or_else(|| Fault::Damage(format!("step {seq} is missing")))
}

/// A sale's rows, oldest first, by walking back from its newest.
pub fn steps_of(conn: &Connection, n: i64, last: i64) -> Result<Vec<StepRow>, Fault> {
    let mut steps = Vec::new();
    let mut seq = last;
    while seq != 0 {
        let step = step(conn, seq)?;
        if step.sale != n || step.prev >= seq {
            return Err(Fault::Damage(format!("step {seq} is not sale {n}'s, or leads nowhere")));
        }
        seq = step.prev;
        steps.push(step);
    }
    steps.reverse();
    Ok(steps)
}

/// A row as a step of the sale with this constant part.
pub fn life_step(step: StepRow, constant: &Constant) -> Result<LifeStep, Fault> {
    let decoded = codec::decode(step.at, &step.state)?;
    let event = match decoded.short {
        true => codec::expand(&step.event, constant.id.as_str(), &decoded.state.attempts),
        false => step.event,
    };
    let sequence = u64::try_from(step.seq).unwrap_or(0);
    Ok(LifeStep { sequence, at: step.at, event, sale: constant.clone().with(decoded.state) })
}

/// How many of the newest jobs are looked at for one that ended unconfirmed: a printer that never confirms must not
/// make every start longer.
pub const UNCONFIRMED_AMONG: i64 = 100;

/// Print jobs that are not finished, oldest first: all that are queued, being sent or failed, and of the newest
/// [`UNCONFIRMED_AMONG`] those that ended unconfirmed. What a later receipt of the sale took the place of is left out.
pub fn unfinished_jobs(conn: &Connection) -> Result<Vec<(PendingJob, i64)>, Fault> {
    const DUE: &str = "SELECT j.job, s.id, j.state, j.marked, j.number, j.since, j.sale \
        FROM job j JOIN sale s ON s.n = j.sale WHERE j.state IN (1, 2, 5)";
    const UNCONFIRMED: &str = "SELECT j.job, s.id, j.state, j.marked, j.number, j.since, j.sale \
        FROM job j JOIN sale s ON s.n = j.sale WHERE j.job > (SELECT max(job) FROM job) - ?1 AND j.state = 4 \
        AND NOT EXISTS (SELECT 1 FROM job k WHERE k.job > j.job AND k.sale = j.sale)";
    let mut jobs = Vec::new();
    let mut read = |sql: &str, params: &[i64]| -> Result<(), Fault> {
        let mut statement = conn.prepare_cached(sql)?;
        let mut rows = statement.query(rusqlite::params_from_iter(params))?;
        while let Some(row) = rows.next()? {
            jobs.push(job(row)?);
        }
        Ok(())
    };
    read(DUE, &[])?;
    read(UNCONFIRMED, &[UNCONFIRMED_AMONG])?;
    jobs.sort_by_key(|(job, _)| job.job);
    Ok(jobs)
}

fn job(row: &Row<'_>) -> Result<(PendingJob, i64), Fault> {
    let number: i64 = row.get(0)?;
    let bad = |what: &str| Fault::Damage(format!("print job {number} has an impossible {what}"));
    let sale: SaleId = row.get::<_, String>(1)?.parse().map_err(|_| bad("sale"))?;
    let job = PendingJob {
        job: u64::try_from(number).map_err(|_| bad("name"))?,
        sale,
        state: codec::receipt_from_tag(row.get(2)?).ok_or_else(|| bad("state"))?,
        marked: row.get(3)?,
        number: row.get(4)?,
        since: Timestamp(row.get(5)?),
    };
    Ok((job, row.get(6)?))
}

/// The number that stands for a phase in the table `sale`.
pub fn phase_tag(phase: SalePhase) -> i64 {
    match phase {
        SalePhase::AwaitingCode => 1,
        SalePhase::Paying => 2,
        SalePhase::Reversing => 3,
        SalePhase::InDoubt => 4,
        SalePhase::Paid => 5,
        SalePhase::Declined => 6,
        SalePhase::Reversed => 7,
        SalePhase::Cancelled => 8,
    }
}

/// The Beijing day of `at`, counted from 1970-01-01.
pub fn day_number(at: Timestamp) -> i64 {
    const HOUR: i64 = 60 * 60 * 1000;
    at.0.saturating_add(8 * HOUR).div_euclid(24 * HOUR)
}

/// The number of a sale's newest row, and of the key that it was opened under.
pub fn by_key(conn: &Connection, key: &[u8]) -> Result<Option<(i64, Vec<u8>)>, Fault> {
    let mut statement = conn.prepare_cached("SELECT sale, fingerprint FROM key WHERE hash = ?1")?;
    Ok(statement.query_row([key], |row| Ok((row.get(0)?, row.get(1)?))).optional()?)
}
