//! What is unfinished is counted and outlives the daemon; a journal that is damaged is said to be, and restored.

use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use rustix::process::Signal;

use crate::rig::{Process, Rig, err, out};

/// The line stays up for pay requests and down for all else: three sales cannot be settled, a fourth is paid meanwhile.
#[test]
fn what_is_unfinished_is_counted_outlives_a_kill_and_drains_beside_new_sales() {
    let mut rig = Rig::new();
    rig.configure("[policy]\n", "[policy]\ngive_up_after = \"1s\"\ncall_manager_after = \"2s\"\n");
    rig.start();
    rig.weather(
        r#"[{"api":"micropay","fault":"lost_after","times":3},{"api":"orderquery","fault":"lost_before","times":100000},
        {"api":"reverse","fault":"lost_before","times":100000}]"#,
    );
    for _ in 0..3 {
        let unknown = rig.run(&["pay", "12.50", "--code", &rig.code("pay", 0.0)]);
        assert_eq!(unknown.status.code(), Some(2), "{}", err(&unknown));
    }
    let before = rig.json(&["status"])["open"].clone();
    let owed = |open: &serde_json::Value| -> Vec<(String, String, String)> {
        let text = |of: &serde_json::Value, key: &str| of[key].as_str().unwrap().to_owned();
        let open = open.as_array().unwrap().iter();
        open.map(|one| (text(one, "payment"), text(one, "kind"), text(one, "since"))).collect()
    };
    assert_eq!(before.as_array().unwrap().len(), 3, "{before}");
    assert!(owed(&before).iter().all(|(_, kind, _)| kind == "reversal"), "{before}");

    rig.signal(Signal::KILL);
    rig.ended();
    rig.start();
    let after = rig.json(&["status"])["open"].clone();
    assert_eq!(owed(&after), owed(&before), "the same sales, since the same time");
    let told = format!(
        "not finished: 0 to be looked up, 3 to be reversed, 0 refunds to follow, 0 receipts to see to, the oldest since {}",
        owed(&before)[0].2
    );
    assert!(rig.log().contains(&told), "{told}");
    let said = out(&rig.run(&["status"]));
    assert!(
        said.contains("0 to be looked up, 3 to be reversed, 0 refunds to follow, 0 receipts to see to, the oldest since "),
        "{said}"
    );

    let paid = rig.run(&["pay", "1", "--code", &rig.code("pay", 0.0)]);
    assert_eq!(paid.status.code(), Some(0), "a new sale is not in the way of what is owed: {}", err(&paid));

    rig.fair();
    rig.told_until("STATUS=", |status| !status.contains('·'));
    assert_eq!(rig.json(&["status"])["open"], serde_json::json!([]));
    for (payment, _, _) in owed(&before) {
        assert_eq!(rig.json(&["show", &payment])["phase"], "reversed");
    }
    assert!(rig.log().contains("nothing is unfinished any more"));
}

/// The next connection on which something comes, and its first bytes.
fn heard(printer: &TcpListener) -> (TcpStream, [u8; 16]) {
    loop {
        let (mut way, _) = printer.accept().unwrap();
        let mut bytes = [0xFF; 16];
        // A look that asks nothing ends without a byte.
        if way.read_exact(&mut bytes).is_ok() {
            return (way, bytes);
        }
    }
}

/// The printer may wait for the rest of a picture: what the next daemon says first must be no command.
#[test]
fn a_receipt_in_which_the_daemon_died_does_not_spoil_the_next() {
    let printer = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut rig = Rig::new();
    let paper = format!("kind = \"file\"\npath = {:?}", rig.path("paper"));
    let network = format!("kind = \"network\"\naddress = {:?}", printer.local_addr().unwrap().to_string());
    rig.configure(&paper, &network);
    rig.start();
    let paid = rig.run(&["pay", "1", "--code", &rig.code("pay", 0.0)]);
    assert_eq!(paid.status.code(), Some(0), "{}", err(&paid));
    let (way, first) = heard(&printer);
    assert_ne!(first, [0; 16], "nothing has broken off yet");
    rig.signal(Signal::KILL);
    rig.ended();
    drop(way);
    rig.start();
    let paid = rig.run(&["pay", "1", "--code", &rig.code("pay", 0.0)]);
    assert_eq!(paid.status.code(), Some(0), "{}", err(&paid));
    assert_eq!(heard(&printer).1, [0; 16], "first what ends a picture");
}

fn remove(state: &Path, names: &[&str]) {
    for name in names {
        let _ = std::fs::remove_file(state.join(name));
    }
}

/// What is done to the files, what the start says of it, and what the restoration says is missing.
type Hurt = (fn(&Path), &'static str, &'static str);

#[test]
fn a_damaged_journal_is_said_in_a_sentence_and_restored_with_what_is_open() {
    const LOG: [&str; 2] = ["journal.db-wal", "journal.db-shm"];
    let hurts: [Hurt; 4] = [
        (|state| remove(state, &["witness"]), "the witness is missing", "nobody can tell"),
        (|state| remove(state, &LOG), "are missing, which the witness saw", "steps are missing, after step"),
        (
            |state| std::fs::write(state.join("witness"), [0; 4096]).unwrap(),
            "the witness holds no whole note",
            "nobody can tell",
        ),
        (
            |state| remove(state, &["journal.db", LOG[0], LOG[1], "witness"]),
            "the database and its witness are missing",
            "nobody can tell",
        ),
    ];
    let mut rig = Rig::new();
    for (hurt, said, missing) in hurts {
        rig.start();
        let paid = rig.run(&["pay", "1", "--code", &rig.code("pay", 0.0)]);
        assert_eq!(paid.status.code(), Some(0), "{}", err(&paid));
        rig.signal(Signal::KILL);
        rig.ended();
        let state = rig.path("state");
        hurt(&state);
        let files = || {
            ["journal.db", LOG[0], "witness"].map(|name| std::fs::read(state.join(name)).unwrap_or_default())
        };
        let before = files();
        let refused = rig.command().stderr(Stdio::piped()).output().unwrap();
        // The units do not start it again on this one.
        assert_eq!(refused.status.code(), Some(65), "{}", err(&refused));
        assert!(err(&refused).contains(said), "expected {said}, got {}", err(&refused));
        assert!(
            err(&refused).contains("help: nothing was changed; stop the service, run `micropayd restore`")
        );
        assert_eq!(files(), before, "nothing was changed");

        let restored = rig.run(&["restore", "--state-dir", state.to_str().unwrap()]);
        assert_eq!(restored.status.code(), Some(0), "{}", err(&restored));
        assert!(out(&restored).contains(missing), "expected {missing}, got {}", out(&restored));
        let whole = rig.run(&["restore", "--state-dir", state.to_str().unwrap()]);
        assert!(out(&whole).starts_with("the journal is whole"), "{}{}", out(&whole), err(&whole));
    }
    rig.start();
    let refused = rig.run(&["restore", "--state-dir", rig.path("state").to_str().unwrap()]);
    assert!(
        out(&refused).starts_with("the journal is whole"),
        "beside the daemon it only looks: {}",
        err(&refused)
    );
}

/// Database and witness are gone on the journal's first day, of which there is no copy; the log is still there.
#[test]
fn what_a_lost_journal_held_is_put_back_from_the_log_and_asked_of_the_gateway() {
    let mut rig = Rig::new();
    rig.configure("[policy]\n", "[policy]\ncode_life = \"1500ms\"\n");
    rig.start();
    let paid = rig.run(&["pay", "12.50", "--reference", "POS-1", "--code", &rig.code("pay", 0.0)]);
    assert_eq!(paid.status.code(), Some(0), "{}", err(&paid));
    // A customer who had a code refused, and one who left before a dialog: neither is paid.
    let refused = rig.run(&["pay", "3.00", "--reference", "POS-2", "--code", &rig.code("poor", 0.0)]);
    assert_eq!(refused.status.code(), Some(1), "{}", err(&refused));
    // The gateway has taken this one's money, and nobody here has heard of it.
    rig.weather(r#"[{"api":"micropay","fault":"lost_after"},{"api":"orderquery","fault":"lost_before","times":100000}]"#);
    let mut asked = rig.shell(&["pay", "7.00", "--reference", "POS-3", "--code", &rig.code("pay", 0.0)]);
    let asked = asked.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let mut asked = Process(asked.unwrap());
    wait(&rig, "query: not known");
    rig.signal(Signal::KILL);
    rig.ended();
    let _ = asked.0.wait();
    rig.fair();
    let state = rig.path("state");
    remove(&state, &["journal.db", "journal.db-wal", "journal.db-shm", "witness"]);
    let refused = rig.command().stderr(Stdio::piped()).output().unwrap();
    assert_eq!(refused.status.code(), Some(65), "{}", err(&refused));

    let (config, log) = (rig.path("c.toml"), rig.path("log"));
    let path = |path: &Path| path.to_str().unwrap().to_owned();
    let restore = ["restore", "--config", &path(&config), "--state-dir", &path(&state), "--log", &path(&log)];
    // It needs no key, which may be the service's alone.
    std::fs::rename(rig.path("key"), rig.path("key.away")).unwrap();
    let restored = rig.run(&restore);
    std::fs::rename(rig.path("key.away"), rig.path("key")).unwrap();
    assert_eq!(restored.status.code(), Some(0), "{}", err(&restored));
    let said = out(&restored);
    assert!(said.contains("put back from the log: 1 paid sales, 2 about which"), "{said}");

    let printed_before = std::fs::metadata(rig.path("paper")).unwrap().len();
    rig.start();
    let of = |reference: &str| rig.json(&["list", "--reference", reference])["payments"][0].clone();
    let until = std::time::Instant::now() + crate::rig::PATIENCE;
    while !["POS-1", "POS-2", "POS-3"]
        .iter()
        .all(|one| of(one)["phase"] != "paying" && of(one)["phase"] != "reversing")
    {
        assert!(std::time::Instant::now() < until, "{}", rig.log());
    }
    assert_eq!(of("POS-1")["attempts"][0]["gateway_txn"].as_str().map(str::len), Some(28));
    assert_eq!(
        (&of("POS-1")["phase"], &of("POS-1")["receipt"]["state"]),
        (&"paid".into(), &"printed".into())
    );
    assert_eq!(of("POS-2")["phase"], "reversed", "the gateway knows nothing of it");
    // What was taken is a sale again. Whether its receipt came out nobody knows, so this one says so.
    assert_eq!(of("POS-3")["phase"], "paid");
    while of("POS-3")["receipt"]["state"] != "printed" {
        assert!(std::time::Instant::now() < until, "{}", rig.log());
    }
    let paper = std::fs::read(rig.path("paper")).unwrap();
    let (before, after) = paper.split_at(usize::try_from(printed_before).unwrap());
    let marked = |paper: &[u8]| paper.windows(15).any(|text| text == b"MAY BE A SECOND");
    assert!(!marked(before) && marked(after), "{}", String::from_utf8_lossy(&paper));
    let report = rig.json(&["report"]);
    assert_eq!((&report["paid_count"], &report["paid"]), (&2.into(), &1950.into()), "{report}");
}

/// A gateway that takes every request and answers none: how many of it are open at once, and which it was asked.
#[derive(Default)]
struct Mute {
    open: usize,
    most: usize,
    requests: Vec<String>,
}

fn mute_gateway() -> (String, Arc<Mutex<Mute>>) {
    let gateway = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", gateway.local_addr().unwrap());
    let mute = Arc::new(Mutex::new(Mute::default()));
    let heard = Arc::clone(&mute);
    std::thread::spawn(move || {
        for way in gateway.incoming() {
            let (mut way, heard) = (way.unwrap(), Arc::clone(&heard));
            std::thread::spawn(move || {
                let mut bytes = [0; 64 * 1024];
                let read = way.read(&mut bytes).unwrap_or(0);
                if read == 0 {
                    return;
                }
                {
                    let mut mute = heard.lock().unwrap();
                    mute.requests.push(String::from_utf8_lossy(&bytes[..read]).into_owned());
                    mute.open += 1;
                    mute.most = mute.most.max(mute.open);
                }
                while way.read(&mut bytes).is_ok_and(|read| read > 0) {}
                heard.lock().unwrap().open -= 1;
            });
        }
    });
    (url, mute)
}

/// After a restoration there may be hundreds of orders to ask about, and the gateway may say nothing.
#[test]
fn what_is_open_takes_turns_and_the_next_customer_waits_for_none_of_it() {
    const OPEN: usize = 40;
    let (url, mute) = mute_gateway();
    let mut rig = Rig::new();
    rig.configure(&rig.of_gateway("base_url"), &url);
    rig.configure("[policy]\n", "[policy]\ngive_up_after = \"1s\"\n");
    rig.configure("key\"\nbase", "key\"\nconnect_timeout = \"1s\"\nrequest_timeout = \"2s\"\nbase");
    let opened = |n: usize| {
        format!(
            "2026-11-28T16:40:00Z  INFO {n} T01261128{n:06}AAAAAA opened 0.05 reference R{n} -> awaiting_code\n"
        )
    };
    std::fs::write(rig.path("old.log"), (0..OPEN).map(opened).collect::<String>()).unwrap();
    let path = |name: &str| rig.path(name).to_str().unwrap().to_owned();
    let restored = rig.run(&[
        "restore",
        "--config",
        &path("c.toml"),
        "--state-dir",
        &path("state"),
        "--log",
        &path("old.log"),
    ]);
    assert!(out(&restored).contains(&format!("{OPEN} about which")), "{}{}", out(&restored), err(&restored));
    rig.start();

    let asked_for =
        |what: &str| mute.lock().unwrap().requests.iter().filter(|one| one.contains(what)).count();
    let until = std::time::Instant::now() + crate::rig::PATIENCE;
    let wait = |what: &dyn Fn() -> bool| {
        while !what() {
            assert!(std::time::Instant::now() < until, "{}", rig.log());
            std::thread::yield_now();
        }
    };
    // The sale in hand may be a ninth.
    wait(&|| mute.lock().unwrap().open >= 8);
    // The youngest of them was in hand when the power went; it leaves the lane when it is given up.
    wait(&|| rig.log().lines().any(|line| line.contains("000039AAAAAA") && line.ends_with("-> reversing")));
    let mut pay = rig.shell(&["pay", "7.00", "--code", &rig.code("pay", 0.0)]);
    let _paying = Process(pay.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    wait(&|| asked_for("/pay/micropay") == 1);
    assert!(asked_for("/pay/orderquery") < OPEN, "the customer came before the last of the old orders");
    wait(&|| mute.lock().unwrap().requests.len() > OPEN);
    // Eight, and what is about a sale in hand; here an end may be seen after the next beginning.
    let most = mute.lock().unwrap().most;
    assert!(most < OPEN / 2, "{most} at once");
}

/// Waits until the log says this.
fn wait(rig: &Rig, text: &str) {
    let until = std::time::Instant::now() + crate::rig::PATIENCE;
    while !rig.log().contains(text) {
        assert!(std::time::Instant::now() < until, "{text}: {}", rig.log());
        std::thread::yield_now();
    }
}
