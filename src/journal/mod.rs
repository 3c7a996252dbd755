//! The journal: every step of every sale, durable before it has an effect. One writer; a past row is never changed.

use std::path::PathBuf;
use std::sync::Arc;

use crate::ids::{SaleId, TerminalId};
use crate::input::JobId;
use crate::sale::{ReceiptState, Records, Sale};
use crate::time::{Day, Timestamp};

/// Where the journal is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settings {
    /// The directory with the database, its lock and its witness.
    pub dir: PathBuf,
}

/// How much a write must survive.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Durability {
    /// A power cut: the commit is synced.
    PowerCut,
    /// The end of the process: written, not synced. The next synced commit carries it along.
    ProcessEnd,
}

/// One step to be kept.
#[derive(Debug)]
pub struct Entry<'a> {
    /// When.
    pub at: Timestamp,
    /// What happened, in the log's words. Never a payment code, never a key.
    pub event: &'a str,
    /// The sale after it.
    pub sale: &'a Sale,
    /// The print job that changes with it, if any: a new one when the id is `None`.
    pub job: Option<JobChange>,
}

/// A print job's new state.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct JobChange {
    /// Which job; `None` for a new one.
    pub job: Option<JobId>,
    /// Its state.
    pub state: ReceiptState,
    /// Whether the paper must say that it is, or may be, a second one.
    pub marked: bool,
}

/// A print job that is not finished.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PendingJob {
    /// Its name.
    pub job: JobId,
    /// Its sale.
    pub sale: SaleId,
    /// Its state: queued, sending, unconfirmed or failed.
    pub state: ReceiptState,
    /// Whether the paper must say that it is, or may be, a second one.
    pub marked: bool,
    /// Which receipt of the sale it is, from 1.
    pub number: u32,
    /// When it was ordered.
    pub since: Timestamp,
}

/// What a write returns.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Kept {
    /// The step's sequence number.
    pub sequence: u64,
    /// The print job, if the entry made or changed one.
    pub job: Option<JobId>,
}

/// Why the journal cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// Another process owns it.
    #[error(
        "journal {path} is in use by process {pid}\nhelp: stop that process, or give this one its own state_dir"
    )]
    InUse {
        /// The directory.
        path: PathBuf,
        /// The owner.
        pid: String,
    },
    /// A newer program wrote it.
    #[error(
        "journal {path} has schema {got}, expected at most {expected}\nhelp: install the newer program again"
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// What the file says.
        got: i64,
        /// What this program knows.
        expected: i64,
    },
    /// Rows are missing or changed.
    #[error(
        "journal {path} is damaged: {what}\nhelp: see docs/when-money-is-in-doubt.md; nothing was changed"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What was found.
        what: String,
    },
    /// The disk is full.
    #[error(
        "journal {path} cannot grow: the disk is full\nhelp: free some space; sales are taken again by themselves"
    )]
    Full {
        /// The file.
        path: PathBuf,
    },
    /// Anything else of the disk or the database.
    #[error("journal {path} failed: {what}")]
    Failed {
        /// The file.
        path: PathBuf,
        /// What the database says.
        what: String,
    },
}

/// What was found at the start.
pub struct Opened {
    /// The writer.
    pub journal: Journal,
    /// Sales that are open or whose receipt is pending, oldest first.
    pub open: Vec<Sale>,
    /// Print jobs that are not finished, oldest first.
    pub jobs: Vec<PendingJob>,
    /// Whether rows that were written without a sync by the process before can have been lost: another boot, no clean end.
    pub unsynced_lost: bool,
}

/// The one writer.
pub struct Journal {}

impl Journal {
    /// Opens or makes the journal: takes the lock, migrates, checks the chain against the witness, loads what is open.
    pub fn open(_settings: &Settings, _terminal: &TerminalId) -> Result<Opened, JournalError> {
        Ok(Opened { journal: Journal {}, open: Vec::new(), jobs: Vec::new(), unsynced_lost: false })
    }

    /// A name for a new sale, never given out before.
    pub fn name_sale(&mut self, _day: Day) -> Result<SaleId, JournalError> {
        unreachable!()
    }

    /// Keeps the first step of a sale and its idempotency key, synced. The key is kept for ever.
    pub fn open_sale(
        &mut self,
        _entry: &Entry<'_>,
        _key: &str,
        _fingerprint: &str,
    ) -> Result<Kept, JournalError> {
        unreachable!()
    }

    /// The sale that was opened under `key`, and whether the request was the same.
    pub fn by_key(&mut self, _key: &str, _fingerprint: &str) -> Result<Option<(SaleId, bool)>, JournalError> {
        unreachable!()
    }

    /// Keeps a step.
    pub fn append(&mut self, _entry: &Entry<'_>, _durability: Durability) -> Result<Kept, JournalError> {
        unreachable!()
    }

    /// Work for an idle moment: checkpoint, witness. Never in the way of a sale.
    pub fn idle(&mut self) -> Result<(), JournalError> {
        Ok(())
    }

    /// A clean end: everything synced, the witness written.
    pub fn close(self) -> Result<(), JournalError> {
        Ok(())
    }

    /// A reader beside the writer, on its own connections.
    pub fn records(&self) -> Arc<dyn Records> {
        unreachable!()
    }
}
