//! Step, append, effects: the order that nothing in the terminal may break. What cannot be kept has no effect; it is
//! tried again until it can.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::ids::{PaymentCode, SaleId};
use crate::input::{Device, DeviceKind, JobId, Notice, Refused};
use crate::journal::{Durability, Entry, JobChange, JournalError};
use crate::payment::{Answer, Asked, Effect, Event, ReversalAnswer, step};
use crate::printer::Job;
use crate::refund::{self, Refund};
use crate::sale::{ReceiptState, Sale};
use crate::terminal::desk::{Act, Desk};
use crate::terminal::words;
use crate::time::Timestamp;

/// Between attempts to write to a journal that failed.
const RETRY: Duration = Duration::from_secs(1);

/// What can happen to a sale: to its payment, or to the refund with this ordinal (from 1).
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Happening {
    /// To the payment.
    Payment(Event),
    /// To a refund.
    Refund(u8, refund::Event),
}

/// Numbers the requests of one kind, so that the answer to an older one can be told from the newest.
#[derive(Default)]
pub(super) struct UnderWay {
    asked: u64,
    newest: BTreeMap<(SaleId, u8), u64>,
}

impl UnderWay {
    pub fn next(&mut self, id: &SaleId, attempt: u8) -> u64 {
        self.asked += 1;
        self.newest.insert((id.clone(), attempt), self.asked);
        self.asked
    }

    /// Whether this is the newest of the attempt (or refund); nothing more is expected of it then.
    pub fn ends(&mut self, id: &SaleId, attempt: u8, number: u64) -> bool {
        let newest = (id.clone(), attempt);
        let ends = self.newest.get(&newest) == Some(&number);
        if ends {
            self.newest.remove(&newest);
        }
        ends
    }
}

impl Desk {
    /// The answer to a query. What an older one found may be from before the request arrived: it proves nothing now.
    pub(super) fn queried(&mut self, id: &SaleId, attempt: u8, number: u64, answer: Answer, now: Timestamp) {
        self.heard(&answer, now);
        if self.queries.ends(id, attempt, number) {
            self.event(id, Event::Answered { attempt, to: Asked::Query, answer }, now);
        }
    }

    /// The answer to a reverse request. What an older one did may be from before the money came.
    pub(super) fn reversed(
        &mut self,
        id: &SaleId,
        attempt: u8,
        number: u64,
        answer: ReversalAnswer,
        now: Timestamp,
    ) {
        self.heard_reversal(&answer, now);
        if self.reversals.ends(id, attempt, number) {
            self.event(id, Event::Reversed { attempt, answer }, now);
        }
    }

    /// An event of a payment that nobody waits for.
    pub(super) fn event(&mut self, id: &SaleId, event: Event, now: Timestamp) {
        self.happens(id, Happening::Payment(event), now);
    }

    /// Something that nobody waits for: if it cannot be kept, it waits its turn.
    pub(super) fn happens(&mut self, id: &SaleId, what: Happening, now: Timestamp) {
        if self.stuck.iter().any(|(stuck, _)| stuck == id) {
            // A timer that rings again has nothing new to say; words of the gateway keep their order.
            if !matches!(what, Happening::Payment(Event::Wake) | Happening::Refund(_, refund::Event::Wake)) {
                self.stuck.push_back((id.clone(), what));
            }
            return;
        }
        if self.take(id, what.clone(), now).is_err() {
            self.stuck.push_back((id.clone(), what));
        }
    }

    fn take(&mut self, id: &SaleId, what: Happening, now: Timestamp) -> Result<(), JournalError> {
        match what {
            Happening::Payment(event) => self.apply(id, event, None, now),
            Happening::Refund(ordinal, event) => self.apply_refund(id, ordinal, event, now),
        }
    }

    /// Steps the machine, keeps the step, and only then lists its effects. On an error nothing has changed.
    pub(super) fn apply(
        &mut self,
        id: &SaleId,
        event: Event,
        code: Option<PaymentCode>,
        now: Timestamp,
    ) -> Result<(), JournalError> {
        let Some(mut sale) = self.concerned(id)? else { return Ok(()) };
        let before = sale.payment.clone();
        let (code_read, timer) = (matches!(event, Event::Code(_)), event == Event::Wake);
        let what = words::event(&sale, &event);
        let refunded_here = matches!(&event, Event::Answered { answer: Answer::Refunded, .. })
            && sale.refunds.iter().any(Refund::is_given);
        let mut step = step(sale.payment, event, now, &self.setup.policy);
        if refunded_here {
            // No news: it was asked for here.
            step.effects.retain(|effect| !matches!(effect, Effect::CallManager(_)));
        }
        sale.payment = step.payment;
        if sale.payment == before && step.effects.is_empty() {
            return Ok(());
        }
        let only_asks = step.effects.iter().all(|effect| matches!(effect, Effect::Query(_)));
        if timer && only_asks && !step.durable {
            // A timer that rang, and a question that changes nothing anywhere, are no step of a sale's life.
            self.hold(sale.clone());
            self.list(&sale, step.effects, None);
            return Ok(());
        }
        sale.updated_at = now;
        let mut job = None;
        // Before it is paid a sale has a receipt only if a restoration has lost the steps that would say whether.
        let marked = sale.receipt != ReceiptState::None;
        if self.setup.prints && step.effects.iter().any(|effect| matches!(effect, Effect::Receipt(_))) {
            sale.receipt = ReceiptState::Queued;
            sale.copies += 1;
            job = Some(JobChange { job: None, state: ReceiptState::Queued, marked });
        }
        let what = format!("{what} -> {}", sale.payment.phase().label());
        if code_read {
            // The intent is on the disk since the amount was entered, so the request need not wait for this row.
            self.deferred.push_back((now, what, sale.clone()));
        } else {
            let durability = if step.durable { Durability::PowerCut } else { Durability::ProcessEnd };
            let new_job = self.append(&what, &sale, job, durability, now)?;
            if let Some(job) = new_job {
                self.queue_receipt(job, &sale, marked, now);
            }
        }
        self.hold(sale.clone());
        self.list(&sale, step.effects, code);
        Ok(())
    }

    /// The sale that something happens to; none if it is somebody else's.
    pub(super) fn concerned(&self, id: &SaleId) -> Result<Option<Sale>, JournalError> {
        match self.find(id) {
            Ok(sale) => Ok(Some(sale)),
            Err(Refused::JournalFailed(what)) => Err(JournalError::Failed { path: "journal".into(), what }),
            Err(_) => Ok(None),
        }
    }

    /// Lists the effects of a step that is kept.
    fn list(&mut self, sale: &Sale, effects: Vec<Effect>, mut code: Option<PaymentCode>) {
        let id = &sale.id;
        for effect in effects {
            match effect {
                Effect::Pay(n) => {
                    if let Some(code) = code.take() {
                        self.acts.push(Act::Pay(id.clone(), n, Self::order(sale, n), code));
                    }
                }
                Effect::Query(n) => {
                    let number = self.queries.next(id, n);
                    self.acts.push(Act::Query(id.clone(), n, Self::order(sale, n), number));
                }
                Effect::Reverse(n) => {
                    let number = self.reversals.next(id, n);
                    self.acts.push(Act::Reverse(id.clone(), n, Self::order(sale, n), number));
                }
                // Its job is committed together with the step. The drawer is not kept anywhere: what a crash comes before
                // stays shut, and neither a restart nor a copy opens it.
                Effect::Receipt(_) => {
                    if self.setup.prints && self.setup.opens_drawer {
                        tracing::info!("{id} opens the drawer");
                        self.acts.push(Act::Print(Job::Drawer));
                    }
                }
                Effect::CallManager(n) => {
                    tracing::error!("{} needs the manager: see docs/when-money-is-in-doubt.md", id.order(n));
                }
            }
        }
    }

    /// Appends a step, deferred ones first, and tells about it.
    pub(super) fn append(
        &mut self,
        event: &str,
        sale: &Sale,
        job: Option<JobChange>,
        durability: Durability,
        now: Timestamp,
    ) -> Result<Option<JobId>, JournalError> {
        self.settle(now);
        let entry = Entry { at: now, event, sale, job };
        match self.journal.append(&entry, durability) {
            Ok(kept) => {
                self.kept(kept.sequence, event, sale);
                Ok(kept.job)
            }
            Err(error) => {
                self.journal_failed(&error, now);
                Err(error)
            }
        }
    }

    /// Writes the steps whose effect could precede them. Their intent is on the disk already, so a failure here is
    /// not the sale's failure: the next step of the sale carries its whole state.
    pub fn settle(&mut self, now: Timestamp) {
        while let Some((at, event, sale)) = self.deferred.front() {
            let entry = Entry { at: *at, event, sale, job: None };
            match self.journal.append(&entry, Durability::ProcessEnd) {
                Ok(kept) => {
                    let (_, event, sale) = self.deferred.pop_front().expect("the front was there");
                    self.kept(kept.sequence, &event, &sale);
                }
                Err(error) => {
                    self.journal_failed(&error, now);
                    return;
                }
            }
        }
    }

    /// The log is the journal's shadow: one line for each row.
    pub(super) fn kept(&mut self, sequence: u64, event: &str, sale: &Sale) {
        tracing::info!("{sequence} {} {event}", sale.id);
        self.acts.push(Act::Tell(Notice::Sale(Some(sequence), Box::new(sale.clone()))));
        // What was begun is also concluded in the space set aside.
        if self.journal_trouble.is_some() && self.journal.room_for_sales().is_ok() {
            self.journal_trouble = None;
            tracing::info!("journal can be written again");
        }
    }

    pub(super) fn journal_failed(&mut self, error: &JournalError, now: Timestamp) {
        tracing::error!("{error}");
        self.journal_trouble = Some(error.to_string());
        self.retry_at = Some(now + RETRY);
    }

    /// Tries what could not be kept, in order, and the journal itself.
    pub(super) fn retry_stuck(&mut self, now: Timestamp) {
        self.retry_at = None;
        self.settle(now);
        while let Some((id, event)) = self.stuck.pop_front() {
            if self.take(&id, event.clone(), now).is_err() {
                self.stuck.push_front((id, event));
                return;
            }
        }
        if self.journal_trouble.is_some() {
            match self.journal.room_for_sales() {
                Ok(()) => {
                    self.journal_trouble = None;
                    tracing::info!("journal can be written again");
                }
                Err(_) => self.retry_at = Some(now + RETRY),
            }
        }
    }

    /// Says that the disk is nearly full, and that no sale can be taken before somebody tries to open one.
    pub(super) fn look_for_room(&mut self, now: Timestamp) {
        if let Ok((dir, room)) = self.journal.room() {
            let trouble = words::disk(&room, self.setup.language);
            let disk = Device {
                kind: DeviceKind::Disk,
                name: dir.display().to_string(),
                ready: !room.is_short(),
                trouble,
            };
            self.disk(disk, now);
        }
        if self.journal_trouble.is_none()
            && let Err(error) = self.journal.room_for_sales()
        {
            self.journal_failed(&error, now);
        }
    }

    /// Keeps the sale at hand while something is open, and frees the lane when it is not paying any more.
    pub(super) fn hold(&mut self, sale: Sale) {
        if self.in_hand.as_ref() == Some(&sale.id) && !sale.payment.holds_lane() {
            self.in_hand = None;
        }
        if sale.is_open() || self.jobs.concern(&sale.id) {
            self.sales.insert(sale.id.clone(), sale);
        } else {
            self.sales.remove(&sale.id);
        }
    }
}
