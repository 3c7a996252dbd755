//! Sales and refunds that a rebuilt journal has lost and the daemon's log remembers: put back, so that the gateway is asked
//! about each of their numbers. Never makes an outcome: one that was recorded is taken as recorded, all else is asked.

use std::collections::BTreeMap;

use rusqlite::Connection;

use super::chain::Head;
use super::fault::Fault;
use super::records;
use super::rows;
use super::store::{self, Write};
use super::{Entry, JobChange};
use crate::ids::SaleId;
use crate::money::Amount;
use crate::payment::{Attempt, Payment, Phase, Proof, Reason, Refusal, Reversal, Why};
use crate::sale::{ReceiptState, Sale};
use crate::time::Timestamp;

mod refunds;

pub use refunds::RememberedRefund;

/// What the log tells.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Remembered {
    /// Sales, oldest first.
    pub sales: Vec<RememberedSale>,
    /// Refunds, those of a sale in the order of their ordinals.
    pub refunds: Vec<RememberedRefund>,
}

/// A sale as the log tells of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RememberedSale {
    /// Its name.
    pub id: SaleId,
    /// Its number in the journal that it was opened in.
    pub number: u64,
    /// What it costs.
    pub amount: Amount,
    /// What the payer sees.
    pub subject: String,
    /// The shop's reference.
    pub reference: Option<String>,
    /// Which gateway.
    pub gateway: String,
    /// When it was opened.
    pub at: Timestamp,
    /// The highest ordinal of its order numbers.
    pub attempts: u8,
    /// The attempt that is on record as paid, and with what.
    pub paid: Option<(u8, Proof)>,
    /// Whether the gateway contradicted that and nothing has decided since.
    pub contradicted: bool,
    /// Attempts that are, or once were, being taken back: their money goes on back, also where the gateway says *paid* now.
    pub taken_back: BTreeMap<u8, Why>,
    /// Its latest receipt; *unconfirmed* also where one may come or have come out without a line in the log.
    pub receipt: ReceiptState,
    /// Which of its receipts that is, from 1; 0 where none is known to have been ordered.
    pub copies: u32,
}

/// What was put back.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Recalled {
    /// Sales that were recorded as paid.
    pub paid: u64,
    /// Sales about which the gateway is asked at the next start.
    pub asked: u64,
    /// Refunds, as far as they went.
    pub refunds: u64,
    /// Refunds that are not put back, for their sale is not there, not on record as paid, or has as many as it can have.
    pub refunds_left_out: u64,
}

/// The end of a journal that is being built, and the numbers that were given out.
pub struct End<'a> {
    pub conn: &'a Connection,
    pub head: Head,
    pub steps: i64,
    pub sales: i64,
    pub jobs: i64,
}

impl End<'_> {
    /// Puts back what is not there, and what went on after it was lost.
    pub fn recall(&mut self, remembered: &Remembered) -> Result<Recalled, Fault> {
        let mut recalled = Recalled::default();
        for told in &remembered.sales {
            let known = rows::by_id(self.conn, told.id.as_str())?.map(|found| found.sale);
            let sale = match &known {
                None => fresh(told),
                Some(sale) if sale.payment.is_open() => gone_on(sale, told),
                Some(_) => continue,
            };
            if known.as_ref().is_some_and(|known| known.payment == sale.payment) {
                continue;
            }
            let number = match known {
                None => Some(self.number(told)?),
                Some(_) => None,
            };
            self.put_sale(&sale, number, "taken over from the log")?;
            match told.paid {
                Some(_) => recalled.paid += 1,
                None => recalled.asked += 1,
            }
        }
        (recalled.refunds, recalled.refunds_left_out) = self.recall_refunds(&remembered.refunds)?;
        Ok(recalled)
    }

    /// Later steps are missing. So what is open here can have been paid and its receipt printed: that of an open sale
    /// must say so if it ever comes.
    pub fn doubt_receipts(&mut self) -> Result<(), Fault> {
        for found in rows::sales(self.conn, "WHERE s.open = 1 ORDER BY s.n", [])? {
            if found.sale.payment.is_open() && found.sale.receipt == ReceiptState::None {
                let sale = Sale { receipt: ReceiptState::Unconfirmed, ..found.sale };
                self.put_sale(&sale, None, "restored, later steps are missing")?;
            }
        }
        Ok(())
    }

    /// The number that it had, or the next one where another sale has it.
    fn number(&self, told: &RememberedSale) -> Result<i64, Fault> {
        match i64::try_from(told.number) {
            Ok(number) if rows::by_number(self.conn, number)?.is_none() => Ok(number),
            _ => Ok(self.sales + 1),
        }
    }

    fn put_sale(&mut self, sale: &Sale, opened_as: Option<i64>, what: &str) -> Result<(), Fault> {
        let event = format!("{what} -> {}", sale.payment.phase().label());
        // A receipt that nobody knows to be out is a person's to look for.
        let owed = sale.payment.paid().is_some() && sale.receipt == ReceiptState::Unconfirmed;
        let job = owed.then_some(JobChange { job: None, state: sale.receipt, marked: true });
        self.put(sale, opened_as, &event, job)
    }

    fn put(
        &mut self,
        sale: &Sale,
        opened_as: Option<i64>,
        event: &str,
        job: Option<JobChange>,
    ) -> Result<(), Fault> {
        // Its key is gone with the step that it was opened with; this one is nobody's.
        let nobodys = || records::opening(&format!("restored {}", sale.id), "");
        let entry = Entry { at: sale.updated_at, event, sale, job };
        let write = Write {
            entry: &entry,
            opening: opened_as.map(|number| (number, nobodys())),
            head: self.head,
            seq: self.steps + 1,
            next_job: self.jobs + 1,
        };
        let written = store::keep(self.conn, &write)?;
        (self.head, self.steps) = (written.head, write.seq);
        self.sales = self.sales.max(opened_as.unwrap_or(0));
        self.jobs = self.jobs.max(written.job.map_or(0, |job| job.job.cast_signed()));
        Ok(())
    }
}

/// A sale of which the journal has nothing. Its POS has gone; it takes no further code.
fn fresh(told: &RememberedSale) -> Sale {
    Sale {
        refunds: Vec::new(),
        id: told.id.clone(),
        payment: Payment { amount: told.amount, single: true, attempts: attempts(&[], told) },
        subject: told.subject.clone(),
        reference: told.reference.clone(),
        gateway: told.gateway.clone(),
        receipt: told.receipt,
        copies: told.copies,
        created_at: told.at,
        updated_at: recorded_at(told),
    }
}

/// A sale that the journal has as it was earlier.
fn gone_on(sale: &Sale, told: &RememberedSale) -> Sale {
    let payment = Payment { attempts: attempts(&sale.payment.attempts, told), ..sale.payment.clone() };
    let updated_at = sale.updated_at.max(recorded_at(told));
    Sale { payment, receipt: told.receipt, copies: told.copies, updated_at, ..sale.clone() }
}

/// A paid sale counts on the day on which it was recorded as paid.
fn recorded_at(told: &RememberedSale) -> Timestamp {
    told.paid.as_ref().map_or(told.at, |(_, proof)| proof.paid_at.max(told.at))
}

/// Its attempts: as the journal has them, or further where the log says so.
fn attempts(known: &[Attempt], told: &RememberedSale) -> Vec<Attempt> {
    let last = told.attempts.max(u8::try_from(known.len()).unwrap_or(u8::MAX)).max(1);
    let attempt = |ordinal: u8| {
        let known = known.get(usize::from(ordinal) - 1);
        let phase = match known.map(|attempt| attempt.phase.clone()) {
            unsettled @ (None | Some(Phase::Armed | Phase::Paying { .. })) => {
                went_on(told, ordinal, last).or(unsettled).unwrap_or(Phase::Armed)
            }
            Some(phase) => phase,
        };
        let wake = phase.is_open().then(|| known.and_then(|attempt| attempt.wake).unwrap_or(told.at));
        Attempt { hint: known.and_then(|attempt| attempt.hint.clone()), phase, wake }
    };
    (1..=last).map(attempt).collect()
}

/// What the log says that became of an attempt.
fn went_on(told: &RememberedSale, ordinal: u8, last: u8) -> Option<Phase> {
    match (&told.paid, told.taken_back.get(&ordinal)) {
        (Some((paid, proof)), _) if *paid == ordinal => Some(match told.contradicted {
            true => Phase::Contradicted { proof: proof.clone(), since: told.at },
            false => Phase::Paid(proof.clone()),
        }),
        (_, Some(why)) => Some(Phase::Reversing(Reversal::new(told.at, told.at, *why))),
        // A next one was only ever armed where this was refused; whether that is so is looked up again.
        _ if ordinal < last => {
            let refusal = Refusal { code: String::new(), text: String::new(), reason: Reason::Other };
            Some(Phase::Refused { sent_at: told.at, refusal })
        }
        _ => None,
    }
}
