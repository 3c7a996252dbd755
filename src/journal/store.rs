//! The writing connection: one step a commit, and every other table kept in step with it in the same commit.

use std::path::{Path, PathBuf};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, params};

use super::chain::{Head, StepRow};
use super::codec::{self, Constant, JobNote, Opening};
use super::fault::{self, Fault};
use super::rows::{self, Found, day_number, phase_tag};
use super::{Durability, Entry, JournalError};
use crate::payment::{Payment, Proof};
use crate::refund::Refund;
use crate::sale::Sale;

/// What each connection may keep of the file, in SQLite's unit of minus one KiB. A step touches a dozen pages of 4 KiB
/// and a page of the log fewer than 60; SQLite's own 2 MiB would be a sixth of the daemon.
pub const CACHE: i64 = -512;

/// The database.
#[derive(Debug)]
pub struct Store {
    pub(super) conn: Connection,
    durability: Option<Durability>,
}

/// What a commit is to write, beside the entry.
#[derive(Clone, Copy, Debug)]
pub struct Write<'a> {
    /// The entry.
    pub entry: &'a Entry<'a>,
    /// For a sale's first step: its number and what it was opened with.
    pub opening: Option<(i64, Opening)>,
    /// The newest row so far.
    pub head: Head,
    /// The step's own number.
    pub seq: i64,
    /// The name for a new print job.
    pub next_job: i64,
}

/// What a commit left.
#[derive(Clone, Copy, Debug)]
pub struct Written {
    /// The newest row now.
    pub head: Head,
    /// The print job that was made or changed, and its state.
    pub job: Option<JobNote>,
    /// The digest of what is unfinished.
    pub pending: u64,
}

impl Store {
    /// Opens the file, made with mode 0600 if it is not there. Reads nothing yet and changes nothing.
    pub fn open(path: &Path) -> Result<Self, JournalError> {
        fault::create(path)?;
        let flags =
            OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_URI;
        let opened = Connection::open_with_flags(uri(path), flags).and_then(|conn| {
            // What is found to be damaged must stay as it was found: closing must not write.
            conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
            conn.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
            // No plan here depends on a value. Without this SQLite plans a sale's rows anew for each name it is asked for.
            conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
            conn.set_prepared_statement_cache_capacity(64);
            // Only a person with an SQLite shell can be in the way, and a customer waits.
            conn.busy_timeout(std::time::Duration::from_millis(250))?;
            conn.execute_batch(
                "PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON; PRAGMA temp_store = MEMORY;",
            )?;
            conn.pragma_update(None, "cache_size", CACHE)?;
            Ok(conn)
        });
        let conn = opened.map_err(|error| Fault::from(error).at(path))?;
        Ok(Self { conn, durability: None })
    }

    /// Sets what the file itself remembers, and what must be said on each connection before it writes.
    pub fn prepare(&self) -> Result<(), Fault> {
        let mode: String =
            self.conn.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))?;
        if mode != "wal" {
            return Err(Fault::Refused(format!("the database has journal mode {mode}, expected wal")));
        }
        // Checkpoints are for idle moments; in a commit they would make a customer wait.
        self.conn.pragma_update_and_check(None, "wal_autocheckpoint", 0, |_| Ok(()))?;
        // What the log needed while a long read (the day's copy) held it up is given back.
        self.conn.pragma_update_and_check(None, "journal_size_limit", 16 << 20, |_| Ok(()))?;
        Ok(())
    }

    /// Writes one step. On an error nothing is written, or the disk has failed.
    pub fn write(&mut self, write: &Write<'_>, durability: Durability) -> Result<Written, Fault> {
        if self.durability != Some(durability) {
            // FULL syncs each commit, NORMAL none; a FULL commit also syncs what NORMAL ones left (SQLite, "PRAGMA
            // synchronous", 3.54).
            let level = if durability == Durability::PowerCut { "FULL" } else { "NORMAL" };
            self.conn.pragma_update(None, "synchronous", level)?;
            self.durability = Some(durability);
        }
        self.conn.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        let written = commit(&self.conn, write);
        if written.is_err() && !self.conn.is_autocommit() {
            self.conn.execute_batch("ROLLBACK")?;
        }
        written
    }

    /// Moves the log into the database; whether all of it could be moved. Readers can hold it up, writers not.
    pub fn checkpoint(&mut self, truncate: bool) -> Result<bool, Fault> {
        self.conn.pragma_update(None, "synchronous", "FULL")?;
        self.durability = Some(Durability::PowerCut);
        let sql = if truncate { "PRAGMA wal_checkpoint(TRUNCATE)" } else { "PRAGMA wal_checkpoint(PASSIVE)" };
        let mut statement = self.conn.prepare_cached(sql)?;
        let (busy, log, moved): (i64, i64, i64) =
            statement.query_row([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
        Ok(busy == 0 && log == moved)
    }
}

/// The file as a URI that tells SQLite not to trust the disk with half a sector: a power cut while a sector is written
/// may spoil all of it (`psow=0`; SQLite, "Powersafe Overwrite"). Costs a page of padding a synced commit, no sync.
fn uri(path: &Path) -> String {
    let mut uri = "file:".to_owned();
    for byte in path.as_os_str().as_encoded_bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'_' | b'-' => {
                uri.push(char::from(*byte))
            }
            other => uri.push_str(&format!("%{other:02x}")),
        }
    }
    uri + "?psow=0"
}

/// The log beside the database at `path`.
pub fn log_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push("-wal");
    name.into()
}

fn commit(conn: &Connection, write: &Write<'_>) -> Result<Written, Fault> {
    let written = keep(conn, write)?;
    conn.prepare_cached("COMMIT")?.execute([])?;
    Ok(written)
}

/// Writes one step in a transaction that the caller has begun and ends.
pub fn keep(conn: &Connection, write: &Write<'_>) -> Result<Written, Fault> {
    let sale = write.entry.sale;
    let before = match write.opening {
        Some(_) => None,
        None => Some(known(conn, sale)?),
    };
    let n = match (&before, write.opening) {
        (Some(found), _) => found.n,
        (None, Some((n, _))) => n,
        (None, None) => return Err(Fault::Refused("a step without a sale".to_owned())),
    };
    let job = job_note(write);
    let step = step_row(write, n, before.as_ref().map_or(0, |found| found.last), job);
    let change =
        Change { step: &step, sale, before: before.as_ref(), opening: write.opening.map(|w| w.1), job };
    apply(conn, &change, write.entry.job.is_some_and(|change| change.job.is_none()))?;
    Ok(Written { head: step.head(), job, pending: pending(conn)? })
}

/// Puts a row of another journal at the end of this one, with all that follows from it.
pub fn replay(conn: &Connection, step: &StepRow) -> Result<(), Fault> {
    let decoded = codec::decode(step.at, &step.state)?;
    let (constant, opening, before) = match decoded.whole {
        Some((constant, opening)) => (constant, Some(opening), None),
        None => {
            let found = rows::by_number(conn, step.sale)?;
            let found = found.ok_or_else(|| Fault::Damage(format!("sale {} never began", step.sale)))?;
            (Constant::of(&found.sale), None, Some(found))
        }
    };
    if before.as_ref().map_or(0, |found| found.last) != step.prev {
        return Err(Fault::Damage(format!("step {} is not the next one of sale {}", step.seq, step.sale)));
    }
    let known = |job: JobNote| -> Result<bool, Fault> {
        Ok(conn.prepare_cached("SELECT 1 FROM job WHERE job = ?1")?.exists([job.job.cast_signed()])?)
    };
    let new_job = matches!(decoded.job.map(known).transpose()?, Some(false));
    let sale = constant.with(decoded.state);
    apply(conn, &Change { step, sale: &sale, before: before.as_ref(), opening, job: decoded.job }, new_job)
}

/// A step, and what it is a step of.
struct Change<'a> {
    step: &'a StepRow,
    sale: &'a Sale,
    before: Option<&'a Found>,
    opening: Option<Opening>,
    job: Option<JobNote>,
}

/// Writes a step's row and brings the tables that follow from it up to it.
fn apply(conn: &Connection, change: &Change<'_>, new_job: bool) -> Result<(), Fault> {
    let Change { step, sale, before, opening, job } = *change;
    conn.prepare_cached("INSERT INTO step VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")?
        .execute(params![step.seq, step.at.0, step.sale, step.prev, step.event, step.state, step.hash])?;
    let phase = phase_tag(sale.payment.phase());
    let open = sale.is_open();
    let number = sale.payment.paid().map(|(_, proof)| proof.gateway_txn.as_str());
    let counted = count(conn, step, before, &sale.payment)?;
    count_refunds(conn, before, sale)?;
    if let Some(opening) = opening {
        conn.prepare_cached("INSERT INTO sale VALUES (?1, ?2, ?3, ?3, ?4, ?5, ?6, ?7, ?8, ?9)")?.execute(
            params![
                step.sale,
                sale.id.as_str(),
                step.seq,
                day_number(sale.created_at),
                phase,
                open,
                sale.reference,
                number,
                counted
            ],
        )?;
        let key = params![opening.key, step.sale, opening.fingerprint];
        conn.prepare_cached("INSERT INTO key VALUES (?1, ?2, ?3)")?.execute(key)?;
    } else {
        let sql = "UPDATE sale SET last = ?2, phase = ?3, open = ?4, number = coalesce(?5, number), counted = ?6 \
            WHERE n = ?1";
        conn.prepare_cached(sql)?.execute(params![step.sale, step.seq, phase, open, number, counted])?;
    }
    match job {
        Some(job) if new_job => insert_job(conn, step, job),
        Some(job) => change_job(conn, step, job),
        None => Ok(()),
    }
}

/// A digest of which sales are open and which print jobs are due, for the witness: an index that forgets one is noticed.
pub fn pending(conn: &Connection) -> Result<u64, Fault> {
    let mut digest = 0u64;
    for sql in ["SELECT n FROM sale WHERE open = 1", "SELECT -job FROM job WHERE state IN (1, 2, 5)"] {
        let mut statement = conn.prepare_cached(sql)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            // Order does not matter, and every number moves every bit (the constant is 2^64 / golden ratio, odd).
            let mixed = row.get::<_, i64>(0)?.cast_unsigned().wrapping_mul(0x9e37_79b9_7f4a_7c15);
            digest = digest.wrapping_add(mixed ^ mixed >> 32);
        }
    }
    Ok(digest)
}

/// The sale so far; what cannot change must not have changed.
fn known(conn: &Connection, sale: &Sale) -> Result<Found, Fault> {
    let found = rows::by_id(conn, sale.id.as_str())?;
    let found = found.ok_or_else(|| Fault::Refused(format!("sale {} was never opened", sale.id)))?;
    if Constant::of(&found.sale) != Constant::of(sale) {
        let what = "its amount, subject, reference, gateway or beginning is not what it was opened with";
        return Err(Fault::Refused(format!("sale {} cannot be kept: {what}", sale.id)));
    }
    Ok(found)
}

fn job_note(write: &Write<'_>) -> Option<JobNote> {
    let change = write.entry.job?;
    let job = change.job.unwrap_or(write.next_job.unsigned_abs());
    Some(JobNote { job, state: change.state, marked: change.marked, number: write.entry.sale.copies.max(1) })
}

fn step_row(write: &Write<'_>, n: i64, prev: i64, job: Option<JobNote>) -> StepRow {
    let Entry { at, event, sale, .. } = *write.entry;
    let short = codec::abbreviate(event, sale);
    let state = codec::encode(at, sale, write.opening.map(|(_, opening)| opening), job, short.is_some());
    let event = short.unwrap_or_else(|| event.to_owned());
    let mut step = StepRow { seq: write.seq, at, sale: n, prev, event, state, hash: [0; 16] };
    step.hash = step.link(&write.head.hash);
    step
}

/// Moves the day's totals with the sale; returns the day in whose totals it now is.
///
/// A sale counts on the day on which it was recorded as paid, by the till's clock: a day that was closed does not
/// grow when a payment of its last minute is learnt of after midnight. What is no longer paid leaves the day that it
/// was counted on.
fn count(
    conn: &Connection,
    step: &StepRow,
    before: Option<&Found>,
    payment: &Payment,
) -> Result<Option<i64>, Fault> {
    let parts = |paid: Option<(u8, &Proof)>| {
        paid.map(|(_, proof)| (i64::from(payment.amount.fen()), i64::from(proof.coupon)))
    };
    let now = parts(payment.paid());
    let was = before.and_then(|found| Some((found.counted?, parts(found.sale.payment.paid())?)));
    let day = match (was, now) {
        (Some((day, _)), Some(_)) => day,
        _ => day_number(step.at),
    };
    if was.map(|(day, parts)| (day, Some(parts))) != Some((day, now)) {
        if let Some((day, (fen, coupon))) = was {
            shift(conn, day, [-1, -fen, -coupon, 0, 0])?;
        }
        if let Some((fen, coupon)) = now {
            shift(conn, day, [1, fen, coupon, 0, 0])?;
        }
    }
    Ok(now.map(|_| day))
}

/// Moves the days' totals with the refunds that the gateway has taken on, each on the day on which that became known.
fn count_refunds(conn: &Connection, before: Option<&Found>, sale: &Sale) -> Result<(), Fault> {
    let was = before.map_or(&[][..], |found| &found.sale.refunds);
    for (place, refund) in sale.refunds.iter().enumerate() {
        let (was, now) = (was.get(place).and_then(refunded), refunded(refund));
        if was != now {
            if let Some((day, fen)) = was {
                shift(conn, day, [0, 0, 0, -1, -fen])?;
            }
            if let Some((day, fen)) = now {
                shift(conn, day, [0, 0, 0, 1, fen])?;
            }
        }
    }
    Ok(())
}

/// The day in whose totals a refund is, and what it adds to them.
pub fn refunded(refund: &Refund) -> Option<(i64, i64)> {
    Some((day_number(refund.accepted_at()?), refund.amount.fen().into()))
}

/// Adds to a day's totals: sales, fen, coupons, refunds, fen refunded.
fn shift(conn: &Connection, day: i64, parts: [i64; 5]) -> Result<(), Fault> {
    let sql = "INSERT INTO day VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (day) DO UPDATE \
        SET paid = paid + excluded.paid, fen = fen + excluded.fen, coupon = coupon + excluded.coupon, \
        refunds = refunds + excluded.refunds, refunded = refunded + excluded.refunded";
    let [paid, fen, coupon, refunds, refunded] = parts;
    conn.prepare_cached(sql)?.execute([day, paid, fen, coupon, refunds, refunded])?;
    Ok(())
}

fn insert_job(conn: &Connection, step: &StepRow, job: JobNote) -> Result<(), Fault> {
    // A new receipt takes the place of one that failed: a person has decided. The first condition is that of the index.
    let replace = "UPDATE job SET state = 0 WHERE sale = ?1 AND state IN (1, 2, 5) AND state = 5";
    conn.prepare_cached(replace)?.execute([step.sale])?;
    conn.prepare_cached("INSERT INTO job VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?.execute(params![
        job.job.cast_signed(),
        step.sale,
        codec::receipt_tag(job.state),
        job.marked,
        job.number,
        step.at.0
    ])?;
    Ok(())
}

fn change_job(conn: &Connection, step: &StepRow, job: JobNote) -> Result<(), Fault> {
    let sql = "UPDATE job SET state = ?3, marked = ?4 WHERE job = ?1 AND sale = ?2";
    let state = codec::receipt_tag(job.state);
    let params = params![job.job.cast_signed(), step.sale, state, job.marked];
    match conn.prepare_cached(sql)?.execute(params)? {
        1 => Ok(()),
        _ => Err(Fault::Refused(format!("print job {} is not one of sale {}", job.job, step.sale))),
    }
}
