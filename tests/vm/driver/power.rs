//! A shop on a real disk whose machine loses its power at any moment: sells until then, and after the last cut holds the
//! journal against the books of the gateway outside. See `tests/vm/power`.

use std::collections::BTreeMap;
use std::fs;
use std::io::copy;
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::thread::{sleep, spawn};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::figures::Dice;
use crate::shop::{Daemon, Gateway, text};
use crate::until;

/// The host, as QEMU's user network shows it.
const OUTSIDE: &str = "10.0.2.2";

/// How long an order may stay in doubt when nothing goes wrong any more: the life of a code, a reversal, and its check.
const REST_WITHIN: f64 = 240.0;

/// How the customers behave: most pay.
const MOODS: [&str; 10] =
    ["pay", "pay", "pay", "pay", "pay", "pay", "password", "cancel", "walk_away", "poor"];

/// Sells until the power is cut.
pub fn live() -> Result<()> {
    let (gateway, config) = shop()?;
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
    let mut dice = Dice::new(since.as_nanos() as u64);
    println!("start");
    let daemon = Daemon::start(&config)?;
    loop {
        let mood = MOODS[dice.roll(MOODS.len() as u64) as usize];
        let code = gateway.code(mood)?;
        let Ok(id) = daemon.open(100 + dice.roll(900) as u32) else {
            // One from before the cut is still in hand.
            for payment in daemon.payments()?.iter().take(3) {
                let _ = daemon.cancel(text(&payment["id"]));
            }
            sleep(Duration::from_millis(200));
            continue;
        };
        println!("open {id}");
        // It is refused while the sale before is being given back.
        if daemon.scan(&code).is_err() {
            sleep(Duration::from_millis(200));
            continue;
        }
        let end = Instant::now() + Duration::from_secs(5);
        while Instant::now() < end {
            let payment = daemon.payment(&id)?;
            if payment["money"] == "taken" {
                println!("told {id}");
                break;
            }
            if payment["money"] == "none" && payment["phase"] != "paying" {
                break;
            }
            sleep(Duration::from_millis(20));
        }
        if daemon.payment(&id)?["money"] == "possible" {
            let _ = daemon.cancel(&id);
        }
    }
}

/// Lets everything come to rest and compares.
pub fn settle() -> Result<()> {
    let (gateway, config) = shop()?;
    let daemon = Daemon::start(&config)?;
    let mut payments = Vec::new();
    until("no money in doubt", REST_WITHIN, || {
        payments = daemon.payments()?;
        sleep(Duration::from_millis(500));
        Ok(payments.iter().all(|payment| payment["money"] != "possible").then_some(()))
    })?;
    // What the journal says of each order: the sale, and the fen that are the shop's.
    let mut books = BTreeMap::new();
    for payment in &payments {
        if payment["money"] == "taken" {
            println!("taken {}", text(&payment["id"]));
        }
        for attempt in payment["attempts"].as_array().into_iter().flatten() {
            let fen = if attempt["phase"] == "paid" { payment["amount"].as_u64() } else { Some(0) };
            books.insert(text(&attempt["order_no"]).to_owned(), (text(&payment["id"]).to_owned(), fen));
        }
    }
    let (mut wrong, mut held) = (Vec::new(), BTreeMap::<String, u64>::new());
    let orders = gateway.orders()?;
    for order in &orders {
        let number = text(&order["out_trade_no"]);
        let fen = order["charged"].as_u64().unwrap_or(0) - order["returned"].as_u64().unwrap_or(0);
        match books.get(number) {
            Some((sale, said)) if *said == Some(fen) => {
                if fen > 0 {
                    *held.entry(sale.clone()).or_default() += 1;
                }
            }
            Some((_, said)) => wrong.push(format!("{number}: gateway holds {fen}, journal says {said:?}")),
            None => wrong.push(format!("{number}: not in the journal, gateway holds {fen}")),
        }
    }
    wrong.extend(
        held.iter().filter(|(_, orders)| **orders > 1).map(|(sale, _)| format!("{sale}: charged twice")),
    );
    let paid = payments.iter().filter(|payment| payment["money"] == "taken").count();
    wrong.extend((paid != held.len()).then(|| format!("{paid} sales paid, {} charged", held.len())));
    // What is printed twice says so, and nothing that is paid has neither paper nor a word.
    for payment in payments.iter().filter(|payment| payment["money"] == "taken") {
        let (id, state) = (text(&payment["id"]), text(&payment["receipt"]["state"]));
        let (unmarked, all) = receipts(id)?;
        if unmarked > 1 || (all == 0 && state == "printed") || state == "none" {
            wrong.push(format!("{id}: receipt {state}, {all} on paper, {unmarked} without a mark"));
        }
    }
    for what in &wrong {
        println!("power: wrong: {what}");
    }
    println!("power: {} sales, {} orders at the gateway, {paid} paid", payments.len(), orders.len());
    if wrong.is_empty() {
        println!("power: all books agree");
    }
    Ok(())
}

/// The disk, the cable to the gateway, and the shop's configuration.
fn shop() -> Result<(Gateway, String)> {
    fs::create_dir_all("/disk")?;
    until("a disk", 5.0, || Ok(fs::exists("/dev/vda")?.then_some(())))?;
    run(&["mount", "-t", "ext4", "/dev/vda", "/disk"])?;
    run(&["ip", "addr", "add", "10.0.2.15/24", "dev", "eth0"])?;
    run(&["ip", "link", "set", "eth0", "up"])?;
    let facts: Value = serde_json::from_slice(&fs::read("/disk/facts")?)?;
    let address = text(&facts["base_url"]).trim_start_matches("http://").to_owned();
    let port = address.rsplit(':').next().context("no port")?.to_owned();
    let listener = TcpListener::bind(&address)?;
    spawn(move || {
        for near in listener.incoming().flatten() {
            let port = port.clone();
            spawn(move || -> Result<()> {
                let far = TcpStream::connect(format!("{OUTSIDE}:{port}"))?;
                let (mut from, mut to) = (near.try_clone()?, far.try_clone()?);
                spawn(move || {
                    let _ = copy(&mut from, &mut to);
                    let _ = to.shutdown(std::net::Shutdown::Write);
                });
                let (mut from, mut to) = (far, near);
                let _ = copy(&mut from, &mut to);
                let _ = to.shutdown(std::net::Shutdown::Both);
                Ok(())
            });
        }
    });
    let gateway = Gateway::outside(facts)?;
    fs::create_dir_all("/disk/paper")?;
    let config = gateway.shop_in("/disk", "[printer]\nkind = \"file\"\npath = \"/disk/paper\"\n")?;
    Ok((gateway, config))
}

fn run(command: &[&str]) -> Result<()> {
    let done = Command::new("/bin/busybox").args(command).status()?;
    ensure!(done.success(), "{command:?} failed");
    Ok(())
}

/// How many receipts of a sale there are: those that do not say that they may be copies, and all.
fn receipts(id: &str) -> Result<(usize, usize)> {
    let has = |paper: &[u8], what: &str| {
        let (what, ..) = encoding_rs::GB18030.encode(what);
        paper.windows(what.len()).any(|bytes| bytes == &*what)
    };
    let (mut unmarked, mut all) = (0, 0);
    for paper in fs::read_dir("/disk/paper")?.flatten() {
        let paper = fs::read(paper.path())?;
        if has(&paper, id) {
            all += 1;
            unmarked += usize::from(!has(&paper, "【可能重复】") && !has(&paper, "【补打】"));
        }
    }
    Ok((unmarked, all))
}
