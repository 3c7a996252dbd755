//! One process owns a journal. The lock is the kernel's, so it ends with the process, however that ends.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::Read;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::Path;

use super::JournalError;
use super::fault;

/// `f_type` of NFS (`NFS_SUPER_MAGIC`, linux/magic.h).
const NFS: u64 = 0x6969;

/// Held as long as the journal is open.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock at once, or says which process has it. Makes the directory (0700) if it is not there.
    pub fn take(dir: &Path) -> Result<Self, JournalError> {
        let failed = |error: std::io::Error| fault::io(dir, &error);
        make_dir(dir).map_err(failed)?;
        if rustix::fs::statfs(dir).is_ok_and(|system| u64::try_from(system.f_type) == Ok(NFS)) {
            let what = "its directory is on NFS, where locks and syncs cannot be relied on\nhelp: put state_dir on a local disk";
            return Err(JournalError::Failed { path: dir.to_owned(), what: what.to_owned() });
        }
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(dir.join("journal.lock"))
            .map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut pid = String::new();
                file.take(16).read_to_string(&mut pid).map_err(failed)?;
                return Err(JournalError::InUse { path: dir.to_owned(), pid: pid.trim().to_owned() });
            }
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        // In place and of one width: a full disk must not keep the journal from opening.
        match file.write_all_at(format!("{:<15}\n", std::process::id()).as_bytes(), 0) {
            Err(error) if error.kind() != std::io::ErrorKind::StorageFull => Err(failed(error)),
            _ => Ok(Self { _file: file }),
        }
    }
}

/// Syncs the directory, so that names made in it survive a power cut.
pub fn sync_dir(dir: &Path) -> std::io::Result<()> {
    File::open(dir)?.sync_all()
}

/// Makes the directory and those above it, for the owner only; nothing happens to one that is there.
pub fn make_dir(dir: &Path) -> std::io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir)
}
