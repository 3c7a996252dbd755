//! A disk that was cut off: what a file can hold when some of its writes were not synced.

use std::collections::BTreeMap;
use std::path::Path;

/// The unit in which a disk keeps, loses or spoils what was not synced.
const SECTOR: usize = 512;

/// Something that was done to a file, or a promise that was made.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Op {
    /// Bytes were written.
    Write { file: String, at: usize, bytes: Vec<u8> },
    /// The file was cut.
    Truncate { file: String, size: usize },
    /// All before it is on the disk.
    Sync { file: String },
    /// The file was removed; synced if its directory was.
    Delete { file: String, synced: bool },
    /// The file came into being whole and synced.
    Appear { file: String, bytes: Vec<u8> },
    /// From here on these steps must never be lost: by a power cut, by the end of the process.
    Promised { synced: u64, written: u64 },
}

/// What was promised at some moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Promise {
    pub synced: u64,
    pub written: u64,
}

/// Files by name.
pub type Files = BTreeMap<String, Vec<u8>>;

/// A small, fast, seeded source of chance (SplitMix64).
#[derive(Clone, Debug)]
pub struct Chance(pub u64);

impl Chance {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    pub fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    pub fn percent(&mut self, share: u64) -> bool {
        self.next() % 100 < share
    }
}

/// The disk while a recording is played: what is certain, and what is under way.
#[derive(Clone, Default)]
pub struct Disk {
    certain: Files,
    under_way: Vec<Op>,
    pub promise: Promise,
}

impl Disk {
    /// Plays one operation.
    pub fn play(&mut self, op: &Op) {
        match op {
            Op::Sync { file } => {
                let (now, later): (Vec<Op>, Vec<Op>) =
                    std::mem::take(&mut self.under_way).into_iter().partition(|op| op.file() == Some(file));
                self.under_way = later;
                for op in now {
                    apply(&mut self.certain, &op);
                }
            }
            Op::Delete { file, synced: true } => {
                self.under_way.retain(|op| op.file() != Some(file));
                self.certain.remove(file);
            }
            Op::Appear { .. } => {
                // It was renamed into place, and the directory synced: removals before it are certain as well.
                let (gone, later): (Vec<Op>, Vec<Op>) = std::mem::take(&mut self.under_way)
                    .into_iter()
                    .partition(|op| matches!(op, Op::Delete { .. }));
                self.under_way = later;
                gone.iter().chain([op]).for_each(|op| apply(&mut self.certain, op));
            }
            Op::Promised { synced, written } => {
                self.promise = Promise { synced: *synced, written: *written };
            }
            Op::Write { .. } | Op::Truncate { .. } | Op::Delete { .. } => self.under_way.push(op.clone()),
        }
    }

    /// What is there when only the process ends.
    pub fn whole(&self) -> Files {
        let mut files = self.certain.clone();
        for op in &self.under_way {
            apply(&mut files, op);
        }
        files
    }

    /// What may be there after a power cut: of what was under way each sector kept, lost, torn or spoilt.
    pub fn cut(&self, chance: &mut Chance) -> Files {
        let mut files = self.certain.clone();
        let keep = [0, 100, 50, 90, 10][chance.below(5)];
        let spoil = if chance.percent(25) { 20 } else { 0 };
        // Some disks keep the order and only lose the end.
        let end =
            if chance.percent(30) { chance.below(self.under_way.len() + 1) } else { self.under_way.len() };
        for op in &self.under_way[..end] {
            match op {
                Op::Write { file, at, bytes } => sectors(&mut files, file, *at, bytes, chance, keep, spoil),
                _ if chance.percent(50) => apply(&mut files, op),
                _ => {}
            }
        }
        files
    }
}

impl Op {
    fn file(&self) -> Option<&String> {
        match self {
            Op::Write { file, .. }
            | Op::Truncate { file, .. }
            | Op::Sync { file }
            | Op::Delete { file, .. }
            | Op::Appear { file, .. } => Some(file),
            Op::Promised { .. } => None,
        }
    }
}

/// Names an operation in a few words.
impl std::fmt::Display for Op {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Op::Write { file, at, bytes } => write!(f, "write of {} bytes at {at} of {file}", bytes.len()),
            Op::Appear { file, .. } => write!(f, "{file} appears"),
            other => write!(f, "{other:?}"),
        }
    }
}

fn apply(files: &mut Files, op: &Op) {
    match op {
        Op::Write { file, at, bytes } => put(files, file, *at, bytes),
        Op::Truncate { file, size } => files.entry(file.clone()).or_default().resize(*size, 0),
        Op::Delete { file, .. } => {
            files.remove(file);
        }
        Op::Appear { file, bytes } => {
            files.insert(file.clone(), bytes.clone());
        }
        Op::Sync { .. } | Op::Promised { .. } => {}
    }
}

fn put(files: &mut Files, file: &str, at: usize, bytes: &[u8]) {
    let content = files.entry(file.to_owned()).or_default();
    if content.len() < at + bytes.len() {
        content.resize(at + bytes.len(), 0);
    }
    content[at..at + bytes.len()].copy_from_slice(bytes);
}

/// Each sector that a write touches on its own. A spoilt sector is spoilt as a whole, also where it was not written.
fn sectors(
    files: &mut Files,
    file: &str,
    at: usize,
    bytes: &[u8],
    chance: &mut Chance,
    keep: u64,
    spoil: u64,
) {
    let mut from = at;
    while from < at + bytes.len() {
        let to = ((from / SECTOR + 1) * SECTOR).min(at + bytes.len());
        let part = &bytes[from - at..to - at];
        if chance.percent(spoil) {
            let start = from / SECTOR * SECTOR;
            let noise: Vec<u8> = (0..SECTOR).map(|_| chance.next() as u8).collect();
            put(files, file, start, &noise);
        } else if chance.percent(keep) {
            put(files, file, from, part);
        } else if chance.percent(5) {
            put(files, file, from, &part[..chance.below(part.len())]);
        }
        from = to;
    }
}

/// Puts the files into `dir`, in the place of all that was there.
pub fn lay_out(files: &Files, dir: &Path) {
    for name in ["journal.db", "journal.db-wal", "journal.db-shm", "journal.db-journal", "witness"] {
        if !files.contains_key(name) {
            let _ = std::fs::remove_file(dir.join(name));
        }
    }
    if !files.contains_key("witness") {
        // Made after the witness is on the disk: what the image before left here cannot be in this one.
        let _ = std::fs::remove_file(dir.join("reserve"));
    }
    for (name, bytes) in files {
        std::fs::write(dir.join(name), bytes).unwrap();
    }
}
