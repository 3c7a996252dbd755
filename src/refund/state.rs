//! What a refund is, where its money is, and what can happen to it.

use crate::ids::RefundNumber;
use crate::money::Amount;
use crate::payment::{Cause, Policy, Refusal};
use crate::time::Timestamp;

/// A part of a paid sale, or all of it, that goes back to the payer.
#[derive(Clone, PartialEq, Eq, Debug, Hash)]
pub struct Refund {
    /// The merchant refund number (`out_refund_no`).
    pub number: RefundNumber,
    /// Which attempt of the sale was paid, from 1: its order is refunded.
    pub attempt: u8,
    /// What goes back.
    pub amount: Amount,
    /// Why, as the payer is told (`refund_desc`).
    pub reason: Option<String>,
    /// What it was asked for with, so that a repeat is known.
    pub key: Key,
    /// When it was asked for.
    pub asked_at: Timestamp,
    /// Where the money is.
    pub phase: Phase,
    /// When the machine wants [`Event::Wake`].
    pub wake: Option<Timestamp>,
}

/// Hashes of the idempotency key and of the request.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub struct Key {
    /// Of the key.
    pub key: [u8; 16],
    /// Of the request.
    pub request: [u8; 8],
}

/// Where a refund's money is.
#[derive(Clone, PartialEq, Eq, Debug, Hash)]
pub enum Phase {
    /// Not known: asked for until the gateway says whether it has taken the refund on.
    Asking(Asking),
    /// On its way: the gateway has taken it on. A payer's bank may take days.
    Accepted {
        /// The gateway's own number (`refund_id`).
        gateway_number: String,
        /// When that became known here: the day on which it counts.
        accepted_at: Timestamp,
        /// When it began to be followed in this life of the process.
        since: Timestamp,
        /// A person was called, for it takes longer than any bank.
        called: bool,
    },
    /// Held up: the payer's card is gone, and somebody has to see to it on the merchant platform (`CHANGE`).
    Stuck {
        /// The gateway's own number.
        gateway_number: String,
        /// When the gateway was known to have taken it on.
        accepted_at: Timestamp,
        /// When it began to be followed in this life of the process.
        since: Timestamp,
    },
    /// With the payer.
    Returned {
        /// The gateway's own number.
        gateway_number: String,
        /// When the gateway was known to have taken it on.
        accepted_at: Timestamp,
    },
    /// With us: the gateway's own word, confirmed by a query.
    Refused(Refusal),
    /// With us: the gateway had taken it on and gave it up (`REFUNDCLOSE`).
    Closed {
        /// The gateway's own number.
        gateway_number: String,
    },
}

/// A refund that is being asked for.
#[derive(Clone, PartialEq, Eq, Debug, Hash)]
pub struct Asking {
    /// When the asking began in this life of the process.
    pub since: Timestamp,
    /// A request is under way that has no answer yet.
    pub under_way: bool,
    /// When the latest request can have left; it, or what somebody on the way made of it, may still arrive. None if none has.
    pub left_at: Option<Timestamp>,
    /// The gateway's refusal, which a query confirms.
    pub refused: Option<Refusal>,
    /// The newest query was asked when no request could arrive any more, and no answer be from before one did.
    pub asked_late: bool,
    /// A person was called.
    pub called: bool,
}

/// What can happen to a refund. Late, repeated and contradicting events are normal.
#[derive(Clone, PartialEq, Eq, Debug, Hash)]
pub enum Event {
    /// The gateway's word, or its silence. Only that on the newest request of its kind.
    Answered(Asked, Answer),
    /// Somebody asks what the gateway knows now.
    Check,
    /// The time that [`Refund::wake`] named has come.
    Wake,
    /// The process is new; nothing that was under way is still under way, and no clock reading from before holds.
    Restarted,
}

/// Which request is answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Asked {
    /// A refund request.
    Refund,
    /// A look-up by refund number; changes nothing at the gateway.
    Query,
}

/// The gateway's word on a refund. Not knowing is an answer.
#[derive(Clone, PartialEq, Eq, Debug, Hash)]
pub enum Answer {
    /// Authenticated: taken on, on its way (`PROCESSING`); the gateway's own number.
    Accepted(String),
    /// Authenticated: the payer has it (`SUCCESS` of a query); the gateway's own number.
    Returned(String),
    /// Authenticated: the payer's card is gone (`CHANGE`); the gateway's own number.
    Stuck(String),
    /// Authenticated: given up, the money stays (`REFUNDCLOSE`); the gateway's own number.
    Closed(String),
    /// Authenticated: the gateway has no such refund (`REFUNDNOTEXIST`). Not final while a request can still arrive.
    NotFound,
    /// Authenticated, to a refund request only: refused with a code on the driver's list. Confirmed by a query.
    Refused(Refusal),
    /// No byte of the request can have left this machine.
    NeverSent(Cause),
    /// Anything else: silence, an error, a reply that is not authentic or not about this refund.
    Unknown(Cause),
}

impl Refund {
    /// A refund that is asked for at `now`, and whose first request leaves when this is durable.
    pub fn new(
        number: RefundNumber,
        attempt: u8,
        amount: Amount,
        reason: Option<String>,
        key: Key,
        now: Timestamp,
        policy: &Policy,
    ) -> Self {
        let asking = Asking {
            since: now,
            under_way: true,
            left_at: None,
            refused: None,
            asked_late: false,
            called: false,
        };
        let wake = Some(now + policy.answer_within);
        Self { number, attempt, amount, reason, key, asked_at: now, phase: Phase::Asking(asking), wake }
    }

    /// Whether the machine still has something to do or to wait for.
    pub fn is_open(&self) -> bool {
        match self.phase {
            Phase::Asking(_) | Phase::Accepted { .. } | Phase::Stuck { .. } => true,
            Phase::Returned { .. } | Phase::Refused(_) | Phase::Closed { .. } => false,
        }
    }

    /// Whether its money is, or may be, no longer the shop's: it cannot be refunded again.
    pub fn is_given(&self) -> bool {
        match self.phase {
            Phase::Asking(_) | Phase::Accepted { .. } | Phase::Stuck { .. } | Phase::Returned { .. } => true,
            Phase::Refused(_) | Phase::Closed { .. } => false,
        }
    }

    /// When the gateway was known to have taken it on; none while that is not known, and where it came to nothing.
    pub fn accepted_at(&self) -> Option<Timestamp> {
        match self.phase {
            Phase::Accepted { accepted_at, .. }
            | Phase::Stuck { accepted_at, .. }
            | Phase::Returned { accepted_at, .. } => Some(accepted_at),
            Phase::Asking(_) | Phase::Refused(_) | Phase::Closed { .. } => None,
        }
    }
}

impl Phase {
    /// The name that the API, the log and the transition table use.
    pub fn label(&self) -> &'static str {
        match self {
            Phase::Asking(_) => "asking",
            Phase::Accepted { .. } => "accepted",
            Phase::Stuck { .. } => "stuck",
            Phase::Returned { .. } => "returned",
            Phase::Refused(_) => "refused",
            Phase::Closed { .. } => "closed",
        }
    }

    /// The gateway's own number, once it is known.
    pub fn gateway_number(&self) -> Option<&str> {
        match self {
            Phase::Accepted { gateway_number, .. }
            | Phase::Stuck { gateway_number, .. }
            | Phase::Returned { gateway_number, .. }
            | Phase::Closed { gateway_number } => Some(gateway_number),
            Phase::Asking(_) | Phase::Refused(_) => None,
        }
    }
}
