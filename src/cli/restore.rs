//! `restore`: builds a damaged journal anew from its newest whole copy, from the rows that still follow, and from what the
//! log remembers of the rest. Only when a person says so, and never while the daemon runs; the damaged files are kept.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use crate::cli::{Context, DONE, print, print_json};
use crate::config::{self, Surroundings, Terminal};
use crate::gateway::wechat;
use crate::journal::{self, Restored, Settings};
use crate::printer;
use crate::terminal::remembered::{self, Common, Memory};

/// Arguments of `restore`.
#[derive(clap::Args, Debug)]
pub struct Restore {
    /// The journal's directory; by default the one in the configuration
    #[arg(long, value_name = "DIR")]
    state_dir: Option<PathBuf>,
    /// The daemon's log, `-` for standard input: what is missing in the journal and named there is put back, and the gateway
    /// is asked about it
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,
}

impl Restore {
    pub fn run(self, context: &Context) -> anyhow::Result<u8> {
        let terminal = || config::terminal_of(&context.config_path(), &Surroundings::of_process());
        let (dir, memory) = match (self.state_dir, self.log) {
            (Some(dir), None) => (dir, None),
            (None, None) => (terminal()?.state_dir, None),
            (dir, Some(log)) => {
                let Terminal { id, subject, state_dir, .. } = terminal()?;
                // What cannot be read of the printer is no reason to forget a receipt.
                let prints = config::devices_of(&context.config_path())
                    .map_or(true, |devices| devices.printer.kind != printer::Kind::None);
                let common = Common { terminal: id, subject, gateway: wechat::NAME.to_owned(), prints };
                (dir.unwrap_or(state_dir), Some(memory(&log, &common)?))
            }
        };
        let settings = Settings { dir };
        if memory.is_none()
            && let Ok(whole) = journal::verify_all(&settings)
        {
            if context.json {
                print_json(&serde_json::json!({ "restored": false, "steps": whole.steps }))?;
            } else {
                print(&format!("the journal is whole, {} steps: nothing was done", whole.steps));
            }
            return Ok(DONE);
        }
        let with_log = memory.is_some();
        let memory = memory.unwrap_or_default();
        let restored = journal::restore(&settings, &memory.told)?;
        if context.json {
            print_json(&serde_json::json!({
                "restored": true,
                "copy": restored.backup,
                "copied": restored.copied,
                "newest": restored.newest,
                "seen": restored.seen,
                "witnessed": restored.witnessed,
                "damaged_files": restored.aside,
                "from_log": {
                    "paid": restored.recalled.paid,
                    "to_be_asked": restored.recalled.asked,
                    "refunds": restored.recalled.refunds,
                    "refunds_left_out": restored.recalled.refunds_left_out,
                    "without_beginning": memory.without_beginning,
                },
            }))?;
        } else {
            print(&text(&restored, with_log.then_some(memory.without_beginning)));
        }
        Ok(DONE)
    }
}

fn memory(log: &Path, common: &Common) -> anyhow::Result<Memory> {
    let read = || match log.to_str() {
        Some("-") => remembered::read(std::io::stdin().lock(), common),
        _ => remembered::read(BufReader::new(File::open(log)?), common),
    };
    read().with_context(|| format!("log {} cannot be read", log.display()))
}

/// What happened. With a log: how many sales it names without their beginning.
fn text(restored: &Restored, log: Option<usize>) -> String {
    let Restored { aside, backup, copied, newest, seen, witnessed, recalled } = restored;
    let after = newest.saturating_sub(*copied);
    let from = match backup {
        Some(copy) => format!("{copied} steps of the copy {} and {after} that followed it", copy.display()),
        None => format!("its own first {after} steps: there is no whole copy"),
    };
    let missing = match seen.saturating_sub(*newest) {
        0 if *witnessed => "no step is missing".to_owned(),
        0 => "whether later steps are missing nobody can tell: the witness is gone".to_owned(),
        lost => format!("up to {lost} steps are missing, after step {newest}"),
    };
    let mut out = format!(
        "the journal was built anew from {from}\nthe damaged files are in {}\n{missing}\n",
        aside.display()
    );
    if let Some(without_beginning) = log {
        out.push_str(&format!(
            "put back from the log: {} paid sales, {} about which the gateway is asked, and {} refunds\n",
            recalled.paid, recalled.asked, recalled.refunds
        ));
        if recalled.refunds_left_out > 0 {
            out.push_str(&format!(
                "the log names {} more refunds, of sales that are not here or not recorded as paid\n\
                 help: look for them in the bill: `micropayd reconcile`\n",
                recalled.refunds_left_out
            ));
        }
        if without_beginning > 0 {
            out.push_str(&format!(
                "the log names {without_beginning} more sales that began before it does\n\
                 help: if they are missing, run this again with more of the log\n"
            ));
        }
    }
    out.push_str("start the service: what is open is asked about again\n");
    if log.is_none() && (seen > newest || !witnessed) {
        out.push_str(
            "help: what the log remembers can be put back: `journalctl -u micropayd -o short-iso | micropayd restore --log -`, \
             before the service is started\n",
        );
    }
    if seen > newest || !witnessed {
        out.push_str(
            "help: compare these days with WeChat's bill, `micropayd reconcile --date DAY`: a payment or a refund that is \
             only there has to be noted; a payment whose goods were not handed over is given back on the platform\n",
        );
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::Recalled;

    #[test]
    fn what_is_missing_is_said_and_what_nobody_knows_too() {
        let restored = |newest, seen, witnessed| Restored {
            aside: "damaged-1".into(),
            backup: None,
            copied: 0,
            newest,
            seen,
            witnessed,
            recalled: Recalled { paid: 7, asked: 2, refunds: 3, refunds_left_out: 4 },
        };
        assert!(!text(&restored(52, 52, true), None).contains("help: "));
        let some = text(&restored(29, 52, true), None);
        assert!(
            some.contains("up to 23 steps are missing, after step 29\n") && some.contains("help: "),
            "{some}"
        );
        let blind = text(&restored(29, 29, false), None);
        assert!(blind.contains("nobody can tell") && blind.contains("help: "), "{blind}");
        assert!(blind.contains("restore --log -"), "{blind}");
        let told = text(&restored(29, 52, true), Some(3));
        assert!(
            told.contains(
                "7 paid sales, 2 about which the gateway is asked, and 3 refunds\nthe log names 4 more"
            ),
            "{told}"
        );
        assert!(told.contains("names 3 more") && !told.contains("restore --log -"), "{told}");
    }
}
