//! `restore`: builds a damaged journal anew from its newest whole copy and from the rows that still follow. Only when a
//! person says so, and never while the daemon runs; the damaged files are kept.

use std::path::PathBuf;

use crate::cli::{Context, DONE, print, print_json};
use crate::config::{Config, Surroundings};
use crate::journal::{self, Restored, Settings};

/// Arguments of `restore`.
#[derive(clap::Args, Debug)]
pub struct Restore {
    /// The journal's directory; by default the one in the configuration
    #[arg(long, value_name = "DIR")]
    state_dir: Option<PathBuf>,
}

impl Restore {
    pub fn run(self, context: &Context) -> anyhow::Result<u8> {
        let settings = match self.state_dir {
            Some(dir) => Settings { dir },
            None => Config::load(&context.config_path(), &Surroundings::of_process())?.journal,
        };
        if let Ok(whole) = journal::verify_all(&settings) {
            if context.json {
                print_json(&serde_json::json!({ "restored": false, "steps": whole.steps }))?;
            } else {
                print(&format!("the journal is whole, {} steps: nothing was done", whole.steps));
            }
            return Ok(DONE);
        }
        let restored = journal::restore(&settings)?;
        if context.json {
            print_json(&serde_json::json!({
                "restored": true,
                "copy": restored.backup,
                "copied": restored.copied,
                "newest": restored.newest,
                "seen": restored.seen,
                "witnessed": restored.witnessed,
                "damaged_files": restored.aside,
            }))?;
        } else {
            print(&text(&restored));
        }
        Ok(DONE)
    }
}

fn text(restored: &Restored) -> String {
    let Restored { aside, backup, copied, newest, seen, witnessed } = restored;
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
        "the journal was built anew from {from}\nthe damaged files are in {}\n{missing}\n\
         start the service: what is open is asked about again\n",
        aside.display()
    );
    if seen > newest || !witnessed {
        out.push_str(
            "help: compare the merchant platform's bill of the last days with `micropayd list`: a payment that is only \
             on the bill has to be noted, or given back on the platform\n",
        );
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_said_and_what_nobody_knows_too() {
        let restored = |newest, seen, witnessed| Restored {
            aside: "damaged-1".into(),
            backup: None,
            copied: 0,
            newest,
            seen,
            witnessed,
        };
        assert!(!text(&restored(52, 52, true)).contains("help: "));
        let some = text(&restored(29, 52, true));
        assert!(
            some.contains("up to 23 steps are missing, after step 29\n") && some.contains("help: "),
            "{some}"
        );
        let blind = text(&restored(29, 29, false));
        assert!(blind.contains("nobody can tell") && blind.contains("help: "), "{blind}");
    }
}
