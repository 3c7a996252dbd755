//! The door to the printer: one job at a time, and an honest word on whether it came out. Never prints by itself.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::time::Instant;

use crate::input::{Inbox, JobId};
use crate::receipt::{Paper, Receipt, Template, template};

mod confirm;
pub mod escpos;
mod file;
pub mod link;
mod logo;
mod network;
pub mod probe;
pub mod profile;
mod serial;
pub mod session;
pub mod status;
mod usblp;
mod worker;

pub use profile::Profile;
pub use serial::Flow;
pub use session::Waits;

/// What the printer is asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Job {
    /// Print this receipt.
    Receipt(JobId, Box<Receipt>),
    /// Open the drawer, now or, if the printer does not come to it within seconds, not at all; no end is reported.
    Drawer,
}

/// A printer that runs on its own thread. Dropping it lets the thread finish its job and end; a job that waits for a
/// person does not wait on.
pub struct Printer {
    jobs: SyncSender<(Instant, Job)>,
    printing: Arc<AtomicBool>,
    opening: Arc<AtomicBool>,
    stop: Arc<AtomicBool>,
}

/// How the printer is reached.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Kind {
    /// There is none: whoever keeps the jobs should make none. One that comes all the same is
    /// [`NotStarted`](crate::input::PrintOutcome::NotStarted).
    #[default]
    None,
    /// A USB printer behind the kernel's usblp driver.
    Usblp,
    /// A serial port.
    Serial,
    /// TCP, usually port 9100.
    Network,
    /// A file, a directory, a FIFO, any character device.
    File,
}

/// The connector of a cash drawer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Pin {
    /// Drawer 1.
    Two,
    /// Drawer 2.
    Five,
}

/// Which printer, and how to reach it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settings {
    /// How it is reached.
    pub kind: Kind,
    /// The device or file. A USB printer is found by its profile's USB ids where the path is left out or not there.
    pub path: Option<PathBuf>,
    /// `host` or `host:port` of a network printer.
    pub address: Option<String>,
    /// Speed of a serial port.
    pub baud: u32,
    /// How a serial printer says stop.
    pub flow: Flow,
    /// A built-in profile's name, or the path of a file (anything with a slash).
    pub profile: String,
    /// Which connector opens the drawer; `None` leaves it to the profile, and opens it only when somebody asks.
    pub drawer: Option<Pin>,
    /// Which Chinese characters its own font has, where the profile does not fit this one.
    pub chinese: Option<profile::Chinese>,
    /// The shop's receipt template.
    pub template: Option<PathBuf>,
    /// How long is waited for what; for tests.
    pub waits: Waits,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            kind: Kind::None,
            path: None,
            address: None,
            baud: 9600,
            flow: Flow::None,
            profile: "generic-58mm".to_owned(),
            drawer: None,
            chinese: None,
            template: None,
            waits: Waits::default(),
        }
    }
}

impl Settings {
    /// The name in messages.
    pub fn name(&self) -> String {
        let place = self.path.as_ref().map(|path| path.display().to_string()).or(self.address.clone());
        place.filter(|place| !place.is_empty()).unwrap_or_else(|| "printer".to_owned())
    }

    /// Reads and checks the profile, and puts this printer's own differences in.
    ///
    /// # Errors
    /// What is wrong with it, and what to do.
    pub fn load_profile(&self) -> Result<Profile, String> {
        self.read_profile().map(|profile| self.fit(profile))
    }

    fn fit(&self, mut profile: Profile) -> Profile {
        match self.drawer {
            Some(Pin::Two) => profile.drawer.pin = 2,
            Some(Pin::Five) => profile.drawer.pin = 5,
            None => {}
        }
        profile.chinese = self.chinese.unwrap_or(profile.chinese);
        profile
    }

    fn read_profile(&self) -> Result<Profile, String> {
        if self.profile.contains('/') {
            return read_text(Path::new(&self.profile), PAGE_MAX)
                .map_err(|error| error.to_string())
                .and_then(|text| Profile::parse(&text).map_err(|error| error.to_string()))
                .map_err(|error| format!("printer profile {}: {error}", self.profile));
        }
        Profile::built_in(&self.profile).ok_or_else(|| {
            let known: Vec<&str> = Profile::names().collect();
            format!(
                "unknown printer profile {:?}\nhelp: use the path of a file, or one of {}",
                self.profile,
                known.join(", ")
            )
        })
    }

    /// Reads and checks the receipt template and its logo, for paper of `dots`.
    ///
    /// # Errors
    /// What is wrong with it, and what to do.
    pub fn load_template(&self, dots: usize) -> Result<Template, String> {
        let Some(path) = &self.template else { return Ok(Template::default()) };
        let named = |error: &dyn std::fmt::Display| format!("receipt template {}: {error}", path.display());
        let text = read_text(path, PAGE_MAX).map_err(|error| named(&error))?;
        let written = template::Written::parse(&text).map_err(|error| named(&error))?;
        let mut template = written.template;
        if let Some(logo) = written.logo {
            let place = path.parent().map_or_else(|| PathBuf::from(&logo), |folder| folder.join(&logo));
            let picture = read(&place, LOGO_MAX)
                .map_err(|error| named(&format!("logo {}: {error}", place.display())))
                .and_then(|bytes| {
                    logo::read(&bytes).map_err(|e| named(&format!("logo {}: {e}", place.display())))
                })?;
            if picture.width() > dots {
                return Err(named(&format!(
                    "logo is {} dots wide, the paper has {dots}\nhelp: make the picture smaller",
                    picture.width()
                )));
            }
            template.logo = Some(picture);
        }
        Ok(template)
    }

    /// Checks everything that can be checked without a printer.
    ///
    /// # Errors
    /// What is wrong, and in a second line (`help: …`) what to write.
    pub fn check(&self) -> Result<(), String> {
        let (lacks, example) = match self.kind {
            Kind::None | Kind::Usblp => (false, ""),
            Kind::Serial => (self.path.is_none(), "path = \"/dev/serial/by-id/usb-…\""),
            Kind::File => (self.path.is_none(), "path = \"/var/lib/micropayd/paper\""),
            Kind::Network => (self.address.is_none(), "address = \"192.168.1.50:9100\""),
        };
        if lacks {
            return Err(format!("printer of this kind has no place\nhelp: write {example}"));
        }
        self.paper().map(|_| ())
    }

    /// The paper as it will be printed: for previews, and to check the settings without a printer.
    ///
    /// # Errors
    /// What is wrong with the profile or the template.
    pub fn paper(&self) -> Result<Paper, String> {
        let profile = self.load_profile()?;
        let template = self.load_template(profile.dots)?;
        Ok(Paper { columns: profile.columns, dots: profile.dots, template })
    }
}

/// A profile or a template is a page; more is another file.
const PAGE_MAX: u64 = 64 << 10;
/// A logo is as wide as the paper, 576 dots, and black and white: 1 MiB holds it in any of its formats.
const LOGO_MAX: u64 = 1 << 20;

/// A file of at most `max` bytes; of one that never ends no more is read.
fn read(path: &Path, max: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(max + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > max {
        return Err(io::Error::other(format!("file has more than {max} bytes")));
    }
    Ok(bytes)
}

fn read_text(path: &Path, max: u64) -> io::Result<String> {
    String::from_utf8(read(path, max)?).map_err(|_| io::Error::other("text is not UTF-8"))
}

/// What may wait: a receipt and the drawer, each once.
const QUEUE: usize = 2;

impl Printer {
    /// Starts the thread. Reports devices and job ends to `inbox`; an absent printer is reported and taken up when it appears.
    /// `torn`: the process before may have ended in the middle of a job.
    ///
    /// A profile or template that is not usable never stops the printer: it prints with the built-in ones and says so in
    /// its device report. Whoever starts the program should have asked [`Settings::paper`] before.
    pub fn start(settings: Settings, torn: bool, inbox: Inbox) -> io::Result<Printer> {
        let (jobs, waiting) = sync_channel(QUEUE);
        let printing = Arc::new(AtomicBool::new(false));
        let opening = Arc::new(AtomicBool::new(false));
        let stop = Arc::new(AtomicBool::new(false));
        let flags = worker::Flags { printing: Arc::clone(&printing), opening: Arc::clone(&opening) };
        let worker = worker::Worker::new(settings, torn, inbox, flags, Arc::clone(&stop));
        std::thread::Builder::new().name("printer".to_owned()).spawn(move || worker.run(&waiting))?;
        Ok(Printer { jobs, printing, opening, stop })
    }

    /// Hands over a job without waiting; gives it back when one of its kind is already in hand. The caller hands over one
    /// receipt at a time and waits for its [`Printed`](crate::input::Printed).
    pub fn hand_over(&self, job: Job) -> Result<(), Job> {
        let in_hand = match job {
            Job::Receipt(..) => &self.printing,
            Job::Drawer => &self.opening,
        };
        if in_hand.swap(true, Ordering::AcqRel) {
            return Err(job);
        }
        self.jobs.try_send((Instant::now(), job)).map_err(|refused| {
            in_hand.store(false, Ordering::Release);
            match refused {
                TrySendError::Full((_, job)) | TrySendError::Disconnected((_, job)) => job,
            }
        })
    }
}

impl Drop for Printer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}
