//! The door to the cashier's ear: a sound for each thing that must be heard without looking, played by a program that
//! the shop chooses. Never in a payment's way: sounds wait in a short queue of their own, and a player that hangs is
//! killed.
//!
//! The player gets a tone as a WAV file on its standard input (`aplay -q` plays that), and in its arguments, where they
//! are written, the sound's name for `{sound}` and a sentence in Mandarin for `{words}`: the amount of a payment in
//! words, for a speech program or a script that plays recorded words one after the other.

mod player;
mod tones;
mod words;

use std::io;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::Duration;

use crate::money::Amount;

/// What is to be heard.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sound {
    /// A payment code was taken.
    Scanned,
    /// Something that was scanned is not used.
    Refused,
    /// Paid: the goods can be handed over.
    Paid(Amount),
    /// Not paid.
    NotPaid,
    /// A person must act.
    CallManager,
}

impl Sound {
    /// Its name in a player's arguments.
    pub fn name(self) -> &'static str {
        match self {
            Self::Scanned => "scanned",
            Self::Refused => "refused",
            Self::Paid(_) => "paid",
            Self::NotPaid => "not_paid",
            Self::CallManager => "call_manager",
        }
    }

    /// What is said in Mandarin; the tone alone says enough where this is empty.
    pub fn words(self) -> String {
        match self {
            Self::Scanned => String::new(),
            Self::Refused => "请看屏幕".to_owned(),
            Self::Paid(amount) => format!("收款{}", words::amount(amount)),
            Self::NotPaid => "支付未成功".to_owned(),
            Self::CallManager => "请叫店长".to_owned(),
        }
    }

    /// Its tone as a WAV file.
    pub fn wav(self) -> Vec<u8> {
        tones::wav(self)
    }
}

/// What plays, and for how long at most.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settings {
    /// The program and its arguments; empty where nothing plays.
    pub command: Vec<String>,
    /// A player that takes longer is killed.
    pub within: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self { command: Vec::new(), within: Duration::from_secs(5) }
    }
}

impl Settings {
    /// Whether anything plays.
    pub fn plays(&self) -> bool {
        !self.command.is_empty()
    }

    /// Says what cannot work.
    ///
    /// # Errors
    /// What is wrong, and in a second line (`help: …`) what to write.
    pub fn check(&self) -> Result<(), String> {
        let help = "help: write command = [\"aplay\", \"-q\"]";
        if self.command.first().is_some_and(String::is_empty) {
            return Err(format!("sounds.command names no program\n{help}"));
        }
        if self.command.iter().any(|argument| argument.contains('\0')) {
            return Err(format!("sounds.command contains a NUL\n{help}"));
        }
        if self.within < Duration::from_millis(100) || self.within > Duration::from_secs(60) {
            return Err("sounds.within is out of range, expected 100ms to 60s\nhelp: write within = \"5s\""
                .to_owned());
        }
        Ok(())
    }
}

/// Sounds that wait while one plays. More than that is a player that hangs; what is left out then, the screen says.
const QUEUE: usize = 4;

/// The sounds' own thread. Dropping it lets the sound that plays end, or be killed.
pub struct Sounds(SyncSender<Sound>);

impl Sounds {
    /// Starts the thread.
    pub fn start(settings: Settings) -> io::Result<Self> {
        let (sounds, waiting) = sync_channel(QUEUE);
        let player = player::Player::new(settings);
        std::thread::Builder::new().name("sounds".to_owned()).spawn(move || player.run(&waiting))?;
        Ok(Self(sounds))
    }

    /// Plays this when those before it are over; waits for nothing.
    pub fn play(&self, sound: Sound) {
        if self.0.try_send(sound).is_err() {
            tracing::warn!("sound {} is left out: the player does not keep up", sound.name());
        }
    }
}

/// Plays one sound and waits for its end.
///
/// # Errors
/// Why it was not heard to its end.
pub fn play_once(settings: &Settings, sound: Sound) -> io::Result<()> {
    player::play(settings, sound)
}
