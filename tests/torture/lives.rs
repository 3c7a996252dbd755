//! Two daemons on one journal, a polite end in every state, and a start in the middle of a poll.

use std::process::Command;
use std::time::{Duration, Instant};

use micropayd::payment::SalePhase;
use micropayd::simulator::dice::Dice;
use micropayd::simulator::mood::Mood;
use tokio::time::sleep;

use crate::number;
use crate::shop::{Shop, play, program};

/// Times of each in the ordinary run.
const TIMES: u64 = 5;
/// A second daemon gives up within this: a tenth of a second, and what a busy machine adds to starting a process.
const SECOND_WITHIN: Duration = Duration::from_millis(1500);
/// A daemon that is asked to end does so within this.
const END_WITHIN: Duration = Duration::from_secs(2);

/// I8: the second says which process is the first, and the first does not notice.
#[test]
fn a_second_daemon_on_a_journal_ends_at_once_and_names_the_first() {
    let mut quickest = Duration::MAX;
    for n in 0..number("TORTURE_LIVES", TIMES) {
        play(async {
            let mut shop = Shop::open(n).await;
            shop.stage.launch().await.expect("launched");
            shop.stage.ready().await.expect("ready");
            let first = shop.stage.pid().await.expect("it runs").to_string();
            let began = Instant::now();
            let second = Command::new(program())
                .args(["run", "--config"])
                .arg(shop.stage.configuration())
                .output()
                .expect("it starts");
            let took = began.elapsed();
            quickest = quickest.min(took);
            let said = String::from_utf8_lossy(&second.stderr).into_owned();
            assert!(!second.status.success(), "the second ends in failure");
            assert!(said.contains("in use") && said.contains(&first), "the second names {first}: {said}");
            assert!(took < SECOND_WITHIN, "the second took {took:?}");
            let (status, _) = shop.stage.sell(100, "after").await.expect("the first works on");
            assert_eq!(status, 201);
            // A dead owner's lock is no lock.
            shop.stage.kill().await.expect("killed");
            shop.check_dead();
            shop.stage.launch().await.expect("launched");
            shop.stage.ready().await.expect("the lock died with the process");
            shop.conclude().await;
            shop.stage.strike().await;
        });
    }
    println!("the quickest second daemon was gone after {quickest:?}");
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
    let mut slowest = Duration::ZERO;
    for n in 0..number("TORTURE_LIVES", TIMES) {
        play(async {
            let mut dice = Dice::new(n);
            let mut shop = Shop::open(n).await;
            shop.stage.launch().await.expect("launched");
            shop.stage.ready().await.expect("ready");
            let (_, sale) = shop.stage.sell(1250, "the-sale").await.expect("opened");
            shop.acknowledged.insert("the-sale".to_owned(), sale["id"].as_str().expect("an id").to_owned());
            let state = STATES[usize::try_from(n).expect("small") % STATES.len()];
            if let Some((mood, after)) = state {
                let code = shop.customer(mood, Duration::from_millis(after));
                shop.stage.read_code(&code).expect("read");
                // In the request, in the wait, in a query, in the reversal.
                sleep(Duration::from_millis(dice.throw() % 1_300)).await;
            }
            let took = end_politely(&shop).await;
            slowest = slowest.max(took);
            assert!(took < END_WITHIN, "it took {took:?} to end\n{}", shop.story());
            let open = shop.check_dead();
            shop.stage.launch().await.expect("launched");
            shop.stage.ready().await.expect("ready");
            shop.check_listed(&open).await;
            shop.conclude().await;
            shop.stage.strike().await;
        });
    }
    println!("the slowest polite end took {slowest:?}");
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
    for n in 0..number("TORTURE_LIVES", TIMES) {
        play(async {
            let mut shop = Shop::open(n).await;
            shop.stage.launch().await.expect("launched");
            shop.stage.ready().await.expect("ready");
            let (_, sale) = shop.stage.sell(1250, "the-sale").await.expect("opened");
            let id = sale["id"].as_str().expect("an id").to_owned();
            shop.acknowledged.insert("the-sale".to_owned(), id.clone());
            let code = shop.customer(Mood::Password, Duration::from_millis(350));
            let body = serde_json::json!({ "code": code }).to_string();
            let scan = shop.stage.shop(reqwest::Method::POST, "/v1/scan");
            scan.header("content-type", "application/json").body(body).send().await.expect("scanned");
            sleep(Duration::from_millis(60 + 40 * n)).await;
            shop.stage.kill().await.expect("killed");
            sleep(Duration::from_millis(400)).await;
            let open = shop.check_dead();
            assert_eq!(open.len(), 1, "it was being paid\n{}", shop.story());
            shop.stage.launch().await.expect("launched");
            shop.stage.ready().await.expect("ready");
            shop.conclude().await;
            let phase = shop.sales()[&id].payment.phase();
            assert_eq!(phase, SalePhase::Paid, "the customer has paid\n{}", shop.story());
            shop.stage.strike().await;
        });
    }
}
