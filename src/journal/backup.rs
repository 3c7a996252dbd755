//! A copy of the journal for each day, made beside the sales and verified row by row; what a damaged journal is restored from.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

use rusqlite::Connection;
use rusqlite::backup::{Backup, StepResult};

use super::fault::{self, Fault};
use super::lock::{make_dir, sync_dir};
use super::rows::day_number;
use super::{JournalError, Room, audit, chain, records};
use crate::time::{Day, Timestamp};

/// How many days are kept.
const KEPT: usize = 3;

/// Pages that are copied and synced in one go, 1 MiB. Whoever syncs a sale meanwhile waits for what is not synced yet of
/// other files, too, so it must never be much.
const SLICE: i32 = 256;

/// Free space that a copy must leave, beyond its own size.
const SPARE: u64 = 64 << 20;

/// Copies the journal once a day, in a thread of its own.
#[derive(Debug, Default)]
pub struct Daily {
    running: Option<JoinHandle<Result<(), JournalError>>>,
    /// The newest day that needs no copy any more.
    done: Option<i64>,
}

impl Daily {
    /// To be called in idle moments, with the time of the newest step. Never waits; says what the last copy found.
    pub fn idle(&mut self, conn: &Connection, path: &Path, newest: Timestamp) -> Result<(), JournalError> {
        if let Some(copy) = self.running.take_if(|copy| copy.is_finished()) {
            let panicked =
                |_| Err(JournalError::Failed { path: path.to_owned(), what: "its copy failed".to_owned() });
            return copy.join().unwrap_or_else(panicked);
        }
        let today = day_number(newest);
        if !self.is_due(conn, today).map_err(|fault| fault.at(path))? {
            return Ok(());
        }
        let (source, target) = (path.to_owned(), dir(path).join(file(newest.day())));
        if !target.exists() {
            let copy = std::thread::Builder::new().name("copy".to_owned());
            let copy = copy.spawn(move || daily(&source, &target));
            self.running = Some(copy.map_err(|error| fault::io(path, &error))?);
        }
        self.done = Some(today);
        Ok(())
    }

    /// A copy is due in the first idle moment of a day, of a journal that began before that day.
    fn is_due(&self, conn: &Connection, today: i64) -> Result<bool, Fault> {
        if self.running.is_some() || self.done.is_some_and(|done| done >= today) {
            return Ok(false);
        }
        Ok(began(conn)?.is_some_and(|began| began < today))
    }
}

/// The day of the first step.
fn began(conn: &Connection) -> Result<Option<i64>, Fault> {
    use rusqlite::OptionalExtension;
    let first =
        conn.query_row("SELECT at FROM step ORDER BY seq LIMIT 1", [], |row| row.get(0)).optional()?;
    Ok(first.map(|at| day_number(Timestamp(at))))
}

fn file(day: Day) -> String {
    format!("journal-{day}.db")
}

/// Where the copies of the journal at `path` are.
pub fn dir(path: &Path) -> PathBuf {
    path.with_file_name("backup")
}

/// The daily copies of the journal at `path`, newest first.
pub fn copies(path: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir(path)).into_iter().flatten().flatten();
    let is_copy = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        name.starts_with("journal-") && name.ends_with(".db")
    };
    let mut copies: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(is_copy).collect();
    copies.sort_unstable_by(|a, b| b.cmp(a));
    copies
}

/// Whether a journal of this size can be copied: as much again may be written while it is, and sales go on after it.
fn is_enough(left: u64, size: u64) -> bool {
    left >= size * 2 + SPARE
}

/// Copies, verifies, and lets go of the oldest copies. A disk without room for it has no copy that day.
fn daily(source: &Path, target: &Path) -> Result<(), JournalError> {
    let size = std::fs::metadata(source).map_err(|error| fault::io(source, &error))?.len();
    if !Room::of(source).is_ok_and(|room| is_enough(room.left, size)) {
        return Ok(());
    }
    copy(source, target)?;
    if let Err(error) = audit::verify_file(target, &[]) {
        // The copy is what the journal is: the journal itself is damaged, and the older copies are worth more.
        let _ = std::fs::remove_file(target);
        return Err(match error {
            JournalError::Damaged { what, .. } => JournalError::Damaged { path: source.to_owned(), what },
            other => other,
        });
    }
    for old in copies(source).into_iter().skip(KEPT) {
        std::fs::remove_file(&old).map_err(|error| fault::io(&old, &error))?;
    }
    Ok(())
}

/// Copies the database at `source`, as it is at one moment, to a new file without a log; whole or not at all.
pub fn copy(source: &Path, target: &Path) -> Result<(), JournalError> {
    let wrap = |error: io::Error| fault::io(target, &error);
    let dir = target.parent().unwrap_or(Path::new("."));
    make_dir(dir).map_err(wrap)?;
    let beside = target.with_extension("new");
    let _ = std::fs::remove_file(&beside);
    fault::create(&beside)?;
    let file = File::open(&beside).map_err(wrap)?;
    let filled = fill(source, &beside, SLICE, || file.sync_data());
    filled.map_err(|fault| fault.at(source))?.map_err(wrap)?;
    file.sync_all().map_err(wrap)?;
    std::fs::rename(&beside, target).map_err(wrap)?;
    sync_dir(dir).map_err(wrap)
}

/// Copies what the database holds when it begins, `slice` pages at a time, and calls `between` after each; what that says.
pub fn fill(
    source: &Path,
    target: &Path,
    slice: i32,
    mut between: impl FnMut() -> io::Result<()>,
) -> Result<io::Result<()>, Fault> {
    let from = records::connect(source)?;
    let mut to = Connection::open(target)?;
    to.execute_batch("PRAGMA synchronous = OFF")?;
    // Reading in one transaction to the end: otherwise every sale that is written meanwhile makes the copy begin anew.
    let moment = from.unchecked_transaction()?;
    chain::head(&moment)?;
    let copying = Backup::new(&moment, &mut to)?;
    while let StepResult::More = copying.step(slice)? {
        if let Err(error) = between() {
            return Ok(Err(error));
        }
    }
    drop(copying);
    moment.finish()?;
    to.pragma_update_and_check(None, "journal_mode", "DELETE", |_| Ok(()))?;
    chain::head(&to)?;
    Ok(Ok(()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_copies_of_days_are_copies() {
        let state = tempfile::tempdir().unwrap();
        let journal = state.path().join("journal.db");
        std::fs::create_dir(dir(&journal)).unwrap();
        let names = [
            "journal-2026-11-20.db",
            "journal-2026-11-21.db",
            "journal-2026-11-22.new",
            "before-schema-2.db",
        ];
        for name in names {
            std::fs::write(dir(&journal).join(name), "").unwrap();
        }
        let found: Vec<_> =
            copies(&journal).iter().map(|copy| copy.file_name().unwrap().to_owned()).collect();
        assert_eq!(found, ["journal-2026-11-21.db", "journal-2026-11-20.db"], "the newest first");
    }

    #[test]
    fn a_copy_leaves_room_for_sales() {
        const MIB: u64 = 1 << 20;
        assert!(is_enough(264 * MIB, 100 * MIB) && !is_enough(264 * MIB - 1, 100 * MIB));
        assert!(!is_enough(63 * MIB, 0), "however small it is");
    }

    #[test]
    fn a_copy_is_due_once_a_day_after_the_first() {
        let conn = Connection::open_in_memory().unwrap();
        conn.execute_batch("CREATE TABLE step (seq INTEGER, at INTEGER)").unwrap();
        let mut daily = Daily::default();
        assert!(!daily.is_due(&conn, 100).unwrap(), "there is nothing to copy");
        const DAY: i64 = 24 * 60 * 60 * 1000;
        conn.execute("INSERT INTO step VALUES (1, ?1), (2, ?2)", [100 * DAY, 101 * DAY]).unwrap();
        assert!(!daily.is_due(&conn, 100).unwrap(), "the first day is not over");
        assert!(daily.is_due(&conn, 101).unwrap());
        daily.done = Some(101);
        assert!(!daily.is_due(&conn, 101).unwrap() && daily.is_due(&conn, 102).unwrap());
        assert!(!daily.is_due(&conn, 100).unwrap(), "a clock that went back is no new day");
        daily.running = Some(std::thread::spawn(|| Ok(())));
        assert!(!daily.is_due(&conn, 102).unwrap(), "one at a time");
    }
}
