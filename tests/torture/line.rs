//! The line to the gateway, broken in every way that a shop sees, under the real binary: what is provably not sent is told
//! as that and soon, what is not known stays open, and nobody hands over goods on either.

use std::time::Duration;

use micropayd::payment::SalePhase;
use micropayd::simulator::mood::Mood;
use micropayd::simulator::weather::{Fault, Rule, Where};

use crate::hosts::{BAD, Bad, Host};
use crate::in_parallel;
use crate::shop::{CONNECT, Shop, play};

/// What may be added to a time-out until the cashier is told.
const SOON: Duration = Duration::from_secs(1);
/// Shops at the same time.
const SHOPS: u64 = 6;

/// A sale whose code was read.
async fn sale(shop: &mut Shop, mood: Mood, after: u64) -> String {
    let id = shop.open_sale("the-sale").await;
    let code = shop.customer(mood, Duration::from_millis(after));
    shop.scan(&code).await;
    id
}

fn no_pay_request(shop: &Shop) {
    shop.ensure(shop.pay_requests() == 0, || "a pay request arrived".to_owned());
    shop.ensure(shop.stage.charged() == 0, || "somebody was charged".to_owned());
}

#[test]
fn a_line_that_is_provably_down_is_told_within_the_connect_timeout_and_a_second() {
    let alone = BAD.iter().map(|bad| vec![*bad]);
    let pairs = [[Bad::Silent, Bad::Silent], [Bad::Mute, Bad::Silent], [Bad::Refused, Bad::Stranger]];
    let lines: Vec<Vec<Bad>> = alone.chain(pairs.iter().map(|pair| pair.to_vec())).collect();
    let lines: Vec<&[Bad]> = lines.iter().map(Vec::as_slice).collect();
    in_parallel(SHOPS, lines, |line| {
        play(async {
            let mut shop = Shop::open(1).await;
            shop.say(&format!("{line:?}"));
            let hosts: Vec<Host> = line.iter().map(|bad| Host::bad(*bad, &shop)).collect();
            shop.gateway_at(&hosts);
            let mut connect = CONNECT;
            if hosts.len() > 1 {
                // Long enough to see that the hosts share it.
                connect = Duration::from_millis(1500);
                shop.configure("connect_timeout", "\"1500ms\"");
                shop.configure("request_timeout", "\"2s\"");
                shop.configure("give_up_after", "\"4s\"");
            }
            shop.start().await;
            // At once: the connection that is opened ahead of the code hangs, too.
            let id = sale(&mut shop, Mood::Pay, 0).await;
            let told = shop.until_told(&id, |told| told["attempts"][0]["phase"] == "declined").await;
            shop.nothing_was_sent(&told);
            let wait = shop.wait_until(&id, "never sent");
            shop.ensure(wait <= connect + SOON, || format!("told after {wait:?}"));
            let status = shop.get("/v1/status").await.unwrap_or_default();
            shop.ensure(status["gateway"]["line"] == "down", || format!("the status: {}", status["gateway"]));
            shop.conclude().await;
            no_pay_request(&shop);
            shop.stage.strike().await;
        });
    });
}

#[test]
fn a_good_host_is_found_before_and_behind_a_bad_one() {
    let lines: Vec<(Bad, bool)> = BAD.iter().flat_map(|bad| [(*bad, true), (*bad, false)]).collect();
    in_parallel(SHOPS, lines, |(bad, bad_first)| {
        play(async {
            let mut shop = Shop::patient(1).await;
            shop.say(&format!("{bad:?}, first: {bad_first}"));
            let mut hosts = vec![Host::bad(bad, &shop), Host::gateway(&shop)];
            if !bad_first {
                hosts.reverse();
            }
            shop.gateway_at(&hosts);
            shop.start().await;
            let id = shop.open_sale("the-sale").await;
            let told = shop.settle(&id, Mood::Pay, Duration::ZERO).await;
            shop.ensure(told["phase"] == "paid", || format!("it was paid at the good host: {told}"));
            shop.conclude().await;
            shop.stage.strike().await;
        });
    });
}

/// The first host has the request and dies: the second is asked what became of it, and is not asked to pay.
#[test]
fn a_payment_whose_host_dies_is_looked_up_at_the_other() {
    play(async {
        let mut shop = Shop::patient(1).await;
        shop.gateway_at(&[Host::at_the_line(&shop), Host::gateway(&shop)]);
        shop.stage.gateway.set_weather(vec![Rule::once(Where::Micropay, Fault::Hang)]);
        shop.start().await;
        let id = shop.open_sale("the-sale").await;
        shop.begin(&id, Mood::Pay, Duration::ZERO).await;
        shop.stage.line.pull().await;
        shop.until_told(&id, |told| told["phase"] == "paid").await;
        shop.conclude().await;
        shop.ensure(shop.pay_requests() == 1, || "it was asked to pay twice".to_owned());
        shop.stage.strike().await;
    });
}

/// What came back was no answer of the gateway's: not known, never "not paid", until the gateway itself has said so.
#[test]
fn a_portal_a_redirect_a_drip_and_a_hang_leave_it_open_until_the_gateway_has_spoken() {
    let faults = [
        Fault::Portal,
        Fault::Status301,
        Fault::Status302,
        Fault::Status307,
        Fault::Status429,
        Fault::Html,
        Fault::Empty,
        Fault::Drip,
        Fault::Hang,
    ];
    in_parallel(SHOPS, faults.to_vec(), |fault| {
        play(async {
            let mut shop = Shop::open(1).await;
            shop.say(&format!("{fault:?}"));
            shop.stage.gateway.set_weather(vec![Rule::once(Where::Micropay, fault)]);
            shop.configure("connect_timeout", "\"1s\"");
            shop.configure("request_timeout", "\"1500ms\"");
            shop.configure("give_up_after", "\"4s\"");
            shop.start().await;
            let id = shop.open_sale("the-sale").await;
            let told = shop.settle(&id, Mood::Pay, Duration::ZERO).await;
            let wait = shop.wait_until(&id, "not known");
            shop.ensure(wait <= Duration::from_millis(1500) + SOON, || format!("noticed after {wait:?}"));
            let paid = shop.stage.charged() > 0;
            let end = if paid { "paid" } else { "reversed" };
            shop.ensure(told["phase"] == end, || format!("charged: {paid}, told: {told}"));
            shop.conclude().await;
            shop.ensure(shop.pay_requests() == 1, || "a request was repeated".to_owned());
            shop.stage.strike().await;
        });
    });
}

#[test]
fn a_gateway_that_limits_the_rate_delays_the_end_and_changes_nothing_else() {
    let limited = |api, times| Rule::once(api, Fault::FrequencyLimited).times(times);
    let cases = [(Mood::Pay, "reversed"), (Mood::Password, "paid"), (Mood::WalkAway, "reversed")];
    in_parallel(SHOPS, cases.to_vec(), |(mood, end)| {
        play(async {
            let mut shop = if end == "paid" { Shop::patient(1).await } else { Shop::open(1).await };
            // A pay request that is turned away is not repeated, so its customer pays nothing.
            let pay = u32::from(mood == Mood::Pay);
            let weather = [(Where::Micropay, pay), (Where::Orderquery, 3), (Where::Reverse, 2)];
            let weather = weather.into_iter().filter(|(_, times)| *times > 0);
            shop.stage.gateway.set_weather(weather.map(|(api, times)| limited(api, times)).collect());
            shop.configure("connect_timeout", "\"1s\"");
            shop.configure("request_timeout", "\"5s\"");
            shop.start().await;
            let id = shop.open_sale("the-sale").await;
            let told = shop.settle(&id, mood, Duration::from_millis(300)).await;
            shop.ensure(told["phase"] == end, || format!("{mood:?} is to end {end}: {told}"));
            shop.ensure(told["cashier"]["hand_over_goods"] == (end == "paid"), || format!("goods: {told}"));
            shop.conclude().await;
            shop.stage.strike().await;
        });
    });
}

/// Hours of it in the proportions of the shortened waits: the customer pays while the line is down, so there is something
/// to give back; the next customers are told at once; a restart in between forgets nothing; the log says each try once.
#[test]
fn a_line_that_goes_down_in_the_middle_of_a_reversal_is_waited_for() {
    play(async {
        let mut shop = Shop::patient(1).await;
        shop.gateway_at(&[Host::at_the_line(&shop)]);
        shop.configure("call_manager_after", "\"1500ms\"");
        shop.start().await;
        let id = shop.open_sale("the-sale").await;
        shop.begin(&id, Mood::Password, Duration::from_millis(300)).await;
        shop.cancel(&id).await;
        shop.stage.line.pull().await;
        let told = shop.until_told(&id, |told| told["phase"] == "reversing").await;
        shop.ensure(
            told["cashier"]["text"].as_str().is_some_and(|text| text.contains("请勿交付商品")),
            || format!("the cashier is told: {told}"),
        );
        // The next customer is not kept waiting by it.
        let next = shop.open_sale("the-next").await;
        let code = shop.customer(Mood::Pay, Duration::ZERO);
        shop.scan(&code).await;
        let told = shop.until_told(&next, |told| told["attempts"][0]["phase"] == "declined").await;
        shop.nothing_was_sent(&told);
        shop.ensure(shop.wait_until(&next, "never sent") <= Duration::from_secs(2) + SOON, || {
            "the next waits".to_owned()
        });
        shop.cancel(&next).await;
        let told = shop.until_told(&id, |told| told["phase"] == "in_doubt").await;
        shop.ensure(told["cashier"]["next"] == "call_manager", || format!("nobody is called: {told}"));
        shop.ensure(shop.stage.charged() == 1250, || "the customer paid meanwhile".to_owned());

        shop.stage.kill().await.expect("killed");
        let open = shop.check_dead();
        shop.ensure(open.contains(&id), || format!("open when it died: {open:?}"));
        shop.start().await;
        shop.check_listed(&open).await;
        let status = shop.get("/v1/status").await.unwrap_or_default();
        let listed = status["open"].as_array().cloned().unwrap_or_default();
        shop.ensure(
            listed.iter().any(|open| open["payment"] == id.as_str() && open["next"].is_string()),
            || format!("the obligation has no next time: {status}"),
        );
        let tries = |shop: &Shop| shop.story().matches("reverse: never sent").count();
        let before = tries(&shop);
        shop.until(|shop| tries(shop) >= before + 2).await;

        shop.stage.line.put_in().await;
        shop.until_told(&id, |told| told["phase"] == "reversed").await;
        shop.ensure(shop.stage.charged() == 0, || "the money went back".to_owned());
        let sale = &shop.sales()[next.as_str()];
        shop.ensure(sale.payment.phase() != SalePhase::Paid, || "the next customer went away".to_owned());
        shop.conclude().await;
        shop.stage.strike().await;
    });
}
