//! Reading what was kept, beside the writer or in another process: own connections, short transactions, no lock taken.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, OptionalExtension};

use super::chain::{self, StepRow, digest};
use super::codec::{Constant, Opening};
use super::fault::Fault;
use super::rows::{self, day_number};
use super::{FILE, JournalError, Settings, schema, store};
use crate::ids::SaleId;
use crate::refund;
use crate::sale::{Filter, LifeStep, Page, Records, RecordsError, Sale, Totals};
use crate::time::Day;

/// Connections that are kept open between reads.
const KEPT: usize = 2;

/// Read-only connections to one journal.
#[derive(Debug)]
pub struct Readers {
    path: PathBuf,
    idle: Mutex<Vec<Connection>>,
}

/// Opens a journal for reading only, also while another process writes it.
pub fn read_only(settings: &Settings) -> Result<Arc<dyn Records>, JournalError> {
    let path = settings.dir.join(FILE);
    let readers = Readers::new(&path);
    let conn = connect(&path).map_err(|fault| fault.at(&path))?;
    match schema::version(&conn, &path)? {
        version if version == schema::newest() => Ok(Arc::new(readers)),
        version => {
            let what = format!(
                "its schema is {version}, expected {}\nhelp: start the daemon once, it migrates the file",
                schema::newest()
            );
            Err(JournalError::Failed { path, what })
        }
    }
}

/// The hashes that a key and a request are kept as.
pub fn opening(key: &str, fingerprint: &str) -> Opening {
    let mut request = [0; 8];
    request.copy_from_slice(&digest(fingerprint.as_bytes())[..8]);
    Opening { key: digest(key.as_bytes()), fingerprint: request }
}

/// The hashes that a refund keeps of its key and its request. A refund is known by them within its sale.
pub fn refund_key(key: &str, fingerprint: &str) -> refund::Key {
    let Opening { key, fingerprint } = opening(key, fingerprint);
    refund::Key { key, request: fingerprint }
}

/// A connection that only reads, and leaves the log alone when it closes.
pub fn connect(path: &Path) -> Result<Connection, Fault> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(path, flags)?;
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    conn.busy_timeout(std::time::Duration::from_secs(2))?;
    conn.execute_batch("PRAGMA query_only = ON; PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON;")?;
    conn.pragma_update(None, "cache_size", store::CACHE)?;
    Ok(conn)
}

impl Readers {
    /// Readers of the database at `path`, which connect when they are first used.
    pub fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), idle: Mutex::new(Vec::new()) }
    }

    /// Runs `read` in one transaction, so that it sees one moment.
    fn read<T>(&self, read: impl FnOnce(&Connection) -> Result<T, Fault>) -> Result<T, RecordsError> {
        let kept = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut conn = match kept {
            Some(conn) => conn,
            None => connect(&self.path)?,
        };
        let transaction = conn.transaction().map_err(Fault::from)?;
        let value = read(&transaction)?;
        transaction.finish().map_err(Fault::from)?;
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < KEPT {
            idle.push(conn);
        }
        Ok(value)
    }
}

impl Records for Readers {
    fn sale(&self, id: &SaleId) -> Result<Option<Sale>, RecordsError> {
        self.read(|conn| Ok(rows::by_id(conn, id.as_str())?.map(|found| found.sale)))
    }

    fn by_key(&self, key: &str) -> Result<Option<Sale>, RecordsError> {
        self.read(|conn| {
            let Some((n, _)) = rows::by_key(conn, &opening(key, "").key)? else { return Ok(None) };
            Ok(rows::by_number(conn, n)?.map(|found| found.sale))
        })
    }

    fn page(&self, filter: &Filter) -> Result<Page, RecordsError> {
        self.read(|conn| super::search::page(conn, filter))
    }

    fn life(&self, id: &SaleId) -> Result<Vec<LifeStep>, RecordsError> {
        self.read(|conn| {
            let Some(found) = rows::by_id(conn, id.as_str())? else { return Ok(Vec::new()) };
            let constant = Constant::of(&found.sale);
            let steps = rows::steps_of(conn, found.n, found.last)?;
            steps.into_iter().map(|step| rows::life_step(step, &constant)).collect()
        })
    }

    fn after(&self, sequence: u64, limit: usize) -> Result<Vec<LifeStep>, RecordsError> {
        let sql =
            "SELECT seq, at, sale, prev, event, state, hash FROM step WHERE seq > ?1 ORDER BY seq LIMIT ?2";
        let from = i64::try_from(sequence).unwrap_or(i64::MAX);
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.read(|conn| {
            let steps =
                conn.prepare_cached(sql)?.query_map([from, limit], StepRow::read)?.collect::<Vec<_>>();
            let mut last: Option<(i64, Constant)> = None;
            let mut life = Vec::with_capacity(steps.len());
            for step in steps {
                let step = step?;
                let constant = match last.take() {
                    Some((n, constant)) if n == step.sale => constant,
                    _ => constant(conn, step.sale)?,
                };
                let n = step.sale;
                life.push(rows::life_step(step, &constant)?);
                last = Some((n, constant));
            }
            Ok(life)
        })
    }

    fn newest(&self) -> Result<u64, RecordsError> {
        self.read(|conn| Ok(chain::head(conn)?.seq.unsigned_abs()))
    }

    fn totals(&self, day: Day) -> Result<Totals, RecordsError> {
        self.read(|conn| {
            let mut statement =
                conn.prepare_cached("SELECT paid, fen, coupon, refunds, refunded FROM day WHERE day = ?1")?;
            let totals = statement.query_row([day_number(day.start())], |row| {
                let number = |column| Ok::<u64, rusqlite::Error>(row.get::<_, i64>(column)?.unsigned_abs());
                Ok(Totals {
                    paid_count: number(0)?,
                    paid_fen: number(1)?,
                    coupon_fen: number(2)?,
                    refund_count: number(3)?,
                    refund_fen: number(4)?,
                })
            });
            Ok(totals.optional()?.unwrap_or_default())
        })
    }
}

fn constant(conn: &Connection, n: i64) -> Result<Constant, Fault> {
    let found = rows::by_number(conn, n)?;
    let found = found.ok_or_else(|| Fault::Damage(format!("sale {n} of a step is missing")))?;
    Ok(Constant::of(&found.sale))
}
