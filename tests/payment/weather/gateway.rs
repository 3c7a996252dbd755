//! A model of the gateway: what it does with an order, and what it says, which is not always what it did.

use micropayd::payment::Reason;

use super::dice::Dice;
use super::words::{Back, Silence, Word};

/// How long a payment code can pay, milliseconds (payment code page: about a minute).
const CODE_LIFE: i64 = 60_000;
/// How far a query's answer can lag behind, milliseconds. Not documented; more than any lag that was reported.
const LAG: i64 = 3_000;
/// When the gateway closes an unpaid order by itself, milliseconds (quick pay guide: 45 s).
const CLOSES_AFTER: i64 = 45_000;

/// What will happen when the pay request arrives.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Mood {
    /// Pays at once.
    Pays,
    /// Is asked for a password; what the payer does then comes later.
    Password,
    /// The gateway refuses.
    Refuses(Reason),
    /// The gateway says that it refuses, and takes the money.
    RefusesAndPays,
    /// The gateway says that it refuses, and asks the payer all the same. What it then says of a dialog that is over
    /// can only be the truth, unless the machine had heard of the dialog: nothing else could tell the two apart.
    RefusesAndAsks,
    /// `SYSTEMERROR`, charged all the same.
    ErrorPaid,
    /// `SYSTEMERROR`, not charged; the order exists.
    ErrorNotPaid,
    /// `return_code=FAIL`: not processed.
    NotProcessed,
    /// `BANKERROR`: the bank decides some seconds later.
    Bank,
    /// Paying fails in a way that wants a reversal; without one it may still succeed.
    PayError,
}

/// Where an order stands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum State {
    /// Never seen.
    Absent,
    /// The payer looks at a dialog.
    Dialog,
    /// Exists, not paid, not closed.
    Unpaid,
    /// Charged.
    Paid,
    /// `PAYERROR`.
    Failed,
    /// Closed or reversed; what was taken went back.
    Closed,
    /// Refunded by a person.
    Refunded,
}

/// One order at the gateway.
#[derive(Debug)]
pub struct Order {
    pub mood: Mood,
    pub state: State,
    before: State,
    changed_at: i64,
    /// When the code was read; the code cannot pay later than a minute after.
    pub scanned_at: i64,
    /// Reversed before it arrived, and the gateway remembers.
    killed: bool,
    /// A person must refund it: the gateway refuses to reverse.
    pub stubborn: bool,
    /// Reverse requests that are answered with "call again" first.
    recalls: u32,
    /// How the order looks after a refusal.
    after_refusal: State,
    /// Closed or refunded by somebody else.
    pub elsewhere: bool,
    /// The machine was told that the payer is being asked.
    pub dialog_heard: bool,
    /// Charged although the gateway had said that it was over; nobody can know before it is told.
    pub untold: bool,
    /// When unpaid orders are closed by themselves.
    pub closes_at: Option<i64>,
}

impl Order {
    pub fn new(mood: Mood, dice: &mut Dice) -> Self {
        let after_refusal = match dice.below(10) {
            0..=4 => State::Absent,
            5..=7 => State::Unpaid,
            8 => State::Closed,
            _ => State::Failed,
        };
        Self {
            mood,
            state: State::Absent,
            before: State::Absent,
            changed_at: i64::MIN / 2,
            scanned_at: i64::MAX / 2,
            killed: false,
            stubborn: dice.fault(5),
            recalls: if dice.fault(30) { dice.between(1, 4) as u32 } else { 0 },
            after_refusal,
            elsewhere: false,
            dialog_heard: false,
            untold: false,
            closes_at: None,
        }
    }

    /// Whether the payer is out of pocket.
    pub fn holds_money(&self) -> bool {
        self.state == State::Paid
    }

    pub fn become_(&mut self, state: State, now: i64) {
        if self.state != state {
            (self.before, self.state, self.changed_at) = (self.state, state, now);
        }
    }

    /// A pay request arrives. What the gateway answers, if this is the request that waits for an answer.
    pub fn pay(&mut self, now: i64, dice: &mut Dice) -> Word {
        if self.killed || self.state != State::Absent {
            return Word::Refused(Reason::NumberUsed);
        }
        if now > self.scanned_at + CODE_LIFE {
            return Word::Refused(Reason::CodeExpired);
        }
        if dice.chance(300) {
            self.closes_at = Some(now + CLOSES_AFTER);
        }
        let (state, answer) = match self.mood {
            Mood::Pays => (State::Paid, Word::Paid),
            Mood::Password => (State::Dialog, Word::AwaitingPayer),
            Mood::Refuses(reason) => (self.after_refusal, Word::Refused(reason)),
            Mood::RefusesAndPays => (State::Paid, Word::Refused(Reason::Other)),
            Mood::RefusesAndAsks => (State::Dialog, Word::Refused(Reason::Other)),
            Mood::ErrorPaid => (State::Paid, Word::Unknown(Silence::Error)),
            Mood::ErrorNotPaid => (State::Unpaid, Word::Unknown(Silence::Error)),
            Mood::NotProcessed => (State::Absent, Word::Unknown(Silence::Error)),
            Mood::Bank => (State::Unpaid, Word::Unknown(Silence::Error)),
            Mood::PayError => (State::Failed, Word::Unknown(Silence::Error)),
        };
        // The code was looked at: it cannot be used again.
        self.killed = state == State::Absent;
        self.become_(state, now);
        answer
    }

    /// What a query is told. May lag, also after a refusal.
    pub fn query(&self, now: i64, dice: &mut Dice) -> Word {
        let may_lag = now - self.changed_at < LAG;
        let state = if may_lag && dice.fault(300) { self.before } else { self.state };
        if state == State::Paid && dice.fault(20) {
            return Word::AwaitingPayer;
        }
        match state {
            State::Absent => Word::NotFound,
            State::Dialog => Word::AwaitingPayer,
            State::Unpaid => Word::NotPaid,
            State::Paid => Word::Paid,
            State::Failed => Word::PayFailed,
            State::Closed => Word::Closed,
            State::Refunded => Word::Refunded,
        }
    }

    /// A reverse request arrives.
    pub fn reverse(&mut self, now: i64, dice: &mut Dice) -> Back {
        if self.recalls > 0 && !dice.is_calm() {
            self.recalls -= 1;
            let reversible = !matches!(self.state, State::Absent | State::Refunded);
            if dice.chance(300) && !self.stubborn && reversible {
                self.become_(State::Closed, now);
            }
            return Back::Again;
        }
        match self.state {
            State::Absent => match dice.below(3) {
                0 => Back::NotFound,
                1 => Back::Done,
                _ => {
                    self.killed = true;
                    Back::Done
                }
            },
            State::Dialog if dice.chance(500) => Back::Again,
            State::Paid if self.stubborn => Back::Refused,
            State::Paid | State::Dialog | State::Unpaid | State::Failed => {
                if dice.fault(20) {
                    return Back::Refused;
                }
                self.become_(State::Closed, now);
                Back::Done
            }
            State::Closed => Back::Done,
            State::Refunded => Back::Refused,
        }
    }
}
