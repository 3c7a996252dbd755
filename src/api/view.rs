//! Sales as JSON: the names and forms that shops and POS programs are written against.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

mod refund;

pub use self::refund::{Refund, RefundPhase, Refunded};

use crate::payment::cashier::{self, Language};
use crate::payment::{self, Phase, Policy, SalePhase};
use crate::sale::{self, LifeStep, ReceiptState, Sale};
use crate::time::Timestamp;

/// Where a sale is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PhaseName {
    /// Waits for the customer's code; nothing was taken.
    AwaitingCode,
    /// Being paid; not known yet.
    Paying,
    /// Being taken back; whatever was taken goes back by itself.
    Reversing,
    /// Not known; a person is called, the terminal keeps trying.
    InDoubt,
    /// Paid. Final.
    Paid,
    /// Not paid. Final.
    Declined,
    /// Taken back, or never taken. Final.
    Reversed,
    /// Closed before any code was sent. Final.
    Cancelled,
}

/// What a sale waits for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum WaitingFor {
    /// The customer's code.
    Scan,
    /// The gateway's word.
    Gateway,
    /// The payer's password.
    PayerPassword,
}

/// Where the money is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Money {
    /// Nothing was taken.
    None,
    /// Something may have been taken.
    Possible,
    /// Taken; it is the shop's.
    Taken,
    /// Taken or not, it is with the payer again.
    Returned,
}

/// What the cashier does next.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Next {
    /// Scan the customer's code.
    Scan,
    /// Wait.
    Wait,
    /// Give the customer the goods.
    HandOver,
    /// Scan again, with a fresh code.
    Rescan,
    /// Take another way to pay.
    OtherTender,
    /// Call the manager.
    CallManager,
}

/// Where the latest receipt is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReceiptPhase {
    /// None is due.
    None,
    /// Waits for the printer.
    Queued,
    /// On its way.
    Sending,
    /// The printer confirmed it.
    Printed,
    /// It may have come out; look at the printer.
    Unconfirmed,
    /// It did not come out whole.
    Failed,
}

/// A language of the cashier's sentences.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub enum LangName {
    /// Simplified Chinese.
    #[serde(rename = "zh-CN")]
    Chinese,
    /// English.
    #[serde(rename = "en")]
    English,
}

/// One honest sentence, and whether to hand over the goods.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Cashier {
    /// The sentence. Show it; do not program against it.
    pub text: String,
    /// What to do next.
    pub next: Next,
    /// True only when the money is certainly taken and durably recorded.
    pub hand_over_goods: bool,
    /// Whole seconds until the terminal stops waiting for the scan or the payer; null when nothing runs out.
    #[schema(required = true)]
    pub seconds_left: Option<u64>,
}

/// One payment code with its own order number.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Attempt {
    /// The merchant order number.
    pub order_no: String,
    /// The gateway: `wechat`.
    pub gateway: String,
    /// The last digits of the code, all that is ever kept of it.
    #[schema(required = true)]
    pub code_hint: Option<String>,
    /// Where this attempt is.
    pub phase: PhaseName,
    /// The gateway's own number, once paid.
    #[schema(required = true)]
    pub gateway_txn: Option<String>,
    /// When it was paid, by the gateway's clock; RFC 3339.
    #[schema(required = true)]
    pub paid_at: Option<String>,
    /// Fen from the payer's own purse.
    #[schema(required = true)]
    pub payer_paid: Option<u32>,
    /// Fen from coupons.
    #[schema(required = true)]
    pub coupon: Option<u32>,
    /// The gateway's code in capitals, or the terminal's own reason in lower case: why it takes the payment back or doubts it.
    #[schema(required = true)]
    pub error_code: Option<String>,
    /// The gateway's own text.
    #[schema(required = true)]
    pub error_text: Option<String>,
}

/// The receipt of a payment.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Receipt {
    /// Where the latest one is.
    pub state: ReceiptPhase,
    /// How many were ordered, the first included.
    pub copies: u32,
}

/// A payment.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({
    "id": "T01261121000042000001", "reference": "POS-4711", "amount": 1250, "currency": "CNY",
    "subject": "朝阳门店-消费", "phase": "paid", "waiting_for": null, "money": "taken",
    "cashier": {"text": "已收款 12.50 元，请交付商品", "next": "hand_over", "hand_over_goods": true, "seconds_left": null},
    "attempts": [{"order_no": "T0126112100004200000101", "gateway": "wechat", "code_hint": "…8406", "phase": "paid",
        "gateway_txn": "4200000000202611210000000000", "paid_at": "2026-11-21T19:38:41.000+08:00",
        "payer_paid": 1150, "coupon": 100, "error_code": null, "error_text": null}],
    "refunds": [], "refundable": 1250, "receipt": {"state": "printed", "copies": 1},
    "created_at": "2026-11-21T19:38:31.250+08:00", "updated_at": "2026-11-21T19:38:42.010+08:00"
}))]
pub struct Payment {
    /// Its name.
    pub id: String,
    /// The shop's own reference.
    #[schema(required = true)]
    pub reference: Option<String>,
    /// What it costs, fen.
    #[schema(minimum = 1)]
    pub amount: u32,
    /// Always `CNY`.
    pub currency: String,
    /// What the payer sees.
    pub subject: String,
    /// Where the sale is.
    pub phase: PhaseName,
    /// What it waits for.
    #[schema(required = true)]
    pub waiting_for: Option<WaitingFor>,
    /// Where the money is.
    pub money: Money,
    /// What the cashier is told.
    pub cashier: Cashier,
    /// Oldest first; at most one is open and at most one is paid.
    pub attempts: Vec<Attempt>,
    /// What went back of it, or is to; oldest first.
    pub refunds: Vec<Refund>,
    /// What can still be refunded, fen.
    pub refundable: u32,
    /// Its receipt.
    pub receipt: Receipt,
    /// When the amount was entered; RFC 3339.
    pub created_at: String,
    /// When it last changed; RFC 3339.
    pub updated_at: String,
}

/// A page of the log, newest first.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Payments {
    /// Newest first.
    pub payments: Vec<Payment>,
    /// What to send as `cursor` for the next page; null on the last one.
    #[schema(required = true)]
    pub next_cursor: Option<String>,
}

/// What was asked for by reference or key: the newest such payment itself, and all of them as a page.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, ToSchema)]
pub struct Found {
    /// The newest.
    #[serde(flatten)]
    pub newest: Payment,
    /// All, the newest first.
    #[serde(flatten)]
    pub page: Payments,
}

/// The answer to a question for payments.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub enum Listing {
    /// By reference or key.
    Found(Box<Found>),
    /// A page of the log.
    Page(Payments),
}

/// One step of a payment's life.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Step {
    /// The journal's sequence number.
    pub sequence: u64,
    /// When; RFC 3339.
    pub at: String,
    /// What happened, in the log's words.
    pub event: String,
    /// The payment after it, as the cashier was told then.
    pub payment: Payment,
}

/// A payment's life, oldest step first.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Life {
    /// Oldest first.
    pub steps: Vec<Step>,
}

impl Payment {
    /// `sale` as it is told at `now`.
    pub fn of(sale: &Sale, now: Timestamp, policy: &Policy, language: Language) -> Self {
        let payment = &sale.payment;
        let told = sale::told(sale, now, policy, language);
        let attempts = payment.attempts.iter().zip(1..);
        Self {
            id: sale.id.to_string(),
            reference: sale.reference.clone(),
            amount: payment.amount.fen(),
            currency: "CNY".to_owned(),
            subject: sale.subject.clone(),
            phase: payment.phase().into(),
            waiting_for: payment.waiting_for().map(Into::into),
            money: sale.money().into(),
            cashier: Cashier {
                text: told.text,
                next: told.next.into(),
                hand_over_goods: told.hand_over_goods,
                seconds_left: seconds_left(payment, now, policy),
            },
            attempts: attempts.map(|(attempt, ordinal)| Attempt::of(sale, ordinal, attempt)).collect(),
            refunds: sale.refunds.iter().map(|refund| Refund::of(refund, language)).collect(),
            refundable: sale.refundable(),
            receipt: Receipt {
                // Of a sale that is not paid and whose later steps were lost nobody is to look for a receipt yet.
                state: if sale.copies == 0 { ReceiptState::None } else { sale.receipt }.into(),
                copies: sale.copies,
            },
            created_at: sale.created_at.rfc3339(),
            updated_at: sale.updated_at.rfc3339(),
        }
    }
}

/// Until the terminal stops waiting for a scan or the payer.
fn seconds_left(payment: &payment::Payment, now: Timestamp, policy: &Policy) -> Option<u64> {
    let leading = payment.leading();
    let until = match &leading.phase {
        Phase::Armed => leading.wake?,
        Phase::Paying { sent_at, .. } => *sent_at + policy.give_up_after,
        Phase::Reversing(_)
        | Phase::InDoubt(..)
        | Phase::Paid(_)
        | Phase::Contradicted { .. }
        | Phase::Refused { .. }
        | Phase::Declined(_)
        | Phase::Reversed(_)
        | Phase::Void => return None,
    };
    u64::try_from(until.since(now).as_millis().div_ceil(1000)).ok()
}

impl Attempt {
    fn of(sale: &Sale, ordinal: u8, attempt: &payment::Attempt) -> Self {
        let (mut proof, mut refusal, mut own) = (None, None, None);
        match &attempt.phase {
            Phase::Armed | Phase::Void => {}
            Phase::Paying { refusal: refused, .. } => refusal = refused.as_ref(),
            Phase::Reversing(reversal) | Phase::InDoubt(reversal, _) => {
                refusal = reversal.refused.as_ref();
                own = Some(reason(reversal.why));
            }
            Phase::Paid(paid) => proof = Some(paid),
            Phase::Contradicted { proof: paid, .. } => (proof, own) = (Some(paid), Some("contradicted")),
            Phase::Refused { refusal: refused, .. } | Phase::Declined(refused) => refusal = Some(refused),
            Phase::Reversed(why) => own = Some(reason(*why)),
        }
        Self {
            order_no: sale.id.order(ordinal).as_str().to_owned(),
            gateway: sale.gateway.clone(),
            code_hint: attempt.hint.as_ref().map(ToString::to_string),
            phase: attempt.phase.sale().into(),
            gateway_txn: proof.map(|proof| proof.gateway_txn.clone()),
            paid_at: proof.map(|proof| proof.paid_at.rfc3339()),
            payer_paid: proof.map(|proof| proof.payer_paid),
            coupon: proof.map(|proof| proof.coupon),
            error_code: refusal.map(|refused| refused.code.clone()).or(own.map(str::to_owned)),
            error_text: refusal.map(|refused| refused.text.clone()),
        }
    }
}

/// The terminal's own word for taking a payment back.
fn reason(why: payment::Why) -> &'static str {
    match why {
        payment::Why::GaveUp => "gave_up",
        payment::Why::Cancelled => "cancelled",
        payment::Why::PayFailed => "pay_failed",
        payment::Why::Interrupted => "interrupted",
        payment::Why::LatePaid => "late_paid",
        payment::Why::Elsewhere => "elsewhere",
    }
}

impl Step {
    /// `step` as it was told then.
    pub fn of(step: &LifeStep, policy: &Policy, language: Language) -> Self {
        Self {
            sequence: step.sequence,
            at: step.at.rfc3339(),
            event: step.event.clone(),
            payment: Payment::of(&step.sale, step.at, policy, language),
        }
    }
}

impl From<SalePhase> for PhaseName {
    fn from(phase: SalePhase) -> Self {
        match phase {
            SalePhase::AwaitingCode => Self::AwaitingCode,
            SalePhase::Paying => Self::Paying,
            SalePhase::Reversing => Self::Reversing,
            SalePhase::InDoubt => Self::InDoubt,
            SalePhase::Paid => Self::Paid,
            SalePhase::Declined => Self::Declined,
            SalePhase::Reversed => Self::Reversed,
            SalePhase::Cancelled => Self::Cancelled,
        }
    }
}

impl From<payment::WaitingFor> for WaitingFor {
    fn from(waiting: payment::WaitingFor) -> Self {
        match waiting {
            payment::WaitingFor::Scan => Self::Scan,
            payment::WaitingFor::Gateway => Self::Gateway,
            payment::WaitingFor::PayerPassword => Self::PayerPassword,
        }
    }
}

impl From<payment::Money> for Money {
    fn from(money: payment::Money) -> Self {
        match money {
            payment::Money::None => Self::None,
            payment::Money::Possible => Self::Possible,
            payment::Money::Taken => Self::Taken,
            payment::Money::Returned => Self::Returned,
        }
    }
}

impl From<cashier::Next> for Next {
    fn from(next: cashier::Next) -> Self {
        match next {
            cashier::Next::Scan => Self::Scan,
            cashier::Next::Wait => Self::Wait,
            cashier::Next::HandOver => Self::HandOver,
            cashier::Next::Rescan => Self::Rescan,
            cashier::Next::OtherTender => Self::OtherTender,
            cashier::Next::CallManager => Self::CallManager,
        }
    }
}

impl From<ReceiptState> for ReceiptPhase {
    fn from(state: ReceiptState) -> Self {
        match state {
            ReceiptState::None => Self::None,
            ReceiptState::Queued => Self::Queued,
            ReceiptState::Sending => Self::Sending,
            ReceiptState::Printed => Self::Printed,
            ReceiptState::Unconfirmed => Self::Unconfirmed,
            ReceiptState::Failed => Self::Failed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(value: impl Serialize) -> String {
        serde_json::to_value(value).unwrap().as_str().unwrap().to_owned()
    }

    #[test]
    fn the_names_here_are_the_names_in_the_journal_and_the_log() {
        for phase in SalePhase::ALL {
            assert_eq!(name(PhaseName::from(phase)), phase.label());
        }
        for state in ReceiptState::ALL {
            assert_eq!(name(ReceiptPhase::from(state)), state.label());
        }
        use payment::{Money as M, WaitingFor as W};
        for money in [M::None, M::Possible, M::Taken, M::Returned] {
            assert_eq!(name(Money::from(money)), money.label());
        }
        for waiting in [W::Scan, W::Gateway, W::PayerPassword] {
            assert_eq!(name(WaitingFor::from(waiting)), waiting.label());
        }
        use cashier::Next as N;
        for next in [N::Scan, N::Wait, N::HandOver, N::Rescan, N::OtherTender, N::CallManager] {
            assert_eq!(name(Next::from(next)), next.label());
        }
    }

    #[test]
    fn a_doubt_keeps_the_proof_and_every_reason_has_its_words_on_the_page() {
        use payment::{Attempt as A, Proof, Reversal, Why};
        let now = Timestamp(1_795_233_600_000);
        let amount = crate::money::Amount::from_fen(1250).unwrap();
        let mut sale = Sale {
            refunds: Vec::new(),
            id: "T01261128000001AAAAAA".parse().unwrap(),
            reference: None,
            subject: String::new(),
            gateway: String::new(),
            payment: payment::Payment::new(amount, false, now, &Policy::default()),
            receipt: ReceiptState::None,
            copies: 0,
            created_at: now,
            updated_at: now,
        };
        let mut shown = |phase| {
            sale.payment.attempts = vec![A { phase, hint: None, wake: None }];
            Attempt::of(&sale, 1, &sale.payment.attempts[0])
        };
        let proof = Proof { gateway_txn: "42".to_owned(), paid_at: now, payer_paid: 1250, coupon: 0 };
        let doubted = shown(Phase::Contradicted { proof, since: now });
        assert_eq!(
            (doubted.gateway_txn.as_deref(), name(doubted.phase)),
            (Some("42"), "in_doubt".to_owned())
        );
        let whys =
            [Why::GaveUp, Why::Cancelled, Why::PayFailed, Why::Interrupted, Why::LatePaid, Why::Elsewhere];
        let going = whys.map(|why| shown(Phase::Reversing(Reversal::new(now, now, why))).error_code);
        let gone = whys.map(|why| shown(Phase::Reversed(why)).error_code);
        assert_eq!(going, gone);
        for reason in [doubted.error_code].into_iter().chain(gone) {
            let word = format!("  why_{}: [\"", reason.unwrap());
            assert!(include_str!("console/common.js").contains(&word), "{word}");
        }
    }
}
