//! One step of the refund machine: a refund and an event in, a refund and effects out. Every phase answers every event by
//! name. Never guesses: a refusal ends a refund only when a query confirms it that was asked when no request could arrive
//! any more. A payment's customer waits for the answer; here nobody stands at the till, so one late look does.

use std::mem::discriminant;
use std::time::Duration;

use crate::payment::Policy;
use crate::refund::state::{Answer, Asked, Asking, Event, Phase, Refund};
use crate::time::Timestamp;

/// From the gateway's yes to calling a person. Banks take one to three working days (refund page, 2025-08-14); the
/// longest public holidays are eight days.
const BANK_TAKES: Duration = Duration::from_secs(12 * 24 * 60 * 60);

/// What the driver must do once the new refund is durable.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Effect {
    /// Ask for the refund, under its number. Takes the place of a request that is still under way.
    Ask,
    /// Ask what became of it. Takes the place of a query that is still under way.
    Query,
    /// A person must look at this.
    CallManager,
}

/// The outcome of a step.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Step {
    /// The refund after the event.
    pub refund: Refund,
    /// What to do, in order.
    pub effects: Vec<Effect>,
    /// Whether it must be synced to the disk before the effects are carried out: where the money is has changed. What
    /// else a power cut undoes is asked about again.
    pub durable: bool,
}

/// Answers `event` at `now`, which must not go back between steps, except to a [`Event::Restarted`].
pub fn step(mut refund: Refund, event: Event, now: Timestamp, policy: &Policy) -> Step {
    let mut turn = Turn { now, policy, asked_at: refund.asked_at, wake: refund.wake, effects: Vec::new() };
    let before = discriminant(&refund.phase);
    refund.phase = match refund.phase {
        Phase::Asking(asking) => asking.on(event, &mut turn),
        Phase::Accepted { gateway_number, accepted_at, since, called } => {
            accepted(gateway_number, accepted_at, since, called, event, &mut turn)
        }
        Phase::Stuck { gateway_number, accepted_at, since } => {
            stuck(gateway_number, accepted_at, since, event, &mut turn)
        }
        over @ (Phase::Returned { .. } | Phase::Refused(_) | Phase::Closed { .. }) => {
            settled(over, event, &mut turn)
        }
    };
    refund.wake = turn.wake.filter(|_| refund.is_open());
    Step { durable: discriminant(&refund.phase) != before, refund, effects: turn.effects }
}

struct Turn<'a> {
    now: Timestamp,
    policy: &'a Policy,
    asked_at: Timestamp,
    wake: Option<Timestamp>,
    effects: Vec<Effect>,
}

impl Turn<'_> {
    /// Asks, and looks again if no answer comes.
    fn ask(&mut self, effect: Effect) {
        self.effects.push(effect);
        self.wake = Some(self.now + self.policy.answer_within);
    }

    /// Asks later; the seldomer the longer it has gone on since `since`.
    fn pause(&mut self, since: Timestamp) {
        // Not `clamp`: a shop may set the first pause above the longest.
        let pause = self.now.since(since).min(self.policy.reverse_every_max).max(self.policy.reverse_every);
        self.wake = Some(self.now + pause);
    }

    fn call_manager(&mut self) {
        self.effects.push(Effect::CallManager);
    }

    /// The gateway has taken it on.
    fn accepted(&mut self, gateway_number: String) -> Phase {
        self.wake = Some(self.now + self.policy.query_after);
        Phase::Accepted { gateway_number, accepted_at: self.now, since: self.now, called: false }
    }

    /// The end, or what only a person can bring to one; `accepted_at` if it was known before that it was taken on.
    fn found(&mut self, found: Found, accepted_at: Option<Timestamp>) -> Phase {
        let known_at = accepted_at.unwrap_or(self.now);
        match found {
            Found::Returned(gateway_number) => Phase::Returned { gateway_number, accepted_at: known_at },
            Found::Stuck(gateway_number) => {
                self.call_manager();
                self.pause(self.now);
                Phase::Stuck { gateway_number, accepted_at: known_at, since: self.now }
            }
            Found::Closed(gateway_number) => {
                self.call_manager();
                Phase::Closed { gateway_number }
            }
        }
    }
}

/// An end that a query tells of.
enum Found {
    Returned(String),
    Stuck(String),
    Closed(String),
}

impl Asking {
    /// [`Phase::Asking`].
    fn on(mut self, event: Event, turn: &mut Turn) -> Phase {
        match event {
            Event::Answered(asked, answer) => match answer {
                Answer::Accepted(number) => return turn.accepted(number),
                Answer::Returned(number) => return turn.found(Found::Returned(number), None),
                Answer::Stuck(number) => return turn.found(Found::Stuck(number), None),
                Answer::Closed(number) => return turn.found(Found::Closed(number), None),
                Answer::NotFound | Answer::Refused(_) | Answer::NeverSent(_) | Answer::Unknown(_) => {
                    match asked {
                        Asked::Refund => self.not_taken_on(answer, turn),
                        Asked::Query => {
                            if answer == Answer::NotFound
                                && self.asked_late
                                && let Some(refusal) = self.refused.take()
                            {
                                return Phase::Refused(refusal);
                            }
                            self.not_found(answer, turn);
                        }
                    }
                }
            },
            Event::Wake => {
                if !self.called && turn.now >= self.since + turn.policy.call_manager_after {
                    self.called = true;
                    turn.call_manager();
                }
                if self.under_way {
                    self.left(turn);
                }
                match (&self.refused, self.left_at) {
                    (None, None) => self.ask_again(turn),
                    (Some(_), _) | (None, Some(_)) => self.look(turn),
                }
            }
            Event::Check if !self.under_way => self.look(turn),
            Event::Check => {}
            Event::Restarted => {
                (self.since, self.called) = (turn.now, false);
                self.left(turn);
                self.look(turn);
            }
        }
        Phase::Asking(self)
    }

    /// A refund request came back without a yes.
    fn not_taken_on(&mut self, answer: Answer, turn: &mut Turn) {
        self.under_way = false;
        match answer {
            Answer::Refused(refusal) => {
                self.refused = Some(refusal);
                self.left(turn);
                self.look(turn);
            }
            Answer::NeverSent(_) => turn.pause(self.since),
            Answer::Accepted(_)
            | Answer::Returned(_)
            | Answer::Stuck(_)
            | Answer::Closed(_)
            | Answer::NotFound
            | Answer::Unknown(_) => {
                self.left(turn);
                turn.pause(self.since);
            }
        }
    }

    /// A query found nothing, or was not answered.
    fn not_found(&mut self, answer: Answer, turn: &mut Turn) {
        if self.under_way {
            // Its answer says more.
        } else if answer == Answer::NotFound && self.refused.is_none() {
            // Asked again under its number: whatever arrives, the gateway does it once.
            self.ask_again(turn);
        } else {
            // What was asked earlier proves nothing; the timer asks when it does.
            turn.pause(self.since);
        }
    }

    fn ask_again(&mut self, turn: &mut Turn) {
        self.under_way = true;
        turn.ask(Effect::Ask);
    }

    /// A request has left, or may have, and nothing more will be heard of it.
    fn left(&mut self, turn: &mut Turn) {
        (self.under_way, self.left_at, self.asked_late) = (false, Some(turn.now), false);
    }

    /// Asks what became of it: after a refusal not before the answer decides.
    fn look(&mut self, turn: &mut Turn) {
        let dead_at = self.left_at.map(|left| left + turn.policy.code_life);
        match dead_at.filter(|dead| *dead > turn.now) {
            Some(dead) if self.refused.is_some() => turn.wake = Some(dead),
            still_alive => {
                self.asked_late = still_alive.is_none();
                turn.ask(Effect::Query);
            }
        }
    }
}

/// [`Phase::Accepted`]: followed until the payer has it.
fn accepted(
    number: String,
    mut accepted_at: Timestamp,
    mut since: Timestamp,
    mut called: bool,
    event: Event,
    turn: &mut Turn,
) -> Phase {
    match event {
        Event::Answered(_, answer) => match answer {
            Answer::Returned(number) => return turn.found(Found::Returned(number), Some(accepted_at)),
            Answer::Stuck(number) => return turn.found(Found::Stuck(number), Some(accepted_at)),
            Answer::Closed(number) => return turn.found(Found::Closed(number), Some(accepted_at)),
            // It said that it had taken it on; "no such refund" is then from before.
            Answer::Accepted(_)
            | Answer::NotFound
            | Answer::Refused(_)
            | Answer::NeverSent(_)
            | Answer::Unknown(_) => turn.pause(since),
        },
        Event::Wake => {
            if !called && turn.now >= accepted_at + BANK_TAKES {
                called = true;
                turn.call_manager();
            }
            turn.ask(Effect::Query);
        }
        Event::Check => turn.effects.push(Effect::Query),
        Event::Restarted => {
            // A clock that stood at 1970 then is right now, or the other way round.
            (since, accepted_at) = (turn.now, accepted_at.max(turn.asked_at));
            turn.ask(Effect::Query);
        }
    }
    Phase::Accepted { gateway_number: number, accepted_at, since, called }
}

/// [`Phase::Stuck`]: a person sees to it on the platform, and then the gateway says how it ended.
fn stuck(
    number: String,
    accepted_at: Timestamp,
    mut since: Timestamp,
    event: Event,
    turn: &mut Turn,
) -> Phase {
    match event {
        Event::Answered(_, answer) => match answer {
            Answer::Returned(number) => return turn.found(Found::Returned(number), Some(accepted_at)),
            Answer::Closed(number) => return turn.found(Found::Closed(number), Some(accepted_at)),
            Answer::Stuck(_)
            | Answer::Accepted(_)
            | Answer::NotFound
            | Answer::Refused(_)
            | Answer::NeverSent(_)
            | Answer::Unknown(_) => turn.pause(since),
        },
        Event::Wake => turn.ask(Effect::Query),
        Event::Check => turn.effects.push(Effect::Query),
        Event::Restarted => {
            since = turn.now;
            // The life before may have ended before anybody heard its call.
            turn.call_manager();
            turn.ask(Effect::Query);
        }
    }
    Phase::Stuck { gateway_number: number, accepted_at, since }
}

/// What is over, and still listens: money that goes out after all is on record, and a person is told.
fn settled(phase: Phase, event: Event, turn: &mut Turn) -> Phase {
    let (was_refused, is_with_us) =
        (matches!(phase, Phase::Refused(_)), matches!(phase, Phase::Refused(_) | Phase::Closed { .. }));
    match event {
        Event::Answered(_, answer) => match answer {
            Answer::Returned(number) if is_with_us => {
                turn.call_manager();
                return turn.found(Found::Returned(number), None);
            }
            // Of one that was closed this is from before.
            Answer::Accepted(number) if was_refused => {
                turn.call_manager();
                return turn.accepted(number);
            }
            Answer::Stuck(number) if was_refused => return turn.found(Found::Stuck(number), None),
            Answer::Returned(_)
            | Answer::Accepted(_)
            | Answer::Stuck(_)
            | Answer::Closed(_)
            | Answer::NotFound
            | Answer::Refused(_)
            | Answer::NeverSent(_)
            | Answer::Unknown(_) => {}
        },
        Event::Check => turn.effects.push(Effect::Query),
        Event::Wake | Event::Restarted => {}
    }
    phase
}
