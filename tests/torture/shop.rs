//! One shop: the daemon, its gateway, its paper and their story, and what a person or a test does to them. What must be true
//! of it is in `checks.rs`, the journal's word in `books.rs`. Never touches the daemon's memory or its journal.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use micropayd::cli::demo::stage::{Settings, Stage, Waits};
use micropayd::payment::SalePhase;
use micropayd::refund;
use micropayd::sale::ReceiptState;
use micropayd::simulator::fields::Api;
use micropayd::simulator::mood::Mood;
use micropayd::simulator::world::{Offer, Rules};
use serde_json::Value;
use tokio::time::sleep;

use crate::books::Known;
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
/// From a refund's acceptance to the payer's purse.
const REFUND_TAKES: Duration = Duration::from_millis(400);
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
    /// Refunds that the daemon has acknowledged, fen, oldest first, by sale.
    pub refunded: BTreeMap<String, Vec<u64>>,
    /// Sales for which the cashier was told to hand over the goods.
    pub handed_over: BTreeSet<String>,
    /// Payment codes that were made for it: secrets.
    pub codes: Vec<String>,
    pub known: Mutex<Option<Known>>,
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
        let rules =
            Rules { code_life: CODE_LIFE, auto_revoke, refund_takes: REFUND_TAKES, ..Rules::default() };
        let settings = Settings { dir, program, api, waits: WAITS, seed, rules };
        let stage = Stage::set(settings).await.expect("the stage is set");
        let shop = Self {
            stage,
            began: Instant::now(),
            story: Arc::default(),
            acknowledged: BTreeMap::new(),
            refunded: BTreeMap::new(),
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
        // Refused or killed: the journal says what came of it.
        drop(request.header("content-type", "application/json").body(body).send().await);
    }

    /// Asks for the sale to be cancelled.
    pub async fn cancel(&self, id: &str) {
        let path = format!("/v1/payments/{id}/cancel");
        drop(self.stage.shop(reqwest::Method::POST, &path).send().await);
    }

    /// Asks for the `nth` refund of a sale, from 0, each time under the same key; `None` if nobody answers.
    pub async fn refund(&mut self, id: &str, nth: usize, fen: u64) -> Option<u16> {
        let request = self.stage.shop(reqwest::Method::POST, &format!("/v1/payments/{id}/refunds"));
        let request = request
            .header("idempotency-key", format!("{id}-refund-{nth}"))
            .header("content-type", "application/json");
        let answer = request.body(serde_json::json!({ "amount": fen }).to_string()).send().await.ok()?;
        let status = answer.status().as_u16();
        self.say(&format!("answered {status}: {}", answer.text().await.unwrap_or_default()));
        if matches!(status, 200 | 201) {
            let acknowledged = self.refunded.entry(id.to_owned()).or_default();
            acknowledged.truncate(nth);
            acknowledged.push(fen);
        }
        Some(status)
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

    /// A request that may fail because the daemon is being killed.
    pub async fn get(&self, path: &str) -> Option<Value> {
        let answer = self.stage.shop(reqwest::Method::GET, path).send().await.ok()?;
        serde_json::from_slice(&answer.bytes().await.ok()?).ok()
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
                    // One that is stuck waits for somebody at the platform.
                    _ if sale.refunds.iter().any(|refund| {
                        refund.is_open() && !matches!(refund.phase, refund::Phase::Stuck { .. })
                    }) =>
                    {
                        resting = false;
                    }
                    _ if matches!(sale.receipt, ReceiptState::Queued | ReceiptState::Sending) => {
                        resting = false
                    }
                    _ => {}
                }
            }
            if resting {
                break;
            }
            self.ensure(Instant::now() < until, || format!("rest: no rest: {sales:?}"));
            sleep(Duration::from_millis(40)).await;
        }
        self.check_rest().await;
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
