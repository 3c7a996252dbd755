//! The daemon's own desk with the real journal and the real codec, in a simulated world: faults alone and in pairs, clocks
//! that are wrong after a crash, crashes between any two acts. After each payment the books are held against the gateway's.
//!
//! `SHOP_DAYS_PAYMENTS=10000000 cargo test --release --test shop_days -- --nocapture` is the long run. A failure prints
//! its seed and its world: `SHOP_DAYS_SEED=1 SHOP_DAYS_WORLD=7 SHOP_DAYS_PAYMENTS=800` begins with world 7 and ends with it.
//!
//! | file | for |
//! |---|---|
//! | `shop` | the desk, its line, its paper, the world's time |
//! | `payment` | what one payment and its customers bring |
//! | `refunds` | what the manager gives back of a payment |
//! | `given` | what must be true of that |
//! | `faults` | what can go wrong at the gateway, and who the customers are |
//! | `checks` | what must be true |
//! | `loss` | a journal that is lost and put back from the log |
//! | `ears` | what the terminal says in its log |
//! | `lane` | the merchant, the codec and the settings |

mod checks;
mod ears;
mod faults;
mod given;
mod lane;
mod loss;
mod payment;
mod refunds;
mod shop;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use micropayd::gateway::Gateway;
use micropayd::ids::PaymentCode;
use micropayd::input::{Command, Input, Notice, Scan};
use micropayd::journal::{Journal, Settings};
use micropayd::payment::cashier::Language;
use micropayd::payment::{Answer, Cause, Phase, ReversalAnswer, SalePhase};
use micropayd::simulator::mood::Mood;
use micropayd::simulator::weather::{Fault, Rule, Where};
use micropayd::simulator::world::Offer;
use micropayd::terminal::desk::{Act, Desk};
use micropayd::time::Timestamp;
use tokio::sync::oneshot;

use shop::Shop;

/// Payments that share a journal; then the world begins anew, so that a failing seed is short.
const PER_WORLD: u64 = 100;
/// So many payments meet every end of a refund.
const ENOUGH: u64 = 10_000;
/// A long run says so often how far it is.
const REPORT_EVERY: u64 = 20_000;

/// What all threads share: which world is next, and how many payments have come to rest without a violation.
struct Run {
    seed: u64,
    payments: u64,
    worlds: AtomicU64,
    done: AtomicU64,
    /// How many refunds ended how.
    refunds: Mutex<BTreeMap<&'static str, u64>>,
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
            let mut shop = Shop::new(dir.path(), seed_of(self.seed, world));
            for number in 0..PER_WORLD.min(self.payments - first) {
                let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| shop.payment(number)));
                if let Err(panic) = outcome {
                    eprintln!("seed {}, world {world}, payment {number} in it", self.seed);
                    std::panic::resume_unwind(panic);
                }
                self.count();
            }
            for (end, count) in shop.check_totals() {
                *self.refunds.lock().unwrap().entry(end).or_default() += count;
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

/// What a world of a run is drawn from.
fn seed_of(seed: u64, world: u64) -> u64 {
    seed.wrapping_mul(1_000_003).wrapping_add(world)
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
        refunds: Mutex::default(),
        began: Instant::now(),
    };
    ears::listen();
    let threads = std::thread::available_parallelism().map_or(1, |n| n.get());
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| run.work());
        }
    });
    let (done, seconds) = (run.done.load(Ordering::Relaxed), run.began.elapsed().as_secs());
    let refunds = run.refunds.into_inner().unwrap();
    println!("{done} payments in {seconds} s, seed {}, refunds {refunds:?}: no violation", run.seed);
    let met = |end| refunds.get(end).is_some_and(|count| *count > 0);
    assert!(
        done < ENOUGH || ["returned", "stuck", "refused", "closed", "put back"].into_iter().all(met),
        "every end of a refund is met: {refunds:?}"
    );
}

/// What a seed told once it tells again, whatever the machine is busy with: the copies of a day, crashes and lost journals
/// are all in it.
#[test]
fn a_world_that_is_played_again_is_the_same() {
    ears::listen();
    let play = || {
        let dir = tempfile::tempdir().expect("a directory");
        let mut shop = Shop::new(dir.path(), seed_of(102, 3_884));
        let mut told = Vec::new();
        for number in 0..PER_WORLD {
            shop.payment(number);
            told.extend(shop.story.drain(..).map(without_chance));
            told.extend(copies(dir.path()));
        }
        assert!(!copies(dir.path()).is_empty() && shop.put_back > 0 && shop.life > 10);
        told
    };
    let (once, again) = (play(), play());
    assert_eq!(once.len(), again.len());
    for (once, again) in once.iter().zip(&again) {
        assert_eq!(once, again);
    }
}

/// What is among the copies of the days, begun ones too.
fn copies(state: &Path) -> BTreeSet<String> {
    let entries = std::fs::read_dir(state.join("backup")).into_iter().flatten();
    entries.map(|entry| entry.expect("readable").file_name().into_string().expect("a name")).collect()
}

/// A line of a story without the six letters of each sale's number that the terminal draws for itself.
fn without_chance(line: String) -> String {
    const FIXED: usize = "T01261121000001".len();
    let (mut told, mut rest) = (String::new(), line.as_str());
    while let Some(begin) = rest.find("T01") {
        told.push_str(&rest[..begin + FIXED]);
        rest = &rest[begin + FIXED + 6..];
    }
    told + rest
}

/// The first code was refused and charged all the same, which the last look finds; the second has paid long ago.
#[test]
fn money_that_goes_back_stays_on_the_list_of_a_sale_that_is_paid() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut shop = Shop::new(dir.path(), 1);
    let id = shop.open(1250, "key").expect("a sale");
    for (api, fault) in [(Where::Micropay, Fault::FailButPaid), (Where::Orderquery, Fault::NotExist)] {
        shop.front.weather.add(shop.now, Rule::once(api, fault));
    }
    for _ in 0..2 {
        let (code, _) = shop.front.world.new_code(shop.now, Mood::Pay, Offer::default());
        let code = PaymentCode::parse(&code).expect("a code");
        shop.give(Input::Scan(Scan::Code("scanner".to_owned(), code)));
        shop.pass(Duration::from_secs(5));
    }
    let mut going_back = 0;
    while shop.turn() {
        let payment = shop.sale(&id).payment;
        assert_eq!(payment.phase(), SalePhase::Paid);
        going_back += usize::from(matches!(payment.attempts[0].phase, Phase::Reversing(_)));
        shop.check_list(&id);
    }
    assert!(going_back > 0, "the last look finds the money\n{}", shop.story.join("\n"));
    shop.check_rest(&id);
}

/// It can be on its way for days, or stuck until somebody sees to it: meanwhile a terminal that started in 1970 learns the
/// date.
#[test]
fn a_refund_that_does_not_end_does_not_keep_the_clock_wrong() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut shop = Shop::new(dir.path(), 1);
    let id = shop.open(1250, "key").expect("a sale");
    let (code, _) = shop.front.world.new_code(shop.now, Mood::Pay, Offer::default());
    let code = PaymentCode::parse(&code).expect("a code");
    shop.give(Input::Scan(Scan::Code("scanner".to_owned(), code)));
    shop.pass(Duration::from_secs(60));
    shop.front.weather.add(shop.now, Rule::once(Where::Refund, Fault::RefundChange));
    shop.ask_refund(&id, 1250, "refund");
    assert!(shop.desk().has_waits(), "it is being asked for");
    shop.pass(Duration::from_secs(60));
    assert_eq!(shop.sale(&id).refunds[0].phase.label(), "stuck");
    assert!(!shop.desk().has_waits(), "the clock can be set");
    let day = 24 * 60 * 60 * 1_000;
    let set = Timestamp(shop.clock().0 - day);
    shop.desk().take_acts();
    shop.desk().clock_set(set);
    let asks = shop.desk().take_acts().iter().any(|act| matches!(act, Act::Refund(..)));
    let next = shop.desk().next_tick().expect("it is looked at again");
    assert!(asks && next.since(set) < Duration::from_secs(60), "its timer goes by the new clock: {next:?}");
}

/// What waits for its turn behind hundreds of others has heard nothing of the line, and tells nothing of it.
#[test]
fn only_what_was_heard_of_the_line_is_told_of_it() {
    let dir = tempfile::tempdir().expect("a directory");
    let gateway: Arc<dyn Gateway> = Arc::new(lane::codec());
    let opened = Journal::open(&Settings { dir: dir.path().join("state") }, &lane::terminal());
    let now = Timestamp(1_795_233_600_000);
    let setup = lane::setup(&gateway, Language::English);
    let mut desk = Desk::start(setup, opened.expect("a journal"), None, now).expect("a desk");
    let mut told = |answer: Answer| -> Vec<(bool, String)> {
        desk.handle(Input::Queried("T01261128000001AAAAAA".parse().expect("an id"), 1, 1, answer), now);
        let line = |act| match act {
            Act::Tell(Notice::Gateway(up, text)) => Some((up, text)),
            _ => None,
        };
        desk.take_acts().into_iter().filter_map(line).collect()
    };
    assert_eq!(told(Answer::NeverSent(Cause::NoTurn)), []);
    assert_eq!(told(Answer::NotFound), [(true, String::new())]);
    assert_eq!(told(Answer::NeverSent(Cause::NoTurn)), []);
    assert_eq!(told(Answer::NeverSent(Cause::Connect)), [(false, Cause::Connect.to_string())]);
    assert_eq!(told(Answer::NeverSent(Cause::NoTurn)), []);
    assert_eq!(told(Answer::Unknown(Cause::Code("SYSTEMERROR".to_owned()))), [(true, String::new())]);
}

/// What was asked for again is answered only once, for the machine: an older answer can be of another time.
#[test]
fn only_the_answer_to_the_newest_request_reaches_the_machine() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut shop = Shop::new(dir.path(), 1);
    let id = shop.open(1250, "key").expect("a sale");
    let mut now = shop.clock();
    let (code, _) = shop.front.world.new_code(shop.now, Mood::Pay, Offer::default());
    let code = PaymentCode::parse(&code).expect("a code");
    let (records, desk) = (shop.desk().records(), shop.desk());
    let phase = || records.sale(&id).expect("readable").expect("kept").payment.phase();
    desk.handle(Input::Scan(Scan::Code("scanner".to_owned(), code)), now);
    desk.settle(now);
    desk.handle(Input::Command(Command::Cancel(id.clone(), oneshot::channel().0)), now);
    desk.take_acts();
    // Two reverse requests that nobody has answered yet, and two queries.
    let (mut reversals, mut queries) = (Vec::new(), Vec::new());
    while reversals.len() < 2 || queries.len() < 2 {
        now = desk.next_tick().expect("a timer").max(now);
        desk.tick(now);
        desk.handle(Input::Command(Command::Check(id.clone(), oneshot::channel().0)), now);
        for act in desk.take_acts() {
            match act {
                Act::Reverse(_, _, _, number) => reversals.push(number),
                Act::Query(_, _, _, number) => queries.push(number),
                _ => {}
            }
        }
    }
    let (newest_reversal, newest_query) = (reversals.pop().expect("asked"), queries.pop().expect("asked"));
    for number in queries {
        desk.handle(Input::Queried(id.clone(), 1, number, Answer::Closed), now);
        assert_eq!(phase(), SalePhase::Reversing, "query {number}");
    }
    for (number, is_heard) in
        reversals.into_iter().map(|number| (number, false)).chain([(newest_reversal, true)])
    {
        desk.handle(Input::Reversed(id.clone(), 1, number, ReversalAnswer::Done), now);
        let asks = desk.take_acts().iter().any(|act| matches!(act, Act::Query(..)));
        assert_eq!(asks, is_heard, "reverse request {number}");
    }
    // The reversal's own query took the place of this one.
    desk.handle(Input::Queried(id.clone(), 1, newest_query, Answer::Closed), now);
    assert_eq!(phase(), SalePhase::Reversing);
    desk.handle(Input::Queried(id.clone(), 1, newest_query + 1, Answer::Closed), now);
    assert_eq!(phase(), SalePhase::Reversed);
}
