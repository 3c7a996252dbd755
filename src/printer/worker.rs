//! The printer's own thread: takes jobs, reports their ends, and looks at the printer while nobody prints.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use super::link::{Link, Open};
use super::profile::{Profile, UsbId};
use super::session::Session;
use super::{Job, Kind, Settings, file, network, serial, usblp};
use crate::input::{Device, DeviceKind, Inbox, Input, JobId, PrintOutcome, Printed};
use crate::receipt::{Receipt, Template, layout};

/// The drawer's magnet needs rest: one pulse in this time.
const DRAWER_REST: Duration = Duration::from_secs(2);

/// A drawer that would open later than this opens when nobody looks.
const DRAWER_LATE: Duration = Duration::from_secs(5);

/// Which kinds of job are in hand.
pub struct Flags {
    /// A receipt.
    pub printing: Arc<AtomicBool>,
    /// The drawer.
    pub opening: Arc<AtomicBool>,
}

/// The thread's own things.
pub struct Worker {
    session: Session,
    columns: usize,
    template: Template,
    waits: super::Waits,
    kind: Kind,
    inbox: Inbox,
    flags: Flags,
    name: String,
    /// What is wrong with the settings; said in every report.
    setting: String,
    reported: Option<(bool, String)>,
    pulsed: Option<Instant>,
}

/// There is no printer.
struct Nothing;

impl Open for Nothing {
    fn open(&mut self) -> Result<Box<dyn Link>, String> {
        Err("没有设置打印机 no printer is set up".to_owned())
    }

    fn stays_open(&self) -> bool {
        false
    }
}

/// What opens the way to the printer of these settings.
pub fn way(settings: &Settings, usb: &[UsbId]) -> Box<dyn Open> {
    let path = settings.path.as_deref();
    match (settings.kind, path, &settings.address) {
        (Kind::File, Some(path), _) => Box::new(file::Paths::new(path)),
        (Kind::Serial, Some(path), _) => Box::new(serial::Port::new(path, settings.baud, settings.flow)),
        (Kind::Network, _, Some(address)) => Box::new(network::Network::new(address, settings.waits.connect)),
        (Kind::Usblp, path, _) => Box::new(usblp::Port::new(path, usb)),
        _ => Box::new(Nothing),
    }
}

impl Worker {
    /// Prepares everything that needs no printer; `torn` when a receipt may have broken off in the process before.
    pub fn new(settings: Settings, torn: bool, inbox: Inbox, flags: Flags, stop: Arc<AtomicBool>) -> Self {
        let mut setting = String::new();
        let profile = settings.load_profile().or_else(|error| {
            setting = error;
            Profile::built_in("generic-58mm").ok_or(())
        });
        // The built-in profiles are checked by a test.
        let profile = profile.unwrap_or_else(|()| Profile::plain());
        let template = settings.load_template(profile.dots).unwrap_or_else(|error| {
            setting = error;
            Template::default()
        });
        let (open, name) = (way(&settings, &profile.usb), settings.name());
        let columns = profile.columns;
        // Any number does; a random one keeps apart what two processes asked.
        let first = getrandom::u32().unwrap_or(0);
        let mut session = Session::new(profile, settings.waits, open, first, stop);
        if torn {
            session.tear();
        }
        Self {
            session,
            columns,
            template,
            waits: settings.waits,
            kind: settings.kind,
            inbox,
            flags,
            name,
            setting,
            reported: None,
            pulsed: None,
        }
    }

    /// Works until whoever holds the other end of `jobs` lets it go.
    pub fn run(mut self, jobs: &Receiver<(Instant, Job)>) {
        let mut next_look = self.look();
        loop {
            let job = match next_look {
                Some(wait) => jobs.recv_timeout(wait),
                None => jobs.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            match job {
                Ok((_, Job::Receipt(job, receipt))) => {
                    let outcome = self.print(&receipt);
                    self.end(job, outcome);
                    self.session.rest();
                    next_look = self.pause();
                }
                Ok((asked, Job::Drawer)) => {
                    self.open_drawer(asked);
                    // The receipt of the same sale comes right behind it: closing in between would only hold it up.
                    if !self.flags.printing.load(Ordering::Acquire) {
                        self.session.rest();
                    }
                    self.flags.opening.store(false, Ordering::Release);
                    next_look = self.pause();
                }
                Err(RecvTimeoutError::Timeout) => next_look = self.look(),
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn print(&mut self, receipt: &Receipt) -> PrintOutcome {
        let lines = layout(receipt, self.columns, &self.template);
        let (name, setting, inbox) = (&self.name, &self.setting, &self.inbox);
        let reported = &mut self.reported;
        let outcome = self.session.print(&lines, &mut |trouble| {
            report(inbox, name, setting, reported, trouble.is_empty(), trouble)
        });
        match &outcome {
            PrintOutcome::NotStarted(why) | PrintOutcome::Failed(why) => self.report(false, &why.clone()),
            PrintOutcome::Printed | PrintOutcome::Unconfirmed(_) => {
                if self.reported.as_ref().is_none_or(|(ready, _)| !ready) {
                    self.report(true, "");
                }
            }
        }
        outcome
    }

    /// Says how a job ended; exactly once, and only when the next one may come.
    fn end(&mut self, job: JobId, outcome: PrintOutcome) {
        self.flags.printing.store(false, Ordering::Release);
        // Without a loop there is nobody to tell; the journal asks again at the next start.
        let _ = self.inbox.blocking_send(Input::Print(Printed { job, outcome }));
    }

    fn open_drawer(&mut self, asked: Instant) {
        if asked.elapsed() > DRAWER_LATE {
            tracing::warn!("printer was busy for {:?}, drawer stays closed", asked.elapsed());
            return;
        }
        if self.pulsed.is_some_and(|last| last.elapsed() < DRAWER_REST) {
            tracing::warn!("drawer was opened less than two seconds ago, pulse left out");
            return;
        }
        match self.session.drawer() {
            Ok(()) => self.pulsed = Some(Instant::now()),
            Err(why) => {
                tracing::warn!("drawer was not opened: {why}");
                self.report(false, &why);
            }
        }
    }

    /// Looks at the printer and says when to look again.
    fn look(&mut self) -> Option<Duration> {
        if self.kind == Kind::None {
            return None;
        }
        match self.session.look() {
            Ok(warning) => self.report(true, warning),
            Err(trouble) => self.report(false, &trouble),
        }
        self.session.rest();
        self.pause()
    }

    /// When to look again: soon for one that is missing or in trouble; now and then for one that answers or can be
    /// unplugged; else never.
    fn pause(&self) -> Option<Duration> {
        let ready = self.reported.as_ref().is_none_or(|(ready, _)| *ready);
        match (self.kind, ready) {
            (Kind::None, _) => None,
            (_, false) if !self.session.is_open() => Some(self.waits.absent),
            _ if self.session.stays_open() => Some(self.waits.watch),
            (Kind::Network, _) if self.session.can_look() => Some(self.waits.network_watch),
            (_, false) => Some(self.waits.watch),
            (_, true) => None,
        }
    }

    fn report(&mut self, ready: bool, trouble: &str) {
        report(&self.inbox, &self.name, &self.setting, &mut self.reported, ready, trouble);
    }
}

/// Says how the printer is, when that changed.
fn report(
    inbox: &Inbox,
    name: &str,
    setting: &str,
    reported: &mut Option<(bool, String)>,
    ready: bool,
    trouble: &str,
) {
    let both = [trouble, setting].iter().filter(|text| !text.is_empty()).copied().collect::<Vec<_>>();
    let trouble = both.join("\n");
    if reported.as_ref().is_some_and(|(was, what)| *was == ready && *what == trouble) {
        return;
    }
    *reported = Some((ready, trouble.clone()));
    let device = Device { kind: DeviceKind::Printer, name: name.to_owned(), ready, trouble };
    // Without a loop there is nobody to tell.
    let _ = inbox.blocking_send(Input::Device(device));
}
