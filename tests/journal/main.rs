//! The journal against its disk: power cuts, bits that turn over, operations that fail.
//!
//! The ordinary run is short; the long one:
//! `JOURNAL_IMAGES=1000000 JOURNAL_FLIPS=100000 cargo test --release --test journal -- --nocapture`
//! `JOURNAL_SEED` (0) makes other images and flips, so that a long run can be made in pieces.

mod disk;
mod faults;
mod flips;
mod images;
mod shop;
mod vfs;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

/// How many of something to try: the environment's number or the ordinary one.
fn count(name: &str, ordinary: usize) -> usize {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(ordinary)
}

/// A directory in memory where there is one: what is tried here is what the journal makes of bytes, not the disk's speed.
fn scratch() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

/// Says how far a long run is, so that it can be cut off.
struct Progress {
    what: &'static str,
    done: AtomicUsize,
    began: Instant,
}

impl Progress {
    const EVERY: usize = 10_000;

    fn new(what: &'static str) -> Self {
        Self { what, done: AtomicUsize::new(0), began: Instant::now() }
    }

    /// One more is about to be tried; all before it, but for one a thread, held.
    fn one(&self) {
        let done = self.done.fetch_add(1, Ordering::Relaxed);
        if done > 0 && done.is_multiple_of(Self::EVERY) {
            println!("{done} {} in {} s: nothing lost so far", self.what, self.began.elapsed().as_secs());
        }
    }
}
