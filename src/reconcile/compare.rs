//! The comparison: each order of the bill against its attempt, and each payment of the day against the bill.

use std::collections::{BTreeMap, BTreeSet};

use super::books::{self, Entry};
use super::refunds::{self, Recorded};
use super::{Cause, Difference, Kind, Report, Row, Sums};
use crate::ids::{OrderNumber, RefundNumber, SaleId, TerminalId};
use crate::payment::{Attempt, Phase, Proof};
use crate::sale::Sale;
use crate::time::Day;

/// Whether a line of the bill can be about this terminal's sales. A terminal whose id begins with this one's can, rarely,
/// seem to be it; its orders are then listed as unknown here.
pub fn belongs(row: &Row, terminal: &TerminalId) -> bool {
    let ours = |sale: &SaleId| sale.made_of(terminal).is_some();
    if row.order.parse::<OrderNumber>().is_ok_and(|order| ours(&order.split().0)) {
        return true;
    }
    let Kind::Refund { number, .. } = &row.kind else { return false };
    number.parse::<RefundNumber>().is_ok_and(|number| ours(&number.split().0))
}

/// Compares a day. `rows` are those lines of its bill that [`belong`](belongs) to this terminal; `sales` are all that
/// were opened on it, on the day before and on the day after, and all that the rows name, each once; `refunds` are those
/// of these sales, and those that were accepted on the day.
///
/// A payment is of the day on which the gateway says that it was paid.
pub fn compare(day: Day, rows: &[Row], sales: &[Sale], refunds: &[Recorded]) -> Report {
    let by_id: BTreeMap<&SaleId, &Sale> = sales.iter().map(|sale| (&sale.id, sale)).collect();
    let orders = books::by_order(rows);
    let recorded: BTreeSet<&str> = refunds.iter().map(|refund| refund.number.as_str()).collect();
    let mut bill = books::sums(&orders);
    let mut work = Work { day, differences: Vec::new(), here: Sums::default() };
    for (number, entry) in &orders {
        match attempt(number, &by_id) {
            Some((sale, attempt)) => {
                let unrecorded = entry.refunds.iter().filter(|(number, _)| !recorded.contains(number));
                let unrecorded = unrecorded.fold(0, |sum: u64, (_, fen)| sum.saturating_add(*fen));
                work.order(number, entry, sale, attempt, unrecorded);
            }
            None => work.unknown(number, entry),
        }
        for (state, amount) in &entry.other {
            work.list(Cause::NotUnderstood, number, None, None, Some(*amount), "", state);
        }
    }
    for sale in by_id.values() {
        for (attempt, ordinal) in sale.payment.attempts.iter().zip(1..) {
            let order = sale.id.order(ordinal);
            if orders.get(order.as_str()).is_none_or(|entry| entry.says().is_empty()) {
                work.not_in_bill(&order, sale, attempt);
            }
        }
    }
    let Work { mut differences, mut here, .. } = work;
    let rows: Vec<&Row> = rows.iter().collect();
    let is_back = |row: &Row| {
        attempt(&row.order, &by_id).is_some_and(|(_, attempt)| matches!(attempt.phase, Phase::Reversed(_)))
    };
    differences.extend(refunds::matched(day, &rows, refunds, is_back, &mut here, &mut bill));
    for difference in &mut differences {
        difference.sale = difference.sale.take().filter(|id| by_id.contains_key(id));
    }
    differences.sort_by(|a, b| (&a.order, a.cause).cmp(&(&b.order, b.cause)));
    Report { day, here, bill, differences }
}

/// The attempt with this order number, with its sale.
fn attempt<'s>(order: &str, sales: &BTreeMap<&SaleId, &'s Sale>) -> Option<(&'s Sale, &'s Attempt)> {
    let (id, ordinal) = order.parse::<OrderNumber>().ok()?.split();
    let sale = *sales.get(&id)?;
    Some((sale, sale.payment.attempts.get(usize::from(ordinal).checked_sub(1)?)?))
}

struct Work {
    day: Day,
    differences: Vec<Difference>,
    here: Sums,
}

impl Work {
    /// The bill has this order, and there is an attempt with its number.
    fn order(&mut self, number: &str, entry: &Entry, sale: &Sale, attempt: &Attempt, unrecorded: u64) {
        if entry.says().is_empty() {
            return;
        }
        let amount = u64::from(sale.payment.amount.fen());
        let label = attempt.phase.label();
        let mut list = |cause, bill: Option<u64>, here_says: &str, bill_says: &str| {
            self.differences.push(Difference {
                cause,
                order: number.to_owned(),
                refund: None,
                sale: Some(sale.id.clone()),
                here: Some(amount),
                bill,
                here_says: here_says.to_owned(),
                bill_says: bill_says.to_owned(),
            });
        };
        if entry.paid.len() > 1 {
            list(Cause::ChargedTwice, entry.charged(), label, "paid");
        }
        let bill = entry.charged().or(entry.taken_back());
        match &attempt.phase {
            Phase::Paid(proof) => {
                self.here.paid.add(amount);
                if !entry.reversed.is_empty() {
                    list(Cause::ReversedInBill, entry.taken_back(), label, entry.says());
                }
                for (row, charged, coupon) in entry.paid.iter().take(1) {
                    if *charged != amount {
                        list(Cause::AmountDiffers, Some(*charged), label, entry.says());
                    }
                    if row.gateway_txn != proof.gateway_txn {
                        list(Cause::GatewayTxnDiffers, Some(*charged), &proof.gateway_txn, &row.gateway_txn);
                    }
                    if *coupon != u64::from(proof.coupon) {
                        let (here, bill) = (proof.coupon.to_string(), coupon.to_string());
                        list(Cause::CouponDiffers, Some(*charged), &here, &bill);
                    }
                }
            }
            Phase::Reversed(_) => {
                let back_by_refund = entry.charged().is_some_and(|charged| unrecorded >= charged);
                let later = sale.updated_at.day() > self.day;
                if !entry.paid.is_empty() {
                    self.here.paid.add(amount);
                }
                if !entry.reversed.is_empty() {
                    self.here.reversed.add(if entry.taken_back() == Some(0) { 0 } else { amount });
                } else if later && !back_by_refund {
                    list(Cause::ReversedLater, bill, label, entry.says());
                } else if !back_by_refund {
                    self.here.reversed.add(amount);
                    list(Cause::ReversalNotInBill, bill, label, entry.says());
                }
                let taken_back = entry.taken_back().filter(|back| *back != 0);
                let charged = entry.paid.first().map(|(_, charged, _)| *charged);
                let other = charged.into_iter().chain(taken_back).find(|bill| *bill != amount);
                if let Some(other) = other.filter(|_| entry.paid.len() <= 1) {
                    list(Cause::AmountDiffers, Some(other), label, entry.says());
                } else if entry.reversed.len() > 1 {
                    list(Cause::AmountDiffers, taken_back, label, entry.says());
                }
            }
            Phase::Declined(_) => list(Cause::DeclinedHere, bill, label, entry.says()),
            Phase::Void => list(Cause::CancelledHere, bill, label, entry.says()),
            Phase::Armed
            | Phase::Paying { .. }
            | Phase::Reversing(_)
            | Phase::InDoubt(..)
            | Phase::Contradicted { .. }
            | Phase::Refused { .. } => list(Cause::StillOpen, bill, label, entry.says()),
        }
    }

    /// The bill has this order, and there is no such attempt.
    fn unknown(&mut self, number: &str, entry: &Entry) {
        if !entry.says().is_empty() {
            let bill = entry.charged().or(entry.taken_back());
            self.list(Cause::UnknownHere, number, None, None, bill, "", entry.says());
        }
    }

    /// The bill has no charge and no reversal of this attempt.
    fn not_in_bill(&mut self, order: &OrderNumber, sale: &Sale, attempt: &Attempt) {
        let here = u64::from(sale.payment.amount.fen());
        let of_the_day = |proof: &Proof| proof.paid_at.day() == self.day;
        match &attempt.phase {
            Phase::Paid(proof) if of_the_day(proof) => {
                self.here.paid.add(here);
                let says = proof.gateway_txn.clone();
                self.list(Cause::NotInBill, order.as_str(), Some(sale), Some(here), None, &says, "");
            }
            Phase::Contradicted { proof, .. } if of_the_day(proof) => {
                let says = attempt.phase.label();
                self.list(Cause::StillOpen, order.as_str(), Some(sale), Some(here), None, says, "");
            }
            // That nothing was charged is what all others say, too; what is open may yet be.
            Phase::Paid(_)
            | Phase::Contradicted { .. }
            | Phase::Armed
            | Phase::Paying { .. }
            | Phase::Reversing(_)
            | Phase::InDoubt(..)
            | Phase::Refused { .. }
            | Phase::Declined(_)
            | Phase::Reversed(_)
            | Phase::Void => {}
        }
    }

    #[expect(clippy::too_many_arguments, reason = "a difference has as many sides")]
    fn list(
        &mut self,
        cause: Cause,
        order: &str,
        sale: Option<&Sale>,
        here: Option<u64>,
        bill: Option<u64>,
        here_says: &str,
        bill_says: &str,
    ) {
        self.differences.push(Difference {
            cause,
            order: order.to_owned(),
            refund: None,
            sale: sale.map(|sale| sale.id.clone()),
            here,
            bill,
            here_says: here_says.to_owned(),
            bill_says: bill_says.to_owned(),
        });
    }
}
