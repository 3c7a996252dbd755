//! The daemon may not open one more file, or only a few: what it cannot do it says or leaves, it guesses nothing, and it
//! goes on by itself when it may again.

use std::time::Duration;

use micropayd::simulator::mood::Mood;
use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};

use crate::hosts::Host;
use crate::in_parallel;
use crate::shop::{Shop, play};

/// Breaks the connection that is there, and lets the daemon have so many files fewer than it has, or as many as anybody.
async fn allow(shop: &Shop, fewer: Option<u64>) {
    shop.stage.line.pull().await;
    shop.stage.line.put_in().await;
    let id = i32::try_from(shop.stage.pid().await.expect("it runs")).expect("an id");
    let open = std::fs::read_dir(format!("/proc/{id}/fd")).expect("its files").count() as u64;
    let ours = getrlimit(Resource::Nofile);
    // Those of three standard files are never free.
    let current = fewer.map_or(ours.current, |fewer| Some(open.saturating_sub(fewer).max(3)));
    prlimit(Pid::from_raw(id), Resource::Nofile, Rlimit { current, ..ours }).expect("a limit");
}

#[test]
fn a_daemon_that_may_open_no_file_guesses_nothing_and_goes_on_when_it_may() {
    in_parallel(3, vec![99, 4, 3, 2, 1, 0], |fewer| {
        play(async {
            let mut shop = Shop::patient(1).await;
            shop.say(&format!("{fewer} files fewer"));
            shop.gateway_at(&[Host::at_the_line(&shop)]);
            shop.start().await;
            let process = shop.stage.pid().await;

            let id = shop.open_sale("before-the-request").await;
            let code = shop.customer(Mood::Pay, Duration::ZERO);
            allow(&shop, Some(fewer)).await;
            shop.scan(&code).await;
            let answer = format!("{id}01 pay: ");
            shop.until(|shop| shop.story().contains(&answer)).await;
            let sent = shop.pay_requests() > 0;
            let never = shop.story().contains(&format!("{answer}never sent"));
            shop.ensure(sent != never, || format!("sent: {sent}, said to be never sent: {never}"));
            shop.ensure(never || fewer < 99, || "a connection without a file".to_owned());
            allow(&shop, None).await;
            if never {
                shop.settle(&id, Mood::Pay, Duration::ZERO).await;
            }
            shop.until_told(&id, |told| told["phase"] == "paid").await;

            let id = shop.open_sale("while-the-payer-types").await;
            shop.begin(&id, Mood::Password, Duration::from_millis(500)).await;
            allow(&shop, Some(fewer)).await;
            let looked = |shop: &Shop| {
                let story = shop.story();
                story.matches(&format!("{id}01 query: never sent")).count() > 2
                    || story.contains(&format!("{id}01 query: paid"))
            };
            shop.until(looked).await;
            allow(&shop, None).await;
            shop.until_told(&id, |told| told["phase"] == "paid").await;

            shop.conclude().await;
            shop.ensure(shop.stage.pid().await == process, || "it lives".to_owned());
            shop.stage.strike().await;
        });
    });
}
