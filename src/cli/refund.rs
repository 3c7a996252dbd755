//! `refund`: gives the money of a payment back, all of it or a part. What was begun goes on without this command.

use serde_json::json;

use crate::api::problem::Retry;
use crate::api::view::{Payment, Refund, RefundPhase, Refunded};
use crate::cli::client::{Trouble, Where, escaped, typed};
use crate::cli::pay::{amount, begin};
use crate::cli::{Context, DONE, Failure, NOT_KNOWN, NOT_PAID, print, print_json};
use crate::money::Amount;

/// Seconds that the daemon is given until the gateway has taken the refund on; the rest it does by itself.
const WAIT: u8 = 10;

/// Arguments of `refund`.
#[derive(clap::Args, Debug)]
#[command(
    after_help = "Exit codes: 0 the gateway has taken it on, 1 refused (nothing goes back), 2 not known yet, \
    64 wrong usage, 69 daemon not reachable.\nEach run is a refund of its own, up to what was paid."
)]
pub struct RefundCommand {
    /// The payment's id or an order number
    id: String,
    /// How much, in yuan: 5.00; all that is left by default
    #[arg(value_parser = amount)]
    amount: Option<Amount>,
    /// Why, as the payer is told
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    #[command(flatten)]
    daemon: Where,
}

impl RefundCommand {
    pub async fn run(self, context: &Context) -> anyhow::Result<u8> {
        let client = self.daemon.client(context)?;
        let path = format!("/v1/payments/{}", escaped(&self.id));
        let fen = match self.amount {
            Some(amount) => amount.fen(),
            None => {
                let found = client.get(&path).await.map_err(Trouble::into_error)?;
                let payment: Payment = typed(&found)?;
                if payment.refundable == 0 {
                    let text =
                        format!("nothing is left to refund of {}: {}", payment.id, payment.cashier.text);
                    return Err(Failure::Refused(text).into());
                }
                payment.refundable
            }
        };
        let mut body = json!({ "amount": fen });
        if let Some(reason) = &self.reason {
            body["reason"] = json!(reason);
        }
        let look = format!("the refund may have begun; look with: micropayd show {}", self.id);
        let asked = match begin(&client, &format!("{path}/refunds?wait={WAIT}"), &body, &look).await {
            Ok(asked) => asked,
            // It was refused before anything was sent; that the payment's own money is taken says nothing here.
            Err(Trouble::Refused(problem)) if problem.retry == Retry::Never => {
                let text = format!("{}\nhelp: {}", problem.detail, problem.help);
                return Err(Failure::Refused(text).into());
            }
            Err(trouble) => return Err(trouble.into_error()),
        };
        let Refunded { payment, refund } = typed(&asked)?;
        let Some(refund) = refund else {
            return Err(
                Failure::NotKnown(format!("the daemon answered without the refund\nhelp: {look}")).into()
            );
        };
        if context.json {
            print_json(&asked)?;
        } else {
            print(&told(&payment.id, &refund));
        }
        Ok(match refund.phase {
            RefundPhase::Accepted | RefundPhase::Returned => DONE,
            RefundPhase::Refused | RefundPhase::Closed => NOT_PAID,
            RefundPhase::Asking | RefundPhase::Stuck => NOT_KNOWN,
        })
    }
}

/// A refund for people; where its end is not known yet, what not to do.
fn told(id: &str, refund: &Refund) -> String {
    let mut told = format!("{}\n{}", refund.refund_no, refund.text);
    if refund.phase == RefundPhase::Asking {
        told += &format!(
            "\nhelp: the terminal goes on asking; look with: micropayd show {id}. Another run would be another refund"
        );
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_does_not_know_yet_is_told_not_to_refund_again() {
        let mut refund = Refund {
            refund_no: "T01261121000042000001R01000".to_owned(),
            amount: 500,
            reason: None,
            phase: RefundPhase::Asking,
            text: "Asking for a refund of 5.00.".to_owned(),
            gateway_refund: None,
            error_code: None,
            error_text: None,
            asked_at: String::new(),
            accepted_at: None,
        };
        let asking = told("T01261121000042000001", &refund);
        assert!(asking.contains("micropayd show T01261121000042000001. Another run would be another refund"));
        refund.phase = RefundPhase::Accepted;
        let accepted = told("T01261121000042000001", &refund);
        assert_eq!(accepted, "T01261121000042000001R01000\nAsking for a refund of 5.00.");
    }
}
