//! The journal on a real file: what is kept, what is refused, what is noticed.

use std::path::Path;
use std::time::{Duration, Instant};

use super::*;
use crate::ids::CodeHint;
use crate::money::Amount;
use crate::payment::{Attempt, Payment, Phase, Policy, Proof, Refusal, SalePhase, Why};
use crate::sale::Filter;
use crate::time::Day;

mod codec;
mod damage;
mod file;
mod life;
mod reading;
mod recall;
mod reserve;

/// A journal in a directory that vanishes.
struct Shop {
    dir: tempfile::TempDir,
    boot: [u8; 16],
    now: Timestamp,
}

impl Shop {
    fn new() -> Self {
        let now = "2026-11-21".parse::<Day>().unwrap().start() + Duration::from_secs(9 * 60 * 60);
        Self { dir: tempfile::tempdir().unwrap(), boot: [1; 16], now }
    }

    fn settings(&self) -> Settings {
        Settings { dir: self.dir.path().join("journal") }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.settings().dir.join(name)
    }

    fn try_at_once(&self) -> Result<Opened, JournalError> {
        Journal::open_in_boot(&self.settings(), &"T01".parse().unwrap(), self.boot)
    }

    fn try_open(&self) -> Result<Opened, JournalError> {
        once_free(|| self.try_at_once())
    }

    fn open(&self) -> Opened {
        self.try_open().unwrap()
    }

    fn restore(&self, remembered: &Remembered) -> Result<Restored, JournalError> {
        once_free(|| restore(&self.settings(), remembered))
    }

    /// A sale that was just entered; the journal does not have it yet.
    fn sale(&mut self, journal: &mut Journal, fen: u32) -> Sale {
        self.now = self.now + Duration::from_secs(60);
        let amount = Amount::from_fen(fen).unwrap();
        Sale {
            refunds: Vec::new(),
            id: journal.name_sale(self.now.day()).unwrap(),
            payment: Payment::new(amount, false, self.now, &Policy::default()),
            subject: "朝阳门店-消费".to_owned(),
            reference: Some(format!("POS-{fen}")),
            gateway: "wechat".to_owned(),
            receipt: ReceiptState::None,
            copies: 0,
            created_at: self.now,
            updated_at: self.now,
        }
    }

    /// Opens a sale under a key of its own.
    fn begin(&mut self, journal: &mut Journal, fen: u32) -> Sale {
        let sale = self.sale(journal, fen);
        let entry = Entry { at: self.now, event: &format!("open {}", sale.id), sale: &sale, job: None };
        journal.open_sale(&entry, &format!("key of {}", sale.id), "12.50").unwrap();
        sale
    }

    /// A code was scanned: unsynced, the armed intent is on disk.
    fn scan(&mut self, journal: &mut Journal, sale: &mut Sale) {
        self.now = self.now + Duration::from_millis(900);
        let phase =
            Phase::Paying { sent_at: self.now, payer_asked: false, refusal: None, interrupted: false };
        let wake = Some(self.now + Duration::from_secs(5));
        let attempt = Attempt { phase, hint: CodeHint::from_digits("8406"), wake };
        *sale.payment.attempts.last_mut().unwrap() = attempt;
        self.append(journal, sale, "scan", None, Durability::ProcessEnd);
    }

    /// The gateway says that it is paid; a receipt is ordered.
    fn pay(&mut self, journal: &mut Journal, sale: &mut Sale, coupon: u32) -> JobId {
        self.now = self.now + Duration::from_millis(400);
        let txn = format!("4200002671202611210{:09}", sale.created_at.0 % 1_000_000_000);
        let payer_paid = sale.payment.amount.fen() - coupon;
        let proof = Proof { gateway_txn: txn.clone(), paid_at: self.now, payer_paid, coupon };
        let attempt = sale.payment.attempts.last_mut().unwrap();
        *attempt = Attempt { phase: Phase::Paid(proof), wake: None, ..attempt.clone() };
        sale.receipt = ReceiptState::Queued;
        sale.copies += 1;
        let job = JobChange { job: None, state: ReceiptState::Queued, marked: false };
        let kept = self.append(
            journal,
            sale,
            &format!("paid {} {txn}", sale.id.clone()),
            Some(job),
            Durability::PowerCut,
        );
        kept.job.unwrap()
    }

    fn print(&mut self, journal: &mut Journal, sale: &mut Sale, job: JobId, state: ReceiptState) {
        sale.receipt = state;
        let change = JobChange { job: Some(job), state, marked: false };
        self.append(journal, sale, state.label(), Some(change), Durability::ProcessEnd);
    }

    /// A whole sale: opened, scanned, paid, printed.
    fn sell(&mut self, journal: &mut Journal, fen: u32) -> Sale {
        let mut sale = self.begin(journal, fen);
        self.scan(journal, &mut sale);
        let job = self.pay(journal, &mut sale, 0);
        self.print(journal, &mut sale, job, ReceiptState::Sending);
        self.print(journal, &mut sale, job, ReceiptState::Printed);
        sale
    }

    fn append(
        &mut self,
        journal: &mut Journal,
        sale: &mut Sale,
        event: &str,
        job: Option<JobChange>,
        durability: Durability,
    ) -> Kept {
        sale.updated_at = self.now;
        journal.append(&Entry { at: self.now, event, sale, job }, durability).unwrap()
    }
}

/// A child that another test is starting has this process's locks until it runs its own program.
fn once_free<T>(mut attempt: impl FnMut() -> Result<T, JournalError>) -> Result<T, JournalError> {
    let patience = Instant::now() + Duration::from_secs(20);
    loop {
        match attempt() {
            Err(JournalError::InUse { .. }) if Instant::now() < patience => std::thread::yield_now(),
            done => return done,
        }
    }
}

/// The process ends here without a word, as after `kill -9`: nothing is written or closed in order.
fn kill(journal: Journal) {
    drop(journal);
}
