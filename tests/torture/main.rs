//! The real binary against the simulated gateway, killed at random and at chosen system calls: the books, the paper and the
//! cashier's words are held against the gateway's truth. And the real binary on a line, with a resolver, on a disk and by
//! clocks that are broken; what needs root for it says so where there is none. Commands and results: `docs/torture.md`.

mod books;
// What reads registers or writes code is for one kind of processor.
#[cfg(target_arch = "x86_64")]
mod calls;
mod checks;
#[cfg(target_arch = "x86_64")]
mod clock;
mod disk;
#[path = "../shop_days/faults.rs"]
mod faults;
mod files;
#[path = "../shop_days/given.rs"]
mod given;
#[cfg(target_arch = "x86_64")]
mod hands;
mod hosts;
mod kills;
#[path = "../shop_days/lane.rs"]
mod lane;
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
