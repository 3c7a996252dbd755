//! `check-config`: what is wrong with a configuration.

use std::path::PathBuf;

use serde::Serialize;

use crate::cli::{CONFIG, Context, DONE, print, print_json};
use crate::config::{Config, Problem, Problems, Surroundings, Weight};

/// Arguments of `check-config`.
#[derive(clap::Args, Debug)]
pub struct CheckConfig {
    /// The file; by default the one that the daemon reads
    file: Option<PathBuf>,
}

/// A problem as JSON.
#[derive(Serialize)]
struct Said<'a> {
    weight: &'static str,
    file: String,
    line: Option<u32>,
    what: &'a str,
    help: &'a str,
}

#[derive(Serialize)]
struct Report<'a> {
    file: String,
    usable: bool,
    problems: Vec<Said<'a>>,
}

impl CheckConfig {
    pub fn run(self, context: &Context) -> anyhow::Result<u8> {
        let path = self.file.unwrap_or_else(|| context.config_path());
        let (problems, usable) = match Config::load(&path, &Surroundings::of_process()) {
            Ok(config) => (config.remarks, true),
            Err(Problems(problems)) => (problems, false),
        };
        if context.json {
            let problems = problems.iter().map(said).collect();
            print_json(&Report { file: path.display().to_string(), usable, problems })?;
        } else {
            for problem in &problems {
                print(&format!("{}: {problem}", problem.weight.label()));
            }
            print(&verdict(&path.display().to_string(), &problems));
        }
        Ok(if usable { DONE } else { CONFIG })
    }
}

fn said(problem: &Problem) -> Said<'_> {
    Said {
        weight: problem.weight.label(),
        file: problem.spot.file.display().to_string(),
        line: problem.spot.line,
        what: &problem.what,
        help: &problem.help,
    }
}

fn verdict(file: &str, problems: &[Problem]) -> String {
    let count = |weight| problems.iter().filter(|problem| problem.weight == weight).count();
    let fatal = count(Weight::Fatal);
    match (fatal, count(Weight::NoSales), count(Weight::Warning)) {
        (0, 0, 0) => format!("{file} is good"),
        (0, 0, _) => format!("{file} is good, see the warnings"),
        (0, _, _) => format!("{file} can be used, but no sale is taken until that is put right"),
        (1, _, _) => format!("{file} cannot be used: 1 error"),
        (_, _, _) => format!("{file} cannot be used: {fatal} errors"),
    }
}
