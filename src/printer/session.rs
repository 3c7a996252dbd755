//! One printer and what is known about it: opens the way, asks how it is, remembers whether its word is worth something.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::escpos;
use super::link::{Link, Open};
use super::profile::{Profile, Question};
use super::status::{Condition, Replies, Reply};

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

/// How often a printer that never answered is asked before it is taken for one that does not, and how seldom after that.
const SILENCE_TRIED: u32 = 1;
const SILENCE_RETRIED: u32 = 64;

/// How often a printer that never answered `GS r` is asked: each time in vain is a long wait after a job.
const IN_VAIN_MAX: u32 = 2;

/// More replies than this are not waited for; the printer keeps its word to itself.
const OWED_MAX: u32 = 4;

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

    fn learn(&mut self, condition: &Condition) {
        // Amid noise an answer may be noise too.
        if self.noise() == 0 {
            self.answered = true;
            match condition.trouble() {
                Some(_) => self.seen_ill = true,
                None => self.seen_well = true,
            }
        }
    }

    /// The answer to `DLE EOT n`. Other replies stay for whoever waits for them.
    fn ask(&mut self, n: u8) -> io::Result<Option<u8>> {
        self.heard.retain(|reply| !matches!(reply, Reply::RealTime(_)));
        let wait = self.waits.answer;
        match self.put(&escpos::real_time_status(n), wait) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            put => put?,
        }
        let carried = self.carried;
        let end = self.opened()?.now().max(carried) + wait;
        loop {
            let answer = self.heard.iter().position(|reply| matches!(reply, Reply::RealTime(_)));
            if let Some(Reply::RealTime(answer)) = answer.and_then(|place| self.heard.remove(place)) {
                return Ok(Some(answer));
            }
            let now = self.opened()?.now();
            if now >= end {
                return Ok(None);
            }
            match self.listen(end - now) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Unsupported => return Ok(None),
                Err(error) => return Err(error),
            }
        }
    }

    /// How it is, without a question in the data: the port's lines, and what it says by itself.
    pub(super) fn glance(&mut self) -> io::Result<Option<Condition>> {
        let mut condition = None;
        if self.profile.answers(Question::LpGetStatus)
            && let Some(lines) = self.opened()?.port()
        {
            let mut port = Condition::default();
            port.port(lines);
            self.port_well |= port.trouble().is_none();
            if self.port_well {
                self.learn(&port);
                condition = Some(port);
            }
        }
        if self.profile.answers(Question::Asb) {
            match self.listen(Duration::ZERO) {
                Err(error) if error.kind() != io::ErrorKind::Unsupported => return Err(error),
                _ => {}
            }
            condition = self.automatic.or(condition);
        }
        Ok(condition)
    }

    /// How it is, by everything that it answers; `None` when it answers nothing. Only between whole commands: some
    /// printers take a question in the middle of a picture for dots.
    pub(super) fn examine(&mut self) -> io::Result<Option<Condition>> {
        if self.lies {
            return Ok(None);
        }
        let condition = self.glance()?;
        if !self.profile.answers(Question::Dle) || self.one_way {
            return Ok(condition);
        }
        if !self.must_answer() {
            // Every question in vain costs the customer half a second: a printer that never answers is asked seldom. One
            // of a make that does answer is off, or busy with another computer, and will.
            self.silent += 1;
            if self.silent > SILENCE_TRIED && !self.silent.is_multiple_of(SILENCE_RETRIED) {
                return Ok(condition);
            }
        }
        let noise = self.noise();
        let Some(printer) = self.ask(1)? else { return Ok(condition) };
        let (Some(cause), Some(paper)) = (self.ask(2)?, self.ask(4)?) else { return Ok(condition) };
        if self.noise() != noise {
            return Ok(condition);
        }
        if printer == cause && cause == paper && printer != 0x12 {
            // The bits of the three questions mean different things; no state of a printer sets them all alike.
            self.lies = true;
            return Ok(None);
        }
        let mut asked = Condition::default();
        asked.real_time(1, printer);
        asked.real_time(2, cause);
        asked.real_time(4, paper);
        if (asked.offline || asked.error)
            && let Some(error) = self.ask(3)?
        {
            asked.real_time(3, error);
        }
        self.learn(&asked);
        // Either way of asking may know of trouble that the other does not.
        Ok(Some(condition.map_or(asked, |port| merged(asked, port))))
    }

    /// How it is, before a job. A customer waits: what was seen a moment ago is not asked again, and a printer that never
    /// answered, of a make that need not, is not asked at all.
    pub(super) fn examine_before(&mut self) -> io::Result<Option<Condition>> {
        let now = self.opened()?.now();
        let fresh = self.well_at.take().is_some_and(|seen| now.saturating_sub(seen) < self.waits.watch);
        if fresh {
            return Ok(Some(self.glance()?.unwrap_or_default()));
        }
        if !self.must_answer() && self.silent >= SILENCE_TRIED {
            return self.glance();
        }
        self.examine()
    }

    /// Whether it can be asked at any time how it is.
    pub(super) fn can_be_asked(&self) -> bool {
        let ways = [Question::Dle, Question::Asb];
        let asked = !self.one_way && ways.iter().any(|question| self.profile.answers(*question));
        !self.lies && (asked || self.port_well)
    }

    /// Whether a reply to `GS r` may be hoped for, and trouble seen meanwhile.
    pub(super) fn may_answer_in_order(&self) -> bool {
        self.profile.answers(Question::Gsr)
            && !self.profile.answers(Question::Gsh)
            && self.can_be_asked()
            && self.answered
            && self.owed <= OWED_MAX
            && self.in_vain.is_none_or(|times| times < IN_VAIN_MAX)
    }

    /// Whether silence means that something is wrong.
    pub(super) fn must_answer(&self) -> bool {
        (self.profile.proven || self.answered) && self.noise() == 0 && self.can_be_asked()
    }

    /// Whether looking at it between jobs can tell anything.
    pub fn can_look(&self) -> bool {
        self.answered && self.must_answer()
    }

    /// Looks at it: `Ok` with what the cashier should know although it is ready, or why it cannot print.
    pub fn look(&mut self) -> Result<&'static str, String> {
        self.link()?;
        let looked = self.settle().and_then(|()| self.examine());
        match looked {
            Ok(Some(condition)) => match condition.trouble() {
                Some(trouble) => Err(trouble.to_owned()),
                None => {
                    if self.owed > 0 && self.may_answer_in_order() && self.collect().is_err() {
                        self.hang_up();
                    }
                    self.well_at = self.opened().ok().map(|link| link.now());
                    Ok(condition.warning().unwrap_or(""))
                }
            },
            Ok(None) if self.must_answer() => Err(SILENT.to_owned()),
            Ok(None) => Ok(""),
            Err(_) => {
                // It went away; the next look says why it cannot be opened.
                self.hang_up();
                self.link().map(|_| "")
            }
        }
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

/// What a printer that used to answer and does not now is said to be.
pub(super) const SILENT: &str =
    "打印机没有应答，请检查电源 printer does not answer: check its power and cable";

fn merged(one: Condition, other: Condition) -> Condition {
    Condition {
        offline: one.offline || other.offline,
        cover: one.cover || other.cover,
        paper_end: one.paper_end || other.paper_end,
        paper_low: one.paper_low || other.paper_low,
        cutter: one.cutter || other.cutter,
        error: one.error || other.error,
        hot: one.hot || other.hot,
    }
}
