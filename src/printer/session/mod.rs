//! One printer and what is known about it: opens the way, mends what broke off, sends, hears, remembers. Whether its word
//! is worth something is kept here and judged in `look`; what a job came to, in `confirm`.
//!
//! Nothing goes out on a torn way before the zeros that end the tear.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::escpos;
use super::link::{Link, Open};
use super::profile::{Profile, Question};
use super::status::{Condition, Replies, Reply};

mod look;

pub(super) use look::SILENT;

/// How long is waited for what.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Waits {
    /// For a network connection.
    pub connect: Duration,
    /// For an answer to a question. Epson printers answer within milliseconds; 1 s covers 9600 baud with a full line.
    pub answer: Duration,
    /// For a printer that takes no bytes and says no reason.
    pub stall: Duration,
    /// For the proof, after the last byte and whatever a slow line needs for them.
    pub confirm: Duration,
    /// For a person, when the printer says that it needs one.
    pub patience: Duration,
    /// Between two looks at a printer that is there. Faster ones disturb some printers (Linux, usblp.c).
    pub watch: Duration,
    /// Between two looks over the network, where a look keeps other computers out.
    pub network_watch: Duration,
    /// Between two looks for a printer that is not there.
    pub absent: Duration,
    /// For the printer to close the connection after a job.
    pub drain: Duration,
}

impl Default for Waits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(3),
            answer: Duration::from_millis(500),
            stall: Duration::from_secs(10),
            confirm: Duration::from_secs(10),
            patience: Duration::from_secs(10 * 60),
            watch: Duration::from_secs(2),
            network_watch: Duration::from_secs(10),
            absent: Duration::from_secs(1),
            drain: Duration::from_secs(1),
        }
    }
}

/// How many names of earlier jobs are remembered: a printer that went on after a pause returns one of them late.
const NAMES_KEPT: usize = 64;

/// Whether the printer takes the next byte for the beginning of a command.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Step {
    /// It does.
    In,
    /// A job broke off: it may wait for the rest of a picture or of a command.
    Torn,
    /// Torn, but zeros enough for the rest were taken on this way. Taken is not received: only a whole job shows that it is
    /// in step.
    Mended,
}

/// One printer.
pub struct Session {
    pub(super) profile: Profile,
    pub(super) waits: Waits,
    open: Box<dyn Open>,
    link: Option<Box<dyn Link>>,
    replies: Replies,
    heard: VecDeque<Reply>,
    /// What it last said by itself.
    automatic: Option<Condition>,
    /// It answered a question before: silence now means something.
    answered: bool,
    /// How often it was asked in vain, before it ever answered.
    silent: u32,
    /// The way carries nothing back.
    one_way: bool,
    /// When it was last looked at and well, on this way, with nothing sent since.
    well_at: Option<Duration>,
    /// The port's lines were seen well: before that, lines that say trouble may be lines that nobody drives.
    port_well: bool,
    /// It was seen well, and it was seen in trouble: its answers follow its state.
    seen_well: bool,
    seen_ill: bool,
    /// It returned what it was never given, or one byte for every question: its word is worth nothing.
    pub(super) lies: bool,
    /// What [`Session::noise`] was before the job.
    pub(super) quiet: u64,
    pub(super) step: Step,
    /// When what was put before a question has left a slow line.
    carried: Duration,
    /// Replies to `GS r` of earlier jobs that are still to come, as far as is known; some may be lost.
    pub(super) owed: u32,
    /// How often `GS r` was asked in vain before it was ever answered; `None` once it was.
    pub(super) in_vain: Option<u32>,
    names: VecDeque<[u8; 4]>,
    /// One of them came back: names that an earlier process gave, or had begun to give, are not still to come.
    pub(super) named: bool,
    name: u32,
    stop: Arc<AtomicBool>,
}

impl Session {
    /// A printer behind `open`. `name` is any number; jobs are named from it on, so that no reply to an earlier process
    /// is taken for one of ours. `stop` ends the waiting for a person.
    pub fn new(
        profile: Profile,
        waits: Waits,
        open: Box<dyn Open>,
        name: u32,
        stop: Arc<AtomicBool>,
    ) -> Self {
        Self {
            profile,
            waits,
            open,
            link: None,
            replies: Replies::default(),
            heard: VecDeque::new(),
            automatic: None,
            answered: false,
            silent: 0,
            one_way: false,
            well_at: None,
            port_well: false,
            seen_well: false,
            seen_ill: false,
            lies: false,
            quiet: 0,
            step: Step::In,
            carried: Duration::ZERO,
            // The process before may have left one.
            owed: 1,
            in_vain: Some(0),
            names: VecDeque::new(),
            named: false,
            name,
            stop,
        }
    }

    /// Whether the process is to end.
    pub(super) fn stopping(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Whether its answers are known to follow its state.
    pub(super) fn proven(&self) -> bool {
        !self.lies && (self.profile.proven || (self.seen_well && self.seen_ill))
    }

    /// Bytes so far that were no reply.
    pub(super) fn noise(&self) -> u64 {
        self.replies.noise()
    }

    /// A name for a job, in the characters that `GS ( H` allows.
    pub(super) fn next_name(&mut self) -> [u8; 4] {
        self.name = self.name.wrapping_add(1);
        let mut rest = self.name;
        let name = [0; 4].map(|_: u8| {
            let digit = 0x20 + (rest % 95) as u8;
            rest /= 95;
            digit
        });
        if self.names.len() == NAMES_KEPT {
            self.names.pop_front();
        }
        self.names.push_back(name);
        name
    }

    /// Whether a reply to `GS r` is there that nobody asked for.
    pub(super) fn talks_unasked(&self) -> bool {
        self.heard.iter().any(|reply| matches!(reply, Reply::Paper(_)))
    }

    /// Whether `name` was given to some job, or begins a name that broke off and was ended with zeros.
    pub(super) fn gave(&self, name: &[u8]) -> bool {
        self.names.iter().any(|given| given.starts_with(name))
    }

    /// The open way; opens it if need be.
    pub(super) fn link(&mut self) -> Result<&mut dyn Link, String> {
        if self.link.is_none() {
            let link = self.open.open()?;
            self.replies = Replies::default();
            self.heard.clear();
            self.automatic = None;
            self.one_way = false;
            self.well_at = None;
            self.carried = Duration::ZERO;
            let (is_paper, wait) = (link.is_paper(), self.waits.answer);
            self.link = Some(link);
            if !is_paper {
                // What is not taken now the first question tells.
                let _ = self.mend(wait).and_then(|()| self.speak_up(wait));
            }
        }
        match &mut self.link {
            Some(link) => Ok(link.as_mut()),
            None => Err(String::new()),
        }
    }

    /// A job broke off, in this process or in one before: the next bytes may be taken for the rest of it.
    pub fn tear(&mut self) {
        self.step = Step::Torn;
    }

    /// Ends what broke off, before anything else is sent: even a question would be taken for dots, or for a length.
    pub(super) fn mend(&mut self, wait: Duration) -> io::Result<()> {
        if self.step == Step::Torn {
            self.put(&escpos::zeros(&self.profile), wait)?;
            self.step = Step::Mended;
        }
        Ok(())
    }

    fn speak_up(&mut self, wait: Duration) -> io::Result<()> {
        if self.profile.answers(Question::Asb) { self.put(&escpos::AUTOMATIC_STATUS, wait) } else { Ok(()) }
    }

    /// Sends what leaves no mark on paper but an empty line. Waits at most `wait` while nothing is taken, and calls that
    /// [`io::ErrorKind::WouldBlock`].
    pub(super) fn put(&mut self, bytes: &[u8], wait: Duration) -> io::Result<()> {
        let mut sent = 0;
        while sent < bytes.len() {
            let taken = self.opened()?.send(&bytes[sent..], wait);
            if sent > 0 && !matches!(taken, Ok(1..)) {
                self.tear();
            }
            match taken? {
                0 => return Err(io::ErrorKind::WouldBlock.into()),
                taken => sent += taken,
            }
        }
        let carried = self.carried;
        let link = self.opened()?;
        let gone = carried.max(link.now()) + link.carry(bytes.len());
        self.carried = gone;
        Ok(())
    }

    /// The open way, where there must be one.
    pub(super) fn opened(&mut self) -> io::Result<&mut dyn Link> {
        match &mut self.link {
            Some(link) => Ok(link.as_mut()),
            None => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    /// Whether a way is open.
    pub fn is_open(&self) -> bool {
        self.link.is_some()
    }

    /// Whether the way stays open between jobs.
    pub fn stays_open(&self) -> bool {
        self.open.stays_open()
    }

    /// Lets the way go: it broke, or nothing may follow.
    pub(super) fn hang_up(&mut self) {
        if let Some(link) = self.link.take() {
            link.close(Duration::ZERO);
        }
        if self.step == Step::Mended {
            self.tear();
        }
    }

    /// After a job: closes the way gently, where it does not stay open.
    pub fn rest(&mut self) {
        if !self.open.stays_open()
            && let Some(link) = self.link.take()
        {
            link.close(self.waits.drain);
        }
    }

    /// The next reply; waits at most `wait` for it. What the printer says by itself is kept, not returned.
    pub(super) fn hear(&mut self, wait: Duration) -> io::Result<Option<Reply>> {
        if let Some(reply) = self.heard.pop_front() {
            return Ok(Some(reply));
        }
        self.listen(wait)?;
        Ok(self.heard.pop_front())
    }

    fn listen(&mut self, wait: Duration) -> io::Result<usize> {
        let mut bytes = [0; 256];
        let got = match self.opened()?.receive(&mut bytes, wait) {
            Err(error) if error.kind() == io::ErrorKind::Unsupported => {
                self.one_way = true;
                return Err(error);
            }
            other => other?,
        };
        for byte in &bytes[..got] {
            match self.replies.push(*byte) {
                Some(Reply::Automatic(status)) => {
                    let condition = Condition::automatic(status);
                    self.learn(&condition);
                    self.automatic = Some(condition);
                }
                Some(reply) => self.heard.push_back(reply),
                None => {}
            }
        }
        Ok(got)
    }

    /// Forgets what was said before now: answers to questions that nobody waits for any more.
    pub(super) fn settle(&mut self) -> io::Result<()> {
        // A printer that floods is not listened to for ever: 64 KiB are more than any printer's buffer.
        for _ in 0..256 {
            match self.listen(Duration::ZERO) {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Unsupported => break,
                Err(error) => return Err(error),
            }
        }
        self.heard.clear();
        Ok(())
    }

    /// Opens the drawer.
    ///
    /// # Errors
    /// Why not, for the log.
    pub fn drawer(&mut self) -> Result<(), String> {
        let wait = self.waits.stall;
        self.link()?;
        self.mend(wait).and_then(|()| self.put(&escpos::drawer(&self.profile.drawer), wait)).map_err(
            |error| {
                if error.kind() == io::ErrorKind::WouldBlock {
                    return SILENT.to_owned();
                }
                self.hang_up();
                error.to_string()
            },
        )
    }
}
