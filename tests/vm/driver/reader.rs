//! A process that runs what the daemon runs for its scanners, and says what comes of it, a line of JSON each. It is one of
//! its own so that it can be stopped in the middle of a scan.

use std::path::Path;

use anyhow::{Result, anyhow};
use micropayd::config;
use micropayd::input::{Input, Scan, ScanRefusal};
use serde_json::json;
use tokio::sync::mpsc;

/// Reads the scanners of a configuration for ever.
pub fn run(config: &str) -> Result<()> {
    let scanners = config::devices_of(Path::new(config)).map_err(|problems| anyhow!("{problems}"))?.scanners;
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let (inbox, mut inputs) = mpsc::channel(64);
        for settings in scanners {
            micropayd::scanner::start(settings, inbox.clone());
        }
        while let Some(input) = inputs.recv().await {
            let (event, text) = match input {
                Input::Scan(Scan::Code(_, code)) => ("code", code.hint().to_string()),
                Input::Scan(Scan::Refused(_, why)) => ("refused", word(why).to_owned()),
                Input::Device(device) if device.ready => ("ready", String::new()),
                Input::Device(device) => ("trouble", device.trouble),
                _ => continue,
            };
            println!("{}", json!({ "event": event, "text": text }));
        }
        Ok(())
    })
}

fn word(why: ScanRefusal) -> &'static str {
    match why {
        ScanRefusal::NotDigits => "not digits",
        ScanRefusal::Length => "length",
        ScanRefusal::Broken => "broken",
        ScanRefusal::Lost => "lost",
        ScanRefusal::Flood => "flood",
    }
}
