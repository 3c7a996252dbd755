//! `list`: the log of payments.

use crate::api::view::{Payment, Payments, PhaseName};
use crate::cli::client::{Trouble, Where, escaped, typed};
use crate::cli::table::{Align, moment, table, yuan};
use crate::cli::{Context, DONE, print, print_json};
use crate::payment::SalePhase;
use crate::time::Day;

/// Arguments of `list`.
#[derive(clap::Args, Debug)]
pub struct List {
    /// Only of this Beijing day, like 2026-11-21
    #[arg(long, value_name = "DAY")]
    date: Option<Day>,
    /// Only in this phase: awaiting_code, paying, reversing, in_doubt, paid, declined, reversed, cancelled
    #[arg(long, value_parser = phase)]
    phase: Option<SalePhase>,
    /// Only with exactly this reference
    #[arg(long, value_name = "R")]
    reference: Option<String>,
    /// Only with this text in the id, an order number, the reference or WeChat's number
    #[arg(long, value_name = "TEXT")]
    search: Option<String>,
    /// At most this many
    #[arg(long, default_value_t = 50, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=200))]
    limit: u32,
    /// Continue after an earlier list
    #[arg(long)]
    cursor: Option<String>,
    #[command(flatten)]
    daemon: Where,
}

fn phase(text: &str) -> Result<SalePhase, String> {
    SalePhase::from_label(text).ok_or_else(|| {
        let all: Vec<&str> = SalePhase::ALL.iter().map(|phase| phase.label()).collect();
        format!("expected one of {}", all.join(", "))
    })
}

impl List {
    pub async fn run(self, context: &Context) -> anyhow::Result<u8> {
        let mut query = vec![format!("limit={}", self.limit)];
        let mut add = |name: &str, value: Option<String>| {
            query.extend(value.map(|value| format!("{name}={}", escaped(&value))));
        };
        add("date", self.date.map(|day| day.to_string()));
        add("phase", self.phase.map(|phase| phase.label().to_owned()));
        add("reference", self.reference);
        add("q", self.search);
        add("cursor", self.cursor);
        let client = self.daemon.client(context)?;
        let path = format!("/v1/payments?{}", query.join("&"));
        let answer = client.get(&path).await.map_err(Trouble::into_error)?;
        if context.json {
            print_json(&answer)?;
            return Ok(DONE);
        }
        let page: Payments = typed(&answer)?;
        if page.payments.is_empty() {
            print("no payments");
            return Ok(DONE);
        }
        let columns = [
            ("CREATED", Align::Left),
            ("ID", Align::Left),
            ("AMOUNT", Align::Right),
            ("PHASE", Align::Left),
            ("MONEY", Align::Left),
            ("REFUNDED", Align::Right),
            ("RECEIPT", Align::Left),
            ("REFERENCE", Align::Left),
        ];
        let rows: Vec<Vec<String>> = page
            .payments
            .iter()
            .map(|payment| {
                vec![
                    moment(&payment.created_at),
                    payment.id.clone(),
                    yuan(payment.amount),
                    word(&payment.phase),
                    word(&payment.money),
                    refunded(payment),
                    word(&payment.receipt.state),
                    payment.reference.clone().unwrap_or_default(),
                ]
            })
            .collect();
        print(&table(&columns, &rows));
        if let Some(cursor) = page.next_cursor {
            print(&format!("more with: --cursor {cursor}"));
        }
        Ok(DONE)
    }
}

/// What went back of a paid payment, or is to; nothing where nothing did.
fn refunded(payment: &Payment) -> String {
    match (payment.phase, payment.amount.saturating_sub(payment.refundable)) {
        (PhaseName::Paid, back) if back > 0 => yuan(back),
        _ => String::new(),
    }
}

/// The API's own word for something.
pub fn word(value: &impl serde::Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        _ => String::new(),
    }
}
