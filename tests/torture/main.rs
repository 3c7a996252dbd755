//! The real binary against the simulated gateway, killed at random and at chosen system calls: the books, the paper and the
//! cashier's words are held against the gateway's truth. And the real binary on a line, with a resolver, on a disk and by
//! clocks that are broken; what needs root for it says so where there is none.
//!
//! | command | does |
//! |---|---|
//! | `cargo test --test torture` | 300 random kills, and a little of everything else |
//! | `TORTURE_KILLS=100000 TORTURE_SEED=1 cargo test --release --test torture kill -- --nocapture` | as many as asked for |
//! | `TORTURE_LIVES=10000 cargo test --release --test torture lives -- --nocapture` | so many second daemons, polite ends, restarts in a poll |
//! | `UPDATE_CRASH_POINTS=1 cargo test --test torture crash_point` | writes `docs/crash-points.md` anew |
//! | `TORTURE_CALLS=all cargo test --release --test torture system_call -- --nocapture` | a kill at every system call of every scenario |

// What reads registers or writes code is for one kind of processor.
#[cfg(target_arch = "x86_64")]
mod calls;
#[cfg(target_arch = "x86_64")]
mod clock;
mod disk;
#[cfg(target_arch = "x86_64")]
mod hands;
mod hosts;
mod kills;
mod line;
mod lives;
mod names;
mod points;
mod shop;
#[cfg(target_arch = "x86_64")]
mod tracer;

use std::sync::atomic::{AtomicU64, Ordering};

/// A number from the environment.
fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().expect(name))
}

/// Works through `items` with so many threads.
fn in_parallel<T: Copy + Send + Sync>(workers: u64, items: Vec<T>, work: impl Fn(T) + Sync) {
    let next = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while let Some(item) =
                    items.get(usize::try_from(next.fetch_add(1, Ordering::Relaxed)).expect("an index"))
                {
                    work(*item);
                }
            });
        }
    });
}
