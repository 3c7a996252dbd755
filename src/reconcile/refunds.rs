//! Refunds: each line of the bill has one on record, and each one on record has its line.

use std::collections::BTreeMap;

use super::{Cause, Difference, Kind, Row, Sums};
use crate::ids::OrderNumber;
use crate::refund::Phase;
use crate::sale::Sale;
use crate::time::Day;

/// A refund as the journal has it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Recorded {
    /// The order it is of.
    pub order: OrderNumber,
    /// The merchant's refund number.
    pub number: String,
    /// Fen.
    pub amount: u64,
    /// The gateway has accepted it, and did not take that back.
    pub counts: bool,
    /// The gateway was asked, and has not said whether it accepts.
    pub asking: bool,
    /// When it was accepted, or else asked for.
    pub day: Day,
}

/// The refunds of these sales. One counts on the day on which it was known here to be accepted.
pub fn recorded(sales: &[Sale]) -> Vec<Recorded> {
    let of = |sale: &Sale| -> Vec<Recorded> {
        let one = |refund: &crate::refund::Refund| Recorded {
            order: sale.id.order(refund.attempt),
            number: refund.number.to_string(),
            amount: u64::from(refund.amount.fen()),
            counts: refund.accepted_at().is_some(),
            asking: matches!(refund.phase, Phase::Asking(_)),
            day: refund.accepted_at().unwrap_or(refund.asked_at).day(),
        };
        sale.refunds.iter().map(one).collect()
    };
    sales.iter().flat_map(of).collect()
}

impl Recorded {
    fn says(&self) -> &'static str {
        match (self.counts, self.asking) {
            (true, _) => "refunded",
            (false, true) => "asking",
            (false, false) => "not_refunded",
        }
    }

    fn differs(&self, cause: Cause, bill: Option<u64>, bill_says: &str) -> Difference {
        Difference {
            cause,
            order: self.order.to_string(),
            refund: Some(self.number.clone()),
            sale: Some(self.order.split().0),
            here: Some(self.amount),
            bill,
            here_says: self.says().to_owned(),
            bill_says: bill_says.to_owned(),
        }
    }
}

/// Matches the bill's refunds with those on record, by refund number. `is_back` says whether a refund that is not on record
/// is in order all the same: the sale is on record as taken back, which a manager can have done by a refund on the
/// merchant platform.
pub fn matched(
    day: Day,
    rows: &[&Row],
    recorded: &[Recorded],
    is_back: impl Fn(&Row) -> bool,
    here: &mut Sums,
    bill: &mut Sums,
) -> Vec<Difference> {
    let mut differences = Vec::new();
    let places: BTreeMap<&str, usize> =
        recorded.iter().map(|refund| refund.number.as_str()).zip(0..).collect();
    let mut seen = vec![false; recorded.len()];
    for row in rows {
        let Kind::Refund { number, amount, state, .. } = &row.kind else { continue };
        if state.counts() {
            bill.refunded.add(*amount);
        }
        let Some(place) = places.get(number.as_str()).copied() else {
            if is_back(row) {
                if state.counts() {
                    here.refunded.add(*amount);
                }
            } else {
                differences.push(unknown(row, number, *amount, state.label()));
            }
            continue;
        };
        let refund = &recorded[place];
        if std::mem::replace(&mut seen[place], true) {
            differences.push(refund.differs(Cause::RefundTwice, Some(*amount), state.label()));
            continue;
        }
        if refund.counts {
            here.refunded.add(refund.amount);
        }
        let differs = |cause| refund.differs(cause, Some(*amount), state.label());
        if refund.order.as_str() != row.order {
            differences.push(differs(Cause::RefundOrderDiffers));
        }
        if refund.amount != *amount {
            differences.push(differs(Cause::RefundAmountDiffers));
        }
        if refund.asking {
            differences.push(differs(Cause::RefundStillOpen));
        } else if refund.counts != state.counts() {
            differences.push(differs(Cause::RefundStateDiffers));
        }
    }
    let missing = recorded.iter().zip(&seen).filter(|(refund, seen)| !**seen && refund.day == day);
    for (refund, _) in missing.filter(|(refund, _)| refund.counts) {
        here.refunded.add(refund.amount);
        differences.push(refund.differs(Cause::RefundNotInBill, None, ""));
    }
    differences
}

fn unknown(row: &Row, number: &str, amount: u64, says: &str) -> Difference {
    Difference {
        cause: Cause::RefundNotRecorded,
        order: row.order.clone(),
        refund: Some(number.to_owned()),
        sale: row.order.parse::<OrderNumber>().ok().map(|order| order.split().0),
        here: None,
        bill: Some(amount),
        here_says: String::new(),
        bill_says: says.to_owned(),
    }
}
