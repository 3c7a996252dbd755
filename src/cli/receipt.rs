//! `receipt preview`: what the paper will show, without paper.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Subcommand;

use crate::cli::{Context, DONE, Failure, print, print_json};
use crate::receipt::{Copy, Receipt};
use crate::time::Timestamp;
use crate::{config, printer};

/// Arguments of `receipt`.
#[derive(clap::Args, Debug)]
pub struct ReceiptCommand {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand, Debug)]
enum What {
    /// Show a sample receipt as the paper will show it
    Preview(Preview),
}

#[derive(clap::Args, Debug)]
struct Preview {
    /// The shop's template, instead of the one in the configuration
    #[arg(long, value_name = "FILE")]
    template: Option<PathBuf>,
    /// The printer's profile, a name or a file, instead of the one in the configuration
    #[arg(long, value_name = "PROFILE")]
    profile: Option<String>,
    /// The kind of receipt
    #[arg(long, default_value = "first", value_parser = ["first", "copy", "maybe"])]
    kind: String,
    /// Write a picture instead of text
    #[arg(long, value_name = "FILE")]
    png: Option<PathBuf>,
}

impl ReceiptCommand {
    pub fn run(self, context: &Context) -> anyhow::Result<u8> {
        let What::Preview(preview) = self.what;
        let path = context.config_path();
        // Without a configuration, the built-in printer and template are shown.
        let mut settings = if context.config.is_some() || path.exists() {
            config::devices_of(&path)?.printer
        } else {
            printer::Settings::default()
        };
        settings.template = preview.template.or(settings.template);
        settings.profile = preview.profile.unwrap_or(settings.profile);
        let paper = settings.paper().map_err(Failure::Refused)?;
        let receipt = sample(&preview.kind);
        match (&preview.png, context.json) {
            (Some(file), _) => std::fs::write(file, paper.png(&receipt))
                .with_context(|| format!("{} cannot be written", file.display()))?,
            (None, true) => {
                let text = paper.text(&receipt);
                let lines: Vec<&str> = text.lines().collect();
                print_json(&serde_json::json!({ "columns": paper.columns, "lines": lines }))?;
            }
            (None, false) => print(&paper.text(&receipt)),
        }
        Ok(DONE)
    }
}

/// A receipt that nobody can take for a real one.
pub fn sample(kind: &str) -> Receipt {
    let must = "the sample is well formed";
    Receipt {
        store_name: "朝阳门店".to_owned(),
        terminal: "T01".parse().expect(must),
        order: "T0126112100004200000001".parse().expect(must),
        gateway_txn: "4200000000202611210000000000".to_owned(),
        gateway: "wechat".to_owned(),
        subject: "朝阳门店-消费".to_owned(),
        reference: Some("POS-4711".to_owned()),
        amount: "12.50".parse().expect(must),
        coupon: 100,
        payer_paid: 1150,
        paid_at: Timestamp::from_wechat("20261121193841").expect(must),
        copy: match kind {
            "copy" => Copy::Reprint(2),
            "maybe" => Copy::MaybeSecond,
            _ => Copy::Original,
        },
        sandbox: true,
    }
}
