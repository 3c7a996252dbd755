//! A sale as it is kept and shown: the payment and what the shop adds to it; and how others may read what was kept.

use crate::ids::{OrderNumber, SaleId};
use crate::money::Amount;
use crate::payment::{Payment, SalePhase};
use crate::time::{Day, Timestamp};

/// A sale as the journal keeps it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Sale {
    /// Its name; the order number of attempt *n* is `id.order(n)`.
    pub id: SaleId,
    /// Where its money is.
    pub payment: Payment,
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

/// A sale's id from what people type: the id itself or one of its order numbers.
pub fn id_from_text(text: &str, records: &dyn Records) -> Result<Option<Sale>, RecordsError> {
    if let Ok(id) = text.parse::<SaleId>()
        && let Some(sale) = records.sale(&id)?
    {
        return Ok(Some(sale));
    }
    match text.parse::<OrderNumber>() {
        Ok(order) => records.sale(&order.split().0),
        Err(_) => Ok(None),
    }
}
