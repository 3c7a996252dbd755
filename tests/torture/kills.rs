//! SIGKILL at random moments, in all weather.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use micropayd::payment::SalePhase;
use micropayd::simulator::dice::Dice;
use micropayd::simulator::weather::{Fault, Where};
use serde_json::Value;
use tokio::time::{sleep, sleep_until, timeout};

use crate::faults::{FAULTS, MOODS, REFUND_FAULTS, rule};
use crate::number;
use crate::shop::{Shop, play};

/// Kills that share a journal; then a new shop, so that a failing story is short.
const PER_SHOP: u64 = 25;
/// Shops at the same time: they mostly wait.
const SHOPS: u64 = 12;

/// A shop in which the daemon is killed again and again.
struct Story {
    shop: Shop,
    dice: Dice,
    kills: u64,
    most: u64,
    sales: u64,
}

/// What was lost when the daemon was killed.
struct Killed;

impl Story {
    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[usize::try_from(self.dice.throw()).unwrap_or(0) % from.len()]
    }

    fn millis(&mut self, below: u64) -> Duration {
        Duration::from_millis(self.dice.throw() % below)
    }

    /// From 0.1 ms to 0.6 s, each decade as likely as the next.
    fn moment(&mut self) -> Duration {
        let part = (self.dice.throw() % 1_000) as f64 / 1_000.0;
        Duration::from_micros((100.0 * 6_000f64.powf(part)) as u64)
    }

    /// Does `what`; with some chance the daemon is killed a moment after it began.
    async fn act<T>(&mut self, name: &str, what: impl AsyncFnOnce(&mut Shop) -> T) -> Result<T, Killed> {
        let kill = (self.kills < self.most && self.dice.chance(0.22)).then(|| self.moment());
        self.shop.say(&match kill {
            Some(after) => format!("{name}, killed {after:?} later"),
            None => name.to_owned(),
        });
        let Some(after) = kill else { return Ok(what(&mut self.shop).await) };
        let at = Instant::now() + after;
        let done = timeout(after, what(&mut self.shop)).await;
        if done.is_ok() && after > Duration::from_millis(2) {
            sleep_until((at - Duration::from_millis(1)).into()).await;
        }
        while Instant::now() < at {
            tokio::task::yield_now().await;
        }
        self.shop.stage.kill().await.expect("killed");
        self.kills += 1;
        Err(Killed)
    }

    /// Looks at the books of the dead, and starts the daemon again, which may be killed while it starts.
    async fn restart(&mut self) {
        loop {
            let open: BTreeSet<String> = self.shop.check_dead();
            let wait = self.millis(3) * u32::from(self.dice.chance(0.3)) * 100;
            sleep(wait).await;
            let started = self
                .act("start", async |shop| {
                    shop.stage.launch().await.expect("launched");
                    if let Err(error) = shop.stage.ready().await {
                        shop.ensure(false, || format!("rest: no start: {error:#}"));
                    }
                })
                .await;
            if started.is_ok() {
                self.shop.check_listed(&open).await;
                return;
            }
        }
    }

    fn weather(&mut self, faults: &[(Where, Fault)]) {
        let mut rules = Vec::new();
        for _ in 0..self.dice.throw() % 3 {
            let fault = self.pick(faults);
            let times = 1 + u32::try_from(self.dice.throw() % 4).unwrap();
            let rule = rule(fault, times, || (self.dice.throw() % 900) as f64 / 1000.0);
            self.shop.say(&format!("weather {rule:?}"));
            rules.push(rule);
        }
        self.shop.stage.gateway.set_weather(rules);
    }

    fn paper(&mut self) {
        let empty = self.dice.chance(0.1);
        self.shop.stage.paper.set_empty(empty);
        let slow = self.dice.chance(0.4);
        self.shop.stage.paper.set_slow(slow);
    }

    async fn sale(&mut self) {
        self.sales += 1;
        self.weather(FAULTS);
        self.paper();
        let key = format!("sale-{}", self.sales);
        let price = 1 + self.dice.throw() % 50_000;
        let Some(id) = self.open(&key, price).await else { return };
        for _ in 0..1 + self.dice.throw() % 2 {
            let (mood, after) = (self.pick(MOODS), Duration::from_millis(20 + self.dice.throw() % 700));
            let code = self.shop.customer(mood, after);
            let by_scanner = self.dice.chance(0.7);
            let scanned = self
                .act(&format!("scan {mood:?}"), async |shop| {
                    if by_scanner {
                        shop.stage.read_code(&code).expect("the scanner reads");
                    } else {
                        shop.scan(&code).await;
                    }
                })
                .await;
            if scanned.is_err() {
                self.restart().await;
            }
            if self.dice.chance(0.15) {
                let cancelled = self.act("cancel", async |shop| shop.cancel(&id).await).await;
                if cancelled.is_err() {
                    self.restart().await;
                }
            }
            if self.rest(&id).await {
                break;
            }
        }
        if self.dice.chance(0.8) {
            self.refund(&id, price).await;
        }
        if self.dice.chance(0.1) {
            let path = format!("/v1/payments/{id}/receipts");
            let copied = self
                .act("reprint", async |shop| {
                    drop(shop.stage.shop(reqwest::Method::POST, &path).send().await);
                })
                .await;
            if copied.is_err() {
                self.restart().await;
            }
        }
    }

    /// Gives a paid sale back, all of it or a part, once or twice; each with the same key until the daemon has answered.
    async fn refund(&mut self, id: &str, price: u64) {
        self.weather(&REFUND_FAULTS);
        for _ in 0..1 + self.dice.throw() % 2 {
            if self.shop.sales()[id].payment.phase() != SalePhase::Paid {
                return;
            }
            let nth = self.shop.refunded.get(id).map_or(0, Vec::len);
            let fen = if self.dice.chance(0.5) { price } else { 1 + self.dice.throw() % price };
            loop {
                match self.act(&format!("refund {fen}"), async |shop| shop.refund(id, nth, fen).await).await {
                    Ok(Some(200 | 201)) => break,
                    // Something of it went back before.
                    Ok(Some(422)) if nth > 0 => break,
                    Ok(other) => self.shop.ensure(false, || format!("refund {fen} of {id}: {other:?}")),
                    Err(Killed) => self.restart().await,
                }
            }
            for _ in 0..2 {
                let pause = self.millis(400);
                let looked = self
                    .act("look", async |shop| {
                        sleep(pause).await;
                        shop.look(id).await
                    })
                    .await;
                if looked.is_err() {
                    self.restart().await;
                }
            }
        }
    }

    /// Opens the sale, with the same key until the daemon says what became of it.
    async fn open(&mut self, key: &str, price: u64) -> Option<String> {
        loop {
            let opened =
                self.act(&format!("open {price}"), async |shop| shop.stage.sell(price, key).await).await;
            match opened {
                Ok(Ok((200 | 201, sale))) => {
                    let id = sale["id"].as_str().expect("an id").to_owned();
                    let before = self.shop.acknowledged.insert(key.to_owned(), id.clone());
                    self.shop.ensure(before.is_none(), || format!("{key} was opened before"));
                    return Some(id);
                }
                Ok(Ok((409, _))) => {
                    // The sale before is still in hand: the cashier waits or walks to another lane.
                    sleep(Duration::from_millis(60)).await;
                    if self.kills >= self.most {
                        return None;
                    }
                }
                Ok(other) => self.shop.ensure(false, || format!("open {key}: {other:?}")),
                Err(Killed) => self.restart().await,
            }
        }
    }

    /// Waits for the sale, now and then killing the daemon; true when it takes no more codes.
    async fn rest(&mut self, id: &str) -> bool {
        for _ in 0..8 {
            let pause = self.millis(60);
            let seen: Result<Option<Value>, Killed> = self
                .act("look", async |shop| {
                    sleep(pause).await;
                    shop.look(id).await
                })
                .await;
            match seen {
                Ok(Some(sale)) => match sale["phase"].as_str() {
                    Some("awaiting_code") => return false,
                    Some("paying") => {}
                    _ => return true,
                },
                Ok(None) => {}
                Err(Killed) => self.restart().await,
            }
        }
        true
    }

    async fn run(seed: u64, most: u64) -> (u64, BTreeMap<&'static str, u64>) {
        let mut story =
            Self { shop: Shop::open(seed).await, dice: Dice::new(seed), kills: 0, most, sales: 0 };
        story.restart().await;
        while story.kills < most {
            story.sale().await;
        }
        story.shop.conclude().await;
        if std::env::var_os("TORTURE_STORY").is_some() {
            println!("{}", story.shop.story());
        }
        let ends = story.shop.ends();
        story.shop.stage.strike().await;
        (story.kills, ends)
    }
}

#[test]
fn random_kills_lose_no_money_and_take_none_twice() {
    let kills = number("TORTURE_KILLS", 300);
    let seed = number("TORTURE_SEED", 1);
    let shops = number("TORTURE_SHOPS", SHOPS);
    let began = Instant::now();
    let (next, killed) = (AtomicU64::new(0), AtomicU64::new(0));
    let ended: Mutex<BTreeMap<&'static str, u64>> = Mutex::default();
    let failed: Mutex<Vec<u64>> = Mutex::default();
    std::thread::scope(|scope| {
        for _ in 0..shops {
            scope.spawn(|| {
                loop {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    if n * PER_SHOP >= kills {
                        break;
                    }
                    let seed = seed.wrapping_mul(1_000_003).wrapping_add(n);
                    let story = std::panic::AssertUnwindSafe(|| play(Story::run(seed, PER_SHOP)));
                    let Ok((k, ends)) = std::panic::catch_unwind(story) else {
                        // It has told its story; the others go on.
                        failed.lock().unwrap().push(seed);
                        continue;
                    };
                    let all = killed.fetch_add(k, Ordering::Relaxed) + k;
                    for (end, n) in ends {
                        *ended.lock().unwrap().entry(end).or_default() += n;
                    }
                    if all % 1_000 < PER_SHOP {
                        println!("{all} kills in {:?}", began.elapsed());
                    }
                }
            });
        }
    });
    let (killed, ended, took) = (killed.into_inner(), ended.into_inner().unwrap(), began.elapsed());
    let (rate, failed) = (killed as f64 / took.as_secs_f64(), failed.into_inner().unwrap());
    println!(
        "{killed} kills, seed {seed}, {took:?}, {rate:.1} kills/s, sales {ended:?}: {} violations",
        failed.len()
    );
    assert!(failed.is_empty(), "shops with these seeds went wrong: {failed:?}");
    assert!(
        ["paid", "reversed", "returned"].iter().all(|end| ended.contains_key(end)),
        "the run reached the ends: {ended:?}"
    );
}
