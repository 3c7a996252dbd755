//! Sales of every kind, and what must be found of them afterwards.

use std::path::Path;
use std::time::Duration;

use micropayd::ids::CodeHint;
use micropayd::journal::{
    Durability, Entry, JobChange, Journal, JournalError, Opened, Settings, read_only, verify_all,
};
use micropayd::money::Amount;
use micropayd::payment::{Attempt, Payment, Phase, Policy, Proof, Reason, Refusal, Reversal, Why};
use micropayd::sale::{LifeStep, ReceiptState, Records, Sale};
use micropayd::time::Timestamp;

use crate::disk::{Op, Promise};
use crate::vfs::Shared;

/// The boot in which everything is written.
pub const BOOT: [u8; 16] = [7; 16];
/// A boot after a power cut.
pub const NEXT_BOOT: [u8; 16] = [8; 16];

pub fn open(dir: &Path, boot: [u8; 16]) -> Result<Opened, JournalError> {
    Journal::open_in_boot(&Settings { dir: dir.to_owned() }, &"T01".parse().unwrap(), boot)
}

/// Takes sales and notes what the journal has promised.
pub struct Shop {
    pub journal: Journal,
    tape: Option<Shared>,
    pub promise: Promise,
    pub now: Timestamp,
    taken: u32,
}

impl Shop {
    pub fn new(journal: Journal, tape: Option<Shared>, promise: Promise) -> Self {
        let now = Timestamp(1_795_230_000_000 + promise.written as i64 * 310_000);
        Self { journal, tape, promise, now, taken: promise.written as u32 }
    }

    /// Whether an operation was made to fail.
    pub fn tape_failed(&self) -> bool {
        self.tape.as_ref().is_some_and(|tape| tape.lock().unwrap().failed)
    }

    fn promised(&mut self, sequence: u64, durability: Durability) {
        self.promise.written = sequence;
        if durability == Durability::PowerCut {
            self.promise.synced = sequence;
        }
        if let Some(tape) = &self.tape {
            let mut tape = tape.lock().unwrap();
            tape.look_at_witness();
            let Promise { synced, written } = self.promise;
            tape.ops.push(Op::Promised { synced, written });
        }
    }

    fn keep(
        &mut self,
        sale: &mut Sale,
        event: &str,
        job: Option<JobChange>,
        durability: Durability,
    ) -> Result<Option<u64>, JournalError> {
        self.now = self.now + Duration::from_millis(700);
        sale.updated_at = self.now;
        let entry = Entry { at: self.now, event: &format!("{event} {}", sale.id), sale, job };
        let kept = self.journal.append(&entry, durability)?;
        self.promised(kept.sequence, durability);
        Ok(kept.job)
    }

    /// A sale of the next kind: paid and printed, declined and then paid, given up and reversed, or left open.
    pub fn sell(&mut self) -> Result<(), JournalError> {
        self.taken += 1;
        let mut sale = self.begin()?;
        match self.taken % 6 {
            0 => {
                let refusal = Refusal {
                    code: "NOTENOUGH".to_owned(),
                    text: "余额不足".to_owned(),
                    reason: Reason::BalanceTooLow,
                };
                sale.payment.attempts[0].phase = Phase::Declined(refusal);
                sale.payment.attempts.push(Attempt::armed(self.now, &Policy::default()));
                self.keep(&mut sale, "declined", None, Durability::PowerCut)?;
                self.pay(&mut sale)
            }
            1 => {
                let reversal = Reversal { tries: 1, ..Reversal::new(self.now, self.now, Why::GaveUp) };
                sale.payment.attempts[0].phase = Phase::Reversing(reversal);
                self.keep(&mut sale, "give up", None, Durability::PowerCut)?;
                sale.payment.attempts[0].phase = Phase::Reversed(Why::GaveUp);
                self.keep(&mut sale, "reversed", None, Durability::PowerCut).map(|_| ())
            }
            2 if self.taken % 12 == 2 => self.scan(&mut sale),
            _ => self.pay(&mut sale),
        }
    }

    /// Only the two synced steps of a paid sale.
    pub fn sell_shortly(&mut self) -> Result<(), JournalError> {
        self.taken += 1;
        let mut sale = self.begin()?;
        self.paid(&mut sale).map(|_| ())
    }

    fn begin(&mut self) -> Result<Sale, JournalError> {
        self.now = self.now + Duration::from_secs(300);
        let id = self.journal.name_sale(self.now.day())?;
        let amount = Amount::from_fen(100 + self.taken).unwrap();
        let sale = Sale {
            refunds: Vec::new(),
            payment: Payment::new(amount, false, self.now, &Policy::default()),
            subject: "朝阳门店-消费".to_owned(),
            reference: (self.taken.is_multiple_of(2)).then(|| format!("POS-{}", self.taken)),
            gateway: "wechat".to_owned(),
            receipt: ReceiptState::None,
            copies: 0,
            created_at: self.now,
            updated_at: self.now,
            id,
        };
        let entry = Entry { at: self.now, event: &format!("open {}", sale.id), sale: &sale, job: None };
        let kept = self.journal.open_sale(&entry, &key(&sale), "request")?;
        self.promised(kept.sequence, Durability::PowerCut);
        Ok(sale)
    }

    fn scan(&mut self, sale: &mut Sale) -> Result<(), JournalError> {
        let attempt = sale.payment.attempts.last_mut().unwrap();
        attempt.phase =
            Phase::Paying { sent_at: self.now, payer_asked: false, refusal: None, interrupted: false };
        attempt.hint = CodeHint::from_digits("8406");
        self.keep(sale, "code", None, Durability::ProcessEnd).map(|_| ())
    }

    fn paid(&mut self, sale: &mut Sale) -> Result<Option<u64>, JournalError> {
        let payer_paid = sale.payment.amount.fen();
        let gateway_txn = format!("42000026712026112{:011}", self.now.0 % 100_000_000_000);
        let proof = Proof { gateway_txn, paid_at: self.now, payer_paid, coupon: 0 };
        sale.payment.attempts.last_mut().unwrap().phase = Phase::Paid(proof);
        (sale.receipt, sale.copies) = (ReceiptState::Queued, 1);
        let new = JobChange { job: None, state: ReceiptState::Queued, marked: false };
        self.keep(sale, "paid", Some(new), Durability::PowerCut)
    }

    fn pay(&mut self, sale: &mut Sale) -> Result<(), JournalError> {
        self.scan(sale)?;
        let job = self.paid(sale)?;
        let end = if self.taken.is_multiple_of(5) { ReceiptState::Failed } else { ReceiptState::Printed };
        for state in [ReceiptState::Sending, end] {
            sale.receipt = state;
            self.keep(
                sale,
                state.label(),
                Some(JobChange { job, state, marked: false }),
                Durability::ProcessEnd,
            )?;
        }
        Ok(())
    }
}

/// The key that a sale was opened under.
pub fn key(sale: &Sale) -> String {
    format!("key of {}", sale.id)
}

/// All steps, as a reader sees them.
pub fn steps(records: &dyn Records) -> Vec<LifeStep> {
    records.after(0, usize::MAX).unwrap()
}

/// What is wrong with a journal of which `all` was written and the first `promised` steps must be there. `thorough`
/// also reads it in each way that readers have.
pub fn look(
    dir: &Path,
    boot: [u8; 16],
    all: &[LifeStep],
    promised: u64,
    thorough: bool,
) -> Result<usize, String> {
    let opened = open(dir, boot).map_err(|error| format!("it does not open: {error}"))?;
    let records = opened.journal.records();
    let kept =
        if thorough { compare(&*records, all, promised)? } else { prefix(&*records, all, promised)?.len() };
    let open: Vec<Sale> = opened.open.into_iter().filter(|sale| sale.payment.is_open()).collect();
    let expected: Vec<Sale> = sales(&all[..kept]).into_iter().filter(|sale| sale.payment.is_open()).collect();
    if open != expected {
        return Err(format!("{} sales are open, expected {}", open.len(), expected.len()));
    }
    drop(opened.journal);
    let settings = Settings { dir: dir.to_owned() };
    verify_all(&settings).map_err(|error| format!("it does not verify: {error}"))?;
    Ok(kept)
}

/// The newest state of each sale, in the order in which they were opened.
pub fn sales(all: &[LifeStep]) -> Vec<Sale> {
    let mut sales: Vec<Sale> = Vec::new();
    for step in all {
        match sales.iter_mut().find(|sale| sale.id == step.sale.id) {
            Some(sale) => *sale = step.sale.clone(),
            None => sales.push(step.sale.clone()),
        }
    }
    sales
}

/// Whether exactly the first so many steps of `all` are there, at least `promised`, by each way of reading.
pub fn compare(records: &dyn Records, all: &[LifeStep], promised: u64) -> Result<usize, String> {
    let wrong = |what: &str| Err(what.to_owned());
    let found = prefix(records, all, promised)?;
    for sale in sales(&found).into_iter() {
        let life: Vec<&LifeStep> = found.iter().filter(|step| step.sale.id == sale.id).collect();
        let read = |result: Result<Option<Sale>, _>| {
            result.map_err(|error: micropayd::sale::RecordsError| error.to_string())
        };
        if read(records.sale(&sale.id))?.as_ref() != Some(&sale) {
            return wrong("a sale is not what its last step says");
        }
        if read(records.by_key(&key(&sale)))?.as_ref() != Some(&sale) {
            return wrong("a sale is not found by its key");
        }
        if records.life(&sale.id).map_err(|error| error.to_string())?.iter().collect::<Vec<_>>() != life {
            return wrong("a sale's life is not what was written");
        }
    }
    Ok(found.len())
}

/// The steps that are there: the first so many of `all`, at least `promised`.
fn prefix(records: &dyn Records, all: &[LifeStep], promised: u64) -> Result<Vec<LifeStep>, String> {
    let found = records.after(0, usize::MAX).map_err(|error| error.to_string())?;
    if found.len() < promised as usize || found.len() > all.len() || found != all[..found.len()] {
        return Err(format!("{} steps are there of {}, {promised} were promised", found.len(), all.len()));
    }
    Ok(found)
}

/// All steps that are in `dir`, read without the lock.
pub fn read(dir: &Path) -> Vec<LifeStep> {
    steps(&*read_only(&Settings { dir: dir.to_owned() }).unwrap())
}
