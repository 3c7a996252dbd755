//! The one writer: names, keeps and concludes; stops for good when the disk has failed once.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::Connection;

use super::backup::{self, Daily};
use super::chain::{self, Head};
use super::fault::{self, Fault};
use super::lock::Lock;
use super::records::{self, Readers};
use super::reserve::{self, Reserve, Room};
use super::store::{self, Store, Write};
use super::witness::{self, Note, Witness};
use super::{Durability, Entry, FILE, JournalError, Kept, Opened, Settings, check, codec, rows, schema};
use crate::ids::{SaleId, TerminalId};
use crate::sale::Records;
use crate::time::{Day, Timestamp};

/// Synced commits between two checkpoints in idle moments. A checkpoint costs four syncs (log, database, the log's new
/// header, witness), so this keeps a sale of two synced commits at 2.1 syncs, and the log at a few MiB.
const CHECKPOINT_EVERY: u32 = 96;

/// Synced commits after which the log is checkpointed even if no moment is idle.
const CHECKPOINT_AT_LAST: u32 = 1_024;

/// The one writer.
pub struct Journal {
    path: PathBuf,
    terminal: TerminalId,
    store: Store,
    witness: Witness,
    reserve: Reserve,
    readers: Arc<Readers>,
    /// What the witness will be told next.
    note: Note,
    /// Which boot of the machine this is.
    boot: [u8; 16],
    synced_commits: u32,
    /// The disk failed once: what it holds is not known any more, so nothing is written until the next start.
    failed: Option<String>,
    /// Old rows were found to be damaged: what was begun is concluded, nothing new is begun.
    damaged: Option<String>,
    daily: Daily,
    /// The time of the newest step.
    newest: Timestamp,
    _lock: Lock,
}

/// A log that is longer at a start does not wait for an idle moment: lives that are all cut off before one would let it grow
/// until the disk is full. 4 MiB are the thousand pages after which SQLite checkpoints by itself.
const LOG_MAX: u64 = 4 << 20;

impl Journal {
    /// Opens or makes the journal: takes the lock, migrates, checks the chain against the witness, loads what is open.
    pub fn open(settings: &Settings, terminal: &TerminalId) -> Result<Opened, JournalError> {
        Self::open_in_boot(settings, terminal, witness::boot())
    }

    /// [`open`](Self::open) as if in another boot of the machine, for tests of power cuts.
    #[doc(hidden)]
    pub fn open_in_boot(
        settings: &Settings,
        terminal: &TerminalId,
        boot: [u8; 16],
    ) -> Result<Opened, JournalError> {
        let dir = settings.dir.as_path();
        let path = dir.join(FILE);
        let lock = Lock::take(dir)?;
        let found = Witness::open(dir).map_err(|error| fault::io(&witness::path(dir), &error))?;
        let damaged = |what: &str| JournalError::Damaged { path: path.clone(), what: what.to_owned() };
        if !path.exists() && found.as_ref().is_some_and(|(_, notes)| notes.iter().any(|n| n.head.seq > 0)) {
            return Err(damaged("the database is missing, which the witness saw"));
        }
        if !path.exists() && found.is_none() && (reserve::is_there(dir) || !backup::copies(&path).is_empty())
        {
            // A first start makes the witness before the reserve.
            return Err(damaged("the database and its witness are missing"));
        }
        let mut store = open_store(&path)?;
        let (mut witness, notes) = match found {
            Some((_, notes)) if notes.is_empty() => return Err(damaged("the witness holds no whole note")),
            Some(found) => found,
            None if chain::head(&store.conn).map_err(|fault| fault.at(&path))? == Head::default() => {
                // Nothing was promised yet: bring the tables into the database, and only then a witness beside it.
                store.checkpoint(true).map_err(|fault| fault.at(&path))?;
                let note = Note { clean: true, ..Note::default() };
                let made = Witness::create(dir, note).map_err(|error| fault::io(dir, &error))?;
                (made, vec![note])
            }
            None => return Err(damaged("the witness is missing")),
        };
        let owed = check::at_start(&store.conn, &notes, &boot).map_err(|fault| fault.at(&path))?;
        let unsynced_lost = notes.first().is_some_and(|newest| newest.boot != boot && !newest.clean);
        let numbers = numbers(&store, &notes).map_err(|fault| fault.at(&path))?;
        let log_length = std::fs::metadata(store::log_path(&path)).map_or(0, |log| log.len());
        let pending = store::pending(&store.conn).map_err(|fault| fault.at(&path))?;
        let note = Note {
            generation: 0,
            // Until what can be lost was marked, another start must find that it can.
            boot: notes.first().filter(|_| unsynced_lost).map_or(boot, |newest| newest.boot),
            clean: false,
            // What an earlier process left unsynced in the log stays so until the next synced commit.
            synced: owed.synced,
            head: owed.head,
            steps: numbers.steps,
            sales: numbers.sales,
            jobs: numbers.jobs,
            pending,
        };
        witness.anchor(note).map_err(|error| fault::io(&witness::path(dir), &error))?;
        let journal = Self {
            readers: Arc::new(Readers::new(&path)),
            reserve: Reserve::new(dir),
            terminal: terminal.clone(),
            synced_commits: match log_length {
                0 => 0,
                1..=LOG_MAX => CHECKPOINT_EVERY,
                _ => CHECKPOINT_AT_LAST,
            },
            failed: None,
            damaged: None,
            daily: Daily::default(),
            newest: Timestamp::default(),
            path,
            store,
            witness,
            note,
            boot,
            _lock: lock,
        };
        Ok(Opened { journal, open: owed.sales, jobs: owed.jobs, unsynced_lost })
    }

    /// What [`Opened::unsynced_lost`] means for the print jobs is kept now: a next start need not find it again.
    pub fn loss_is_marked(&mut self) -> Result<(), JournalError> {
        self.usable()?;
        self.note.boot = self.boot;
        self.anchor()
    }

    /// A name for a new sale, never given out before.
    pub fn name_sale(&mut self, day: Day) -> Result<SaleId, JournalError> {
        let random = getrandom::u32().map_err(|error| self.failure(format!("no randomness: {error}")))?;
        self.note.sales += 1;
        Ok(SaleId::new(&self.terminal, day, self.note.sales.unsigned_abs(), random))
    }

    /// Whether another sale may be begun: [`Full`](JournalError::Full) when the disk is so full, and
    /// [`Damaged`](JournalError::Damaged) when old rows were found to be so changed, that only what was begun may be
    /// concluded. [`open_sale`](Self::open_sale) asks by itself. Space that has returned is set aside again at once.
    pub fn room_for_sales(&mut self) -> Result<(), JournalError> {
        self.usable()?;
        self.reserve.look();
        if let Some(what) = &self.damaged {
            return Err(JournalError::Damaged { path: self.path.clone(), what: what.clone() });
        }
        if self.reserve.is_low() {
            return Err(JournalError::Full { path: self.path.clone() });
        }
        Ok(())
    }

    /// The directory that it is in, and what is left on its disk.
    pub fn room(&self) -> std::io::Result<(&Path, Room)> {
        let dir = self.path.parent().unwrap_or(Path::new("."));
        Ok((dir, Room::of(dir)?))
    }

    /// Keeps the first step of the sale that was [named](Self::name_sale) last, and its idempotency key, synced. The key is
    /// kept for ever.
    pub fn open_sale(
        &mut self,
        entry: &Entry<'_>,
        key: &str,
        fingerprint: &str,
    ) -> Result<Kept, JournalError> {
        self.room_for_sales()?;
        let opening = records::opening(key, fingerprint);
        self.write(entry, Some((self.note.sales, opening)), Durability::PowerCut)
    }

    /// The sale that was opened under `key`, and whether the request was the same.
    pub fn by_key(&mut self, key: &str, fingerprint: &str) -> Result<Option<(SaleId, bool)>, JournalError> {
        let opening = records::opening(key, fingerprint);
        let conn = &self.store.conn;
        let look = || -> Result<_, Fault> {
            let Some((n, kept)) = rows::by_key(conn, &opening.key)? else { return Ok(None) };
            let found = rows::by_number(conn, n)?;
            let found = found.ok_or_else(|| Fault::Damage(format!("sale {n} of a key is missing")))?;
            Ok(Some((found.sale.id, kept == opening.fingerprint)))
        };
        look().map_err(|fault| fault.at(&self.path))
    }

    /// Keeps a step.
    pub fn append(&mut self, entry: &Entry<'_>, durability: Durability) -> Result<Kept, JournalError> {
        self.usable()?;
        self.write(entry, None, durability)
    }

    fn write(
        &mut self,
        entry: &Entry<'_>,
        opening: Option<(i64, codec::Opening)>,
        durability: Durability,
    ) -> Result<Kept, JournalError> {
        let write = Write {
            entry,
            opening,
            head: self.note.head,
            seq: self.note.steps + 1,
            next_job: self.note.jobs + 1,
        };
        let mut outcome = self.store.write(&write, durability).map_err(|fault| self.judge(fault));
        while opening.is_none() && matches!(outcome, Err(JournalError::Full { .. })) && self.reserve.release()
        {
            outcome = self.store.write(&write, durability).map_err(|fault| self.judge(fault));
        }
        let written = outcome?;
        self.note.steps = write.seq;
        self.newest = entry.at;
        self.note.head = written.head;
        self.note.pending = written.pending;
        if let Some(job) = written.job {
            self.note.jobs = self.note.jobs.max(job.job.cast_signed());
        }
        if durability == Durability::PowerCut {
            self.note.synced = written.head;
            self.synced_commits += 1;
        }
        // The step is kept, whatever becomes of its note: a witness that cannot be written stops the next one.
        if let Err(error) = self.witness.note(self.note) {
            self.failed = Some(format!("its witness cannot be written: {error}"));
        }
        if self.synced_commits >= CHECKPOINT_AT_LAST {
            let _ = self.checkpoint();
        }
        Ok(Kept { sequence: write.seq.unsigned_abs(), job: written.job.map(|job| job.job) })
    }

    /// What a failed write means for the next ones.
    fn judge(&mut self, fault: Fault) -> JournalError {
        let harmless = fault.is_harmless();
        let error = fault.at(&self.path);
        match &error {
            JournalError::Full { .. } => self.reserve.set_low(),
            other if !harmless => self.failed = Some(other.to_string()),
            _ => {}
        }
        error
    }

    fn usable(&self) -> Result<(), JournalError> {
        match &self.failed {
            Some(what) => Err(self.failure(format!("nothing is written until the next start: {what}"))),
            None => Ok(()),
        }
    }

    fn failure(&self, what: String) -> JournalError {
        JournalError::Failed { path: self.path.clone(), what }
    }

    /// Work for an idle moment: checkpoint, witness, space, and once a day a copy. Never in the way of a sale; does
    /// nothing most of the time. Says [`Damaged`](JournalError::Damaged) once when the day's copy finds old rows changed;
    /// then no sale can be opened. Other errors are for the log: [`room_for_sales`](Self::room_for_sales) says what follows.
    pub fn idle(&mut self) -> Result<(), JournalError> {
        self.usable()?;
        self.reserve.look();
        if self.synced_commits >= CHECKPOINT_EVERY {
            return self.checkpoint();
        }
        if self.newest == Timestamp::default() {
            return Ok(());
        }
        self.daily.idle(&self.store.conn, &self.path, self.newest).map_err(|error| match error {
            JournalError::Damaged { path, what } => {
                self.damaged = Some(what.clone());
                JournalError::Damaged { path, what }
            }
            other => self.failure(format!("the day's copy could not be made: {other}")),
        })
    }

    fn checkpoint(&mut self) -> Result<(), JournalError> {
        self.synced_commits = 0;
        let whole = self.store.checkpoint(false).map_err(|fault| self.judge(fault))?;
        if whole {
            // All of the log is in the database now, and that was synced: unsynced steps too.
            self.note.synced = self.note.head;
        }
        self.anchor()
    }

    fn anchor(&mut self) -> Result<(), JournalError> {
        let anchored = self.witness.anchor(self.note);
        anchored.map_err(|error| {
            self.failed = Some(format!("its witness cannot be written: {error}"));
            fault::io(&self.path, &error)
        })
    }

    /// A clean end: everything synced, the witness written.
    pub fn close(mut self) -> Result<(), JournalError> {
        self.usable()?;
        let whole = self.store.checkpoint(true).map_err(|fault| fault.at(&self.path))?;
        if whole {
            self.note.synced = self.note.head;
        } else {
            // A reader holds the log up. What is in it is synced, but its last sector may be written again.
            let synced = std::fs::File::open(store::log_path(&self.path)).and_then(|log| log.sync_data());
            synced.map_err(|error| fault::io(&self.path, &error))?;
        }
        self.note.clean = true;
        self.anchor()
    }

    /// A reader beside the writer, on its own connections.
    pub fn records(&self) -> Arc<dyn Records> {
        self.readers.clone()
    }
}

/// Opens the database, brings it to this program's schema, and refuses what is not a journal.
fn open_store(path: &Path) -> Result<Store, JournalError> {
    let store = Store::open(path)?;
    let version = schema::version(&store.conn, path)?;
    let wrap = |fault: Fault| fault.at(path);
    store.prepare().map_err(wrap)?;
    if version < schema::newest() {
        if version > 0 {
            let before = backup::dir(path).join(format!("before-schema-{}.db", version + 1));
            backup::copy(path, &before)?;
        }
        schema::migrate(&store.conn, version, &schema::MIGRATIONS).map_err(wrap)?;
    }
    Ok(store)
}

/// The highest numbers that were ever given out, as far as the database or the witness knows.
struct Numbers {
    steps: i64,
    sales: i64,
    jobs: i64,
}

fn numbers(store: &Store, notes: &[Note]) -> Result<Numbers, Fault> {
    let noted = |number: fn(&Note) -> i64| notes.iter().map(number).max().unwrap_or(0);
    Ok(Numbers {
        steps: chain::head(&store.conn)?.seq.max(noted(|note| note.steps)),
        sales: highest(&store.conn, "n", "sale")?.max(noted(|note| note.sales)),
        jobs: highest(&store.conn, "job", "job")?.max(noted(|note| note.jobs)),
    })
}

/// The highest number in a table's key.
pub fn highest(conn: &Connection, column: &str, table: &str) -> Result<i64, Fault> {
    let sql = format!("SELECT coalesce(max({column}), 0) FROM {table}");
    Ok(conn.query_row(&sql, [], |row| row.get(0))?)
}
