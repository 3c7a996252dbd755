//! `show`: one payment.

use crate::api::view::{Payment, Refund};
use crate::cli::client::{Trouble, Where, escaped, typed};
use crate::cli::list::word;
use crate::cli::table::{Align, facts, moment, table, yuan};
use crate::cli::{Context, DONE, print, print_json};

/// Arguments of `show`.
#[derive(clap::Args, Debug)]
pub struct Show {
    /// The payment's id or an order number
    id: String,
    #[command(flatten)]
    daemon: Where,
}

impl Show {
    pub async fn run(self, context: &Context) -> anyhow::Result<u8> {
        let client = self.daemon.client(context)?;
        let path = format!("/v1/payments/{}", escaped(&self.id));
        let answer = client.get(&path).await.map_err(Trouble::into_error)?;
        if context.json {
            print_json(&answer)?;
        } else {
            print(&text(&typed(&answer)?));
        }
        Ok(DONE)
    }
}

/// A payment for people.
pub fn text(payment: &Payment) -> String {
    let cashier = &payment.cashier;
    let goods = if cashier.hand_over_goods { "yes" } else { "no" };
    let receipt = format!("{}, ordered {}", word(&payment.receipt.state), payment.receipt.copies);
    let mut pairs = vec![
        ("id", payment.id.clone()),
        ("amount", format!("{} {}", yuan(payment.amount), payment.currency)),
        ("phase", word(&payment.phase)),
        ("money", word(&payment.money)),
        ("cashier", cashier.text.clone()),
        ("hand over goods", goods.to_owned()),
        ("subject", payment.subject.clone()),
    ];
    if let Some(reference) = &payment.reference {
        pairs.push(("reference", reference.clone()));
    }
    pairs.push(("receipt", receipt));
    pairs.push(("created", moment(&payment.created_at)));
    pairs.push(("changed", moment(&payment.updated_at)));
    let mut out = facts(&pairs);
    let rows: Vec<Vec<String>> = payment
        .attempts
        .iter()
        .map(|attempt| {
            let error = [&attempt.error_code, &attempt.error_text];
            let error: Vec<&str> = error.into_iter().filter_map(|text| text.as_deref()).collect();
            vec![
                attempt.order_no.clone(),
                word(&attempt.phase),
                attempt.code_hint.clone().unwrap_or_default(),
                attempt.payer_paid.map(yuan).unwrap_or_default(),
                attempt.coupon.map(yuan).unwrap_or_default(),
                attempt.gateway_txn.clone().unwrap_or_default(),
                error.join(" "),
            ]
        })
        .collect();
    let columns = [
        ("ORDER NUMBER", Align::Left),
        ("PHASE", Align::Left),
        ("CODE", Align::Left),
        ("PAID", Align::Right),
        ("COUPON", Align::Right),
        ("WECHAT'S NUMBER", Align::Left),
        ("ERROR", Align::Left),
    ];
    out.push('\n');
    out.push_str(&table(&columns, &rows));
    if !payment.refunds.is_empty() {
        out.push('\n');
        out.push_str(&refunds(payment));
    }
    out
}

fn refunds(payment: &Payment) -> String {
    let columns = [
        ("REFUND NUMBER", Align::Left),
        ("PHASE", Align::Left),
        ("AMOUNT", Align::Right),
        ("ASKED FOR", Align::Left),
        ("WECHAT'S NUMBER", Align::Left),
        ("ERROR", Align::Left),
    ];
    let row = |refund: &Refund| {
        vec![
            refund.refund_no.clone(),
            word(&refund.phase),
            yuan(refund.amount),
            moment(&refund.asked_at),
            refund.gateway_refund.clone().unwrap_or_default(),
            refund.error_code.clone().unwrap_or_default(),
        ]
    };
    table(&columns, &payment.refunds.iter().map(row).collect::<Vec<_>>())
}
