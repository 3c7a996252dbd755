//! `printer probe`: what the printer says of itself; if asked to, a receipt or a sheet of samples on paper; and the
//! lines for the configuration.

use std::io::{BufRead, Write};
use std::time::Duration;

use clap::Subcommand;
use serde_json::json;

use crate::cli::receipt::sample;
use crate::cli::table::facts;
use crate::cli::{Context, DONE, Failure, NOT_PAID, print, print_json};
use crate::config;
use crate::input::PrintOutcome;
use crate::printer::probe::{About, Probe, chinese_of};
use crate::printer::profile::Chinese;
use crate::printer::{Kind, Settings};

/// For a person to load paper, while somebody watches.
const PATIENCE: Duration = Duration::from_secs(120);

/// Arguments of `printer`.
#[derive(clap::Args, Debug)]
pub struct PrinterCommand {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand, Debug)]
enum What {
    /// Ask the printer of the configuration how it is and which font it has; stop the daemon first, it holds the printer
    Probe(Arguments),
}

#[derive(clap::Args, Debug)]
struct Arguments {
    /// Print a receipt as well, marked as a sample
    #[arg(long)]
    print: bool,
    /// Print numbered samples of Chinese, and ask which of them are right
    #[arg(long)]
    samples: bool,
}

/// What was found.
struct Found {
    ready: bool,
    trouble: String,
    about: About,
    receipt: Option<PrintOutcome>,
    sheet: Option<PrintOutcome>,
}

impl PrinterCommand {
    pub async fn run(self, context: &Context) -> anyhow::Result<u8> {
        let What::Probe(arguments) = self.what;
        let mut settings = config::devices_of(&context.config_path())?.printer;
        if settings.kind == Kind::None {
            let text = "no printer is set up\nhelp: write kind and path, or address, in [printer]";
            return Err(Failure::Refused(text.to_owned()).into());
        }
        settings.waits.patience = PATIENCE;
        let (asked, (with_receipt, with_sheet)) = (settings.clone(), (arguments.print, arguments.samples));
        let found = tokio::task::spawn_blocking(move || look(&asked, with_receipt, with_sheet)).await??;
        let profile = settings.load_profile().map_err(Failure::Refused)?.chinese;
        let printed = |outcome: &Option<PrintOutcome>| {
            outcome
                .as_ref()
                .is_none_or(|outcome| matches!(outcome, PrintOutcome::Printed | PrintOutcome::Unconfirmed(_)))
        };
        let mut font = found.about.chinese();
        if found.sheet.is_some() && printed(&found.sheet) {
            font = Some(ask_which()?);
        }
        let section = font.map(|font| section(&settings, font, profile));
        tell(context, &settings, &found, section.as_deref())?;
        let good = found.ready && printed(&found.receipt) && printed(&found.sheet);
        Ok(if good { DONE } else { NOT_PAID })
    }
}

fn look(settings: &Settings, with_receipt: bool, with_sheet: bool) -> anyhow::Result<Found> {
    let mut probe = Probe::new(settings).map_err(Failure::Refused)?;
    let (ready, trouble) = match probe.look() {
        Ok(warning) => (true, warning.to_owned()),
        Err(trouble) => (false, trouble),
    };
    let about = if ready { probe.about() } else { About::default() };
    let receipt = with_receipt.then(|| probe.print_receipt(&sample("first")));
    let sheet = with_sheet.then(|| probe.print_samples());
    Ok(Found { ready, trouble, about, receipt, sheet })
}

/// Asks the person at the printer.
fn ask_which() -> anyhow::Result<Chinese> {
    let mut input = std::io::stdin().lock();
    for _ in 0..5 {
        let question = "纸上第几行之前（含）的文字都正确？全都不正确写 0\n\
                        Up to which number is the text like the picture under it? 0 if none is [0-3]: ";
        let mut out = std::io::stderr();
        let _ = out.write_all(question.as_bytes()).and_then(|()| out.flush());
        let mut line = String::new();
        if input.read_line(&mut line)? == 0 {
            break;
        }
        if let Some(font) = line.trim().parse().ok().and_then(chinese_of) {
            return Ok(font);
        }
    }
    Err(Failure::Refused("nobody said which samples are right\nhelp: answer with 0, 1, 2 or 3".to_owned())
        .into())
}

/// The section for the configuration file.
fn section(settings: &Settings, font: Chinese, profile: Chinese) -> String {
    let kind = match settings.kind {
        Kind::None => "none",
        Kind::Usblp => "usblp",
        Kind::Serial => "serial",
        Kind::Network => "network",
        Kind::File => "file",
    };
    let mut lines = format!("[printer]\nkind = \"{kind}\"\n");
    if let Some(path) = &settings.path {
        lines += &format!("path = {path:?}\n");
    }
    if let Some(address) = &settings.address {
        lines += &format!("address = {address:?}\n");
    }
    if settings.kind == Kind::Serial {
        lines += &format!("baud = {}\n", settings.baud);
    }
    lines += &format!("profile = {:?}\n", settings.profile);
    if font != profile || settings.chinese.is_some() {
        lines += &format!("chinese = \"{}\"\n", font.name());
    }
    lines
}

fn tell(context: &Context, settings: &Settings, found: &Found, section: Option<&str>) -> anyhow::Result<()> {
    let About { maker, model, font } = &found.about;
    let printed = |outcome: &Option<PrintOutcome>| {
        outcome.as_ref().map(|outcome| match outcome {
            PrintOutcome::Printed => ("printed", String::new()),
            PrintOutcome::Unconfirmed(why) => ("unconfirmed", why.clone()),
            PrintOutcome::Failed(why) => ("failed", why.clone()),
            PrintOutcome::NotStarted(why) => ("not_started", why.clone()),
        })
    };
    let (receipt, sheet) = (printed(&found.receipt), printed(&found.sheet));
    if context.json {
        let outcome = |printed: Option<(&str, String)>| {
            printed.map(|(outcome, why)| json!({ "outcome": outcome, "why": why }))
        };
        return print_json(&json!({
            "printer": settings.name(), "profile": settings.profile, "ready": found.ready,
            "trouble": found.trouble, "maker": maker, "model": model, "font": font,
            "sample": outcome(receipt), "samples": outcome(sheet), "section": section,
        }));
    }
    let ready = if found.ready { "yes" } else { "no" };
    let mut pairs = vec![
        ("printer", settings.name()),
        ("profile", settings.profile.clone()),
        ("ready", ready.to_owned()),
    ];
    for (name, text) in [("trouble", &found.trouble), ("maker", maker), ("model", model), ("font", font)] {
        if !text.is_empty() {
            pairs.push((name, text.clone()));
        }
    }
    for (name, printed) in [("receipt", receipt), ("samples", sheet)] {
        if let Some((word, why)) = printed {
            pairs.push((name, if why.is_empty() { word.to_owned() } else { format!("{word}: {why}") }));
        }
    }
    print(&facts(&pairs));
    match section {
        Some(section) => print(&format!("\n{section}")),
        None if found.ready => {
            print("\nit does not say which font it has; find out with: micropayd printer probe --samples")
        }
        None => {}
    }
    Ok(())
}
