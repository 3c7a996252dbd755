//! The small world's line and gateway: what can become of a message, and what is said on arrival.

use micropayd::payment::{Answer, Asked, Cause, Event, Proof, Reason, Refusal, ReversalAnswer};
use micropayd::time::Timestamp;

use super::{ANSWERS_WITHIN, Action, CODE_LIVES, Decision, Message, Order, Stands, State, What, Word, slot};

impl Order {
    pub fn becomes(&mut self, stands: Stands, now: u8) {
        if self.stands != stands {
            (self.before, self.stands) = (self.stands, stands);
            self.since = if stands == Stands::Dialog { now } else { 0 };
        }
    }

    fn now_is(&mut self, stands: Stands, now: u8, word: Word) -> Word {
        self.becomes(stands, now);
        word
    }
}

impl State {
    /// What can become of a message.
    pub fn ways_of(&self, message: &Message, actions: &mut Vec<Action>) {
        let mut arrives = |decision| actions.push(Action::Arrives(message.clone(), decision));
        let order = &self.orders[slot(message.attempt)];
        match message.what {
            What::Pay => {
                let left_at = order.left_at.expect("it left");
                let fresh =
                    !order.killed && order.stands == Stands::Absent && self.now <= left_at + CODE_LIVES;
                if fresh {
                    arrives(Decision::Charges);
                    arrives(Decision::ChargesAndRefuses);
                    arrives(Decision::ChargesAndFails);
                    arrives(Decision::AsksThePayer);
                    arrives(Decision::FailsUnpaid);
                }
                arrives(Decision::Refuses);
                if self.losses > 0 && self.now == left_at {
                    actions.push(Action::Lost(message.clone(), Word::NeverSent));
                }
            }
            What::Query => {
                arrives(Decision::Obeys);
                if self.lags > 0 && order.before != order.stands {
                    arrives(Decision::SaysHowItWas);
                }
                self.may_get_lost(message, actions);
            }
            What::Reverse => {
                arrives(Decision::Obeys);
                if order.stands == Stands::Dialog {
                    arrives(Decision::SaysAgain);
                }
                if order.stands == Stands::Paid && self.losses > 0 {
                    arrives(Decision::RefusesToReverse);
                }
                self.may_get_lost(message, actions);
            }
            What::PayAnswer(_) | What::QueryAnswer(_) | What::ReverseAnswer(_) => {
                actions.push(Action::Told(message.clone()));
            }
        }
    }

    fn may_get_lost(&self, message: &Message, actions: &mut Vec<Action>) {
        if self.losses > 0 {
            actions.push(Action::Lost(message.clone(), Word::Unknown));
        }
    }

    pub fn take(&mut self, message: &Message) {
        let index =
            self.messages.iter().position(|other| other == message).expect("the message is under way");
        self.messages.remove(index);
    }

    pub fn arrives(&mut self, message: &Message, decision: Decision) {
        self.take(message);
        let now = self.now;
        let order = &mut self.orders[slot(message.attempt)];
        let word = match (message.what, decision) {
            (What::Pay, Decision::Charges) => order.now_is(Stands::Paid, now, Word::Paid),
            (What::Pay, Decision::ChargesAndRefuses) => order.now_is(Stands::Paid, now, Word::Refused),
            (What::Pay, Decision::ChargesAndFails) => order.now_is(Stands::Paid, now, Word::Unknown),
            (What::Pay, Decision::AsksThePayer) => order.now_is(Stands::Dialog, now, Word::AwaitingPayer),
            (What::Pay, Decision::FailsUnpaid) => order.now_is(Stands::Unpaid, now, Word::Unknown),
            (What::Pay, _) => {
                order.killed = true;
                Word::Refused
            }
            (What::Query, Decision::SaysHowItWas) => {
                self.lags -= 1;
                says(order.before)
            }
            (What::Query, _) => says(order.stands),
            (_, Decision::SaysAgain) => Word::Again,
            (_, Decision::RefusesToReverse) => {
                self.losses -= 1;
                Word::Refused
            }
            (_, _) if order.stands == Stands::Absent => {
                order.reversed_before_arrival = true;
                Word::Done
            }
            (_, _) => order.now_is(Stands::Closed, now, Word::Done),
        };
        self.answer(message, word);
    }

    /// The way back. A pay request that was long under way is answered to nobody: the transport gave up on it.
    pub fn answer(&mut self, message: &Message, word: Word) {
        let late = self.now > message.sent_at + ANSWERS_WITHIN;
        let what = match message.what {
            What::Pay => What::PayAnswer(if late { Word::Unknown } else { word }),
            What::Query => What::QueryAnswer(word),
            What::Reverse => What::ReverseAnswer(word),
            What::PayAnswer(_) | What::QueryAnswer(_) | What::ReverseAnswer(_) => return,
        };
        self.messages.push(Message { attempt: message.attempt, sent_at: self.now, what });
    }
}

/// What a query is told of an order that stands so.
fn says(stands: Stands) -> Word {
    match stands {
        Stands::Absent => Word::NotFound,
        Stands::Dialog => Word::AwaitingPayer,
        Stands::Unpaid => Word::NotPaid,
        Stands::Paid => Word::Paid,
        Stands::Failed => Word::PayFailed,
        Stands::Closed => Word::Closed,
    }
}

/// What the machine is told.
pub fn event(message: &Message) -> Option<Event> {
    let attempt = message.attempt;
    let refusal = || Refusal { code: String::new(), text: String::new(), reason: Reason::Other };
    let answer = |word| match word {
        Word::Paid => Answer::Paid(Proof {
            gateway_txn: String::new(),
            paid_at: Timestamp(0),
            payer_paid: 1,
            coupon: 0,
        }),
        Word::AwaitingPayer => Answer::AwaitingPayer,
        Word::Refused => Answer::Refused(refusal()),
        Word::NotPaid => Answer::NotPaid,
        Word::NotFound => Answer::NotFound,
        Word::PayFailed => Answer::PayFailed,
        Word::Closed => Answer::Closed,
        Word::NeverSent => Answer::NeverSent(Cause::Connect),
        Word::Unknown | Word::Done | Word::Again => Answer::Unknown(Cause::Timeout),
    };
    match message.what {
        What::PayAnswer(word) => Some(Event::Answered { attempt, to: Asked::Pay, answer: answer(word) }),
        What::QueryAnswer(word) => Some(Event::Answered { attempt, to: Asked::Query, answer: answer(word) }),
        What::ReverseAnswer(word) => {
            let answer = match word {
                Word::Done => ReversalAnswer::Done,
                Word::Again => ReversalAnswer::Again,
                Word::Refused => ReversalAnswer::Refused(refusal()),
                Word::NotFound => ReversalAnswer::NotFound,
                Word::NeverSent => ReversalAnswer::NeverSent(Cause::Connect),
                Word::Paid
                | Word::AwaitingPayer
                | Word::NotPaid
                | Word::PayFailed
                | Word::Closed
                | Word::Unknown => ReversalAnswer::Unknown(Cause::Timeout),
            };
            Some(Event::Reversed { attempt, answer })
        }
        What::Pay | What::Query | What::Reverse => None,
    }
}
