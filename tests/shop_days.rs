//! The daemon's own desk with the real journal and the real codec, in a simulated world: faults alone and in pairs, clocks
//! that are wrong after a crash, crashes between any two acts. After each payment the books are held against the gateway's.
//!
//! `SHOP_DAYS_PAYMENTS=10000000 cargo test --release --test shop_days -- --nocapture` is the long run. A failure prints
//! its seed and its world: `SHOP_DAYS_SEED=1 SHOP_DAYS_WORLD=7 SHOP_DAYS_PAYMENTS=800` begins with world 7 and ends with it.

use std::collections::{BTreeMap, BinaryHeap};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use micropayd::gateway::wechat::{self, Wechat};
use micropayd::gateway::{Call, Gateway, Order, Outcome, Request};
use micropayd::ids::{PaymentCode, SaleId};
use micropayd::input::{Command, Input, PrintOutcome, Printed, Scan};
use micropayd::journal::{self, Journal};
use micropayd::money::Amount;
use micropayd::payment::cashier::{Language, told};
use micropayd::payment::{Cause, Policy, SalePhase};
use micropayd::printer::Job;
use micropayd::receipt::{Copy, Receipt};
use micropayd::sale::{NewSale, ReceiptState, Sale};
use micropayd::simulator::dice::Dice;
use micropayd::simulator::fields::Api;
use micropayd::simulator::front::{Answer, Certificate, Delivery, Front, Manner, Merchant};
use micropayd::simulator::mood::Mood;
use micropayd::simulator::weather::{Fault, Rule, Where};
use micropayd::simulator::world::{Offer, Rules, World};
use micropayd::terminal::desk::{Act, Desk, Setup};
use micropayd::time::Timestamp;

const KEY: &str = "192006250b4c09247ec02edce69f6a2d";
/// The transport's deadline in this world.
const REQUEST: Duration = Duration::from_secs(10);
/// Payments that share a journal; then the world begins anew, so that a failing seed is short.
const PER_WORLD: u64 = 100;
/// A long run says so often how far it is.
const REPORT_EVERY: u64 = 20_000;

/// What can go wrong in the weather. Left out: an authentic lie that the money is not there, which no client can survive.
const FAULTS: &[(Where, Fault)] = &[
    (Where::Micropay, Fault::SystemError),
    (Where::Micropay, Fault::SystemErrorPaid),
    (Where::Micropay, Fault::BankError),
    (Where::Micropay, Fault::BankErrorPaid),
    (Where::Micropay, Fault::FailButPaid),
    (Where::Micropay, Fault::ReturnFail),
    (Where::Micropay, Fault::ReturnFailPaid),
    (Where::Any, Fault::LostBefore),
    (Where::Any, Fault::LostAfter),
    (Where::Micropay, Fault::ArriveLate),
    (Where::Micropay, Fault::Twice),
    (Where::Reverse, Fault::Twice),
    (Where::Any, Fault::Delay),
    (Where::Any, Fault::Hang),
    (Where::Any, Fault::Cut),
    (Where::Reverse, Fault::Recall),
    (Where::Reverse, Fault::BeingPaid),
    (Where::Reverse, Fault::SystemError),
    (Where::Reverse, Fault::SystemErrorPaid),
    (Where::Orderquery, Fault::Stale),
    (Where::Any, Fault::FrequencyLimited),
    (Where::Any, Fault::Unsigned),
    (Where::Any, Fault::Forged),
    (Where::Any, Fault::WrongSignType),
    (Where::Micropay, Fault::OtherOrder),
    (Where::Micropay, Fault::OtherAmount),
    (Where::Orderquery, Fault::OtherOrder),
    (Where::Orderquery, Fault::OtherAmount),
    (Where::Any, Fault::OtherMerchant),
    (Where::Any, Fault::Replay),
    (Where::Any, Fault::Html),
    (Where::Any, Fault::Portal),
    (Where::Any, Fault::Status500),
    (Where::Any, Fault::Status302),
    (Where::Any, Fault::Empty),
    (Where::Any, Fault::Doctype),
    (Where::Any, Fault::DuplicateKeys),
    (Where::Any, Fault::Nul),
];

const MOODS: &[Mood] = &[
    Mood::Pay,
    Mood::Pay,
    Mood::Pay,
    Mood::Password,
    Mood::Cancel,
    Mood::WalkAway,
    Mood::Late,
    Mood::Again,
    Mood::Poor,
    Mood::Card,
    Mood::Expired,
];

/// Something that will reach the desk or the gateway.
enum Coming {
    /// An input for the desk of this life.
    Input(u32, Input),
    /// A request that is still on the line and reaches the gateway only then; nobody hears the answer.
    LateRequest(Api, Vec<u8>),
}

struct Queued(Timestamp, u64, Coming);

impl PartialEq for Queued {
    fn eq(&self, other: &Self) -> bool {
        (self.0, self.1) == (other.0, other.1)
    }
}
impl Eq for Queued {}
impl PartialOrd for Queued {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Queued {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (other.0, other.1).cmp(&(self.0, self.1))
    }
}

/// One shop: desk, gateway, paper, line.
struct Shop<'a> {
    dir: &'a Path,
    desk: Option<Desk>,
    front: Front,
    gateway: Arc<dyn Gateway>,
    /// The world's time; the terminal's clock is this plus an error that each boot draws anew.
    now: Timestamp,
    clock_error: i64,
    life: u32,
    queue: BinaryHeap<Queued>,
    serial: u64,
    dice: Dice,
    paper: BTreeMap<String, (u32, u32)>,
    pay_requests: BTreeMap<String, (u32, Timestamp)>,
    crash_chance: f64,
    /// How often the drawer opened for the sale in hand, and in which life it was begun.
    opened: (u32, u32),
    story: Vec<String>,
}

impl<'a> Shop<'a> {
    fn new(dir: &'a Path, seed: u64) -> Self {
        let merchant = Merchant {
            app_id: "wx8888888888888888".to_owned(),
            mch_id: "1900000109".to_owned(),
            api_key: KEY.to_owned(),
        };
        let mut shop = Self {
            dir,
            desk: None,
            front: Front::new(merchant, World::new(seed, Rules::default()), seed),
            gateway: Arc::new(wechat()),
            now: Timestamp(1_795_233_600_000),
            clock_error: 0,
            life: 0,
            queue: BinaryHeap::new(),
            serial: 0,
            dice: Dice::new(seed),
            paper: BTreeMap::new(),
            pay_requests: BTreeMap::new(),
            crash_chance: 0.0,
            opened: (0, 0),
            story: Vec::new(),
        };
        shop.boot();
        shop
    }

    fn say(&mut self, what: impl FnOnce() -> String) {
        if self.story.len() < 2_000 {
            let line = format!("{:>9} life {} {}", self.now.0 % 1_000_000_000, self.life, what());
            self.story.push(line);
        }
    }

    fn clock(&self) -> Timestamp {
        Timestamp(self.now.0 + self.clock_error)
    }

    fn boot(&mut self) {
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
        let opened = Journal::open(&settings, &"T01".parse().unwrap()).expect("the journal opens again");
        let setup = Setup {
            terminal: "T01".parse().unwrap(),
            store_name: "朝阳门店".to_owned(),
            subject: "朝阳门店-消费".to_owned(),
            policy: Policy::default(),
            language: Language::Chinese,
            max_amount: None,
            prints: true,
            opens_drawer: true,
            sandbox: false,
            not_ready: None,
            gateway: Arc::clone(&self.gateway),
        };
        let mut desk = Desk::start(setup, opened, None, self.clock()).expect("what was open is taken up");
        let acts = desk.take_acts();
        self.desk = Some(desk);
        self.say(|| "boot".to_owned());
        self.carry_out(acts);
    }

    fn crash(&mut self) {
        self.say(|| "crash".to_owned());
        // Dropping the journal without closing it leaves what a killed process leaves.
        self.desk = None;
        self.now = self.now + Duration::from_millis(self.dice.throw() % 30_000);
        self.boot();
    }

    fn desk(&mut self) -> &mut Desk {
        self.desk.as_mut().expect("the desk is up")
    }

    fn later(&mut self, after: Duration, coming: Coming) {
        self.serial += 1;
        self.queue.push(Queued(self.now + after, self.serial, coming));
    }

    fn input_later(&mut self, after: Duration, input: Input) {
        let life = self.life;
        self.later(after, Coming::Input(life, input));
    }

    fn carry_out(&mut self, acts: Vec<Act>) {
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
                Act::Reverse(id, n, order) => {
                    self.not_too_soon(&order);
                    let call = self.gateway.reverse(&order);
                    self.send(call, Api::Reverse, move |a| Input::Reversed(id, n, a));
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

    /// Never sooner than 15 s after the pay request, by the documents of the reverse API.
    fn not_too_soon(&mut self, order: &Order) {
        let Some((_, sent)) = self.pay_requests.get(order.number.as_str()) else { return };
        let age = self.now.since(*sent);
        assert!(
            age >= Duration::from_secs(15),
            "reversed {age:?} after the pay request\n{}",
            self.story.join("\n")
        );
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

    fn give(&mut self, input: Input) {
        let now = self.clock();
        self.desk().handle(input, now);
        let acts = self.desk().take_acts();
        self.carry_out(acts);
    }

    /// Moves time on to the next thing that happens; false when nothing ever will.
    fn turn(&mut self) -> bool {
        let error = self.clock_error;
        let tick = self.desk().next_tick().map(|at| Timestamp(at.0 - error));
        let coming = self.queue.peek().map(|queued| queued.0);
        let Some(next) = [tick, coming].into_iter().flatten().min() else { return false };
        self.now = self.now.max(next);
        if coming.is_some_and(|at| at <= self.now) {
            let Queued(_, _, coming) = self.queue.pop().expect("it was there");
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
    fn pass(&mut self, span: Duration) {
        let until = self.now + span;
        loop {
            let error = self.clock_error;
            let tick = self.desk().next_tick().map(|at| Timestamp(at.0 - error));
            let next = [tick, self.queue.peek().map(|queued| queued.0)].into_iter().flatten().min();
            match next {
                Some(at) if at <= until => {
                    self.turn();
                }
                _ => break,
            }
        }
        self.now = self.now.max(until);
    }

    fn sale(&mut self, id: &SaleId) -> Sale {
        let records = self.desk().records();
        let kept = records.sale(id).expect("the journal is readable");
        kept.unwrap_or_else(|| panic!("{id} is lost\n{}", self.story.join("\n")))
    }

    fn open(&mut self, fen: u32, key: &str) -> Option<SaleId> {
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

    /// Fen that the gateway holds of this sale's orders, and how many orders it holds money for.
    fn held(&mut self, id: &SaleId) -> (u64, u32) {
        let mut held = (0, 0);
        for n in 1..=9 {
            let Some(order) = self.front.world.order(self.now, id.order(n).as_str()) else { continue };
            let net = u64::from(order.charged) - u64::from(order.returned);
            if net > 0 {
                held = (held.0 + net, held.1 + 1);
            }
        }
        held
    }

    /// I12: the sentence and the goods agree with the gateway at every moment.
    fn check_cashier(&mut self, id: &SaleId) {
        let sale = self.sale(id);
        let told = told(&sale.payment, self.clock(), &Policy::default(), Language::Chinese);
        assert!(!told.text.is_empty(), "a sentence for {sale:?}");
        if told.hand_over_goods {
            let (held, orders) = self.held(id);
            assert!(
                held == u64::from(sale.payment.amount.fen()) && orders == 1,
                "goods handed over for {held} fen of {orders} orders\n{}",
                self.story.join("\n")
            );
        }
    }

    fn payment(&mut self, number: u64) {
        self.story.clear();
        self.opened = (0, self.life);
        let fen = 1 + u32::try_from(self.dice.throw() % 90_000).unwrap();
        self.front.weather.clear();
        for _ in 0..self.dice.throw() % 3 {
            let (api, fault) = FAULTS[usize::try_from(self.dice.throw()).unwrap_or(0) % FAULTS.len()];
            let times = 1 + u32::try_from(self.dice.throw() % 3).unwrap();
            let mut rule = Rule::once(api, fault).times(times);
            if matches!(fault, Fault::Delay | Fault::ArriveLate) {
                rule = rule.seconds((self.dice.throw() % 40_000) as f64 / 1000.0);
            }
            self.say(|| format!("weather {rule:?}"));
            self.front.weather.add(self.now, rule);
        }
        self.crash_chance = if self.dice.chance(0.15) { 0.1 } else { 0.0 };
        let Some(id) = self.open(fen, &format!("key-{number}")) else {
            // A crash between the commit and the answer: the key finds the sale again, or there never was one.
            self.crash_chance = 0.0;
            let again = self.open(fen, &format!("key-{number}"));
            assert!(again.is_some(), "the key opens or finds a sale\n{}", self.story.join("\n"));
            return self.conclude(&again.unwrap());
        };
        for _ in 0..1 + self.dice.throw() % 2 {
            let thought = Duration::from_millis(self.dice.throw() % 4_000);
            self.pass(thought);
            let mood = MOODS[usize::try_from(self.dice.throw()).unwrap_or(0) % MOODS.len()];
            let (code, _) = self.front.world.new_code(self.now, mood, Offer::default());
            self.say(|| format!("scan {mood:?}"));
            let code = PaymentCode::parse(&code).expect("a code");
            self.give(Input::Scan(Scan::Code("scanner".to_owned(), code)));
            self.check_cashier(&id);
            match self.dice.throw() % 20 {
                0 => self.ask(|reply| Command::Cancel(id.clone(), reply)),
                1 => self.ask(|reply| Command::Check(id.clone(), reply)),
                2 => self.crash(),
                _ => {}
            }
            let span = Duration::from_millis(self.dice.throw() % 20_000);
            self.pass(span);
            self.check_cashier(&id);
        }
        self.conclude(&id);
    }

    fn ask<T>(&mut self, command: impl FnOnce(tokio::sync::oneshot::Sender<T>) -> Command) {
        let (reply, _answer) = tokio::sync::oneshot::channel();
        self.give(Input::Command(command(reply)));
    }

    /// Faults stop; everything must come to rest and agree.
    fn conclude(&mut self, id: &SaleId) {
        self.crash_chance = 0.0;
        self.front.weather.clear();
        if self.sale(id).payment.phase() == SalePhase::AwaitingCode {
            self.ask(|reply| Command::Cancel(id.clone(), reply));
        }
        let began = self.now;
        while self.turn() {
            assert!(
                self.now.since(began) < Duration::from_secs(30 * 60),
                "{id} does not come to rest\n{}",
                self.story.join("\n")
            );
        }
        let now = self.now;
        self.desk().idle(now);
        let sale = self.sale(id);
        let story = || self.story.join("\n");
        let phase = sale.payment.phase();
        assert!(!sale.payment.is_open(), "{id} is at rest: {sale:?}\n{}", story());
        for (order, (count, _)) in &self.pay_requests {
            assert_eq!(*count, 1, "order {order} has {count} pay requests\n{}", story());
        }
        self.pay_requests.clear();
        let price = u64::from(sale.payment.amount.fen());
        let story = self.story.join("\n");
        let (held, orders) = self.held(id);
        match phase {
            SalePhase::Paid => assert!(
                held == price && orders == 1,
                "paid, but the gateway holds {held} of {orders}\n{story}"
            ),
            SalePhase::Declined | SalePhase::Reversed | SalePhase::Cancelled => {
                assert_eq!(held, 0, "{} of {id}, but the gateway holds {held}\n{story}", phase.label());
            }
            SalePhase::AwaitingCode | SalePhase::Paying | SalePhase::Reversing | SalePhase::InDoubt => {
                panic!("{} is no rest\n{story}", phase.label())
            }
        }
        let (opened, life) = self.opened;
        let paid = u32::from(phase == SalePhase::Paid);
        assert!(opened <= paid, "{id} opened the drawer {opened} times\n{story}");
        assert!(opened == paid || life != self.life, "{id} is paid and did not open the drawer\n{story}");
        let (unmarked, marked) = self.paper.remove(id.as_str()).unwrap_or_default();
        assert!(unmarked <= 1, "{unmarked} unmarked receipts of {id}\n{story}");
        if phase == SalePhase::Paid {
            let visible = matches!(sale.receipt, ReceiptState::Unconfirmed | ReceiptState::Failed);
            assert!(
                unmarked + marked > 0 || visible,
                "{id} has no receipt and none is owed: {:?}\n{story}",
                sale.receipt
            );
        }
    }
}

fn wechat() -> Wechat {
    let settings = wechat::Settings {
        app_id: "wx8888888888888888".to_owned(),
        mch_id: "1900000109".to_owned(),
        sub_app_id: None,
        sub_mch_id: None,
        sign_type: wechat::SignType::HmacSha256,
        api_key: wechat::Secret::parse(KEY).expect("a key"),
        ip: "127.0.0.1".parse().expect("an address"),
        device: None,
        has_client_certificate: true,
    };
    Wechat::new(settings).expect("settings")
}

/// What all threads share: which world is next, and how many payments have come to rest without a violation.
struct Run {
    seed: u64,
    payments: u64,
    worlds: AtomicU64,
    done: AtomicU64,
    began: Instant,
}

impl Run {
    /// Plays one world after the other until all are taken.
    fn work(&self) {
        // Memory-backed where there is such a place: the disk's honesty is the journal's own tests' business.
        let base = Path::new("/dev/shm");
        let base = if base.is_dir() { base.to_owned() } else { std::env::temp_dir() };
        loop {
            let world = self.worlds.fetch_add(1, Ordering::Relaxed);
            let first = world * PER_WORLD;
            if first >= self.payments {
                return;
            }
            let dir = tempfile::tempdir_in(&base).expect("a directory");
            let seed = self.seed.wrapping_mul(1_000_003).wrapping_add(world);
            let mut shop = Shop::new(dir.path(), seed);
            for number in 0..PER_WORLD.min(self.payments - first) {
                let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| shop.payment(number)));
                if let Err(panic) = outcome {
                    eprintln!("seed {}, world {world}, payment {number} in it", self.seed);
                    std::panic::resume_unwind(panic);
                }
                self.count();
            }
        }
    }

    /// A long run says now and then how far it is, so that it can be cut off.
    fn count(&self) {
        let done = self.done.fetch_add(1, Ordering::Relaxed) + 1;
        if done.is_multiple_of(REPORT_EVERY) {
            let seconds = self.began.elapsed().as_secs();
            println!("{done} payments in {seconds} s, seed {}: no violation so far", self.seed);
        }
    }
}

#[test]
fn no_fault_and_no_pair_of_faults_loses_money_or_takes_it_twice() {
    let number =
        |name: &str, default: u64| std::env::var(name).map_or(default, |text| text.parse().expect(name));
    let run = Run {
        seed: number("SHOP_DAYS_SEED", 1),
        payments: number("SHOP_DAYS_PAYMENTS", 50_000),
        // A world of a long run can be played alone.
        worlds: AtomicU64::new(number("SHOP_DAYS_WORLD", 0)),
        done: AtomicU64::new(0),
        began: Instant::now(),
    };
    let threads = std::thread::available_parallelism().map_or(1, |n| n.get());
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| run.work());
        }
    });
    let (done, seconds) = (run.done.load(Ordering::Relaxed), run.began.elapsed().as_secs());
    println!("{done} payments in {seconds} s, seed {}: no violation", run.seed);
}
