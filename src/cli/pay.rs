//! `pay`: takes a payment through the running daemon and shows it live. What was begun goes on without this command.

use std::io::{IsTerminal, Read, Write};
use std::time::Duration;

use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};
use zeroize::Zeroizing;

use crate::api::view::{Money, Payment, PhaseName};
use crate::cli::client::{Client, Trouble, Where, escaped, typed};
use crate::cli::table::{facts, yuan};
use crate::cli::{Context, DONE, Failure, NOT_KNOWN, NOT_PAID, print, print_json};
use crate::money::Amount;

/// How often the daemon is asked; it answers from memory.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// How often a request that got no answer is repeated under its key before this command gives up.
const REPEATS: u32 = 5;

/// Arguments of `pay`.
#[derive(clap::Args, Debug)]
#[command(after_help = "Exit codes: 0 paid, 1 not paid (nothing taken), 2 not known yet, 64 wrong usage, \
    69 daemon not reachable.\nCtrl-C ends this command, not the payment.")]
pub struct Pay {
    /// How much, in yuan: 12.50
    #[arg(value_parser = amount)]
    amount: Amount,
    /// The shop's own reference
    #[arg(long, value_name = "R")]
    reference: Option<String>,
    /// What the payer sees, instead of the terminal's own text
    #[arg(long, value_name = "S")]
    subject: Option<String>,
    /// The payment code, instead of a scan; `-` reads it from standard input, where no process list shows it
    #[arg(long, value_name = "CODE")]
    code: Option<String>,
    #[command(flatten)]
    daemon: Where,
}

/// An amount on the command line.
pub(super) fn amount(text: &str) -> Result<Amount, String> {
    text.parse().map_err(|error: crate::money::AmountError| error.to_string())
}

impl Pay {
    pub async fn run(self, context: &Context) -> anyhow::Result<u8> {
        let mut body = json!({ "amount": self.amount.fen() });
        if let Some(reference) = &self.reference {
            body["reference"] = json!(reference);
        }
        if let Some(subject) = &self.subject {
            body["subject"] = json!(subject);
        }
        if let Some(code) = self.code() {
            body["auth_code"] = json!(code.as_str());
        }
        let client = self.daemon.client(context)?;
        // Taken over before anything is asked for: from then on Ctrl-C must say that the payment goes on.
        let mut interrupted = signal(SignalKind::interrupt())?;
        let mut screen = Screen::new(context.json);
        let mut id = None;
        let paying = async {
            let help = "the payment may have begun; look with: micropayd list";
            let opened = begin(&client, "/v1/payments", &body, help).await.map_err(Trouble::into_error)?;
            id = Some(typed::<Payment>(&opened)?.id);
            follow(&client, opened, &mut screen).await
        };
        let last = tokio::select! {
            last = paying => Some(last),
            _ = interrupted.recv() => None,
        };
        screen.end();
        let Some(last) = last else {
            let text = match id {
                Some(id) => format!(
                    "payment {id} goes on without this command\n\
                     help: look at it with: micropayd show {id}; end it with: micropayd cancel {id}"
                ),
                None => "payment may have begun\nhelp: look with: micropayd list".to_owned(),
            };
            return Err(Failure::NotKnown(text).into());
        };
        let (last, raw) = last?;
        if context.json {
            print_json(&raw)?;
        } else {
            print(&told(&last));
        }
        Ok(outcome(&last))
    }

    fn code(&self) -> Option<Zeroizing<String>> {
        let code = self.code.as_deref()?;
        if code != "-" {
            return Some(Zeroizing::new(code.to_owned()));
        }
        let mut line = Zeroizing::new(String::with_capacity(256));
        let _ = std::io::stdin().lock().take(200).read_to_string(&mut line);
        Some(Zeroizing::new(line.trim().to_owned()))
    }
}

/// Opens a payment or a refund under a fresh key. A request that got no answer is repeated under it, which cannot move
/// money twice; `help` says what to do when none comes.
pub(super) async fn begin(
    client: &Client,
    path: &str,
    body: &serde_json::Value,
    help: &str,
) -> Result<serde_json::Value, Trouble> {
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(|error| Trouble::Unreachable(format!("no randomness: {error}")))?;
    let key: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut repeats = 0;
    loop {
        match client.post(path, Some(body), Some(&key)).await {
            Ok(opened) => return Ok(opened),
            Err(Trouble::Unreachable(text)) if repeats == 0 => return Err(Trouble::Unreachable(text)),
            Err(Trouble::Refused(problem)) => return Err(Trouble::Refused(problem)),
            Err(Trouble::Unreachable(text) | Trouble::Lost(text)) if repeats == REPEATS => {
                return Err(Trouble::Lost(format!("{text}\nhelp: {help}")));
            }
            Err(_) => {
                repeats += 1;
                tokio::time::sleep(LOOK_EVERY * repeats).await;
            }
        }
    }
}

/// Looks at the payment until it is over or a person is called.
async fn follow(
    client: &Client,
    opened: serde_json::Value,
    screen: &mut Screen,
) -> anyhow::Result<(Payment, serde_json::Value)> {
    let mut raw = opened;
    let mut silent = 0;
    loop {
        let payment: Payment = typed(&raw)?;
        screen.show(&payment);
        if is_over(&payment) {
            return Ok((payment, raw));
        }
        tokio::time::sleep(LOOK_EVERY).await;
        match client.get(&format!("/v1/payments/{}", escaped(&payment.id))).await {
            Ok(next) => (raw, silent) = (next, 0),
            // A daemon that is started again takes the payment up where it was.
            Err(_) if silent < 150 => silent += 1,
            Err(trouble) => {
                let id = payment.id;
                let text = trouble.into_error();
                let help = format!("{text}\nhelp: when the daemon runs again: micropayd show {id}");
                return Err(Failure::NotKnown(help).into());
            }
        }
    }
}

fn is_over(payment: &Payment) -> bool {
    match payment.phase {
        PhaseName::AwaitingCode | PhaseName::Paying | PhaseName::Reversing => false,
        PhaseName::InDoubt
        | PhaseName::Paid
        | PhaseName::Declined
        | PhaseName::Reversed
        | PhaseName::Cancelled => true,
    }
}

/// The exit code: only money that is certainly there is `paid`, only money that is certainly not is `not paid`.
fn outcome(payment: &Payment) -> u8 {
    match (payment.phase, payment.money) {
        (PhaseName::Paid, Money::Taken) => DONE,
        (PhaseName::Declined | PhaseName::Reversed | PhaseName::Cancelled, Money::None | Money::Returned) => {
            NOT_PAID
        }
        _ => NOT_KNOWN,
    }
}

/// The end of a payment for people.
fn told(payment: &Payment) -> String {
    let mut pairs = vec![("amount", format!("{} {}", yuan(payment.amount), payment.currency))];
    let paid = payment.attempts.iter().find(|attempt| attempt.phase == PhaseName::Paid);
    if let Some(paid) = paid {
        pairs.extend(paid.payer_paid.map(|fen| ("paid by the payer", yuan(fen))));
        pairs.extend(paid.coupon.filter(|fen| *fen > 0).map(|fen| ("paid by coupons", yuan(fen))));
        pairs.push(("order number", paid.order_no.clone()));
        pairs.extend(paid.gateway_txn.clone().map(|number| ("wechat's number", number)));
    } else if let Some(last) = payment.attempts.last() {
        pairs.push(("order number", last.order_no.clone()));
    }
    facts(&pairs)
}

/// The cashier's sentence as it changes: on one line of a terminal, else one line for each change.
struct Screen {
    quiet: bool,
    live: bool,
    shown: String,
}

impl Screen {
    fn new(json: bool) -> Self {
        // With --json, standard output is for the program that reads it; a person still sees the sentence.
        Self {
            quiet: json && !std::io::stderr().is_terminal(),
            live: std::io::stderr().is_terminal(),
            shown: String::new(),
        }
    }

    fn show(&mut self, payment: &Payment) {
        let sentence = &payment.cashier.text;
        // The seconds that run down are for a screen; a log gets a line when the situation changes.
        let situation = if self.live { sentence.clone() } else { digits_off(sentence) };
        if self.quiet || situation == self.shown {
            return;
        }
        self.shown = situation;
        let line = if self.live { format!("\r\x1b[K{sentence}") } else { format!("{sentence}\n") };
        let mut out = std::io::stderr().lock();
        let _ = out.write_all(line.as_bytes());
        let _ = out.flush();
    }

    fn end(&mut self) {
        if self.live && !self.shown.is_empty() {
            let _ = std::io::stderr().write_all(b"\n");
        }
    }
}

fn digits_off(text: &str) -> String {
    text.chars().filter(|c| !c.is_ascii_digit()).collect()
}
