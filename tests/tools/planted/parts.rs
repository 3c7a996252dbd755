//! Parts of the crate that build without the rest: the rooms that a bug can reach, as a crate of the same name.

use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, bail};

/// The rooms that are needed to notice a bug.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// The payment machine and the words.
    Payment,
    /// The refund machine, and what it stands on.
    Refund,
    /// The gateway's codec, without the transport.
    Gateway,
    /// The journal.
    Journal,
    /// All of it.
    Whole,
}

impl Part {
    /// All parts, the whole last.
    pub const ALL: [Part; 5] = [Part::Payment, Part::Refund, Part::Gateway, Part::Journal, Part::Whole];

    /// The smallest part that has a file and the tests that watch it; `test` if a bug names its own.
    pub fn of(file: &str, test: Option<&[String]>) -> Self {
        let part = Self::with(file);
        match test {
            Some([kind, named, ..]) if kind == "--test" && part.integration_test() != Some(named) => {
                Part::Whole
            }
            _ => part,
        }
    }

    fn with(file: &str) -> Self {
        let is = |room: &str| file.strip_prefix("src/").is_some_and(|file| file.starts_with(room));
        match file {
            _ if ["money.rs", "time.rs", "ids.rs", "payment/"].into_iter().any(is) => Part::Payment,
            _ if is("refund/") => Part::Refund,
            _ if is("gateway/wechat/") => Part::Gateway,
            _ if is("journal/") => Part::Journal,
            _ => Part::Whole,
        }
    }

    /// The part with this name.
    pub fn named(name: &str) -> anyhow::Result<Self> {
        let part = Self::ALL.into_iter().find(|part| part.name() == name);
        part.with_context(|| {
            format!("part {name:?} is not known, expected payment, refund, gateway, journal or whole")
        })
    }

    /// The name of its folder.
    pub fn name(self) -> &'static str {
        match self {
            Part::Payment => "payment",
            Part::Refund => "refund",
            Part::Gateway => "gateway",
            Part::Journal => "journal",
            Part::Whole => "whole",
        }
    }

    /// The tests that watch it, as arguments of `cargo test`.
    pub fn tests(self) -> Vec<String> {
        let tests: &[&str] = match self {
            Part::Payment => &["--test", "payment"],
            Part::Refund => &["--test", "refund"],
            Part::Gateway => &["--lib", "gateway::"],
            Part::Journal => &["--lib", "journal::"],
            Part::Whole => &[],
        };
        tests.iter().map(|&word| word.to_owned()).collect()
    }

    /// What is below `src`, in the order of the house.
    pub fn rooms(self) -> &'static [&'static str] {
        match self {
            Part::Payment => &["money", "time", "ids", "payment"],
            Part::Refund => &["money", "time", "ids", "payment", "refund"],
            Part::Gateway => &["money", "time", "ids", "payment", "refund", "sale", "reconcile", "gateway"],
            Part::Journal => &["money", "time", "ids", "payment", "refund", "sale", "input", "journal"],
            Part::Whole => &[],
        }
    }

    fn integration_test(self) -> Option<&'static str> {
        match self {
            Part::Payment => Some("payment"),
            Part::Refund => Some("refund"),
            Part::Journal => Some("journal"),
            Part::Gateway | Part::Whole => None,
        }
    }

    /// Writes the part below `folder` as git knows it, with what is not committed yet. Builds of before are not touched.
    pub fn write(self, home: &Path, folder: &Path) -> anyhow::Result<()> {
        for old in ["src", "tests"] {
            let _ = fs::remove_dir_all(folder.join(old));
        }
        let mut rust = String::new();
        for file in files(home)? {
            if self != Part::Whole && !self.has(&file) {
                continue;
            }
            let to = folder.join(&file);
            fs::create_dir_all(to.parent().context("a file is in a folder")?)?;
            if self == Part::Gateway && file == "src/gateway/mod.rs" {
                fs::write(&to, fs::read_to_string(home.join(&file))?.replace("pub mod http;\n", ""))?;
            } else {
                fs::copy(home.join(&file), &to).with_context(|| format!("cannot copy {file}"))?;
            }
            if file.ends_with(".rs") {
                rust.push_str(&fs::read_to_string(&to)?);
            }
        }
        if self == Part::Whole {
            return Ok(());
        }
        let rooms: String = self.rooms().iter().map(|room| format!("pub mod {room};\n")).collect();
        fs::write(folder.join("src/lib.rs"), format!("//! Some rooms of `micropayd`.\n{rooms}"))?;
        fs::write(folder.join("Cargo.toml"), Self::manifest(home, &rust)?)?;
        // The same versions; cargo drops those that are not used.
        fs::copy(home.join("Cargo.lock"), folder.join("Cargo.lock"))?;
        Ok(())
    }

    /// Whether this file belongs to it.
    pub fn has(self, file: &str) -> bool {
        let test = self.integration_test().map(|test| format!("tests/{test}/"));
        if test.is_some_and(|test| file.starts_with(&test)) {
            return true;
        }
        if self == Part::Gateway && file.starts_with("src/gateway/http/") {
            return false;
        }
        // A test of the reconciliation reads its page.
        if self == Part::Gateway && file == "docs/reconcile.md" {
            return true;
        }
        self.rooms()
            .iter()
            .any(|room| file == format!("src/{room}.rs") || file.starts_with(&format!("src/{room}/")))
    }

    /// The manifest with those dependencies that the code names, and no binary, example or bench.
    fn manifest(home: &Path, rust: &str) -> anyhow::Result<String> {
        let mut part = String::new();
        let mut section = "";
        for line in fs::read_to_string(home.join("Cargo.toml"))?.lines() {
            section = if line.starts_with('[') { line } else { section };
            let name = line.split(' ').next().unwrap_or_default();
            let keep = match section {
                "[package]" => name != "default-run",
                "[dependencies]" | "[dev-dependencies]" => line == section || is_named(name, rust),
                section => section.starts_with("[profile."),
            };
            if keep {
                writeln!(part, "{line}")?;
            }
        }
        Ok(part)
    }
}

/// Whether code names a dependency.
fn is_named(dependency: &str, rust: &str) -> bool {
    let name = if dependency == "md-5" { "md5".to_owned() } else { dependency.replace('-', "_") };
    !name.starts_with('#') && !name.is_empty() && rust.contains(&format!("{name}::"))
}

/// What git knows of, and what it would if it were added: what a clone would be.
fn files(home: &Path) -> anyhow::Result<Vec<String>> {
    let listed = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .current_dir(home)
        .output()
        .context("cannot run git")?;
    if !listed.status.success() {
        bail!("git does not list the files of {}", home.display());
    }
    let listed = String::from_utf8(listed.stdout)?;
    Ok(listed.lines().filter(|file| home.join(file).is_file()).map(str::to_owned).collect())
}
