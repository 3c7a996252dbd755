//! `report`: what a day came to.

use crate::api::receipts;
use crate::cli::client::{Trouble, Where, typed};
use crate::cli::table::{facts, yuan};
use crate::cli::{Context, DONE, print, print_json};
use crate::config::Surroundings;
use crate::time::Day;

/// Arguments of `report`.
#[derive(clap::Args, Debug)]
pub struct Report {
    /// A Beijing day, like 2026-11-21; today by default
    #[arg(long, value_name = "DAY")]
    date: Option<Day>,
    #[command(flatten)]
    daemon: Where,
}

impl Report {
    pub async fn run(self, context: &Context) -> anyhow::Result<u8> {
        let day = self.date.unwrap_or_else(|| Surroundings::of_process().now.day());
        let client = self.daemon.client(context)?;
        let answer = client.get(&format!("/v1/reports/{day}")).await.map_err(Trouble::into_error)?;
        if context.json {
            print_json(&answer)?;
            return Ok(DONE);
        }
        let report: receipts::Report = typed(&answer)?;
        print(&facts(&[
            ("date", report.date),
            ("payments", report.paid_count.to_string()),
            ("amount", format!("{} CNY", yuan(report.paid))),
            ("of that coupons", format!("{} CNY", yuan(report.coupon))),
            ("refunds", report.refund_count.to_string()),
            ("refunded", format!("{} CNY", yuan(report.refunded))),
        ]));
        Ok(DONE)
    }
}
