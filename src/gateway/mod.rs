//! The door to a payment provider: a codec that turns a call into a request and an answer into an outcome, and a
//! transport that carries it. The codec does not sleep, retry, read a clock, choose a host or touch a socket.

pub mod http;
pub mod wechat;

use zeroize::Zeroizing;

use crate::ids::{OrderNumber, PaymentCode, RefundNumber};
use crate::money::Amount;
use crate::payment::{Answer, Cause, ReversalAnswer};
use crate::refund;
use crate::time::Day;

/// The most bytes of an answer that are taken off the line and looked at: 64 KiB. The largest field that WeChat documents
/// for payments is `promotion_detail` with 6000 characters, so its largest answer is about 25 KiB.
pub const LARGEST_ANSWER: usize = 64 * 1024;

/// A provider's codec.
pub trait Gateway: Send + Sync {
    /// The provider's name in the journal, the API and the log: `wechat`.
    fn name(&self) -> &'static str;

    /// Whether this text can be one of the provider's payment codes.
    fn accepts(&self, code: &PaymentCode) -> bool;

    /// The one pay request of an attempt. Consumes the code: there is no second one.
    fn pay(&self, order: &Order, code: PaymentCode) -> Call<Answer>;

    /// Asks for the state of an order.
    fn query(&self, order: &Order) -> Call<Answer>;

    /// Asks to take an order back, paid or not.
    fn reverse(&self, order: &Order) -> Call<ReversalAnswer>;

    /// Asks for a refund. May be asked again: the provider does once what it is asked under one refund number.
    fn refund(&self, refund: &RefundOrder) -> Call<refund::Answer>;

    /// Asks what became of a refund.
    fn query_refund(&self, refund: &RefundOrder) -> Call<refund::Answer>;

    /// Asks for the bill of a Beijing day: everything that was paid, reversed and refunded, of all the merchant's terminals.
    ///
    /// # Errors
    /// Why it cannot be asked for. Nothing was sent.
    fn statement(&self, day: Day) -> Result<Download, Cause>;
}

/// A request whose answer is not signed and may be large: it is read piece by piece, with [`http::Http::download`].
#[derive(Debug)]
pub struct Download {
    /// Path on the provider's host, `/pay/downloadbill`.
    pub path: &'static str,
    /// The body.
    pub body: Zeroizing<Vec<u8>>,
    /// The body's media type.
    pub content_type: &'static str,
}

/// What the provider must be told of a refund, and what its answers are held against.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RefundOrder {
    /// The order that was paid.
    pub order: Order,
    /// The merchant refund number.
    pub number: RefundNumber,
    /// What goes back.
    pub amount: Amount,
    /// Why, as the payer is told.
    pub reason: Option<String>,
}

/// What the provider must be told, and what its answers are held against.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Order {
    /// The merchant order number.
    pub number: OrderNumber,
    /// The price.
    pub amount: Amount,
    /// What the payer sees.
    pub subject: String,
}

/// A request that is ready to go, with the reader of its answer. `A` is [`Answer`], [`ReversalAnswer`] or [`refund::Answer`].
pub enum Call<A> {
    /// Send this.
    Send(Request<A>),
    /// Nothing was and nothing will be sent; the provider's field rules or our own set-up forbid it.
    NotSendable(A),
}

/// One HTTP POST and how to read what comes back.
pub struct Request<A> {
    /// Path on the provider's host, `/pay/micropay`.
    pub path: &'static str,
    /// The body; wiped when dropped, for it may hold a payment code.
    pub body: Zeroizing<Vec<u8>>,
    /// The body's media type.
    pub content_type: &'static str,
    /// Whether the provider wants the merchant's client certificate here.
    pub client_certificate: bool,
    /// When another host may be asked.
    pub second_host: SecondHost,
    /// Reads what comes back.
    pub read: Read<A>,
}

/// Makes an outcome of a whole answer: HTTP status and body.
pub type Read<A> = Box<dyn FnOnce(u16, &[u8]) -> A + Send>;

/// When another host may be asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SecondHost {
    /// Only if no byte of the request can have left: pay.
    IfNeverSent,
    /// After any failure, for the request can be repeated: query, reverse, refund.
    Always,
}

/// An outcome that can say that nothing is known.
pub trait Outcome: Sized + Send + 'static {
    /// No byte of the request can have left this machine.
    fn never_sent(cause: Cause) -> Self;
    /// Anything else that is not an answer.
    fn unknown(cause: Cause) -> Self;
}

impl Outcome for Answer {
    fn never_sent(cause: Cause) -> Self {
        Answer::NeverSent(cause)
    }
    fn unknown(cause: Cause) -> Self {
        Answer::Unknown(cause)
    }
}

impl Outcome for ReversalAnswer {
    fn never_sent(cause: Cause) -> Self {
        ReversalAnswer::NeverSent(cause)
    }
    fn unknown(cause: Cause) -> Self {
        ReversalAnswer::Unknown(cause)
    }
}

impl Outcome for refund::Answer {
    fn never_sent(cause: Cause) -> Self {
        refund::Answer::NeverSent(cause)
    }
    fn unknown(cause: Cause) -> Self {
        refund::Answer::Unknown(cause)
    }
}
