//! The second witness: a page outside the database that knows how far the journal had come. It never needs a sync of its own for a sale.
//!
//! SQLite takes what it finds in its log up to the first page that does not check, and says nothing about the rest. So
//! each commit is also noted here, in place and unsynced: that survives the end of the process, and a minute later a power
//! cut as well. Now and then, and at every start and end, a note is synced: an *anchor*.
//!
//! Eight sectors of 512 bytes. Two take turns for anchors, so that one is whole whatever happens to the other; six are a
//! ring for the notes between. What a note claims stays true for ever, so any note that is whole may be believed.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::chain::{Hash, Head, digest};
use super::lock::sync_dir;

const MAGIC: &[u8; 8] = b"mpdwitn1";
const SECTOR: usize = 512;
const ANCHORS: u64 = 2;
const RING: u64 = 6;
const LENGTH: usize = SECTOR * (ANCHORS + RING) as usize;
const CHECKED: usize = 160;

/// What is noted. All of it is about one moment of one process.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Note {
    /// Counts notes.
    pub generation: u64,
    /// Which boot of the machine wrote it.
    pub boot: [u8; 16],
    /// Whether the process had ended in order.
    pub clean: bool,
    /// Rows up to here were synced: they survive a power cut.
    pub synced: Head,
    /// Rows up to here were written: they survive the end of the process.
    pub head: Head,
    /// The highest number that a step was given, also one that was lost.
    pub steps: i64,
    /// The highest number that a sale was given.
    pub sales: i64,
    /// The highest number that a print job was given.
    pub jobs: i64,
    /// A digest of what was unfinished with `head`.
    pub pending: u64,
}

impl Note {
    fn to_bytes(self) -> [u8; SECTOR] {
        let mut bytes = Vec::with_capacity(SECTOR);
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&self.generation.to_le_bytes());
        bytes.extend_from_slice(&self.boot);
        bytes.extend_from_slice(&u64::from(self.clean).to_le_bytes());
        for head in [self.synced, self.head] {
            bytes.extend_from_slice(&head.seq.to_le_bytes());
            bytes.extend_from_slice(&head.hash);
        }
        for number in [self.steps, self.sales, self.jobs] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        bytes.extend_from_slice(&self.pending.to_le_bytes());
        bytes.resize(CHECKED, 0);
        let check = digest(&bytes);
        bytes.extend_from_slice(&check);
        let mut sector = [0; SECTOR];
        sector[..bytes.len()].copy_from_slice(&bytes);
        sector
    }

    fn from_bytes(sector: &[u8]) -> Option<Self> {
        let (checked, rest) = sector.split_at_checked(CHECKED)?;
        if !checked.starts_with(MAGIC) || rest.get(..16)? != digest(checked) {
            return None;
        }
        let long = |at: usize| Some(u64::from_le_bytes(checked.get(at..at + 8)?.try_into().ok()?));
        let hash = |at: usize| -> Option<Hash> { checked.get(at..at + 16)?.try_into().ok() };
        let head = |at: usize| Some(Head { seq: long(at)? as i64, hash: hash(at + 8)? });
        Some(Self {
            generation: long(8)?,
            boot: hash(16)?,
            clean: long(32)? != 0,
            synced: head(40)?,
            head: head(64)?,
            steps: long(88)? as i64,
            sales: long(96)? as i64,
            jobs: long(104)? as i64,
            pending: long(112)?,
        })
    }
}

/// The open file.
#[derive(Debug)]
pub struct Witness {
    file: File,
    generation: u64,
    anchor: u64,
}

/// Where the witness is.
pub fn path(dir: &Path) -> PathBuf {
    dir.join("witness")
}

impl Witness {
    /// Makes the file with one anchor, in the place of one that may be there; whole or not at all.
    pub fn create(dir: &Path, note: Note) -> io::Result<Self> {
        let beside = dir.join("witness.new");
        let mut file =
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
        let mut page = [0; LENGTH];
        page[..SECTOR].copy_from_slice(&note.to_bytes());
        file.write_all(&page)?;
        file.sync_all()?;
        std::fs::rename(&beside, path(dir))?;
        sync_dir(dir)?;
        Ok(Self { file, generation: note.generation, anchor: 0 })
    }

    /// Opens the file and reads all whole notes, newest first; `None` if there is no file.
    pub fn open(dir: &Path) -> io::Result<Option<(Self, Vec<Note>)>> {
        let file = match OpenOptions::new().read(true).write(true).open(path(dir)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other?,
        };
        let (notes, anchor) = read(&file)?;
        let generation = notes.first().map_or(0, |note| note.generation);
        Ok(Some((Self { file, generation, anchor }, notes)))
    }

    /// Notes a commit, without a sync.
    pub fn note(&mut self, note: Note) -> io::Result<()> {
        self.generation += 1;
        let sector = ANCHORS + self.generation % RING;
        self.write(sector, note)
    }

    /// Notes and syncs.
    pub fn anchor(&mut self, note: Note) -> io::Result<()> {
        self.generation += 1;
        self.anchor = (self.anchor + 1) % ANCHORS;
        self.write(self.anchor, note)?;
        self.file.sync_data()
    }

    fn write(&self, sector: u64, note: Note) -> io::Result<()> {
        let bytes = Note { generation: self.generation, ..note }.to_bytes();
        self.file.write_all_at(&bytes, sector * SECTOR as u64)
    }
}

/// All whole notes of the witness in `dir`, newest first; none if there is no file.
pub fn notes(dir: &Path) -> io::Result<Vec<Note>> {
    match File::open(path(dir)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
        Ok(file) => Ok(read(&file)?.0),
    }
}

/// All whole notes, newest first, and the sector of the newest anchor.
fn read(file: &File) -> io::Result<(Vec<Note>, u64)> {
    let mut page = [0; LENGTH];
    let mut filled = 0;
    while filled < LENGTH {
        match file.read_at(&mut page[filled..], filled as u64)? {
            0 => break,
            count => filled += count,
        }
    }
    let sectors = page.chunks(SECTOR).map(Note::from_bytes);
    let mut found: Vec<_> = (0u64..).zip(sectors).filter_map(|(at, note)| Some((at, note?))).collect();
    found.sort_by_key(|(_, note)| std::cmp::Reverse(note.generation));
    let anchor = found.iter().map(|(at, _)| *at).find(|at| *at < ANCHORS).unwrap_or(0);
    Ok((found.into_iter().map(|(_, note)| note).collect(), anchor))
}

/// Which boot of the machine this is; random where the kernel does not say, so that it equals no other.
pub fn boot() -> [u8; 16] {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let digits: String = text.chars().filter(char::is_ascii_hexdigit).collect();
    match u128::from_str_radix(&digits, 16) {
        Ok(id) => id.to_be_bytes(),
        Err(_) => {
            let mut random = [0; 16];
            let _ = getrandom::fill(&mut random);
            random
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The generation of each whole sector.
    fn sectors(dir: &Path) -> Vec<Option<u64>> {
        let page = std::fs::read(path(dir)).unwrap();
        assert_eq!(page.len(), 8 * 512);
        page.chunks(512).map(|sector| Note::from_bytes(sector).map(|note| note.generation)).collect()
    }

    #[test]
    fn two_sectors_take_turns_for_anchors_and_six_are_a_ring_for_notes() {
        let dir = tempfile::tempdir().unwrap();
        let mut witness = Witness::create(dir.path(), Note { generation: 10, ..Note::default() }).unwrap();
        let empty = [None; 6];
        assert_eq!(sectors(dir.path()), [[Some(10), None].as_slice(), &empty].concat());
        witness.anchor(Note::default()).unwrap();
        assert_eq!(sectors(dir.path()), [[Some(10), Some(11)].as_slice(), &empty].concat());
        for _ in 0..6 {
            witness.note(Note::default()).unwrap();
        }
        let found = sectors(dir.path());
        assert_eq!(found[..2], [Some(10), Some(11)], "notes spare the anchors");
        let mut ring: Vec<_> = found[2..].iter().map(|generation| generation.unwrap()).collect();
        ring.sort_unstable();
        assert_eq!(ring, [12, 13, 14, 15, 16, 17], "none of six in a row takes another's place");
        witness.note(Note::default()).unwrap();
        assert!(!sectors(dir.path()).contains(&Some(12)), "the seventh takes the oldest's");

        // Opened again it goes on where it was, whatever was noted last: over the older anchor, never the newer.
        for _ in 0..7 {
            let before = sectors(dir.path());
            let (mut again, notes) = Witness::open(dir.path()).unwrap().unwrap();
            assert_eq!(notes.first().map(|note| note.generation), before.iter().flatten().max().copied());
            again.anchor(Note::default()).unwrap();
            again.note(Note::default()).unwrap();
            let after = sectors(dir.path());
            let newer = before[..2].iter().max().unwrap();
            let older = before[..2].iter().min().unwrap();
            assert!(after[..2].contains(newer) && !after[..2].contains(older), "{before:?} {after:?}");
        }
    }

    #[test]
    fn a_note_with_any_bit_turned_over_is_no_note() {
        let head = |seq| Head { seq, hash: [7; 16] };
        let note = Note {
            generation: 1,
            boot: [2; 16],
            clean: true,
            synced: head(3),
            head: head(4),
            steps: 5,
            sales: 6,
            jobs: 7,
            pending: 8,
        };
        let bytes = note.to_bytes();
        assert_eq!(Note::from_bytes(&bytes), Some(note));
        for bit in 0..(CHECKED + 16) * 8 {
            let mut bytes = bytes;
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Note::from_bytes(&bytes), None, "bit {bit}");
        }
        let mut other = note.to_bytes();
        other[0] = b'x';
        let check = digest(&other[..CHECKED]);
        other[CHECKED..CHECKED + 16].copy_from_slice(&check);
        assert_eq!(Note::from_bytes(&other), None, "whole, and of another program");
    }

    #[test]
    fn only_a_witness_that_is_not_there_is_none() {
        let dir = tempfile::tempdir().unwrap();
        assert!(Witness::open(dir.path()).unwrap().is_none());
        assert_eq!(notes(dir.path()).unwrap(), []);
        std::fs::create_dir(path(dir.path())).unwrap();
        assert!(Witness::open(dir.path()).is_err());
        assert!(notes(dir.path()).is_err());
    }

    #[test]
    fn a_boot_is_the_kernels_word() {
        let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
        let told: String = boot().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(told, id.trim().replace('-', ""));
    }
}
