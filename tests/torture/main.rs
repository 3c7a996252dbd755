//! The real binary against the simulated gateway, killed at random and at chosen system calls: the books, the paper and the
//! cashier's words are held against the gateway's truth.
//!
//! | command | does |
//! |---|---|
//! | `cargo test --test torture` | 300 random kills, and a little of everything else |
//! | `TORTURE_KILLS=100000 TORTURE_SEED=1 cargo test --release --test torture kill -- --nocapture` | as many as asked for |
//! | `TORTURE_CALLS=all cargo test --release --test torture system_call -- --nocapture` | a kill at every system call of every scenario |

mod kills;
mod shop;

/// A number from the environment.
fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().expect(name))
}
