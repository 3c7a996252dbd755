//! A full disk and one that cannot be written, under the real binary: a small file system of its own for the journal,
//! which needs root.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use micropayd::payment::SalePhase;
use micropayd::simulator::mood::Mood;
use serde_json::Value;
use tokio::time::sleep;

use crate::in_parallel;
use crate::shop::{Shop, play};

/// Enough for the journal, its reserve and its margin.
const DISK: &str = "size=24m,nr_inodes=64";
/// A tenth of it is more than a start wants to see free.
const LARGER: &str = "size=96m";
/// The daemon looks for room every second while there is none.
const WITHIN: Duration = Duration::from_secs(30);

/// A file system in memory, gone with this value.
struct Disk(PathBuf);

impl Disk {
    /// `None` where mounting is not allowed.
    fn mount(at: &Path) -> Option<Self> {
        Self::mount_as(at, DISK)
    }

    fn mount_as(at: &Path, options: &str) -> Option<Self> {
        fs::create_dir_all(at).expect("a directory");
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", options, "micropayd"]).arg(at).output();
        match mounted {
            Ok(output) if output.status.success() => Some(Self(at.to_owned())),
            _ => {
                println!("skipped: mounting needs root");
                None
            }
        }
    }

    fn fill(&self) {
        // Until it says that it is full, which is the point.
        let _ = fs::write(self.0.join("filler"), vec![0; 64 << 20]);
    }

    /// Fills all but so many bytes.
    fn leave(&self, bytes: u64) {
        let about = rustix::fs::statvfs(&self.0).expect("a file system");
        let free = about.f_bavail * about.f_frsize;
        fs::write(self.0.join("filler"), vec![0; usize::try_from(free - bytes).expect("small")])
            .expect("room");
    }

    fn empty(&self) {
        fs::remove_file(self.0.join("filler")).expect("it was there");
    }

    fn take_every_name(&self) {
        let mut n = 0;
        while fs::write(self.0.join(format!("name-{n}")), []).is_ok() {
            n += 1;
        }
    }

    fn writable(&self, writable: bool) {
        let how = if writable { "remount,rw" } else { "remount,ro" };
        let done = Command::new("mount").args(["-o", how]).arg(&self.0).status().expect("mount runs");
        assert!(done.success(), "{how}");
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// When the disk becomes full.
#[derive(Clone, Copy, Debug, PartialEq)]
enum When {
    BeforeTheSale,
    BeforeTheScan,
    WhilePaying,
    WhileReversing,
    WhilePrinting,
    BeforeTheNextStart,
}

const WHEN: [When; 6] = [
    When::BeforeTheSale,
    When::BeforeTheScan,
    When::WhilePaying,
    When::WhileReversing,
    When::WhilePrinting,
    When::BeforeTheNextStart,
];

/// One sentence, about the terminal and not about money; the console has it in the cashier's language under the same code.
fn check_refusal(shop: &Shop, status: u16, problem: &Value) {
    let text = |field: &str| problem[field].as_str().unwrap_or_default().to_owned();
    shop.ensure(status == 503 && problem["code"] == "journal_failed", || format!("{status} {problem}"));
    shop.ensure(problem["money"] == "none" && problem["retry"] == "same_key", || {
        format!("what next: {problem}")
    });
    shop.ensure(text("title").ends_with("no sale is taken"), || format!("the cashier is told: {problem}"));
    shop.ensure(text("detail").contains("the disk is full"), || format!("the manager is told: {problem}"));
}

/// Every new sale is refused, and the status says so; at the most a few are taken before the last page is used up.
async fn refuses(shop: &mut Shop) {
    let charged = shop.stage.charged();
    for n in 0.. {
        let key = format!("full-{n}");
        match shop.stage.sell(100, &key).await.expect("answered") {
            (201, sale) => {
                let id = sale["id"].as_str().expect("an id").to_owned();
                shop.cancel(&id).await;
                shop.acknowledged.insert(key, id);
            }
            (status, problem) => {
                check_refusal(shop, status, &problem);
                break;
            }
        }
        shop.ensure(n < 300, || "a full disk refuses sales".to_owned());
    }
    let status = shop.get("/v1/status").await.unwrap_or_default();
    shop.ensure(status["refuses_sales"].is_string(), || format!("the status says nothing: {status}"));
    let ready = shop.get("/readyz").await.unwrap_or_default();
    shop.ensure(ready["status"] == 503, || format!("it says that it is ready: {ready}"));
    shop.ensure(shop.stage.charged() == charged, || "nothing was taken".to_owned());
}

async fn recovers(shop: &mut Shop) {
    let until = Instant::now() + WITHIN;
    loop {
        match shop.stage.sell(100, "after").await.expect("answered") {
            (201, sale) => {
                shop.acknowledged.insert("after".to_owned(), sale["id"].as_str().expect("an id").to_owned());
                break;
            }
            answer => shop.ensure(Instant::now() < until, || format!("it does not recover: {answer:?}")),
        }
        sleep(Duration::from_millis(50)).await;
    }
    let status = shop.get("/v1/status").await.unwrap_or_default();
    shop.ensure(status["refuses_sales"].is_null(), || format!("the status has not noticed: {status}"));
}

/// Until the status tells of the disk, and how it is then.
async fn disk_is_told(shop: &mut Shop, ready: bool) {
    let until = Instant::now() + WITHIN;
    loop {
        let status = shop.get("/v1/status").await.unwrap_or_default();
        let devices = status["devices"].as_array().cloned().unwrap_or_default();
        if devices.iter().any(|device| device["kind"] == "disk" && device["ready"] == ready) {
            return;
        }
        shop.ensure(Instant::now() < until, || format!("the disk is not told of: {status}"));
        sleep(Duration::from_millis(20)).await;
    }
}

#[test]
fn a_disk_that_is_nearly_full_is_told_of_while_sales_go_on() {
    play(async {
        let mut shop = Shop::patient(1).await;
        let Some(disk) = Disk::mount_as(&shop.stage.state_dir(), LARGER) else {
            return shop.stage.strike().await;
        };
        shop.start().await;
        let status = shop.get("/v1/status").await.unwrap_or_default();
        shop.ensure(!status.to_string().contains("\"disk\""), || format!("there is room: {status}"));
        shop.stage.kill().await.expect("killed");
        disk.leave(7 << 20);
        shop.start().await;
        disk_is_told(&mut shop, false).await;
        let id = shop.open_sale("still taken").await;
        shop.begin(&id, Mood::Pay, Duration::ZERO).await;
        shop.until_told(&id, |told| told["phase"] == "paid").await;
        disk.empty();
        // It looks when the till has been quiet for five seconds, also while somebody asks and asks how it is.
        disk_is_told(&mut shop, true).await;
        shop.conclude().await;
        shop.stage.kill().await.expect("killed");
        drop(disk);
        shop.stage.strike().await;
    });
}

#[test]
fn a_disk_that_becomes_full_refuses_sales_concludes_what_was_begun_and_recovers() {
    in_parallel(3, WHEN.to_vec(), |when| {
        play(async {
            let mut shop = Shop::patient(1).await;
            shop.say(&format!("{when:?}"));
            let Some(disk) = Disk::mount(&shop.stage.state_dir()) else { return shop.stage.strike().await };
            shop.start().await;
            if when == When::BeforeTheSale {
                disk.fill();
                refuses(&mut shop).await;
            } else {
                let id = shop.open_sale("begun").await;
                if when == When::BeforeTheScan {
                    disk.fill();
                }
                let mood = if when == When::WhileReversing { Mood::WalkAway } else { Mood::Password };
                shop.stage.paper.set_slow(when == When::WhilePrinting);
                shop.begin(&id, mood, Duration::from_millis(300)).await;
                match when {
                    When::WhileReversing => {
                        shop.cancel(&id).await;
                        disk.fill();
                    }
                    When::WhilePrinting => {
                        shop.until_told(&id, |told| told["phase"] == "paid").await;
                        disk.fill();
                    }
                    When::WhilePaying => disk.fill(),
                    When::BeforeTheNextStart => {
                        shop.stage.kill().await.expect("killed");
                        disk.fill();
                        shop.stage.launch().await.expect("launched");
                        // Alive, and not ready for sales.
                        let until = Instant::now() + WITHIN;
                        while shop.get("/readyz").await.is_none() {
                            shop.ensure(Instant::now() < until, || "it does not start".to_owned());
                            sleep(Duration::from_millis(5)).await;
                        }
                        let ready = shop.get("/readyz").await.unwrap_or_default();
                        shop.ensure(ready["status"] == 503, || format!("it says that it is ready: {ready}"));
                    }
                    When::BeforeTheSale | When::BeforeTheScan => {}
                }
                shop.until(|shop| !shop.sales()[&id].payment.is_open()).await;
                let phase = shop.sales()[&id].payment.phase();
                let paid = shop.stage.charged() > 0;
                shop.ensure(paid == (phase == SalePhase::Paid), || format!("charged: {paid}, {phase:?}"));
                shop.until_told(&id, |told| told["receipt"]["state"] != "sending").await;
                if paid {
                    let refund = shop.refund(&id, 0, 1).await;
                    shop.ensure(refund == Some(503), || {
                        format!("a refund is begun on a full disk: {refund:?}")
                    });
                }
                refuses(&mut shop).await;
            }
            shop.stage.paper.set_slow(false);
            disk.empty();
            recovers(&mut shop).await;
            shop.conclude().await;
            shop.stage.kill().await.expect("killed");
            drop(disk);
            shop.stage.strike().await;
        });
    });
}

/// A file system can have room and no name left for a file.
#[test]
fn a_disk_without_names_left_goes_on_selling() {
    play(async {
        let mut shop = Shop::patient(1).await;
        let Some(disk) = Disk::mount(&shop.stage.state_dir()) else { return shop.stage.strike().await };
        shop.start().await;
        disk.take_every_name();
        let id = shop.open_sale("begun").await;
        let told = shop.settle(&id, Mood::Pay, Duration::ZERO).await;
        shop.ensure(told["phase"] == "paid", || format!("it goes on selling: {told}"));
        shop.stage.kill().await.expect("killed");
        shop.start().await;
        shop.conclude().await;
        shop.stage.kill().await.expect("killed");
        drop(disk);
        shop.stage.strike().await;
    });
}

#[test]
fn a_disk_that_cannot_be_written_keeps_the_daemon_from_starting_and_loses_nothing() {
    play(async {
        let mut shop = Shop::patient(2).await;
        let Some(disk) = Disk::mount(&shop.stage.state_dir()) else { return shop.stage.strike().await };
        shop.start().await;
        let id = shop.open_sale("begun").await;
        shop.begin(&id, Mood::Password, Duration::from_millis(300)).await;
        // A file that is open for writing keeps a file system writable: the daemon has to die for this one.
        shop.stage.kill().await.expect("killed");
        disk.writable(false);
        shop.stage.launch().await.expect("launched");
        let started = shop.stage.ready().await;
        shop.ensure(started.is_err(), || "it cannot write and started".to_owned());
        let said = started.expect_err("it ended").to_string();
        shop.ensure(said.contains("journal") && said.contains("Read-only"), || format!("it says: {said}"));
        disk.writable(true);
        drop(shop.stage.ended().await);
        shop.start().await;
        shop.until(|shop| !shop.sales()[&id].payment.is_open()).await;
        shop.conclude().await;
        shop.stage.kill().await.expect("killed");
        drop(disk);
        shop.stage.strike().await;
    });
}
