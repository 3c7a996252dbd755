//! What can go wrong inside the journal, and which of the journal's errors it becomes.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rusqlite::ErrorCode;

use super::JournalError;
use crate::sale::RecordsError;

/// Something that went wrong, before it is known where.
#[derive(Debug)]
pub enum Fault {
    /// The database says so.
    Sql(rusqlite::Error),
    /// What was read cannot have been written by this program.
    Damage(String),
    /// The caller asked for something that cannot be; nothing was done.
    Refused(String),
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Fault::Sql(error)
    }
}

impl From<String> for Fault {
    fn from(what: String) -> Self {
        Fault::Damage(what)
    }
}

impl Fault {
    /// Whether nothing was done and the disk is not to blame: the caller was wrong, or another program (a person with an
    /// SQLite shell) holds the database.
    pub fn is_harmless(&self) -> bool {
        match self {
            Fault::Refused(_) => true,
            Fault::Damage(_) => false,
            Fault::Sql(error) => matches!(
                error.sqlite_error_code(),
                Some(ErrorCode::ConstraintViolation | ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked)
            ),
        }
    }

    /// The journal's error about the file at `path`.
    pub fn at(self, path: &Path) -> JournalError {
        let path = path.to_owned();
        match self {
            Fault::Refused(what) => JournalError::Failed { path, what },
            Fault::Damage(what) => JournalError::Damaged { path, what },
            Fault::Sql(error) => match error.sqlite_error_code() {
                Some(ErrorCode::DiskFull) => JournalError::Full { path },
                Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => {
                    JournalError::Damaged { path, what: error.to_string() }
                }
                None => JournalError::Damaged { path, what: error.to_string() },
                Some(_) => JournalError::Failed { path, what: error.to_string() },
            },
        }
    }
}

impl From<Fault> for RecordsError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Sql(error) => RecordsError(error.to_string()),
            Fault::Damage(what) | Fault::Refused(what) => RecordsError(what),
        }
    }
}

/// The journal's error for a failed system call on the file at `path`.
pub fn io(path: &Path, error: &std::io::Error) -> JournalError {
    let path = path.to_owned();
    match error.kind() {
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => JournalError::Full { path },
        std::io::ErrorKind::ReadOnlyFilesystem => {
            let help = "leave state_dir out, the service may write nowhere else; if the disk itself is read-only, replace it";
            JournalError::Failed { path, what: format!("{error}\nhelp: {help}") }
        }
        _ => JournalError::Failed { path, what: error.to_string() },
    }
}

/// Makes an empty file with mode 0600 where there is none: SQLite gives its own files the mode of the database.
pub fn create(path: &Path) -> Result<(), JournalError> {
    let made = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path);
    made.map(|_| ()).map_err(|error| io(path, &error))
}

#[cfg(test)]
mod tests {
    use std::io::{Error, ErrorKind};

    use super::*;

    #[test]
    fn a_failed_call_is_told_from_a_full_disk_and_says_what_to_do() {
        let of = |kind| io(Path::new("journal.db"), &Error::from(kind));
        for full in [ErrorKind::StorageFull, ErrorKind::QuotaExceeded] {
            assert!(matches!(of(full), JournalError::Full { .. }), "{full:?}");
        }
        let read_only = of(ErrorKind::ReadOnlyFilesystem).to_string();
        assert!(read_only.contains("\nhelp: leave state_dir out"), "{read_only}");
        let other = of(ErrorKind::TimedOut);
        assert!(matches!(&other, JournalError::Failed { what, .. } if !what.contains("help")), "{other}");
    }

    #[test]
    fn only_what_wrote_nothing_is_harmless() {
        let sql = |code| Fault::Sql(rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(code), None));
        use rusqlite::ffi::{SQLITE_BUSY, SQLITE_CONSTRAINT, SQLITE_FULL, SQLITE_IOERR, SQLITE_LOCKED};
        for code in [SQLITE_BUSY, SQLITE_LOCKED, SQLITE_CONSTRAINT] {
            assert!(sql(code).is_harmless(), "{code}");
        }
        for code in [SQLITE_IOERR, SQLITE_FULL] {
            assert!(!sql(code).is_harmless(), "{code}");
        }
        assert!(!Fault::Damage(String::new()).is_harmless() && Fault::Refused(String::new()).is_harmless());
    }
}
