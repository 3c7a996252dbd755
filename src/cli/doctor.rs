//! `doctor`: looks at everything that a payment needs, and says what to do about each fault. Changes nothing, pays nothing.

mod devices;
mod disk;
mod gateway;
mod line;

use serde::Serialize;

use crate::api::till::Status;
use crate::cli::client::{Trouble, Where, typed};
use crate::cli::table::width;
use crate::cli::{Context, DONE, NOT_PAID, print, print_json};
use crate::config::{Config, Problem, Problems, Surroundings, Weight};

/// Arguments of `doctor`.
#[derive(clap::Args, Debug)]
pub struct Doctor {
    #[command(flatten)]
    daemon: Where,
}

/// How something is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Health {
    /// As it should be.
    Good,
    /// Worth a look; payments work.
    Look,
    /// Payments, reversals or receipts do not work.
    Bad,
}

/// One thing that was looked at.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Finding {
    /// What was looked at.
    pub of: String,
    /// How it is.
    pub health: Health,
    /// What was found.
    pub what: String,
    /// What to do; empty when all is well.
    pub help: String,
}

impl Finding {
    /// All is well.
    pub fn good(of: impl Into<String>, what: impl Into<String>) -> Self {
        Self { of: of.into(), health: Health::Good, what: what.into(), help: String::new() }
    }

    /// Worth a look.
    pub fn look(of: impl Into<String>, what: impl Into<String>, help: impl Into<String>) -> Self {
        Self { of: of.into(), health: Health::Look, what: what.into(), help: help.into() }
    }

    /// It does not work.
    pub fn bad(of: impl Into<String>, what: impl Into<String>, help: impl Into<String>) -> Self {
        Self { of: of.into(), health: Health::Bad, what: what.into(), help: help.into() }
    }
}

impl Doctor {
    pub async fn run(self, context: &Context) -> anyhow::Result<u8> {
        let path = context.config_path();
        let mut findings = Vec::new();
        match Config::load(&path, &Surroundings::of_process()) {
            Ok(config) => {
                findings.extend(settings(&path.display().to_string(), &config.remarks));
                findings.extend(line::look(&config.wechat).await);
                findings.extend(disk::look(&config.journal));
                findings.extend(devices::look(&config).await);
                findings.extend(gateway::look(config.wechat).await?);
            }
            Err(Problems(problems)) => findings.extend(settings(&path.display().to_string(), &problems)),
        }
        findings.extend(self.daemon(context).await?);
        if context.json {
            print_json(&findings)?;
        } else {
            print(&text(&findings));
        }
        let well = findings.iter().all(|finding| finding.health != Health::Bad);
        Ok(if well { DONE } else { NOT_PAID })
    }

    /// What the running daemon says of itself.
    async fn daemon(&self, context: &Context) -> anyhow::Result<Vec<Finding>> {
        let client = self.daemon.client(context)?;
        let status: Status = match client.get("/v1/status").await {
            Ok(answer) => typed(&answer)?,
            Err(Trouble::Unreachable(text)) => {
                let (what, help) = text.split_once("\nhelp: ").unwrap_or((&text, ""));
                return Ok(vec![Finding::look("daemon", what, help)]);
            }
            Err(trouble) => {
                let help = "look at its log: journalctl -u micropayd";
                return Ok(vec![Finding::bad("daemon", trouble.into_error().to_string(), help)]);
            }
        };
        let mut findings = Vec::new();
        let since = format!("{} runs since {}", status.version, status.started_at);
        findings.push(match &status.refuses_sales {
            None => Finding::good("daemon", since),
            Some(why) => Finding::bad("daemon", format!("takes no new sale: {why}"), "put that right first"),
        });
        for device in status.devices.iter().filter(|device| !device.ready) {
            findings.push(Finding::bad(device.name.clone(), "is not ready", device.trouble.clone()));
        }
        if !status.open.is_empty() {
            let what = format!("{} payments or receipts are not finished", status.open.len());
            findings.push(Finding::look(
                "open work",
                what,
                "see them with: micropayd list, or in the console",
            ));
        }
        if status.suspicious_answers > 0 {
            let what = format!("{} answers were not authentic or not about us", status.suspicious_answers);
            let help = "compare the API key with the merchant platform's; look for a proxy on the line";
            findings.push(Finding::bad("gateway", what, help));
        }
        Ok(findings)
    }
}

fn settings(file: &str, problems: &[Problem]) -> Vec<Finding> {
    if problems.is_empty() {
        return vec![Finding::good("settings", format!("{file} is good"))];
    }
    problems
        .iter()
        .map(|problem| {
            let (spot, health) = (&problem.spot, problem.weight == Weight::Warning);
            let what = format!("{spot}: {}", problem.what);
            let health = if health { Health::Look } else { Health::Bad };
            Finding { of: "settings".to_owned(), health, what, help: problem.help.clone() }
        })
        .collect()
}

fn text(findings: &[Finding]) -> String {
    let most = findings.iter().map(|finding| width(&finding.of)).max().unwrap_or(0);
    let mut out = String::new();
    for finding in findings {
        let mark = match finding.health {
            Health::Good => "  ok ",
            Health::Look => "look ",
            Health::Bad => " BAD ",
        };
        let blanks = " ".repeat(most - width(&finding.of));
        out.push_str(&format!("{mark} {}{blanks}  {}\n", finding.of, finding.what));
        if !finding.help.is_empty() {
            out.push_str(&format!("      {}  help: {}\n", " ".repeat(most), finding.help));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn findings_are_aligned_and_a_fault_says_what_to_do() {
        let findings =
            [Finding::good("key", "is there"), Finding::bad("certificate", "has ended", "renew it")];
        assert_eq!(
            text(&findings),
            "  ok  key          is there\n BAD  certificate  has ended\n                   help: renew it\n"
        );
    }
}
