//! A receipt is sent and its printing is proved, or it is said that nobody knows. Never sends a job twice.
//!
//! Proofs, strongest first: the printer returns the job's own name (`GS ( H`); a printer whose answers are known to follow
//! its state answers a question that stands behind the cut (`GS r 1`), for a printer without paper does not get there.

use std::time::Duration;

use super::escpos;
use super::profile::Question;
use super::session::{SILENT, Session, Step};
use super::status::Reply;
use crate::input::PrintOutcome;
use crate::receipt::Line;

/// How often a wait looks around.
const STEP: Duration = Duration::from_millis(200);

const UNPROVEN: &str = "小票已发送，打印机不能证明已打出，请看一眼 receipt was sent; this printer cannot prove that it came out: please look";
const BROKEN: &str =
    "打印中途连接断开，小票不完整 connection was lost in the middle: the receipt is not whole";
const LOST: &str = "小票已发送，随后连接断开，不知是否打出 receipt was sent, then the connection was lost: please look whether it came out";
const STUCK: &str =
    "打印机中途不再接收数据，小票不完整 printer stopped taking data: the receipt is not whole";
const REFUSES: &str = "打印机不接收数据，请检查 printer takes no data: look at its lamps";
const NO_PROOF: &str = "小票已发送，没有收到打印机的确认，请看一眼 receipt was sent; the printer did not confirm it: please look";

const HALTED: &str =
    "打印中途停过，请检查小票是否完整 printer halted in the middle: please look whether the receipt is whole";

/// What will show that the receipt is on the paper.
enum Proof {
    /// The job's name comes back.
    Name([u8; 4]),
    /// The question behind the cut is answered.
    Paper,
    /// Nothing will.
    None,
}

impl Session {
    /// Prints these lines. `tell` is told of trouble that a person must end while the job waits, and of its end (an empty
    /// text).
    pub fn print(&mut self, lines: &[Line], tell: &mut dyn FnMut(&str)) -> PrintOutcome {
        self.print_bytes(escpos::receipt(lines, &self.profile), tell)
    }

    /// Prints a whole job; like [`print`](Self::print).
    pub(super) fn print_bytes(&mut self, mut bytes: Vec<u8>, tell: &mut dyn FnMut(&str)) -> PrintOutcome {
        match self.prepare() {
            Ok(()) => {}
            Err(why) => return PrintOutcome::NotStarted(why),
        }
        let mut proof = Proof::None;
        let whole = bytes.len();
        if self.profile.answers(Question::Gsh) && !self.lies {
            let name = self.next_name();
            bytes.extend(escpos::process_id(name));
            proof = Proof::Name(name);
        } else if self.may_answer_in_order() && self.owed == 0 {
            bytes.extend(escpos::PAPER_STATUS);
            proof = Proof::Paper;
        }
        let sent = self.send(&bytes, whole, tell);
        let asked = matches!(sent, Ok(_) | Err(PrintOutcome::Unconfirmed(_)));
        self.owed += u32::from(asked && matches!(proof, Proof::Paper));
        let halted = match sent {
            Ok(halted) => halted,
            Err(outcome) => return outcome,
        };
        let mut outcome = self.confirm(&proof, bytes.len(), tell);
        if halted && matches!((&proof, &outcome), (Proof::Paper, PrintOutcome::Printed)) {
            outcome = PrintOutcome::Unconfirmed(HALTED.to_owned());
        }
        match outcome {
            PrintOutcome::Printed => self.step = Step::In,
            PrintOutcome::Failed(_) => self.tear(),
            _ => {}
        }
        outcome
    }

    /// Opens the way and makes sure that the printer can print, before the first byte of the job.
    fn prepare(&mut self) -> Result<(), String> {
        for last_try in [false, true] {
            self.link()?;
            if self.opened().is_ok_and(|link| link.is_paper()) {
                return Ok(());
            }
            self.quiet = self.noise();
            let checked = self.settle().and_then(|()| self.examine_before());
            match checked {
                Ok(Some(condition)) => match condition.trouble() {
                    Some(trouble) => return Err(trouble.to_owned()),
                    None => break,
                },
                Ok(None) if self.must_answer() => return Err(SILENT.to_owned()),
                Ok(None) => break,
                // It was unplugged and plugged in again since the last job: the next way may be good.
                Err(error) => {
                    self.hang_up();
                    if last_try {
                        return Err(format!("打印机连接断开 printer went away: {error}"));
                    }
                }
            }
        }
        if self.step != Step::In {
            let wait = self.waits.stall;
            let mended = self.mend(wait).and_then(|()| self.put(&escpos::NEW_LINE, wait));
            mended.map_err(|_| REFUSES.to_owned())?;
        }
        if self.owed > 0 && self.may_answer_in_order() {
            self.collect().map_err(|_| REFUSES.to_owned())?;
        }
        Ok(())
    }

    /// Collects the replies that are owed, so that none is taken for one to the next job. Replies bear no name, so: one
    /// question more than there are old ones, each after at least one reply and a silence. If all old replies come, the
    /// first of the new ones is heard at the latest in the last round, and the other new ones stand right behind it.
    pub(super) fn collect(&mut self) -> std::io::Result<()> {
        let owed = self.owed;
        for _ in 0..=owed {
            // Should the way break now, this one's reply is still to come too.
            self.owed += 1;
            self.put(&escpos::PAPER_STATUS, self.waits.stall)?;
            let end = self.opened()?.now() + self.waits.confirm;
            let mut heard = false;
            loop {
                let now = self.opened()?.now();
                let wait = if heard { self.waits.answer } else { end.saturating_sub(now) };
                match self.hear(wait)? {
                    Some(Reply::Paper(_)) => heard = true,
                    _ if now >= end => break,
                    Some(_) => {}
                    None => break,
                }
            }
            if !heard {
                // It is not known to be collected; the job has no proof of this kind.
                self.owed = owed + 1;
                self.in_vain = self.in_vain.map(|times| times + 1);
                return Ok(());
            }
        }
        self.owed = 0;
        self.in_vain = None;
        Ok(())
    }

    /// Sends the job, of which the first `whole` bytes are the receipt. Says whether the printer halted on the way.
    fn send(&mut self, bytes: &[u8], whole: usize, tell: &mut dyn FnMut(&str)) -> Result<bool, PrintOutcome> {
        let mut sent = 0;
        let mut halted = false;
        let mut trouble: Option<&'static str> = None;
        let mut moved = self.opened().map_or(Duration::ZERO, |link| link.now());
        let step = STEP.min(self.waits.stall);
        let error = loop {
            if sent == bytes.len() {
                if trouble.is_some() {
                    tell("");
                }
                return Ok(halted);
            }
            let Ok(link) = self.opened() else { break true };
            match link.send(&bytes[sent..], step) {
                Ok(0) => {}
                Ok(taken) => {
                    sent += taken;
                    moved = link.now();
                    // From here on something of the job may be in the printer.
                    self.tear();
                    continue;
                }
                Err(_) => break true,
            }
            // It takes nothing. A question now would stand in the middle of the data; only what it says without one counts.
            let Ok(condition) = self.glance() else { break true };
            if let Some(now) = condition.map(|condition| condition.trouble())
                && now != trouble
            {
                tell(now.unwrap_or(""));
                trouble = now;
            }
            let limit = if trouble.is_some() { self.waits.patience } else { self.waits.stall };
            let waited = self.opened().map_or(limit, |link| link.now().saturating_sub(moved));
            halted |= trouble.is_some() || waited >= self.waits.watch / 2;
            if waited >= limit || (trouble.is_some() && self.stopping()) {
                break false;
            }
        };
        // Nothing of the rest may follow later, so the way is let go.
        self.hang_up();
        let why = |general: &str| trouble.unwrap_or(general).to_owned();
        Err(match (sent, error) {
            (0, true) => PrintOutcome::NotStarted(why(BROKEN)),
            (0, false) => PrintOutcome::NotStarted(why(REFUSES)),
            (sent, true) if sent < whole => PrintOutcome::Failed(why(BROKEN)),
            (sent, false) if sent < whole => PrintOutcome::Failed(why(STUCK)),
            _ => PrintOutcome::Unconfirmed(why(LOST)),
        })
    }

    /// Waits for the proof. Every byte was handed over.
    fn confirm(&mut self, proof: &Proof, sent: usize, tell: &mut dyn FnMut(&str)) -> PrintOutcome {
        let Ok(link) = self.opened() else { return PrintOutcome::Unconfirmed(LOST.to_owned()) };
        if link.is_paper() {
            return link
                .keep()
                .map_or(PrintOutcome::Unconfirmed(LOST.to_owned()), |()| PrintOutcome::Printed);
        }
        // What is still in the buffers of a slow line.
        let carry = link.carry(sent);
        let started = link.now();
        if matches!(proof, Proof::None) {
            self.step = Step::In;
            return self.without_proof();
        }
        let mut trouble: Option<&'static str> = None;
        let mut halted = false;
        let mut end = started + carry + self.waits.confirm;
        let mut next_look = started + self.waits.watch;
        let mut foreign = false;
        while let Ok(now) = self.opened().map(|link| link.now()) {
            if now >= end || (trouble.is_some() && self.stopping()) {
                break;
            }
            match self.hear(end.min(next_look).saturating_sub(now)) {
                Ok(Some(Reply::ProcessId(id))) => match proof {
                    Proof::Name(name) if id == name => {
                        if trouble.is_some() {
                            tell("");
                        }
                        self.named = true;
                        return PrintOutcome::Printed;
                    }
                    _ if self.gave(&id) => {}
                    _ => {
                        foreign = true;
                        if self.named {
                            break;
                        }
                    }
                },
                Ok(Some(Reply::Paper(_))) if matches!(proof, Proof::Paper) => {
                    self.owed = self.owed.saturating_sub(1);
                    self.in_vain = None;
                    if trouble.is_some() {
                        tell("");
                    }
                    return self.after_paper_reply(halted);
                }
                Ok(_) => {}
                Err(error) if error.kind() == std::io::ErrorKind::Unsupported => break,
                Err(_) => {
                    self.hang_up();
                    return match trouble {
                        Some(trouble) => PrintOutcome::Failed(trouble.to_owned()),
                        None => PrintOutcome::Unconfirmed(LOST.to_owned()),
                    };
                }
            }
            if self.opened().is_ok_and(|link| link.now() >= next_look) {
                let Ok(condition) = self.examine() else { continue };
                // A look that is not answered has not seen that it prints.
                halted |= condition.is_none();
                let seen = condition.and_then(|condition| condition.trouble());
                if seen != trouble {
                    tell(seen.unwrap_or(""));
                    if seen.is_none()
                        && let Ok(link) = self.opened()
                    {
                        end = link.now() + self.waits.confirm;
                    }
                    trouble = seen;
                }
                if trouble.is_some() {
                    halted = true;
                    end = end.max(started + self.waits.patience);
                }
                next_look = self.opened().map_or(next_look, |link| link.now()) + self.waits.watch;
            }
        }
        // Only a name in place of ours shows that it makes them up.
        self.lies |= foreign && trouble.is_none();
        if matches!(proof, Proof::Paper) {
            self.in_vain = self.in_vain.map(|times| times + 1);
        }
        match trouble.or_else(|| self.examine().ok().flatten().and_then(|condition| condition.trouble())) {
            Some(trouble) => PrintOutcome::Failed(trouble.to_owned()),
            None => PrintOutcome::Unconfirmed(if self.lies { UNPROVEN } else { NO_PROOF }.to_owned()),
        }
    }

    /// The question behind the cut was answered: proof, if its word is worth something and nothing went wrong. A printer
    /// that `halted` may have lost its place in a picture and still answers.
    fn after_paper_reply(&mut self, halted: bool) -> PrintOutcome {
        match self.without_proof() {
            PrintOutcome::Unconfirmed(_) if halted => PrintOutcome::Unconfirmed(HALTED.to_owned()),
            // Amid noise, or among several, a reply may be none.
            PrintOutcome::Unconfirmed(_)
                if self.proven() && !self.talks_unasked() && self.noise() == self.quiet =>
            {
                PrintOutcome::Printed
            }
            outcome => outcome,
        }
    }

    /// Trouble now means that the end of the receipt may be missing; else nobody knows.
    fn without_proof(&mut self) -> PrintOutcome {
        match self.examine() {
            Ok(Some(condition)) if condition.trouble().is_some_and(|_| !self.lies) => {
                PrintOutcome::Failed(condition.trouble().unwrap_or_default().to_owned())
            }
            _ => PrintOutcome::Unconfirmed(UNPROVEN.to_owned()),
        }
    }
}
