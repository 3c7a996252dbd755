//! Tests the tests: plants each bug of `tests/planted.toml` in a copy of the code and expects the tests to fail.
//!
//! | command | does |
//! |---|---|
//! | `cargo run --example planted` | tries all |
//! | `cargo run --example planted -- --only TEXT` | those whose name, file or rule contains the text |
//! | `cargo run --example planted -- --table FILE` | also writes what caught which bug as a table |
//! | `cargo run --example planted -- --write payment FOLDER` | writes that part as a crate of its own, for `cargo mutants` |
//!
//! A bug is planted in the smallest part of the crate that can notice it, as a crate of its own that builds in seconds.
//! Ends with exit status 1 if a bug was missed, was caught by another test than expected, or has lost its place.

#[path = "planted/parts.rs"]
mod parts;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Instant;

use anyhow::{Context, bail};
use clap::Parser;
use serde::Deserialize;

use parts::Part;

/// Some bugs make a test run for ever.
const PATIENCE_SECONDS: &str = "600";
/// The exit status of `timeout` when it had to end what it ran.
const TIMED_OUT: i32 = 124;
/// How the weather of the payment machine begins the line that says which rules were broken.
const RULES_BROKEN: &str = "broken rules: ";

#[derive(Parser)]
struct Arguments {
    /// Only bugs whose name, file or rule contains this.
    #[arg(long, default_value = "")]
    only: String,
    /// Where to write the table.
    #[arg(long)]
    table: Option<PathBuf>,
    /// Writes a part (payment, gateway, journal) to a folder instead of trying anything.
    #[arg(long, num_args = 2, value_names = ["PART", "FOLDER"])]
    write: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    bug: Vec<Bug>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Bug {
    name: String,
    file: String,
    find: String,
    replace: String,
    /// Which tests to run, as arguments of `cargo test`; without it those of the part.
    test: Option<Vec<String>>,
    /// Which line of "What must never be false" in `docs/testing.md` the bug breaks.
    rule: Option<String>,
    /// No other rule is broken by it, as far as the weather sees: it says so of every payment that it ends early.
    #[serde(default)]
    alone: bool,
    /// A test that must be among those that fail, where the rule is not one that the weather names.
    by: Option<String>,
}

/// What became of a planted bug.
enum Fate {
    Caught(Catch),
    /// The compiler refused it.
    DoesNotCompile(String),
    Missed,
}

/// What noticed a bug.
struct Catch {
    /// The tests that failed.
    tests: BTreeSet<String>,
    /// What the weather said if it was one of them: `money 100, rest 3, of 5000 payments`.
    weather: Option<String>,
}

fn main() -> anyhow::Result<ExitCode> {
    let Arguments { only, table, write } = Arguments::parse();
    let home = Path::new(env!("CARGO_MANIFEST_DIR"));
    if let Some([part, folder]) = write.as_deref() {
        Part::named(part)?.write(home, Path::new(folder))?;
        return Ok(ExitCode::SUCCESS);
    }
    let list: List = toml::from_str(&fs::read_to_string(home.join("tests/planted.toml"))?)?;
    let wanted = |text: &str| text.contains(&only);
    let bugs: Vec<Bug> = list
        .bug
        .into_iter()
        .filter(|bug| wanted(&bug.name) || wanted(&bug.file) || bug.rule.as_deref().is_some_and(wanted))
        .collect();
    let planted = home.join("target/planted");
    let mut sound = BTreeSet::new();
    let mut rows = String::new();
    let mut bad = 0;
    for bug in &bugs {
        let part = Part::of(&bug.file, bug.test.as_deref());
        let folder = planted.join(part.name());
        let test = bug.test.clone().unwrap_or_else(|| part.tests());
        if sound.insert((part, test.clone())) {
            part.write(home, &folder)?;
            let reason = match run(&folder, &test)? {
                Fate::Missed => None,
                Fate::Caught(catch) => Some(join(&catch.tests)),
                Fate::DoesNotCompile(error) => Some(error),
            };
            if let Some(reason) = reason {
                bail!("without any bug `cargo test {}` fails already: {reason}", test.join(" "));
            }
        }
        let began = Instant::now();
        let original = plant(&folder, bug)?;
        let fate = run(&folder, &test);
        fs::write(folder.join(&bug.file), original)?;
        let verdict = judge(bug, &fate?);
        bad += usize::from(verdict.is_err());
        let (Ok(words) | Err(words)) = &verdict;
        println!("{:<64} {:>3} s  {words}", bug.name, began.elapsed().as_secs());
        writeln!(rows, "| {} | {} | {words} |", bug.name, bug.rule.as_deref().unwrap_or(""))?;
    }
    println!("{} bugs planted, {} caught as expected", bugs.len(), bugs.len() - bad);
    if let Some(table) = table {
        fs::write(&table, format!("| bug | breaks | caught by |\n|---|---|---|\n{rows}"))?;
    }
    Ok(if bad == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Whether the bug was caught by what must catch it, in words for the table.
fn judge(bug: &Bug, fate: &Fate) -> Result<String, String> {
    let catch = match fate {
        Fate::Caught(catch) => catch,
        Fate::DoesNotCompile(error) => return Err(format!("DOES NOT COMPILE: {error}")),
        Fate::Missed => return Err("MISSED".to_owned()),
    };
    let weather = catch.weather.as_deref();
    let words = format!(
        "{}{}",
        join(&catch.tests),
        weather.map(|words| format!("; the weather says: {words}")).unwrap_or_default()
    );
    if let Some(by) = &bug.by {
        return match catch.tests.iter().any(|test| test.contains(by)) {
            true => Ok(words),
            false => Err(format!("NOT BY {by}: {words}")),
        };
    }
    if let Some(rule) = &bug.rule {
        let named: Vec<&str> = weather.unwrap_or_default().split(", ").collect();
        let (of_payments, rules) = named.split_last().expect("a split has one part");
        debug_assert!(weather.is_none() || of_payments.starts_with("of "));
        let is_named = rules.iter().any(|each| each.split(' ').next() == Some(rule));
        if !is_named {
            return Err(format!("THE WEATHER DOES NOT NAME {rule}: {words}"));
        }
        if bug.alone && rules.len() > 1 {
            return Err(format!("NOT {rule} ALONE: {words}"));
        }
    }
    Ok(words)
}

fn join(tests: &BTreeSet<String>) -> String {
    tests.iter().map(|test| format!("`{test}`")).collect::<Vec<_>>().join(", ")
}

/// Puts the bug in its place; returns the file as it was.
fn plant(folder: &Path, bug: &Bug) -> anyhow::Result<String> {
    let path = folder.join(&bug.file);
    let original = fs::read_to_string(&path).with_context(|| format!("cannot read {}", bug.file))?;
    let places = original.matches(&bug.find).count();
    if places != 1 {
        bail!(
            "{:?} has {places} places in {}, expected 1\nhelp: correct `find` in tests/planted.toml",
            bug.name,
            bug.file
        );
    }
    fs::write(&path, original.replace(&bug.find, &bug.replace))?;
    Ok(original)
}

fn run(folder: &Path, test: &[String]) -> anyhow::Result<Fate> {
    let cargo = |program: &[&str], more: &[&str]| {
        let output = Command::new(program[0])
            .args(&program[1..])
            .arg("test")
            .args(test)
            .args(more)
            // It would see every bug at once: the place is taken.
            .args(["--", "--skip", "every_planted_bug_has_its_place"])
            .current_dir(folder)
            // Of its own, or the repository's tests would meet the copy's library.
            .env("CARGO_TARGET_DIR", Path::new(env!("CARGO_MANIFEST_DIR")).join("target/planted/build"))
            .env("CARGO_INCREMENTAL", "1")
            .env("CARGO_PROFILE_DEV_OPT_LEVEL", "1")
            .env("RUST_BACKTRACE", "0")
            .env_remove("UPDATE")
            .output();
        output.context("cannot run timeout and cargo")
    };
    // A first build takes its time; only the tests can run for ever. What does not build is told by them, too.
    cargo(&[env!("CARGO")], &["--no-run"])?;
    let output = cargo(&["timeout", PATIENCE_SECONDS, env!("CARGO")], &[])?;
    if output.status.success() {
        return Ok(Fate::Missed);
    }
    let told = String::from_utf8_lossy(&output.stdout);
    let failed = told.lines().filter_map(|line| line.strip_prefix("test ")?.strip_suffix(" ... FAILED"));
    let mut tests: BTreeSet<String> = failed.map(|name| name.replace(" - should panic", "")).collect();
    if output.status.code() == Some(TIMED_OUT) {
        tests.insert("(no end)".to_owned());
    }
    if tests.is_empty() {
        let errors = String::from_utf8_lossy(&output.stderr);
        let error = errors.lines().find(|line| line.starts_with("error")).unwrap_or("no test failed");
        return Ok(Fate::DoesNotCompile(error.to_owned()));
    }
    let weather = told.lines().find_map(|line| line.strip_prefix(RULES_BROKEN)).map(str::to_owned);
    Ok(Fate::Caught(Catch { tests, weather }))
}
