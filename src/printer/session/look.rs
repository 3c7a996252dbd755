//! How the printer is: by its port's lines, by what it says by itself, by what it answers. A customer may be waiting, so a
//! printer that has never answered is seldom asked, and none is asked what was seen a moment ago.
//!
//! Silence, noise and lies are no condition: `None` says that nothing is known.

use std::io;
use std::time::Duration;

use super::{Session, escpos};
use crate::printer::profile::Question;
use crate::printer::status::{Condition, Reply};

/// How often a printer that never answered is asked before it is taken for one that does not, and how seldom after that.
const SILENCE_TRIED: u32 = 1;
const SILENCE_RETRIED: u32 = 64;

/// How often a printer that never answered `GS r` is asked: each time in vain is a long wait after a job.
const IN_VAIN_MAX: u32 = 2;

/// More replies than this are not waited for; the printer keeps its word to itself.
const OWED_MAX: u32 = 4;

/// What a printer that used to answer and does not now is said to be.
pub(in crate::printer) const SILENT: &str =
    "打印机没有应答，请检查电源 printer does not answer: check its power and cable";

impl Session {
    pub(super) fn learn(&mut self, condition: &Condition) {
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
    pub(in crate::printer) fn glance(&mut self) -> io::Result<Option<Condition>> {
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
    pub(in crate::printer) fn examine(&mut self) -> io::Result<Option<Condition>> {
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
    pub(in crate::printer) fn examine_before(&mut self) -> io::Result<Option<Condition>> {
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
    pub(in crate::printer) fn can_be_asked(&self) -> bool {
        let ways = [Question::Dle, Question::Asb];
        let asked = !self.one_way && ways.iter().any(|question| self.profile.answers(*question));
        !self.lies && (asked || self.port_well)
    }

    /// Whether a reply to `GS r` may be hoped for, and trouble seen meanwhile.
    pub(in crate::printer) fn may_answer_in_order(&self) -> bool {
        self.profile.answers(Question::Gsr)
            && !self.profile.answers(Question::Gsh)
            && self.can_be_asked()
            && self.answered
            && self.owed <= OWED_MAX
            && self.in_vain.is_none_or(|times| times < IN_VAIN_MAX)
    }

    /// Whether silence means that something is wrong.
    pub(in crate::printer) fn must_answer(&self) -> bool {
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
}

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
