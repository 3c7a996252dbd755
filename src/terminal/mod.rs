//! The loop, the only place where rooms meet: input, step, append, effects. Nothing here waits for a device.

mod audience;
pub mod clock;
mod codes;
pub mod desk;
mod keeping;
mod line;
mod printing;
mod refunding;
pub mod remembered;
mod shell;
mod unfinished;
mod words;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Context as _;
use tokio::sync::{broadcast, mpsc, watch};
use tokio::time::{Instant, sleep_until};

use crate::display::{self, Display};
use crate::gateway::http::Http;
use crate::input::{Command, Input};
use crate::journal::{self, Journal};
use crate::printer::{self, Printer};
use crate::service::{Service, Signal, Signals};
use crate::sounds::{self, Sounds};
use crate::terminal::audience::Audience;
use crate::terminal::clock::Clock;
use crate::terminal::desk::{Desk, Setup};
use crate::terminal::shell::Shell;
use crate::time::Timestamp;
use crate::{api, scanner};

pub use printing::receipt_of;

/// Inputs that may wait; a device that floods then waits for itself.
const INBOX: usize = 1024;
/// Notices that a slow listener may miss before it has to read the journal again.
const NOTICES: usize = 1024;
/// From a request's start to writing the rows that it overtook: time for the bytes to leave this thread.
const SETTLE: Duration = Duration::from_millis(2);
/// Quiet time before the journal's upkeep.
const QUIET: Duration = Duration::from_secs(5);
/// While anything waits, the loop looks at the clock this often: timers do not ring while the machine is suspended.
const GLANCE: Duration = Duration::from_secs(30);
/// The longest sleep without any reason to wake up.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// Everything that a terminal is made of.
pub struct Parts {
    /// What does not change.
    pub setup: Setup,
    /// Where the journal is.
    pub journal: journal::Settings,
    /// The line to the provider.
    pub http: Http,
    /// The scanners.
    pub scanners: Vec<scanner::Settings>,
    /// The printer, if there is one.
    pub printer: Option<printer::Settings>,
    /// The customer's display, if there is one.
    pub display: Option<display::Settings>,
    /// The cashier's sounds, if any are played.
    pub sounds: Option<sounds::Settings>,
    /// The API.
    pub api: api::Settings,
    /// Receipts as text, for the API.
    pub receipt_text: api::ReceiptText,
    /// Receipts as pictures, for the API.
    pub receipt_picture: api::ReceiptPicture,
}

/// Runs until a signal. Every open payment is taken up before the first new one.
pub async fn run(parts: Parts) -> anyhow::Result<()> {
    let mut signals = Signals::listen()?;
    let mut clock = Clock::start();
    let opened = Journal::open(&parts.journal, &parts.setup.terminal)?;
    let http = Arc::new(parts.http);
    let (inbox, mut inputs) = mpsc::channel(INBOX);
    let (notices, _) = broadcast::channel(NOTICES);
    let (stop_listening, stop) = watch::channel(false);
    let shared_clock = Arc::new(Mutex::new(clock.clone()));
    let read_clock = Arc::clone(&shared_clock);
    let setup = parts.setup;
    let audience = Audience::new(setup.policy.clone());
    let gateway = Arc::clone(&setup.gateway);
    let shop = |records| api::Shop {
        inbox: inbox.clone(),
        notices: notices.clone(),
        records,
        clock: Arc::new(move || read_clock.lock().map_or(Timestamp(0), |clock| clock.now())),
        policy: setup.policy.clone(),
        language: setup.language,
        store_name: setup.store_name.clone(),
        terminal: setup.terminal.clone(),
        sandbox: setup.sandbox,
        receipt_text: parts.receipt_text,
        receipt_picture: parts.receipt_picture,
        stop: stop.clone(),
    };
    let shop = shop(opened.journal.records());
    let mut desk = Desk::start(setup, opened, http.certificate_expiry(), clock.now())?;

    let torn = desk.left_a_receipt_unfinished();
    let no_thread = |whose| {
        format!(
            "the {whose} gets no thread of its own\nhelp: look for what uses up the machine's threads, or raise TasksMax="
        )
    };
    let printer = parts.printer.map(|settings| Printer::start(settings, torn, inbox.clone()));
    let printer = printer.transpose().with_context(|| no_thread("printer"))?;
    let display = parts.display.map(|settings| Display::start(settings, inbox.clone()));
    let display = display.transpose().with_context(|| no_thread("display"))?;
    let sounds = parts.sounds.map(Sounds::start).transpose().with_context(|| no_thread("sounds"))?;
    // Scanners that wait to be told read while a sale waits for a code.
    let (wants_code, wanted) = watch::channel(false);
    for settings in parts.scanners {
        scanner::start_when(settings, inbox.clone(), wanted.clone());
    }
    let door = api::Door::open(&parts.api).await?;
    let serving = tokio::spawn(door.serve(api::router(shop), stop));
    let mut shell =
        Shell { gateway, http, printer, display, sounds, audience, inbox, notices, turns: shell::turns() };
    let mut service = Service::of_process();
    shell.carry_out(desk.take_acts(), desk.in_hand.as_ref());
    service.ready(&desk.summary());

    let mut quiet_since = Instant::now();
    let mut upkeep_done = false;
    loop {
        desk.tick(clock.now());
        shell.carry_out(desk.take_acts(), desk.in_hand.as_ref());
        wants_code.send_if_modified(|was| std::mem::replace(was, desk.awaits_code()) != *was);
        service.alive();
        service.status(&desk.summary());

        let mut until = Instant::now() + service.heartbeat().unwrap_or(LONGEST);
        if let Some(at) = desk.next_tick() {
            until = until.min(Instant::now() + at.since(clock.now()).min(GLANCE));
        }
        if desk.has_deferred() {
            until = until.min(Instant::now() + SETTLE);
        } else if !upkeep_done && desk.is_idle() {
            until = until.min(quiet_since + QUIET);
        }
        let input = tokio::select! {
            biased;
            input = inputs.recv() => input,
            signal = signals.next() => match signal {
                Signal::Stop => break,
                Signal::Reload => {
                    tracing::warn!("settings are read at the start only: restart to change them");
                    None
                }
            },
            () = sleep_until(until) => None,
        };
        if let Some(input) = input {
            // A question changes nothing: whoever asks every second how it is must not put the upkeep off for ever.
            let only_asks = matches!(input, Input::Command(Command::Status(_)));
            desk.handle(input, clock.now());
            shell.carry_out(desk.take_acts(), desk.in_hand.as_ref());
            if !only_asks {
                (quiet_since, upkeep_done) = (Instant::now(), false);
            }
            continue;
        }
        desk.settle(clock.now());
        if !upkeep_done && desk.is_idle() && quiet_since.elapsed() >= QUIET {
            desk.idle(clock.now());
            upkeep_done = true;
            if !desk.has_waits() && clock.follow_wall() {
                tracing::warn!("clock was set: it is {} now", clock.now().rfc3339());
                *shared_clock.lock().unwrap_or_else(|broken| broken.into_inner()) = clock.clone();
                desk.clock_set(clock.now());
            }
        }
    }
    service.stopping();
    // Requests under way are not waited for: their intent is on the disk, and the next start asks.
    let _ = stop_listening.send(true);
    // The display is cleared meanwhile.
    drop(shell);
    desk.close(clock.now())?;
    // Connections in hand get their answer; the door itself ends within a second.
    let _ = serving.await;
    Ok(())
}
