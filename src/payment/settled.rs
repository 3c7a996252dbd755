//! When an attempt is over: at most it looks once more, and it still listens for money that turns up or goes away.

use crate::payment::event::{Answer, Asked, Event, Proof, Refusal};
use crate::payment::reversing;
use crate::payment::state::{Phase, Why};
use crate::payment::step::{Effect, Turn};
use crate::time::Timestamp;

/// [`Phase::Paid`]: refunds are another machine's business; only an order that was taken back elsewhere ends it.
pub(super) fn paid(proof: Proof, event: Event, turn: &mut Turn) -> Phase {
    match event {
        Event::Answered { answer, .. } => match answer {
            // All of it or a part, by somebody at the platform: nothing here has asked for it, so a person must know.
            Answer::Refunded => {
                turn.ask(Effect::CallManager);
                Phase::Paid(proof)
            }
            Answer::Closed => {
                turn.ask(Effect::CallManager);
                contradiction(proof, turn)
            }
            Answer::Paid(_)
            | Answer::AwaitingPayer
            | Answer::Refused(_)
            | Answer::NotPaid
            | Answer::NotFound
            | Answer::PayFailed
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

/// What is later than this word must decide: a bank can move money after an order was closed, and then "closed" can be
/// how it was before.
fn contradiction(proof: Proof, turn: &mut Turn) -> Phase {
    *turn.wake = Some(turn.now + turn.policy.decide_after);
    Phase::Contradicted { proof, since: turn.now }
}

/// [`Phase::Contradicted`]: the answer to a query that was asked late enough is the truth, paid or closed.
pub(super) fn contradicted(proof: Proof, since: Timestamp, event: Event, turn: &mut Turn) -> Phase {
    // Then the newest query was asked late enough.
    let timer_has_rung = turn.wake.is_some_and(|wake| wake > since + turn.policy.decide_after);
    match event {
        Event::Answered { to: Asked::Query, answer, .. } => match answer {
            Answer::Paid(_) if !timer_has_rung => return contradiction(proof, turn),
            Answer::Paid(_) => return Phase::Paid(proof),
            Answer::Refunded => {
                turn.ask(Effect::CallManager);
                return Phase::Paid(proof);
            }
            Answer::Closed if timer_has_rung => {
                turn.ask(Effect::CallManager);
                return Phase::Reversed(Why::Elsewhere);
            }
            Answer::Closed
            | Answer::AwaitingPayer
            | Answer::Refused(_)
            | Answer::NotPaid
            | Answer::NotFound
            | Answer::PayFailed
            | Answer::NeverSent(_)
            | Answer::Unknown(_) => {}
        },
        Event::Wake => {
            turn.ask(Effect::Query);
            // Time for the answer; seldomer the longer nothing decides.
            let pause =
                turn.now.since(since).min(turn.policy.reverse_every_max).max(turn.policy.answer_within * 2);
            *turn.wake = Some(turn.now + pause);
        }
        Event::Check => turn.ask(Effect::Query),
        Event::Restarted => {
            // The life before may have ended before anybody heard its call.
            turn.ask(Effect::CallManager);
            return contradiction(proof, turn);
        }
        Event::Answered { to: Asked::Pay, .. } | Event::Code(_) | Event::Reversed { .. } | Event::Cancel => {}
    }
    Phase::Contradicted { proof, since }
}

/// A query has confirmed what the gateway refused; another one does when the code is dead.
pub(super) fn refused(sent_at: Timestamp, refusal: Refusal, turn: &mut Turn) -> Phase {
    *turn.wake = Some(sent_at + turn.policy.code_life);
    Phase::Refused { sent_at, refusal }
}

/// [`Phase::Refused`]: the last look. An order that is there and unpaid is closed, for a payer may still sit before a
/// dialog; if that does not come to an end, it is taken back like any other.
pub(super) fn looked(sent_at: Timestamp, refusal: Refusal, event: Event, turn: &mut Turn) -> Phase {
    let code_dead_at = sent_at + turn.policy.code_life;
    // Then the newest query was asked of a dead code.
    let timer_has_rung = turn.wake.is_some_and(|wake| wake > code_dead_at);
    match event {
        Event::Answered { answer: Answer::Paid(_), .. } => return reversing::late_paid(turn),
        Event::Answered { to: Asked::Query, answer, .. } if timer_has_rung => match answer {
            Answer::NotFound | Answer::PayFailed | Answer::Closed | Answer::Refunded => {
                return Phase::Declined(refusal);
            }
            Answer::NotPaid | Answer::AwaitingPayer => turn.ask(Effect::Reverse),
            Answer::Paid(_) | Answer::Refused(_) | Answer::NeverSent(_) | Answer::Unknown(_) => {}
        },
        Event::Wake if timer_has_rung && turn.now >= code_dead_at + turn.policy.call_manager_after => {
            return reversing::begin(sent_at, Why::PayFailed, turn);
        }
        Event::Wake => {
            turn.ask(Effect::Query);
            *turn.wake = Some(turn.now + turn.policy.answer_within);
        }
        Event::Check => turn.ask(Effect::Query),
        Event::Restarted => return refused(turn.now, refusal, turn),
        Event::Answered { .. } | Event::Code(_) | Event::Reversed { .. } | Event::Cancel => {}
    }
    Phase::Refused { sent_at, refusal }
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
