//! Refunds at the till: asked for once, on the disk before anything is sent, and followed until the payer has the money.
//! Never more than was paid, whatever is asked for, repeated or still under way.

use crate::gateway::RefundOrder;
use crate::ids::{REFUNDS_MAX, SaleId};
use crate::input::{Refunding, Refused};
use crate::journal::{Durability, JournalError, refund_key};
use crate::payment::SalePhase;
use crate::refund::{Answer, Asked, Effect, Event, Refund, step};
use crate::sale::{NewRefund, Sale};
use crate::terminal::desk::{Act, Desk};
use crate::terminal::keeping::{self, Happening};
use crate::terminal::words;
use crate::time::Timestamp;

/// The requests about refunds, by their kind.
#[derive(Default)]
pub(super) struct UnderWay {
    asks: keeping::UnderWay,
    queries: keeping::UnderWay,
}

impl UnderWay {
    fn of(&mut self, asked: Asked) -> &mut keeping::UnderWay {
        match asked {
            Asked::Refund => &mut self.asks,
            Asked::Query => &mut self.queries,
        }
    }
}

impl Desk {
    /// Gives money back. The same key and the same request are the same refund, for ever.
    pub(super) fn refund(
        &mut self,
        id: &SaleId,
        new: NewRefund,
        key: &str,
        now: Timestamp,
    ) -> Result<Refunding, Refused> {
        let failed = |error: JournalError| Refused::JournalFailed(error.to_string());
        let mut sale = self.find(id)?;
        let key = refund_key(key, &new.fingerprint());
        let mut known = sale.refunds.iter().zip(1..).filter(|(refund, _)| refund.key.key == key.key);
        if let Some((known, ordinal)) = known.next() {
            return match known.key.request == key.request {
                true => Ok(Refunding { sale, ordinal, new: false }),
                false => Err(Refused::KeyReused(sale.id)),
            };
        }
        if let Some(why) = self.refuses_sales() {
            return Err(why);
        }
        let Some((attempt, _)) = sale.payment.paid().filter(|_| sale.payment.phase() == SalePhase::Paid)
        else {
            return Err(Refused::NotNow(words::not_refundable(&sale, self.setup.language)));
        };
        if new.amount.fen() > sale.refundable() {
            return Err(Refused::RefundTooMuch(sale.refundable()));
        }
        if let Some(most) = self.setup.max_refund.filter(|most| new.amount > *most) {
            return Err(Refused::RefundLimit(most));
        }
        let Some(ordinal) = u8::try_from(sale.refunds.len() + 1).ok().filter(|n| *n <= REFUNDS_MAX) else {
            return Err(Refused::NotNow(words::too_many_refunds(self.setup.language).to_owned()));
        };
        // The space set aside is for what was begun.
        if let Err(error) = self.journal.room_for_sales() {
            self.journal_failed(&error, now);
            return Err(failed(error));
        }
        let random =
            getrandom::u32().map_err(|error| Refused::JournalFailed(format!("no randomness: {error}")))?;
        let number = sale.id.refund(ordinal, random);
        let refund = Refund::new(number, attempt, new.amount, new.reason, key, now, &self.setup.policy);
        let what = words::refund_asked(&refund);
        let order = Self::refund_order(&sale, &refund);
        sale.refunds.push(refund);
        sale.updated_at = now;
        self.append(&what, &sale, None, Durability::PowerCut, now).map_err(failed)?;
        self.hold(sale.clone());
        self.send(&sale.id, ordinal, Asked::Refund, order);
        Ok(Refunding { sale, ordinal, new: true })
    }

    /// The answer to a request about a refund. An older one than the newest of its kind proves nothing now.
    pub(super) fn refunded(
        &mut self,
        id: &SaleId,
        ordinal: u8,
        asked: Asked,
        number: u64,
        answer: Answer,
        now: Timestamp,
    ) {
        self.heard_refund(&answer, now);
        if self.refunds.of(asked).ends(id, ordinal, number) {
            self.happens(id, Happening::Refund(ordinal, Event::Answered(asked, answer)), now);
        }
    }

    /// Rings the timers of a sale's refunds that are due.
    pub(super) fn wake_refunds(&mut self, id: &SaleId, now: Timestamp) {
        let due = |refund: &Refund| refund.wake.is_some_and(|at| at <= now);
        for ordinal in self.refunds_that(id, due) {
            self.happens(id, Happening::Refund(ordinal, Event::Wake), now);
        }
    }

    /// The clock was set while nothing else waited: what is not over is asked about now, and waits by the new time.
    pub fn clock_set(&mut self, now: Timestamp) {
        let ids: Vec<SaleId> = self.sales.keys().cloned().collect();
        for id in ids {
            for ordinal in self.open_refunds(&id) {
                self.happens(&id, Happening::Refund(ordinal, Event::Restarted), now);
            }
        }
    }

    /// Asks the gateway about each refund of a sale.
    pub(super) fn check_refunds(&mut self, id: &SaleId, now: Timestamp) -> Result<Sale, Refused> {
        let refunds = self.find(id)?.refunds.len();
        for ordinal in (1..).take(refunds) {
            self.apply_refund(id, ordinal, Event::Check, now)
                .map_err(|error| Refused::JournalFailed(error.to_string()))?;
        }
        self.find(id)
    }

    /// The ordinals of a sale's refunds that are not over.
    pub(super) fn open_refunds(&self, id: &SaleId) -> Vec<u8> {
        self.refunds_that(id, Refund::is_open)
    }

    fn refunds_that(&self, id: &SaleId, wanted: impl Fn(&Refund) -> bool) -> Vec<u8> {
        let refunds = self.sales.get(id).map_or(&[][..], |sale| &sale.refunds);
        refunds.iter().zip(1..).filter(|(refund, _)| wanted(refund)).map(|(_, ordinal)| ordinal).collect()
    }

    /// Steps a refund, keeps the step, and only then lists its effects. On an error nothing has changed.
    pub(super) fn apply_refund(
        &mut self,
        id: &SaleId,
        ordinal: u8,
        event: Event,
        now: Timestamp,
    ) -> Result<(), JournalError> {
        let Some(mut sale) = self.concerned(id)? else { return Ok(()) };
        let place = usize::from(ordinal).wrapping_sub(1);
        let Some(before) = sale.refunds.get(place).cloned() else { return Ok(()) };
        let what = words::refund_event(&before, &event);
        let step = step(before.clone(), event, now, &self.setup.policy);
        if step.refund == before && step.effects.is_empty() {
            return Ok(());
        }
        // A timer that was set anew and a question are no step of a sale's life.
        let only_waits = Refund { wake: before.wake, ..step.refund.clone() } == before
            && step.effects.iter().all(|effect| *effect == Effect::Query);
        let label = step.refund.phase.label();
        sale.refunds[place] = step.refund;
        if !only_waits {
            sale.updated_at = now;
            let durability = if step.durable { Durability::PowerCut } else { Durability::ProcessEnd };
            self.append(&format!("{what} -> refund {label}"), &sale, None, durability, now)?;
        }
        self.hold(sale.clone());
        let refund = &sale.refunds[place];
        for effect in step.effects {
            let asked = match effect {
                Effect::Ask => Asked::Refund,
                Effect::Query => Asked::Query,
                Effect::CallManager => {
                    tracing::error!("{} needs the manager: see docs/refunds.md", refund.number);
                    continue;
                }
            };
            let order = Self::refund_order(&sale, refund);
            self.send(id, ordinal, asked, order);
        }
        Ok(())
    }

    fn send(&mut self, id: &SaleId, ordinal: u8, asked: Asked, order: RefundOrder) {
        let number = self.refunds.of(asked).next(id, ordinal);
        self.acts.push(Act::Refund(id.clone(), ordinal, asked, order, number));
    }

    fn refund_order(sale: &Sale, refund: &Refund) -> RefundOrder {
        RefundOrder {
            order: Self::order(sale, refund.attempt),
            number: refund.number.clone(),
            amount: refund.amount,
            reason: refund.reason.clone(),
        }
    }
}
