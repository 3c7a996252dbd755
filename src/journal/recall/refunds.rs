//! Refunds that the log remembers, put back under their numbers: what was still being asked for is asked for again by the
//! next start, which is the same refund to the gateway. Never takes one back to where it was before.

use super::End;
use crate::ids::{REFUNDS_MAX, RefundNumber};
use crate::journal::fault::Fault;
use crate::journal::{records, rows};
use crate::money::Amount;
use crate::refund::{Phase, Refund};
use crate::sale::Sale;
use crate::time::Timestamp;

/// A refund as the log tells of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RememberedRefund {
    /// Its number, which names its sale.
    pub number: RefundNumber,
    /// What goes back.
    pub amount: Amount,
    /// Why, as the payer is told.
    pub reason: Option<String>,
    /// When it was asked for.
    pub asked_at: Timestamp,
    /// How far it went.
    pub phase: Phase,
    /// When it came there.
    pub at: Timestamp,
}

impl End<'_> {
    /// Puts back what is not there, and what went on after it was lost: how many, and how many have no paid sale to
    /// belong to.
    pub(super) fn recall_refunds(&mut self, remembered: &[RememberedRefund]) -> Result<(u64, u64), Fault> {
        let (mut put_back, mut left_out) = (0, 0);
        for told in remembered {
            let (id, _) = told.number.split();
            let sale = rows::by_id(self.conn, id.as_str())?.map(|found| found.sale);
            let paid = sale.as_ref().and_then(|sale| Some(sale.payment.paid()?.0));
            let (Some(mut sale), Some(attempt)) = (sale, paid) else {
                left_out += 1;
                continue;
            };
            let place = sale.refunds.iter().position(|refund| refund.number == told.number);
            match place {
                Some(place) if stage(&sale.refunds[place].phase) >= stage(&told.phase) => continue,
                Some(place) => take_on(&mut sale.refunds[place], told),
                None if sale.refunds.len() < REFUNDS_MAX.into() => sale.refunds.push(fresh(told, attempt)),
                None => {
                    left_out += 1;
                    continue;
                }
            }
            let sale = Sale { updated_at: sale.updated_at.max(told.at), ..sale };
            let event = format!("{} taken over from the log -> refund {}", told.number, told.phase.label());
            self.put(&sale, None, &event, None)?;
            put_back += 1;
        }
        Ok((put_back, left_out))
    }
}

/// A refund of which the journal has nothing.
fn fresh(told: &RememberedRefund, attempt: u8) -> Refund {
    let mut refund = Refund {
        number: told.number.clone(),
        attempt,
        amount: told.amount,
        reason: told.reason.clone(),
        // Its key is gone; this one is nobody's.
        key: records::refund_key(&format!("restored {}", told.number), ""),
        asked_at: told.asked_at,
        phase: told.phase.clone(),
        wake: None,
    };
    refund.wake = refund.is_open().then_some(told.at);
    refund
}

/// A refund that the journal has as it was earlier.
fn take_on(known: &mut Refund, told: &RememberedRefund) {
    known.phase = told.phase.clone();
    known.wake = known.is_open().then_some(told.at);
}

/// Of two words on the same refund the one with the higher stage is the later one: no step of the machine goes down.
fn stage(phase: &Phase) -> u8 {
    match phase {
        Phase::Asking(_) => 0,
        Phase::Refused(_) => 1,
        Phase::Accepted { .. } => 2,
        Phase::Stuck { .. } => 3,
        Phase::Closed { .. } => 4,
        Phase::Returned { .. } => 5,
    }
}
