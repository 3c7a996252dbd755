//! While money goes back if it was taken: reverse, confirm by query, again, for as long as it takes. Never ends paid.

use std::time::Duration;

use crate::payment::event::{Answer, Asked, Event, ReversalAnswer};
use crate::payment::state::{Doubt, MoneySeen, Phase, Reversal, Why};
use crate::payment::step::{Effect, Turn};
use crate::time::Timestamp;

/// Between queries once the gateway takes no more reversals: a person acts now, the terminal only watches.
const WATCH_EVERY: Duration = Duration::from_secs(60 * 60);

/// Begins to take back an attempt whose pay request left at `sent_at` at the latest.
pub(super) fn begin(sent_at: Timestamp, why: Why, turn: &mut Turn) -> Phase {
    let reversal = Reversal::new(sent_at, turn.now, why);
    *turn.wake = Some(earliest(&reversal, turn).max(turn.now));
    Phase::Reversing(reversal)
}

/// Money turned up for an attempt that was not being paid: it goes back, and a person hears of it.
pub(super) fn late_paid(turn: &mut Turn) -> Phase {
    turn.ask(Effect::CallManager);
    // An answer from before the money came must not be the one that ends this.
    turn.ask(Effect::Query);
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
                Some(Doubt::Expired) => code_dead_at(&reversal, turn),
                Some(Doubt::TooLong | Doubt::Refused) | None => earliest(&reversal, turn),
            });
            // The life before may have ended before anybody heard its call.
            if doubt.is_some() {
                turn.ask(Effect::CallManager);
            }
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
    let code_dead_at = code_dead_at(&reversal, turn);
    if doubt == Some(Doubt::Expired) {
        turn.ask(Effect::Query);
        *turn.wake = Some(turn.now + WATCH_EVERY);
    } else if turn.now >= earliest(&reversal, turn) {
        reversal.tries = reversal.tries.saturating_add(1);
        if reversal.money_seen == MoneySeen::Yes {
            reversal.money_seen = MoneySeen::AskedSince;
        }
        turn.ask(Effect::Reverse);
        let first_since = reversal.tries == 1 || turn.wake.is_some_and(|wake| wake <= code_dead_at);
        if turn.now >= code_dead_at && first_since {
            // The code is dead now; a query that was asked before must not be the one that says so.
            turn.ask(Effect::Query);
        }
        // Time for the answer, and for the query that confirms it.
        let pause = turn.policy.reverse_pause(reversal.tries).max(turn.policy.answer_within * 2);
        *turn.wake = Some(turn.now + pause);
        come_sooner(&reversal, doubt, turn.now + pause, turn);
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
        ReversalAnswer::Done => {
            reversal.refused = None;
            if reversal.money_seen == MoneySeen::AskedSince {
                reversal.money_seen = MoneySeen::No;
            }
        }
        ReversalAnswer::Refused(refusal) => reversal.refused = Some(refusal),
        ReversalAnswer::Again
        | ReversalAnswer::NotFound
        | ReversalAnswer::NeverSent(_)
        | ReversalAnswer::Unknown(_) => {}
    }
    // Whatever it says, the order itself must say so too. Even if nothing was sent: what is broken may be the
    // certificate that only reversing needs. The answer to that decides when to reverse again.
    turn.ask(Effect::Query);
    stay(reversal, doubt)
}

fn query_answered(mut reversal: Reversal, doubt: Option<Doubt>, answer: Answer, turn: &mut Turn) -> Phase {
    if let Answer::Paid(_) = answer {
        reversal.money_seen = MoneySeen::Yes;
    }
    match answer {
        // This may be how it was before the money came.
        Answer::Closed if reversal.money_seen != MoneySeen::No && doubt != Some(Doubt::Expired) => {
            come_sooner_after_pause(&reversal, doubt, turn);
            stay(reversal, doubt)
        }
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

/// No such order. Final if it was asked for when its code was too old to arrive, unless the gateway had already said
/// that it holds money.
///
/// The timer always rings when the code dies, and asks anew then; the answer is about that query or a later one if
/// the timer is set beyond that moment. An answer to an earlier query can be older than the arrival of the request.
fn not_found(reversal: Reversal, doubt: Option<Doubt>, turn: &mut Turn) -> Phase {
    let code_dead_at = code_dead_at(&reversal, turn);
    let asked_again = reversal.tries > 0 || doubt == Some(Doubt::Expired);
    let asked_since = asked_again && turn.wake.is_some_and(|wake| wake > code_dead_at);
    let money_was_seen = reversal.money_seen != MoneySeen::No || reversal.why == Why::LatePaid;
    if turn.now >= code_dead_at && asked_since && !money_was_seen {
        return Phase::Reversed(reversal.why);
    }
    come_sooner_after_pause(&reversal, doubt, turn);
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
        && reversal.money_seen == MoneySeen::No
        && reversal.since > reversal.sent_at
        && turn.hint.is_some()
}

fn come_sooner_after_pause(reversal: &Reversal, doubt: Option<Doubt>, turn: &mut Turn) {
    come_sooner(reversal, doubt, turn.now + turn.policy.reverse_pause(reversal.tries), turn);
}

/// Moves the timer forward to `at`, and to the next moment at which something else is due: the death of the code, the
/// call for a person. Never back, so that no answer can put a reversal off; never before the gateway takes reversals.
fn come_sooner(reversal: &Reversal, doubt: Option<Doubt>, at: Timestamp, turn: &mut Turn) {
    let call = match doubt {
        None => Some(call_manager_at(reversal, turn)),
        Some(Doubt::TooLong | Doubt::Refused) => None,
        Some(Doubt::Expired) => return,
    };
    let code_dies = Some(code_dead_at(reversal, turn)).filter(|dies| *dies > turn.now);
    let soonest = [Some(at), *turn.wake, code_dies, call].into_iter().flatten().min();
    *turn.wake = soonest.map(|wake| wake.max(earliest(reversal, turn)));
}

fn earliest(reversal: &Reversal, turn: &Turn) -> Timestamp {
    reversal.sent_at + turn.policy.reverse_after
}

fn code_dead_at(reversal: &Reversal, turn: &Turn) -> Timestamp {
    reversal.sent_at + turn.policy.code_life
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
