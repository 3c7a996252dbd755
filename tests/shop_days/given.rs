//! What must be true of a sale's refunds at every moment, by the gateway's own books: the same for the desk in its simulated
//! world and for the real binary that is killed. Looks only.

use micropayd::refund::{Phase, Refund};
use micropayd::sale::Sale;
use micropayd::simulator::views::OrderView;

/// Whether its money is, or may be, no longer the shop's.
pub fn is_away(refund: &Refund) -> bool {
    match refund.phase {
        Phase::Asking(_) | Phase::Accepted { .. } | Phase::Stuck { .. } | Phase::Returned { .. } => true,
        Phase::Refused(_) | Phase::Closed { .. } => false,
    }
}

/// Fen that went back of a sale or may have, by the journal.
pub fn away(sale: &Sale) -> u64 {
    sum(sale, is_away)
}

/// Fen that the payer has again, by the journal.
pub fn returned(sale: &Sale) -> u64 {
    sum(sale, |refund| matches!(refund.phase, Phase::Returned { .. }))
}

fn sum(sale: &Sale, which: impl Fn(&Refund) -> bool) -> u64 {
    sale.refunds.iter().filter(|refund| which(refund)).map(|refund| u64::from(refund.amount.fen())).sum()
}

/// Refunds, and fen, that went back of these orders or are on their way, by the gateway.
pub fn given(orders: &[OrderView]) -> (u64, u64) {
    let refunds = orders.iter().flat_map(|order| &order.refunds);
    let kept = refunds.filter(|refund| refund.refund_status != "REFUNDCLOSE");
    kept.fold((0, 0), |sum, refund| (sum.0 + 1, sum.1 + u64::from(refund.refund_fee)))
}

/// What is wrong: the gateway has only refunds that are on the disk, as they were asked for, and in sum at most what was
/// paid; and what the journal is sure of is so. `orders` are all that the gateway has of this sale.
pub fn complaint(sale: &Sale, orders: &[OrderView]) -> Option<String> {
    for order in orders {
        for refund in &order.refunds {
            let number = &refund.out_refund_no;
            let Some(ours) = sale.refunds.iter().find(|ours| ours.number.as_str() == number) else {
                return Some(format!("the gateway knows refund {number}, the journal does not"));
            };
            let asked = (sale.id.order(ours.attempt), ours.amount.fen());
            if (order.out_trade_no.as_str(), refund.refund_fee) != (asked.0.as_str(), asked.1) {
                return Some(format!(
                    "{refund:?} of {} is not what was asked for: {ours:?}",
                    order.out_trade_no
                ));
            }
        }
    }
    for ours in &sale.refunds {
        let mut all = orders.iter().flat_map(|order| &order.refunds);
        let status = all
            .find(|refund| refund.out_refund_no == ours.number.as_str())
            .map(|refund| refund.refund_status);
        let right = match &ours.phase {
            Phase::Asking(_) => true,
            Phase::Accepted { .. } => status.is_some(),
            Phase::Stuck { .. } => status == Some("CHANGE"),
            Phase::Returned { .. } => status == Some("SUCCESS"),
            Phase::Closed { .. } => status == Some("REFUNDCLOSE"),
            Phase::Refused(_) => status.is_none(),
        };
        if !right {
            return Some(format!("the gateway says {status:?} of {ours:?}"));
        }
    }
    let (price, (_, given), away) = (u64::from(sale.payment.amount.fen()), given(orders), away(sale));
    (given > away || away > price).then(|| format!("{given} of {away} of {price} fen went back"))
}
