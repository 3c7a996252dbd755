//! Tests the tests: plants each bug of `tests/planted.toml` in a copy of the repository and expects the tests to fail.
//!
//! `cargo run --example planted` tries all, `-- --only TEXT` those whose name or file contains the text. Prints which
//! tests caught which bug; ends with exit status 1 if one was missed or has lost its place in the code.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Instant;

use anyhow::{Context, bail};
use clap::Parser;
use serde::Deserialize;

/// Some bugs make a test run for ever.
const PATIENCE_SECONDS: &str = "600";
/// The exit status of `timeout` when it had to end what it ran.
const TIMED_OUT: i32 = 124;

#[derive(Parser)]
struct Arguments {
    /// Only bugs whose name or file contains this.
    #[arg(long, default_value = "")]
    only: String,
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
    #[serde(default = "payment")]
    test: Vec<String>,
}

fn payment() -> Vec<String> {
    vec!["--test".to_owned(), "payment".to_owned()]
}

/// What became of a planted bug.
enum Fate {
    /// The tests that failed, and what the weather said if it was one of them.
    Caught(BTreeSet<String>, Option<String>),
    /// The compiler refused it.
    DoesNotCompile(String),
    Missed,
}

fn main() -> anyhow::Result<ExitCode> {
    let only = Arguments::parse().only;
    let home = Path::new(env!("CARGO_MANIFEST_DIR"));
    let list: List = toml::from_str(&fs::read_to_string(home.join("tests/planted.toml"))?)?;
    let bugs: Vec<Bug> =
        list.bug.into_iter().filter(|bug| bug.name.contains(&only) || bug.file.contains(&only)).collect();
    let copy = copy(home)?;
    let suites: BTreeSet<&Vec<String>> = bugs.iter().map(|bug| &bug.test).collect();
    for test in suites {
        let reason = match run(&copy, test)? {
            Fate::Missed => continue,
            Fate::Caught(tests, _) => tests.into_iter().collect::<Vec<_>>().join(", "),
            Fate::DoesNotCompile(error) => error,
        };
        bail!("without any bug `cargo test {}` fails already: {reason}", test.join(" "));
    }
    let mut missed = 0;
    for bug in &bugs {
        let began = Instant::now();
        let original = plant(&copy, bug)?;
        let fate = run(&copy, &bug.test);
        fs::write(copy.join(&bug.file), original)?;
        let verdict = match fate? {
            Fate::Caught(tests, weather) => {
                let tests: Vec<_> = tests.into_iter().collect();
                let weather = weather.map(|words| format!("; {words}")).unwrap_or_default();
                format!("caught by {}{weather}", tests.join(", "))
            }
            Fate::DoesNotCompile(error) => {
                missed += 1;
                format!("DOES NOT COMPILE: {error}")
            }
            Fate::Missed => {
                missed += 1;
                "MISSED".to_owned()
            }
        };
        println!("{:<64} {:>3} s  {verdict}", bug.name, began.elapsed().as_secs());
    }
    println!("{} bugs planted, {} caught", bugs.len(), bugs.len() - missed);
    Ok(if missed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Copies what git knows of, so that the copy is what a clone would be, with what is not committed yet.
fn copy(home: &Path) -> anyhow::Result<PathBuf> {
    let copy = home.join("target/planted/copy");
    let _ = fs::remove_dir_all(&copy);
    let listed = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .current_dir(home)
        .output()
        .context("cannot run git")?;
    for file in String::from_utf8(listed.stdout)?.lines() {
        let from = home.join(file);
        if from.is_file() {
            let to = copy.join(file);
            fs::create_dir_all(to.parent().context("a file is in a folder")?)?;
            fs::copy(&from, &to).with_context(|| format!("cannot copy {file}"))?;
        }
    }
    Ok(copy)
}

/// Puts the bug in its place; returns the file as it was.
fn plant(copy: &Path, bug: &Bug) -> anyhow::Result<String> {
    let path = copy.join(&bug.file);
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

fn run(copy: &Path, test: &[String]) -> anyhow::Result<Fate> {
    let output = Command::new("timeout")
        .args([PATIENCE_SECONDS, env!("CARGO"), "test"])
        .args(test)
        // It would see every bug at once: the place is taken.
        .args(["--", "--skip", "every_planted_bug_has_its_place"])
        .current_dir(copy)
        // Of its own, or the repository's tests would meet the copy's library.
        .env("CARGO_TARGET_DIR", Path::new(env!("CARGO_MANIFEST_DIR")).join("target/planted/build"))
        .env_remove("UPDATE")
        .output()
        .context("cannot run timeout and cargo")?;
    if output.status.success() {
        return Ok(Fate::Missed);
    }
    let told = String::from_utf8_lossy(&output.stdout);
    let failed = told.lines().filter_map(|line| line.strip_prefix("test ")?.strip_suffix(" ... FAILED"));
    let mut failed: BTreeSet<String> = failed.map(|name| name.replace(" - should panic", "")).collect();
    if output.status.code() == Some(TIMED_OUT) {
        failed.insert("(no end)".to_owned());
    }
    if failed.is_empty() {
        let errors = String::from_utf8_lossy(&output.stderr);
        let error = errors.lines().find(|line| line.starts_with("error")).unwrap_or("no test failed");
        return Ok(Fate::DoesNotCompile(error.to_owned()));
    }
    let weather = told.lines().find(|line| line.starts_with("payment ") && line.contains(" of seed "));
    Ok(Fate::Caught(failed, weather.map(str::to_owned)))
}
