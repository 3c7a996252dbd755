//! The payment machine: what has happened to a sale's money, and what to do next. Pure and total; it decides, others act.
//!
//! One contract for whoever drives it: call [`step::step`], make the new [`Payment`] durable, then carry out the
//! effects. Recovery is the same thing with [`Event::Restarted`]. There is no clock here, no I/O, no randomness,
//! and no second pay request for an attempt, ever.

pub mod cashier;
pub mod event;
mod paying;
pub mod policy;
mod reversing;
mod settled;
pub mod state;
pub mod step;

pub use event::{Answer, Asked, Cause, Event, Proof, Reason, Refusal, ReversalAnswer};
pub use policy::Policy;
pub use state::{Attempt, Doubt, Money, MoneySeen, Payment, Phase, Reversal, SalePhase, WaitingFor, Why};
pub use step::{Effect, Step, step};
