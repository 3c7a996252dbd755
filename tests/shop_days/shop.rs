//! One shop: the daemon's own desk, its line, its paper and the world's time. Everything that can happen comes out of one
//! queue, and everything that is left to chance out of one dice, so that a seed is a story. Judges nothing: see `checks.rs`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use micropayd::gateway::{Call, Gateway, Outcome, Request};
use micropayd::ids::SaleId;
use micropayd::input::{Command, Input, ObligationKind, PrintOutcome, Printed, Status};
use micropayd::journal::{self, Journal};
use micropayd::money::Amount;
use micropayd::payment::Cause;
use micropayd::payment::cashier::Language;
use micropayd::printer::Job;
use micropayd::receipt::{Copy, Receipt};
use micropayd::refund::Asked;
use micropayd::sale::{NewSale, Sale};
use micropayd::simulator::dice::Dice;
use micropayd::simulator::fields::Api;
use micropayd::simulator::front::{Answer, Certificate, Delivery, Front, Manner};
use micropayd::simulator::world::{Rules, World};
use micropayd::terminal::desk::{Act, Desk};
use micropayd::time::Timestamp;

use crate::ears;
use crate::lane;

/// The transport's deadline in this world.
const REQUEST: Duration = Duration::from_secs(10);

/// Something that will reach the desk or the gateway.
enum Coming {
    /// An input for the desk of this life.
    Input(u32, Input),
    /// A request that is still on the line and reaches the gateway only then; nobody hears the answer.
    LateRequest(Api, Vec<u8>),
}

/// One shop: desk, gateway, paper, line.
pub struct Shop<'a> {
    dir: &'a Path,
    desk: Option<Desk>,
    pub front: Front,
    gateway: Arc<dyn Gateway>,
    /// The world's time; the terminal's clock is this plus an error that each boot draws anew.
    pub now: Timestamp,
    clock_error: i64,
    pub life: u32,
    /// By time; what comes at the same time comes in the order in which it was begun.
    queue: BTreeMap<(Timestamp, u64), Coming>,
    serial: u64,
    pub dice: Dice,
    /// Receipts by sale: without a mark, and with one.
    pub paper: BTreeMap<String, (u32, u32)>,
    /// By order number: how many, and when the last one left.
    pub pay_requests: BTreeMap<String, (u32, Timestamp)>,
    /// Refund requests: the number that each refund of a sale, by its ordinal, goes by.
    pub refund_numbers: BTreeMap<(SaleId, u8), String>,
    /// What was asked for under each of the manager's keys: the sale's how manieth refund, and fen.
    pub refund_keys: BTreeMap<String, (usize, u32)>,
    /// Numbers of refunds that ended as refused.
    pub refused: BTreeSet<String>,
    pub crash_chance: f64,
    /// How often the drawer opened for the sale in hand, and in which life it was begun.
    pub opened: (u32, u32),
    pub story: Vec<String>,
    /// What the terminal said in its log, with the times of its clock.
    pub log: String,
    /// Refunds that were put back from it.
    pub put_back: u64,
}

impl<'a> Shop<'a> {
    pub fn new(dir: &'a Path, seed: u64) -> Self {
        // What another shop on this thread said last is not this one's.
        ears::take_lines();
        let mut shop = Self {
            dir,
            desk: None,
            front: Front::new(lane::merchant(), World::new(seed, Rules::default()), seed),
            gateway: Arc::new(lane::codec()),
            now: Timestamp(1_795_233_600_000),
            clock_error: 0,
            life: 0,
            queue: BTreeMap::new(),
            serial: 0,
            dice: Dice::new(seed),
            paper: BTreeMap::new(),
            pay_requests: BTreeMap::new(),
            refund_numbers: BTreeMap::new(),
            refund_keys: BTreeMap::new(),
            refused: BTreeSet::new(),
            crash_chance: 0.0,
            opened: (0, 0),
            story: Vec::new(),
            log: String::new(),
            put_back: 0,
        };
        shop.boot();
        shop
    }

    pub fn say(&mut self, what: impl FnOnce() -> String) {
        if self.story.len() < 2_000 {
            let line = format!("{:>9} life {} {}", self.now.0 % 1_000_000_000, self.life, what());
            self.story.push(line);
        }
    }

    pub fn clock(&self) -> Timestamp {
        Timestamp(self.now.0 + self.clock_error)
    }

    pub fn boot(&mut self) {
        self.life += 1;
        if self.life > 1 {
            // A board without a battery starts in 1970; a person sets the hour wrong; most of the time all is well.
            self.clock_error = match self.dice.throw() % 4 {
                0 => -self.now.0,
                1 => i64::try_from(self.dice.throw() % 172_800_000).unwrap() - 86_400_000,
                _ => 0,
            };
        }
        let settings = journal::Settings { dir: self.dir.to_owned() };
        let opened = Journal::open(&settings, &lane::terminal()).expect("the journal opens again");
        let setup = lane::setup(&self.gateway, Language::Chinese);
        let mut desk = Desk::start(setup, opened, None, self.clock()).expect("what was open is taken up");
        let acts = desk.take_acts();
        self.desk = Some(desk);
        self.say(|| "boot".to_owned());
        self.carry_out(acts);
    }

    pub fn crash(&mut self) {
        self.say(|| "crash".to_owned());
        self.stop();
        self.now = self.now + Duration::from_millis(self.dice.throw() % 30_000);
        self.boot();
    }

    /// Dropping the journal without closing it leaves what a killed process leaves.
    pub fn stop(&mut self) {
        self.listen();
        self.desk = None;
    }

    pub fn dir(&self) -> &Path {
        self.dir
    }

    pub fn desk(&mut self) -> &mut Desk {
        self.desk.as_mut().expect("the desk is up")
    }

    /// A quiet moment. The copy of the day that may begin in it ends in it, too: a thread of this life would not only make
    /// chance of the story, but still be there after the next crash, which no thread of a killed process is.
    pub fn idle(&mut self) {
        let (now, before) = (self.clock(), threads());
        self.desk().idle(now);
        for new in threads().difference(&before) {
            while is_copying(new) {
                std::thread::yield_now();
            }
        }
    }

    fn later(&mut self, after: Duration, coming: Coming) {
        self.serial += 1;
        self.queue.insert((self.now + after, self.serial), coming);
    }

    fn input_later(&mut self, after: Duration, input: Input) {
        let life = self.life;
        self.later(after, Coming::Input(life, input));
    }

    fn carry_out(&mut self, acts: Vec<Act>) {
        self.listen();
        for act in acts {
            if self.dice.chance(self.crash_chance) {
                return self.crash();
            }
            match act {
                Act::Pay(id, n, order, code) => {
                    let number = order.number.as_str().to_owned();
                    let sent = self.pay_requests.entry(number).or_default();
                    *sent = (sent.0 + 1, self.now);
                    let call = self.gateway.pay(&order, code);
                    self.send(call, Api::Micropay, move |a| Input::Answered(id, n, a));
                }
                Act::Query(id, n, order, number) => {
                    let call = self.gateway.query(&order);
                    self.send(call, Api::Orderquery, move |a| Input::Queried(id, n, number, a));
                }
                Act::Reverse(id, n, order, number) => {
                    self.not_too_soon(&order);
                    let call = self.gateway.reverse(&order);
                    self.send(call, Api::Reverse, move |a| Input::Reversed(id, n, number, a));
                }
                Act::Refund(id, n, asked, refund, number) => {
                    let (api, call) = match asked {
                        Asked::Refund => {
                            self.check_refund_request(&id, n, &refund);
                            (Api::Refund, self.gateway.refund(&refund))
                        }
                        Asked::Query => (Api::Refundquery, self.gateway.query_refund(&refund)),
                    };
                    self.send(call, api, move |a| Input::Refunded(id, n, asked, number, a));
                }
                Act::Print(Job::Receipt(job, receipt)) => self.print(job, &receipt),
                Act::Print(Job::Drawer) => self.opened.0 += 1,
                Act::Warm | Act::Tell(_) => {}
            }
        }
        if self.dice.chance(self.crash_chance) {
            return self.crash();
        }
        let now = self.clock();
        self.desk().settle(now);
        // What settling tells is for listeners only.
        self.desk().take_acts();
    }

    /// A request goes over the line, which has its own faults.
    fn send<A: Outcome>(&mut self, call: Call<A>, api: Api, report: impl FnOnce(A) -> Input) {
        let request: Request<A> = match call {
            Call::Send(request) => request,
            Call::NotSendable(answer) => return self.input_later(Duration::ZERO, report(answer)),
        };
        assert_eq!(request.path, api.path());
        let fate = self.dice.throw() % 1_000;
        if fate < 10 {
            self.say(|| format!("{api:?} never sent"));
            let after = Duration::from_millis(self.dice.throw() % 3_000);
            return self.input_later(after, report(A::never_sent(Cause::Connect)));
        }
        if fate < 20 {
            // Nobody hears the answer, and the request arrives when the client has long given up.
            let arrives = Duration::from_millis(self.dice.throw() % 60_000);
            self.say(|| format!("{api:?} arrives late, after {arrives:?}"));
            self.later(arrives, Coming::LateRequest(api, request.body.to_vec()));
            return self.input_later(REQUEST, report(A::unknown(Cause::Timeout)));
        }
        let way = Duration::from_millis(10 + self.dice.throw() % 50);
        let body = request.body.clone();
        let delivery = self.front.call(self.now, api, &body, Certificate::NotAsked);
        let (outcome, after) = match delivery {
            Delivery::Hangup => (A::unknown(Cause::ConnectionLost), way),
            Delivery::Raw(_) => (A::unknown(Cause::Malformed), way),
            Delivery::Never => (A::unknown(Cause::Timeout), REQUEST),
            Delivery::Answer(Answer { status, body, manner, .. }) => match manner {
                Manner::Whole if status == 200 => ((request.read)(status, &body), way),
                Manner::After(late) if status == 200 && late < REQUEST => {
                    ((request.read)(status, &body), late)
                }
                Manner::Whole => (A::unknown(Cause::HttpStatus(status)), way),
                Manner::After(_) | Manner::Drip => (A::unknown(Cause::Timeout), REQUEST),
                Manner::Cut => (A::unknown(Cause::ConnectionLost), way),
                Manner::Huge => (A::unknown(Cause::TooLarge), way),
            },
        };
        let input = report(outcome);
        self.say(|| format!("{api:?} -> {input:?} after {after:?}"));
        self.input_later(after, input);
    }

    fn print(&mut self, job: u64, receipt: &Receipt) {
        let after = Duration::from_millis(200 + self.dice.throw() % 3_000);
        let marked = receipt.copy != Copy::Original;
        let (on_paper, outcome) = match self.dice.throw() % 100 {
            0..=3 => (false, PrintOutcome::NotStarted("offline".to_owned())),
            4..=5 => (true, PrintOutcome::Unconfirmed("no word".to_owned())),
            6..=7 => (false, PrintOutcome::Unconfirmed("no word".to_owned())),
            8 => (false, PrintOutcome::Failed("cover".to_owned())),
            _ => (true, PrintOutcome::Printed),
        };
        let (sale, _) = receipt.order.split();
        if on_paper {
            let sheets = self.paper.entry(sale.to_string()).or_default();
            if marked { sheets.1 += 1 } else { sheets.0 += 1 }
        }
        self.say(|| format!("print {sale} marked {marked}: {outcome:?}"));
        self.input_later(after, Input::Print(Printed { job, outcome }));
    }

    pub fn give(&mut self, input: Input) {
        let now = self.clock();
        self.desk().handle(input, now);
        let acts = self.desk().take_acts();
        self.carry_out(acts);
    }

    /// Moves time on to the next thing that happens; false when nothing ever will.
    pub fn turn(&mut self) -> bool {
        let error = self.clock_error;
        let tick = self.desk().next_tick().map(|at| Timestamp(at.0 - error));
        let coming = self.queue.keys().next().map(|(at, _)| *at);
        let Some(next) = [tick, coming].into_iter().flatten().min() else { return false };
        self.now = self.now.max(next);
        if coming.is_some_and(|at| at <= self.now) {
            let (_, coming) = self.queue.pop_first().expect("it was there");
            match coming {
                Coming::Input(life, input) if life == self.life => self.give(input),
                Coming::Input(..) => {}
                Coming::LateRequest(api, body) => {
                    self.front.call(self.now, api, &body, Certificate::NotAsked);
                }
            }
        } else {
            let now = self.clock();
            self.desk().tick(now);
            let acts = self.desk().take_acts();
            self.carry_out(acts);
        }
        true
    }

    /// Lets `span` of the world's time pass.
    pub fn pass(&mut self, span: Duration) {
        let until = self.now + span;
        while self.turn_until(until) {}
    }

    /// [`turn`](Self::turn) if something happens by then; else the time is come, and it is false.
    pub fn turn_until(&mut self, until: Timestamp) -> bool {
        let error = self.clock_error;
        let tick = self.desk().next_tick().map(|at| Timestamp(at.0 - error));
        let coming = self.queue.keys().next().map(|(at, _)| *at);
        if [tick, coming].into_iter().flatten().min().is_some_and(|at| at <= until) {
            return self.turn();
        }
        self.now = self.now.max(until);
        false
    }

    /// Whether all that still happens is that the terminal asks about refunds which wait for somebody at the platform.
    pub fn waits_for_a_person(&mut self) -> bool {
        if !self.queue.is_empty() {
            return false;
        }
        let Status { in_hand, open, .. } = self.status();
        in_hand.is_none()
            && open.iter().any(|owed| owed.kind == ObligationKind::Refund)
            && open.iter().all(|owed| match owed.kind {
                ObligationKind::Refund | ObligationKind::Receipt => owed.next.is_none(),
                ObligationKind::Query | ObligationKind::Reversal => false,
            })
    }

    pub fn status(&mut self) -> Status {
        let (reply, mut answer) = tokio::sync::oneshot::channel();
        self.give(Input::Command(Command::Status(reply)));
        answer.try_recv().expect("a status at once")
    }

    pub fn sale(&mut self, id: &SaleId) -> Sale {
        let records = self.desk().records();
        let kept = records.sale(id).expect("the journal is readable");
        kept.unwrap_or_else(|| panic!("{id} is lost\n{}", self.story.join("\n")))
    }

    pub fn open(&mut self, fen: u32, key: &str) -> Option<SaleId> {
        let (reply, mut answer) = tokio::sync::oneshot::channel();
        let new = NewSale {
            amount: Amount::from_fen(fen).unwrap(),
            reference: None,
            subject: None,
            with_code: false,
        };
        let command = Command::Open(new, key.to_owned(), None, reply);
        self.give(Input::Command(command));
        answer.try_recv().ok().and_then(|opened| opened.ok()).map(|opened| opened.sale.id)
    }

    pub fn ask<T>(&mut self, command: impl FnOnce(tokio::sync::oneshot::Sender<T>) -> Command) {
        let (reply, _answer) = tokio::sync::oneshot::channel();
        self.give(Input::Command(command(reply)));
    }
}

/// The threads of this process: their folders.
fn threads() -> BTreeSet<PathBuf> {
    let tasks = std::fs::read_dir("/proc/self/task").expect("Linux");
    tasks.map(|task| task.expect("readable").path()).collect()
}

/// Whether a new thread is making the copy of a day, of whichever shop. Until it has a name of its own it has its parent's.
fn is_copying(thread: &Path) -> bool {
    let name = |thread: &Path| std::fs::read_to_string(thread.join("comm"));
    // A thread that has ended has no name.
    name(thread).is_ok_and(|new| {
        new == "copy\n" || name(Path::new("/proc/thread-self")).is_ok_and(|parents| new == parents)
    })
}
