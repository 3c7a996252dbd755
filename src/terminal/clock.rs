//! The only code that reads a clock: wall time at the start plus boot time since, so it cannot jump while money is open.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, clock_gettime};

use crate::time::Timestamp;

/// How far the two clocks may part before an idle terminal takes the wall clock's word again.
const DRIFT: Duration = Duration::from_secs(2);

/// Gives the time. Boot time goes on while the machine is suspended.
#[derive(Debug, Clone)]
pub struct Clock {
    wall_at_anchor: Timestamp,
    boot_at_anchor: Duration,
}

impl Clock {
    /// A clock anchored at the wall clock's present word.
    pub fn start() -> Self {
        Self { wall_at_anchor: wall(), boot_at_anchor: boot() }
    }

    /// Now.
    pub fn now(&self) -> Timestamp {
        self.wall_at_anchor + boot().saturating_sub(self.boot_at_anchor)
    }

    /// Takes the wall clock's word again, if it has been set since. Call it only while no wait is pending: a board
    /// without a battery starts in 1970 and learns the date later.
    pub fn follow_wall(&mut self) -> bool {
        let (now, wall) = (self.now(), wall());
        let parted = now.since(wall).max(wall.since(now)) > DRIFT;
        if parted {
            *self = Self::start();
        }
        parted
    }
}

fn wall() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

fn boot() -> Duration {
    let at = clock_gettime(ClockId::Boottime);
    Duration::new(u64::try_from(at.tv_sec).unwrap_or(0), u32::try_from(at.tv_nsec).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_goes_on_from_the_anchor_whatever_the_wall_clock_says() {
        let mut clock = Clock::start();
        clock.wall_at_anchor = Timestamp(0);
        let first = clock.now();
        assert!(
            first < Timestamp(60_000),
            "a wrong wall clock at the start stays wrong while in use: {first:?}"
        );
        assert!(clock.now() >= first);
        assert!(clock.follow_wall(), "an idle terminal learns the date");
        assert!(!clock.follow_wall());
    }
}
