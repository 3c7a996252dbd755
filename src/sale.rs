//! A sale as it is kept and shown: the payment and what the shop adds to it; and how others may read what was kept.

use crate::ids::{OrderNumber, RefundNumber, SaleId};
use crate::money::Amount;
use crate::payment::cashier::{self, Language, Next, Told};
use crate::payment::{Money, Payment, Policy, SalePhase};
use crate::refund::{self, Refund};
use crate::time::{Day, Timestamp};

/// A sale as the journal keeps it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Sale {
    /// Its name; the order number of attempt *n* is `id.order(n)`.
    pub id: SaleId,
    /// Where its money is.
    pub payment: Payment,
    /// What went back of it, or is to; oldest first, the ordinal of `refunds[i]` is `i + 1`.
    pub refunds: Vec<Refund>,
    /// What the payer sees.
    pub subject: String,
    /// The shop's own reference, if any.
    pub reference: Option<String>,
    /// The gateway that its attempts go to: `wechat`.
    pub gateway: String,
    /// Its receipt.
    pub receipt: ReceiptState,
    /// Receipts that were ordered for it, the first included.
    pub copies: u32,
    /// When the amount was entered.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

impl Sale {
    /// Whether its money still has somewhere to go: the payment or a refund is open.
    pub fn is_open(&self) -> bool {
        self.payment.is_open() || self.refunds.iter().any(Refund::is_open)
    }

    /// The earliest moment at which its payment or a refund wants to be woken.
    pub fn wake(&self) -> Option<Timestamp> {
        self.refunds.iter().filter_map(|refund| refund.wake).chain(self.payment.wake()).min()
    }

    /// The refund with this ordinal, from 1.
    pub fn refund(&self, ordinal: u8) -> Option<&Refund> {
        self.refunds.get(usize::from(ordinal).checked_sub(1)?)
    }

    /// What was refunded or may have been, fen.
    pub fn given_back(&self) -> u32 {
        // What the terminal asks for never exceeds the price; a sum of what it reads must not overflow.
        self.refunds
            .iter()
            .filter(|refund| refund.is_given())
            .fold(0, |sum, refund| sum.saturating_add(refund.amount.fen()))
    }

    /// What can still be refunded, fen; 0 of a sale that is not paid.
    pub fn refundable(&self) -> u32 {
        match self.payment.phase() {
            SalePhase::Paid => self.payment.amount.fen().saturating_sub(self.given_back()),
            SalePhase::AwaitingCode
            | SalePhase::Paying
            | SalePhase::Reversing
            | SalePhase::InDoubt
            | SalePhase::Declined
            | SalePhase::Reversed
            | SalePhase::Cancelled => 0,
        }
    }

    /// Where its money is: as the payment says, and with the payer again once all of it was refunded.
    pub fn money(&self) -> Money {
        let back = |refund: &Refund| matches!(refund.phase, refund::Phase::Returned { .. });
        let returned =
            self.refunds.iter().filter(|refund| back(refund)).map(|refund| u64::from(refund.amount.fen()));
        match self.payment.money() {
            Money::Taken if returned.sum::<u64>() >= self.payment.amount.fen().into() => Money::Returned,
            money => money,
        }
    }
}

/// What the cashier is told of `sale` at `now`. Goods whose price went back, or is to, are not handed over.
pub fn told(sale: &Sale, now: Timestamp, policy: &Policy, language: Language) -> Told {
    let told = cashier::told(&sale.payment, now, policy, language);
    let given = sale.given_back();
    if sale.payment.phase() != SalePhase::Paid || given == 0 {
        return told;
    }
    if given < sale.payment.amount.fen() {
        let given = format!("{}.{:02}", given / 100, given % 100);
        let text = match language {
            Language::Chinese => format!("{}；其中 {given} 元已退或正在退", told.text),
            Language::English => format!("{} Of it {given} was refunded or is going back.", told.text),
        };
        return Told { text, ..told };
    }
    let open = sale.refunds.iter().rev().find(|refund| refund.is_open());
    let needs_a_person = |refund: &Refund| match &refund.phase {
        refund::Phase::Asking(asking) => asking.called,
        refund::Phase::Accepted { called, .. } => *called,
        refund::Phase::Stuck { .. } => true,
        refund::Phase::Returned { .. } | refund::Phase::Refused(_) | refund::Phase::Closed { .. } => false,
    };
    let next = match open {
        Some(refund) if needs_a_person(refund) => Next::CallManager,
        Some(_) => Next::Wait,
        None => Next::OtherTender,
    };
    let text = match (open, language) {
        (Some(refund), Language::Chinese) => {
            format!("{}；请勿交付商品", refund::words::told(refund, language))
        }
        (Some(refund), Language::English) => {
            format!("{} Do not hand over the goods.", refund::words::told(refund, language))
        }
        (None, Language::Chinese) => "已全额退款，请勿交付商品".to_owned(),
        (None, Language::English) => "All of it was refunded. Do not hand over the goods.".to_owned(),
    };
    Told { text, next, hand_over_goods: false }
}

/// What a refund is asked for with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewRefund {
    /// What goes back.
    pub amount: Amount,
    /// Why, as the payer is told; at most 80 bytes.
    pub reason: Option<String>,
}

impl NewRefund {
    /// A text that is equal for equal requests: what an idempotency key is held against.
    pub fn fingerprint(&self) -> String {
        format!("{}\u{1f}{}", self.amount.fen(), self.reason.as_deref().unwrap_or("\u{0}"))
    }
}

/// Where a sale's latest receipt is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, Default)]
pub enum ReceiptState {
    /// No receipt is due.
    #[default]
    None,
    /// Waits for the printer; no byte was sent.
    Queued,
    /// Bytes may be on their way.
    Sending,
    /// The printer confirmed it.
    Printed,
    /// It may have come out; the printer cannot or did not say. Never printed again by itself.
    Unconfirmed,
    /// The printer said that it did not come out whole. A person decides.
    Failed,
}

impl ReceiptState {
    /// Every state.
    pub const ALL: [ReceiptState; 6] = [
        ReceiptState::None,
        ReceiptState::Queued,
        ReceiptState::Sending,
        ReceiptState::Printed,
        ReceiptState::Unconfirmed,
        ReceiptState::Failed,
    ];

    /// The name that the API and the journal use.
    pub fn label(self) -> &'static str {
        match self {
            ReceiptState::None => "none",
            ReceiptState::Queued => "queued",
            ReceiptState::Sending => "sending",
            ReceiptState::Printed => "printed",
            ReceiptState::Unconfirmed => "unconfirmed",
            ReceiptState::Failed => "failed",
        }
    }

    /// The state with this [`label`](Self::label).
    pub fn from_label(label: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.label() == label)
    }
}

/// What a new sale is asked for with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewSale {
    /// What it costs.
    pub amount: Amount,
    /// The shop's own reference, at most 64 characters.
    pub reference: Option<String>,
    /// What the payer sees; the terminal's default if absent.
    pub subject: Option<String>,
    /// Whether the POS sent the code along (the code itself travels beside).
    pub with_code: bool,
}

impl NewSale {
    /// A text that is equal for equal requests: what an idempotency key is held against.
    pub fn fingerprint(&self) -> String {
        format!(
            "{}\u{1f}{}\u{1f}{}\u{1f}{}",
            self.amount.fen(),
            self.reference.as_deref().unwrap_or("\u{0}"),
            self.subject.as_deref().unwrap_or("\u{0}"),
            self.with_code
        )
    }
}

/// One step of a sale's life, as the journal keeps it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LifeStep {
    /// The journal's sequence number.
    pub sequence: u64,
    /// When.
    pub at: Timestamp,
    /// What happened, in the log's words: `paid T01… 4200…`.
    pub event: String,
    /// The sale after it.
    pub sale: Sale,
}

/// Which sales a reader of the log wants, newest first.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Filter {
    /// Created on this day.
    pub day: Option<Day>,
    /// In this phase now.
    pub phase: Option<SalePhase>,
    /// Part of the id, an order number, the reference or the gateway's number.
    pub text: Option<String>,
    /// With exactly this reference.
    pub reference: Option<String>,
    /// At most this many.
    pub limit: usize,
    /// Only sales before this cursor of an earlier page.
    pub before: Option<u64>,
}

/// A page of the log.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Page {
    /// Newest first.
    pub sales: Vec<Sale>,
    /// The cursor of the next page, if there is one.
    pub next: Option<u64>,
}

/// A day's numbers. Fen.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Totals {
    /// Sales that were paid on the day.
    pub paid_count: u64,
    /// What they came to.
    pub paid_fen: u64,
    /// Of that, coupons.
    pub coupon_fen: u64,
    /// Refunds that the gateway took on on the day.
    pub refund_count: u64,
    /// What they came to.
    pub refund_fen: u64,
}

/// Why the journal could not be read.
#[derive(Debug, Clone, thiserror::Error)]
#[error("journal cannot be read: {0}")]
pub struct RecordsError(pub String);

/// Reading what was kept. Blocks on the disk: call it where blocking is allowed.
pub trait Records: Send + Sync {
    /// The sale with this name.
    fn sale(&self, id: &SaleId) -> Result<Option<Sale>, RecordsError>;
    /// The sale that was opened under this idempotency key.
    fn by_key(&self, key: &str) -> Result<Option<Sale>, RecordsError>;
    /// A page of the log.
    fn page(&self, filter: &Filter) -> Result<Page, RecordsError>;
    /// A sale's life, oldest step first.
    fn life(&self, id: &SaleId) -> Result<Vec<LifeStep>, RecordsError>;
    /// Steps after this sequence number, oldest first, at most `limit`: how a follower catches up.
    fn after(&self, sequence: u64, limit: usize) -> Result<Vec<LifeStep>, RecordsError>;
    /// The newest sequence number; 0 in an empty journal.
    fn newest(&self) -> Result<u64, RecordsError>;
    /// A day's numbers.
    fn totals(&self, day: Day) -> Result<Totals, RecordsError>;
}

/// A sale from what people type: its id, one of its order numbers or one of its refund numbers.
pub fn id_from_text(text: &str, records: &dyn Records) -> Result<Option<Sale>, RecordsError> {
    if let Ok(id) = text.parse::<SaleId>()
        && let Some(sale) = records.sale(&id)?
    {
        return Ok(Some(sale));
    }
    if let Ok(order) = text.parse::<OrderNumber>()
        && let Some(sale) = records.sale(&order.split().0)?
    {
        return Ok(Some(sale));
    }
    match text.parse::<RefundNumber>() {
        Ok(refund) => records.sale(&refund.split().0),
        Err(_) => Ok(None),
    }
}
