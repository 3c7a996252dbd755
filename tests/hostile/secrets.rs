//! Payment codes and keys: after real sales, with everything logged, they are in nothing that the daemon wrote, said or
//! shows, and its memory is nobody else's business.

use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::Command;

use micropayd::simulator::mood::Mood;
use rustix::process::Signal;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::gateway::{Gateway, KEY};
use crate::shop::{PATIENCE, Shop};

/// Where a secret was looked for, and what was there.
type Places = BTreeMap<String, Vec<u8>>;

fn holds(bytes: &[u8], secret: &str) -> bool {
    let secret = secret.as_bytes();
    bytes.windows(secret.len()).any(|window| window == secret)
}

fn files(dir: &Path, found: &mut Places) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else if path.is_file() {
            found.insert(path.display().to_string(), std::fs::read(&path).unwrap());
        }
    }
}

/// The memory that the process can write to; none if the kernel does not let us look.
fn memory(id: u32) -> Option<Vec<u8>> {
    let memory = std::fs::File::open(format!("/proc/{id}/mem")).ok()?;
    let maps = std::fs::read_to_string(format!("/proc/{id}/maps")).ok()?;
    let mut all = Vec::new();
    for line in maps.lines().filter(|line| line.split(' ').nth(1).is_some_and(|mode| mode.starts_with("rw")))
    {
        let (from, to) = line.split(' ').next()?.split_once('-')?;
        let (from, to) = (u64::from_str_radix(from, 16).ok()?, u64::from_str_radix(to, 16).ok()?);
        let mut piece = vec![0; usize::try_from(to - from).ok()?];
        // Some pages of the kernel's own cannot be read.
        if memory.read_exact_at(&mut piece, from).is_ok() {
            all.append(&mut piece);
        }
    }
    Some(all)
}

#[tokio::test]
async fn no_code_and_no_key_is_anywhere_after_a_day_of_sales() {
    let gateway = Gateway::open().await;
    let scanner = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&scanner).unwrap();
    unlockpt(&scanner).unwrap();
    let device = ptsname(&scanner, Vec::new()).unwrap().into_string().unwrap();
    // Held open, so that the line does not hang up before the daemon has it.
    let _line = std::fs::File::options().read(true).write(true).open(&device).unwrap();
    let token = "Zk3vT9-token-of-the-api-Qw8xN5b2LmRt";
    let shop =
        Shop::open_with(&gateway, &format!("[[scanner]]\nkind = \"serial\"\npath = {device:?}\n"), None)
            .await;
    let mut said = Places::new();
    let mut codes = Vec::new();
    let mut code = |mood| {
        let code = gateway.code(mood);
        codes.push(code.clone());
        code
    };

    // With the order, refused, unknown to anybody, of customers who come and go.
    for (n, mood) in [Mood::Pay, Mood::Poor, Mood::Expired, Mood::Password, Mood::WalkAway, Mood::Pay]
        .into_iter()
        .enumerate()
    {
        let body = json!({"amount": 100 + n, "auth_code": code(mood)});
        let opened = shop.ask("POST", "/v1/payments", Some(&body)).await;
        let id = opened.json()["id"].as_str().unwrap().to_owned();
        said.insert(format!("opening {n}"), opened.text.into_bytes());
        if mood == Mood::WalkAway {
            shop.ask("POST", &format!("/v1/payments/{id}/cancel"), None).await;
        }
        let sale = shop.follow(&id, PATIENCE).await;
        said.insert(format!("sale {n}"), sale.to_string().into_bytes());
    }
    // By the API's scan, and by the scanner, in two halves; and scans that nobody asked for.
    for by_device in [false, true] {
        let body = json!({"amount": 700 + u32::from(by_device)});
        let opened = shop.ask("POST", "/v1/payments", Some(&body)).await.json();
        let code = code(Mood::Pay);
        if by_device {
            rustix::io::write(scanner.as_fd(), &code.as_bytes()[..7]).unwrap();
            rustix::io::write(scanner.as_fd(), format!("{}\r\n", &code[7..]).as_bytes()).unwrap();
        } else {
            let scanned = shop.ask("POST", "/v1/scan", Some(&json!({"code": code}))).await;
            said.insert("scan".to_owned(), scanned.text.into_bytes());
        }
        let sale = shop.follow(opened["id"].as_str().unwrap(), PATIENCE).await;
        assert_eq!(sale["phase"], "paid", "{sale} {}", shop.log());
    }
    rustix::io::write(scanner.as_fd(), format!("{}\r\n{}x\r\n", code(Mood::Pay), code(Mood::Pay)).as_bytes())
        .unwrap();
    // From a POS that keeps its connection.
    let mut pos = tokio::net::UnixStream::connect(shop.path("run/api.sock")).await.unwrap();
    for n in 0..3 {
        let body = json!({"amount": 900 + n, "auth_code": code(Mood::Pay)}).to_string();
        let head =
            "POST /v1/payments?wait=20 HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n";
        let length = body.len();
        let request = format!("{head}Idempotency-Key: pos-{n}\r\nContent-Length: {length}\r\n\r\n{body}");
        pos.write_all(request.as_bytes()).await.unwrap();
        let mut answer = vec![0; 4096];
        let length = pos.read(&mut answer).await.unwrap();
        answer.truncate(length);
        assert!(holds(&answer, "\"paid\""), "{}", String::from_utf8_lossy(&answer));
        said.insert(format!("POS {n}"), answer);
    }
    // In all the wrong places.
    let lost = code(Mood::Pay);
    for (n, (method, target, body)) in [
        ("POST", "/v1/scan".to_owned(), json!({"code": lost})),
        ("POST", "/v1/scan".to_owned(), json!({"code": format!("{lost}x")})),
        ("POST", "/v1/scan".to_owned(), json!({lost.clone(): 1})),
        ("POST", "/v1/payments".to_owned(), json!({"amount": lost})),
        ("POST", "/v1/payments".to_owned(), json!({"amount": lost.parse::<u64>().unwrap()})),
        ("POST", "/v1/payments".to_owned(), json!({"amount": 0, "auth_code": lost})),
        ("GET", format!("/v1/payments/{lost}"), Value::Null),
        ("GET", format!("/v1/{lost}"), Value::Null),
        ("GET", format!("/v1/payments?lang={lost}"), Value::Null),
        ("GET", format!("/v1/payments?{lost}=1"), Value::Null),
        ("POST", "/v1/session".to_owned(), json!({"token": token})),
    ]
    .into_iter()
    .enumerate()
    {
        let body = Some(&body).filter(|body| !body.is_null());
        let answer = shop.ask(method, &target, body).await;
        said.insert(format!("wrong place {n}"), answer.text.into_bytes());
    }
    // Whatever the API shows.
    let list = shop.ask("GET", "/v1/payments?limit=100", None).await;
    let ids: Vec<String> = list.json()["payments"]
        .as_array()
        .unwrap()
        .iter()
        .map(|sale| sale["id"].as_str().unwrap().to_owned())
        .collect();
    let mut targets: Vec<String> = [
        "/metrics",
        "/v1/status",
        "/openapi.json",
        "/v1/payments?limit=100",
        "/",
        "/log",
        "/healthz",
        "/readyz",
    ]
    .map(str::to_owned)
    .to_vec();
    for id in ids {
        targets.extend(["", "/life", "/receipt.txt"].map(|rest| format!("/v1/payments/{id}{rest}")));
    }
    for target in targets {
        let answer = shop.ask("GET", &target, None).await;
        said.insert(target, answer.text.into_bytes());
    }
    for file in ["cmdline", "environ", "status", "comm"] {
        if let Ok(bytes) = std::fs::read(format!("/proc/{}/{file}", shop.id())) {
            said.insert(format!("/proc/PID/{file}"), bytes);
        }
    }
    let mut written = Places::new();
    files(shop.path("").as_path(), &mut written);
    written.retain(|name, _| !name.ends_with("/key") && !name.ends_with("/client-key.pem"));
    assert!(written.keys().any(|name| name.ends_with("/log")) && written.len() > 5, "{:?}", written.keys());
    said.append(&mut written);

    let key_line = gateway.client.1.lines().nth(1).unwrap().to_owned();
    let secrets = codes.iter().map(String::as_str).chain([KEY, key_line.as_str(), token]);
    for secret in secrets {
        for (place, bytes) in &said {
            assert!(!holds(bytes, secret), "a secret (…{}) is in {place}", &secret[secret.len() - 4..]);
        }
    }
    // Live memory, if we may look (as root): not one code is left.
    if let Some(memory) = memory(shop.id()) {
        assert!(holds(&memory, KEY), "a search that finds nothing at all proves nothing");
        let digits = memory.split(|byte| !byte.is_ascii_digit()).filter(|run| run.len() >= 18);
        let runs: BTreeSet<&[u8]> = digits.flat_map(|run| run.windows(18)).collect();
        let left: Vec<_> = (0..codes.len()).filter(|n| runs.contains(codes[*n].as_bytes())).collect();
        println!(
            "{} of {} codes are left in {} MiB of memory: {left:?}",
            left.len(),
            codes.len(),
            memory.len() >> 20
        );
        assert!(left.is_empty(), "codes are left in memory: {left:?}");
    }
}

#[tokio::test]
async fn no_core_is_written_and_nobody_of_the_same_user_reads_the_memory() {
    let gateway = Gateway::open().await;
    // As root everything may be read: then daemon and snooper run as somebody who is nobody.
    let root = rustix::process::geteuid().is_root();
    let nobody = root.then_some(65534);
    let mut shop = Shop::open_with(&gateway, "", nobody).await;
    let id = shop.sell("A", &gateway.code(Mood::Pay)).await;
    assert_eq!(shop.follow(&id, PATIENCE).await["phase"], "paid");
    for file in ["mem", "environ", "maps", "auxv"] {
        let mut snoop = Command::new("head");
        snoop.args(["-c", "1", &format!("/proc/{}/{file}", shop.id())]);
        if let Some(user) = nobody {
            snoop.uid(user).gid(user);
        }
        let output = snoop.output().unwrap();
        assert!(!output.status.success() && output.stdout.is_empty(), "/proc/PID/{file} can be read");
        assert!(String::from_utf8_lossy(&output.stderr).contains("denied"), "{output:?}");
    }
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", shop.id())).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().nth(4), Some("0"), "{core}");
    let ended = shop.end(Signal::ABORT);
    assert_eq!(ended.signal(), Some(6));
    assert!(!ended.core_dumped(), "a core was written");
}
