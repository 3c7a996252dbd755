//! The command line: one file a subcommand. Says what happened in the exit code as well; never prints a key.

mod cancel;
mod check_config;
mod client;
mod completions;
pub mod demo;
mod display;
mod doctor;
mod list;
mod man;
mod pay;
mod printer;
mod receipt;
mod reconcile;
mod refund;
mod replay;
mod report;
mod reprint;
mod restore;
mod run;
mod scanner;
mod show;
mod simulator;
mod sounds;
mod status;
mod table;

use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::config::{DEFAULT_PATH, Problems};
use crate::journal::JournalError;
use crate::service;

/// Done; for `pay`: paid.
pub const DONE: u8 = 0;
/// It did not work out; for `pay`: not paid, nothing was taken.
pub const NOT_PAID: u8 = 1;
/// Not known yet.
pub const NOT_KNOWN: u8 = 2;
/// The command line is wrong (`EX_USAGE` of sysexits.h).
pub const USAGE: u8 = 64;
/// The journal is damaged, or a newer program's (`EX_DATAERR`); starting again does not help, and `restore` needs it stopped.
pub const DATA: u8 = 65;
/// The daemon does not answer (`EX_UNAVAILABLE`).
pub const UNREACHABLE: u8 = 69;
/// Something inside went wrong (`EX_SOFTWARE`).
pub const SOFTWARE: u8 = 70;
/// The configuration is wrong (`EX_CONFIG`); starting again does not help.
pub const CONFIG: u8 = 78;

/// A WeChat Pay point-of-sale terminal: takes scanned payment codes, keeps every step, prints every receipt.
#[derive(Parser, Debug)]
#[command(name = "micropayd", version, max_term_width = 100, disable_help_subcommand = true)]
#[command(after_help = "Try it without hardware or an account: micropayd demo\n\
    Exit codes: 0 done, 1 not done, 2 not known yet (pay), 64 wrong usage, \
    65 journal damaged, 69 daemon not reachable, 78 wrong configuration.")]
pub struct Arguments {
    /// The configuration file; fragments in FILE.d/*.toml are merged over it
    #[arg(long, global = true, env = "MICROPAYD_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print facts as JSON
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Run the daemon in the foreground; logs to stderr
    Run,
    Simulator(simulator::Simulator),
    /// Play a whole shop on this machine, without an account and without hardware
    Demo(demo::DemoArgs),
    /// Take a payment through the running daemon and show it live
    Pay(pay::Pay),
    /// List payments, newest first
    List(list::List),
    /// Show one payment
    Show(show::Show),
    /// Ask that a payment be cancelled; it may still end paid
    Cancel(cancel::Cancel),
    /// Give the money of a payment back, all of it or a part
    Refund(refund::RefundCommand),
    /// Print a receipt once more, marked as a copy
    Reprint(reprint::Reprint),
    /// Say how everything is, what is not finished, and since when
    Status(status::StatusCommand),
    /// Say what a day came to
    Report(report::Report),
    /// Compare a day with WeChat's bill, in both directions, and say what to do about each difference
    Reconcile(reconcile::Reconcile),
    /// Tell one payment's life, step by step, from the journal
    Replay(replay::Replay),
    /// Try the scanners
    Scanner(scanner::ScannerCommand),
    /// Try the printer
    Printer(printer::PrinterCommand),
    /// Try the customer's display
    Display(display::DisplayCommand),
    /// Try the sounds
    Sounds(sounds::SoundsCommand),
    /// Look at receipts without paper
    Receipt(receipt::ReceiptCommand),
    /// Look at everything that a payment needs, and say what to do about each fault
    Doctor(doctor::Doctor),
    /// Build a damaged journal anew from its newest whole copy and the log; the damaged files are kept
    Restore(restore::Restore),
    /// Say what is wrong with a configuration, with the line, and what to write instead
    CheckConfig(check_config::CheckConfig),
    /// Print the completions of a shell
    #[command(hide = true)]
    Completions(completions::Completions),
    /// Write the manual pages into a directory
    #[command(hide = true)]
    Man(man::Man),
}

/// What every command may look at.
pub struct Context {
    /// The configuration that was named, if one was.
    config: Option<PathBuf>,
    /// Whether facts are printed as JSON.
    json: bool,
}

impl Context {
    /// The configuration file: the one that was named, or the default.
    fn config_path(&self) -> PathBuf {
        self.config.clone().unwrap_or_else(|| PathBuf::from(DEFAULT_PATH))
    }
}

/// A failure that has an exit code of its own.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The command line is wrong.
    #[error("{0}")]
    Usage(String),
    /// The daemon does not answer.
    #[error("{0}")]
    Unreachable(String),
    /// What was asked for was refused; nothing was done.
    #[error("{0}")]
    Refused(String),
    /// Nobody knows yet.
    #[error("{0}")]
    NotKnown(String),
}

/// Runs the program with these arguments, the first being its own name.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    service::guard_panics();
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { USAGE } else { DONE });
        }
    };
    let context = Context { config: arguments.config, json: arguments.json };
    // Reverse requests, the API and the simulator need one provider, set before the first connection. It is there
    // already when a test calls this twice.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let done = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(anyhow::Error::from)
        .and_then(|runtime| {
            let done = runtime.block_on(run(arguments.command, &context));
            // A thread that blocks (a device, a name lookup) must not hold up the end.
            runtime.shutdown_background();
            done
        });
    match done {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            service::say_failure(&chain(&error));
            ExitCode::from(code(&error))
        }
    }
}

async fn run(command: Command, context: &Context) -> anyhow::Result<u8> {
    match command {
        Command::Run => run::run(context).await,
        Command::Demo(demo) => demo::run(demo).await.map(|()| DONE),
        Command::Simulator(arguments) => simulator::run(arguments).await.map(|()| DONE),
        Command::Pay(pay) => pay.run(context).await,
        Command::List(list) => list.run(context).await,
        Command::Show(show) => show.run(context).await,
        Command::Cancel(cancel) => cancel.run(context).await,
        Command::Refund(refund) => refund.run(context).await,
        Command::Reprint(reprint) => reprint.run(context).await,
        Command::Status(status) => status.run(context).await,
        Command::Restore(restore) => restore.run(context),
        Command::Report(report) => report.run(context).await,
        Command::Reconcile(reconcile) => reconcile.run(context).await,
        Command::Replay(replay) => replay.run(context).await,
        Command::Scanner(scanner) => scanner.run(context).await,
        Command::Printer(printer) => printer.run(context).await,
        Command::Display(display) => display.run(context).await,
        Command::Sounds(sounds) => sounds.run(context).await,
        Command::Receipt(receipt) => receipt.run(context),
        Command::Doctor(doctor) => doctor.run(context).await,
        Command::CheckConfig(check) => check.run(context),
        Command::Completions(completions) => completions.run(),
        Command::Man(man) => man.run(),
    }
}

fn code(error: &anyhow::Error) -> u8 {
    if error.is::<Problems>() {
        return CONFIG;
    }
    if let Some(JournalError::Damaged { .. } | JournalError::Newer { .. }) = error.downcast_ref() {
        return DATA;
    }
    match error.downcast_ref::<Failure>() {
        Some(Failure::Usage(_)) => USAGE,
        Some(Failure::Unreachable(_)) => UNREACHABLE,
        Some(Failure::Refused(_)) => NOT_PAID,
        Some(Failure::NotKnown(_)) => NOT_KNOWN,
        None => SOFTWARE,
    }
}

/// `error: …`, then `caused by: …` for each cause that says something new; `help:` lines last.
fn chain(error: &anyhow::Error) -> String {
    if let Some(Problems(problems)) = error.downcast_ref::<Problems>() {
        let each: Vec<String> =
            problems.iter().map(|problem| format!("{}: {problem}", problem.weight.label())).collect();
        return each.join("\n");
    }
    let mut said = Vec::new();
    let mut help = Vec::new();
    for (depth, cause) in error.chain().enumerate() {
        let text = cause.to_string();
        let mut lines = Vec::new();
        for line in text.lines() {
            if line.starts_with("help: ") { help.push(line.to_owned()) } else { lines.push(line.to_owned()) }
        }
        let text = lines.join("\n");
        if said.iter().any(|line: &String| line.ends_with(&text)) {
            continue;
        }
        said.push(if depth == 0 { format!("error: {text}") } else { format!("caused by: {text}") });
    }
    said.extend(help);
    said.join("\n")
}

/// Prints a fact; a reader that went away (`| head`) is not an error.
fn print(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes());
    let _ = if text.ends_with('\n') { Ok(()) } else { out.write_all(b"\n") };
    let _ = out.flush();
}

/// Prints a fact as JSON.
fn print_json(value: &impl serde::Serialize) -> anyhow::Result<()> {
    print(&serde_json::to_string_pretty(value)?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use anyhow::Context as _;
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn the_chain_puts_help_last_and_says_nothing_twice() {
        let error =
            anyhow::anyhow!("disk is full\nhelp: free some space").context("journal cannot be opened");
        assert_eq!(
            chain(&error),
            "error: journal cannot be opened\ncaused by: disk is full\nhelp: free some space"
        );
        let error = Err::<(), _>(anyhow::anyhow!("same")).context("same").unwrap_err();
        assert_eq!(chain(&error), "error: same");
    }
}
