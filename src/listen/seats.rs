//! The places of a listener: each connection has one, with its phase and since when; here is decided which one must go.
//! Never takes a place from a connection that has a request in hand, and touches no byte: whoever serves a connection ends
//! it when its seat is [`over`](Seat::over).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use super::Limits;

/// What a connection is doing, as far as its time limit is concerned.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Between requests.
    Idle,
    /// A request's head has begun, or a TLS handshake.
    Reading,
    /// A request is with the router, or its answer is on the way.
    Busy,
}

/// What is known of one connection.
struct Entry {
    phase: Phase,
    since: Instant,
    /// Since when the peer takes no byte of what is due to it.
    stalled: Option<Instant>,
    close: Arc<Notify>,
}

/// The places that are taken.
#[derive(Default)]
struct Taken {
    next: u64,
    by_id: HashMap<u64, Entry>,
}

impl Taken {
    /// Closes the connection that has been without a request for the longest; false if all are busy.
    fn evict(&mut self) -> bool {
        let waiting = self.by_id.iter().filter(|(_, entry)| entry.phase != Phase::Busy);
        let Some(oldest) = waiting.min_by_key(|(_, entry)| entry.since).map(|(id, _)| *id) else {
            return false;
        };
        if let Some(entry) = self.by_id.remove(&oldest) {
            entry.close.notify_one();
        }
        true
    }
}

/// The places of one listener.
pub(super) struct Seats {
    limits: Limits,
    taken: Mutex<Taken>,
    left: Notify,
}

impl Seats {
    pub(super) fn new(limits: Limits) -> Self {
        Self { limits, taken: Mutex::default(), left: Notify::new() }
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for a new connection, if need be another one's; none if every one is busy.
    pub(super) fn take(seats: &Arc<Self>) -> Option<Seat> {
        let mut taken = seats.lock();
        if taken.by_id.len() >= seats.limits.connections && !taken.evict() {
            return None;
        }
        let id = taken.next;
        taken.next += 1;
        let close = Arc::new(Notify::new());
        taken.by_id.insert(
            id,
            Entry { phase: Phase::Idle, since: Instant::now(), stalled: None, close: close.clone() },
        );
        Some(Seat { id, close, seats: seats.clone(), owner: true })
    }

    /// Closes the connection that has been without a request for the longest, if there is one.
    pub(super) fn evict(&self) {
        self.lock().evict();
    }

    /// Returns when no place is taken.
    pub(super) async fn emptied(&self) {
        while !self.lock().by_id.is_empty() {
            self.left.notified().await;
        }
    }

    /// Ends every connection, whatever it has in hand.
    pub(super) fn close_all(&self) {
        for entry in self.lock().by_id.values() {
            entry.close.notify_one();
        }
    }
}

/// One connection's place; the original gives it back when it is dropped, its clones only write the phase.
pub(super) struct Seat {
    id: u64,
    close: Arc<Notify>,
    seats: Arc<Seats>,
    owner: bool,
}

impl Clone for Seat {
    fn clone(&self) -> Self {
        Self { id: self.id, close: self.close.clone(), seats: self.seats.clone(), owner: false }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        if self.owner {
            self.seats.lock().by_id.remove(&self.id);
            self.seats.left.notify_one();
        }
    }
}

impl Seat {
    pub(super) fn limits(&self) -> Limits {
        self.seats.limits
    }

    /// The connection is in this phase from now on.
    pub(super) fn enter(&self, phase: Phase) {
        if let Some(entry) = self.seats.lock().by_id.get_mut(&self.id) {
            entry.phase = phase;
            entry.since = Instant::now();
        }
    }

    /// Bytes came in: between requests they are the next one's first.
    pub(super) fn received(&self) {
        if let Some(entry) = self.seats.lock().by_id.get_mut(&self.id)
            && entry.phase == Phase::Idle
        {
            entry.phase = Phase::Reading;
            entry.since = Instant::now();
        }
    }

    /// Whether the peer takes no byte of what is due to it, from now on.
    pub(super) fn stalls(&self, stalls: bool) {
        if let Some(entry) = self.seats.lock().by_id.get_mut(&self.id) {
            entry.stalled = stalls.then(Instant::now);
        }
    }

    /// Returns when this connection must be closed: evicted, or too slow for its phase.
    pub(super) async fn over(&self) {
        let Limits { request_timeout, idle_timeout, .. } = self.limits();
        let late = async {
            loop {
                let now = Instant::now();
                let deadline = match self.seats.lock().by_id.get(&self.id) {
                    None => return,
                    Some(entry) => {
                        let deadline = match entry.phase {
                            Phase::Idle => entry.since + idle_timeout,
                            Phase::Reading => entry.since + request_timeout,
                            Phase::Busy => now + request_timeout,
                        };
                        // Small answers may wait to be sent after their requests are done.
                        entry.stalled.map_or(deadline, |since| deadline.min(since + request_timeout))
                    }
                };
                if deadline <= now {
                    return;
                }
                // The phase may change meanwhile, so no sleep is longer than the shorter limit.
                sleep_until(deadline.min(now + request_timeout)).await;
            }
        };
        tokio::select! {
            () = late => {}
            () = self.close.notified() => {}
        }
    }
}
