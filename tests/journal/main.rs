//! The journal against its disk: power cuts, bits that turn over, operations that fail.
//!
//! The ordinary run is short; the long one:
//! `JOURNAL_IMAGES=1000000 JOURNAL_FLIPS=100000 cargo test --release --test journal -- --nocapture`

mod disk;
mod faults;
mod flips;
mod images;
mod shop;
mod vfs;

/// How many of something to try: the environment's number or the ordinary one.
fn count(name: &str, ordinary: usize) -> usize {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(ordinary)
}

/// A directory in memory where there is one: what is tried here is what the journal makes of bytes, not the disk's speed.
fn scratch() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}
