//! Clocks that jump under the real binary: what it decides, it decides by the time since boot; the wall clock may say what
//! it likes.

use std::fs::File;
use std::time::{Duration, Instant, SystemTime};

use micropayd::payment::SalePhase;
use micropayd::simulator::mood::Mood;
use tokio::time::sleep;

use crate::hands::{Born, Hands};
use crate::in_parallel;
use crate::shop::{Shop, play, program};

const DAY: i64 = 24 * 60 * 60;
/// Longer than an amount waits for a code (10 min).
const NAP: i64 = 11 * 60;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Jump {
    Wall(i64),
    /// To the first minute of 1970.
    Epoch,
    Suspend,
}

const JUMPS: [Jump; 4] = [Jump::Wall(DAY), Jump::Wall(-DAY), Jump::Epoch, Jump::Suspend];

/// What is going on when it jumps.
#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    Idle,
    AwaitingCode,
    Paying,
    WalkedAway,
    Reversing,
}

const STATES: [State; 5] =
    [State::Idle, State::AwaitingCode, State::Paying, State::WalkedAway, State::Reversing];

/// From now to the first minute of 1970.
fn to_epoch() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("later");
    30 - i64::try_from(since.as_secs()).expect("small")
}

impl Jump {
    fn make(self, hands: &Hands) {
        match self {
            Jump::Wall(seconds) => hands.set_wall(seconds),
            Jump::Epoch => hands.set_wall(to_epoch()),
            Jump::Suspend => hands.suspend(NAP),
        }
    }
}

#[test]
fn a_clock_that_jumps_in_any_state_decides_nothing() {
    let cases: Vec<(State, Jump)> =
        STATES.iter().flat_map(|state| JUMPS.iter().map(|jump| (*state, *jump))).collect();
    in_parallel(5, cases, |(state, jump)| play(one(state, jump)));
}

async fn one(state: State, jump: Jump) {
    let mut shop = Shop::patient(1).await;
    shop.say(&format!("{state:?}, {jump:?}"));
    if state == State::WalkedAway {
        shop.configure("give_up_after", "\"900ms\"");
    }
    let (daemon, _) = born(&shop, 0);
    ready(&shop).await;
    let hands = &daemon.hands;
    if state == State::Idle {
        jump.make(hands);
        // A certificate is not valid yet in 1970.
        if jump != Jump::Epoch {
            let id = shop.open_sale("the-sale").await;
            let told = shop.settle(&id, Mood::Pay, Duration::ZERO).await;
            shop.ensure(told["phase"] == "paid", || format!("it sells: {told}"));
        }
        shop.conclude().await;
        return shop.stage.strike().await;
    }
    let mood = if state == State::Paying { Mood::Password } else { Mood::WalkAway };
    let id = shop.open_sale("the-sale").await;
    if state == State::AwaitingCode {
        jump.make(hands);
        if jump == Jump::Suspend {
            // It was left lying for longer than an amount waits.
            shop.until_told(&id, |told| told["phase"] == "cancelled").await;
        } else {
            let told = shop.look(&id).await.unwrap_or_default();
            let left = told["cashier"]["seconds_left"].as_u64().unwrap_or_default();
            shop.ensure((500..=600).contains(&left), || format!("it waits for a code: {told}"));
            shop.cancel(&id).await;
        }
        shop.conclude().await;
        return shop.stage.strike().await;
    }
    shop.begin(&id, mood, Duration::from_millis(500)).await;
    if state == State::Reversing {
        shop.cancel(&id).await;
    }
    jump.make(hands);
    if jump == Jump::Epoch {
        // No certificate is valid, so the reversal has to wait until the clock is set.
        let waits = |shop: &Shop| shop.life(&id).iter().any(|step| step.event.contains("never sent"));
        shop.until(|shop| waits(shop) || !shop.sales()[&id].payment.is_open()).await;
        hands.set_wall(0);
    }
    shop.until(|shop| !shop.sales()[&id].payment.is_open()).await;
    let phase = shop.sales()[&id].payment.phase();
    let expected: &[SalePhase] = match (state, jump) {
        // Nobody waits for a password for eleven minutes, unless it was typed just before.
        (State::Paying, Jump::Suspend) => &[SalePhase::Paid, SalePhase::Reversed],
        (State::Paying, _) => &[SalePhase::Paid],
        _ => &[SalePhase::Reversed],
    };
    shop.ensure(expected.contains(&phase), || format!("it is {phase:?}"));
    shop.conclude().await;
    shop.stage.strike().await;
}

/// Waits for a daemon that was not started by the stage.
async fn ready(shop: &Shop) {
    let until = Instant::now() + Duration::from_secs(20);
    while shop.get("/readyz").await.is_none_or(|ready| ready["status"] != "ok") {
        shop.ensure(Instant::now() < until, || "it is not ready".to_owned());
        sleep(Duration::from_millis(5)).await;
    }
}

fn born(shop: &Shop, wall: i64) -> (Born, impl Fn() -> String + use<>) {
    let path = shop.stage.state_dir().with_file_name("born.log");
    let log = File::create(&path).expect("a log");
    let daemon = Born::with_wall(wall, &program(), &shop.stage.configuration(), log);
    (daemon, move || std::fs::read_to_string(&path).unwrap_or_default())
}

/// A board without a battery: no payment is possible before its clock is set, for no certificate is valid yet; then it is,
/// and the log has the right date, without a restart.
#[test]
fn a_boot_in_1970_sells_nothing_until_the_clock_is_set() {
    play(async {
        let mut shop = Shop::patient(1).await;
        let (daemon, log) = born(&shop, to_epoch());
        ready(&shop).await;
        let id = shop.open_sale("in-1970").await;
        shop.ensure(id.contains("700101"), || format!("made in 1970: {id}"));
        let code = shop.customer(Mood::Pay, Duration::ZERO);
        shop.scan(&code).await;
        let told = shop.until_told(&id, |told| told["attempts"][0]["phase"] == "declined").await;
        shop.nothing_was_sent(&told);
        shop.cancel(&id).await;
        daemon.hands.set_wall(0);
        // It follows in a quiet moment: nothing may be asked of it meanwhile.
        shop.until(|_| log().contains("clock was set")).await;
        let today = shop.open_sale("today").await;
        shop.ensure(!today.contains("700101"), || format!("made today: {today}"));
        let told = shop.settle(&today, Mood::Pay, Duration::ZERO).await;
        shop.ensure(told["phase"] == "paid", || format!("it sells: {told}"));
        shop.conclude().await;
        drop(daemon);
        shop.stage.strike().await;
    });
}

/// The next boot has another idea of the time: every wait starts over, and nothing is taken for long over.
#[test]
fn what_is_open_survives_a_boot_with_any_clock() {
    let boots = [DAY, -DAY, 400 * DAY, -400 * DAY];
    in_parallel(4, boots.to_vec(), |wall| {
        play(async {
            let mut shop = Shop::patient(1).await;
            shop.say(&format!("the wall clock is {wall} s off"));
            shop.start().await;
            let id = shop.open_sale("the-sale").await;
            shop.begin(&id, Mood::Password, Duration::from_millis(300)).await;
            shop.stage.kill().await.expect("killed");
            let open = shop.check_dead();
            let (daemon, log) = born(&shop, wall);
            ready(&shop).await;
            shop.check_listed(&open).await;
            shop.until(|shop| !shop.sales()[&id].payment.is_open()).await;
            shop.ensure(!log().contains("needs the manager"), log);
            shop.conclude().await;
            drop(daemon);
            shop.stage.strike().await;
        });
    });
}
