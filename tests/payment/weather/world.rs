//! One payment's world: the machine, its driver, a disk that can lose what was not synced, a line, a cashier, a payer.

use std::time::Duration;

use micropayd::ids::CodeHint;
use micropayd::money::Amount;
use micropayd::payment::cashier::{Language, told};
use micropayd::payment::{
    Answer, Asked, Cause, Doubt, Effect, Event, Payment, Phase, Policy, Reason, ReversalAnswer, SalePhase,
    WaitingFor, Why, step,
};
use micropayd::time::Timestamp;

use super::dice::Dice;
use super::gateway::{self, Mood, Order, State};
use super::rules::{self, Seen};

/// What went wrong that must not.
pub type Broken = String;

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
    /// Which of [`SIGHTS`] this payment met, a bit each.
    pub sights: u32,
}

/// What a run of any length must meet, or it proves little.
pub const SIGHTS: [&str; 20] = [
    "armed",
    "paying",
    "paying, interrupted",
    "reversing: gave up",
    "reversing: cancelled",
    "reversing: pay failed",
    "reversing: interrupted",
    "reversing: late paid",
    "in doubt: too long",
    "in doubt: refused",
    "in doubt: expired",
    "paid",
    "declined",
    "reversed: gave up",
    "reversed: cancelled",
    "reversed: pay failed",
    "reversed: interrupted",
    "reversed: late paid",
    "reversed: elsewhere",
    "void",
];

fn sight(phase: &Phase) -> &'static str {
    match phase {
        Phase::Armed => "armed",
        Phase::Paying { interrupted: false, .. } => "paying",
        Phase::Paying { interrupted: true, .. } => "paying, interrupted",
        Phase::Reversing(reversal) => match reversal.why {
            Why::GaveUp => "reversing: gave up",
            Why::Cancelled => "reversing: cancelled",
            Why::PayFailed => "reversing: pay failed",
            Why::Interrupted => "reversing: interrupted",
            Why::LatePaid => "reversing: late paid",
            Why::Elsewhere => "reversing: elsewhere",
        },
        Phase::InDoubt(_, Doubt::TooLong) => "in doubt: too long",
        Phase::InDoubt(_, Doubt::Refused) => "in doubt: refused",
        Phase::InDoubt(_, Doubt::Expired) => "in doubt: expired",
        Phase::Paid(_) => "paid",
        Phase::Declined(_) => "declined",
        Phase::Reversed(why) => match why {
            Why::GaveUp => "reversed: gave up",
            Why::Cancelled => "reversed: cancelled",
            Why::PayFailed => "reversed: pay failed",
            Why::Interrupted => "reversed: interrupted",
            Why::LatePaid => "reversed: late paid",
            Why::Elsewhere => "reversed: elsewhere",
        },
        Phase::Void => "void",
    }
}

enum Happening {
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
        answered: bool,
    },
    /// A whole answer, or the transport's word that there is none, for the process of this life.
    Told {
        life: u32,
        query: Option<u32>,
        event: Event,
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
    Cashier(Event),
    ManagerRefunds {
        attempt: u8,
    },
    Crash,
}

pub struct World<'a> {
    dice: Dice,
    policy: &'a Policy,
    now: i64,
    /// The process's clock minus the world's: each boot gets it wrong in its own way.
    clock_error: i64,
    life: u32,
    /// The machine's payment; `None` while the process is down.
    live: Option<Payment>,
    synced: Payment,
    written: Payment,
    orders: Vec<Order>,
    /// For each attempt: when its pay request left.
    left_at: Vec<Option<i64>>,
    receipts: Vec<u32>,
    newest_query: Vec<u32>,
    queries: u32,
    queue: Vec<(i64, u32, Happening)>,
    queued: u32,
    calm_at: i64,
    stalled_until: i64,
    outage_until: i64,
    expired: bool,
    rested_at: Option<i64>,
    outcome: Outcome,
    story: Option<Vec<String>>,
}

/// Plays payment `number` of the run `seed`. With `story` it also tells what happened, line by line.
pub fn play(seed: u64, number: u64, budget: u32, story: bool) -> (Result<Outcome, Broken>, Vec<String>) {
    let mut dice = Dice::new(seed, number, budget);
    let policy = policy(&mut dice);
    let amount = Amount::from_fen(1).expect("one fen is an amount");
    let payment = Payment::new(amount, dice.chance(200), Timestamp(0), &policy);
    let mut world = World {
        policy: &policy,
        now: 0,
        clock_error: 0,
        life: 0,
        live: Some(payment.clone()),
        synced: payment.clone(),
        written: payment,
        orders: Vec::with_capacity(2),
        left_at: Vec::with_capacity(2),
        receipts: Vec::with_capacity(2),
        newest_query: Vec::with_capacity(2),
        queries: 0,
        queue: Vec::with_capacity(16),
        queued: 0,
        calm_at: dice.between(0, 300_000),
        stalled_until: 0,
        outage_until: 0,
        expired: false,
        rested_at: None,
        outcome: Outcome::default(),
        story: story.then(Vec::new),
        dice,
    };
    let result = world.run();
    world.outcome.faults = world.dice.faults();
    (result.map(|()| world.outcome), world.story.unwrap_or_default())
}

/// Mostly the shipped waits; some are so short that the last resorts are reached within the hour.
fn policy(dice: &mut Dice) -> Policy {
    let mut policy = Policy::default();
    if dice.chance(100) {
        policy.call_manager_after = Duration::from_secs(120);
        policy.reverse_for = Duration::from_secs(900);
    }
    policy
}

impl World<'_> {
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
                return Err(format!("does not come to rest within {STEPS_MAX} steps"));
            }
        }
        self.at_rest()
    }

    fn plan_the_cashier(&mut self) {
        let first = self.dice.between(100, 20_000);
        if !self.dice.chance(20) {
            self.later(first, Happening::Scan);
        }
        if self.dice.fault(15) {
            let bounce = first + self.dice.between(1, 1_000);
            self.later(bounce, Happening::Scan);
        }
        if self.dice.fault(60) {
            let at = self.dice.between(0, 90_000);
            self.later(at, Happening::Cashier(Event::Cancel));
        }
        if self.dice.fault(40) {
            let at = self.dice.between(0, 120_000);
            self.later(at, Happening::Cashier(Event::Check));
        }
        if self.dice.fault(60) {
            let at = self.dice.between(0, 120_000);
            self.later(at, Happening::Crash);
        }
        if self.dice.fault(15) {
            let at = self.dice.between(0, 60_000);
            let length = self.dice.between(1_000, 900_000);
            self.outage_until = at + length;
            self.calm_at = self.calm_at.max(self.outage_until);
        }
    }

    fn new_order(&mut self) {
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
        self.orders.push(Order::new(mood, &mut self.dice));
        self.left_at.push(None);
        self.receipts.push(0);
        self.newest_query.push(0);
    }

    fn later(&mut self, delay: i64, happening: Happening) {
        self.queued += 1;
        self.queue.push((self.now + delay, self.queued, happening));
    }

    fn tell(&mut self, line: impl FnOnce() -> String) {
        if let Some(story) = &mut self.story {
            let line = line();
            story.push(format!("{:>10.3}  {line}", self.now as f64 / 1000.0));
        }
    }

    fn happens(&mut self, index: usize) -> Result<(), Broken> {
        let (at, _, happening) = self.queue.swap_remove(index);
        self.now = self.now.max(at);
        match happening {
            Happening::PayArrives { attempt, answered } => self.pay_arrives(attempt, answered)?,
            Happening::QueryArrives { attempt, number } => {
                let answer = self.orders[slot(attempt)].query(self.now, &mut self.dice);
                self.tell(|| format!("    gateway answers query {attempt}: {answer:?}"));
                let event = Event::Answered { attempt, to: Asked::Query, answer };
                self.answer_travels(Some(number), event);
            }
            Happening::ReverseArrives { attempt, answered } => {
                let order = &mut self.orders[slot(attempt)];
                let answer = order.reverse(self.now, &mut self.dice);
                let state = order.state;
                self.tell(|| format!("    gateway reverses {attempt}: {answer:?}, the order is {state:?}"));
                if answered {
                    self.answer_travels(None, Event::Reversed { attempt, answer });
                }
            }
            Happening::Told { life, query, event } => {
                if life == self.life && query.is_none_or(|number| self.is_newest_query(&event, number)) {
                    if let Event::Answered { attempt, answer: Answer::AwaitingPayer, .. } = event {
                        self.orders[slot(attempt)].dialog_heard = true;
                    }
                    self.feed(event)?;
                }
            }
            Happening::PayerActs { attempt } => self.payer_acts(attempt),
            Happening::GatewayCloses { attempt } => {
                let order = &mut self.orders[slot(attempt)];
                if matches!(order.state, State::Dialog | State::Unpaid) {
                    order.become_(State::Closed, at);
                    self.tell(|| format!("    gateway closes {attempt} by itself"));
                }
            }
            Happening::Elsewhere { attempt } => {
                let refunded = self.dice.chance(500);
                let order = &mut self.orders[slot(attempt)];
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
                let order = &mut self.orders[slot(attempt)];
                if over && matches!(order.state, State::Absent | State::Unpaid | State::Closed) {
                    order.untold = true;
                    order.become_(State::Paid, at);
                    self.tell(|| format!("    the bank charges {attempt} late"));
                    self.later(5_000, Happening::BillTells { attempt });
                }
            }
            Happening::BillTells { attempt } => {
                let order = &mut self.orders[slot(attempt)];
                if order.holds_money() {
                    self.calm_at = self.calm_at.max(at);
                    self.feed(Event::Answered { attempt, to: Asked::Query, answer: gateway::paid() })?;
                    // Reconciliation asks again until the record says otherwise.
                    let heard = self.synced.attempts[slot(attempt)].phase.is_open();
                    self.orders[slot(attempt)].untold = !heard;
                    if !heard {
                        self.later(60_000, Happening::BillTells { attempt });
                    }
                }
            }
            Happening::ManagerRefunds { attempt } => {
                let order = &mut self.orders[slot(attempt)];
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
            Happening::Cashier(event) => {
                self.calm_at = self.calm_at.max(at);
                self.feed(event)?;
            }
            Happening::Crash => self.crash()?,
        }
        rules::money_is_on_record(&self.orders, &self.synced)
    }

    fn is_newest_query(&self, event: &Event, number: u32) -> bool {
        match event {
            Event::Answered { attempt, .. } => self.newest_query[slot(*attempt)] == number,
            _ => true,
        }
    }

    fn pay_arrives(&mut self, attempt: u8, answered: bool) -> Result<(), Broken> {
        let order = &mut self.orders[slot(attempt)];
        let answer = order.pay(self.now, &mut self.dice);
        let (state, closes_at) = (order.state, order.closes_at);
        self.tell(|| format!("    pay {attempt} arrives: {answer:?}, the order is {state:?}"));
        if let Some(closes_at) = closes_at {
            self.later(closes_at - self.now, Happening::GatewayCloses { attempt });
        }
        let mood = self.orders[slot(attempt)].mood;
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
            self.answer_travels(None, Event::Answered { attempt, to: Asked::Pay, answer });
        }
        Ok(())
    }

    /// The payer ends the dialog, or the bank makes up its mind.
    fn payer_acts(&mut self, attempt: u8) {
        let (outcome, acts_again) = match self.dice.below(10) {
            0..=6 => (State::Paid, false),
            7 => (State::Failed, false),
            8 => (State::Unpaid, false),
            _ => (State::Unpaid, true),
        };
        let order = &mut self.orders[slot(attempt)];
        let over = order.mood == Mood::RefusesAndAsks && order.state == State::Unpaid && !order.dialog_heard;
        let open = matches!(order.state, State::Dialog | State::Unpaid) && !over;
        if open || (order.state == State::Failed && order.mood == Mood::PayError) {
            order.become_(outcome, self.now);
            self.calm_at = self.calm_at.max(self.now);
            self.tell(|| format!("    the payer of {attempt} acts: {outcome:?}"));
        }
        if acts_again {
            let takes = self.dice.between(500, 30_000);
            self.later(takes, Happening::PayerActs { attempt });
        }
    }

    /// The way back of an answer to the process that asked.
    fn answer_travels(&mut self, query: Option<u32>, event: Event) {
        if self.in_outage() || self.dice.fault(30) {
            let silence = silence(&event, Cause::Timeout);
            let timeout = self.dice.between(3_000, 20_000);
            self.tells(timeout, query, silence);
        } else if self.dice.fault(5) {
            self.tell(|| format!("    lost on its way to the machine: {event:?}"));
        } else {
            let forged = self.dice.fault(20);
            let event = if forged { silence(&event, Cause::BadSignature) } else { event };
            let delay = if self.dice.fault(40) {
                self.dice.between(1_000, 29_000)
            } else {
                self.dice.between(20, 300)
            };
            if self.dice.fault(20) {
                let again = delay + self.dice.between(0, 60_000);
                self.tells(again, query, event.clone());
            }
            self.tells(delay, query, event);
        }
    }

    fn tells(&mut self, delay: i64, query: Option<u32>, event: Event) {
        let life = self.life;
        self.later(delay, Happening::Told { life, query, event });
    }

    fn in_outage(&self) -> bool {
        self.now < self.outage_until
    }

    fn clock(&self) -> Timestamp {
        Timestamp(self.now + self.clock_error)
    }

    /// The driver: a step, its record, its effects, and a power cut between any two of them.
    fn feed(&mut self, event: Event) -> Result<(), Broken> {
        let now = self.clock();
        let payment = self.live.take().expect("a process that is up has a payment");
        let seen = Seen::new(&payment, &event);
        if payment.waiting_for() == Some(WaitingFor::Scan) {
            self.calm_at = self.calm_at.max(self.now);
        }
        self.outcome.steps += 1;
        let told = if self.story.is_some() { format!("{event:?}") } else { String::new() };
        let scanned = matches!(event, Event::Code(_));
        let step = step(payment, event, now, self.policy);
        self.tell(|| {
            let phases: Vec<_> = step
                .payment
                .attempts
                .iter()
                .map(|a| (a.phase.label(), a.wake.map(|w| w.since(now))))
                .collect();
            format!("{told} -> {phases:?} {:?}{}", step.effects, if step.durable { " durable" } else { "" })
        });
        seen.check(&step, now, self.policy)?;
        if step.payment.attempts.len() > self.orders.len() {
            self.new_order();
            self.customer_tries_again();
        }
        // Where the power fails: before the record, after it, or after so many effects.
        let fails_after = self.dice.fault(6).then(|| self.dice.below(step.effects.len() as u64 + 2));
        let early = scanned && step.effects.first().is_some_and(|effect| matches!(effect, Effect::Pay(_)));
        if early {
            // The intent is durable, so the request need not wait for the disk.
            self.carry_out(step.effects[0])?;
        }
        if fails_after == Some(0) {
            return self.crash();
        }
        if step.durable {
            self.synced.clone_from(&step.payment);
        }
        self.written.clone_from(&step.payment);
        rules::money_is_on_record(&self.orders, &self.synced)?;
        for (effect, done) in step.effects.iter().skip(usize::from(early)).zip(1..) {
            if fails_after == Some(done) {
                return self.crash();
            }
            self.carry_out(*effect)?;
        }
        if fails_after.is_some() {
            return self.crash();
        }
        self.look_at_the_screen(&step.payment, step.durable)?;
        self.rested_at = if step.payment.is_open() { None } else { self.rested_at.or(Some(self.now)) };
        self.live = Some(step.payment);
        Ok(())
    }

    fn customer_tries_again(&mut self) {
        let delay = self.dice.between(2_000, 30_000);
        if self.dice.chance(900) {
            self.later(delay, Happening::Scan);
        } else if self.dice.chance(800) {
            self.later(delay, Happening::Cashier(Event::Cancel));
        }
    }

    fn look_at_the_screen(&mut self, payment: &Payment, durable: bool) -> Result<(), Broken> {
        if !durable {
            return Ok(());
        }
        for attempt in &payment.attempts {
            let name = sight(&attempt.phase);
            let index = SIGHTS.iter().position(|sight| *sight == name).expect("every sight is listed");
            self.outcome.sights |= 1 << index;
            self.expired |= matches!(attempt.phase, Phase::InDoubt(_, Doubt::Expired));
        }
        let told = told(payment, self.clock(), self.policy, Language::English);
        if told.hand_over_goods {
            rules::goods_are_paid_for(&self.orders, &self.synced)?;
        }
        Ok(())
    }

    fn carry_out(&mut self, effect: Effect) -> Result<(), Broken> {
        match effect {
            Effect::Pay(attempt) => {
                if self.left_at[slot(attempt)].replace(self.now).is_some() {
                    return Err(format!("a second pay request of attempt {attempt}"));
                }
                self.orders[slot(attempt)].scanned_at = self.now;
                self.outcome.calls += 1;
                self.pay_leaves(attempt);
            }
            Effect::Query(attempt) => {
                self.outcome.calls += 1;
                self.queries += 1;
                let number = self.queries;
                self.newest_query[slot(attempt)] = number;
                match self.line() {
                    Line::Up(delay) => self.later(delay, Happening::QueryArrives { attempt, number }),
                    Line::Down(cause) => {
                        let silent = Answer::NeverSent(cause);
                        let event = Event::Answered { attempt, to: Asked::Query, answer: silent };
                        self.tells(1_000, Some(number), event);
                    }
                    Line::Swallows => {
                        let silent = Answer::Unknown(Cause::Timeout);
                        let event = Event::Answered { attempt, to: Asked::Query, answer: silent };
                        self.tells(10_000, Some(number), event);
                    }
                }
            }
            Effect::Reverse(attempt) => {
                self.outcome.calls += 1;
                rules::not_too_soon(self.left_at[slot(attempt)], self.now)?;
                match self.line() {
                    Line::Up(delay) => {
                        self.later(delay, Happening::ReverseArrives { attempt, answered: true });
                        if self.dice.fault(10) {
                            let later = delay + self.dice.between(0, 60_000);
                            self.later(later, Happening::ReverseArrives { attempt, answered: false });
                        }
                    }
                    Line::Down(cause) => {
                        let answer = ReversalAnswer::NeverSent(cause);
                        self.tells(1_000, None, Event::Reversed { attempt, answer });
                    }
                    Line::Swallows => {
                        let answer = ReversalAnswer::Unknown(Cause::Timeout);
                        self.tells(10_000, None, Event::Reversed { attempt, answer });
                    }
                }
            }
            Effect::Receipt(attempt) => {
                self.receipts[slot(attempt)] += 1;
                rules::receipt_is_due(attempt, self.receipts[slot(attempt)], &self.orders, &self.synced)?;
            }
            Effect::CallManager(attempt) => {
                if self.orders[slot(attempt)].stubborn {
                    let delay = self.dice.between(60_000, 1_800_000);
                    self.later(delay, Happening::ManagerRefunds { attempt });
                }
            }
        }
        Ok(())
    }

    /// The one pay request sets out; it may need a minute, come twice, or never.
    fn pay_leaves(&mut self, attempt: u8) {
        let answer = |answer| Event::Answered { attempt, to: Asked::Pay, answer };
        match self.line() {
            Line::Down(cause) => {
                let delay = self.dice.between(10, 25_000);
                self.tells(delay, None, answer(Answer::NeverSent(cause)));
            }
            Line::Swallows => self.tells(10_000, None, answer(Answer::Unknown(Cause::Timeout))),
            Line::Up(delay) => {
                if self.dice.fault(20) {
                    // Held up on its way; the transport has long given up when it arrives.
                    let held = self.dice.between(1_000, 60_000);
                    self.later(held, Happening::PayArrives { attempt, answered: false });
                    self.tells(10_000, None, answer(Answer::Unknown(Cause::Timeout)));
                } else {
                    self.later(delay, Happening::PayArrives { attempt, answered: true });
                }
                if self.dice.fault(10) {
                    let again = delay + self.dice.between(0, 60_000);
                    self.later(again, Happening::PayArrives { attempt, answered: false });
                }
            }
        }
    }

    fn line(&mut self) -> Line {
        if self.in_outage() || self.dice.fault(30) {
            return match self.dice.below(3) {
                0 => Line::Swallows,
                1 => Line::Down(Cause::Dns),
                _ => Line::Down(Cause::Connect),
            };
        }
        Line::Up(self.dice.between(10, 200))
    }

    /// The process or the power fails. What was synced is there again; what was only written may be.
    fn crash(&mut self) -> Result<(), Broken> {
        self.outcome.crashes += 1;
        self.life += 1;
        let kept = self.dice.chance(600);
        let payment = if kept { &self.written } else { &self.synced }.clone();
        self.tell(|| format!("CRASH, unsynced steps {}", if kept { "kept" } else { "lost" }));
        self.synced.clone_from(&payment);
        self.written.clone_from(&payment);
        self.now += if self.dice.chance(800) {
            self.dice.between(100, 5_000)
        } else {
            self.dice.between(100, 600_000)
        };
        self.clock_error = match self.dice.below(4) {
            0 => 0,
            1 => self.dice.between(-700_000_000_000, 700_000_000_000),
            2 => self.dice.between(-5_000, 5_000),
            _ => -self.now,
        };
        self.calm_at = self.calm_at.max(self.now);
        self.live = Some(payment);
        self.feed(Event::Restarted)
    }

    fn at_rest(&mut self) -> Result<(), Broken> {
        let payment = self.live.as_ref().expect("a process that is up has a payment");
        let open = payment.attempts.iter().any(|attempt| attempt.phase.is_open());
        if open {
            return Err("an attempt is open and nothing will ever happen".to_owned());
        }
        let late = self.rested_at.unwrap_or(self.now) - self.calm_at;
        let bound = CONVERGES_WITHIN + if self.expired { WATCHES_EVERY } else { 0 };
        if !self.expired {
            self.outcome.late = late;
        }
        if late > bound {
            return Err(format!("took {late} ms to come to rest after the last fault"));
        }
        self.outcome.end = Some(payment.phase());
        rules::agrees_with_the_gateway(&self.orders, payment)
    }
}

enum Line {
    Up(i64),
    Down(Cause),
    Swallows,
}

/// What the machine is told instead of an answer that did not come, or cannot be believed.
fn silence(event: &Event, cause: Cause) -> Event {
    match event {
        Event::Answered { attempt, to, .. } => {
            Event::Answered { attempt: *attempt, to: *to, answer: Answer::Unknown(cause) }
        }
        Event::Reversed { attempt, .. } => {
            Event::Reversed { attempt: *attempt, answer: ReversalAnswer::Unknown(cause) }
        }
        Event::Code(_) | Event::Cancel | Event::Check | Event::Wake | Event::Restarted => event.clone(),
    }
}

fn slot(attempt: u8) -> usize {
    usize::from(attempt) - 1
}
