//! `receipt preview`: what the paper will show, without paper.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Subcommand;

use crate::cli::{Context, DONE, print, print_json};
use crate::receipt::template::Written;
use crate::receipt::{Bitmap, COLUMNS_MAX, COLUMNS_MIN, Copy, Paper, Receipt};
use crate::time::Timestamp;

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
    /// The shop's template; the built-in one by default
    #[arg(long, value_name = "FILE")]
    template: Option<PathBuf>,
    /// Characters in a line: 32 on 58 mm paper, 48 on 80 mm
    #[arg(long, default_value_t = 32, value_parser = columns)]
    columns: usize,
    /// The kind of receipt
    #[arg(long, default_value = "first", value_parser = ["first", "copy", "maybe"])]
    kind: String,
    /// Write a picture instead of text
    #[arg(long, value_name = "FILE")]
    png: Option<PathBuf>,
}

fn columns(text: &str) -> Result<usize, String> {
    let number = text.parse().ok().filter(|columns| (COLUMNS_MIN..=COLUMNS_MAX).contains(columns));
    number.ok_or_else(|| format!("expected {COLUMNS_MIN} to {COLUMNS_MAX}"))
}

impl ReceiptCommand {
    pub fn run(self, context: &Context) -> anyhow::Result<u8> {
        let What::Preview(preview) = self.what;
        let mut paper = Paper { columns: preview.columns, dots: preview.columns * 12, ..Paper::narrow() };
        if let Some(file) = &preview.template {
            let about = || format!("template {} cannot be used", file.display());
            let text = std::fs::read_to_string(file).with_context(about)?;
            let written = Written::parse(&text).map_err(anyhow::Error::msg).with_context(about)?;
            paper.template = written.template;
            if let Some(logo) = written.logo {
                let path = file.parent().map_or_else(|| PathBuf::from(&logo), |dir| dir.join(&logo));
                let about = || format!("logo {} cannot be used", path.display());
                let bytes = std::fs::read(&path).with_context(about)?;
                let bitmap = Bitmap::from_png(&bytes).map_err(anyhow::Error::msg).with_context(about)?;
                paper.template.logo = Some(bitmap);
            }
        }
        let receipt = sample(&preview.kind);
        match (&preview.png, context.json) {
            (Some(file), _) => std::fs::write(file, paper.png(&receipt))
                .with_context(|| format!("{} cannot be written", file.display()))?,
            (None, true) => {
                let text = paper.text(&receipt);
                print_json(
                    &serde_json::json!({ "columns": paper.columns, "lines": text.lines().collect::<Vec<_>>() }),
                )?;
            }
            (None, false) => print(&paper.text(&receipt)),
        }
        Ok(DONE)
    }
}

/// A receipt that nobody can take for a real one.
fn sample(kind: &str) -> Receipt {
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
