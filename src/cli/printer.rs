//! `printer probe`: what the printer says of itself; and, if asked to, a sample on paper.

use std::time::Duration;

use clap::Subcommand;
use serde_json::json;
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::cli::receipt::sample;
use crate::cli::table::facts;
use crate::cli::{Context, DONE, Failure, NOT_PAID, print, print_json};
use crate::config;
use crate::input::{Device, Input, JobId, PrintOutcome, Printed};
use crate::printer::{Job, Kind, Printer};

/// A printer that is there says so sooner; a network that drops packets takes its time.
const REPORT_WITHIN: Duration = Duration::from_secs(10);

/// A slow serial printer needs some ten seconds for a receipt; one without paper is waited for by a person.
const PRINT_WITHIN: Duration = Duration::from_secs(120);

/// Any name does: no journal knows this job.
const JOB: JobId = 1;

/// Arguments of `printer`.
#[derive(clap::Args, Debug)]
pub struct PrinterCommand {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand, Debug)]
enum What {
    /// Ask the printer of the configuration how it is; stop the daemon first, it holds the printer
    Probe(Probe),
}

#[derive(clap::Args, Debug)]
struct Probe {
    /// Print a sample as well, marked as one
    #[arg(long)]
    print: bool,
}

impl PrinterCommand {
    pub async fn run(self, context: &Context) -> anyhow::Result<u8> {
        let What::Probe(probe) = self.what;
        let settings = config::devices_of(&context.config_path())?.printer;
        if settings.kind == Kind::None {
            let text = "no printer is set up\nhelp: write kind and path, or address, in [printer]";
            return Err(Failure::Refused(text.to_owned()).into());
        }
        let profile = settings.profile.clone();
        let (inbox, mut inputs) = mpsc::channel(16);
        let printer = Printer::start(settings, inbox)?;
        let Ok(Some(device)) = timeout(REPORT_WITHIN, report(&mut inputs)).await else {
            let text = "printer does not say how it is\nhelp: switch it off and on, look at its cable";
            return Err(Failure::Refused(text.to_owned()).into());
        };
        let mut outcome = None;
        if probe.print && printer.hand_over(Job::Receipt(JOB, Box::new(sample("first")))).is_ok() {
            outcome = Some(match timeout(PRINT_WITHIN, end(&mut inputs)).await {
                Ok(Some(outcome)) => outcome,
                Ok(None) | Err(_) => PrintOutcome::Unconfirmed("no answer".to_owned()),
            });
        }
        tell(context, &device, &profile, outcome.as_ref())?;
        let good = match &outcome {
            None => device.ready,
            Some(outcome) => matches!(outcome, PrintOutcome::Printed | PrintOutcome::Unconfirmed(_)),
        };
        Ok(if good { DONE } else { NOT_PAID })
    }
}

async fn report(inputs: &mut mpsc::Receiver<Input>) -> Option<Device> {
    loop {
        if let Input::Device(device) = inputs.recv().await? {
            return Some(device);
        }
    }
}

async fn end(inputs: &mut mpsc::Receiver<Input>) -> Option<PrintOutcome> {
    loop {
        if let Input::Print(Printed { outcome, .. }) = inputs.recv().await? {
            return Some(outcome);
        }
    }
}

fn tell(
    context: &Context,
    device: &Device,
    profile: &str,
    outcome: Option<&PrintOutcome>,
) -> anyhow::Result<()> {
    let (word, why) = match outcome {
        None => ("", ""),
        Some(PrintOutcome::Printed) => ("printed", ""),
        Some(PrintOutcome::Unconfirmed(why)) => ("unconfirmed", why.as_str()),
        Some(PrintOutcome::Failed(why)) => ("failed", why.as_str()),
        Some(PrintOutcome::NotStarted(why)) => ("not_started", why.as_str()),
    };
    if context.json {
        let sample = outcome.map(|_| json!({ "outcome": word, "why": why }));
        return print_json(&json!({
            "printer": device.name, "profile": profile, "ready": device.ready, "trouble": device.trouble,
            "sample": sample,
        }));
    }
    let ready = if device.ready { "yes" } else { "no" };
    let mut pairs =
        vec![("printer", device.name.clone()), ("profile", profile.to_owned()), ("ready", ready.to_owned())];
    if !device.trouble.is_empty() {
        pairs.push(("trouble", device.trouble.clone()));
    }
    if outcome.is_some() {
        pairs.push(("sample", if why.is_empty() { word.to_owned() } else { format!("{word}: {why}") }));
    }
    print(&facts(&pairs));
    Ok(())
}
