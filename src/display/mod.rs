//! The door to the customer's display: what is to be paid, and whether it was. Never in a payment's way: whoever shows
//! something only leaves it here, and the newest wins.

mod bytes;
mod port;
mod worker;

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use crate::input::Inbox;
use crate::money::Amount;

/// What the customer sees.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Scene {
    /// Nothing: no sale.
    #[default]
    Empty,
    /// What is to be paid, and that a payment code is wanted.
    Total(Amount),
    /// The payment is being taken.
    Paying(Amount),
    /// The payer must type the password.
    Password(Amount),
    /// Paid. Shown for [`Settings::paid_for`], then nothing.
    Paid(Amount),
    /// This code did not pay. Shown for [`Settings::refused_for`], then the total again.
    Again(Amount),
    /// Not paid, and the sale is over. Shown for [`Settings::refused_for`], then nothing.
    NotPaid(Amount),
    /// Not paid, and what was taken, if anything, goes back by itself. Shown like [`Scene::NotPaid`].
    GoesBack(Amount),
    /// Nobody knows yet: the staff sees to it.
    Unclear(Amount),
}

/// Which display.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Kind {
    /// There is none.
    #[default]
    None,
    /// Eight digits and four lamps (LED8, 客显).
    Led8,
    /// Two lines of twenty characters.
    Vfd,
}

/// The commands that displays of one kind do not agree on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Dialect {
    /// LED8 whose lamps are numbered `1` to `4` in ASCII (linminglu/GiPOS).
    Ascii,
    /// LED8 whose lamps are numbered 01 to 04 in binary (Wintec CD110).
    Binary,
    /// VFD with the commands of CD5220.
    Cd5220,
    /// VFD with the commands of Epson's DM-D.
    Epson,
}

/// Which display, and how to reach it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settings {
    /// What it is.
    pub kind: Kind,
    /// Its serial port.
    pub path: Option<PathBuf>,
    /// Bits per second; `None` for what the kind is delivered with.
    pub baud: Option<u32>,
    /// `None` for what is usual for the kind.
    pub dialect: Option<Dialect>,
    /// How long `paid` stays.
    pub paid_for: Duration,
    /// How long `not paid` stays.
    pub refused_for: Duration,
    /// Between two looks for a display that is not there.
    pub absent: Duration,
    /// Between two looks at whether one that is there still is.
    pub watch: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            kind: Kind::None,
            path: None,
            baud: None,
            dialect: None,
            paid_for: Duration::from_secs(5),
            refused_for: Duration::from_secs(3),
            absent: Duration::from_secs(1),
            watch: Duration::from_secs(1),
        }
    }
}

impl Settings {
    /// Says what cannot work.
    ///
    /// # Errors
    /// What is wrong, and in a second line (`help: …`) what to write.
    pub fn check(&self) -> Result<(), String> {
        if self.kind != Kind::None && self.path.is_none() {
            return Err("display has no path\nhelp: write path = \"/dev/serial/by-id/usb-…\"".to_owned());
        }
        let fits = match (self.kind, self.dialect) {
            (_, None) | (Kind::None, _) => true,
            (Kind::Led8, Some(dialect)) => matches!(dialect, Dialect::Ascii | Dialect::Binary),
            (Kind::Vfd, Some(dialect)) => matches!(dialect, Dialect::Cd5220 | Dialect::Epson),
        };
        if fits {
            return Ok(());
        }
        Err("display of this kind does not speak this dialect\n\
             help: write ascii or binary for led8, cd5220 or epson for vfd"
            .to_owned())
    }

    /// 2400 for LED8 (LED8N manual), 9600 for VFD (CD5220 manual), unless it is written.
    fn speed(&self) -> u32 {
        self.baud.unwrap_or(if self.kind == Kind::Led8 { 2400 } else { 9600 })
    }

    fn language(&self) -> Dialect {
        self.dialect.unwrap_or(if self.kind == Kind::Led8 { Dialect::Ascii } else { Dialect::Cd5220 })
    }

    /// What follows a scene by itself, and after how long.
    fn next(&self, scene: Scene) -> Option<(Duration, Scene)> {
        match scene {
            Scene::Paid(_) => Some((self.paid_for, Scene::Empty)),
            Scene::Again(amount) => Some((self.refused_for, Scene::Total(amount))),
            Scene::NotPaid(_) | Scene::GoesBack(_) => Some((self.refused_for, Scene::Empty)),
            Scene::Empty | Scene::Total(_) | Scene::Paying(_) | Scene::Password(_) | Scene::Unclear(_) => {
                None
            }
        }
    }
}

/// What is to be shown, for the display's own thread.
#[derive(Default)]
struct Slot {
    wanted: Mutex<Wanted>,
    changed: Condvar,
}

#[derive(Default)]
struct Wanted {
    scene: Scene,
    /// Counts scenes, so that the same one twice is shown twice.
    serial: u64,
    stop: bool,
}

impl Slot {
    fn change(&self, how: impl FnOnce(&mut Wanted)) {
        // Nothing that holds the lock can panic half-way.
        how(&mut self.wanted.lock().unwrap_or_else(PoisonError::into_inner));
        self.changed.notify_one();
    }
}

/// A display that runs on its own thread. Dropping it clears the display and ends the thread.
pub struct Display(Arc<Slot>);

impl Display {
    /// Starts the thread. Reports the device to `inbox`; an absent display is reported and taken up when it appears.
    pub fn start(settings: Settings, inbox: Inbox) -> io::Result<Self> {
        let slot = Arc::new(Slot::default());
        let worker = worker::Worker::new(settings, inbox, Arc::clone(&slot));
        std::thread::Builder::new().name("display".to_owned()).spawn(move || worker.run())?;
        Ok(Self(slot))
    }

    /// Shows this from now on; waits for nothing.
    pub fn show(&self, scene: Scene) {
        self.0.change(|wanted| {
            wanted.scene = scene;
            wanted.serial += 1;
        });
    }
}

impl Drop for Display {
    fn drop(&mut self) {
        self.0.change(|wanted| wanted.stop = true);
    }
}

#[cfg(test)]
mod tests;
