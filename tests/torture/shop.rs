//! One shop: the daemon, its gateway, its paper, and what must be true of them at every moment.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use micropayd::cli::demo::paper::TORN;
use micropayd::cli::demo::stage::{Settings, Stage, Waits};
use micropayd::ids::OrderNumber;
use micropayd::journal;
use micropayd::payment::{Phase, SalePhase};
use micropayd::sale::{Filter, LifeStep, ReceiptState, Records, Sale};
use micropayd::simulator::fields::Api;
use micropayd::simulator::mood::Mood;
use micropayd::simulator::world::{Offer, Rules};
use serde_json::Value;
use tokio::time::sleep;

use crate::hosts::Host;

/// Waits so short that a sale comes to rest in about two seconds. A code dies at the gateway well before the terminal
/// takes "no such order" for an end, as in the real proportions (60 s and 65 s).
const WAITS: Waits = Waits {
    connect: "300ms",
    request: "500ms",
    policy: "query_after = \"100ms\"\nquery_every = \"100ms\"\ngive_up_after = \"900ms\"\nreverse_after = \"300ms\"\n\
             reverse_every = \"100ms\"\ncode_life = \"1500ms\"\n",
};
/// What [`WAITS`] says of connections.
pub const CONNECT: Duration = Duration::from_millis(300);
/// A code at the simulated gateway.
pub const CODE_LIFE: Duration = Duration::from_millis(1200);
/// Everything comes to rest within this when faults stop: code life, a reversal, two polls, and a back-off, which is 51 s
/// after ten requests that a busy machine could not carry within their time.
const REST_WITHIN: Duration = Duration::from_secs(120);
/// Each shop has a loopback address of its own, so that no other socket can take its port while the daemon is dead.
static SHOPS: AtomicU32 = AtomicU32::new(0);

/// A shop and its story.
pub struct Shop {
    pub stage: Stage,
    began: Instant,
    story: Arc<Mutex<Vec<String>>>,
    /// Sales that the daemon has acknowledged, by key.
    pub acknowledged: BTreeMap<String, String>,
    /// Sales for which the cashier was told to hand over the goods.
    pub handed_over: BTreeSet<String>,
    codes: Vec<String>,
    known: Mutex<Option<Known>>,
}

/// The journal's files when they were last read, and what they said.
struct Known {
    files: [Option<(SystemTime, u64)>; 2],
    sales: BTreeMap<String, Sale>,
}

/// Longer than a tick of the file system's clock.
const TICK: Duration = Duration::from_millis(20);

/// What the gateway says of one sale: orders that hold money, and fen in all.
#[derive(Default, Clone, Copy)]
struct Held {
    orders: u32,
    fen: u64,
}

impl Shop {
    /// Sets up a shop; the daemon does not run yet.
    pub async fn open(seed: u64) -> Self {
        Self::open_with(seed, program(), Duration::from_secs(1)).await
    }

    /// A shop for stories with one end, which must be reached on a busy machine, too. Nothing is waited for in vain.
    pub async fn patient(seed: u64) -> Self {
        Self::patient_with(seed, program()).await
    }

    /// [`patient`](Self::patient) with something in front of the daemon.
    pub async fn patient_with(seed: u64, program: PathBuf) -> Self {
        let shop = Self::open_with(seed, program, Duration::from_secs(20)).await;
        shop.configure("connect_timeout", "\"2s\"");
        shop.configure("request_timeout", "\"5s\"");
        shop.configure("give_up_after", "\"20s\"");
        shop
    }

    /// Sets up a shop with something in front of the daemon, and a gateway that revokes an order so long after it was made.
    pub async fn open_with(seed: u64, program: PathBuf, auto_revoke: Duration) -> Self {
        let n = SHOPS.fetch_add(1, Ordering::Relaxed);
        let [_, _, high, low] = (n % 60_000 + 2).to_be_bytes();
        let api = SocketAddr::from(([127, 77, high, low], 7780));
        let dir = base().join(format!("micropayd-torture-{}-{n}", std::process::id()));
        let rules = Rules { code_life: CODE_LIFE, auto_revoke, ..Rules::default() };
        let settings = Settings { dir, program, api, waits: WAITS, seed, rules };
        let stage = Stage::set(settings).await.expect("the stage is set");
        let shop = Self {
            stage,
            began: Instant::now(),
            story: Arc::default(),
            acknowledged: BTreeMap::new(),
            handed_over: BTreeSet::new(),
            codes: Vec::new(),
            known: Mutex::default(),
        };
        let (_, mut log) = shop.stage.log().follow();
        let (story, began) = (Arc::clone(&shop.story), shop.began);
        tokio::spawn(async move {
            loop {
                let line = match log.recv().await {
                    Ok(line) => line,
                    Err(tokio::sync::broadcast::error::RecvError::Lagged(n)) => format!("({n} lines lost)"),
                    Err(tokio::sync::broadcast::error::RecvError::Closed) => return,
                };
                push(&story, began, &format!("    log: {line}"));
            }
        });
        shop
    }

    pub fn say(&self, what: &str) {
        push(&self.story, self.began, what);
    }

    /// Everything that happened, for whoever has to find out why.
    pub fn story(&self) -> String {
        self.story.lock().unwrap().join("\n")
    }

    /// Panics with the story.
    pub fn wrong(&self, what: &str) -> ! {
        let calls: Vec<String> = self
            .stage
            .gateway
            .calls()
            .iter()
            .map(|call| {
                let order = call.request.get("out_trade_no").map_or("", |order| order);
                format!("{} {:?} {order} fault {:?}: {}", call.at, call.api, call.fault, call.answer)
            })
            .collect();
        let orders: Vec<String> =
            self.stage.gateway.orders().iter().map(|order| format!("{order:?}")).collect();
        panic!(
            "{what}\n--- story\n{}\n--- calls\n{}\n--- orders\n{}\n--- paper\n{}",
            self.story(),
            calls.join("\n"),
            orders.join("\n"),
            self.stage.paper.receipts().join("\n----\n")
        )
    }

    pub fn ensure(&self, holds: bool, what: impl FnOnce() -> String) {
        if !holds {
            self.wrong(&what());
        }
    }

    /// Changes the daemon's configuration, for its next start: a line that is there, or a new one of `[policy]`.
    pub fn configure(&self, key: &str, value: &str) {
        let path = self.stage.configuration();
        let text = std::fs::read_to_string(&path).expect("the configuration");
        let line = format!("{key} = {value}\n");
        let there = |old: &&str| old.starts_with(&format!("{key} ="));
        let text = match text.lines().find(there) {
            Some(old) => text.replace(&format!("{old}\n"), &line),
            None => text.replace("[policy]\n", &format!("[policy]\n{line}")),
        };
        std::fs::write(&path, text).expect("the configuration is written");
    }

    /// Where the daemon looks for the gateway, from its next start on.
    pub fn gateway_at(&self, hosts: &[Host]) {
        let urls: Vec<&str> = hosts.iter().map(|host| host.url.as_str()).collect();
        self.configure("base_urls", &format!("{urls:?}"));
    }

    /// An authority that the daemon trusts beside the simulator's, from its next start on.
    pub fn trust(&self, pem: &str) {
        let path = self.stage.configuration().with_file_name("roots.pem");
        let known = std::fs::read_to_string(&path)
            .or_else(|_| std::fs::read_to_string(self.stage.gateway.handshake().ca_file))
            .expect("the simulator's authority");
        std::fs::write(&path, known + pem).expect("the roots are written");
        self.configure("ca_file", &format!("{path:?}"));
    }

    /// Starts the daemon and waits until it is ready.
    pub async fn start(&self) {
        self.stage.launch().await.expect("launched");
        if let Err(error) = self.stage.ready().await {
            self.wrong(&format!("it does not start: {error:#}"));
        }
    }

    /// Opens a sale of 12.50 that must be acknowledged.
    pub async fn open_sale(&mut self, key: &str) -> String {
        let answer = self.stage.sell(1250, key).await.expect("answered");
        let Some(id) = answer.1["id"].as_str().filter(|_| answer.0 == 201) else {
            self.wrong(&format!("{key} is not opened: {answer:?}"))
        };
        self.acknowledged.insert(key.to_owned(), id.to_owned());
        id.to_owned()
    }

    /// Gives a code to the daemon as a scanner would. The scanner is opened apart from the door, and a code that comes
    /// before is nobody's: through the API none is lost.
    pub async fn scan(&self, code: &str) {
        let request = self.stage.shop(reqwest::Method::POST, "/v1/scan");
        let body = serde_json::json!({ "code": code }).to_string();
        // Killed: the journal says what came of it.
        drop(request.header("content-type", "application/json").body(body).send().await);
    }

    /// Asks for the sale to be cancelled.
    pub async fn cancel(&self, id: &str) {
        let path = format!("/v1/payments/{id}/cancel");
        drop(self.stage.shop(reqwest::Method::POST, &path).send().await);
    }

    /// Waits until the sale is told as `wanted`, and holds each telling against the gateway.
    pub async fn until_told(&mut self, id: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let until = Instant::now() + REST_WITHIN;
        loop {
            let told = self.look(id).await;
            if let Some(told) = told.clone().filter(&wanted) {
                return told;
            }
            self.ensure(Instant::now() < until, || format!("{id} stands still: {told:?}"));
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// Scans codes of such customers until the gateway has a pay request: on a busy machine the first may not get through.
    /// Gives how many attempts the sale had then.
    pub async fn begin(&mut self, id: &str, mood: Mood, after: Duration) -> usize {
        let asked = self.pay_requests();
        loop {
            let before = self.look(id).await.as_ref().map_or(0, attempts);
            let code = self.customer(mood, after);
            self.scan(&code).await;
            let until = Instant::now() + REST_WITHIN;
            loop {
                if self.pay_requests() > asked {
                    return before;
                }
                // The next code is waited for.
                let told = self.look(id).await.unwrap_or_default();
                if attempts(&told) > before {
                    break;
                }
                self.ensure(Instant::now() < until, || format!("{id} stands still: {told}"));
                sleep(Duration::from_millis(5)).await;
            }
        }
    }

    /// [`begin`](Self::begin) until the sale is paid or reversed.
    pub async fn settle(&mut self, id: &str, mood: Mood, after: Duration) -> Value {
        loop {
            let before = self.begin(id, mood, after).await;
            let over = |told: &Value| matches!(told["phase"].as_str(), Some("paid" | "reversed"));
            // What is read from the journal may be a moment older than the scan: only one more attempt says that it was
            // declined.
            let told = self.until_told(id, |told| over(told) || attempts(told) > before).await;
            if over(&told) {
                return told;
            }
        }
    }

    /// Waits until something holds.
    pub async fn until(&self, wanted: impl Fn(&Self) -> bool) {
        let until = Instant::now() + REST_WITHIN;
        while !wanted(self) {
            self.ensure(Instant::now() < until, || {
                format!("what is waited for does not come: {:?}", self.sales())
            });
            sleep(Duration::from_millis(5)).await;
        }
    }

    /// A sale's life as it is on the disk.
    pub fn life(&self, id: &str) -> Vec<LifeStep> {
        let records = self.records().unwrap_or_else(|| self.wrong("there is no journal"));
        records
            .life(&id.parse().expect("an id"))
            .unwrap_or_else(|error| self.wrong(&format!("{id}: {error}")))
    }

    /// From the code to the row that says `what`, by the daemon's own clock.
    pub fn wait_until(&self, id: &str, what: &str) -> Duration {
        let life = self.life(id);
        let at = |what: &str| life.iter().find(|step| step.event.contains(what)).map(|step| step.at);
        match (at(" read "), at(what)) {
            (Some(read), Some(then)) => then.since(read),
            _ => self.wrong(&format!("no row says {what:?}: {life:?}")),
        }
    }

    /// The cashier's sentence for a payment that did not leave.
    pub fn nothing_was_sent(&self, told: &Value) {
        let cashier = &told["cashier"];
        let text = cashier["text"].as_str().unwrap_or_default();
        self.ensure(text.contains("没有发出") && text.contains("未扣款"), || {
            format!("the cashier is told: {text}")
        });
        self.ensure(cashier["hand_over_goods"] == false && told["money"] == "none", || {
            format!("goods: {told}")
        });
        self.ensure(cashier["next"] == "rescan" && told["phase"] == "awaiting_code", || {
            format!("what next: {told}")
        });
    }

    /// Pay requests that reached the gateway.
    pub fn pay_requests(&self) -> usize {
        self.stage.gateway.calls().iter().filter(|call| call.api == Api::Micropay).count()
    }

    /// A code of a fresh customer.
    pub fn customer(&mut self, mood: Mood, after: Duration) -> String {
        let offer = Offer { after: Some(after), ..Offer::default() };
        let (code, _) = self.stage.gateway.new_code_with(mood, offer);
        self.codes.push(code.clone());
        code
    }

    /// The journal as it is on the disk; `None` while there is none.
    fn records(&self) -> Option<Arc<dyn Records>> {
        let dir = self.stage.state_dir();
        match journal::read_only(&journal::Settings { dir: dir.clone() }) {
            Ok(records) => Some(records),
            // Killed before the first start was through: there is no table yet, so nothing can have been sent.
            Err(error) => {
                self.ensure(self.acknowledged.is_empty(), || format!("the journal is unreadable: {error}"));
                None
            }
        }
    }

    /// Every sale in the journal. Reads it only when its files have changed, for it is looked at all the time.
    pub fn sales(&self) -> BTreeMap<String, Sale> {
        let files = ["journal.db", "journal.db-wal"].map(|name| {
            let file = std::fs::metadata(self.stage.state_dir().join(name)).ok()?;
            Some((file.modified().ok()?, file.len()))
        });
        let mut known = self.known.lock().unwrap();
        // Two changes in one tick of the file system's clock look like one.
        let settled = files.iter().flatten().all(|(at, _)| at.elapsed().is_ok_and(|age| age > TICK));
        if let Some(known) = known.as_ref().filter(|known| known.files == files) {
            return known.sales.clone();
        }
        let sales = self.read_sales();
        *known = settled.then(|| Known { files, sales: sales.clone() });
        sales
    }

    /// Every sale in the journal, read now.
    fn read_sales(&self) -> BTreeMap<String, Sale> {
        let Some(records) = self.records() else { return BTreeMap::new() };
        let filter = Filter { limit: 100_000, ..Filter::default() };
        match records.page(&filter) {
            Ok(page) => page.sales.into_iter().map(|sale| (sale.id.to_string(), sale)).collect(),
            Err(error) => self.wrong(&format!("the journal is unreadable: {error}")),
        }
    }

    /// How many sales ended how.
    pub fn ends(&self) -> BTreeMap<&'static str, u64> {
        let mut ends = BTreeMap::new();
        for sale in self.sales().values() {
            *ends.entry(sale.payment.phase().label()).or_default() += 1;
            if sale.receipt != ReceiptState::None {
                *ends.entry(sale.receipt.label()).or_default() += 1;
            }
        }
        ends
    }

    fn held(&self) -> BTreeMap<String, Held> {
        let mut held: BTreeMap<String, Held> = BTreeMap::new();
        for order in self.stage.gateway.orders() {
            if order.charged > order.returned {
                let number: OrderNumber = order.out_trade_no.parse().expect("our own order number");
                let of = held.entry(number.split().0.to_string()).or_default();
                of.orders += 1;
                of.fen += u64::from(order.charged - order.returned);
            }
        }
        held
    }

    /// I1 and I12, while the daemon is dead: the journal says open or paid of everything that the gateway holds; what was
    /// handed over is paid; what was acknowledged is there. Gives the sales that are open.
    pub fn check_dead(&self) -> BTreeSet<String> {
        let sales = self.read_sales();
        // The journal stands still, the gateway does not: what it holds now, it holds of what was sent before.
        for order in self.stage.gateway.orders() {
            let (id, ordinal) = order.out_trade_no.parse::<OrderNumber>().expect("our own number").split();
            let Some(sale) = sales.get(id.as_str()) else {
                self.wrong(&format!("I1: the gateway knows {}, the journal does not", order.out_trade_no))
            };
            let attempt = sale.payment.attempts.get(usize::from(ordinal) - 1);
            let Some(attempt) = attempt else {
                self.wrong(&format!(
                    "I1: the gateway knows attempt {}, the journal does not",
                    order.out_trade_no
                ))
            };
            let net = order.charged - order.returned;
            self.ensure(
                net == 0 || attempt.phase.is_open() || matches!(attempt.phase, Phase::Paid(_)),
                || {
                    format!(
                        "I1: the gateway holds {net} of {}, the journal says {:?}",
                        order.out_trade_no, attempt
                    )
                },
            );
            self.ensure(net > 0 || !matches!(attempt.phase, Phase::Paid(_)), || {
                format!("I1: {} is paid, the gateway holds nothing", order.out_trade_no)
            });
        }
        for (id, held) in self.held() {
            self.ensure(held.orders <= 1, || format!("I1: {id} is charged {} times", held.orders));
        }
        for id in self.acknowledged.values() {
            self.ensure(sales.contains_key(id), || format!("I10: acknowledged {id} is not in the journal"));
        }
        for id in &self.handed_over {
            self.ensure(sales[id].payment.phase() == SalePhase::Paid, || {
                format!("I12: goods of {id} were handed over, the journal says {:?}", sales[id].payment)
            });
        }
        self.check_requests();
        let open = |sale: &&Sale| sale.payment.is_open() && sale.payment.phase() != SalePhase::AwaitingCode;
        sales.values().filter(open).map(|sale| sale.id.to_string()).collect()
    }

    /// No order was ever asked to be paid twice.
    fn check_requests(&self) {
        let mut asked: BTreeMap<String, u32> = BTreeMap::new();
        for call in self.stage.gateway.calls().iter().filter(|call| call.api == Api::Micropay) {
            let number = call.request.get("out_trade_no").map(|number| number.to_owned()).unwrap_or_default();
            *asked.entry(number).or_default() += 1;
        }
        for (number, count) in asked {
            self.ensure(count == 1, || format!("I1: {count} pay requests for {number}"));
        }
    }

    /// I9, right after a start: what the dead journal had open and the living one still has is in the list.
    pub async fn check_listed(&self, were_open: &BTreeSet<String>) {
        let Some(status) = self.get("/v1/status").await else { return };
        let listed = status.to_string();
        let sales = self.sales();
        for id in were_open.iter().filter(|id| sales[*id].payment.is_open()) {
            self.ensure(listed.contains(id.as_str()), || {
                format!("I9: {id} is open and not listed: {listed}")
            });
        }
    }

    /// A request that may fail because the daemon is being killed.
    pub async fn get(&self, path: &str) -> Option<Value> {
        let answer = self.stage.shop(reqwest::Method::GET, path).send().await.ok()?;
        serde_json::from_slice(&answer.bytes().await.ok()?).ok()
    }

    /// I12: what the cashier is told now agrees with the gateway.
    pub async fn look(&mut self, id: &str) -> Option<Value> {
        let sale = self.get(&format!("/v1/payments/{id}")).await?;
        let told = &sale["cashier"];
        self.ensure(told["text"].as_str().is_some_and(|text| !text.is_empty()), || {
            format!("I12: no sentence for {sale}")
        });
        if told["hand_over_goods"] == true {
            let held = self.held().get(id).copied().unwrap_or_default();
            self.ensure(held.orders == 1 && Some(held.fen) == sale["amount"].as_u64(), || {
                format!("I12: goods for {} fen of {} orders: {sale}", held.fen, held.orders)
            });
            self.handed_over.insert(id.to_owned());
        }
        Some(sale)
    }

    /// Fair weather: everything comes to rest and agrees.
    pub async fn conclude(&mut self) {
        self.say("fair weather");
        self.stage.set_weather(&[]).expect("fair");
        self.stage.paper.set_empty(false);
        self.stage.paper.set_slow(false);
        let until = Instant::now() + REST_WITHIN;
        loop {
            let sales = self.sales();
            let mut resting = true;
            for (id, sale) in &sales {
                match sale.payment.phase() {
                    SalePhase::AwaitingCode => {
                        resting = false;
                        let path = format!("/v1/payments/{id}/cancel");
                        let cancelled = self.stage.shop(reqwest::Method::POST, &path).send().await;
                        self.ensure(cancelled.is_ok(), || format!("cancel {id}: {cancelled:?}"));
                    }
                    _ if sale.payment.is_open() => resting = false,
                    _ if matches!(sale.receipt, ReceiptState::Queued | ReceiptState::Sending) => {
                        resting = false
                    }
                    _ => {}
                }
            }
            if resting {
                break;
            }
            self.ensure(Instant::now() < until, || format!("I2: no rest: {sales:?}"));
            sleep(Duration::from_millis(40)).await;
        }
        self.check_rest().await;
    }

    async fn check_rest(&mut self) {
        self.check_dead();
        let (sales, held) = (self.sales(), self.held());
        let status = self.get("/v1/status").await.unwrap_or_default().to_string();
        let papers = self.stage.paper.receipts();
        for paper in &papers {
            let whole = !paper.ends_with(TORN.trim_start());
            let of = sales.values().find(|sale| paper.contains(sale.id.as_str()));
            match of {
                Some(sale) => self.ensure(sale.payment.phase() == SalePhase::Paid, || {
                    format!("I3: a receipt of {} which is {:?}", sale.id, sale.payment.phase())
                }),
                None => self.ensure(!whole, || format!("I3: a receipt of no sale: {paper}")),
            }
        }
        for (id, sale) in &sales {
            let price = u64::from(sale.payment.amount.fen());
            let held = held.get(id).copied().unwrap_or_default();
            let told = self.look(id).await;
            let goods = told.as_ref().map(|told| told["cashier"]["hand_over_goods"] == true);
            let of_it: Vec<&String> = papers.iter().filter(|paper| paper.contains(id.as_str())).collect();
            let marked = |paper: &str| paper.contains("【可能重复】") || paper.contains("【补打】");
            let unmarked = of_it.iter().filter(|paper| !marked(paper)).count();
            self.ensure(unmarked <= 1, || format!("I3: {unmarked} unmarked receipts of {id}"));
            if sale.payment.phase() == SalePhase::Paid {
                self.ensure(held.orders == 1 && held.fen == price, || {
                    format!("I2: {id} is paid, the gateway holds {} of {}", held.fen, held.orders)
                });
                self.ensure(goods == Some(true), || {
                    format!("I12: {id} is paid and not handed over: {told:?}")
                });
                let printed = of_it.iter().any(|paper| !paper.ends_with(TORN.trim_start()));
                let owed = matches!(
                    sale.receipt,
                    ReceiptState::Queued | ReceiptState::Unconfirmed | ReceiptState::Failed
                );
                self.ensure(printed || (owed && status.contains(id.as_str())), || {
                    format!("I3: {id} has no receipt and none is owed: {:?}, {status}", sale.receipt)
                });
            } else {
                self.ensure(held.fen == 0, || {
                    format!("I2: {id} is {:?}, {} fen held", sale.payment, held.fen)
                });
                self.ensure(goods == Some(false), || format!("I12: {id} is not paid: {told:?}"));
            }
        }
        self.check_secrets();
    }

    /// I4: no code and no key in the log or in anything that the daemon wrote.
    fn check_secrets(&self) {
        let mut secrets = self.codes.clone();
        secrets.push(self.stage.gateway.handshake().api_key);
        let log = self.story();
        let mut written: Vec<(String, Vec<u8>)> = vec![("the log".to_owned(), log.into_bytes())];
        for entry in std::fs::read_dir(self.stage.state_dir()).into_iter().flatten().flatten() {
            if let Ok(bytes) = std::fs::read(entry.path()) {
                written.push((entry.path().display().to_string(), bytes));
            }
        }
        for (name, bytes) in &written {
            // As text: one pass over the file for each secret is quick enough.
            let text = String::from_utf8_lossy(bytes);
            for secret in &secrets {
                self.ensure(!text.contains(secret.as_str()), || format!("I4: a secret is in {name}"));
            }
        }
    }
}

fn attempts(told: &Value) -> usize {
    told["attempts"].as_array().map_or(0, Vec::len)
}

fn push(story: &Mutex<Vec<String>>, began: Instant, what: &str) {
    story.lock().unwrap().push(format!("{:>8.3} {what}", began.elapsed().as_secs_f64()));
}

/// The binary of this build, or another one that is to be tortured.
pub fn program() -> PathBuf {
    std::env::var_os("TORTURE_PROGRAM")
        .map_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_micropayd")), PathBuf::from)
}

/// Memory-backed where there is such a place: a killed process loses nothing that it has written, whatever the disk.
fn base() -> PathBuf {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() }
}

/// Runs a story on a runtime of its own.
pub fn play<T>(story: impl Future<Output = T>) -> T {
    // The second shop finds it installed.
    let _ = rustls::crypto::ring::default_provider().install_default();
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(story)
}
