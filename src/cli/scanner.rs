//! `scanner learn` and `scanner test`: setting a scanner up. A code's digits are never shown, but for the last four.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::io::Write;
use std::path::Path;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use clap::Subcommand;
use futures_util::future::join_all;
use serde_json::json;
use tokio::sync::Notify;

use crate::cli::{Context, DONE, Failure, NOT_PAID, print, print_json};
use crate::config;
use crate::scanner::devices::ROOT;
use crate::scanner::learn::{learn, watch};

/// Arguments of `scanner`.
#[derive(clap::Args, Debug)]
pub struct ScannerCommand {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand, Debug)]
enum What {
    /// Find out which device is the scanner: it is the one that reads a code now
    ///
    /// Prints the section for the configuration. While it looks, no USB keyboard types anywhere else. Stop the daemon first:
    /// it holds its scanners.
    Learn(Learn),
    /// Show what the scanners of the configuration read, until Ctrl-C; stop the daemon first, it holds them
    Test(Test),
}

#[derive(clap::Args, Debug)]
struct Learn {
    /// How many seconds to wait for a code
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    within: u64,
}

#[derive(clap::Args, Debug)]
struct Test {
    /// End after this many reads
    #[arg(long, value_name = "N")]
    count: Option<u32>,
}

impl ScannerCommand {
    pub async fn run(self, context: &Context) -> anyhow::Result<u8> {
        match self.what {
            What::Learn(arguments) => arguments.run(context).await,
            What::Test(arguments) => arguments.run(context).await,
        }
    }
}

impl Learn {
    async fn run(self, context: &Context) -> anyhow::Result<u8> {
        let say = |line: String| {
            let _ = writeln!(std::io::stderr(), "{line}");
        };
        say(format!("现在扫码 · let the scanner read a code, within {} s", self.within));
        let learned =
            learn(Path::new(ROOT), Duration::from_secs(self.within), say).await.map_err(|error| {
                let help = "plug the scanner in, see hardware/scanner-setup.md; run this as root";
                Failure::Refused(format!("{error}\nhelp: {help}"))
            })?;
        if context.json {
            print_json(&json!({
                "device": learned.found.node, "kind": learned.settings.kind.to_string(),
                "seen": learned.seen, "section": learned.lines(),
            }))?;
        } else {
            say(format!("{}: {}", learned.found.node.display(), learned.seen));
            print(&learned.lines());
        }
        Ok(DONE)
    }
}

impl Test {
    async fn run(self, context: &Context) -> anyhow::Result<u8> {
        let scanners = config::devices_of(&context.config_path())?.scanners;
        if scanners.is_empty() {
            let text = "no scanner is set up\nhelp: write what this says: micropayd scanner learn";
            return Err(Failure::Refused(text.to_owned()).into());
        }
        let left = Cell::new(self.count);
        let enough = Notify::new();
        let watching = scanners.iter().map(|settings| {
            let (left, enough) = (&left, &enough);
            async move {
                let say = |line: String| {
                    tell(context, settings.name(), "read", &line);
                    left.set(left.get().map(|reads| reads.saturating_sub(1)));
                    if left.get() == Some(0) {
                        enough.notify_one();
                    }
                };
                let mut watched = pin!(watch(settings, Duration::MAX, say));
                // Its first poll opens the scanner; what is scanned before that is lost.
                let opened = poll_fn(|context| Poll::Ready(watched.as_mut().poll(context))).await;
                let watched = match opened {
                    Poll::Ready(ended) => ended,
                    Poll::Pending => {
                        tell(context, settings.name(), "watching", "scan something");
                        watched.await
                    }
                };
                let text = watched.map_or_else(|error| error.to_string(), |()| "is gone".to_owned());
                tell(context, settings.name(), "trouble", &text);
            }
        });
        tokio::select! {
            _ = join_all(watching) => Ok(NOT_PAID),
            () = enough.notified() => Ok(DONE),
            _ = tokio::signal::ctrl_c() => Ok(DONE),
        }
    }
}

fn tell(context: &Context, name: &str, event: &str, text: &str) {
    if context.json {
        print(&json!({ "scanner": name, "event": event, "text": text }).to_string());
    } else {
        print(&format!("{name}: {text}"));
    }
}
