//! One step of the machine: a payment and an event in, a payment and effects out. Every phase answers every event by name.
//!
//! Here events find their attempts. What an attempt makes of one is in `paying`, `reversing` and `settled`; none of
//! them reads a clock, fails, or asks for a second pay request.

use std::mem;

use crate::ids::{ATTEMPTS_MAX, CodeHint};
use crate::payment::event::Event;
use crate::payment::policy::Policy;
use crate::payment::state::{Attempt, Doubt, MoneySeen, Payment, Phase, Why};
use crate::payment::{paying, reversing, settled};
use crate::time::Timestamp;

/// What the driver must do once the new payment is durable; ordinals count from 1.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Effect {
    /// Send the one pay request of this attempt. The only effect that may precede the disk: its intent is already there.
    Pay(u8),
    /// Ask what the gateway knows of this attempt. Takes the place of a query of this attempt that is still under way:
    /// the answer to an older one must not reach the machine any more, for it may describe the time before a refusal,
    /// or before the request arrived.
    Query(u8),
    /// Ask the gateway to reverse this attempt. Takes the place of a reverse request that is still under way, as a query
    /// does: what the older one did can be from before the money came that the newer one is for.
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
    /// Whether the payment must be synced to the disk before the effects are carried out.
    ///
    /// Where it is false the payment is written all the same, but a power cut may undo that: the payment before the
    /// step recovers to the same end. So it is for a code that was read (its intent is durable) and for news that
    /// leave the money where it was.
    pub durable: bool,
}

/// Answers `event` at `now`.
///
/// `now` must not go back between steps, except to a [`Event::Restarted`].
pub fn step(mut payment: Payment, event: Event, now: Timestamp, policy: &Policy) -> Step {
    let mut effects = Vec::new();
    let mut durable = false;
    let current = payment.attempts.len();
    let was_declined = payment.attempts.last().is_some_and(is_declined);
    let mut give = |payment: &mut Payment, ordinal: usize, event: Event| {
        if let Some(attempt) = payment.attempts.get_mut(ordinal.wrapping_sub(1)) {
            durable |= turn(attempt, ordinal, event, now, policy, &mut effects);
        }
    };
    match event {
        Event::Code(_) | Event::Cancel => give(&mut payment, current, event),
        Event::Answered { attempt, .. } | Event::Reversed { attempt, .. } => {
            give(&mut payment, attempt.into(), event);
        }
        Event::Wake => {
            for ordinal in 1..=current {
                if payment.attempts[ordinal - 1].wake.is_some_and(|wake| wake <= now) {
                    give(&mut payment, ordinal, Event::Wake);
                }
            }
        }
        Event::Check => {
            for ordinal in 1..=current {
                if ordinal == current || payment.attempts[ordinal - 1].phase.is_open() {
                    give(&mut payment, ordinal, Event::Check);
                }
            }
        }
        Event::Restarted => {
            for ordinal in 1..=current {
                give(&mut payment, ordinal, Event::Restarted);
            }
        }
    }
    // A decline lets the customer try again at once, and the next intent is durable together with it.
    let declined = payment.attempts.last().is_some_and(is_declined);
    if declined && !was_declined && may_try_again(&payment) {
        payment.attempts.push(Attempt::armed(now, policy));
    }
    Step { payment, effects, durable }
}

fn is_declined(attempt: &Attempt) -> bool {
    matches!(attempt.phase, Phase::Refused { .. } | Phase::Declined(_))
}

/// Whether a sale whose last attempt was just declined takes another code: not while another can be the payment.
fn may_try_again(payment: &Payment) -> bool {
    let out_of_the_way = |attempt: &Attempt| match &attempt.phase {
        Phase::Refused { .. } | Phase::Declined(_) | Phase::Reversed(_) | Phase::Void => true,
        Phase::Reversing(reversal) => reversal.why == Why::LatePaid,
        Phase::Armed
        | Phase::Paying { .. }
        | Phase::InDoubt(..)
        | Phase::Paid(_)
        | Phase::Contradicted { .. } => false,
    };
    !payment.single
        && payment.attempts.len() < ATTEMPTS_MAX.into()
        && payment.attempts.iter().all(out_of_the_way)
}

/// What an attempt may look at in its turn, and where it puts what it asks for.
pub(super) struct Turn<'a> {
    /// The moment of the event.
    pub now: Timestamp,
    /// The waits.
    pub policy: &'a Policy,
    /// The last digits of the code.
    pub hint: &'a mut Option<CodeHint>,
    /// When the attempt wants to be woken. Ignored once it is no longer open.
    pub wake: &'a mut Option<Timestamp>,
    ordinal: u8,
    effects: &'a mut Vec<Effect>,
}

impl Turn<'_> {
    /// Asks the driver for an effect on this attempt.
    pub fn ask(&mut self, effect: fn(u8) -> Effect) {
        self.effects.push(effect(self.ordinal));
    }
}

/// Gives `event` to one attempt; returns whether that must be durable.
fn turn(
    attempt: &mut Attempt,
    ordinal: usize,
    event: Event,
    now: Timestamp,
    policy: &Policy,
    effects: &mut Vec<Effect>,
) -> bool {
    let ordinal = u8::try_from(ordinal).unwrap_or(u8::MAX);
    let Attempt { phase, hint, wake } = attempt;
    let before = Milestone::of(phase);
    let scanned = matches!((&*phase, &event), (Phase::Armed, Event::Code(_)));
    let turn = &mut Turn { now, policy, hint, wake, ordinal, effects };
    // `Void` only fills the place while the old phase is taken apart.
    *phase = match mem::replace(phase, Phase::Void) {
        Phase::Armed => paying::armed(event, turn),
        Phase::Paying { sent_at, payer_asked, refusal, interrupted } => {
            paying::Paying { sent_at, payer_asked, refusal, interrupted }.on(event, turn)
        }
        Phase::Reversing(reversal) => reversing::on(reversal, None, event, turn),
        Phase::InDoubt(reversal, doubt) => reversing::on(reversal, Some(doubt), event, turn),
        Phase::Paid(proof) => settled::paid(proof, event, turn),
        Phase::Contradicted { proof, since } => settled::contradicted(proof, since, event, turn),
        Phase::Refused { sent_at, refusal } => settled::looked(sent_at, refusal, event, turn),
        over @ (Phase::Declined(_) | Phase::Reversed(_) | Phase::Void) => settled::over(over, event, turn),
    };
    if !phase.is_open() {
        *wake = None;
    }
    Milestone::of(phase) != before && !scanned
}

/// The part of a phase that a power cut must not undo: where the money is, that it was seen to be there, and why a
/// person was called.
#[derive(PartialEq)]
struct Milestone {
    phase: mem::Discriminant<Phase>,
    doubt: Option<Doubt>,
    money_seen: MoneySeen,
}

impl Milestone {
    fn of(phase: &Phase) -> Self {
        let (doubt, money_seen) = match phase {
            Phase::InDoubt(reversal, doubt) => (Some(*doubt), reversal.money_seen),
            Phase::Reversing(reversal) => (None, reversal.money_seen),
            Phase::Armed
            | Phase::Paying { .. }
            | Phase::Paid(_)
            | Phase::Contradicted { .. }
            | Phase::Refused { .. }
            | Phase::Declined(_)
            | Phase::Reversed(_)
            | Phase::Void => (None, MoneySeen::No),
        };
        Self { phase: mem::discriminant(phase), doubt, money_seen }
    }
}
