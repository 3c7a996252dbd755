//! What can happen to a payment: the cashier's acts, the gateway's words, the passing of time, a restart.

use crate::ids::CodeHint;
use crate::time::Timestamp;

/// Everything that can reach the machine. Late, repeated and contradicting events are normal.
#[derive(Clone, PartialEq, Eq, Debug, Hash)]
pub enum Event {
    /// A valid payment code was read for this sale. The code itself travels beside the machine, never through it.
    Code(CodeHint),
    /// The gateway's word, or its silence, on a pay or query request of the attempt with this ordinal (from 1).
    ///
    /// An answer reaches only the process that asked: after a [`Restarted`](Event::Restarted) none comes from before.
    Answered {
        /// The attempt's ordinal, from 1.
        attempt: u8,
        /// Which request it answers.
        to: Asked,
        /// What it says.
        answer: Answer,
    },
    /// The gateway's word, or its silence, on a reverse request.
    Reversed {
        /// The attempt's ordinal, from 1.
        attempt: u8,
        /// What it says.
        answer: ReversalAnswer,
    },
    /// The cashier (or the POS) no longer wants the sale.
    Cancel,
    /// Somebody asks what the gateway knows now.
    Check,
    /// The time that [`Payment::wake`](super::Payment::wake) named has come.
    Wake,
    /// The process is new; nothing that was under way is still under way, and no clock reading from before holds.
    Restarted,
}

/// The two requests that are answered with an [`Answer`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Asked {
    /// The one pay request of an attempt.
    Pay,
    /// A look-up by order number; changes nothing at the gateway.
    Query,
}

/// The gateway's word on an order. Not knowing is an answer.
#[derive(Clone, PartialEq, Eq, Debug, Hash)]
pub enum Answer {
    /// Authenticated: this order was paid, with our amount.
    Paid(Proof),
    /// Authenticated: the payer is looking at a password or confirmation dialog (`USERPAYING`), or the deduction is still
    /// to come (`ACCEPT`). Contradicts a refusal.
    AwaitingPayer,
    /// Authenticated, to a pay request only: refused with a code on the driver's allow-list. Confirmed by one query.
    Refused(Refusal),
    /// Authenticated: the order exists and is not paid, not yet or no more (`NOTPAY`).
    NotPaid,
    /// Authenticated: the gateway has no such order (`ORDERNOTEXIST`). Not final while the code can still arrive.
    NotFound,
    /// Authenticated: paying failed and the order wants to be reversed (`PAYERROR`).
    PayFailed,
    /// Authenticated and final: closed or reversed, no money with us (`CLOSED`, `REVOKED`).
    Closed,
    /// Authenticated: it was paid, and refunded at least in part (`REFUND`).
    Refunded,
    /// No byte of the request can have left this machine.
    NeverSent(Cause),
    /// Anything else: silence, an error, a reply that is not authentic or not about this order.
    Unknown(Cause),
}

/// What the gateway says of a paid order.
#[derive(Clone, PartialEq, Eq, Debug, Hash)]
pub struct Proof {
    /// The gateway's own number (`transaction_id`).
    pub gateway_txn: String,
    /// When it was paid, by the gateway's clock (`time_end`).
    pub paid_at: Timestamp,
    /// What the payer's own purse gave, fen (`cash_fee`); may be 0.
    pub payer_paid: u32,
    /// What coupons gave, fen (`coupon_fee`); `payer_paid + coupon` is the amount.
    pub coupon: u32,
}

/// A refusal that the driver's table lists as "certainly not paid".
#[derive(Clone, PartialEq, Eq, Debug, Hash)]
pub struct Refusal {
    /// The gateway's code, `NOTENOUGH`.
    pub code: String,
    /// The gateway's own text, for the log; at most 128 characters, control characters removed.
    pub text: String,
    /// What it means at the till.
    pub reason: Reason,
}

/// Why an attempt did not become a payment, in the cashier's terms.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Reason {
    /// The code is older than about a minute: refresh and scan again.
    CodeExpired,
    /// The code was used before: refresh and scan again.
    CodeUsed,
    /// Not a payment code of this wallet.
    CodeInvalid,
    /// The purse or card has too little: another card or tender.
    BalanceTooLow,
    /// The card is not accepted for this: another card.
    CardNotSupported,
    /// The payer pressed cancel.
    CancelledByPayer,
    /// The payer's account may not pay this: another tender.
    PayerNotAllowed,
    /// Another payer already tried this order.
    OtherPayer,
    /// The order number is already used, closed or reversed: a new attempt has a new one.
    NumberUsed,
    /// The merchant's account, contract or configuration is at fault: call the manager.
    Merchant,
    /// The line is down; nothing was sent.
    LineDown,
    /// The request broke the gateway's field rules and was not sent: call the manager.
    NotSendable,
    /// The gateway refused for a reason that fits none of these.
    Other,
}

/// The gateway's word on a reverse request.
#[derive(Clone, PartialEq, Eq, Debug, Hash)]
pub enum ReversalAnswer {
    /// Authenticated: reversed, no need to call again (`result_code=SUCCESS`, `recall=N`).
    Done,
    /// Authenticated: call again (`recall=Y`, `SYSTEMERROR`, `USERPAYING`).
    Again,
    /// Authenticated: the gateway has no such order.
    NotFound,
    /// Authenticated: it will not reverse this (`REVERSE_EXPIRE`, `TRADE_ERROR`, …).
    Refused(Refusal),
    /// No byte of the request can have left this machine.
    NeverSent(Cause),
    /// Anything else.
    Unknown(Cause),
}

/// Why nothing is known, or why nothing was sent. The machine does not look inside; the log and the alarms do.
#[derive(Clone, PartialEq, Eq, Debug, Hash)]
pub enum Cause {
    /// No address for the host.
    Dns,
    /// No connection.
    Connect,
    /// No TLS connection that can be trusted.
    Tls,
    /// The client certificate is missing here.
    ClientCertificate,
    /// The request breaks a field rule of the gateway; names the field.
    Field(&'static str),
    /// Others were asked about first, and nothing was sent: says nothing about the line.
    NoTurn,
    /// No whole answer within the time allowed.
    Timeout,
    /// The connection broke before the answer was whole.
    ConnectionLost,
    /// An HTTP status that WeChat does not use for answers.
    HttpStatus(u16),
    /// The answer is larger than any answer of the gateway.
    TooLarge,
    /// The answer is not the gateway's XML.
    Malformed,
    /// `return_code=FAIL`: never signed, so never believed.
    ProtocolFailure(String),
    /// A signature is missing where one is due.
    Unsigned,
    /// The signature is wrong.
    BadSignature,
    /// Authentic, but about another merchant or application.
    OtherMerchant,
    /// Authentic, but about another order.
    OtherOrder,
    /// Authentic, but about another amount or currency.
    OtherAmount,
    /// Authentic, but it was heard before: an answer that names no order is believed once.
    Repeated,
    /// Authentic, and a code that says "not known" or that the driver's table does not list.
    Code(String),
}

impl Cause {
    /// Whether somebody may be tampering with, or misconfiguring, the line: worth an alarm, not only a line in the log.
    pub fn is_suspicious(&self) -> bool {
        match self {
            Cause::Unsigned
            | Cause::BadSignature
            | Cause::OtherMerchant
            | Cause::OtherOrder
            | Cause::OtherAmount
            | Cause::Repeated
            | Cause::Tls => true,
            Cause::Dns
            | Cause::Connect
            | Cause::ClientCertificate
            | Cause::Field(_)
            | Cause::NoTurn
            | Cause::Timeout
            | Cause::ConnectionLost
            | Cause::HttpStatus(_)
            | Cause::TooLarge
            | Cause::Malformed
            | Cause::ProtocolFailure(_)
            | Cause::Code(_) => false,
        }
    }
}

impl std::fmt::Display for Cause {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Cause::Dns => f.write_str("no address for the gateway's host"),
            Cause::Connect => f.write_str("no connection to the gateway"),
            Cause::Tls => f.write_str("no trusted TLS connection to the gateway"),
            Cause::ClientCertificate => f.write_str("the merchant's client certificate is not set up"),
            Cause::Field(name) => write!(f, "field {name} breaks the gateway's rules"),
            Cause::NoTurn => f.write_str("others were asked about first"),
            Cause::Timeout => f.write_str("no answer in time"),
            Cause::ConnectionLost => f.write_str("connection lost before the answer was whole"),
            Cause::HttpStatus(status) => write!(f, "http status {status}"),
            Cause::TooLarge => f.write_str("answer too large"),
            Cause::Malformed => f.write_str("answer is not the gateway's xml"),
            Cause::ProtocolFailure(text) => write!(f, "unsigned protocol failure: {text}"),
            Cause::Unsigned => f.write_str("answer is not signed"),
            Cause::BadSignature => f.write_str("answer has a wrong signature"),
            Cause::OtherMerchant => f.write_str("answer is about another merchant"),
            Cause::OtherOrder => f.write_str("answer is about another order"),
            Cause::OtherAmount => f.write_str("answer is about another amount"),
            Cause::Repeated => f.write_str("answer was given before, to another question"),
            Cause::Code(code) => write!(f, "gateway code {code}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_may_be_tampering_is_suspicious_and_every_cause_has_words_of_its_own() {
        let suspicious = [
            Cause::Tls,
            Cause::Unsigned,
            Cause::BadSignature,
            Cause::OtherMerchant,
            Cause::OtherOrder,
            Cause::OtherAmount,
            Cause::Repeated,
        ];
        let ordinary = [
            Cause::Dns,
            Cause::Connect,
            Cause::ClientCertificate,
            Cause::Field("body"),
            Cause::NoTurn,
            Cause::Timeout,
            Cause::ConnectionLost,
            Cause::HttpStatus(502),
            Cause::TooLarge,
            Cause::Malformed,
            Cause::ProtocolFailure("sign error".to_owned()),
            Cause::Code("SYSTEMERROR".to_owned()),
        ];
        assert!(suspicious.iter().all(Cause::is_suspicious));
        assert!(!ordinary.iter().any(Cause::is_suspicious));
        let words: std::collections::BTreeSet<String> =
            suspicious.iter().chain(&ordinary).map(Cause::to_string).collect();
        assert_eq!(words.len(), suspicious.len() + ordinary.len());
        assert!(!words.contains(""));
        for detail in ["body", "502", "sign error", "SYSTEMERROR"] {
            assert!(words.iter().any(|words| words.contains(detail)), "{detail}");
        }
    }
}
