//! One payment's world: the machine, a disk that can lose what was not synced, a line, a cashier, a payer.

use std::time::Duration;

use micropayd::ids::CodeHint;
use micropayd::money::Amount;
use micropayd::payment::{Asked, Event, Payment, Phase, Policy, Reason, SalePhase};
use micropayd::time::Timestamp;

use super::dice::Dice;
use super::gateway::{Mood, Order, State};
use super::rules::{self, Broken, Rule, Seen, breaks};
use super::words::{Message, Silence, Word};

/// The longest time from the last thing that happened outside to the end, milliseconds: the payer's 45 s or the death of
/// the code (65 s), two polls of 5 s, and the longest pause between two reverse requests.
const CONVERGES_WITHIN: i64 = 65_000 + 2 * 5_000 + 300_000;
/// Where the gateway takes no more reversals the terminal asks once an hour.
const WATCHES_EVERY: i64 = 3_600_000;
/// No payment takes more steps than this.
const STEPS_MAX: u32 = 5_000;

/// What happened to one payment.
#[derive(Default, Clone, Copy)]
pub struct Outcome {
    pub faults: u32,
    pub crashes: u32,
    pub late: i64,
    pub steps: u32,
    pub calls: u32,
    pub end: Option<SalePhase>,
    /// Which of [`SIGHTS`](super::sights::SIGHTS) this payment met, a bit each.
    pub sights: u32,
}

#[derive(Clone, Copy)]
pub enum Happening {
    PayArrives {
        attempt: u8,
        answered: bool,
    },
    QueryArrives {
        attempt: u8,
        number: u32,
    },
    ReverseArrives {
        attempt: u8,
        number: u32,
        answered: bool,
    },
    /// A whole answer, or the transport's word that there is none, for the process of this life. `number` is that of the
    /// query or reverse request that it answers, 0 if of none.
    Told {
        life: u32,
        number: u32,
        message: Message,
    },
    PayerActs {
        attempt: u8,
    },
    GatewayCloses {
        attempt: u8,
    },
    Elsewhere {
        attempt: u8,
    },
    /// Money moves after the gateway said that none would.
    LateCharge {
        attempt: u8,
    },
    /// Reconciliation finds it.
    BillTells {
        attempt: u8,
    },
    Scan,
    Cancel,
    Check,
    ManagerRefunds {
        attempt: u8,
    },
    Crash,
}

/// An attempt as the world sees it.
pub struct Tried {
    pub order: Order,
    /// When its pay request left.
    pub left_at: Option<i64>,
    pub receipts: u32,
    pub newest_query: u32,
    pub newest_reversal: u32,
}

/// The world of one payment at a time. It is used for the next when one is at rest, so that its memory is.
pub struct World {
    seed: u64,
    pub(super) dice: Dice,
    pub(super) policy: Policy,
    pub(super) now: i64,
    /// The process's clock minus the world's: each boot gets it wrong in its own way.
    pub(super) clock_error: i64,
    pub(super) life: u32,
    /// The machine's payment; `None` while a step is taken.
    pub(super) live: Option<Payment>,
    pub(super) synced: Payment,
    pub(super) tries: Vec<Tried>,
    pub(super) seen: Seen,
    pub(super) asked: u32,
    queue: Vec<(i64, u32, Happening)>,
    queued: u32,
    pub(super) calm_at: i64,
    stalled_until: i64,
    pub(super) outage_until: i64,
    pub(super) expired: bool,
    pub(super) rested_at: Option<i64>,
    pub(super) outcome: Outcome,
    pub(super) story: Option<Vec<String>>,
}

impl World {
    /// The world of the run `seed`.
    pub fn new(seed: u64) -> Self {
        let policy = Policy::default();
        let amount = Amount::from_fen(1).expect("one fen is an amount");
        let payment = Payment::new(amount, false, Timestamp(0), &policy);
        Self {
            seed,
            dice: Dice::new(seed, 0, 0),
            policy,
            now: 0,
            clock_error: 0,
            life: 0,
            live: None,
            synced: payment,
            tries: Vec::with_capacity(8),
            seen: Seen::default(),
            asked: 0,
            queue: Vec::with_capacity(32),
            queued: 0,
            calm_at: 0,
            stalled_until: 0,
            outage_until: 0,
            expired: false,
            rested_at: None,
            outcome: Outcome::default(),
            story: None,
        }
    }

    /// Plays payment `number` with at most `budget` faults.
    pub fn play(&mut self, number: u64, budget: u32) -> Result<Outcome, Broken> {
        self.dice = Dice::new(self.seed, number, budget);
        // Mostly the shipped waits; some are so short that the last resorts are reached within the hour.
        self.policy = Policy::default();
        if self.dice.chance(100) {
            self.policy.call_manager_after = Duration::from_secs(120);
            self.policy.reverse_for = Duration::from_secs(900);
        }
        let single = self.dice.chance(200);
        let payment = Payment::new(self.synced.amount, single, Timestamp(0), &self.policy);
        self.synced.single = single;
        self.synced.attempts.clone_from(&payment.attempts);
        self.live = Some(payment);
        (self.now, self.clock_error, self.life) = (0, 0, 0);
        self.tries.clear();
        self.queue.clear();
        (self.asked, self.queued) = (0, 0);
        self.calm_at = self.dice.between(0, 300_000);
        (self.stalled_until, self.outage_until) = (0, 0);
        (self.expired, self.rested_at) = (false, None);
        self.outcome = Outcome::default();
        self.run()?;
        self.outcome.faults = self.dice.faults();
        Ok(self.outcome)
    }

    /// Plays it and tells what happened, line by line.
    pub fn play_aloud(&mut self, number: u64, budget: u32) -> (Result<Outcome, Broken>, Vec<String>) {
        self.story = Some(Vec::new());
        let result = self.play(number, budget);
        (result, self.story.take().unwrap_or_default())
    }

    fn run(&mut self) -> Result<(), Broken> {
        self.new_order();
        self.plan_the_cashier();
        loop {
            let timer = self.live.as_ref().and_then(Payment::wake);
            let timer = timer.map(|wake| (wake.0 - self.clock_error).max(self.now).max(self.stalled_until));
            let next = self.queue.iter().enumerate().min_by_key(|(_, (at, order, _))| (*at, *order));
            let next = next.map(|(index, (at, ..))| (index, *at));
            let soonest = timer.into_iter().chain(next.map(|(_, at)| at)).min();
            if soonest.is_some_and(|soonest| soonest >= self.calm_at) {
                self.dice.calm();
            }
            match (timer, next) {
                (Some(timer), Some((index, at))) if at < timer || (at == timer && self.dice.chance(500)) => {
                    self.happens(index)?;
                }
                (Some(timer), _) => {
                    self.now = timer;
                    if self.dice.fault(10) {
                        self.stalled_until = self.now + self.dice.between(1, 5_000);
                        continue;
                    }
                    self.feed(Event::Wake)?;
                }
                (None, Some((index, _))) => self.happens(index)?,
                (None, None) => break,
            }
            if self.outcome.steps > STEPS_MAX {
                return breaks(Rule::Rest, format!("does not come to rest within {STEPS_MAX} steps"));
            }
        }
        self.at_rest()
    }

    pub(super) fn new_order(&mut self) {
        let mood = match self.dice.below(100) {
            0..=49 => Mood::Pays,
            50..=64 => Mood::Password,
            65..=76 => Mood::Refuses(Reason::BalanceTooLow),
            77..=79 => Mood::RefusesAndPays,
            80 => Mood::RefusesAndAsks,
            81..=84 => Mood::ErrorPaid,
            85..=88 => Mood::ErrorNotPaid,
            89..=91 => Mood::NotProcessed,
            92..=95 => Mood::Bank,
            _ => Mood::PayError,
        };
        let order = Order::new(mood, &mut self.dice);
        self.tries.push(Tried { order, left_at: None, receipts: 0, newest_query: 0, newest_reversal: 0 });
    }

    pub(super) fn later(&mut self, delay: i64, happening: Happening) {
        self.queued += 1;
        self.queue.push((self.now + delay, self.queued, happening));
    }

    pub(super) fn tell(&mut self, line: impl FnOnce() -> String) {
        if let Some(story) = &mut self.story {
            let line = line();
            story.push(format!("{:>10.3}  {line}", self.now as f64 / 1000.0));
        }
    }

    fn order(&mut self, attempt: u8) -> &mut Order {
        &mut self.tries[slot(attempt)].order
    }

    fn happens(&mut self, index: usize) -> Result<(), Broken> {
        let (at, _, happening) = self.queue.swap_remove(index);
        self.now = self.now.max(at);
        match happening {
            Happening::PayArrives { attempt, answered } => self.pay_arrives(attempt, answered),
            Happening::QueryArrives { attempt, number } => {
                let word = self.tries[slot(attempt)].order.query(self.now, &mut self.dice);
                self.tell(|| format!("    gateway answers query {attempt}: {word:?}"));
                self.answer_travels(number, Message::Answered { attempt, to: Asked::Query, word });
            }
            Happening::ReverseArrives { attempt, number, answered } => {
                let order = &mut self.tries[slot(attempt)].order;
                let word = order.reverse(self.now, &mut self.dice);
                let state = order.state;
                self.tell(|| format!("    gateway reverses {attempt}: {word:?}, the order is {state:?}"));
                if state == State::Closed && self.dice.fault(3) {
                    let delay = self.dice.between(1, 10_000);
                    self.later(delay, Happening::LateCharge { attempt });
                }
                if answered {
                    self.answer_travels(number, Message::Reversed { attempt, word });
                }
            }
            Happening::Told { life, number, message } => {
                let tried = &mut self.tries[slot(message.attempt())];
                if life == self.life && [0, tried.newest_query, tried.newest_reversal].contains(&number) {
                    if matches!(message, Message::Answered { word: Word::AwaitingPayer, .. }) {
                        tried.order.dialog_heard = true;
                    }
                    self.feed(message.event())?;
                    let told_paid =
                        matches!(message, Message::Answered { to: Asked::Query, word: Word::Paid, .. });
                    if told_paid && life == self.life {
                        self.order(message.attempt()).untold = false;
                    }
                }
            }
            Happening::PayerActs { attempt } => self.payer_acts(attempt),
            Happening::GatewayCloses { attempt } => {
                let order = self.order(attempt);
                if matches!(order.state, State::Dialog | State::Unpaid) {
                    order.become_(State::Closed, at);
                    self.tell(|| format!("    gateway closes {attempt} by itself"));
                }
            }
            Happening::Elsewhere { attempt } => {
                let refunded = self.dice.chance(500);
                let order = self.order(attempt);
                if order.holds_money() {
                    order.elsewhere = true;
                    order.become_(if refunded { State::Refunded } else { State::Closed }, at);
                    self.tell(|| {
                        format!("    somebody takes {attempt} back elsewhere, refunded: {refunded}")
                    });
                }
            }
            Happening::LateCharge { attempt } => {
                let on_record = &self.synced.attempts[slot(attempt)].phase;
                let over = !on_record.is_open() && !matches!(on_record, Phase::Paid(_));
                let order = self.order(attempt);
                let possible = match order.state {
                    State::Closed => true,
                    State::Absent | State::Unpaid => over,
                    State::Dialog | State::Paid | State::Failed | State::Refunded => false,
                };
                if possible {
                    order.untold = true;
                    order.become_(State::Paid, at);
                    self.tell(|| format!("    the bank charges {attempt} late"));
                    self.later(5_000, Happening::BillTells { attempt });
                    // It is looked at, while answers from before can still come.
                    for _ in 0..self.dice.below(3) {
                        let delay = self.dice.between(1, 4_000);
                        self.later(delay, Happening::Check);
                    }
                }
            }
            Happening::BillTells { attempt } => {
                if self.order(attempt).holds_money() {
                    self.calm_at = self.calm_at.max(at);
                    let (word, life) = (Word::Paid, self.life);
                    self.feed(Message::Answered { attempt, to: Asked::Query, word }.event())?;
                    // Reconciliation asks again until the record says otherwise.
                    let on_record = &self.synced.attempts[slot(attempt)].phase;
                    let agrees = on_record.is_open() || matches!(on_record, Phase::Paid(_));
                    let heard = life == self.life && agrees;
                    self.order(attempt).untold = !heard;
                    if !heard {
                        self.later(60_000, Happening::BillTells { attempt });
                    }
                }
            }
            Happening::ManagerRefunds { attempt } => {
                let order = self.order(attempt);
                if order.holds_money() {
                    order.become_(State::Refunded, at);
                    self.calm_at = self.calm_at.max(at);
                    self.tell(|| format!("    the manager refunds {attempt}"));
                }
            }
            Happening::Scan => {
                self.calm_at = self.calm_at.max(at);
                let hint = CodeHint::from_digits("8406").expect("four digits");
                self.feed(Event::Code(hint))?;
            }
            Happening::Cancel => {
                self.calm_at = self.calm_at.max(at);
                self.feed(Event::Cancel)?;
            }
            Happening::Check => {
                self.calm_at = self.calm_at.max(at);
                self.feed(Event::Check)?;
            }
            Happening::Crash => {
                let written = self.live.take().expect("a process that is up has a payment");
                self.crash(written)?;
            }
        }
        rules::money_is_on_record(&self.tries, &self.synced)
    }

    fn pay_arrives(&mut self, attempt: u8, answered: bool) {
        let order = &mut self.tries[slot(attempt)].order;
        let word = order.pay(self.now, &mut self.dice);
        let (state, mood, closes_at) = (order.state, order.mood, order.closes_at);
        self.tell(|| format!("    pay {attempt} arrives: {word:?}, the order is {state:?}"));
        if let Some(closes_at) = closes_at {
            self.later(closes_at - self.now, Happening::GatewayCloses { attempt });
        }
        if state == State::Dialog || matches!(mood, Mood::Bank | Mood::PayError) {
            let takes = self.dice.between(500, 70_000);
            self.later(takes, Happening::PayerActs { attempt });
        }
        if state == State::Paid && self.dice.fault(5) {
            let delay = self.dice.between(1_000, 100_000);
            self.later(delay, Happening::Elsewhere { attempt });
        }
        if self.dice.fault(3) {
            let delay = self.dice.between(1_000, 200_000);
            self.later(delay, Happening::LateCharge { attempt });
        }
        if answered {
            self.answer_travels(0, Message::Answered { attempt, to: Asked::Pay, word });
        }
    }

    /// The payer ends the dialog, or the bank makes up its mind.
    fn payer_acts(&mut self, attempt: u8) {
        let (outcome, acts_again) = match self.dice.below(10) {
            0..=6 => (State::Paid, false),
            7 => (State::Failed, false),
            8 => (State::Unpaid, false),
            _ => (State::Unpaid, true),
        };
        let now = self.now;
        let order = self.order(attempt);
        let over = order.mood == Mood::RefusesAndAsks && order.state == State::Unpaid && !order.dialog_heard;
        let open = matches!(order.state, State::Dialog | State::Unpaid) && !over;
        if open || (order.state == State::Failed && order.mood == Mood::PayError) {
            order.become_(outcome, now);
            self.calm_at = self.calm_at.max(now);
            self.tell(|| format!("    the payer of {attempt} acts: {outcome:?}"));
        }
        if acts_again {
            let takes = self.dice.between(500, 30_000);
            self.later(takes, Happening::PayerActs { attempt });
        }
    }

    /// The way back of an answer to the process that asked.
    fn answer_travels(&mut self, number: u32, message: Message) {
        if self.in_outage() || self.dice.fault(30) {
            let timeout = self.dice.between(3_000, 20_000);
            self.tells(timeout, number, message.silenced(Silence::Timeout));
        } else if self.dice.fault(5) {
            self.tell(|| format!("    lost on its way to the machine: {message:?}"));
        } else {
            let forged = self.dice.fault(20);
            let message = if forged { message.silenced(Silence::Forged) } else { message };
            let delay = if self.dice.fault(40) {
                self.dice.between(1_000, 29_000)
            } else {
                self.dice.between(20, 300)
            };
            if self.dice.fault(20) {
                let again = delay + self.dice.between(0, 60_000);
                self.tells(again, number, message);
            }
            self.tells(delay, number, message);
        }
    }

    pub(super) fn tells(&mut self, delay: i64, number: u32, message: Message) {
        let life = self.life;
        self.later(delay, Happening::Told { life, number, message });
    }

    pub(super) fn in_outage(&self) -> bool {
        self.now < self.outage_until
    }

    pub(super) fn clock(&self) -> Timestamp {
        Timestamp(self.now + self.clock_error)
    }

    fn at_rest(&mut self) -> Result<(), Broken> {
        let payment = self.live.as_ref().expect("a process that is up has a payment");
        if payment.is_open() {
            return breaks(Rule::Visibility, "an attempt is open and nothing will ever happen");
        }
        let late = self.rested_at.unwrap_or(self.now) - self.calm_at;
        let bound = CONVERGES_WITHIN + if self.expired { WATCHES_EVERY } else { 0 };
        if !self.expired {
            self.outcome.late = late;
        }
        if late > bound {
            return breaks(Rule::Rest, format!("took {late} ms to come to rest after the last fault"));
        }
        self.outcome.end = Some(payment.phase());
        rules::agrees_with_the_gateway(&self.tries, payment)
    }
}

pub fn slot(attempt: u8) -> usize {
    usize::from(attempt) - 1
}
