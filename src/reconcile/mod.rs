//! Holds a day of the journal against the gateway's bill of that day, in both directions. Pure: it only reads and tells.
//!
//! The bill is not signed. So no word of it changes a sale: what differs is listed with its cause, and a person acts.

mod books;
mod cause;
mod compare;
mod refunds;
#[cfg(test)]
mod tests;

pub use self::cause::Cause;
pub use self::compare::{belongs, compare};
pub use self::refunds::{Recorded, recorded};

use crate::ids::SaleId;
use crate::time::{Day, Timestamp};

/// A line of the gateway's bill.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Row {
    /// When, by the gateway's clock.
    pub at: Timestamp,
    /// The merchant order number as the bill writes it; it may be nobody's here.
    pub order: String,
    /// The gateway's own number of the payment.
    pub gateway_txn: String,
    /// What happened.
    pub kind: Kind,
}

/// What a line of the bill is about. Amounts are fen.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Kind {
    /// The order was paid.
    Paid {
        /// The order's amount.
        amount: u64,
        /// Of that, coupons.
        coupon: u64,
    },
    /// The order was taken back.
    Reversed {
        /// What went back; 0 where the bill does not say.
        amount: u64,
    },
    /// A part or all of the order was given back.
    Refund {
        /// The merchant's refund number.
        number: String,
        /// The gateway's own number of the refund.
        id: String,
        /// How much was asked to be given back.
        amount: u64,
        /// How far it is.
        state: RefundState,
    },
    /// A state that the gateway does not document.
    Other {
        /// As the bill writes it.
        state: String,
        /// The order's amount.
        amount: u64,
    },
}

/// How far the gateway is with a refund.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RefundState {
    /// On its way.
    Processing,
    /// With the payer.
    Done,
    /// It could not reach the payer and is stuck with the gateway; a person acts on the merchant platform.
    Stuck,
    /// It did not come about.
    Failed,
    /// A word that the gateway does not document.
    Unclear,
}

impl RefundState {
    /// Whether the money has left the shop's account for it.
    pub fn counts(self) -> bool {
        match self {
            RefundState::Processing | RefundState::Done | RefundState::Stuck | RefundState::Unclear => true,
            RefundState::Failed => false,
        }
    }

    /// The name that reports use.
    pub fn label(self) -> &'static str {
        match self {
            RefundState::Processing => "processing",
            RefundState::Done => "returned",
            RefundState::Stuck => "stuck",
            RefundState::Failed => "failed",
            RefundState::Unclear => "unclear",
        }
    }
}

/// What came of a comparison.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Report {
    /// The Beijing day that was compared.
    pub day: Day,
    /// The day by the journal.
    pub here: Sums,
    /// The day by the bill.
    pub bill: Sums,
    /// Everything that differs, by order number.
    pub differences: Vec<Difference>,
}

impl Report {
    /// Whether nothing differs.
    pub fn agrees(&self) -> bool {
        self.differences.is_empty() && self.here == self.bill
    }
}

/// One thing that differs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Difference {
    /// Why it is listed.
    pub cause: Cause,
    /// The merchant order number.
    pub order: String,
    /// The merchant's refund number, if it is about a refund.
    pub refund: Option<String>,
    /// The sale here, if there is one.
    pub sale: Option<SaleId>,
    /// The amount here, fen.
    pub here: Option<u64>,
    /// The amount in the bill, fen.
    pub bill: Option<u64>,
    /// What the journal says, in one word or number; empty if it says nothing.
    pub here_says: String,
    /// What the bill says, in one word or number; empty if it says nothing.
    pub bill_says: String,
}

/// A count, and what it comes to in fen.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Sum {
    /// How many.
    pub count: u64,
    /// Fen.
    pub fen: u64,
}

impl Sum {
    fn add(&mut self, fen: u64) {
        self.count += 1;
        self.fen = self.fen.saturating_add(fen);
    }
}

/// A day's sums. Refunds that failed are not among them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Sums {
    /// Charged, also what was taken back afterwards.
    pub paid: Sum,
    /// Of what was charged, on this day or before, taken back.
    pub reversed: Sum,
    /// Given back.
    pub refunded: Sum,
}

impl Sums {
    /// What is left, fen; less than nothing when more went back than came in.
    pub fn net(&self) -> i128 {
        i128::from(self.paid.fen) - i128::from(self.reversed.fen) - i128::from(self.refunded.fen)
    }
}
