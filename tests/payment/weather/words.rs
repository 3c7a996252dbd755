//! What travels back from the gateway, small enough that many words can be under way without an allocation.

use micropayd::payment::{Answer, Asked, Cause, Event, Proof, Reason, Refusal, ReversalAnswer};
use micropayd::time::Timestamp;

/// An [`Answer`] without its texts: the machine does not look at them.
#[derive(Clone, Copy, Debug)]
pub enum Word {
    Paid,
    AwaitingPayer,
    Refused(Reason),
    NotPaid,
    NotFound,
    PayFailed,
    Closed,
    Refunded,
    NeverSent(Silence),
    Unknown(Silence),
}

/// A [`ReversalAnswer`] without its texts.
#[derive(Clone, Copy, Debug)]
pub enum Back {
    Done,
    Again,
    NotFound,
    Refused,
    NeverSent(Silence),
    Unknown(Silence),
}

/// Why there is no word.
#[derive(Clone, Copy, Debug)]
pub enum Silence {
    Dns,
    Connect,
    Timeout,
    /// `SYSTEMERROR`, `BANKERROR`, `return_code=FAIL`.
    Error,
    Forged,
}

/// A whole answer on its way to the process that asked.
#[derive(Clone, Copy, Debug)]
pub enum Message {
    Answered { attempt: u8, to: Asked, word: Word },
    Reversed { attempt: u8, word: Back },
}

impl Message {
    pub fn attempt(self) -> u8 {
        match self {
            Message::Answered { attempt, .. } | Message::Reversed { attempt, .. } => attempt,
        }
    }

    /// What the machine is told instead of an answer that did not come, or cannot be believed.
    pub fn silenced(self, silence: Silence) -> Self {
        match self {
            Message::Answered { attempt, to, .. } => {
                Message::Answered { attempt, to, word: Word::Unknown(silence) }
            }
            Message::Reversed { attempt, .. } => Message::Reversed { attempt, word: Back::Unknown(silence) },
        }
    }

    pub fn event(self) -> Event {
        match self {
            Message::Answered { attempt, to, word } => Event::Answered { attempt, to, answer: word.answer() },
            Message::Reversed { attempt, word } => Event::Reversed { attempt, answer: word.answer() },
        }
    }
}

impl Word {
    fn answer(self) -> Answer {
        match self {
            Word::Paid => Answer::Paid(Proof {
                gateway_txn: String::new(),
                paid_at: Timestamp(0),
                payer_paid: 1,
                coupon: 0,
            }),
            Word::AwaitingPayer => Answer::AwaitingPayer,
            Word::Refused(reason) => Answer::Refused(refusal(reason)),
            Word::NotPaid => Answer::NotPaid,
            Word::NotFound => Answer::NotFound,
            Word::PayFailed => Answer::PayFailed,
            Word::Closed => Answer::Closed,
            Word::Refunded => Answer::Refunded,
            Word::NeverSent(silence) => Answer::NeverSent(silence.cause()),
            Word::Unknown(silence) => Answer::Unknown(silence.cause()),
        }
    }
}

impl Back {
    fn answer(self) -> ReversalAnswer {
        match self {
            Back::Done => ReversalAnswer::Done,
            Back::Again => ReversalAnswer::Again,
            Back::NotFound => ReversalAnswer::NotFound,
            Back::Refused => ReversalAnswer::Refused(refusal(Reason::Other)),
            Back::NeverSent(silence) => ReversalAnswer::NeverSent(silence.cause()),
            Back::Unknown(silence) => ReversalAnswer::Unknown(silence.cause()),
        }
    }
}

impl Silence {
    fn cause(self) -> Cause {
        match self {
            Silence::Dns => Cause::Dns,
            Silence::Connect => Cause::Connect,
            Silence::Timeout => Cause::Timeout,
            Silence::Error => Cause::Malformed,
            Silence::Forged => Cause::BadSignature,
        }
    }
}

fn refusal(reason: Reason) -> Refusal {
    Refusal { code: String::new(), text: String::new(), reason }
}
