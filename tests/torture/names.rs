//! A resolver that fails, lies or hangs under the real binary, which runs with a resolver of its own. Needs root: a mount
//! of its own for `/etc/resolv.conf`, and port 53 of a loopback address.

use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use micropayd::simulator::mood::Mood;
use tokio::net::UdpSocket;

use crate::hosts::{Bad, Host};
use crate::in_parallel;
use crate::shop::{CONNECT, Shop, play, program};

/// What the resolver does.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Names {
    /// The host is at this address.
    At(Ipv4Addr),
    /// There is no such name.
    NoSuchName,
    /// SERVFAIL.
    Fails,
    /// REFUSED.
    Refuses,
    /// Three bytes.
    Garbage,
    /// Nothing comes back.
    Hangs,
}

const HOME: Ipv4Addr = Ipv4Addr::LOCALHOST;

/// A shop whose daemon asks this resolver.
struct Town {
    dir: tempfile::TempDir,
    names: Arc<Mutex<Names>>,
}

static RESOLVERS: AtomicU8 = AtomicU8::new(1);

impl Town {
    /// `None` where it is not allowed.
    async fn new(names: Names) -> Option<Self> {
        let address = IpAddr::from([127, 53, 0, RESOLVERS.fetch_add(1, Ordering::Relaxed)]);
        let Ok(socket) = UdpSocket::bind((address, 53)).await else {
            println!("skipped: a resolver on port 53 needs root");
            return None;
        };
        let names = Arc::new(Mutex::new(names));
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::write(dir.path().join("resolv.conf"), format!("nameserver {address}\n")).expect("written");
        std::fs::write(dir.path().join("nsswitch.conf"), "hosts: dns\n").expect("written");
        let script = format!(
            "#!/bin/sh\nexec unshare -m sh -c 'for f in resolv.conf nsswitch.conf; do mount --bind {dir}/$f /etc/$f || exit 1; done; \
             exec \"$@\"' sh {program} \"$@\"\n",
            dir = dir.path().display(),
            program = program().display()
        );
        let town = Self { dir, names: Arc::clone(&names) };
        std::fs::write(town.program(), script).expect("written");
        std::fs::set_permissions(town.program(), PermissionsExt::from_mode(0o755)).expect("it can be run");
        let may_mount = std::process::Command::new("unshare").args(["-m", "true"]).status();
        if !may_mount.is_ok_and(|status| status.success()) {
            println!("skipped: a mount of one's own needs root");
            return None;
        }
        tokio::spawn(async move {
            let mut question = [0; 512];
            while let Ok((length, from)) = socket.recv_from(&mut question).await {
                let names = *names.lock().unwrap();
                if let Some(answer) = answer(&question[..length], names) {
                    // Whoever asked may be dead.
                    let _ = socket.send_to(&answer, from).await;
                }
            }
        });
        Some(town)
    }

    fn program(&self) -> PathBuf {
        self.dir.path().join("daemon")
    }

    fn set(&self, names: Names) {
        *self.names.lock().unwrap() = names;
    }
}

/// An answer to one question (RFC 1035): addresses of the fourth version only.
fn answer(question: &[u8], names: Names) -> Option<Vec<u8>> {
    let code = match names {
        Names::Hangs => return None,
        Names::Garbage => return Some(question[..3].to_vec()),
        Names::At(_) => 0,
        Names::Fails => 2,
        Names::NoSuchName => 3,
        Names::Refuses => 5,
    };
    // The name, its end, type and class.
    let end = 12 + question[12..].iter().position(|byte| *byte == 0)? + 5;
    let mut answer = question.get(..end)?.to_vec();
    answer[2..4].copy_from_slice(&[0x81, 0x80 | code]);
    answer[6..12].fill(0);
    if let (Names::At(address), [0, 1]) = (names, &question[end - 4..end - 2]) {
        answer[7] = 1;
        // The same name, an address, of the internet, of no age, four bytes.
        answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4]);
        answer.extend(address.octets());
    }
    Some(answer)
}

#[test]
fn a_resolver_that_fails_lies_or_hangs_is_told_as_nothing_taken() {
    let nobody = Ipv4Addr::new(127, 0, 0, 99);
    let names = [
        Names::NoSuchName,
        Names::Fails,
        Names::Refuses,
        Names::Garbage,
        Names::Hangs,
        Names::At(nobody),
        Names::At(HOME),
    ];
    in_parallel(4, names.to_vec(), |names| {
        play(async {
            let Some(town) = Town::new(names).await else { return };
            let mut shop = Shop::open_with(1, town.program(), Duration::from_secs(1)).await;
            shop.say(&format!("{names:?}"));
            // The wrong address is a stranger's.
            let host = match names {
                Names::At(HOME) => Host::bad(Bad::Stranger, &shop),
                _ => Host::gateway(&shop),
            };
            shop.gateway_at(&[host.by_name()]);
            shop.start().await;
            let id = shop.open_sale("the-sale").await;
            let code = shop.customer(Mood::Pay, Duration::ZERO);
            shop.scan(&code).await;
            let told = shop.until_told(&id, |told| told["attempts"][0]["phase"] == "declined").await;
            shop.nothing_was_sent(&told);
            let wait = shop.wait_until(&id, "never sent");
            shop.ensure(wait <= CONNECT + Duration::from_secs(1), || format!("told after {wait:?}"));
            shop.ensure(shop.pay_requests() == 0, || "a pay request arrived".to_owned());
            shop.conclude().await;
            shop.stage.strike().await;
        });
    });
}

#[test]
fn the_address_that_worked_outlives_the_resolver_and_a_restart_waits_for_it() {
    play(async {
        let Some(town) = Town::new(Names::At(HOME)).await else { return };
        let mut shop = Shop::patient_with(1, town.program()).await;
        shop.gateway_at(&[Host::at_the_line(&shop).by_name()]);
        shop.start().await;
        for (n, names) in [Names::At(HOME), Names::Hangs, Names::Fails].into_iter().enumerate() {
            town.set(names);
            // No connection outlives this.
            shop.stage.line.pull().await;
            shop.stage.line.put_in().await;
            let id = shop.open_sale(&format!("sale-{n}")).await;
            let told = shop.settle(&id, Mood::Pay, Duration::ZERO).await;
            shop.ensure(told["phase"] == "paid", || format!("{names:?}: {told}"));
        }
        // The next life knows no address: what is open stays open until there is one.
        let id = shop.open_sale("in-hand").await;
        shop.begin(&id, Mood::WalkAway, Duration::ZERO).await;
        shop.stage.kill().await.expect("killed");
        town.set(Names::Hangs);
        shop.start().await;
        shop.until(|shop| shop.story().contains("reverse: never sent")).await;
        shop.look(&id).await;
        shop.ensure(shop.sales()[&id].payment.is_open(), || "nobody said that it is over".to_owned());
        // A resolver that hangs does not keep the daemon from ending.
        let took = crate::lives::end_politely(&shop).await;
        shop.ensure(took < Duration::from_secs(2), || format!("it took {took:?} to end"));
        town.set(Names::At(HOME));
        shop.start().await;
        shop.conclude().await;
        shop.stage.strike().await;
    });
}
