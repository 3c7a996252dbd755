//! The print queue: hands receipts to the printer one at a time and keeps its word on each. Never in a payment's way,
//! never prints again by itself what may have come out.

use std::collections::VecDeque;
use std::time::Duration;

use crate::ids::SaleId;
use crate::input::{Device, DeviceKind, JobId, Obligation, ObligationKind};
use crate::input::{PrintOutcome, Printed, Refused};
use crate::journal::{Durability, JobChange, JournalError, PendingJob, UNCONFIRMED_AMONG};
use crate::printer::Job;
use crate::receipt::{Copy, Receipt};
use crate::sale::{ReceiptState, Sale};
use crate::terminal::desk::{Act, Desk, Facts};
use crate::terminal::words;
use crate::time::Timestamp;

/// From a job that the printer did not start to the next try, doubling up to [`RETRY_MAX`]; a printer that reports that
/// it is ready is tried at once.
const RETRY: Duration = Duration::from_secs(5);
/// Every try is two rows of the journal, so a printer that stays away is not tried more often than this.
const RETRY_MAX: Duration = Duration::from_secs(5 * 60);

/// Receipts that are not finished, oldest first, and the one that the printer has.
#[derive(Default)]
pub struct Jobs {
    pending: VecDeque<PendingJob>,
    newest: JobId,
    in_hand: Option<JobId>,
    not_before: Option<Timestamp>,
    /// Tries in a row that the printer did not start.
    refused: u32,
    trouble: String,
}

impl Jobs {
    /// Whether a receipt of this sale is under way; those that wait for a person are not.
    pub fn concern(&self, sale: &SaleId) -> bool {
        self.pending
            .iter()
            .any(|job| job.sale == *sale && matches!(job.state, ReceiptState::Queued | ReceiptState::Sending))
    }

    /// When the printer is to be tried again.
    pub fn retry_at(&self) -> Option<Timestamp> {
        let waits =
            self.in_hand.is_none() && self.pending.iter().any(|job| job.state == ReceiptState::Queued);
        self.not_before.filter(|_| waits)
    }

    /// All of them, oldest first.
    pub fn all(&self) -> impl Iterator<Item = &PendingJob> {
        self.pending.iter()
    }

    /// A job has this state now. What is done is forgotten. So is what ended unconfirmed before the newest
    /// [`UNCONFIRMED_AMONG`], as after a start: a printer that never confirms must not make this list grow for years.
    fn turn(&mut self, job: JobId, state: ReceiptState, marked: bool) {
        if let Some(pending) = self.get(job) {
            (pending.state, pending.marked) = (state, marked);
        }
        self.newest = self.newest.max(job);
        let newest = self.newest;
        self.pending.retain(|pending| match pending.state {
            ReceiptState::Printed | ReceiptState::None => false,
            ReceiptState::Unconfirmed => pending.job + UNCONFIRMED_AMONG.unsigned_abs() > newest,
            ReceiptState::Queued | ReceiptState::Sending | ReceiptState::Failed => true,
        });
    }

    fn get(&mut self, job: JobId) -> Option<&mut PendingJob> {
        self.pending.iter_mut().find(|pending| pending.job == job)
    }
}

impl Desk {
    /// Takes over what the process before left: what was being sent may have come out, so a person decides; what was
    /// queued is printed, with a mark if the note that it was sent can have been lost with the power.
    pub(super) fn restore_jobs(
        &mut self,
        jobs: Vec<PendingJob>,
        unsynced_lost: bool,
        now: Timestamp,
    ) -> Result<(), JournalError> {
        self.jobs.pending = jobs.into();
        let found: Vec<(JobId, ReceiptState, bool)> =
            self.jobs.pending.iter().map(|job| (job.job, job.state, job.marked)).collect();
        for (job, state, marked) in found {
            match state {
                ReceiptState::Sending => {
                    self.change(job, ReceiptState::Unconfirmed, marked, "restarted while printing", now)?;
                }
                ReceiptState::Queued if unsynced_lost && !marked => {
                    self.change(job, ReceiptState::Queued, true, "may have been printed before", now)?;
                }
                ReceiptState::Queued
                | ReceiptState::None
                | ReceiptState::Printed
                | ReceiptState::Unconfirmed
                | ReceiptState::Failed => {}
            }
        }
        if unsynced_lost {
            self.journal.loss_is_marked()?;
        }
        Ok(())
    }

    /// Whether some receipt may have come out in part only: the printer may wait for the rest of it.
    pub fn left_a_receipt_unfinished(&self) -> bool {
        self.jobs.all().any(|job| matches!(job.state, ReceiptState::Unconfirmed | ReceiptState::Failed))
    }

    pub(super) fn queue_receipt(&mut self, job: JobId, sale: &Sale, marked: bool, now: Timestamp) {
        self.jobs.pending.push_back(PendingJob {
            job,
            sale: sale.id.clone(),
            state: ReceiptState::Queued,
            marked,
            number: sale.copies,
            since: now,
        });
    }

    /// Hands the oldest queued receipt over, if the printer is free.
    pub(super) fn print_next(&mut self, now: Timestamp) {
        if self.jobs.in_hand.is_some() || self.jobs.not_before.is_some_and(|at| at > now) {
            return;
        }
        let Some(next) = self.jobs.pending.iter().find(|job| job.state == ReceiptState::Queued).cloned()
        else {
            return;
        };
        let Ok(sale) = self.find(&next.sale) else { return };
        let facts = self.setup.facts();
        let Some(receipt) = receipt(&sale, &facts, next.number, next.marked) else { return };
        // Noted before the first byte can leave, so that a restart knows that it may have come out.
        if self.change(next.job, ReceiptState::Sending, next.marked, "sending to the printer", now).is_err() {
            self.jobs.not_before = Some(now + RETRY);
            return;
        }
        self.jobs.in_hand = Some(next.job);
        self.acts.push(Act::Print(Job::Receipt(next.job, Box::new(receipt))));
    }

    pub(super) fn printed(&mut self, printed: Printed, now: Timestamp) {
        let Printed { job, outcome } = printed;
        if self.jobs.in_hand == Some(job) {
            self.jobs.in_hand = None;
        }
        let Some(marked) = self.jobs.get(job).map(|pending| pending.marked) else { return };
        let (state, why) = match outcome {
            PrintOutcome::Printed => (ReceiptState::Printed, String::new()),
            PrintOutcome::Unconfirmed(why) => (ReceiptState::Unconfirmed, why),
            PrintOutcome::Failed(why) => (ReceiptState::Failed, why),
            PrintOutcome::NotStarted(why) => {
                let pause = RETRY.saturating_mul(1 << self.jobs.refused.min(8)).min(RETRY_MAX);
                self.jobs.not_before = Some(now + pause);
                self.jobs.refused += 1;
                (ReceiptState::Queued, why)
            }
        };
        if state != ReceiptState::Queued {
            self.jobs.refused = 0;
        }
        self.jobs.trouble.clone_from(&why);
        // If this note cannot be written, the older one stands: the receipt counts as sending, and a restart asks a person.
        let _ = self.change(job, state, marked, &why, now);
    }

    /// The printer came or went: what waits is tried at once when it is back.
    pub(super) fn printer_changed(&mut self, device: &Device) {
        if device.kind == DeviceKind::Printer && device.ready {
            (self.jobs.not_before, self.jobs.refused) = (None, 0);
            self.jobs.trouble.clear();
        }
    }

    /// Another receipt, always marked. What the printer did with the one before no longer matters.
    pub(super) fn reprint(&mut self, id: &SaleId, now: Timestamp) -> Result<Sale, Refused> {
        let failed = |error: JournalError| Refused::JournalFailed(error.to_string());
        let sale = self.find(id)?;
        if !self.setup.prints {
            return Err(Refused::NotNow(words::no_printer(self.setup.language).to_owned()));
        }
        if sale.payment.paid().is_none() {
            return Err(Refused::NotNow(words::not_paid(self.setup.language).to_owned()));
        }
        if self.jobs.concern(id) {
            return Err(Refused::NotNow(words::receipt_under_way(self.setup.language).to_owned()));
        }
        let left: Vec<JobId> =
            self.jobs.pending.iter().filter(|job| job.sale == *id).map(|job| job.job).collect();
        for job in left {
            self.change(job, ReceiptState::None, true, "replaced by a copy", now).map_err(failed)?;
        }
        let mut sale = self.find(id)?;
        sale.receipt = ReceiptState::Queued;
        sale.copies += 1;
        sale.updated_at = now;
        let job = JobChange { job: None, state: ReceiptState::Queued, marked: true };
        let event = format!("receipt copy {} ordered", sale.copies);
        let job = self.append(&event, &sale, Some(job), Durability::PowerCut, now).map_err(failed)?;
        if let Some(job) = job {
            self.queue_receipt(job, &sale, true, now);
        }
        self.hold(sale.clone());
        Ok(sale)
    }

    /// Keeps a job's new state, here and in the journal.
    fn change(
        &mut self,
        job: JobId,
        state: ReceiptState,
        marked: bool,
        why: &str,
        now: Timestamp,
    ) -> Result<(), JournalError> {
        let Some(pending) = self.jobs.get(job).cloned() else { return Ok(()) };
        let Ok(mut sale) = self.find(&pending.sale) else { return Ok(()) };
        sale.receipt = state;
        sale.updated_at = now;
        let event = match why {
            "" => format!("receipt {} {}", pending.number, state.label()),
            why => format!("receipt {} {}: {why}", pending.number, state.label()),
        };
        let change = JobChange { job: Some(job), state, marked };
        self.append(&event, &sale, Some(change), Durability::ProcessEnd, now)?;
        self.jobs.turn(job, state, marked);
        self.hold(sale);
        Ok(())
    }

    /// The receipts that are owed or that a person must look at.
    pub(super) fn receipts_owed(&self) -> Vec<Obligation> {
        let owed = |job: &PendingJob| Obligation {
            sale: job.sale.clone(),
            kind: ObligationKind::Receipt,
            since: job.since,
            next: if job.state == ReceiptState::Queued { self.jobs.not_before } else { None },
            text: words::receipt_owed(job.state, &self.jobs.trouble, self.setup.language),
        };
        self.jobs.pending.iter().map(owed).collect()
    }
}

/// The latest receipt of a paid sale, as a preview shows it.
pub fn receipt_of(sale: &Sale, facts: &Facts) -> Option<Receipt> {
    receipt(sale, facts, sale.copies, sale.copies > 1)
}

/// The `number`-th receipt of a paid sale, from 1; marked if another is or may be about.
fn receipt(sale: &Sale, facts: &Facts, number: u32, marked: bool) -> Option<Receipt> {
    let (ordinal, proof) = sale.payment.paid()?;
    Some(Receipt {
        store_name: facts.store_name.clone(),
        terminal: facts.terminal.clone(),
        order: sale.id.order(ordinal),
        gateway_txn: proof.gateway_txn.clone(),
        gateway: sale.gateway.clone(),
        subject: sale.subject.clone(),
        reference: sale.reference.clone(),
        amount: sale.payment.amount,
        coupon: proof.coupon,
        payer_paid: proof.payer_paid,
        paid_at: proof.paid_at,
        copy: match (number, marked) {
            (0 | 1, false) => Copy::Original,
            (0 | 1, true) => Copy::MaybeSecond,
            (number, _) => Copy::Reprint(number),
        },
        sandbox: facts.sandbox,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_printer_that_never_confirms_does_not_make_the_list_grow() {
        let mut jobs = Jobs::default();
        for job in 1..=1000 {
            jobs.pending.push_back(PendingJob {
                job,
                sale: "T01261121000001000001".parse().unwrap(),
                state: ReceiptState::Queued,
                marked: false,
                number: 1,
                since: Timestamp(0),
            });
            jobs.turn(job, ReceiptState::Sending, false);
            // Every hundredth did not come out whole: somebody has to see to it however long it takes.
            let end = if job % 100 == 0 { ReceiptState::Failed } else { ReceiptState::Unconfirmed };
            jobs.turn(job, end, false);
        }
        let in_state = |state| jobs.all().filter(move |job| job.state == state).map(|job| job.job);
        let unconfirmed: Vec<_> = in_state(ReceiptState::Unconfirmed).collect();
        assert_eq!((unconfirmed.len(), unconfirmed[0], unconfirmed[98]), (99, 901, 999));
        assert_eq!(in_state(ReceiptState::Failed).count(), 10);
        jobs.turn(999, ReceiptState::Printed, true);
        assert!(jobs.all().all(|job| job.job != 999), "what is done is forgotten");
    }
}
