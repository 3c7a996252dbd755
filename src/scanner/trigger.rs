//! When a scanner is told to read: while a sale waits for a code. Never sends anything to a scanner for which nobody
//! asked for it by name.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::Trigger;

/// Engines stop by themselves after some seconds without a code; each has its own time, so they are told again.
const AGAIN: Duration = Duration::from_secs(5);

/// After a code the engine has stopped. If the sale still waits after so long, the code was of no use.
const NEXT: Duration = Duration::from_millis(100);

/// What one scanner was told, and when it is told again.
pub struct Orders {
    trigger: Option<Trigger>,
    wanted: watch::Receiver<bool>,
    told: Option<bool>,
    again: Instant,
}

impl Orders {
    /// For one connection.
    pub fn new(trigger: Option<Trigger>, wanted: watch::Receiver<bool>) -> Self {
        Self { trigger, wanted, told: None, again: Instant::now() }
    }

    /// Waits until the scanner must be told something; what. May be dropped and asked again without a loss.
    pub async fn next(&mut self) -> &'static [u8] {
        let Some(trigger) = self.trigger else { return std::future::pending().await };
        loop {
            let wanted = *self.wanted.borrow_and_update();
            if self.told != Some(wanted) || (wanted && Instant::now() >= self.again) {
                self.told = Some(wanted);
                self.again = Instant::now() + AGAIN;
                return trigger.command(wanted);
            }
            let closed = tokio::select! {
                changed = self.wanted.changed() => changed.is_err(),
                () = sleep_until(self.again), if wanted => false,
            };
            if closed {
                return std::future::pending().await;
            }
        }
    }

    /// The scanner has read something, and with that stopped.
    pub fn has_read(&mut self) {
        self.again = Instant::now() + NEXT;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether nothing is sent now.
    async fn quiet(orders: &mut Orders) -> bool {
        tokio::time::timeout(Duration::from_millis(20), orders.next()).await.is_err()
    }

    #[tokio::test]
    async fn a_scanner_reads_while_a_sale_waits_and_again_after_a_code_that_was_of_no_use() {
        let (wants, wanted) = watch::channel(false);
        let mut orders = Orders::new(Some(Trigger::Honeywell), wanted);
        assert_eq!(orders.next().await, b"\x16U\r");
        wants.send(true).unwrap();
        assert_eq!(orders.next().await, b"\x16T\r");
        assert!(quiet(&mut orders).await, "not told twice at once");
        orders.again = Instant::now();
        assert_eq!(orders.next().await, b"\x16T\r");
        let read_at = Instant::now();
        orders.has_read();
        assert_eq!(orders.next().await, b"\x16T\r");
        assert!((NEXT..AGAIN).contains(&read_at.elapsed()));
        // A code that was taken: nothing more until the next sale.
        orders.has_read();
        wants.send(false).unwrap();
        assert_eq!(orders.next().await, b"\x16U\r");
        assert!(quiet(&mut orders).await);
    }

    #[tokio::test]
    async fn what_was_not_asked_for_is_never_sent() {
        let (wants, wanted) = watch::channel(true);
        let mut orders = Orders::new(None, wanted);
        wants.send(false).unwrap();
        assert!(quiet(&mut orders).await);
    }

    #[test]
    fn the_commands_are_those_of_the_manuals() {
        assert_eq!(Trigger::Honeywell.command(true), [0x16, 0x54, 0x0D]);
        assert_eq!(Trigger::Honeywell.command(false), [0x16, 0x55, 0x0D]);
        assert_eq!(Trigger::Datalogic.command(true), [0x45]);
        assert_eq!(Trigger::Datalogic.command(false), [0x44]);
    }
}
