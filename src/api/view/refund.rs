//! Refunds as JSON.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::api::view::Payment;
use crate::payment::cashier::Language;
use crate::refund;

/// Where a refund is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RefundPhase {
    /// Not known; asked for until the gateway says whether it has taken it on.
    Asking,
    /// On its way to the payer.
    Accepted,
    /// Held up: somebody must see to it on the merchant platform.
    Stuck,
    /// With the payer. Final.
    Returned,
    /// Not done; the money is the shop's. Final.
    Refused,
    /// Given up by the gateway; the money is the shop's. Final.
    Closed,
}

/// A refund of a payment.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Refund {
    /// The merchant refund number.
    pub refund_no: String,
    /// What goes back, fen.
    #[schema(minimum = 1)]
    pub amount: u32,
    /// Why, as the payer is told.
    #[schema(required = true)]
    pub reason: Option<String>,
    /// Where it is.
    pub phase: RefundPhase,
    /// The sentence for the manager. Show it; do not program against it.
    pub text: String,
    /// The gateway's own number, once it has taken it on.
    #[schema(required = true)]
    pub gateway_refund: Option<String>,
    /// The gateway's code, where it refused.
    #[schema(required = true)]
    pub error_code: Option<String>,
    /// The gateway's own text.
    #[schema(required = true)]
    pub error_text: Option<String>,
    /// When it was asked for; RFC 3339.
    pub asked_at: String,
    /// When the gateway was known to have taken it on; RFC 3339.
    #[schema(required = true)]
    pub accepted_at: Option<String>,
}

/// A payment, and the refund of it that was asked for.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Refunded {
    /// The payment.
    #[serde(flatten)]
    pub payment: Payment,
    /// The refund that belongs to the key.
    #[schema(required = true)]
    pub refund: Option<Refund>,
}

impl Refund {
    /// `refund` in these words.
    pub fn of(refund: &refund::Refund, language: Language) -> Self {
        let refusal = match &refund.phase {
            refund::Phase::Refused(refusal) => Some(refusal),
            refund::Phase::Asking(asking) => asking.refused.as_ref(),
            refund::Phase::Accepted { .. }
            | refund::Phase::Stuck { .. }
            | refund::Phase::Returned { .. }
            | refund::Phase::Closed { .. } => None,
        };
        Self {
            refund_no: refund.number.to_string(),
            amount: refund.amount.fen(),
            reason: refund.reason.clone(),
            phase: (&refund.phase).into(),
            text: refund::words::told(refund, language),
            gateway_refund: refund.phase.gateway_number().map(str::to_owned),
            error_code: refusal.map(|refused| refused.code.clone()),
            error_text: refusal.map(|refused| refused.text.clone()),
            asked_at: refund.asked_at.rfc3339(),
            accepted_at: refund.accepted_at().map(|at| at.rfc3339()),
        }
    }
}

impl From<&refund::Phase> for RefundPhase {
    fn from(phase: &refund::Phase) -> Self {
        match phase {
            refund::Phase::Asking(_) => Self::Asking,
            refund::Phase::Accepted { .. } => Self::Accepted,
            refund::Phase::Stuck { .. } => Self::Stuck,
            refund::Phase::Returned { .. } => Self::Returned,
            refund::Phase::Refused(_) => Self::Refused,
            refund::Phase::Closed { .. } => Self::Closed,
        }
    }
}
