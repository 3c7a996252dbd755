//! A damaged journal made whole again as far as rows can still be trusted. Only a person starts this; the damaged files are kept.

use std::os::unix::fs::{MetadataExt, lchown};
use std::path::{Path, PathBuf};

use rusqlite::Connection;

use super::chain::{self, Head};
use super::fault::{self, Fault};
use super::lock::{Lock, make_dir, sync_dir};
use super::recall::{End, Recalled, Remembered};
use super::store::{self, Store, log_path};
use super::witness::{self, Note, Witness};
use super::writer::highest;
use super::{FILE, JournalError, Settings, audit, backup, records, schema};

/// What came of a restoration.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Restored {
    /// Where the damaged files are now.
    pub aside: PathBuf,
    /// The copy that it began from; without one, from the damaged journal's own first row.
    pub backup: Option<PathBuf>,
    /// The newest step in the copy.
    pub copied: u64,
    /// The newest step now: those after the copy are the damaged journal's, as far as they follow from each other.
    pub newest: u64,
    /// The newest step that the damaged journal or its witness ever had. What is between is lost here, and the gateway
    /// must be asked: compare the statements of these days.
    pub seen: u64,
    /// Whether the witness could say so; without it more can have been there than anything still shows.
    pub witnessed: bool,
    /// What the log remembered of that.
    pub recalled: Recalled,
}

/// Builds the journal anew: from the newest daily copy that is whole, and from the rows of the damaged journal that
/// follow on it. Sales and refunds that are missing then, and that the log remembers, are put back. Numbers and names go
/// on after all that was ever given out. The journal must not be in use.
///
/// What a newer program wrote is not damaged, and is refused.
///
/// A crash in between leaves a journal that refuses to open; then this can be run again. All that was there before lies
/// in `damaged-1`, `damaged-2`, … beside it.
pub fn restore(settings: &Settings, remembered: &Remembered) -> Result<Restored, JournalError> {
    let dir = settings.dir.as_path();
    let _lock = Lock::take(dir)?;
    let path = dir.join(FILE);
    let new = dir.join("journal.new");
    if let Ok(conn) = records::connect(&path)
        && let Err(newer @ JournalError::Newer { .. }) = schema::version(&conn, &path)
    {
        return Err(newer);
    }
    let notes = witness::notes(dir).map_err(|error| fault::io(&witness::path(dir), &error))?;
    let backup = backup::copies(&path).into_iter().find(|copy| audit::verify_file(copy, &[]).is_ok());
    let built = build(&new, backup.as_deref(), &path, &notes, remembered).map_err(|fault| fault.at(&new))?;
    audit::verify_file(&new, &[])?;
    let aside = set_aside(dir, &path).map_err(|error| fault::io(dir, &error))?;
    // In this order: without its log, or beside the old witness, neither journal opens.
    let swap = || -> std::io::Result<()> {
        for old in [log_path(&path), path.with_extension("db-shm")] {
            if old.exists() {
                std::fs::remove_file(old)?;
            }
        }
        sync_dir(dir)?;
        std::fs::rename(&new, &path)?;
        sync_dir(dir)?;
        Witness::create(dir, built.note).map(|_| ())
    };
    swap().and_then(|()| hand_over(dir, &aside)).map_err(|error| fault::io(dir, &error))?;
    let number = |number: i64| number.unsigned_abs();
    Ok(Restored {
        aside,
        backup,
        copied: number(built.copied.seq),
        newest: number(built.newest.seq),
        seen: number(built.seen),
        witnessed: !notes.is_empty(),
        recalled: built.recalled,
    })
}

/// What root has made belongs to whoever owns the directory: the daemon must be able to write it.
fn hand_over(dir: &Path, aside: &Path) -> std::io::Result<()> {
    if !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    let owner = std::fs::metadata(dir)?;
    let (uid, gid) = (owner.uid(), owner.gid());
    for folder in [dir, aside] {
        for entry in std::fs::read_dir(folder)? {
            let entry = entry?;
            let made = entry.metadata()?;
            if (made.uid(), made.gid()) != (uid, gid) {
                lchown(entry.path(), Some(uid), Some(gid))?;
            }
        }
    }
    Ok(())
}

/// A file that was filled.
struct Built {
    /// The newest row of the copy.
    copied: Head,
    /// The newest row that was found.
    newest: Head,
    /// The highest number that a row ever had.
    seen: i64,
    recalled: Recalled,
    /// What the witness is to know.
    note: Note,
}

/// Fills the new file.
fn build(
    new: &Path,
    backup: Option<&Path>,
    damaged: &Path,
    notes: &[Note],
    remembered: &Remembered,
) -> Result<Built, Fault> {
    let failed = |error: std::io::Error| Fault::Refused(format!("{}: {error}", new.display()));
    let _ = std::fs::remove_file(new);
    fault::create(new).map_err(|error| Fault::Refused(error.to_string()))?;
    if let Some(backup) = backup {
        std::fs::copy(backup, new).map_err(failed)?;
    }
    let store = Store::open(new).map_err(|error| Fault::Refused(error.to_string()))?;
    let conn = &store.conn;
    let version = schema::version(conn, new).map_err(|error| Fault::Refused(error.to_string()))?;
    schema::migrate(conn, version, &schema::MIGRATIONS)?;
    let copied = chain::head(conn)?;
    let mut seen = copied.seq;
    conn.execute_batch("BEGIN IMMEDIATE")?;
    if let Ok(damaged) = records::connect(damaged) {
        seen = seen.max(chain::head(&damaged).map_or(0, |head| head.seq));
        salvage(conn, &damaged, copied)?;
    }
    let newest = chain::head(conn)?;
    let noted = |number: fn(&Note) -> i64| notes.iter().map(number).max().unwrap_or(0);
    let seen = seen.max(newest.seq).max(noted(|note| note.steps));
    let mut end = End {
        conn,
        head: newest,
        steps: seen,
        sales: highest(conn, "n", "sale")?.max(noted(|note| note.sales)),
        jobs: highest(conn, "job", "job")?.max(noted(|note| note.jobs)),
    };
    let recalled = end.recall(remembered)?;
    let missing = notes.is_empty() || newest.seq < seen;
    if missing {
        end.doubt_receipts()?;
    }
    let End { head, steps, sales, jobs, .. } = end;
    conn.execute_batch("COMMIT")?;
    let last = notes.first();
    let note = Note {
        generation: noted(|note| note.generation.cast_signed()).cast_unsigned(),
        // Where steps are missing, what is queued here can have been printed: the next start is to take it so.
        boot: last.filter(|_| !missing).map_or([0; 16], |note| note.boot),
        clean: !missing && last.is_some_and(|note| note.clean),
        synced: head,
        head,
        steps,
        sales,
        jobs,
        pending: store::pending(conn)?,
    };
    drop(store);
    std::fs::File::open(new).and_then(|file| file.sync_all()).map_err(failed)?;
    Ok(Built { copied, newest, seen, recalled, note })
}

/// Takes over the rows of `damaged` after `from`, up to the first that does not follow or cannot be read.
fn salvage(conn: &Connection, damaged: &Connection, from: Head) -> Result<(), Fault> {
    let mut own = None;
    let walked = chain::walk(damaged, from, |step| match store::replay(conn, step) {
        Err(fault @ Fault::Sql(_)) => {
            own = Some(fault);
            Err(Fault::Refused("the new file cannot be written".to_owned()))
        }
        other => other,
    });
    match (walked, own) {
        (_, Some(fault)) => Err(fault),
        // The first row that does not fit is where the damage begins.
        (Ok(_) | Err(_), None) => Ok(()),
    }
}

/// Gives the damaged files a second name, in a directory of their own.
fn set_aside(dir: &Path, path: &Path) -> std::io::Result<PathBuf> {
    let aside = (1..).map(|number| dir.join(format!("damaged-{number}"))).find(|aside| !aside.exists());
    let aside = aside.unwrap_or_else(|| dir.join("damaged"));
    make_dir(&aside)?;
    for file in [path.to_owned(), log_path(path), witness::path(dir)] {
        if let Some(name) = file.file_name()
            && file.exists()
        {
            // The witness and the log will be replaced or removed, not written: a second name is enough.
            std::fs::hard_link(&file, aside.join(name))
                .or_else(|_| std::fs::copy(&file, aside.join(name)).map(|_| ()))?;
        }
    }
    sync_dir(&aside)?;
    Ok(aside)
}
