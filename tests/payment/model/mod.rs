//! Every order of events that fits into a small world, searched without luck: the machine, a disk, a line, a gateway.
//!
//! Time is in ticks, and so few of them that all interleavings can be tried. What the weather makes likely this makes
//! certain, and what this cannot hold (long waits, many attempts) the weather throws dice for.

mod gateway;
mod properties;

use std::time::Duration;

use micropayd::ids::CodeHint;
use micropayd::money::Amount;
use micropayd::payment::{Effect, Event, Payment, Phase, Policy, step};
use micropayd::time::Timestamp;
use stateright::{Checker, HasDiscoveries, Model, Property};

/// A payment code can pay for so many ticks after it was read.
const CODE_LIVES: u8 = 3;
/// A whole answer, or the word that there is none, comes within so many ticks.
const ANSWERS_WITHIN: u8 = 1;
/// A payer closes the password dialog within so many ticks.
const DIALOG_LASTS: u8 = 3;
/// Whatever happens, the payment is at rest by then where one thing goes wrong.
const AT_REST_BY: u8 = 34;
/// What a second fault may cost: a code that must die once more after a restart, and the rounds around it.
const SECOND_FAULT: u8 = 10;

/// How much may go wrong; each number multiplies the states.
struct World {
    single: bool,
    scans: u8,
    crashes: u8,
    losses: u8,
    cancels: u8,
    /// How often a query is answered as if what happened to the order in this tick had not happened yet.
    lags: u8,
    /// How often the bank charges an order that is closed.
    late_charges: u8,
    policy: Policy,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct State {
    now: u8,
    /// `None` while the process is down.
    live: Option<Payment>,
    written: Payment,
    synced: Payment,
    /// Effects of the last step that are still to be carried out.
    effects: Vec<Effect>,
    orders: Vec<Order>,
    messages: Vec<Message>,
    scans: u8,
    crashes: u8,
    losses: u8,
    cancels: u8,
    lags: u8,
    late_charges: u8,
    /// Somebody looks at the payment so often, after such a charge.
    checks: u8,
    restarted: bool,
    /// What a rule says that a single state does not show.
    broken: Option<&'static str>,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
struct Order {
    stands: Stands,
    /// And how it stood before, in this tick.
    before: Stands,
    /// Since when the payer looks at a dialog.
    since: u8,
    left_at: Option<u8>,
    killed: bool,
    receipts: u8,
    reversed_before_arrival: bool,
    /// Charged after it was closed, and the machine was not told yet.
    untold: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
enum Stands {
    #[default]
    Absent,
    Dialog,
    Unpaid,
    Paid,
    Failed,
    Closed,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
struct Message {
    attempt: u8,
    sent_at: u8,
    what: What,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
enum What {
    Pay,
    Query,
    Reverse,
    PayAnswer(Word),
    QueryAnswer(Word),
    ReverseAnswer(Word),
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
enum Word {
    Paid,
    AwaitingPayer,
    Refused,
    NotPaid,
    NotFound,
    PayFailed,
    Closed,
    NeverSent,
    Unknown,
    Done,
    Again,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
enum Action {
    Scan,
    Cancel,
    Ring,
    CarryOut,
    /// The request arrives and the gateway decides.
    Arrives(Message, Decision),
    /// It never arrives; the transport says so in time, or that nothing was sent.
    Lost(Message, Word),
    Told(Message),
    PayerActs(u8, bool),
    /// The gateway closes an order that nobody paid.
    Closes(u8),
    ChargesLate(u8),
    Check,
    Crash {
        unsynced_lost: bool,
    },
    Restart,
    Tick,
}

/// What the gateway makes of a pay request; other requests leave it no choice, or one.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Decision {
    Charges,
    ChargesAndRefuses,
    ChargesAndFails,
    AsksThePayer,
    Refuses,
    FailsUnpaid,
    Obeys,
    SaysHowItWas,
    SaysAgain,
    RefusesToReverse,
}

fn tiny() -> Policy {
    let ticks = Duration::from_secs;
    Policy {
        query_after: ticks(1),
        query_every: ticks(1),
        give_up_after: ticks(3),
        reverse_after: ticks(2),
        reverse_every: ticks(1),
        reverse_every_max: ticks(2),
        reverse_for: ticks(1_000),
        call_manager_after: ticks(6),
        code_life: ticks(u64::from(CODE_LIVES) + 1),
        decide_after: ticks(2),
        answer_within: ticks(u64::from(ANSWERS_WITHIN) + 1),
        scan_within: ticks(1),
    }
}

fn time(tick: u8) -> Timestamp {
    Timestamp(i64::from(tick) * 1000)
}

fn slot(attempt: u8) -> usize {
    usize::from(attempt) - 1
}

impl Model for World {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let payment = Payment::new(Amount::from_fen(1).unwrap(), self.single, time(0), &self.policy);
        vec![State {
            now: 0,
            live: Some(payment.clone()),
            written: payment.clone(),
            synced: payment,
            effects: Vec::new(),
            orders: vec![Order::default()],
            messages: Vec::new(),
            scans: self.scans,
            crashes: self.crashes,
            losses: self.losses,
            cancels: self.cancels,
            lags: self.lags,
            late_charges: self.late_charges,
            checks: 0,
            restarted: false,
            broken: None,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        if state.broken.is_some() {
            return;
        }
        let Some(live) = &state.live else {
            actions.push(Action::Restart);
            return;
        };
        if state.crashes > 0 && (live.is_open() || !state.effects.is_empty()) {
            actions.push(Action::Crash { unsynced_lost: true });
            if state.written != state.synced {
                actions.push(Action::Crash { unsynced_lost: false });
            }
        }
        if !state.effects.is_empty() {
            actions.push(Action::CarryOut);
            return;
        }
        let waits = live.current().phase == Phase::Armed;
        if waits && state.scans > 0 {
            actions.push(Action::Scan);
        }
        if live.holds_lane() && state.cancels > 0 {
            actions.push(Action::Cancel);
        }
        let rings = live.wake().is_some_and(|wake| wake <= time(state.now));
        if rings {
            actions.push(Action::Ring);
        }
        let mut overdue = rings;
        for message in &state.messages {
            state.ways_of(message, actions);
            let patience = if message.what == What::Pay { CODE_LIVES + 1 } else { ANSWERS_WITHIN };
            overdue |= state.now >= message.sent_at + patience;
        }
        for (order, attempt) in state.orders.iter().zip(1..) {
            if order.stands == Stands::Dialog {
                actions.extend([true, false].map(|pays| Action::PayerActs(attempt, pays)));
                overdue |= state.now >= order.since + DIALOG_LASTS;
            }
            if state.late_charges > 0 {
                match order.stands {
                    Stands::Dialog | Stands::Unpaid => actions.push(Action::Closes(attempt)),
                    Stands::Closed => actions.push(Action::ChargesLate(attempt)),
                    Stands::Absent | Stands::Paid | Stands::Failed => {}
                }
            }
        }
        if state.checks > 0 {
            actions.push(Action::Check);
        }
        if !overdue && (live.is_open() || !state.messages.is_empty()) && state.now <= self.at_rest_by() {
            actions.push(Action::Tick);
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Tick => state.now += 1,
            Action::Scan => {
                state.scans -= 1;
                self.feed(&mut state, Event::Code(CodeHint::from_digits("8406").unwrap()));
            }
            Action::Cancel => {
                state.cancels -= 1;
                self.feed(&mut state, Event::Cancel);
            }
            Action::Ring => self.feed(&mut state, Event::Wake),
            Action::Restart => {
                state.restarted = true;
                state.live = Some(state.written.clone());
                self.feed(&mut state, Event::Restarted);
            }
            Action::CarryOut => self.carry_out(&mut state),
            Action::Crash { unsynced_lost } => {
                state.crashes -= 1;
                if unsynced_lost {
                    state.written.clone_from(&state.synced);
                } else {
                    state.synced.clone_from(&state.written);
                }
                state.live = None;
                state.effects.clear();
                let heard_by_nobody = |what| {
                    matches!(
                        what,
                        What::PayAnswer(_) | What::QueryAnswer(_) | What::ReverseAnswer(_) | What::Query
                    )
                };
                state.messages.retain(|message| !heard_by_nobody(message.what));
            }
            Action::PayerActs(attempt, pays) => {
                let outcome = if pays { Stands::Paid } else { Stands::Failed };
                state.orders[slot(attempt)].becomes(outcome, state.now);
            }
            Action::Closes(attempt) => state.orders[slot(attempt)].becomes(Stands::Closed, state.now),
            Action::ChargesLate(attempt) => {
                state.late_charges -= 1;
                state.checks = self.lags;
                let order = &mut state.orders[slot(attempt)];
                order.becomes(Stands::Paid, state.now);
                order.untold = true;
            }
            Action::Check => {
                state.checks -= 1;
                self.feed(&mut state, Event::Check);
            }
            Action::Arrives(message, decision) => state.arrives(&message, decision),
            Action::Lost(message, word) => {
                state.losses -= 1;
                state.take(&message);
                state.answer(&message, word);
            }
            Action::Told(message) => {
                state.take(&message);
                if let Some(event) = gateway::event(&message) {
                    self.feed(&mut state, event);
                    // Of this life: what a crash swallows before it is on the disk was told to nobody.
                    state.orders[slot(message.attempt)].untold &=
                        message.what != What::QueryAnswer(Word::Paid);
                }
            }
        }
        state.messages.sort();
        // What makes no difference any more must make no other state.
        if state.now > last.now || state.lags == 0 {
            state.orders.iter_mut().for_each(|order| order.before = order.stands);
        }
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        properties::of(self)
    }
}

impl World {
    fn at_rest_by(&self) -> u8 {
        let faults = self.crashes + self.losses + self.cancels + self.lags;
        // A late charge begins it all anew.
        AT_REST_BY * (1 + self.late_charges) + if faults + self.late_charges > 1 { SECOND_FAULT } else { 0 }
    }

    /// One step of the machine, and its record.
    fn feed(&self, state: &mut State, event: Event) {
        let payment = state.live.take().expect("only a process that is up is told anything");
        let step = step(payment, event, time(state.now), &self.policy);
        state.effects = step.effects;
        if step.durable {
            state.synced.clone_from(&step.payment);
        }
        state.written.clone_from(&step.payment);
        while state.orders.len() < step.payment.attempts.len() {
            state.orders.push(Order::default());
        }
        state.live = Some(step.payment);
    }

    fn carry_out(&self, state: &mut State) {
        let (attempt, what) = match state.effects.remove(0) {
            Effect::Pay(attempt) => {
                if state.orders[slot(attempt)].left_at.replace(state.now).is_some() {
                    state.broken = Some("a second pay request");
                }
                (attempt, What::Pay)
            }
            Effect::Query(attempt) => {
                // A new query takes the place of the one before.
                let is_query = |what| matches!(what, What::Query | What::QueryAnswer(_));
                state.messages.retain(|message| message.attempt != attempt || !is_query(message.what));
                (attempt, What::Query)
            }
            Effect::Reverse(attempt) => {
                // As a query does; but what the one before does to the order it does all the same.
                let answers = |what| matches!(what, What::ReverseAnswer(_));
                state.messages.retain(|message| message.attempt != attempt || !answers(message.what));
                let left_at = state.orders[slot(attempt)].left_at;
                if left_at.is_some_and(|left_at| time(left_at) + self.policy.reverse_after > time(state.now))
                {
                    state.broken = Some("a reverse request too soon");
                }
                (attempt, What::Reverse)
            }
            Effect::Receipt(attempt) => {
                state.orders[slot(attempt)].receipts += 1;
                return;
            }
            Effect::CallManager(_) => return,
        };
        state.messages.push(Message { attempt, sent_at: state.now, what });
    }
}

/// Searches a world to its end; fewer than `states_max` states are met, new ones or not.
fn search(world: World, states_max: usize) {
    let checker = world
        .checker()
        .threads(2)
        .finish_when(HasDiscoveries::AnyFailures)
        .target_state_count(states_max)
        .spawn_bfs()
        .join();
    let (states, met) = (checker.unique_state_count(), checker.state_count());
    println!("{states} states, met {met} times, at most {} events deep", checker.max_depth());
    checker.assert_properties();
    // There the checker stops and says nothing.
    assert!(met < states_max, "the world has become too large to be searched");
}

fn world(single: bool) -> World {
    World {
        single,
        scans: if single { 1 } else { 2 },
        crashes: 0,
        losses: 0,
        cancels: 0,
        lags: 0,
        late_charges: 0,
        policy: tiny(),
    }
}

/// Whether a second fault comes with the first in each world; that takes some minutes and gigabytes.
fn pairs() -> u8 {
    u8::from(std::env::var("MODEL_FAULTS").is_ok_and(|faults| faults == "2"))
}

/// More states than a world's search comes to, new or not: what is larger is not searched to its end.
fn bound() -> usize {
    if pairs() == 0 { 10_000_000 } else { 1_000_000_000 }
}

#[test]
fn a_message_is_lost_in_every_order() {
    search(World { losses: 1, cancels: pairs(), ..world(true) }, bound());
}

#[test]
fn a_query_lags_in_every_order() {
    let lags = |lags, losses, crashes, cancels| {
        search(World { lags, losses, crashes, cancels, ..world(true) }, bound());
    };
    lags(1, 0, 0, 0);
    if pairs() > 0 {
        lags(2, 0, 0, 0);
        lags(1, 1, 0, 0);
        lags(1, 0, 1, 0);
        lags(1, 0, 0, 1);
    }
}

#[test]
fn the_bank_charges_late_in_every_order() {
    let late = |lags, losses, crashes| {
        search(World { late_charges: 1, lags, losses, crashes, ..world(true) }, bound());
    };
    late(1, 0, 0);
    if pairs() > 0 {
        late(2, 0, 0);
        late(1, 1, 0);
        late(1, 0, 1);
        search(World { late_charges: 1, ..world(false) }, bound());
    }
}

#[test]
fn the_cashier_cancels_in_every_order() {
    search(World { cancels: 1, crashes: pairs(), ..world(true) }, bound());
}

#[test]
fn the_power_fails_in_every_order() {
    search(World { crashes: 1, losses: pairs(), ..world(true) }, bound());
}

#[test]
fn two_codes_are_scanned_in_every_order() {
    search(World { losses: pairs(), ..world(false) }, bound());
}
