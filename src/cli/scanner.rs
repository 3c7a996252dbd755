//! `scanner test`: what the scanners read, without a payment. A code's digits are never shown, but for the last four.

use clap::Subcommand;
use serde_json::json;
use tokio::sync::mpsc;

use crate::cli::{Context, DONE, Failure, print};
use crate::config;
use crate::input::{Input, Scan, ScanRefusal};

/// Arguments of `scanner`.
#[derive(clap::Args, Debug)]
pub struct ScannerCommand {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand, Debug)]
enum What {
    /// Show what the scanners of the configuration read, until Ctrl-C; stop the daemon first, it holds the scanners
    Test(Test),
}

#[derive(clap::Args, Debug)]
struct Test {
    /// End after this many reads
    #[arg(long, value_name = "N")]
    count: Option<u32>,
}

impl ScannerCommand {
    pub async fn run(self, context: &Context) -> anyhow::Result<u8> {
        let What::Test(test) = self.what;
        let (scanners, _) = config::devices_of(&context.config_path())?;
        if scanners.is_empty() {
            let text = "no scanner is set up\nhelp: write a [[scanner]] section";
            return Err(Failure::Refused(text.to_owned()).into());
        }
        let (inbox, mut inputs) = mpsc::channel(16);
        for settings in scanners {
            crate::scanner::start(settings, inbox.clone());
        }
        drop(inbox);
        let mut left = test.count.unwrap_or(u32::MAX);
        while left > 0 {
            let input = tokio::select! {
                input = inputs.recv() => input,
                _ = tokio::signal::ctrl_c() => None,
            };
            let Some(input) = input else { break };
            left -= u32::from(tell(context, &input));
        }
        Ok(DONE)
    }
}

/// Prints what came, and says whether it was a read.
fn tell(context: &Context, input: &Input) -> bool {
    let (name, word, text, read) = match input {
        Input::Scan(Scan::Code(name, code)) => {
            (name, "code", format!("a payment code, {}", code.hint()), true)
        }
        Input::Scan(Scan::Refused(name, why)) => (name, "refused", refusal(*why).to_owned(), true),
        Input::Device(device) if device.ready => (&device.name, "ready", "is ready".to_owned(), false),
        Input::Device(device) => (&device.name, "trouble", device.trouble.clone(), false),
        _ => return false,
    };
    if context.json {
        print(&json!({ "scanner": name, "event": word, "text": text }).to_string());
    } else {
        print(&format!("{name}: {text}"));
    }
    read
}

fn refusal(why: ScanRefusal) -> &'static str {
    match why {
        ScanRefusal::NotDigits => "not a payment code: there is something else than digits in it",
        ScanRefusal::Length => "not a payment code: too short or too long, or two codes run together",
        ScanRefusal::Broken => "it broke off; write end = \"idle\" if the scanner sends no ending",
        ScanRefusal::Lost => "a part was lost",
        ScanRefusal::Flood => "too much without an end; is this the scanner, at the right baud?",
    }
}
