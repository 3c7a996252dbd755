//! What the cashier is told: one honest sentence, what to do next, and whether to hand over the goods.

use crate::payment::policy::Policy;
use crate::payment::state::Payment;
use crate::time::Timestamp;

/// The language of the cashier's sentences.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Language {
    /// Simplified Chinese.
    #[default]
    Chinese,
    /// English.
    English,
}

/// What to do next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Next {
    /// Scan the customer's code.
    Scan,
    /// Wait; the sentence says for what.
    Wait,
    /// Give the customer the goods.
    HandOver,
    /// Scan again, with a fresh code.
    Rescan,
    /// Take another way to pay.
    OtherTender,
    /// Call the manager.
    CallManager,
}

/// One honest sentence, and whether to hand over the goods.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Told {
    /// The sentence.
    pub text: String,
    /// What to do next.
    pub next: Next,
    /// True only when the money is certainly taken and durably recorded.
    pub hand_over_goods: bool,
}

impl Next {
    /// The name that the API uses.
    pub fn label(self) -> &'static str {
        match self {
            Next::Scan => "scan",
            Next::Wait => "wait",
            Next::HandOver => "hand_over",
            Next::Rescan => "rescan",
            Next::OtherTender => "other_tender",
            Next::CallManager => "call_manager",
        }
    }
}

/// What the cashier is told of `payment` at `now`.
pub fn told(payment: &Payment, _now: Timestamp, _policy: &Policy, _language: Language) -> Told {
    let _ = payment;
    Told { text: String::new(), next: Next::Wait, hand_over_goods: false }
}
