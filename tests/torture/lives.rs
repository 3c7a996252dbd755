//! Two daemons on one journal, a polite end in every state, and a start in the middle of a poll.

use std::process::Command;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use micropayd::payment::SalePhase;
use micropayd::simulator::dice::Dice;
use micropayd::simulator::mood::Mood;
use tokio::time::sleep;

use crate::shop::{Shop, play, program};
use crate::{in_parallel, number};

/// Times of each in the ordinary run.
const TIMES: u64 = 100;
/// Times that share a journal.
const PER_SHOP: u64 = 10;
/// Shops at the same time: they mostly wait.
const SHOPS: u64 = 5;
/// A second daemon gives up within this: a tenth of a second, and what a busy machine adds to starting a process.
const SECOND_WITHIN: Duration = Duration::from_millis(1500);
/// A daemon that is asked to end does so within this.
const END_WITHIN: Duration = Duration::from_secs(2);

/// Plays a story of `PER_SHOP` times in as many shops as the times need, each with a seed.
fn in_shops(patient: bool, story: impl AsyncFn(&mut Shop, u64) + Sync) -> u64 {
    let shops = number("TORTURE_LIVES", TIMES).div_ceil(PER_SHOP);
    let seed = number("TORTURE_SEED", 1);
    in_parallel(number("TORTURE_SHOPS", SHOPS), (0..shops).collect(), |n| {
        play(async {
            let mut shop = if patient { Shop::patient(seed + n).await } else { Shop::open(seed + n).await };
            shop.start().await;
            story(&mut shop, seed + n).await;
            shop.conclude().await;
            shop.stage.strike().await;
        });
    });
    shops * PER_SHOP
}

/// Opens a sale as soon as the lane is free.
async fn sell(shop: &mut Shop, key: &str) -> String {
    let until = Instant::now() + Duration::from_secs(30);
    loop {
        let (status, sale) = shop.stage.sell(1250, key).await.expect("answered");
        if let Some(id) = sale["id"].as_str().filter(|_| status == 201) {
            shop.acknowledged.insert(key.to_owned(), id.to_owned());
            return id.to_owned();
        }
        shop.ensure(status == 409 && Instant::now() < until, || format!("{key}: {status} {sale}"));
        sleep(Duration::from_millis(20)).await;
    }
}

/// One writer: the second says which process is the first, and the first does not notice.
#[test]
fn a_second_daemon_on_a_journal_ends_at_once_and_names_the_first() {
    let times = Mutex::new((Duration::MAX, Duration::ZERO));
    let count = in_shops(true, async |shop, _| {
        let first = shop.stage.pid().await.expect("it runs").to_string();
        for n in 0..PER_SHOP {
            let began = Instant::now();
            let second = Command::new(program())
                .args(["run", "--config"])
                .arg(shop.stage.configuration())
                .output()
                .expect("it starts");
            let took = began.elapsed();
            let said = String::from_utf8_lossy(&second.stderr).into_owned();
            shop.ensure(!second.status.success(), || "the second ends in failure".to_owned());
            shop.ensure(said.contains("in use") && said.contains(&first), || {
                format!("the second names {first}: {said}")
            });
            shop.ensure(took < SECOND_WITHIN, || format!("the second took {took:?}"));
            let id = sell(shop, &format!("after-{n}")).await;
            shop.cancel(&id).await;
            let mut times = times.lock().unwrap();
            *times = (times.0.min(took), times.1.max(took));
        }
        // A dead owner's lock is no lock.
        shop.stage.kill().await.expect("killed");
        shop.check_dead();
        shop.start().await;
    });
    let (quickest, slowest) = times.into_inner().unwrap();
    println!("{count} second daemons were gone after {quickest:?} to {slowest:?}");
}

/// Each state that a sale can be in when the daemon is asked to end.
#[test]
fn a_polite_end_keeps_every_obligation() {
    const STATES: [Option<(Mood, u64)>; 5] = [
        None,
        Some((Mood::Pay, 0)),
        Some((Mood::Password, 400)),
        Some((Mood::WalkAway, 0)),
        Some((Mood::Cancel, 300)),
    ];
    let slowest = Mutex::new(Duration::ZERO);
    let count = in_shops(false, async |shop, seed| {
        let mut dice = Dice::new(seed);
        for (n, state) in (0..PER_SHOP).zip(STATES.iter().cycle()) {
            let id = sell(shop, &format!("sale-{n}")).await;
            if let Some((mood, after)) = state {
                let code = shop.customer(*mood, Duration::from_millis(*after));
                shop.scan(&code).await;
                // In the request, in the wait, in a query, in the reversal.
                sleep(Duration::from_millis(dice.throw() % 1_000)).await;
            }
            let took = end_politely(shop).await;
            shop.ensure(took < END_WITHIN, || format!("it took {took:?} to end"));
            let open = shop.check_dead();
            shop.start().await;
            shop.check_listed(&open).await;
            if state.is_none() {
                shop.cancel(&id).await;
            }
            let mut slowest = slowest.lock().unwrap();
            *slowest = (*slowest).max(took);
        }
    });
    println!("the slowest of {count} polite ends took {:?}", slowest.into_inner().unwrap());
}

pub async fn end_politely(shop: &Shop) -> Duration {
    let pid = i32::try_from(shop.stage.pid().await.expect("it runs")).expect("a pid");
    let began = Instant::now();
    let signal = nix::sys::signal::Signal::SIGTERM;
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), signal).expect("it is ours");
    let status = shop.stage.ended().await.expect("awaited").expect("it ran");
    assert!(status.success(), "a polite end is a success: {status}\n{}", shop.story());
    began.elapsed()
}

/// The customer types the password while the daemon is dead; the next life finds out, and pays nothing twice.
#[test]
fn a_restart_in_a_poll_finds_the_payment() {
    let count = in_shops(true, async |shop, seed| {
        let mut dice = Dice::new(seed);
        for n in 0..PER_SHOP {
            let id = sell(shop, &format!("sale-{n}")).await;
            let charged = shop.stage.charged();
            shop.begin(&id, Mood::Password, Duration::from_millis(350)).await;
            sleep(Duration::from_millis(dice.throw() % 250)).await;
            shop.stage.kill().await.expect("killed");
            let open = shop.check_dead();
            // On a busy machine the password may have been quicker than the kill.
            let paid = shop.sales()[&id].payment.phase() == SalePhase::Paid;
            shop.ensure(paid || open.contains(&id), || "it was being paid".to_owned());
            shop.until(|shop| shop.stage.charged() > charged).await;
            shop.start().await;
            let told = shop.until_told(&id, |told| told["phase"] != "paying").await;
            shop.ensure(told["phase"] == SalePhase::Paid.label(), || {
                format!("the customer has paid: {told}")
            });
        }
    });
    println!("{count} restarts in a poll found the payment");
}
