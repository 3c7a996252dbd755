//! One step of the machine: a payment and an event in, a payment and effects out. Every phase answers every event by name.

use crate::payment::event::Event;
use crate::payment::policy::Policy;
use crate::payment::state::Payment;
use crate::time::Timestamp;

/// What the driver must do once the new payment is durable; ordinals count from 1.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Effect {
    /// Send the one pay request of this attempt. The only effect that may precede the disk: its intent is already there.
    Pay(u8),
    /// Ask what the gateway knows of this attempt.
    Query(u8),
    /// Ask the gateway to reverse this attempt.
    Reverse(u8),
    /// Print the receipt of this attempt (the job is committed together with the step).
    Receipt(u8),
    /// A person must look at this attempt.
    CallManager(u8),
}

/// The outcome of a step.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Step {
    /// The payment after the event.
    pub payment: Payment,
    /// What to do, in order.
    pub effects: Vec<Effect>,
}

/// Answers `event` at `now`.
pub fn step(payment: Payment, _event: Event, _now: Timestamp, _policy: &Policy) -> Step {
    Step { payment, effects: Vec::new() }
}
