//! While money goes back if it was taken: reverse, confirm by query, again, for as long as it takes. Never ends paid.

use std::time::Duration;

use crate::payment::event::{Answer, Asked, Event, ReversalAnswer};
use crate::payment::state::{Doubt, Phase, Reversal, Why};
use crate::payment::step::{Effect, Turn};
use crate::time::Timestamp;

/// Between queries once the gateway takes no more reversals: a person acts now, the terminal only watches.
const WATCH_EVERY: Duration = Duration::from_secs(60 * 60);

/// Begins to take back an attempt whose pay request left at `sent_at` at the latest.
pub(super) fn begin(sent_at: Timestamp, why: Why, turn: &mut Turn) -> Phase {
    let reversal = Reversal { sent_at, since: turn.now, tries: 0, why, refused: None };
    *turn.wake = Some(earliest(&reversal, turn).max(turn.now));
    Phase::Reversing(reversal)
}

/// Money turned up for an attempt that was not being paid: it goes back, and a person hears of it.
pub(super) fn late_paid(turn: &mut Turn) -> Phase {
    turn.ask(Effect::CallManager);
    begin(turn.now, Why::LatePaid, turn)
}

/// [`Phase::Reversing`], and with a doubt [`Phase::InDoubt`].
pub(super) fn on(mut reversal: Reversal, doubt: Option<Doubt>, event: Event, turn: &mut Turn) -> Phase {
    match event {
        Event::Wake => awake(reversal, doubt, turn),
        Event::Reversed { answer, .. } => reverse_answered(reversal, doubt, answer, turn),
        Event::Answered { to: Asked::Query, answer, .. } => query_answered(reversal, doubt, answer, turn),
        Event::Answered { to: Asked::Pay, answer, .. } => match answer {
            Answer::NeverSent(_) if only_the_transport_spoke(&reversal, doubt, turn) => Phase::Void,
            // The confirming query will know at least as much.
            Answer::NeverSent(_)
            | Answer::Paid(_)
            | Answer::AwaitingPayer
            | Answer::Refused(_)
            | Answer::NotPaid
            | Answer::NotFound
            | Answer::PayFailed
            | Answer::Closed
            | Answer::Refunded
            | Answer::Unknown(_) => stay(reversal, doubt),
        },
        Event::Check => {
            turn.ask(Effect::Query);
            stay(reversal, doubt)
        }
        Event::Restarted => {
            (reversal.sent_at, reversal.since, reversal.tries) = (turn.now, turn.now, 0);
            turn.ask(Effect::Query);
            *turn.wake = Some(match doubt {
                Some(Doubt::Expired) => turn.now + WATCH_EVERY,
                Some(Doubt::TooLong | Doubt::Refused) | None => earliest(&reversal, turn),
            });
            stay(reversal, doubt)
        }
        Event::Code(_) | Event::Cancel => stay(reversal, doubt),
    }
}

/// The one place that asks for a reverse request; so it is the only one that must know when that is allowed.
fn awake(mut reversal: Reversal, doubt: Option<Doubt>, turn: &mut Turn) -> Phase {
    let expired = turn.now >= reversal.sent_at + turn.policy.reverse_for;
    let doubt = match doubt {
        Some(Doubt::Expired) => doubt,
        Some(Doubt::TooLong | Doubt::Refused) | None if expired => {
            turn.ask(Effect::CallManager);
            Some(Doubt::Expired)
        }
        None if turn.now >= call_manager_at(&reversal, turn) => {
            turn.ask(Effect::CallManager);
            Some(Doubt::TooLong)
        }
        Some(Doubt::TooLong | Doubt::Refused) | None => doubt,
    };
    if doubt == Some(Doubt::Expired) {
        turn.ask(Effect::Query);
        *turn.wake = Some(turn.now + WATCH_EVERY);
    } else if turn.now >= earliest(&reversal, turn) {
        reversal.tries = reversal.tries.saturating_add(1);
        turn.ask(Effect::Reverse);
        let pause = turn.policy.reverse_pause(reversal.tries).max(turn.policy.answer_within);
        *turn.wake = Some(turn.now + pause);
        come_sooner(&reversal, doubt, None, turn);
    } else {
        *turn.wake = Some(earliest(&reversal, turn));
    }
    stay(reversal, doubt)
}

fn reverse_answered(
    mut reversal: Reversal,
    doubt: Option<Doubt>,
    answer: ReversalAnswer,
    turn: &mut Turn,
) -> Phase {
    match answer {
        ReversalAnswer::Again => come_sooner_after_pause(&reversal, doubt, turn),
        // Whatever it says, the order itself must say so too. Silence as well: reversing needs a certificate that may
        // be what is broken, asking does not.
        ReversalAnswer::Done => {
            reversal.refused = None;
            turn.ask(Effect::Query);
        }
        ReversalAnswer::Refused(refusal) => {
            reversal.refused = Some(refusal);
            turn.ask(Effect::Query);
        }
        ReversalAnswer::NotFound => turn.ask(Effect::Query),
        ReversalAnswer::NeverSent(_) | ReversalAnswer::Unknown(_) => {
            turn.ask(Effect::Query);
            come_sooner_after_pause(&reversal, doubt, turn);
        }
    }
    stay(reversal, doubt)
}

fn query_answered(reversal: Reversal, doubt: Option<Doubt>, answer: Answer, turn: &mut Turn) -> Phase {
    match answer {
        Answer::Closed | Answer::Refunded => Phase::Reversed(reversal.why),
        Answer::NotFound => not_found(reversal, doubt, turn),
        Answer::Paid(_) if reversal.refused.is_some() => {
            come_sooner_after_pause(&reversal, doubt, turn);
            let doubt = match doubt {
                Some(Doubt::Refused | Doubt::Expired) => doubt,
                Some(Doubt::TooLong) | None => {
                    turn.ask(Effect::CallManager);
                    Some(Doubt::Refused)
                }
            };
            stay(reversal, doubt)
        }
        Answer::Paid(_)
        | Answer::NotPaid
        | Answer::PayFailed
        | Answer::AwaitingPayer
        | Answer::Refused(_)
        | Answer::NeverSent(_)
        | Answer::Unknown(_) => {
            come_sooner_after_pause(&reversal, doubt, turn);
            stay(reversal, doubt)
        }
    }
}

/// No such order: final once its code is too old to arrive, unless the gateway had already said that it holds money.
fn not_found(reversal: Reversal, doubt: Option<Doubt>, turn: &mut Turn) -> Phase {
    let code_dead_at = reversal.sent_at + turn.policy.code_life;
    let money_was_seen = reversal.why == Why::LatePaid;
    if turn.now >= code_dead_at && !money_was_seen {
        return Phase::Reversed(reversal.why);
    }
    come_sooner_after_pause(&reversal, doubt, turn);
    if turn.now < code_dead_at {
        come_sooner(&reversal, doubt, Some(code_dead_at), turn);
    }
    stay(reversal, doubt)
}

/// Whether "no byte left this machine" can be the whole truth about an attempt that is taken back.
///
/// It is not where the gateway knew the order, nor where no code was read in this life of the process: the request
/// may be one of the life before. (A restart sets both moments to its own.)
fn only_the_transport_spoke(reversal: &Reversal, doubt: Option<Doubt>, turn: &Turn) -> bool {
    let ours = match reversal.why {
        Why::Cancelled | Why::GaveUp => true,
        Why::PayFailed | Why::Interrupted | Why::LatePaid | Why::Elsewhere => false,
    };
    ours && doubt.is_none()
        && reversal.refused.is_none()
        && reversal.since > reversal.sent_at
        && turn.hint.is_some()
}

fn come_sooner_after_pause(reversal: &Reversal, doubt: Option<Doubt>, turn: &mut Turn) {
    let at = turn.now + turn.policy.reverse_pause(reversal.tries);
    come_sooner(reversal, doubt, Some(at), turn);
}

/// Moves the timer forward to `at`, to the call for a person at the latest; never back, so that no answer can put a
/// reversal off, and never before the gateway takes reversals.
fn come_sooner(reversal: &Reversal, doubt: Option<Doubt>, at: Option<Timestamp>, turn: &mut Turn) {
    let call = match doubt {
        None => Some(call_manager_at(reversal, turn)),
        Some(Doubt::TooLong | Doubt::Refused) => None,
        Some(Doubt::Expired) => return,
    };
    let soonest = turn.wake.iter().copied().chain(at).chain(call).min();
    *turn.wake = soonest.map(|wake| wake.max(earliest(reversal, turn)));
}

fn earliest(reversal: &Reversal, turn: &Turn) -> Timestamp {
    reversal.sent_at + turn.policy.reverse_after
}

fn call_manager_at(reversal: &Reversal, turn: &Turn) -> Timestamp {
    reversal.since + turn.policy.call_manager_after
}

fn stay(reversal: Reversal, doubt: Option<Doubt>) -> Phase {
    match doubt {
        None => Phase::Reversing(reversal),
        Some(doubt) => Phase::InDoubt(reversal, doubt),
    }
}
