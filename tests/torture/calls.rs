//! A kill at every system call that can be seen from outside, in each of sixteen scenarios.

use std::fs::File;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use micropayd::payment::{Phase, SalePhase};
use micropayd::sale::Sale;
use micropayd::simulator::dice::Dice;
use micropayd::simulator::mood::Mood;
use micropayd::simulator::weather::{Fault, Rule, Where};
use tokio::time::sleep;

use crate::shop::{Shop, play, program};
use crate::tracer::{Life, live};
use crate::{in_parallel, number};

/// Points of the ordinary run, over all scenarios.
const SAMPLE: u64 = 40;
/// The longest that a traced life takes: a tracer stops it twice at each call.
const LIFE: Duration = Duration::from_secs(40);

struct Scenario {
    name: &'static str,
    customers: &'static [Mood],
    weather: &'static [(Where, Fault)],
    cancel: Cancel,
    /// The sale is open already when the traced life begins.
    open_before: bool,
    copy: bool,
    /// All of it is given back, which is followed to its end.
    refund: bool,
}

#[derive(Clone, Copy, PartialEq)]
enum Cancel {
    Never,
    BeforeTheCode,
    AfterTheCode,
}

const fn scenario(
    name: &'static str,
    customers: &'static [Mood],
    weather: &'static [(Where, Fault)],
) -> Scenario {
    let cancel = Cancel::Never;
    Scenario { name, customers, weather, cancel, open_before: false, copy: false, refund: false }
}

const SCENARIOS: [Scenario; 16] = [
    scenario("the customer pays", &[Mood::Pay], &[]),
    scenario("the customer types a password", &[Mood::Password], &[]),
    scenario("the customer refuses", &[Mood::Cancel], &[]),
    scenario("the customer walks away", &[Mood::WalkAway], &[]),
    scenario("too poor, then another code", &[Mood::Poor, Mood::Pay], &[]),
    scenario("the code is too old", &[Mood::Expired], &[]),
    scenario("paid, the answer is lost", &[Mood::Pay], &[(Where::Micropay, Fault::LostAfter)]),
    scenario("the request is lost", &[Mood::Pay], &[(Where::Micropay, Fault::LostBefore)]),
    scenario("a forged answer", &[Mood::WalkAway], &[(Where::Micropay, Fault::Forged)]),
    scenario("refused though paid", &[Mood::Pay], &[(Where::Micropay, Fault::FailButPaid)]),
    scenario("the reversal is to be repeated", &[Mood::WalkAway], &[(Where::Reverse, Fault::Recall)]),
    Scenario { cancel: Cancel::BeforeTheCode, ..scenario("cancelled before the code", &[], &[]) },
    Scenario { cancel: Cancel::AfterTheCode, ..scenario("cancelled while paying", &[Mood::WalkAway], &[]) },
    Scenario { open_before: true, ..scenario("a restart in a poll", &[Mood::Password], &[]) },
    Scenario { copy: true, ..scenario("paid, and a copy is asked for", &[Mood::Pay], &[]) },
    Scenario { refund: true, ..scenario("paid, and given back", &[Mood::Pay], &[]) },
];

/// Plays the scenario with a kill at call `at`, restarts, lets all come to rest, checks. Gives how the traced life went.
async fn point(scenario: &Scenario, at: u64) -> Life {
    let mut shop = Shop::open(at).await;
    shop.say(&format!("scenario {}, killed at call {at}", scenario.name));
    // A tracer stops the daemon twice at each call.
    shop.configure("connect_timeout", "\"2s\"");
    shop.configure("request_timeout", "\"3s\"");
    if scenario.open_before {
        shop.stage.launch().await.expect("launched");
        shop.stage.ready().await.expect("ready");
        open(&mut shop).await;
        scan(&mut shop, scenario.customers[0], 400).await;
        let paying = async |sale: &Sale| sale.payment.attempts[0].phase != Phase::Armed;
        until(&shop, &AtomicBool::new(false), paying).await;
        shop.stage.kill().await.expect("killed");
    }
    let rules = scenario.weather.iter().map(|(api, fault)| Rule::once(*api, *fault).times(1)).collect();
    shop.stage.gateway.set_weather(rules);
    let (dead, pid) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicI32::new(0)));
    let log_path = shop.stage.state_dir().with_file_name("traced.log");
    let log = File::create(&log_path).expect("a log");
    let tracer = {
        let (dead, pid, configuration) = (Arc::clone(&dead), Arc::clone(&pid), shop.stage.configuration());
        std::thread::spawn(move || {
            let life = live(&program(), &configuration, log, at, &pid);
            dead.store(true, Ordering::Release);
            life
        })
    };
    drive(&mut shop, scenario, &dead).await;
    // A clean end belongs to the scenario.
    let pid = pid.load(Ordering::Acquire);
    if pid > 0 && !dead.load(Ordering::Acquire) {
        let daemon = nix::unistd::Pid::from_raw(pid);
        // It may just have been killed.
        let _ = nix::sys::signal::kill(daemon, nix::sys::signal::Signal::SIGTERM);
    }
    let until = Instant::now() + LIFE;
    while !dead.load(Ordering::Acquire) {
        shop.ensure(Instant::now() < until, || "rest: SIGTERM does not end it".to_owned());
        sleep(Duration::from_millis(2)).await;
    }
    let life = tracer.join().expect("the tracer");
    let log = std::fs::read_to_string(&log_path).unwrap_or_default();
    shop.say(&format!("traced life: {} calls, killed at {:?}\n{log}", life.calls, life.killed_at));
    let open = shop.check_dead();
    shop.stage.launch().await.expect("launched");
    if let Err(error) = shop.stage.ready().await {
        shop.ensure(false, || format!("rest: no start after call {at}: {error:#}"));
    }
    shop.check_listed(&open).await;
    if scenario.refund {
        // Whoever was not answered asks again.
        refund(&mut shop).await;
    }
    shop.conclude().await;
    shop.stage.strike().await;
    life
}

/// What cashier and customers do, as long as the daemon lives.
async fn drive(shop: &mut Shop, scenario: &Scenario, dead: &AtomicBool) {
    let until_ready = Instant::now() + LIFE;
    while shop.get("/readyz").await.is_none() {
        if dead.load(Ordering::Acquire) {
            return;
        }
        shop.ensure(Instant::now() < until_ready, || "the traced daemon is not ready".to_owned());
        sleep(Duration::from_millis(5)).await;
    }
    let answered = async |sale: &Sale| sale.payment.phase() != SalePhase::Paying;
    if scenario.open_before {
        until(shop, dead, answered).await;
    } else {
        serve(shop, scenario, dead).await;
    }
    // A declined sale waits for another code that nobody shows.
    if shop.sales().values().any(|sale| sale.payment.phase() == SalePhase::AwaitingCode) {
        cancel(shop).await;
    }
    until(shop, dead, async |sale| !sale.payment.is_open()).await;
    let printed = async |sale: &Sale| {
        !matches!(
            sale.receipt,
            micropayd::sale::ReceiptState::Queued | micropayd::sale::ReceiptState::Sending
        )
    };
    until(shop, dead, printed).await;
    if scenario.refund && !dead.load(Ordering::Acquire) {
        refund(shop).await;
        until(shop, dead, async |sale| !sale.is_open()).await;
    }
    if scenario.copy && !dead.load(Ordering::Acquire) {
        for id in shop.sales().into_keys() {
            post(shop, &format!("/v1/payments/{id}/receipts")).await;
        }
        until(shop, dead, printed).await;
    }
}

/// A sale, and a code of each customer.
async fn serve(shop: &mut Shop, scenario: &Scenario, dead: &AtomicBool) {
    open(shop).await;
    if scenario.cancel == Cancel::BeforeTheCode {
        cancel(shop).await;
    }
    for (n, mood) in scenario.customers.iter().enumerate() {
        scan(shop, *mood, 150).await;
        let taken = async |sale: &Sale| {
            let attempts = &sale.payment.attempts;
            attempts.len() > n + 1
                || attempts.get(n).is_some_and(|attempt| attempt.phase != Phase::Armed)
                || !sale.payment.is_open()
        };
        until(shop, dead, taken).await;
        if scenario.cancel == Cancel::AfterTheCode {
            cancel(shop).await;
        }
        until(shop, dead, async |sale| sale.payment.phase() != SalePhase::Paying).await;
    }
}

async fn open(shop: &mut Shop) {
    if let Ok((201, sale)) = shop.stage.sell(1250, "the-sale").await {
        let id = sale["id"].as_str().expect("an id").to_owned();
        shop.acknowledged.insert("the-sale".to_owned(), id);
    }
}

async fn scan(shop: &mut Shop, mood: Mood, after: u64) {
    let code = shop.customer(mood, Duration::from_millis(after));
    shop.scan(&code).await;
}

async fn cancel(shop: &Shop) {
    for id in shop.acknowledged.values() {
        shop.cancel(id).await;
    }
}

/// Asks for a refund of what is paid, if none was acknowledged.
async fn refund(shop: &mut Shop) {
    for (id, sale) in shop.sales() {
        if sale.payment.phase() == SalePhase::Paid && !shop.refunded.contains_key(&id) {
            shop.refund(&id, 0, 1250).await;
        }
    }
}

async fn post(shop: &Shop, path: &str) {
    drop(shop.stage.shop(reqwest::Method::POST, path).send().await);
}

/// Watches the journal from outside, so that watching is no work for the daemon.
async fn until(shop: &Shop, dead: &AtomicBool, wanted: impl AsyncFn(&Sale) -> bool) {
    let end = Instant::now() + LIFE;
    while !dead.load(Ordering::Acquire) {
        let sales = shop.sales();
        let Some(sale) = sales.values().next() else { return };
        if wanted(sale).await {
            return;
        }
        shop.ensure(Instant::now() < end, || format!("the scenario stands still: {sale:?}"));
        sleep(Duration::from_millis(10)).await;
    }
}

#[test]
fn a_kill_at_any_system_call_loses_no_money() {
    let all = std::env::var("TORTURE_CALLS").is_ok_and(|how| how == "all");
    let workers = number("TORTURE_SHOPS", 10);
    let began = Instant::now();
    let mut points: Vec<(usize, u64)> = Vec::new();
    let lengths: Mutex<Vec<(usize, u64)>> = Mutex::default();
    let wanted = std::env::var("TORTURE_SCENARIOS").unwrap_or_default();
    let wanted = |name: &str| wanted.is_empty() || wanted.split(',').any(|part| name.contains(part));
    let scenarios = (0..SCENARIOS.len()).filter(|n| wanted(SCENARIOS[*n].name)).collect();
    in_parallel(workers, scenarios, |n| {
        let life = play(point(&SCENARIOS[n], u64::MAX));
        lengths.lock().unwrap().push((n, life.calls));
    });
    for (n, calls) in lengths.into_inner().unwrap() {
        println!("{}: {calls} calls", SCENARIOS[n].name);
        // A little more than were counted: no two lives are quite alike.
        points.extend((1..=calls + calls / 20).map(|at| (n, at)));
    }
    if !all {
        let mut dice = Dice::new(number("TORTURE_SEED", 1));
        let from = points.len() as u64;
        points = (0..SAMPLE).map(|_| points[usize::try_from(dice.throw() % from).unwrap()]).collect();
    }
    let (kills, done, count) = (AtomicU64::new(0), AtomicU64::new(0), points.len());
    let failed: Mutex<Vec<String>> = Mutex::default();
    in_parallel(workers, points, |(n, at)| {
        let story = std::panic::AssertUnwindSafe(|| play(point(&SCENARIOS[n], at)));
        match std::panic::catch_unwind(story) {
            Ok(life) => {
                kills.fetch_add(u64::from(life.killed_at.is_some()), Ordering::Relaxed);
            }
            // It has told its story; the others go on.
            Err(_) => failed.lock().unwrap().push(format!("{}, call {at}", SCENARIOS[n].name)),
        }
        let done = done.fetch_add(1, Ordering::Relaxed) + 1;
        if done % 250 == 0 {
            println!("{done} of {count} points in {:?}", began.elapsed());
        }
    });
    let failed = failed.into_inner().unwrap();
    println!(
        "{count} points, {} kills at a system call, {:?}: {} violations",
        kills.into_inner(),
        began.elapsed(),
        failed.len()
    );
    assert!(failed.is_empty(), "went wrong: {failed:?}");
}
