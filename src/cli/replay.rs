//! `replay`: one payment's life, step by step, from the daemon or, when it does not run, from the journal itself.

use std::path::PathBuf;

use crate::api::view::{Life, Step};
use crate::cli::client::{Trouble, Where, escaped, typed};
use crate::cli::list::word;
use crate::cli::table::{Align, moment, table, yuan};
use crate::cli::{Context, DONE, Failure, print, print_json};
use crate::payment::Policy;
use crate::payment::cashier::Language;
use crate::sale::id_from_text;
use crate::{config, journal};

/// Arguments of `replay`.
#[derive(clap::Args, Debug)]
pub struct Replay {
    /// The payment's id or an order number
    id: String,
    /// Read this journal, without a daemon; nothing is written
    #[arg(long, value_name = "DIR", conflicts_with = "api")]
    state_dir: Option<PathBuf>,
    #[command(flatten)]
    daemon: Where,
}

impl Replay {
    pub async fn run(self, context: &Context) -> anyhow::Result<u8> {
        let life = match &self.state_dir {
            Some(dir) => self.life_in_journal(dir.clone())?,
            None => {
                let client = self.daemon.client(context)?;
                match client.get(&format!("/v1/payments/{}/life", escaped(&self.id))).await {
                    Ok(answer) => typed(&answer)?,
                    Err(Trouble::Unreachable(_)) if self.daemon.is_default() => {
                        let path = context.config_path();
                        let dir = config::state_dir_of(&path).unwrap_or_else(|| {
                            config::default_state_dir(&path, &config::Surroundings::of_process())
                        });
                        self.life_in_journal(dir)?
                    }
                    Err(trouble) => return Err(trouble.into_error()),
                }
            }
        };
        if context.json {
            print_json(&life)?;
        } else {
            print(&text(&life));
        }
        Ok(DONE)
    }

    fn life_in_journal(&self, dir: PathBuf) -> anyhow::Result<Life> {
        let records = journal::read_only(&journal::Settings { dir })?;
        let Some(sale) = id_from_text(&self.id, records.as_ref())? else {
            let text = format!(
                "payment {} was never seen\nhelp: find it with: micropayd list --search TEXT",
                self.id
            );
            return Err(Failure::Refused(text).into());
        };
        let steps = records.life(&sale.id)?;
        // The waits only decide how many seconds a sentence of then had left.
        let policy = Policy::default();
        Ok(Life { steps: steps.iter().map(|step| Step::of(step, &policy, Language::default())).collect() })
    }
}

fn text(life: &Life) -> String {
    let columns = [
        ("STEP", Align::Right),
        ("WHEN", Align::Left),
        ("WHAT", Align::Left),
        ("PHASE", Align::Left),
        ("MONEY", Align::Left),
        ("RECEIPT", Align::Left),
        ("THE CASHIER WAS TOLD", Align::Left),
    ];
    let row = |step: &Step| {
        vec![
            step.sequence.to_string(),
            // Milliseconds matter here: 2026-11-21 19:38:41.250
            step.at.get(..23).map_or_else(|| moment(&step.at), |at| at.replace('T', " ")),
            step.event.clone(),
            word(&step.payment.phase),
            word(&step.payment.money),
            word(&step.payment.receipt.state),
            step.payment.cashier.text.clone(),
        ]
    };
    let rows: Vec<Vec<String>> = life.steps.iter().map(row).collect();
    let heading = life.steps.last().map(|step| {
        let payment = &step.payment;
        let reference =
            payment.reference.as_deref().map(|text| format!(", reference {text}")).unwrap_or_default();
        format!(
            "{}: {} {}, {}{reference}\n\n",
            payment.id,
            yuan(payment.amount),
            payment.currency,
            payment.subject
        )
    });
    heading.unwrap_or_default() + &table(&columns, &rows)
}
