//! What is not finished: counted, dated and told, so that nothing that is owed gets out of sight.

use std::time::Duration;

use crate::input::{Obligation, ObligationKind};
use crate::payment::{Phase, SalePhase};
use crate::refund::{self, Refund};
use crate::sale::{ReceiptState, Sale, told};
use crate::terminal::desk::Desk;
use crate::terminal::words;
use crate::time::Timestamp;

/// Between two lines of the log about work that stays unfinished.
const REMIND: Duration = Duration::from_secs(60 * 60);
/// An ordinary payment is over by then, and one that was refused is looked at once more; what is younger is no news.
const YOUNG: Duration = Duration::from_secs(2 * 60);

/// How much is not finished, and since when; without the sale in hand and the receipt that is being printed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Unfinished {
    /// Outcomes to be looked up.
    pub queries: usize,
    /// Money to be given back if it was taken.
    pub reversals: usize,
    /// Refunds to be followed.
    pub refunds: usize,
    /// Receipts to be printed or looked at.
    pub receipts: usize,
    /// Since when the oldest of them is.
    pub since: Option<Timestamp>,
}

impl Unfinished {
    fn add(&mut self, kind: ObligationKind, since: Timestamp) {
        match kind {
            ObligationKind::Query => self.queries += 1,
            ObligationKind::Reversal => self.reversals += 1,
            ObligationKind::Refund => self.refunds += 1,
            ObligationKind::Receipt => self.receipts += 1,
        }
        self.since = Some(self.since.map_or(since, |oldest| oldest.min(since)));
    }
}

/// What the gateway still has to say about a sale, by all its codes: one that is paid can have another that is open.
fn owed(sale: &Sale) -> Option<ObligationKind> {
    let any = |open: fn(&Phase) -> bool| sale.payment.attempts.iter().any(|attempt| open(&attempt.phase));
    if any(|phase| matches!(phase, Phase::Reversing(_) | Phase::InDoubt(..))) {
        Some(ObligationKind::Reversal)
    } else if any(|phase| {
        matches!(phase, Phase::Paying { .. } | Phase::Refused { .. } | Phase::Contradicted { .. })
    }) {
        Some(ObligationKind::Query)
    } else {
        None
    }
}

impl Desk {
    /// Everything that is not finished, oldest first.
    pub(super) fn obligations(&self, now: Timestamp) -> Vec<Obligation> {
        let mut open = self.receipts_owed();
        for sale in self.sales.values() {
            let Some(kind) = owed(sale) else { continue };
            let language = self.setup.language;
            let told_at_the_till = matches!(sale.payment.phase(), SalePhase::Paying | SalePhase::InDoubt);
            let text = match kind {
                ObligationKind::Query if !told_at_the_till => words::looks_again(language).to_owned(),
                _ => told(sale, now, &self.setup.policy, language).text,
            };
            open.push(Obligation {
                sale: sale.id.clone(),
                kind,
                since: sale.created_at,
                next: sale.payment.wake(),
                text,
            });
        }
        open.extend(self.refunds_owed());
        open.sort_by_key(|obligation| obligation.since);
        open
    }

    /// The refunds that are not over. What waits for somebody at the merchant platform has no next time here.
    fn refunds_owed(&self) -> impl Iterator<Item = Obligation> {
        let of = |sale: &Sale| -> Vec<Obligation> {
            let open = sale.refunds.iter().filter(|refund| refund.is_open());
            let owed = |refund: &Refund| Obligation {
                sale: sale.id.clone(),
                kind: ObligationKind::Refund,
                since: refund.asked_at,
                next: refund.wake.filter(|_| !matches!(refund.phase, refund::Phase::Stuck { .. })),
                text: refund::words::told(refund, self.setup.language),
            };
            open.map(owed).collect()
        };
        self.sales.values().flat_map(of)
    }

    /// How much is not finished beside what is in hand.
    pub(super) fn unfinished(&self) -> Unfinished {
        let mut unfinished = Unfinished::default();
        for sale in self.sales.values().filter(|sale| self.in_hand.as_ref() != Some(&sale.id)) {
            if let Some(kind) = owed(sale) {
                unfinished.add(kind, sale.created_at);
            }
        }
        for refund in self.refunds_owed() {
            unfinished.add(refund.kind, refund.since);
        }
        for job in self.jobs.all().filter(|job| job.state != ReceiptState::Sending) {
            unfinished.add(ObligationKind::Receipt, job.since);
        }
        unfinished
    }

    /// Tells the log what is not finished: at the start, when it has become old, then once an hour, and when it is over.
    pub(super) fn remind(&mut self, now: Timestamp, at_once: bool) {
        let unfinished = self.unfinished();
        let Some(since) = unfinished.since else {
            if self.reminded.take().is_some() {
                tracing::info!("nothing is unfinished any more");
            }
            return;
        };
        let due = match self.reminded {
            Some(last) => now.since(last) >= REMIND,
            None => at_once || now.since(since) >= YOUNG,
        };
        if due {
            self.reminded = Some(now);
            tracing::warn!("not finished: {}", words::unfinished(&unfinished));
        }
    }
}
