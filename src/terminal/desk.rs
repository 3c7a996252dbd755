//! What the terminal does with each input: step, append, then acts. Synchronous and without a clock, so that the same
//! code runs under the real loop and in a simulated world; it never waits for a printer, a scanner or the gateway.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use crate::gateway::{Gateway, Order, RefundOrder};
use crate::ids::{OrderNumber, PaymentCode, SaleId, TerminalId};
use crate::input::{Command, Device, Input, Notice, Opened, Refused, Remark, Scan, Status};
use crate::journal::{self, Entry, Journal, JournalError};
use crate::money::Amount;
use crate::payment::cashier::Language;
use crate::payment::{self, Event, Payment, Policy, SalePhase};
use crate::printer::Job;
use crate::refund::{self, Asked, Refund};
use crate::sale::{NewSale, ReceiptState, Records, Sale};
use crate::terminal::codes::RecentCodes;
use crate::terminal::keeping::Happening;
use crate::terminal::words;
use crate::time::Timestamp;

/// What does not change while the terminal runs.
pub struct Setup {
    /// Its name.
    pub terminal: TerminalId,
    /// The shop, as receipts name it.
    pub store_name: String,
    /// What payers see when the sale does not say.
    pub subject: String,
    /// The waits.
    pub policy: Policy,
    /// The cashier's language.
    pub language: Language,
    /// The largest sale, if there is a limit.
    pub max_amount: Option<Amount>,
    /// The largest refund that is taken at the till, if there is a limit.
    pub max_refund: Option<Amount>,
    /// Whether there is a printer at all; without one no receipt is due.
    pub prints: bool,
    /// Whether the drawer opens for a paid sale.
    pub opens_drawer: bool,
    /// Play money: receipts say so.
    pub sandbox: bool,
    /// Why no sale can be taken as the terminal is set up, if so.
    pub not_ready: Option<String>,
    /// The provider's codec.
    pub gateway: Arc<dyn Gateway>,
}

/// What every receipt of this terminal says.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The shop.
    pub store_name: String,
    /// The terminal.
    pub terminal: TerminalId,
    /// Play money.
    pub sandbox: bool,
}

impl Setup {
    /// What every receipt says.
    pub fn facts(&self) -> Facts {
        Facts { store_name: self.store_name.clone(), terminal: self.terminal.clone(), sandbox: self.sandbox }
    }
}

/// What the shell must carry out, in order.
#[derive(Debug)]
pub enum Act {
    /// Send the one pay request of this attempt, and report the answer.
    Pay(SaleId, u8, Order, PaymentCode),
    /// Ask for this attempt's state, and report the answer with this number.
    Query(SaleId, u8, Order, u64),
    /// Ask to reverse this attempt, and report the answer with this number.
    Reverse(SaleId, u8, Order, u64),
    /// Ask for this refund, or what became of it, and report the answer with this number.
    Refund(SaleId, u8, Asked, RefundOrder, u64),
    /// Make sure that the pay request will not wait for a handshake.
    Warm,
    /// Hand this to the printer, and report if it does not take it.
    Print(Job),
    /// Tell whoever listens.
    Tell(Notice),
}

/// The terminal's state between inputs.
pub struct Desk {
    pub(super) setup: Setup,
    pub(super) journal: Journal,
    pub(super) records: Arc<dyn Records>,
    /// Sales with open attempts, and sales whose receipt is under way.
    pub(super) sales: BTreeMap<SaleId, Sale>,
    pub(super) in_hand: Option<SaleId>,
    /// Steps whose effect may precede the disk (the scan of an armed attempt), to be written when the request is out.
    pub(super) deferred: VecDeque<(Timestamp, String, Sale)>,
    /// Events that could not be kept because the journal failed; tried again, in order.
    pub(super) stuck: VecDeque<(SaleId, Happening)>,
    pub(super) retry_at: Option<Timestamp>,
    pub(super) journal_trouble: Option<String>,
    pub(super) jobs: super::printing::Jobs,
    pub(super) acts: Vec<Act>,
    pub(super) queries: super::keeping::UnderWay,
    pub(super) reversals: super::keeping::UnderWay,
    pub(super) refunds: super::refunding::UnderWay,
    recent: RecentCodes,
    devices: Vec<(Device, Timestamp)>,
    pub(super) gateway: Option<(bool, Timestamp)>,
    pub(super) gateway_trouble: String,
    pub(super) suspicious: u64,
    certificate_ends: Option<Timestamp>,
    started_at: Timestamp,
    /// When the log was told last what is not finished; `None` while all is.
    pub(super) reminded: Option<Timestamp>,
}

impl Desk {
    /// Takes over what was open, and tells the machine about the restart.
    pub fn start(
        setup: Setup,
        opened: journal::Opened,
        certificate_ends: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<Self, JournalError> {
        let journal::Opened { journal, open, jobs, unsynced_lost } = opened;
        let records = journal.records();
        let mut desk = Self {
            setup,
            journal,
            records,
            sales: open.into_iter().map(|sale| (sale.id.clone(), sale)).collect(),
            in_hand: None,
            deferred: VecDeque::new(),
            stuck: VecDeque::new(),
            retry_at: None,
            journal_trouble: None,
            jobs: super::printing::Jobs::default(),
            acts: Vec::new(),
            queries: super::keeping::UnderWay::default(),
            reversals: super::keeping::UnderWay::default(),
            refunds: super::refunding::UnderWay::default(),
            recent: RecentCodes::default(),
            devices: Vec::new(),
            gateway: None,
            gateway_trouble: String::new(),
            suspicious: 0,
            certificate_ends,
            started_at: now,
            reminded: None,
        };
        let ids: Vec<SaleId> = desk.sales.keys().cloned().collect();
        for id in ids {
            desk.apply(&id, Event::Restarted, None, now)?;
            for ordinal in desk.open_refunds(&id) {
                desk.apply_refund(&id, ordinal, refund::Event::Restarted, now)?;
            }
            if desk.sales.get(&id).is_some_and(|sale| sale.payment.holds_lane()) {
                desk.in_hand = Some(id);
            }
        }
        desk.restore_jobs(jobs, unsynced_lost, now)?;
        desk.look_for_room(now);
        desk.print_next(now);
        desk.remind(now, true);
        Ok(desk)
    }

    /// Answers one input. What is to be done is in [`take_acts`](Self::take_acts) afterwards.
    pub fn handle(&mut self, input: Input, now: Timestamp) {
        match input {
            Input::Scan(Scan::Begun) => {
                if self.awaits_code() {
                    self.acts.push(Act::Warm);
                }
            }
            Input::Scan(Scan::Code(_, code)) => {
                if let Err(refused) = self.scanned(code, now) {
                    self.remark(words::scan_refused(&refused, self.setup.language));
                }
            }
            Input::Scan(Scan::Refused(_, why)) => {
                self.remark(words::scan_unreadable(why, self.setup.language));
            }
            Input::Device(device) => self.device(device, now),
            Input::Print(printed) => self.printed(printed, now),
            Input::Answered(id, attempt, answer) => {
                self.heard(&answer, now);
                self.event(&id, Event::Answered { attempt, to: payment::Asked::Pay, answer }, now);
            }
            Input::Queried(id, attempt, number, answer) => self.queried(&id, attempt, number, answer, now),
            Input::Reversed(id, attempt, number, answer) => self.reversed(&id, attempt, number, answer, now),
            Input::Refunded(id, n, asked, number, answer) => {
                self.refunded(&id, n, asked, number, answer, now);
            }
            Input::Command(command) => self.command(command, now),
        }
        self.print_next(now);
    }

    /// Rings the timers that are due.
    pub fn tick(&mut self, now: Timestamp) {
        if self.retry_at.is_some_and(|at| at <= now) {
            self.retry_stuck(now);
        }
        let due: Vec<SaleId> = self
            .sales
            .values()
            .filter(|sale| sale.wake().is_some_and(|at| at <= now))
            .map(|sale| sale.id.clone())
            .collect();
        for id in due {
            self.event(&id, Event::Wake, now);
            self.wake_refunds(&id, now);
        }
        self.print_next(now);
        self.remind(now, false);
    }

    /// When [`tick`](Self::tick) is wanted next.
    pub fn next_tick(&self) -> Option<Timestamp> {
        // A sale with a stuck event waits for the journal, not for its own timer.
        let stuck = |id: &SaleId| self.stuck.iter().any(|(other, _)| other == id);
        let wakes = self.sales.values().filter(|sale| !stuck(&sale.id)).filter_map(Sale::wake);
        wakes.chain(self.retry_at).chain(self.jobs.retry_at()).min()
    }

    /// What is to be done, in order.
    pub fn take_acts(&mut self) -> Vec<Act> {
        std::mem::take(&mut self.acts)
    }

    /// Whether a sale is in hand; an idle moment is one without.
    pub fn is_idle(&self) -> bool {
        self.in_hand.is_none() && self.deferred.is_empty()
    }

    /// Whether rows wait for the request that overtook them to leave.
    pub fn has_deferred(&self) -> bool {
        !self.deferred.is_empty()
    }

    /// One line for `systemctl status`.
    pub fn summary(&self) -> String {
        let state = match self.refuses_sales() {
            Some(why) => words::refused(&why, self.setup.language),
            None => words::summary(self.in_hand.is_some(), self.setup.language).to_owned(),
        };
        words::with_unfinished(state, &self.unfinished(), self.setup.language)
    }

    /// Whether any timer runs that must not be put off: the clock may be set right only when none does. A refund that was
    /// taken on can take days, and one that is stuck has no end here: [`clock_set`](Self::clock_set) sets their timers anew.
    pub fn has_waits(&self) -> bool {
        let asking = |refund: &Refund| matches!(refund.phase, refund::Phase::Asking(_));
        let waits = |sale: &Sale| sale.payment.wake().is_some() || sale.refunds.iter().any(asking);
        self.sales.values().any(waits) || self.retry_at.is_some() || self.jobs.retry_at().is_some()
    }

    /// Work for an idle moment.
    pub fn idle(&mut self, now: Timestamp) {
        if let Err(error) = self.journal.idle() {
            tracing::warn!("journal upkeep failed: {error}");
        }
        self.look_for_room(now);
    }

    /// A clean end: what was deferred is written, the journal is closed.
    pub fn close(mut self, now: Timestamp) -> Result<(), JournalError> {
        self.settle(now);
        self.journal.close()
    }

    /// A reader beside the writer.
    pub fn records(&self) -> Arc<dyn Records> {
        Arc::clone(&self.records)
    }

    /// Whether the sale in hand waits for a payment code.
    pub fn awaits_code(&self) -> bool {
        let sale = self.in_hand.as_ref().and_then(|id| self.sales.get(id));
        sale.is_some_and(|sale| sale.payment.phase() == SalePhase::AwaitingCode)
    }

    /// A code was read. At most one pay request follows from it; a code that is not used is forgotten here.
    fn scanned(&mut self, code: PaymentCode, now: Timestamp) -> Result<SaleId, Refused> {
        if !self.setup.gateway.accepts(&code) {
            return Err(Refused::NotACode);
        }
        let id = self.in_hand.clone().ok_or(Refused::NothingToPay)?;
        if !self.awaits_code() || self.recent.used(&code, now) {
            return Err(Refused::NotNow(words::in_progress(self.setup.language).to_owned()));
        }
        if let Some(why) = &self.setup.not_ready {
            return Err(Refused::NotReady(why.clone()));
        }
        self.recent.remember(&code, now);
        let hint = code.hint();
        self.apply(&id, Event::Code(hint), Some(code), now)
            .map_err(|error| Refused::JournalFailed(error.to_string()))?;
        Ok(id)
    }

    fn command(&mut self, command: Command, now: Timestamp) {
        // A reply that nobody waits for any more is no failure: the work is done all the same.
        match command {
            Command::Open(new, key, code, reply) => {
                let answer = self.open(new, &key, code, now);
                let _ = reply.send(answer);
            }
            Command::Scan(code, reply) => {
                let scanned = self.scanned(code, now);
                let _ = reply.send(scanned.and_then(|id| self.find(&id)));
            }
            Command::Cancel(id, reply) => {
                let _ = reply.send(self.ask(&id, Event::Cancel, now));
            }
            Command::Check(id, reply) => {
                let checked = self.ask(&id, Event::Check, now);
                let _ = reply.send(checked.and_then(|_| self.check_refunds(&id, now)));
            }
            Command::Refund(id, new, key, reply) => {
                let _ = reply.send(self.refund(&id, new, &key, now));
            }
            Command::Reprint(id, reply) => {
                let _ = reply.send(self.reprint(&id, now));
            }
            Command::Drawer(reply) => {
                let answer = if self.setup.prints {
                    tracing::warn!("drawer opened by hand");
                    self.acts.push(Act::Print(Job::Drawer));
                    Ok(())
                } else {
                    Err(Refused::NotNow(words::no_printer(self.setup.language).to_owned()))
                };
                let _ = reply.send(answer);
            }
            Command::Status(reply) => {
                let _ = reply.send(self.status(now));
            }
        }
    }

    fn open(
        &mut self,
        new: NewSale,
        key: &str,
        code: Option<PaymentCode>,
        now: Timestamp,
    ) -> Result<Opened, Refused> {
        let failed = |error: JournalError| Refused::JournalFailed(error.to_string());
        let fingerprint = new.fingerprint();
        match self.journal.by_key(key, &fingerprint).map_err(failed)? {
            Some((id, true)) => return Ok(Opened { sale: self.find(&id)?, new: false }),
            Some((id, false)) => return Err(Refused::KeyReused(id)),
            None => {}
        }
        if let Some(why) = self.refuses_sales() {
            return Err(why);
        }
        if let Some(id) = &self.in_hand {
            return Err(Refused::Busy(id.clone()));
        }
        if self.setup.max_amount.is_some_and(|most| new.amount > most) {
            return Err(Refused::TooMuch);
        }
        if code.as_ref().is_some_and(|code| !self.setup.gateway.accepts(code)) {
            return Err(Refused::NotACode);
        }
        if code.as_ref().is_some_and(|code| self.recent.used(code, now)) {
            return Err(Refused::NotNow(words::in_progress(self.setup.language).to_owned()));
        }
        self.acts.push(Act::Warm);
        let id = self.journal.name_sale(now.day()).map_err(failed)?;
        let sale = Sale {
            refunds: Vec::new(),
            payment: Payment::new(new.amount, code.is_some(), now, &self.setup.policy),
            subject: new.subject.unwrap_or_else(|| self.setup.subject.clone()),
            reference: new.reference,
            gateway: self.setup.gateway.name().to_owned(),
            receipt: ReceiptState::None,
            copies: 0,
            created_at: now,
            updated_at: now,
            id,
        };
        self.settle(now);
        let event = words::opened(&sale);
        let entry = Entry { at: now, event: &event, sale: &sale, job: None };
        match self.journal.open_sale(&entry, key, &fingerprint) {
            Ok(kept) => self.kept(kept.sequence, &event, &sale),
            Err(error) => {
                self.journal_failed(&error, now);
                return Err(failed(error));
            }
        }
        let id = sale.id.clone();
        self.in_hand = Some(id.clone());
        self.sales.insert(id.clone(), sale);
        if let Some(code) = code {
            self.scanned(code, now)?;
        }
        Ok(Opened { sale: self.find(&id)?, new: true })
    }

    /// An event that a person asked for; the sale afterwards.
    fn ask(&mut self, id: &SaleId, event: Event, now: Timestamp) -> Result<Sale, Refused> {
        self.find(id)?;
        self.apply(id, event, None, now).map_err(|error| Refused::JournalFailed(error.to_string()))?;
        self.find(id)
    }

    /// The sale as it is now.
    pub(super) fn find(&self, id: &SaleId) -> Result<Sale, Refused> {
        if let Some(sale) = self.sales.get(id) {
            return Ok(sale.clone());
        }
        let kept = self.records.sale(id).map_err(|error| Refused::JournalFailed(error.to_string()))?;
        kept.ok_or(Refused::NeverSeen)
    }

    /// What the gateway is asked about this attempt.
    pub(super) fn order(sale: &Sale, attempt: u8) -> Order {
        let number: OrderNumber = sale.id.order(attempt);
        Order { number, amount: sale.payment.amount, subject: sale.subject.clone() }
    }

    pub(super) fn remark(&mut self, remark: Remark) {
        tracing::info!("{}: {}", remark.code, remark.text);
        self.acts.push(Act::Tell(Notice::Remark(remark)));
    }

    pub(super) fn refuses_sales(&self) -> Option<Refused> {
        if let Some(why) = &self.setup.not_ready {
            return Some(Refused::NotReady(why.clone()));
        }
        self.journal_trouble.as_ref().map(|why| Refused::JournalFailed(why.clone()))
    }

    /// A disk with room enough is no news, unless it had none.
    pub(super) fn disk(&mut self, disk: Device, now: Timestamp) {
        if !disk.ready || self.devices.iter().any(|(known, _)| known.kind == disk.kind) {
            self.device(disk, now);
        }
    }

    fn device(&mut self, device: Device, now: Timestamp) {
        let same = |known: &Device| known.kind == device.kind && known.name == device.name;
        match self.devices.iter_mut().find(|(known, _)| same(known)) {
            Some((known, _)) if *known == device => return,
            Some(slot) => *slot = (device.clone(), now),
            None => self.devices.push((device.clone(), now)),
        }
        match device.ready {
            true => tracing::info!("{:?} {} is ready", device.kind, device.name),
            false => tracing::warn!("{:?} {}: {}", device.kind, device.name, device.trouble),
        }
        self.printer_changed(&device);
        self.acts.push(Act::Tell(Notice::Device(device)));
    }

    fn status(&self, now: Timestamp) -> Status {
        Status {
            refuses_sales: self.refuses_sales().map(|why| words::refused(&why, self.setup.language)),
            in_hand: self.in_hand.clone(),
            devices: self.devices.clone(),
            gateway: self.gateway,
            gateway_trouble: self.gateway_trouble.clone(),
            suspicious_answers: self.suspicious,
            open: self.obligations(now),
            certificate_ends: self.certificate_ends,
            started_at: self.started_at,
            now,
        }
    }
}
