//! While the payer pays: from the armed intent to the gateway's word, or to giving up. Never declines on silence.

use std::time::Duration;

use crate::payment::event::{Answer, Asked, Cause, Event, Reason, Refusal};
use crate::payment::state::{Phase, Why};
use crate::payment::step::{Effect, Turn};
use crate::payment::{reversing, settled};
use crate::time::Timestamp;

/// The intent is durable and waits for a code.
pub(super) fn armed(event: Event, turn: &mut Turn) -> Phase {
    match event {
        Event::Code(hint) => {
            *turn.hint = Some(hint);
            turn.ask(Effect::Pay);
            Paying::begun(turn.now).wait(turn.policy.answer_within, turn)
        }
        Event::Cancel | Event::Wake => Phase::Void,
        // A code may have been read and sent in the life before, too short before its end to be recorded.
        Event::Restarted => {
            turn.ask(Effect::Query);
            Paying { interrupted: true, ..Paying::begun(turn.now) }.wait(turn.policy.answer_within, turn)
        }
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
            | Answer::Unknown(_) => Phase::Armed,
        },
        Event::Reversed { .. } | Event::Check => Phase::Armed,
    }
}

/// [`Phase::Paying`], taken apart.
pub(super) struct Paying {
    pub sent_at: Timestamp,
    pub payer_asked: bool,
    pub refusal: Option<Refusal>,
    pub interrupted: bool,
}

impl Paying {
    fn begun(now: Timestamp) -> Self {
        Self { sent_at: now, payer_asked: false, refusal: None, interrupted: false }
    }

    /// The pay request may have been sent; the gateway has not said the end.
    pub fn on(mut self, event: Event, turn: &mut Turn) -> Phase {
        match event {
            Event::Answered { to: Asked::Pay, answer, .. } => self.pay_answered(answer, turn),
            Event::Answered { to: Asked::Query, answer, .. } => self.query_answered(answer, turn),
            Event::Cancel => self.take_back(Why::Cancelled, turn),
            Event::Wake if turn.now >= self.give_up_at(turn) => self.take_back(Why::GaveUp, turn),
            Event::Wake => self.query(turn),
            Event::Restarted => {
                self.sent_at = turn.now;
                self.payer_asked = false;
                // The life before may have heard of a dialog and not come to record it: no query confirms a refusal now.
                self.interrupted |= self.refusal.take().is_some();
                self.query(turn)
            }
            Event::Check => {
                turn.ask(Effect::Query);
                self.into()
            }
            Event::Code(_) | Event::Reversed { .. } => self.into(),
        }
    }

    fn pay_answered(mut self, answer: Answer, turn: &mut Turn) -> Phase {
        match answer {
            // A dialog was heard of before this: no query could confirm a refusal that the gateway itself contradicted.
            Answer::Refused(_) if self.payer_asked => self.query(turn),
            // Not the end: cases are known in which the gateway refused and took the money all the same.
            Answer::Refused(refusal) => {
                self.refusal = Some(refusal);
                self.query(turn)
            }
            Answer::NeverSent(cause) if self.nothing_heard() => Phase::Declined(never_sent(&cause)),
            Answer::NeverSent(_) | Answer::Unknown(_) | Answer::NotPaid | Answer::NotFound => {
                let query_after = turn.policy.query_after;
                self.wait(query_after, turn)
            }
            Answer::Paid(_)
            | Answer::AwaitingPayer
            | Answer::PayFailed
            | Answer::Closed
            | Answer::Refunded => self.gateway_said(answer, turn),
        }
    }

    fn query_answered(self, answer: Answer, turn: &mut Turn) -> Phase {
        match answer {
            Answer::NotPaid | Answer::NotFound => match self.refusal {
                Some(refusal) => settled::refused(self.sent_at, refusal, turn),
                // Nobody is known to be paying: free the lane, and take back what may still arrive.
                None if self.interrupted => self.take_back(Why::Interrupted, turn),
                None => self.ask_again(turn),
            },
            Answer::Refused(_) | Answer::NeverSent(_) | Answer::Unknown(_) => self.ask_again(turn),
            Answer::Paid(_)
            | Answer::AwaitingPayer
            | Answer::PayFailed
            | Answer::Closed
            | Answer::Refunded => self.gateway_said(answer, turn),
        }
    }

    /// The words that mean the same in answer to a pay request and to a query.
    fn gateway_said(mut self, answer: Answer, turn: &mut Turn) -> Phase {
        match answer {
            Answer::Paid(proof) => {
                turn.ask(Effect::Receipt);
                Phase::Paid(proof)
            }
            Answer::AwaitingPayer => {
                self.payer_asked = true;
                self.interrupted = false;
                // A dialog that is open contradicts a refusal: it must not confirm one later.
                self.refusal = None;
                self.ask_again(turn)
            }
            Answer::PayFailed => match self.refusal.take() {
                // A refusal and a failed order are two words for the same thing; either alone would not do.
                Some(refusal) => Phase::Declined(refusal),
                None => self.take_back(Why::PayFailed, turn),
            },
            Answer::Closed => match self.refusal {
                Some(refusal) => Phase::Declined(refusal),
                None => Phase::Reversed(Why::Elsewhere),
            },
            Answer::Refunded => {
                turn.ask(Effect::CallManager);
                Phase::Reversed(Why::Elsewhere)
            }
            Answer::Refused(_)
            | Answer::NotPaid
            | Answer::NotFound
            | Answer::NeverSent(_)
            | Answer::Unknown(_) => self.ask_again(turn),
        }
    }

    /// Whether the only word on this attempt can be the transport's: the gateway said nothing, no restart forgot anything.
    fn nothing_heard(&self) -> bool {
        !self.payer_asked && !self.interrupted && self.refusal.is_none()
    }

    fn query(self, turn: &mut Turn) -> Phase {
        turn.ask(Effect::Query);
        let answer_within = turn.policy.answer_within;
        self.wait(answer_within, turn)
    }

    fn ask_again(self, turn: &mut Turn) -> Phase {
        let query_every = turn.policy.query_every;
        self.wait(query_every, turn)
    }

    /// Stays in this phase for `span`, but not beyond giving up: no answer can put that off.
    fn wait(self, span: Duration, turn: &mut Turn) -> Phase {
        *turn.wake = Some((turn.now + span).min(self.give_up_at(turn)));
        self.into()
    }

    fn give_up_at(&self, turn: &Turn) -> Timestamp {
        self.sent_at + turn.policy.give_up_after
    }

    fn take_back(self, why: Why, turn: &mut Turn) -> Phase {
        reversing::begin(self.sent_at, why, turn)
    }
}

impl From<Paying> for Phase {
    fn from(Paying { sent_at, payer_asked, refusal, interrupted }: Paying) -> Self {
        Phase::Paying { sent_at, payer_asked, refusal, interrupted }
    }
}

/// The refusal of our own machine: no byte of the pay request left it, so there is nothing to ask about.
fn never_sent(cause: &Cause) -> Refusal {
    let reason = match cause {
        Cause::Field(_) | Cause::ClientCertificate => Reason::NotSendable,
        Cause::Dns
        | Cause::Connect
        | Cause::Tls
        | Cause::NoTurn
        | Cause::Timeout
        | Cause::ConnectionLost
        | Cause::HttpStatus(_)
        | Cause::TooLarge
        | Cause::Malformed
        | Cause::ProtocolFailure(_)
        | Cause::Unsigned
        | Cause::BadSignature
        | Cause::OtherMerchant
        | Cause::OtherOrder
        | Cause::OtherAmount
        | Cause::Repeated
        | Cause::Code(_) => Reason::LineDown,
    };
    Refusal { code: "NEVER_SENT".to_owned(), text: cause.to_string(), reason }
}
