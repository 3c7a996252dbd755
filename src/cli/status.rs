//! `status`: how everything is, what is not finished, and since when.

use crate::api::till::{Line, OpenKind, Status};
use crate::cli::client::{Trouble, Where, typed};
use crate::cli::list::word;
use crate::cli::table::{Align, facts, moment, table};
use crate::cli::{Context, DONE, print, print_json};

/// Arguments of `status`.
#[derive(clap::Args, Debug)]
pub struct StatusCommand {
    #[command(flatten)]
    daemon: Where,
}

impl StatusCommand {
    pub async fn run(self, context: &Context) -> anyhow::Result<u8> {
        let client = self.daemon.client(context)?;
        let answer = client.get("/v1/status").await.map_err(Trouble::into_error)?;
        if context.json {
            print_json(&answer)?;
            return Ok(DONE);
        }
        let status: Status = typed(&answer)?;
        print(&text(&status));
        Ok(DONE)
    }
}

fn text(status: &Status) -> String {
    let line = match status.gateway.line {
        Line::Up => "answers".to_owned(),
        Line::Down => format!("does not answer: {}", status.gateway.trouble),
        Line::Unknown => "not asked yet".to_owned(),
    };
    let since = status.gateway.since.as_deref().map(|since| format!(", since {}", moment(since)));
    let devices: Vec<String> = status
        .devices
        .iter()
        .map(|device| match device.ready {
            true => format!("{} {}", word(&device.kind), device.name),
            false => format!("{} {} is not ready: {}", word(&device.kind), device.name, device.trouble),
        })
        .collect();
    let mut out = facts(&[
        ("terminal", format!("{} {}", status.terminal, status.store_name)),
        (
            "payments",
            status.refuses_sales.as_ref().map_or("taken".to_owned(), |why| format!("refused: {why}")),
        ),
        ("in hand", status.in_hand.clone().unwrap_or_else(|| "none".to_owned())),
        ("gateway", line + &since.unwrap_or_default()),
        ("devices", devices.join("; ")),
        ("not finished", unfinished(status)),
    ]);
    if !status.open.is_empty() {
        let columns = [
            ("SINCE", Align::Left),
            ("PAYMENT", Align::Left),
            ("OWED", Align::Left),
            ("NEXT", Align::Left),
            ("", Align::Left),
        ];
        let row = |open: &crate::api::till::Open| {
            let next = open.next.as_deref().map_or("a person".to_owned(), moment);
            vec![moment(&open.since), open.payment.clone(), word(&open.kind), next, open.text.clone()]
        };
        let rows: Vec<Vec<String>> = status.open.iter().map(row).collect();
        out.push('\n');
        out.push_str(&table(&columns, &rows));
    }
    out
}

fn unfinished(status: &Status) -> String {
    let Some(oldest) = status.open.first() else { return "nothing".to_owned() };
    let count = |kind| status.open.iter().filter(|open| open.kind == kind).count();
    format!(
        "{} to be looked up, {} to be reversed, {} refunds to follow, {} receipts to see to, the oldest since {}",
        count(OpenKind::Query),
        count(OpenKind::Reversal),
        count(OpenKind::Refund),
        count(OpenKind::Receipt),
        moment(&oldest.since)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_open_is_counted_by_its_kind() {
        let kinds = ["query", "reversal", "reversal", "refund", "refund", "refund", "receipt"];
        let open = kinds.map(|kind| {
            serde_json::json!({
                "payment": "T01261121000042000001", "kind": kind, "since": "2026-11-21T19:38:31.000+08:00",
                "next": null, "text": ""
            })
        });
        let status = serde_json::json!({
            "terminal": "T01", "store_name": "", "sandbox": false, "version": "", "refuses_sales": null,
            "in_hand": null, "devices": [], "gateway": {"line": "up", "since": null, "trouble": ""},
            "suspicious_answers": 0, "open": open, "certificate_ends": null, "started_at": "", "now": ""
        });
        let status: Status = serde_json::from_value(status).unwrap();
        assert_eq!(
            unfinished(&status),
            "1 to be looked up, 2 to be reversed, 3 refunds to follow, 1 receipts to see to, the oldest since \
             2026-11-21 19:38:31"
        );
    }
}
