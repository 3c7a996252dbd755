//! The journal: every step of every sale, durable before it has an effect. One writer; a past row is never changed.
//!
//! **What is kept.** One row a step, chained by hashes, in one SQLite file. All else follows from these rows in the same
//! commit: the sales as they stand, what is open, the print jobs, the keys, the totals of days.
//!
//! **What a commit costs.** Opening a sale and concluding it are one sync each; what lies between needs none, because a
//! scan only adds to an intent that is on the disk already, and a lost printing mark only makes a marked copy. The log
//! is brought into the database in idle moments.
//!
//! **What is noticed.** SQLite itself reads a damaged log up to the damage, drops the rest and says nothing. So every
//! commit is also noted in a witness beside the database. At each start:
//!
//! | what happened | noticed by |
//! |---|---|
//! | a step was changed, removed or put in between | the chain: all rows since the last sync the witness knows of, and all that is owed; older rows by the day's copy, [`verify_all`] and `doctor` |
//! | the log rotted or was deleted, the database was replaced by an older one | the witness: a row that it saw is missing |
//! | an index or a table no longer says what the steps say | for what is owed and what is new, the start; for the rest as above |
//! | the witness is gone or unreadable | the start refuses, as nothing else can be told then |
//!
//! **What is not noticed.** Somebody who may write the files and computes the hashes anew: the chain has no key. All
//! files set back together to an earlier moment, as a restored picture of a whole machine does: only the gateway's
//! statement tells. A disk that says it has synced and has not, *and* loses the rows and the witness's note of them in
//! the same power cut: the note is not synced for each sale, it reaches the disk when the system writes it by itself,
//! commonly within half a minute, and is synced with each checkpoint, start and end. Steps that were not synced
//! ([`Durability::ProcessEnd`]) can be lost in a power cut by their nature; [`Opened::unsynced_lost`] says when.
//!
//! **What is done about it.** Nothing by itself: a damaged journal refuses to open and is left as it is. [`restore()`] is a
//! person's act; it builds the journal from the newest copy that is whole, from the rows that still follow, and from what
//! the log [remembers](Remembered), and keeps the damaged files. After a write or a sync has failed once nothing more is
//! written until the next start, since a later success would say nothing about the earlier rows. A full disk is no
//! failure: what was begun is concluded in space set aside, and sales are taken again when there is room.

use std::path::PathBuf;

mod audit;
mod backup;
mod chain;
mod check;
mod codec;
mod fault;
mod lock;
mod recall;
mod records;
mod reserve;
mod restore;
mod rows;
mod schema;
mod search;
mod store;
#[cfg(test)]
mod tests;
mod witness;
mod writer;

pub use audit::{Verified, verify_all};
pub use recall::{Recalled, Remembered, RememberedRefund, RememberedSale};
pub use records::{read_only, refund_key};
pub use reserve::Room;
pub use restore::{Restored, restore};
pub use rows::UNCONFIRMED_AMONG;
pub use writer::Journal;

use crate::ids::SaleId;
use crate::input::JobId;
use crate::sale::{ReceiptState, Sale};
use crate::time::Timestamp;

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
        "journal {path} is damaged: {what}\nhelp: nothing was changed; stop the service, run `micropayd restore` as its user, and see docs/when-money-is-in-doubt.md"
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
    /// Whether rows that were written without a sync by the process before can have been lost: another boot, no clean end;
    /// or rows of any kind, by a restoration. Stays so until [`Journal::loss_is_marked`].
    pub unsynced_lost: bool,
}

/// The name of the database in the journal's directory.
const FILE: &str = "journal.db";
