//! The refund machine: money that was paid goes back, once. Pure and total, under the same contract as the payment machine.
//!
//! Call [`step()`], make the new [`Refund`] durable, then carry out the effects. A refund request may be repeated, unlike a
//! pay request: the gateway knows it by its number, and does once what it is asked twice under one number.

pub mod state;
mod step;
pub mod words;

pub use state::{Answer, Asked, Asking, Event, Key, Phase, Refund};
pub use step::{Effect, Step, step};
