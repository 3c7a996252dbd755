//! Every deed against the built daemon: nothing is believed, it costs no more than its deadline and a MiB, and the next
//! customer pays at once. `HOSTILE_ROUNDS=100` does each a hundred times, `HOSTILE_SHOPS=48` in so many shops at a time, and
//! `HOSTILE_DEED="gzip bomb"` only that one. A round is two seconds of waiting and more, or `HOSTILE_DEADLINE=250` milliseconds.
//! `--nocapture` prints the table.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use micropayd::simulator::fields::Api;
use micropayd::simulator::mood::Mood;
use tokio::sync::Semaphore;

use crate::deeds::{self, Deed};
use crate::gateway::{Gateway, Seen};
use crate::shop::{PATIENCE, Shop, deadline, query_after};

/// So many customers who pay, and so many who walk away, fill the database's caches.
const CACHES_ARE_FULL: u32 = 300;

/// A deed that is done more often is done in several shops, because some deeds are seconds of waiting.
const ROUNDS_OF_A_SHOP: u32 = 2_500;

/// Rounds of all deeds, and after how many a long run says how far it is.
static ROUNDS: AtomicU32 = AtomicU32::new(0);
const REPORT_EVERY: u32 = 10_000;

/// Honest customers who paid nothing and came again, because a machine full of shops did not answer in a part of a second.
static CAME_AGAIN: AtomicU32 = AtomicU32::new(0);
/// One in so many rounds may; in an ordinary run, nobody.
const ROUNDS_FOR_ONE: u32 = 1_000;

/// What a deed cost.
struct Cost {
    name: &'static str,
    /// From the pay request to the next question, which shows that the call is over.
    held: Duration,
    /// More memory than ever before, kB.
    more: u64,
    /// From the next customer's code to *paid*.
    next: Duration,
}

impl Cost {
    fn is_too_slow(&self) -> bool {
        self.held > deadline() + query_after() + Duration::from_secs(1) || self.next > Duration::from_secs(1)
    }
}

/// So many shops open at a time: all at once would have no time for a customer who has a quarter of a second.
static OPENS: Semaphore = Semaphore::const_new(8);

/// A shop, on an ordinary day.
async fn open(deed: Deed, rounds: u32) -> (Gateway, Shop) {
    let _turn = OPENS.acquire().await.unwrap();
    let gateway = Gateway::open().await;
    let shop = Shop::open(&gateway).await;
    // Everything that a shop does, once: its memory is then what it needs on a good day.
    for (key, mood) in [("W1", Mood::Pay), ("W2", Mood::WalkAway), ("W3", Mood::Pay)] {
        let id = shop.sell(key, &gateway.code(mood)).await;
        if mood == Mood::WalkAway {
            shop.ask("POST", &format!("/v1/payments/{id}/cancel"), None).await;
        }
        let sale = shop.follow(&id, PATIENCE).await;
        assert_eq!(
            sale["phase"],
            if mood == Mood::Pay { "paid" } else { "reversed" },
            "{}: {sale}",
            deed.name
        );
    }
    // Where that day is long, the database's caches are full too (512 KiB for each connection).
    if rounds > 1 {
        for n in 0..rounds.min(CACHES_ARE_FULL) {
            let walker = shop.sell(&format!("G{n}"), &gateway.code(Mood::WalkAway)).await;
            shop.ask("POST", &format!("/v1/payments/{walker}/cancel"), None).await;
            shop.ask("GET", &format!("/v1/payments/{walker}/life"), None).await;
            honest(deed, &gateway, &shop, &format!("W{}", n + 4)).await;
        }
    }
    (gateway, shop)
}

async fn suffer(deed: Deed, rounds: u32) -> Cost {
    let (gateway, shop) = open(deed, rounds).await;
    let before = shop.peak();
    let mut cost = Cost { name: deed.name, held: Duration::ZERO, more: 0, next: Duration::ZERO };
    for round in 0..rounds {
        let (held, next) = once(deed, &gateway, &shop, round).await;
        cost = Cost { held: cost.held.max(held), next: cost.next.max(next), ..cost };
        let done = ROUNDS.fetch_add(1, Ordering::Relaxed) + 1;
        if done.is_multiple_of(REPORT_EVERY) {
            println!("{done} rounds: nothing believed so far");
        }
    }
    Cost { more: shop.peak().saturating_sub(before), ..cost }
}

/// The environment's number, or `without`.
fn number(name: &str, without: u32) -> u32 {
    std::env::var(name).map_or(without, |number| {
        number.parse().unwrap_or_else(|_| panic!("{name} is no number: {number:?}"))
    })
}

/// A customer pays; from the code to *paid*. Who was told that nothing was taken may come again, but hardly anybody may have to.
async fn honest(deed: Deed, gateway: &Gateway, shop: &Shop, key: &str) -> Duration {
    loop {
        let began = Instant::now();
        let id = shop.sell(key, &gateway.code(Mood::Pay)).await;
        let sale = shop.follow(&id, PATIENCE).await;
        let took = began.elapsed();
        if sale["phase"] == "paid" {
            return took;
        }
        let again = CAME_AGAIN.fetch_add(1, Ordering::Relaxed) + 1;
        let rounds = ROUNDS.load(Ordering::Relaxed);
        println!(
            "{}: customer {key} comes again after {took:?}, the {again}th in {rounds} rounds: {sale}",
            deed.name
        );
        assert!(matches!(sale["money"].as_str(), Some("none" | "returned")), "{}: {sale}", deed.name);
        assert!(again <= rounds / ROUNDS_FOR_ONE, "{}: an honest customer cannot pay: {sale}", deed.name);
    }
}

/// Does the deed to one customer; how long the call was held, and how long the next customer took.
async fn once(deed: Deed, gateway: &Gateway, shop: &Shop, round: u32) -> (Duration, Duration) {
    gateway.threaten(deed);
    let victim = shop.sell(&format!("V{round}"), &gateway.code(Mood::Pay)).await;
    let of_victim = |calls: &[Seen], api: Api| {
        let victim = gateway.victim();
        calls.iter().find(|call| Some(&call.order) == victim.as_ref() && call.api == api).map(|call| call.at)
    };
    let calls = gateway.until(|calls| of_victim(calls, Api::Orderquery).is_some()).await;
    let (paid, asked) =
        (of_victim(&calls, Api::Micropay).unwrap(), of_victim(&calls, Api::Orderquery).unwrap());

    // The cashier gives the customer up; what may have been taken is taken back, from the same gateway.
    let cancelled = shop.ask("POST", &format!("/v1/payments/{victim}/cancel"), None).await;
    assert_eq!(cancelled.status, 202, "{}: {cancelled:?}", deed.name);
    let next = honest(deed, gateway, shop, &format!("N{round}")).await;
    let calls = gateway.until(|calls| of_victim(calls, Api::Reverse).is_some()).await;
    let number = gateway.victim();
    let asked_to_pay =
        calls.iter().filter(|call| call.api == Api::Micropay && Some(&call.order) == number.as_ref());
    assert_eq!(asked_to_pay.count(), 1, "{}: asked to pay again", deed.name);

    // Nothing that was said was believed: no step of its life has an end in it.
    let life = shop.ask("GET", &format!("/v1/payments/{victim}/life"), None).await.json();
    for step in life["steps"].as_array().unwrap() {
        let phase = step["payment"]["phase"].as_str().unwrap();
        assert!(
            matches!(phase, "awaiting_code" | "paying" | "reversing" | "in_doubt"),
            "{}: {life}",
            deed.name
        );
        assert_eq!(step["payment"]["cashier"]["hand_over_goods"], false, "{}: {life}", deed.name);
    }
    // And when the gateway is honest again, the truth is found: it never heard of that order.
    gateway.relent();
    let sale = shop.follow(&victim, PATIENCE).await;
    assert!(matches!(sale["phase"].as_str(), Some("reversed" | "declined")), "{}: {sale}", deed.name);
    assert!(matches!(sale["money"].as_str(), Some("none" | "returned")), "{}: {sale}", deed.name);
    (asked - paid, next)
}

fn alone(deed: Deed, rounds: u32) -> Cost {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(suffer(deed, rounds))
}

#[test]
fn no_deed_of_a_gateway_is_believed_or_costs_more_than_its_deadline_and_a_mib() {
    let rounds = number("HOSTILE_ROUNDS", 1);
    let shops = number("HOSTILE_SHOPS", 10);
    let parts = rounds.div_ceil(ROUNDS_OF_A_SHOP);
    let only = std::env::var("HOSTILE_DEED").ok();
    let chosen = |deed: &&Deed| only.as_ref().is_none_or(|name| deed.name == name);
    assert!(deeds::ALL.iter().any(|deed| chosen(&deed)), "HOSTILE_DEED: no deed is called {only:?}");
    // Those that are nothing but waiting are the last of the table; they begin.
    let shares =
        Mutex::new(deeds::ALL.iter().rev().filter(chosen).flat_map(|deed| (0..parts).map(move |_| deed)));
    let work = || {
        let mut costs = Vec::new();
        loop {
            let share = shares.lock().unwrap().next().copied();
            match share {
                Some(deed) => costs.push(alone(deed, rounds.div_ceil(parts))),
                None => return costs,
            }
        }
    };
    let shared: Vec<Cost> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..shops).map(|_| scope.spawn(work)).collect();
        // A panic of one is told where it happened; the others finish theirs.
        let done: Vec<_> = workers.into_iter().map(|worker| worker.join()).collect();
        done.into_iter().flat_map(|costs| costs.expect("see above")).collect()
    });
    let mut costs: Vec<Cost> = Vec::new();
    for share in shared {
        match costs.iter_mut().find(|cost| cost.name == share.name) {
            Some(cost) => {
                cost.held = cost.held.max(share.held);
                cost.more = cost.more.max(share.more);
                cost.next = cost.next.max(share.next);
            }
            None => costs.push(share),
        }
    }
    // A machine that is busy with the other shops is slow too: whatever was slow is tried again alone, some times.
    for cost in &mut costs {
        let deed = deeds::ALL.iter().find(|deed| deed.name == cost.name).unwrap();
        for _ in 0..3 {
            if cost.is_too_slow() {
                println!(
                    "{}: held for {:?}, the next for {:?}; again, alone",
                    cost.name, cost.held, cost.next
                );
                *cost = alone(*deed, rounds.min(20));
            }
        }
    }
    let place = |cost: &Cost| deeds::ALL.iter().position(|deed| deed.name == cost.name);
    costs.sort_by_key(place);
    println!(
        "| what the gateway does | call over after | more memory | next customer paid after |\n|---|---|---|---|"
    );
    for cost in &costs {
        let ms = |time: Duration| time.as_millis();
        println!("| {} | {} ms | {} KiB | {} ms |", cost.name, ms(cost.held), cost.more, ms(cost.next));
    }
    assert_eq!(costs.len(), deeds::ALL.iter().filter(chosen).count());
    assert!(deeds::ALL.len() >= 40);
    for cost in costs {
        assert!(!cost.is_too_slow(), "{}: held for {:?}, the next for {:?}", cost.name, cost.held, cost.next);
        assert!(cost.more <= 1024, "{}: {} KiB more", cost.name, cost.more);
    }
}

#[test]
fn every_deed_has_its_row_in_the_document() {
    let page = include_str!("../../docs/hostile.md");
    let rows: Vec<&str> = page
        .lines()
        .filter(|line| line.contains(" ms | "))
        .filter_map(|line| line.strip_prefix("| ")?.split(" | ").next())
        .collect();
    let deeds: Vec<&str> = deeds::ALL.iter().map(|deed| deed.name).collect();
    assert_eq!(rows, deeds, "docs/hostile.md: the table is what this test prints with --nocapture");
}
