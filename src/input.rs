//! Everything that can reach the loop, and everything that it tells the others. Doors send these; none knows the loop.

use tokio::sync::{broadcast, mpsc, oneshot};

use crate::ids::{PaymentCode, SaleId};
use crate::money::Amount;
use crate::payment::{Answer, ReversalAnswer};
use crate::refund;
use crate::sale::{NewRefund, NewSale, Sale};
use crate::time::Timestamp;

/// How doors reach the loop. Bounded: a device that floods waits for itself, not for others.
pub type Inbox = mpsc::Sender<Input>;

/// Everything that can reach the loop.
#[derive(Debug)]
pub enum Input {
    /// A scanner read something.
    Scan(Scan),
    /// A device came, went, or has something to say.
    Device(Device),
    /// A print job ended, one way or another.
    Print(Printed),
    /// The pay request of an attempt is over.
    Answered(SaleId, u8, Answer),
    /// A query of an attempt is over; the number is the one that it was asked with.
    Queried(SaleId, u8, u64, Answer),
    /// A reverse request of an attempt is over; the number is the one that it was asked with.
    Reversed(SaleId, u8, u64, ReversalAnswer),
    /// A request about a refund (its ordinal, from 1) is over; the number is the one that it was asked with.
    Refunded(SaleId, u8, refund::Asked, u64, refund::Answer),
    /// Somebody asks for something.
    Command(Command),
}

/// What a scanner read.
#[derive(Debug)]
pub enum Scan {
    /// The first characters of something: the line to the gateway is warmed while the rest arrives.
    Begun,
    /// A whole code from the scanner with this name.
    Code(String, PaymentCode),
    /// Something that is not a whole payment code, from the scanner with this name.
    Refused(String, ScanRefusal),
}

/// Why something that was read is not a payment code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ScanRefusal {
    /// Something else than digits.
    NotDigits,
    /// Too short or too long, also two codes run together.
    Length,
    /// It broke off: no end within the time.
    Broken,
    /// The kernel lost a part; nothing of it is used.
    Lost,
    /// More than a code can be, without an end.
    Flood,
}

/// What a device is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DeviceKind {
    /// Reads codes.
    Scanner,
    /// Prints receipts.
    Printer,
    /// Shows amounts to the customer.
    Display,
    /// Holds the journal; only told of while it is nearly full, and when it no longer is.
    Disk,
}

/// A device's own report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// What it is.
    pub kind: DeviceKind,
    /// Its name in the configuration or its path.
    pub name: String,
    /// Whether it can be used.
    pub ready: bool,
    /// What is wrong and what to do, Chinese first; empty when all is well.
    pub trouble: String,
}

/// The name of a print job: the journal's.
pub type JobId = u64;

/// The end of a print job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Printed {
    /// Which.
    pub job: JobId,
    /// How.
    pub outcome: PrintOutcome,
}

/// How a print job ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PrintOutcome {
    /// The printer proved it.
    Printed,
    /// Every byte was sent, or may have been; nothing proves the paper.
    Unconfirmed(String),
    /// The printer says it did not come out whole.
    Failed(String),
    /// No byte was sent: it can be sent again without a mark.
    NotStarted(String),
}

/// What somebody can ask of the loop, with the way to answer.
#[derive(Debug)]
pub enum Command {
    /// Open a sale; the code if the POS sent one along.
    Open(NewSale, String, Option<PaymentCode>, Reply<Result<Opened, Refused>>),
    /// A code from the API, as a scanner would have sent it.
    Scan(PaymentCode, Reply<Result<Sale, Refused>>),
    /// The sale is no longer wanted.
    Cancel(SaleId, Reply<Result<Sale, Refused>>),
    /// Ask the gateway now.
    Check(SaleId, Reply<Result<Sale, Refused>>),
    /// Give money back, under this idempotency key.
    Refund(SaleId, NewRefund, String, Reply<Result<Refunding, Refused>>),
    /// Another receipt, marked as a copy.
    Reprint(SaleId, Reply<Result<Sale, Refused>>),
    /// Open the drawer.
    Drawer(Reply<Result<(), Refused>>),
    /// How everything is.
    Status(Reply<Status>),
}

/// The way to answer a command.
pub type Reply<T> = oneshot::Sender<T>;

/// A refund that was asked for.
#[derive(Debug, Clone)]
pub struct Refunding {
    /// The sale with its refunds.
    pub sale: Sale,
    /// Which of them it is, from 1.
    pub ordinal: u8,
    /// Whether it was asked for now; else the idempotency key was known and nothing was done.
    pub new: bool,
}

/// A sale that was asked for.
#[derive(Debug, Clone)]
pub struct Opened {
    /// The sale.
    pub sale: Sale,
    /// Whether it was opened now; else the idempotency key was known and nothing was done.
    pub new: bool,
}

/// Why a command was not carried out. Nothing was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refused {
    /// Another sale is in hand.
    Busy(SaleId),
    /// The idempotency key was used for another request.
    KeyReused(SaleId),
    /// No such sale.
    NeverSeen,
    /// The sale is in a phase in which this cannot be done; says which and why.
    NotNow(String),
    /// No sale waits for a code.
    NothingToPay,
    /// Not a payment code of a gateway that is set up.
    NotACode,
    /// Larger than the shop allows.
    TooMuch,
    /// More than is left of what was paid; says what is left, fen.
    RefundTooMuch(u32),
    /// A larger refund than the shop allows at the till.
    RefundLimit(Amount),
    /// The journal cannot be written; no sale is taken.
    JournalFailed(String),
    /// The terminal cannot take sales as it is set up (certificate, key, …); says why.
    NotReady(String),
}

/// How everything is: what is well, what is not, since when.
#[derive(Debug, Clone, Default)]
pub struct Status {
    /// Whether new sales are taken; else why not.
    pub refuses_sales: Option<String>,
    /// The sale in hand.
    pub in_hand: Option<SaleId>,
    /// Every device, and since when it is as it is.
    pub devices: Vec<(Device, Timestamp)>,
    /// Whether the gateway answered last time, and since when that is so; `None` before the first call.
    pub gateway: Option<(bool, Timestamp)>,
    /// The last failure of the line, in the log's words.
    pub gateway_trouble: String,
    /// Answers that were not authentic or not about us, since the start.
    pub suspicious_answers: u64,
    /// Open obligations, oldest first.
    pub open: Vec<Obligation>,
    /// When the certificate for reversals ends, if one is set up.
    pub certificate_ends: Option<Timestamp>,
    /// When the process started.
    pub started_at: Timestamp,
    /// Now, by the terminal's clock.
    pub now: Timestamp,
}

/// Something that is not finished.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Obligation {
    /// The sale.
    pub sale: SaleId,
    /// What is owed.
    pub kind: ObligationKind,
    /// Since when.
    pub since: Timestamp,
    /// When it is tried next; `None` when a person must act.
    pub next: Option<Timestamp>,
    /// The cashier's or manager's sentence.
    pub text: String,
}

/// Kinds of unfinished work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ObligationKind {
    /// An outcome to be looked up.
    Query,
    /// Money to be given back if it was taken.
    Reversal,
    /// A refund to be followed until the payer has it.
    Refund,
    /// A receipt to be printed or looked at.
    Receipt,
}

/// What the loop tells whoever listens.
#[derive(Debug, Clone)]
pub enum Notice {
    /// A sale changed; the journal's sequence number of the step. `None` when only the sentence moved on.
    Sale(Option<u64>, Box<Sale>),
    /// A device changed.
    Device(Device),
    /// The gateway answers again (`true`) or does not (`false`), in the log's words.
    Gateway(bool, String),
    /// Something for the cashier's ear and eye that is not about a sale: a scan with nothing to pay.
    Remark(Remark),
}

/// A sentence outside of any sale.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remark {
    /// `scan_refused`, `already_in_progress`, …
    pub code: &'static str,
    /// The sentence.
    pub text: String,
}

/// Where notices come from.
pub type Notices = broadcast::Sender<Notice>;
