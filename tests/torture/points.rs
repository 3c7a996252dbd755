//! `docs/crash-points.md`: where the money is at every point at which the daemon can die, and what the next start does.
//! Found by the daemon's own desk, journal and codec against the simulated gateway, one life a point.

use std::collections::VecDeque;
use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use micropayd::gateway::{Call, Gateway, Outcome, Request};
use micropayd::ids::{PaymentCode, SaleId};
use micropayd::input::{Command, Input, PrintOutcome, Printed, Scan};
use micropayd::journal::{self, Journal, JournalError};
use micropayd::money::Amount;
use micropayd::payment::cashier::Language;
use micropayd::payment::{Cause, Policy, SalePhase};
use micropayd::printer::Job;
use micropayd::receipt::Copy;
use micropayd::refund::Asked;
use micropayd::sale::{NewRefund, NewSale, Sale, told};
use micropayd::simulator::fields::Api;
use micropayd::simulator::front::{Answer, Certificate, Delivery, Front};
use micropayd::simulator::mood::Mood;
use micropayd::simulator::weather::{Fault, Rule, Where};
use micropayd::simulator::world::{Offer, Rules, World};
use micropayd::terminal::desk::{Act, Desk};
use micropayd::time::Timestamp;

use crate::lane;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/crash-points.md");
/// From the crash to the next start.
const DEAD: Duration = Duration::from_secs(20);

/// What a page's table is about.
struct Story {
    title: &'static str,
    customer: Mood,
    /// What goes wrong once with the pay request.
    fault: Option<Fault>,
    /// Somebody looks at it in the end, and the gateway's answer is from before the money came.
    doubted: bool,
    /// The manager gives a part back in the end, and the answer to the first request is lost.
    refunded: bool,
}

const STORIES: [Story; 7] = [
    story("The customer types a password and pays", Mood::Password),
    Story { fault: Some(Fault::LostAfter), ..story("Paid, but the answer is lost", Mood::Pay) },
    Story { doubted: true, ..story("Paid, and an old answer to a check says closed", Mood::Pay) },
    story("The customer walks away", Mood::WalkAway),
    story("The customer has too little money", Mood::Poor),
    story("The code is no longer valid", Mood::Expired),
    Story {
        refunded: true,
        ..story("The manager gives a part back, and the first answer is lost", Mood::Pay)
    },
];

const fn story(title: &'static str, customer: Mood) -> Story {
    Story { title, customer, fault: None, doubted: false, refunded: false }
}

/// The daemon dies here.
struct Crash;

struct Life<'a> {
    dir: &'a Path,
    desk: Option<Desk>,
    front: Front,
    gateway: Arc<dyn Gateway>,
    now: Timestamp,
    queue: VecDeque<(String, Input)>,
    /// Points to pass before the crash; none when it has happened.
    left: Option<u32>,
    at: String,
    /// What the gateway and the printer were asked for, since the last start.
    asked: Vec<String>,
    rows: u64,
    papers: Vec<bool>,
}

impl Life<'_> {
    fn desk(&mut self) -> &mut Desk {
        self.desk.as_mut().expect("the desk is up")
    }

    fn boot(&mut self) -> Vec<Act> {
        let settings = journal::Settings { dir: self.dir.to_owned() };
        // Another test of this process that is just starting a daemon holds our lock until its child has become one.
        let until = std::time::Instant::now() + Duration::from_secs(10);
        let opened = loop {
            match Journal::open(&settings, &lane::terminal()) {
                Ok(opened) => break opened,
                Err(JournalError::InUse { .. }) if std::time::Instant::now() < until => {
                    std::thread::yield_now()
                }
                Err(error) => panic!("the journal opens: {error}"),
            }
        };
        let setup = lane::setup(&self.gateway, Language::English);
        let mut desk = Desk::start(setup, opened, None, self.now).expect("what was open is taken up");
        let acts = desk.take_acts();
        self.desk = Some(desk);
        acts
    }

    fn point(&mut self, at: impl FnOnce() -> String) -> Result<(), Crash> {
        match self.left {
            Some(0) => {
                self.at = at();
                self.left = None;
                return Err(Crash);
            }
            Some(left) => self.left = Some(left - 1),
            None => {}
        }
        Ok(())
    }

    /// The rows that were kept since the last look, without what differs between two sales.
    fn new_rows(&mut self) -> Vec<String> {
        let records = self.desk().records();
        let steps = records.after(self.rows, 100).expect("readable");
        self.rows = steps.last().map_or(self.rows, |step| step.sequence);
        let plain = |id: &SaleId, event: &str| {
            let event = event.replace(&format!("{id}01 "), "").replace(&format!("{id}02 "), "attempt 2 ");
            let number = |word: &&str| {
                ["4200", "5000", "…"].iter().any(|start| word.starts_with(start))
                    || word.starts_with(id.as_str())
            };
            let words: Vec<&str> = event.split(' ').filter(|word| !number(word)).collect();
            words.join(" ")
        };
        steps.iter().map(|step| format!("`{}`", plain(&step.sale.id, &step.event))).collect()
    }

    fn rows_point(&mut self) -> Result<(), Crash> {
        let rows = self.new_rows();
        if rows.is_empty() { Ok(()) } else { self.point(|| format!("after the row {}", rows.join(" and "))) }
    }

    fn give(&mut self, name: &str, input: Input) -> Result<(), Crash> {
        self.point(|| format!("before anything is done about: {name}"))?;
        let now = self.now;
        self.desk().handle(input, now);
        self.follow()
    }

    fn follow(&mut self) -> Result<(), Crash> {
        let acts = self.desk().take_acts();
        self.rows_point()?;
        self.carry_out(acts)?;
        let now = self.now;
        self.desk().settle(now);
        self.desk().take_acts();
        self.rows_point()
    }

    fn carry_out(&mut self, acts: Vec<Act>) -> Result<(), Crash> {
        for act in acts {
            let what = match act {
                Act::Pay(id, n, order, code) => {
                    let call = self.gateway.pay(&order, code);
                    let answer = self.send(call, Api::Micropay);
                    let input = Input::Answered(id, n, answer);
                    self.queue.push_back(("the gateway's answer to pay".to_owned(), input));
                    "the pay request"
                }
                Act::Query(id, n, order, number) => {
                    let call = self.gateway.query(&order);
                    let answer = self.send(call, Api::Orderquery);
                    let input = Input::Queried(id, n, number, answer);
                    self.queue.push_back(("the gateway's answer to the query".to_owned(), input));
                    "a query"
                }
                Act::Reverse(id, n, order, number) => {
                    let call = self.gateway.reverse(&order);
                    let answer = self.send(call, Api::Reverse);
                    let input = Input::Reversed(id, n, number, answer);
                    self.queue.push_back(("the gateway's answer to the reversal".to_owned(), input));
                    "a reversal"
                }
                Act::Refund(id, n, asked, refund, number) => {
                    let (call, api, what) = match asked {
                        Asked::Refund => (self.gateway.refund(&refund), Api::Refund, "the refund request"),
                        Asked::Query => {
                            (self.gateway.query_refund(&refund), Api::Refundquery, "a query of the refund")
                        }
                    };
                    let answer = self.send(call, api);
                    let input = Input::Refunded(id, n, asked, number, answer);
                    self.queue.push_back((format!("the gateway's answer to {what}"), input));
                    what
                }
                Act::Print(Job::Receipt(job, receipt)) => {
                    self.papers.push(receipt.copy != Copy::Original);
                    let input = Input::Print(Printed { job, outcome: PrintOutcome::Printed });
                    self.queue.push_back(("the printer's word".to_owned(), input));
                    "the receipt"
                }
                Act::Print(Job::Drawer) | Act::Warm | Act::Tell(_) => continue,
            };
            if !self.asked.iter().any(|asked| asked == what) {
                self.asked.push(what.to_owned());
            }
            self.point(|| format!("after {what} has left"))?;
        }
        Ok(())
    }

    fn send<A: Outcome>(&mut self, call: Call<A>, api: Api) -> A {
        let request: Request<A> = match call {
            Call::Send(request) => request,
            Call::NotSendable(answer) => return answer,
        };
        match self.front.call(self.now, api, &request.body, Certificate::NotAsked) {
            Delivery::Answer(Answer { status, body, .. }) => (request.read)(status, &body),
            _ => A::unknown(Cause::ConnectionLost),
        }
    }

    /// Everything that follows by itself, until nothing does.
    fn rest(&mut self) -> Result<(), Crash> {
        loop {
            if let Some((name, input)) = self.queue.pop_front() {
                self.now = self.now + Duration::from_millis(50);
                self.give(&name, input)?;
            } else if let Some(at) = self.desk().next_tick() {
                self.now = self.now.max(at);
                let now = self.now;
                self.desk().tick(now);
                self.follow()?;
            } else {
                return Ok(());
            }
        }
    }

    fn sale(&mut self) -> Option<Sale> {
        let reader = journal::read_only(&journal::Settings { dir: self.dir.to_owned() }).expect("readable");
        reader.by_key("key").expect("readable")
    }

    fn play(&mut self, story: &Story) -> Result<(), Crash> {
        let mood = story.customer;
        let (reply, _answer) = tokio::sync::oneshot::channel();
        let amount = Amount::from_fen(1250).unwrap();
        let new = NewSale { amount, reference: None, subject: None, with_code: false };
        self.give("the amount", Input::Command(Command::Open(new, "key".to_owned(), None, reply)))?;
        self.now = self.now + Duration::from_secs(3);
        let (code, _) = self.front.world.new_code(self.now, mood, Offer::default());
        let code = PaymentCode::parse(&code).expect("a code");
        self.give("the scan", Input::Scan(Scan::Code("scanner".to_owned(), code)))?;
        if matches!(mood, Mood::Poor | Mood::Expired) {
            // The cashier gives up when the terminal asks for another code.
            while let Some((name, input)) = self.queue.pop_front() {
                self.give(&name, input)?;
            }
            let now = self.now;
            if let Some(at) = self.desk().next_tick().filter(|_| !self.awaits()) {
                self.now = now.max(at);
            }
        }
        self.rest()?;
        if story.doubted {
            let says =
                Rule { state: Some("CLOSED".to_owned()), ..Rule::once(Where::Orderquery, Fault::Says) };
            self.front.weather.add(self.now, says);
            let id = self.sale().expect("a sale").id;
            let (reply, _answer) = tokio::sync::oneshot::channel();
            self.give("a check", Input::Command(Command::Check(id, reply)))?;
            self.rest()?;
        }
        if story.refunded {
            self.front.weather.add(self.now, Rule::once(Where::Refund, Fault::LostAfter));
            let id = self.sale().expect("a sale").id;
            let (reply, _answer) = tokio::sync::oneshot::channel();
            let new = NewRefund { amount: Amount::from_fen(500).unwrap(), reason: None };
            self.give("the refund", Input::Command(Command::Refund(id, new, "refund".to_owned(), reply)))?;
            self.rest()?;
        }
        Ok(())
    }

    fn awaits(&mut self) -> bool {
        self.sale().is_some_and(|sale| sale.payment.phase() == SalePhase::AwaitingCode)
    }

    /// Where the gateway says that the money is.
    fn money(&mut self) -> String {
        let Some(sale) = self.sale() else { return "with the customer".to_owned() };
        let mut money = "with the customer";
        for n in 1..=9 {
            if let Some(order) = self.front.world.order(self.now, sale.id.order(n).as_str()) {
                match (order.charged, order.returned) {
                    (charged, returned) if charged == returned && charged > 0 => money = "given back",
                    (0, _) => {}
                    (_, 0) => return "taken".to_owned(),
                    (_, returned) => {
                        return format!("taken, {} of it given back", Amount::from_fen(returned).unwrap());
                    }
                }
            }
        }
        money.to_owned()
    }
}

fn journal_says(sale: Option<&Sale>) -> String {
    let Some(sale) = sale else { return "nothing".to_owned() };
    let refunds = sale.refunds.iter().map(|refund| format!(", refund {}", refund.phase.label()));
    sale.payment.phase().label().to_owned() + &refunds.collect::<String>()
}

/// The row of the table for a crash at the `k`-th point; `None` when the story has fewer.
fn row(story: usize, k: u32) -> Option<String> {
    let story = &STORIES[story];
    let dir = tempfile::tempdir().expect("a directory");
    let mut life = Life {
        dir: dir.path(),
        desk: None,
        front: Front::new(lane::merchant(), World::new(1, Rules::default()), 1),
        gateway: Arc::new(lane::codec()),
        now: Timestamp(1_795_233_600_000),
        queue: VecDeque::new(),
        left: Some(k),
        at: String::new(),
        asked: Vec::new(),
        rows: 0,
        papers: Vec::new(),
    };
    if let Some(fault) = story.fault {
        life.front.weather.add(life.now, Rule::once(Where::Micropay, fault));
    }
    life.boot();
    if life.play(story).is_ok() {
        return None;
    }
    life.desk = None;
    life.queue.clear();
    life.asked.clear();
    let (said, money) = (journal_says(life.sale().as_ref()), life.money());
    life.now = life.now + DEAD;
    let acts = life.boot();
    let first = life.sale().map(|sale| told(&sale, life.now, &Policy::default(), Language::English).text);
    life.rows = life.desk().records().newest().expect("readable");
    let _ = life.carry_out(acts);
    let _ = life.rest();
    let sale = life.sale();
    let (end, held) = (journal_says(sale.as_ref()), life.money());
    let paid = sale.as_ref().is_some_and(|sale| sale.payment.phase() == SalePhase::Paid);
    assert_eq!(paid, held.starts_with("taken"), "{}: the journal says {end}, the money is {held}", life.at);
    assert_eq!(
        end.contains("refund returned"),
        held.contains("given back") && paid,
        "{}: {end}, {held}",
        life.at
    );
    assert!(!end.contains("refund") || end.ends_with("refund returned"), "{}: {end}", life.at);
    let unmarked = life.papers.iter().filter(|marked| !**marked).count();
    assert!(unmarked <= 1, "{}: {unmarked} unmarked receipts", life.at);
    let receipt = sale.as_ref().map_or("none", |sale| sale.receipt.label());
    assert!(!paid || receipt == "printed" || receipt == "unconfirmed", "{}: receipt {receipt}", life.at);
    let asks = if life.asked.is_empty() { "nothing".to_owned() } else { life.asked.join(", ") };
    Some(format!(
        "| {} | {said} | {money} | {} | {asks} | {end}, receipt {receipt} | {held} |",
        life.at,
        first.unwrap_or_else(|| "–".to_owned()),
    ))
}

#[test]
fn every_crash_point_is_on_the_public_page() {
    let mut page = String::from(
        "# Where the money is when the terminal dies\n\n\
         This page is written by `UPDATE_CRASH_POINTS=1 cargo test --test torture crash_point`; the ordinary tests compare it.\n\
         Each line is one life of the terminal's own desk, journal and gateway codec: it plays the story up to the point,\n\
         dies without a word, and is started again 20 seconds later. Nobody does anything then: no new scan, no cancel.\n\n\
         *Journal* is what the disk says at the moment of death, *money* what the gateway says. *Cashier* is the sentence after\n\
         the next start; *does* is what the terminal asks gateway and printer for from then on; *ends* is where all comes to\n\
         rest. The terminal never sends a second pay request; a refund it may ask for again, under the same number. Rows written one right after the other are one point here; the\n\
         kill at every system call (`tests/torture/calls.rs`) tries what lies between them.\n",
    );
    for (story, Story { title, .. }) in STORIES.iter().enumerate() {
        let _ = write!(
            page,
            "\n## {title}\n\n| dies | journal | money | cashier | does | ends | money then |\n|---|---|---|---|---|---|---|\n"
        );
        let mut last = String::new();
        for k in 0.. {
            let Some(row) = row(story, k) else { break };
            assert!(k < 400, "the story ends");
            // Polls repeat themselves.
            if row != last {
                let _ = writeln!(page, "{row}");
            }
            last = row;
        }
    }
    if std::env::var_os("UPDATE_CRASH_POINTS").is_some() {
        std::fs::write(PAGE, &page).expect("the page is written");
    }
    let kept = std::fs::read_to_string(PAGE).unwrap_or_default();
    assert!(
        kept == page,
        "docs/crash-points.md is not what the terminal does\nhelp: UPDATE_CRASH_POINTS=1 cargo test --test torture crash_point, and look at the difference"
    );
}
