//! The bill's lines by order: what was charged and what went back, before it is held against anything.

use std::collections::BTreeMap;

use super::{Kind, Row, Sums};

/// What the bill says of one order.
#[derive(Default)]
pub struct Entry<'a> {
    /// Charges: the line, its amount, of that coupons.
    pub paid: Vec<(&'a Row, u64, u64)>,
    /// Amounts taken back; 0 where the bill does not say.
    pub reversed: Vec<u64>,
    /// Given back: the refund's number, and fen; what failed is left out.
    pub refunds: Vec<(&'a str, u64)>,
    /// Lines in a state that nobody knows: the word, and the amount.
    pub other: Vec<(&'a str, u64)>,
}

impl Entry<'_> {
    /// What was charged, fen, all charges together; none if nothing was.
    pub fn charged(&self) -> Option<u64> {
        let sum = |sum: u64, (_, amount, _): &(&Row, u64, u64)| sum.saturating_add(*amount);
        (!self.paid.is_empty()).then(|| self.paid.iter().fold(0, sum))
    }

    /// What went back by reversals, fen; where the bill gives no amount, that of the charge.
    pub fn taken_back(&self) -> Option<u64> {
        let of = |amount: &u64| {
            if *amount == 0 { self.paid.first().map_or(0, |(_, paid, _)| *paid) } else { *amount }
        };
        (!self.reversed.is_empty()).then(|| self.reversed.iter().map(of).fold(0, u64::saturating_add))
    }

    /// The bill's word on the order, for a person.
    pub fn says(&self) -> &'static str {
        match (self.paid.is_empty(), self.reversed.is_empty()) {
            (false, true) => "paid",
            (false, false) => "paid_and_reversed",
            (true, false) => "reversed",
            (true, true) => "",
        }
    }
}

/// The bill's orders by number.
pub fn by_order(rows: &[Row]) -> BTreeMap<&str, Entry<'_>> {
    let mut orders: BTreeMap<&str, Entry> = BTreeMap::new();
    for row in rows {
        let entry = orders.entry(row.order.as_str()).or_default();
        match &row.kind {
            Kind::Paid { amount, coupon } => entry.paid.push((row, *amount, *coupon)),
            Kind::Reversed { amount } => entry.reversed.push(*amount),
            Kind::Refund { number, amount, state, .. } if state.counts() => {
                entry.refunds.push((number, *amount));
            }
            Kind::Refund { .. } => {}
            Kind::Other { state, amount } => entry.other.push((state, *amount)),
        }
    }
    orders
}

/// The bill's sums, refunds apart.
pub fn sums(orders: &BTreeMap<&str, Entry>) -> Sums {
    let mut sums = Sums::default();
    for entry in orders.values() {
        for (_, amount, _) in &entry.paid {
            sums.paid.add(*amount);
        }
        for amount in &entry.reversed {
            // Where the bill gives no amount, that of the charge.
            let paid = entry.paid.first().map_or(0, |(_, paid, _)| *paid);
            sums.reversed.add(if *amount == 0 { paid } else { *amount });
        }
    }
    sums
}
