//! Every order of events that fits into a small world, searched without luck: the refund machine, a disk, a line on which
//! requests are lost or late, a gateway that does once what it is asked under one number.

use std::time::Duration;

use micropayd::ids::SaleId;
use micropayd::money::Amount;
use micropayd::payment::{Cause, Policy, Reason, Refusal};
use micropayd::refund::{Answer, Asked, Effect, Event, Key, Phase, Refund, step};
use micropayd::time::Timestamp;
use stateright::{Checker, HasDiscoveries, Model, Property};

/// A request whose answer was lost can arrive for so many ticks after it left.
const REQUEST_LIVES: u8 = 3;
/// A whole answer, or the word that there is none, comes within so many ticks.
const ANSWERS_WITHIN: u8 = 1;
/// A bank, or a person at the platform, is done within so many ticks.
const BANK_TAKES: u8 = 3;
/// Whatever happens, the refund is at rest by then.
const AT_REST_BY: u8 = 40;

/// How much may go wrong; each number multiplies the states.
struct World {
    losses: u8,
    crashes: u8,
    /// How often a query is answered as if what happened in this tick had not happened yet.
    lags: u8,
    policy: Policy,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct State {
    now: u8,
    /// `None` while the process is down.
    live: Option<Refund>,
    written: Refund,
    synced: Refund,
    /// Effects of the last step that are still to be carried out.
    effects: Vec<Effect>,
    gateway: Stands,
    /// How it stood before, in this tick.
    before: Stands,
    /// Since when it stands so.
    since: u8,
    messages: Vec<Message>,
    losses: u8,
    crashes: u8,
    lags: u8,
    /// Somebody may look at a refund that is over.
    checks: u8,
    restarted: bool,
    lost_a_request: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Stands {
    Absent,
    Processing,
    Success,
    Stuck,
    Closed,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
struct Message {
    sent_at: u8,
    what: What,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
enum What {
    /// A refund request, and whether its answer will be heard.
    Ask(bool),
    Query,
    Said(bool, Word),
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
enum Word {
    Accepted,
    Returned,
    Stuck,
    Closed,
    NotFound,
    Refused,
    NeverSent,
    Unknown,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
enum Action {
    Ring,
    CarryOut,
    Arrives(Message, Decision),
    /// Its answer is lost; the request itself may be late.
    Lost(Message),
    NeverSent(Message),
    Vanishes(Message),
    Told(Message),
    Ends(Stands),
    Check,
    Crash {
        unsynced_lost: bool,
    },
    Restart,
    Tick,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Decision {
    TakesOn,
    TakesOnAndSaysNothing,
    TakesOnAndRefuses,
    Refuses,
    SaysNothing,
    SaysHowItIs,
    SaysHowItWas,
}

fn tiny() -> Policy {
    let ticks = Duration::from_secs;
    Policy {
        query_after: ticks(1),
        reverse_every: ticks(1),
        reverse_every_max: ticks(2),
        call_manager_after: ticks(6),
        code_life: ticks(u64::from(REQUEST_LIVES) + 1),
        answer_within: ticks(u64::from(ANSWERS_WITHIN) + 1),
        ..Policy::default()
    }
}

fn time(tick: u8) -> Timestamp {
    Timestamp(i64::from(tick) * 1000)
}

fn fresh(policy: &Policy) -> Refund {
    let sale: SaleId = "T01261121000042ABCDEF".parse().unwrap();
    let key = Key { key: [1; 16], request: [2; 8] };
    Refund::new(sale.refund(1, 7), 1, Amount::from_fen(1).unwrap(), None, key, time(0), policy)
}

impl Model for World {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let refund = fresh(&self.policy);
        vec![State {
            now: 0,
            live: Some(refund.clone()),
            written: refund.clone(),
            synced: refund,
            // The driver sends the first request when the refund is durable.
            effects: vec![Effect::Ask],
            gateway: Stands::Absent,
            before: Stands::Absent,
            since: 0,
            messages: Vec::new(),
            losses: self.losses,
            crashes: self.crashes,
            lags: self.lags,
            checks: 1,
            restarted: false,
            lost_a_request: false,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
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
        let rings = live.wake.is_some_and(|wake| wake <= time(state.now));
        if rings {
            actions.push(Action::Ring);
        }
        let mut overdue = rings;
        for message in &state.messages {
            state.ways_of(*message, actions);
            let patience = if message.what == What::Ask(false) { REQUEST_LIVES } else { ANSWERS_WITHIN };
            overdue |= state.now >= message.sent_at + patience;
        }
        let ends: &[Stands] = match state.gateway {
            Stands::Processing => &[Stands::Success, Stands::Stuck, Stands::Closed],
            Stands::Stuck => &[Stands::Success, Stands::Closed],
            Stands::Absent | Stands::Success | Stands::Closed => &[],
        };
        actions.extend(ends.iter().map(|end| Action::Ends(*end)));
        overdue |= !ends.is_empty() && state.now >= state.since + BANK_TAKES;
        if state.checks > 0 && !live.is_open() {
            actions.push(Action::Check);
        }
        if !overdue && (live.is_open() || !state.messages.is_empty()) && state.now <= AT_REST_BY {
            actions.push(Action::Tick);
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Tick => {
                state.now += 1;
                state.before = state.gateway;
            }
            Action::Ring => self.feed(&mut state, Event::Wake),
            Action::Check => {
                state.checks -= 1;
                self.feed(&mut state, Event::Check);
            }
            Action::CarryOut => state.carry_out(),
            Action::Ends(end) => state.stands(end),
            Action::Restart => {
                state.restarted = true;
                state.live = Some(state.written.clone());
                self.feed(&mut state, Event::Restarted);
            }
            Action::Crash { unsynced_lost } => {
                state.crashes -= 1;
                if unsynced_lost {
                    state.written.clone_from(&state.synced);
                } else {
                    state.synced.clone_from(&state.written);
                }
                state.live = None;
                state.effects.clear();
                state.nobody_hears(|what| matches!(what, What::Ask(true)));
                state.messages.retain(|message| matches!(message.what, What::Ask(_)));
            }
            Action::Vanishes(message) => state.take(message),
            Action::NeverSent(message) => {
                state.losses -= 1;
                state.take(message);
                state.say(message, Word::NeverSent);
            }
            Action::Lost(message) => {
                state.losses -= 1;
                state.take(message);
                if message.what == What::Ask(true) {
                    state.lost_a_request = true;
                    state.put(Message { what: What::Ask(false), ..message });
                }
                state.say(message, Word::Unknown);
            }
            Action::Arrives(message, decision) => {
                state.take(message);
                state.decide(message, decision);
            }
            Action::Told(message) => {
                state.take(message);
                if let What::Said(of_a_query, word) = message.what {
                    let asked = if of_a_query { Asked::Query } else { Asked::Refund };
                    self.feed(&mut state, Event::Answered(asked, word.answer()));
                }
            }
        }
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut properties = vec![
            Property::always("what the gateway has is on record", |_, state: &State| {
                state.gateway == Stands::Absent || !matches!(state.synced.phase, Phase::Refused(_))
            }),
            Property::always("what was refused can never arrive", |_, state: &State| {
                let asks = state.messages.iter().any(|message| matches!(message.what, What::Ask(_)));
                !matches!(state.synced.phase, Phase::Refused(_)) || !asks
            }),
            Property::always("what is over is over at the gateway", |_, state: &State| {
                match &state.synced.phase {
                    Phase::Returned { .. } => state.gateway == Stands::Success,
                    Phase::Closed { .. } => state.gateway == Stands::Closed,
                    Phase::Accepted { .. } | Phase::Stuck { .. } => state.gateway != Stands::Absent,
                    Phase::Asking(_) | Phase::Refused(_) => true,
                }
            }),
            Property::always("what is open has a timer", |_, state: &State| {
                state.live.as_ref().is_none_or(|live| live.is_open() == live.wake.is_some())
            }),
            Property::always("it comes to rest", |_, state: &State| {
                state.now < AT_REST_BY || state.live.as_ref().is_some_and(|live| !live.is_open())
            }),
            Property::sometimes("returned", |_, state: &State| state.is_over("returned")),
            Property::sometimes("returned by a person", |_, state: &State| {
                state.live.as_ref().is_some_and(|live| live.phase.label() == "stuck")
                    && state.gateway == Stands::Success
            }),
            Property::sometimes("closed", |_, state: &State| state.is_over("closed")),
            Property::sometimes("refused", |_, state: &State| state.is_over("refused")),
        ];
        if self.losses > 0 {
            properties.push(Property::sometimes("refused after a request was lost", |_, state: &State| {
                state.is_over("refused") && state.lost_a_request
            }));
            properties.push(Property::sometimes("taken on although refused", |_, state: &State| {
                let refused =
                    |live: &Refund| matches!(&live.phase, Phase::Asking(asking) if asking.refused.is_some());
                state.gateway != Stands::Absent && state.live.as_ref().is_some_and(refused)
            }));
        }
        if self.crashes > 0 {
            properties.push(Property::sometimes("returned after a restart", |_, state: &State| {
                state.is_over("returned") && state.restarted
            }));
        }
        properties
    }
}

impl World {
    fn feed(&self, state: &mut State, event: Event) {
        let live = state.live.clone().expect("alive");
        let step = step(live, event, time(state.now), &self.policy);
        if step.durable {
            state.synced = step.refund.clone();
        }
        state.written = step.refund.clone();
        state.live = Some(step.refund);
        state.effects.extend(step.effects);
    }
}

impl State {
    /// What can become of a message.
    fn ways_of(&self, message: Message, actions: &mut Vec<Action>) {
        let decided = |decision| Action::Arrives(message, decision);
        match message.what {
            What::Ask(heard) => {
                actions.push(decided(Decision::TakesOn));
                if self.gateway == Stands::Absent {
                    actions.push(decided(Decision::Refuses));
                }
                if !heard {
                    actions.push(Action::Vanishes(message));
                } else if self.losses > 0 {
                    actions.extend([Action::Lost(message), Action::NeverSent(message)]);
                    let silent =
                        [Decision::TakesOnAndSaysNothing, Decision::TakesOnAndRefuses, Decision::SaysNothing];
                    actions.extend(silent.map(decided));
                }
            }
            What::Query => {
                actions.push(decided(Decision::SaysHowItIs));
                if self.losses > 0 {
                    actions.push(Action::Lost(message));
                }
                if self.lags > 0 && self.before != self.gateway {
                    actions.push(decided(Decision::SaysHowItWas));
                }
            }
            What::Said(..) => actions.push(Action::Told(message)),
        }
    }

    fn decide(&mut self, message: Message, decision: Decision) {
        let heard = message.what != What::Ask(false);
        let known = self.gateway != Stands::Absent;
        let word = match decision {
            Decision::TakesOn => Word::Accepted,
            Decision::TakesOnAndSaysNothing | Decision::SaysNothing => Word::Unknown,
            // A gateway that has the refund does not refuse it.
            Decision::TakesOnAndRefuses if known => Word::Accepted,
            Decision::TakesOnAndRefuses | Decision::Refuses => Word::Refused,
            Decision::SaysHowItIs => self.gateway.word(),
            Decision::SaysHowItWas => self.before.word(),
        };
        match decision {
            Decision::TakesOn | Decision::TakesOnAndSaysNothing | Decision::TakesOnAndRefuses if !known => {
                self.stands(Stands::Processing);
            }
            _ => {}
        }
        match decision {
            Decision::TakesOnAndSaysNothing | Decision::TakesOnAndRefuses | Decision::SaysNothing => {
                self.losses -= 1;
            }
            Decision::SaysHowItWas => self.lags -= 1,
            Decision::TakesOn | Decision::Refuses | Decision::SaysHowItIs => {}
        }
        if heard {
            self.say(message, word);
        }
    }

    fn stands(&mut self, stands: Stands) {
        (self.gateway, self.since) = (stands, self.now);
    }

    /// Sends what the machine asks for; the answer to an older one is no longer heard.
    fn carry_out(&mut self) {
        match self.effects.remove(0) {
            Effect::Ask => {
                self.nobody_hears(|what| matches!(what, What::Ask(true)));
                self.messages.retain(|message| !matches!(message.what, What::Said(false, _)));
                self.put(Message { sent_at: self.now, what: What::Ask(true) });
            }
            Effect::Query => {
                self.messages.retain(|message| !matches!(message.what, What::Query | What::Said(true, _)));
                self.put(Message { sent_at: self.now, what: What::Query });
            }
            Effect::CallManager => {}
        }
    }

    fn nobody_hears(&mut self, of: impl Fn(What) -> bool) {
        for message in self.messages.iter_mut().filter(|message| of(message.what)) {
            message.what = What::Ask(false);
        }
        self.messages.sort_unstable();
    }

    fn say(&mut self, request: Message, word: Word) {
        self.put(Message { what: What::Said(request.what == What::Query, word), ..request });
    }

    fn put(&mut self, message: Message) {
        self.messages.push(message);
        self.messages.sort_unstable();
    }

    fn take(&mut self, message: Message) {
        let place = self.messages.iter().position(|known| *known == message).expect("it is there");
        self.messages.remove(place);
    }

    fn is_over(&self, label: &str) -> bool {
        self.live.as_ref().is_some_and(|live| !live.is_open() && live.phase.label() == label)
    }
}

impl Stands {
    fn word(self) -> Word {
        match self {
            Stands::Absent => Word::NotFound,
            Stands::Processing => Word::Accepted,
            Stands::Success => Word::Returned,
            Stands::Stuck => Word::Stuck,
            Stands::Closed => Word::Closed,
        }
    }
}

impl Word {
    fn answer(self) -> Answer {
        let number = "5000".to_owned();
        match self {
            Word::Accepted => Answer::Accepted(number),
            Word::Returned => Answer::Returned(number),
            Word::Stuck => Answer::Stuck(number),
            Word::Closed => Answer::Closed(number),
            Word::NotFound => Answer::NotFound,
            Word::Refused => Answer::Refused(Refusal {
                code: "NOTENOUGH".to_owned(),
                text: String::new(),
                reason: Reason::Merchant,
            }),
            Word::NeverSent => Answer::NeverSent(Cause::Connect),
            Word::Unknown => Answer::Unknown(Cause::Timeout),
        }
    }
}

/// Searches `world` to its end: a rule that is broken is told with the events that lead there.
fn search(losses: u8, crashes: u8, lags: u8) {
    const BOUND: usize = 50_000_000;
    let world = World { losses, crashes, lags, policy: tiny() };
    let checker = world
        .checker()
        .threads(2)
        .target_state_count(BOUND)
        .finish_when(HasDiscoveries::AnyFailures)
        .spawn_bfs()
        .join();
    println!("{losses} losses, {crashes} crashes, {lags} lags: {} states", checker.unique_state_count());
    checker.assert_properties();
    assert!(checker.state_count() < BOUND, "the search was cut off");
}

#[test]
fn no_order_of_events_pays_back_what_was_refused_or_forgets_what_was_not() {
    search(0, 0, 1);
    search(2, 0, 0);
    search(1, 1, 1);
    // A long run, in an optimised build: fifteen million states.
    if std::env::var_os("MODEL_FAULTS").is_some_and(|faults| faults == "2") {
        search(3, 0, 1);
        search(2, 2, 1);
    }
}
