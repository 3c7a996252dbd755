//! When an attempt is over: it sends nothing by itself, and still listens for money that turns up or goes away.

use crate::payment::event::{Answer, Event, Proof};
use crate::payment::reversing;
use crate::payment::state::{Phase, Why};
use crate::payment::step::{Effect, Turn};

/// [`Phase::Paid`]: refunds are another machine's business; only an order that was taken back elsewhere ends it.
pub(super) fn paid(proof: Proof, event: Event, turn: &mut Turn) -> Phase {
    match event {
        Event::Answered { answer, .. } => match answer {
            Answer::Closed => {
                turn.ask(Effect::CallManager);
                Phase::Reversed(Why::Elsewhere)
            }
            Answer::Paid(_)
            | Answer::AwaitingPayer
            | Answer::Refused(_)
            | Answer::NotPaid
            | Answer::NotFound
            | Answer::PayFailed
            | Answer::Refunded
            | Answer::NeverSent(_)
            | Answer::Unknown(_) => Phase::Paid(proof),
        },
        Event::Check => {
            turn.ask(Effect::Query);
            Phase::Paid(proof)
        }
        Event::Code(_) | Event::Reversed { .. } | Event::Cancel | Event::Wake | Event::Restarted => {
            Phase::Paid(proof)
        }
    }
}

/// [`Phase::Declined`], [`Phase::Reversed`] and [`Phase::Void`]: money that turns up goes back.
pub(super) fn over(phase: Phase, event: Event, turn: &mut Turn) -> Phase {
    match event {
        Event::Answered { answer, .. } => match answer {
            Answer::Paid(_) => reversing::late_paid(turn),
            Answer::AwaitingPayer
            | Answer::Refused(_)
            | Answer::NotPaid
            | Answer::NotFound
            | Answer::PayFailed
            | Answer::Closed
            | Answer::Refunded
            | Answer::NeverSent(_)
            | Answer::Unknown(_) => phase,
        },
        Event::Check => {
            turn.ask(Effect::Query);
            phase
        }
        Event::Code(_) | Event::Reversed { .. } | Event::Cancel | Event::Wake | Event::Restarted => phase,
    }
}
