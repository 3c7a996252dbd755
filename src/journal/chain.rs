//! The hash chain over all steps: what one row's hash is, and whether rows still follow from each other.

use rusqlite::{Connection, OptionalExtension, Row};
use sha2::{Digest, Sha256};

use super::fault::Fault;
use crate::time::Timestamp;

/// The first half of a SHA-256: enough against decay and mistakes, half the bytes.
pub type Hash = [u8; 16];

/// The newest row of a chain; sequence 0 and a zero hash before the first.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Head {
    /// Its sequence number.
    pub seq: i64,
    /// Its hash.
    pub hash: Hash,
}

/// A row of the table `step`, as stored.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StepRow {
    /// Sequence number. Grows, and may leave gaps: a number that was ever told to anybody is not given out twice.
    pub seq: i64,
    /// When.
    pub at: Timestamp,
    /// The sale's number in this journal.
    pub sale: i64,
    /// The sale's step before this one; 0 for its first.
    pub prev: i64,
    /// The event, perhaps abbreviated.
    pub event: String,
    /// The encoded state.
    pub state: Vec<u8>,
    /// The chained hash.
    pub hash: Hash,
}

/// The columns that [`StepRow::read`] wants, in its order.
pub const COLUMNS: &str = "seq, at, sale, prev, event, state, hash";

impl StepRow {
    /// Takes a row of [`COLUMNS`].
    pub fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            seq: row.get(0)?,
            at: Timestamp(row.get(1)?),
            sale: row.get(2)?,
            prev: row.get(3)?,
            event: row.get(4)?,
            state: row.get(5)?,
            hash: row.get(6)?,
        })
    }

    /// The hash that this row has after a row with the hash `previous`.
    pub fn link(&self, previous: &Hash) -> Hash {
        let mut hasher = Sha256::new();
        hasher.update(previous);
        for number in [self.seq, self.at.0, self.sale, self.prev, self.event.len() as i64] {
            hasher.update(number.to_le_bytes());
        }
        hasher.update(self.event.as_bytes());
        hasher.update(&self.state);
        short(&hasher.finalize())
    }

    /// The chain with this row as its newest.
    pub fn head(&self) -> Head {
        Head { seq: self.seq, hash: self.hash }
    }
}

/// The hash of one text or record, for keys and witnesses.
pub fn digest(bytes: &[u8]) -> Hash {
    short(&Sha256::digest(bytes))
}

fn short(whole: &[u8]) -> Hash {
    let mut hash = [0; 16];
    hash.copy_from_slice(&whole[..16]);
    hash
}

/// The newest row.
pub fn head(conn: &Connection) -> Result<Head, Fault> {
    let newest = conn
        .prepare_cached("SELECT seq, hash FROM step ORDER BY seq DESC LIMIT 1")?
        .query_row([], |row| Ok(Head { seq: row.get(0)?, hash: row.get(1)? }))
        .optional()?;
    Ok(newest.unwrap_or_default())
}

/// The row with this number, if there is one.
pub fn row(conn: &Connection, seq: i64) -> Result<Option<StepRow>, Fault> {
    let sql = select("WHERE seq = ?1");
    Ok(conn.prepare_cached(&sql)?.query_row([seq], StepRow::read).optional()?)
}

/// The newest row before the one with this number.
pub fn before(conn: &Connection, seq: i64) -> Result<Head, Fault> {
    let mut statement =
        conn.prepare_cached("SELECT seq, hash FROM step WHERE seq < ?1 ORDER BY seq DESC LIMIT 1")?;
    let found = statement.query_row([seq], |row| Ok(Head { seq: row.get(0)?, hash: row.get(1)? }));
    Ok(found.optional()?.unwrap_or_default())
}

fn select(rest: &str) -> String {
    format!("SELECT {COLUMNS} FROM step {rest}")
}

/// Whether this one row is what was written after the row before it.
pub fn check_row(conn: &Connection, step: &StepRow) -> Result<(), Fault> {
    let previous = before(conn, step.seq)?;
    if step.link(&previous.hash) != step.hash {
        return Err(Fault::Damage(format!("step {} does not follow from step {}", step.seq, previous.seq)));
    }
    Ok(())
}

/// Walks the chain from the row after `from` to the newest, giving each row to `each`; returns the newest.
pub fn walk(
    conn: &Connection,
    from: Head,
    mut each: impl FnMut(&StepRow) -> Result<(), Fault>,
) -> Result<Head, Fault> {
    let mut head = from;
    let mut statement = conn.prepare_cached(&select("WHERE seq > ?1 ORDER BY seq"))?;
    let mut rows = statement.query([from.seq])?;
    while let Some(row) = rows.next()? {
        let step = StepRow::read(row)?;
        if step.link(&head.hash) != step.hash {
            return Err(Fault::Damage(format!("step {} does not follow from step {}", step.seq, head.seq)));
        }
        each(&step)?;
        head = step.head();
    }
    Ok(head)
}
