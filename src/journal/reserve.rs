//! Disk space set aside, so that what was begun can be concluded when the disk is full.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::FallocateFlags;

const FILE: &str = "reserve";

/// 4 MiB: sixteen slices, each for at least one conclusion; far more than a lane has begun.
const SIZE: u64 = 4 << 20;

/// Several commits of some 50 KiB, with what the file system needs for itself.
const SLICE: u64 = 256 << 10;

/// Sales are taken again when this much is free beyond the reserve: else the next one fills the disk again.
const MARGIN: u64 = 4 << 20;

/// With less than one in so many blocks or inodes left somebody should make room, long before sales are refused.
const SHARE_MIN: u64 = 10;

/// What is left on a disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Room {
    /// Bytes that this process may still write.
    pub left: u64,
    /// Whether less than a tenth of its blocks is left.
    pub short_of_blocks: bool,
    /// Whether less than a tenth of its inodes is left.
    pub short_of_inodes: bool,
}

impl Room {
    /// Looks at the disk that `dir` is on.
    pub fn of(dir: &Path) -> io::Result<Self> {
        let about = rustix::fs::statvfs(dir)?;
        let (blocks, inodes) = ((about.f_bavail, about.f_blocks), (about.f_favail, about.f_files));
        Ok(Self::with(about.f_frsize, blocks, inodes))
    }

    /// With blocks of this size: how many of them, and of the inodes, are left of how many.
    fn with(size: u64, blocks: (u64, u64), inodes: (u64, u64)) -> Self {
        // Some file systems (btrfs) count no inodes and say 0 of 0.
        let is_short = |(left, all): (u64, u64)| all > 0 && left < all / SHARE_MIN;
        Self {
            left: blocks.0.saturating_mul(size),
            short_of_blocks: is_short(blocks),
            short_of_inodes: is_short(inodes),
        }
    }

    /// Whether somebody should make room.
    pub fn is_short(&self) -> bool {
        self.short_of_blocks || self.short_of_inodes
    }
}

/// Whether sales can be taken again with so much free beside what of the reserve is still held.
fn is_enough(free: u64, held: u64) -> bool {
    free.saturating_add(held) >= SIZE + MARGIN
}

/// Whether space was ever set aside in `dir`: then there was a journal.
pub fn is_there(dir: &Path) -> bool {
    dir.join(FILE).exists()
}

/// The space set aside.
#[derive(Debug)]
pub struct Reserve {
    path: PathBuf,
    low: bool,
}

impl Reserve {
    /// Sets the space aside in `dir`, if there is enough.
    pub fn new(dir: &Path) -> Self {
        let mut reserve = Self { path: dir.join(FILE), low: true };
        reserve.look();
        reserve
    }

    /// Whether space is so short that no new sale may be taken.
    pub fn is_low(&self) -> bool {
        self.low
    }

    /// The disk was found to be full.
    pub fn set_low(&mut self) {
        self.low = true;
    }

    /// Gives a slice of the space back to the disk, for a conclusion; whether there was any left. Slices, because
    /// whoever filled the disk takes what is not used at once.
    pub fn release(&mut self) -> bool {
        self.low = true;
        let held = std::fs::metadata(&self.path).map_or(0, |file| file.len());
        let shrink = |file: File| file.set_len(held.saturating_sub(SLICE));
        held > 0 && File::options().write(true).open(&self.path).and_then(shrink).is_ok()
    }

    /// Sets the space aside again once there is enough of it; and notices that nothing is left beside it before a sale
    /// finds out.
    pub fn look(&mut self) {
        let dir = self.path.parent().unwrap_or(Path::new("."));
        let Ok(Room { left: free, .. }) = Room::of(dir) else { return };
        if self.low {
            let held = std::fs::metadata(&self.path).map_or(0, |file| file.len());
            self.low = !is_enough(free, held) || (!self.is_whole() && self.fill().is_err());
        } else {
            self.low = free < SLICE;
        }
    }

    /// Whether an earlier process left all of it: the length alone may be a hole.
    fn is_whole(&self) -> bool {
        std::fs::metadata(&self.path).is_ok_and(|file| file.len() >= SIZE && file.blocks() * 512 >= SIZE)
    }

    fn fill(&self) -> io::Result<()> {
        let file =
            OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&self.path)?;
        match rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, SIZE) {
            Err(rustix::io::Errno::OPNOTSUPP) => {
                io::copy(&mut io::repeat(0).take(SIZE), &mut &file).map(|_| ())
            }
            other => Ok(other?),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_is_nearly_full_below_a_tenth_of_blocks_or_inodes() {
        let room = Room::with(4096, (10, 100), (10, 100));
        assert_eq!(room, Room { left: 40_960, short_of_blocks: false, short_of_inodes: false });
        assert!(!room.is_short());
        let blocks = Room::with(4096, (9, 100), (10, 100));
        assert!(blocks.short_of_blocks && !blocks.short_of_inodes && blocks.is_short());
        let inodes = Room::with(4096, (10, 100), (9, 100));
        assert!(!inodes.short_of_blocks && inodes.short_of_inodes && inodes.is_short());
        assert!(!Room::with(4096, (10, 100), (0, 0)).is_short(), "a file system that counts no inodes");
    }

    #[test]
    fn sales_are_taken_again_with_eight_mib_free_or_held() {
        const MIB: u64 = 1 << 20;
        assert!(is_enough(8 * MIB, 0) && is_enough(4 * MIB, 4 * MIB));
        assert!(!is_enough(8 * MIB - 1, 0) && !is_enough(4 * MIB, 4 * MIB - 1));
    }
}
