//! The built daemon as its service manager and its cashiers meet it: ready, watched, stopped, killed; and the shell's
//! commands against it.

mod devices;
mod reconcile;
mod recovery;
mod refunds;
mod rig;

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::time::{Duration, Instant};

use rig::{Process, Rig, err, out};
use rustix::process::Signal;

#[test]
fn the_service_manager_is_told_and_a_stop_takes_less_than_two_seconds() {
    let mut rig = Rig::new();
    rig.start();
    for _ in 0..3 {
        rig.told("WATCHDOG=1");
    }
    // An event stream that stays open must not hold up the end.
    let _stream = std::os::unix::net::UnixStream::connect(rig.path("run/api.sock")).unwrap();
    std::io::Write::write_all(&mut &_stream, b"GET /v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut line = String::new();
    BufReader::new(&_stream).read_line(&mut line).unwrap();
    assert!(line.starts_with("HTTP/1.1 200"), "{line}");

    rig.signal(Signal::HUP);
    rig.told("WATCHDOG=1");
    let begun = Instant::now();
    rig.signal(Signal::TERM);
    rig.told("STOPPING=1");
    assert_eq!(rig.ended(), Some(0), "{}", rig.log());
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    assert!(rig.log().contains("restart to change them"), "{}", rig.log());
    assert!(!rig.path("run/api.sock").exists());
}

#[test]
fn a_service_manager_that_does_not_read_holds_up_nothing() {
    let mut rig = Rig::new();
    rig.start();
    // Its socket takes some ten messages (net.unix.max_dgram_qlen); each payment is a change of the status, and the
    // watchdog wants one every 100 ms.
    for _ in 0..8 {
        let paid = rig.run(&["pay", "1", "--code", &rig.code("pay", 0.0)]);
        assert_eq!(paid.status.code(), Some(0), "{}", err(&paid));
    }
    rig.signal(Signal::TERM);
    assert_eq!(rig.ended(), Some(0), "{}", rig.log());
}

#[test]
fn a_payment_from_the_shell_is_paid_listed_shown_printed_again_and_told() {
    let mut rig = Rig::new();
    rig.start();
    let code = rig.code("pay", 0.0);
    let paid = rig.run(&["pay", "12.50", "--reference", "POS-4711", "--code", &code]);
    assert_eq!(paid.status.code(), Some(0), "{}", err(&paid));
    assert!(
        out(&paid).contains("amount             12.50 CNY\npaid by the payer  12.50\n"),
        "{}",
        out(&paid)
    );

    let page = rig.json(&["list", "--reference", "POS-4711"]);
    let id = page["payments"][0]["id"].as_str().unwrap().to_owned();
    assert_eq!(page["payments"].as_array().unwrap().len(), 1);
    assert!(out(&rig.run(&["list"])).contains(&id));
    assert!(out(&rig.run(&["list", "--phase", "declined"])).starts_with("no payments"));

    let shown = out(&rig.run(&["show", &id]));
    assert!(shown.contains("hand over goods  yes\n"), "{shown}");
    assert_eq!(rig.json(&["show", &format!("{id}01")])["phase"], "paid");

    let copy = rig.run(&["reprint", &id]);
    assert_eq!(copy.status.code(), Some(0), "{}", err(&copy));
    assert_eq!(rig.json(&["show", &id])["receipt"]["copies"], 2);

    let report = rig.json(&["report"]);
    assert_eq!((&report["paid_count"], &report["paid"]), (&1.into(), &1250.into()));
    assert!(out(&rig.run(&["report", "--date", "2020-01-01"])).contains("payments         0\n"));

    let life = rig.json(&["replay", &id]);
    let steps = life["steps"].as_array().unwrap();
    assert_eq!(steps[0]["payment"]["phase"], "awaiting_code");
    assert_eq!(steps.last().unwrap()["payment"]["phase"], "paid");

    let unknown = rig.run(&["show", "T0126112100004200000199"]);
    assert_eq!(unknown.status.code(), Some(1), "{}", err(&unknown));
    assert!(err(&unknown).contains("\nhelp: "), "{}", err(&unknown));
}

#[test]
fn a_payment_that_is_refused_or_cancelled_exits_1() {
    let mut rig = Rig::new();
    rig.start();
    let poor = rig.run(&["pay", "1", "--code", &rig.code("poor", 0.0)]);
    assert_eq!(poor.status.code(), Some(1), "{}", err(&poor));

    let mut waiting =
        Process(rig.shell(&["pay", "2"]).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap());
    let mut told = BufReader::new(waiting.0.stderr.take().unwrap()).lines();
    told.next().unwrap().unwrap();
    let second = rig.run(&["pay", "3"]);
    assert_eq!(second.status.code(), Some(1), "busy is refused: {}", err(&second));
    let id =
        rig.json(&["list", "--phase", "awaiting_code"])["payments"][0]["id"].as_str().unwrap().to_owned();
    let cancelled = rig.run(&["cancel", &id]);
    assert_eq!(cancelled.status.code(), Some(0), "{}", err(&cancelled));
    assert_eq!(waiting.0.wait().unwrap().code(), Some(1));
    assert_eq!(rig.json(&["show", &id])["phase"], "cancelled");

    let nonsense = rig.run(&["pay", "1", "--code", "12345"]);
    assert_eq!(nonsense.status.code(), Some(1), "{}", err(&nonsense));
    assert!(!err(&nonsense).contains("12345"), "{}", err(&nonsense));
}

#[test]
fn ctrl_c_ends_the_command_and_not_the_payment() {
    let mut rig = Rig::new();
    rig.start();
    let mut waiting =
        Process(rig.shell(&["pay", "2"]).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap());
    let mut told = BufReader::new(waiting.0.stderr.take().unwrap()).lines();
    told.next().unwrap().unwrap();
    let id = rustix::process::Pid::from_raw(i32::try_from(waiting.0.id()).unwrap()).unwrap();
    rustix::process::kill_process(id, Signal::INT).unwrap();
    assert_eq!(waiting.0.wait().unwrap().code(), Some(2));
    let said: Vec<String> = told.map(Result::unwrap).collect();
    assert!(said.iter().any(|line| line.contains("goes on without this command")), "{said:?}");
    assert_eq!(rig.json(&["list"])["payments"][0]["phase"], "awaiting_code");
}

#[test]
fn a_payment_outlives_the_daemon_and_the_command_waits_for_it() {
    let mut rig = Rig::new();
    rig.start();
    let code = rig.code("password", 1.5);
    let mut paying = Process(
        rig.shell(&["pay", "8.88", "--code", &code])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap(),
    );
    let mut told = BufReader::new(paying.0.stderr.take().unwrap()).lines();
    told.find(|line| line.as_ref().unwrap().contains("密码")).unwrap().unwrap();
    rig.signal(Signal::KILL);
    assert_eq!(rig.ended(), None);
    rig.start();
    assert_eq!(paying.0.wait().unwrap().code(), Some(0), "{}", rig.log());
    let page = rig.json(&["list"]);
    assert_eq!(page["payments"].as_array().unwrap().len(), 1);
    assert_eq!(page["payments"][0]["attempts"].as_array().unwrap().len(), 1);
}

#[test]
fn a_second_daemon_on_the_same_journal_is_refused_and_names_the_first() {
    let mut rig = Rig::new();
    rig.start();
    let begun = Instant::now();
    let second = rig.command().stderr(Stdio::piped()).output().unwrap();
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    assert_eq!(second.status.code(), Some(70), "{}", err(&second));
    assert!(err(&second).contains("is in use by process "), "{}", err(&second));
    assert!(err(&second).contains("\nhelp: "), "{}", err(&second));
    assert_eq!(rig.run(&["list"]).status.code(), Some(0), "the first goes on");
}

#[test]
fn with_a_certificate_that_ended_the_daemon_runs_and_takes_no_sale() {
    let mut rig = Rig::new();
    rig.certificate(2025);
    let files = format!(
        "client_cert_file = {:?}\nclient_key_file = {:?}\n[policy]\n",
        rig.path("cert.pem"),
        rig.path("key.pem")
    );
    rig.configure("[policy]\n", &files);
    rig.start();
    let refused = rig.run(&["pay", "1", "--code", &rig.code("pay", 0.0)]);
    assert_eq!(refused.status.code(), Some(1), "{}", err(&refused));
    assert!(err(&refused).contains("client_cert_file ended on 2025-01-01"), "{}", err(&refused));
    assert_eq!(rig.json(&["list"])["payments"].as_array().unwrap().len(), 0);
}

#[test]
fn beyond_loopback_a_token_and_tls_are_wanted() {
    let mut rig = Rig::new();
    rig.certificate(2040);
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let token = "0123456789abcdef0123456789abcdef";
    std::fs::write(rig.path("token"), format!("{token}\n")).unwrap();
    let api = format!(
        "listen = \"0.0.0.0:{port}\"\ntls_cert_file = {:?}\ntls_key_file = {:?}\ntokens = [{token:?}]\n",
        rig.path("cert.pem"),
        rig.path("key.pem")
    );
    rig.configure("listen = \"127.0.0.1:0\"\n", &api);
    rig.start();
    let of = |name: &str| rig.path(name).to_str().unwrap().to_owned();
    let (url, roots, token_file) = (format!("https://127.0.0.1:{port}"), of("cert.pem"), of("token"));
    let list = ["list", "--api", &url];

    let good = rig.run(&[&list[..], &["--ca-file", &roots, "--token-file", &token_file]].concat());
    assert_eq!(good.status.code(), Some(0), "{}", err(&good));
    let bare = rig.run(&[&list[..], &["--ca-file", &roots]].concat());
    assert_eq!(bare.status.code(), Some(1), "{}", err(&bare));
    assert!(!out(&bare).contains("no payments"));
    let untrusted = rig.run(&[&list[..], &["--token-file", &token_file]].concat());
    assert_eq!(untrusted.status.code(), Some(69), "{}", err(&untrusted));
    let plain = rig.run(&["list", "--api", &format!("http://127.0.0.1:{port}"), "--token-file", &token_file]);
    assert_ne!(plain.status.code(), Some(0));
    assert!(!rig.log().contains(token));
}

#[test]
fn no_code_and_no_key_is_in_any_file_whatever_is_logged() {
    let mut rig = Rig::new();
    rig.start();
    let codes = [rig.code("pay", 0.0), rig.code("poor", 0.0), rig.code("password", 0.3)];
    for code in &codes {
        rig.run(&["pay", "1", "--code", code]);
    }
    rig.signal(Signal::TERM);
    rig.ended();
    assert!(rig.log().len() > 1000, "the log is at trace");
    let secrets = codes.iter().cloned().chain([rig.of_gateway("api_key")]);
    for secret in secrets {
        for entry in files(rig.dir()) {
            if entry.file_name().is_some_and(|name| name == "key") {
                continue;
            }
            let bytes = std::fs::read(&entry).unwrap();
            let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!found, "{} is in {}", secret, entry.display());
        }
    }
}

/// Every file under `dir`.
fn files(dir: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap().flatten() {
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            found.extend(files(&entry.path()));
        } else if kind.is_file() {
            found.push(entry.path());
        }
    }
    found
}
