//! The tables, and how an older file becomes a newer one. A newer file is refused, never read by guessing.

use std::path::Path;

use rusqlite::Connection;

use super::JournalError;
use super::fault::Fault;

/// One text a version, oldest first; each runs in a transaction of its own. A text that was released is never edited.
pub const MIGRATIONS: [&str; 2] = [V1, V2];

/// `micropay` in the file's header, so that `file` and a person with a hex editor can tell what it is.
pub const APPLICATION_ID: i32 = 0x6d70_6179;

/// `step` is the truth, and every other table follows from it (`check.rs` holds them against each other).
///
/// A sale's steps are a linked list through `prev`: that costs three bytes a step where an index would cost ten and
/// one more page in every commit. `event` and `state` are in the forms of `codec.rs`; `hash` chains all rows.
/// Days are counted from 1970-01-01 in Beijing; amounts are fen.
const V1: &str = "
CREATE TABLE step (
    seq   INTEGER PRIMARY KEY,
    at    INTEGER NOT NULL,
    sale  INTEGER NOT NULL,
    prev  INTEGER NOT NULL,
    event TEXT NOT NULL,
    state BLOB NOT NULL,
    hash  BLOB NOT NULL
) STRICT;
CREATE TRIGGER step_is_never_changed BEFORE UPDATE ON step
    BEGIN SELECT RAISE(ABORT, 'a past step is never changed'); END;
CREATE TRIGGER step_is_never_removed BEFORE DELETE ON step
    BEGIN SELECT RAISE(ABORT, 'a past step is never removed'); END;

CREATE TABLE sale (
    n         INTEGER PRIMARY KEY,
    id        TEXT NOT NULL UNIQUE,
    base      INTEGER NOT NULL,
    last      INTEGER NOT NULL,
    day       INTEGER NOT NULL,
    phase     INTEGER NOT NULL,
    open      INTEGER NOT NULL,
    reference TEXT,
    number    TEXT,
    counted   INTEGER
) STRICT;
CREATE INDEX sale_open ON sale (open) WHERE open = 1;
CREATE INDEX sale_day ON sale (day);
CREATE INDEX sale_reference ON sale (reference) WHERE reference IS NOT NULL;
CREATE INDEX sale_number ON sale (number) WHERE number IS NOT NULL;

CREATE TABLE job (
    job    INTEGER PRIMARY KEY,
    sale   INTEGER NOT NULL,
    state  INTEGER NOT NULL,
    marked INTEGER NOT NULL,
    number INTEGER NOT NULL,
    since  INTEGER NOT NULL
) STRICT;
CREATE INDEX job_due ON job (sale) WHERE state IN (1, 2, 5);

CREATE TABLE key (
    hash        BLOB NOT NULL PRIMARY KEY,
    sale        INTEGER NOT NULL,
    fingerprint BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE day (
    day    INTEGER PRIMARY KEY,
    paid   INTEGER NOT NULL,
    fen    INTEGER NOT NULL,
    coupon INTEGER NOT NULL
) STRICT;
";

/// Sales have refunds, which count in the totals of days. Their states are in the forms of `codec.rs` that an older program
/// does not know, so it must refuse the file by its number instead of calling it damaged.
const V2: &str = "
ALTER TABLE day ADD COLUMN refunds INTEGER NOT NULL DEFAULT 0;
ALTER TABLE day ADD COLUMN refunded INTEGER NOT NULL DEFAULT 0;
";

/// The version that this program writes.
pub fn newest() -> i64 {
    MIGRATIONS.len() as i64
}

/// Refuses a file that is not a journal or is newer than this program; returns its version, 0 for an empty file.
pub fn version(conn: &Connection, path: &Path) -> Result<i64, JournalError> {
    let pragma = |name| conn.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let version = pragma("user_version").map_err(|error| Fault::from(error).at(path))?;
    let id = pragma("application_id").map_err(|error| Fault::from(error).at(path))?;
    let tables: i64 = conn
        .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
        .map_err(|error| Fault::from(error).at(path))?;
    if version > newest() {
        return Err(JournalError::Newer { path: path.to_owned(), got: version, expected: newest() });
    }
    if (tables == 0) != (version == 0) || version < 0 || (tables > 0 && id != i64::from(APPLICATION_ID)) {
        let what = format!("the header has schema {version} and application {id:#x}, which no journal has");
        return Err(JournalError::Damaged { path: path.to_owned(), what });
    }
    Ok(version)
}

/// Runs `steps` from `version` on, each in its own transaction, so that a crash leaves a whole version.
pub fn migrate(conn: &Connection, version: i64, steps: &[&str]) -> Result<(), Fault> {
    for (number, step) in (1..).zip(steps).filter(|(number, _)| *number > version) {
        let whole = format!(
            "BEGIN IMMEDIATE; {step} PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {number}; COMMIT;"
        );
        if let Err(error) = conn.execute_batch(&whole) {
            if !conn.is_autocommit() {
                conn.execute_batch("ROLLBACK")?;
            }
            return Err(error.into());
        }
    }
    Ok(())
}
