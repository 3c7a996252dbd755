//! Peers on the same machine that use the API up, or pages of other sites: sales go on, memory stays, nothing is done.

use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use futures_util::{StreamExt, stream};
use micropayd::simulator::mood::Mood;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::gateway::Gateway;
use crate::shop::{PATIENCE, Shop, exchange};

/// More memory than on a good day that a peer may cost, kB.
const MORE: u64 = 1024;

/// Sells once over TCP, as a till does, and once over the Unix socket, as a POS does.
async fn both_ways_sell(gateway: &Gateway, shop: &Shop, name: &str) {
    let host = format!("Host: {}\r\n", shop.address);
    let body = json!({"amount": 1250, "auth_code": gateway.code(Mood::Pay)});
    let headers = format!("{host}Idempotency-Key: {name}-tcp\r\n");
    let began = Instant::now();
    let opened = shop.ask_tcp("POST", "/v1/payments?wait=20", &headers, Some(&body)).await;
    assert_eq!((opened.status, opened.json()["phase"].as_str()), (201, Some("paid")), "{name}: {opened:?}");
    let id = shop.sell(name, &gateway.code(Mood::Pay)).await;
    assert_eq!(shop.follow(&id, PATIENCE).await["phase"], "paid", "{name}");
    assert!(began.elapsed() < Duration::from_secs(20), "{name}: two sales took {:?}", began.elapsed());
}

#[tokio::test]
async fn ten_thousand_idle_connections_stop_no_sale() {
    const CROWD: usize = 10_000;
    let limit = getrlimit(Resource::Nofile);
    let wanted = CROWD as u64 + 1000;
    if limit.current.is_some_and(|current| current < wanted) {
        let maximum = limit.maximum.map(|maximum| maximum.max(wanted));
        setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum })
            .expect("11,000 open files are allowed (ulimit -Hn)");
    }
    let gateway = Gateway::open().await;
    let shop = Shop::open(&gateway).await;
    both_ways_sell(&gateway, &shop, "before").await;
    let crowd_of = |count: usize| {
        let arrivals = stream::iter(0..count).map(|_| TcpStream::connect(shop.address));
        // Many at a time: one that finds the kernel's queue full tries again only after a second.
        arrivals.buffer_unordered(1000).map(Result::unwrap).collect::<Vec<_>>()
    };
    let mut crowd = crowd_of(CROWD / 2).await;
    both_ways_sell(&gateway, &shop, "amid").await;
    crowd.extend(crowd_of(CROWD / 2).await);
    both_ways_sell(&gateway, &shop, "after").await;
    let files = std::fs::read_dir(format!("/proc/{}/fd", shop.id())).map_or(0, Iterator::count);
    assert!(files < 400, "{files} files are open");
    // A crowd that comes back as soon as it is sent away.
    let back = async {
        loop {
            for place in &mut crowd {
                *place = TcpStream::connect(shop.address).await.unwrap();
                tokio::task::yield_now().await;
            }
        }
    };
    tokio::select! {
        () = back => {}
        () = both_ways_sell(&gateway, &shop, "while") => {}
    }
    assert!(!shop.log().contains("ERROR"), "{}", shop.log());
}

#[tokio::test]
async fn followers_that_do_not_read_cost_little_and_hold_up_nobody() {
    let gateway = Gateway::open().await;
    let shop = Shop::open(&gateway).await;
    both_ways_sell(&gateway, &shop, "before").await;
    let before = shop.peak();
    let mut followers = Vec::new();
    let mut refused = 0;
    for _ in 0..100 {
        // A window so small that the daemon soon has bytes that nobody takes.
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(1).unwrap();
        let mut follower = socket.connect(shop.address).await.unwrap();
        let request =
            format!("GET /v1/events HTTP/1.1\r\nHost: {}\r\nLast-Event-ID: 0\r\n\r\n", shop.address);
        follower.write_all(request.as_bytes()).await.unwrap();
        let mut line = [0; 12];
        follower.read_exact(&mut line).await.unwrap();
        match &line[9..] {
            b"200" => followers.push(follower),
            status => {
                assert_eq!(status, b"503");
                refused += 1;
            }
        }
    }
    assert_eq!((followers.len(), refused), (32, 68), "followers are counted");
    for n in 0..10 {
        both_ways_sell(&gateway, &shop, &format!("follow-{n}")).await;
    }
    let more = shop.peak().saturating_sub(before);
    assert!(more <= 3 * MORE, "{more} kB more for 32 followers that do not read");
}

#[tokio::test]
async fn bodies_without_end_measure_or_sense_are_refused_and_cost_little() {
    let gateway = Gateway::open().await;
    let shop = Shop::open(&gateway).await;
    both_ways_sell(&gateway, &shop, "before").await;
    let before = shop.peak();
    let head = format!(
        "POST /v1/payments HTTP/1.1\r\nHost: {}\r\nIdempotency-Key: k\r\nContent-Type: application/json\r\n",
        shop.address
    );
    let deep = format!("{{\"amount\":{}1{}}}", "[".repeat(8000), "]".repeat(8000));
    let huge = "x".repeat(1 << 20);
    let cases = [
        ("announced too large", format!("{head}Content-Length: 1000000000\r\n\r\n{{"), "413"),
        (
            "endless chunks",
            format!(
                "{head}Transfer-Encoding: chunked\r\n\r\n{}",
                format!("4000\r\n{}\r\n", &huge[..0x4000]).repeat(40)
            ),
            "413",
        ),
        ("nested", format!("{head}Content-Length: {}\r\n\r\n{deep}", deep.len()), "400"),
        ("a head without end", format!("{head}X: {huge}\r\n\r\n"), "431"),
        ("headers without end", format!("{head}{}\r\n", "X: y\r\n".repeat(100_000)), "431"),
        ("a target without end", format!("GET /{huge} HTTP/1.1\r\nHost: {}\r\n\r\n", shop.address), "4"),
        ("two lengths", format!("{head}Content-Length: 1\r\nContent-Length: 2\r\n\r\n{{}}"), "400"),
        ("not HTTP", "\u{16}\u{3}\u{1}\u{2}\u{0}\r\n\r\n".to_owned(), "400"),
    ];
    for (what, request, expected) in cases {
        let mut stream = TcpStream::connect(shop.address).await.unwrap();
        // It may be hung up on before everything is said; then what was answered may be lost too.
        let _ = stream.write_all(request.as_bytes()).await;
        let mut answer = vec![0; 12];
        let read = tokio::time::timeout(PATIENCE, stream.read_exact(&mut answer))
            .await
            .expect("it is answered or hung up on");
        if read.is_ok() {
            let answer = String::from_utf8_lossy(&answer).into_owned();
            assert!(answer.starts_with(&format!("HTTP/1.1 {expected}")), "{what}: {answer}");
        }
    }
    // Many that never end their heads and bodies, at the same time.
    let mut slow = Vec::new();
    for n in 0..200 {
        let mut stream = TcpStream::connect(shop.address).await.unwrap();
        let half = if n % 2 == 0 { format!("{head}Content-Length: 100\r\n\r\n{{") } else { head.clone() };
        stream.write_all(half.as_bytes()).await.unwrap();
        slow.push(stream);
    }
    both_ways_sell(&gateway, &shop, "amid").await;
    let more = shop.peak().saturating_sub(before);
    assert!(more <= 8 * MORE, "{more} kB more for 200 requests that do not end");
    let sales = shop.ask("GET", "/v1/payments", None).await.json();
    assert_eq!(sales["payments"].as_array().unwrap().len(), 4, "nothing but our own sales: {sales}");
}

#[tokio::test]
async fn pages_of_other_sites_and_rebound_names_do_nothing() {
    let gateway = Gateway::open().await;
    let shop = Shop::open(&gateway).await;
    let own = format!("Host: {}\r\n", shop.address);
    let body = json!({"amount": 1250});
    let foreign = [
        ("rebound", "Host: shop.example:7780\r\n".to_owned(), 403),
        ("rebound to a look-alike", "Host: 127.0.0.1.example:7780\r\n".to_owned(), 403),
        ("rebound to the network", "Host: 192.168.1.20:7780\r\n".to_owned(), 403),
        ("without a name", String::new(), 403),
        ("two names", format!("{own}Host: shop.example\r\n"), 403),
        ("another origin", format!("{own}Origin: http://shop.example\r\n"), 403),
        ("no origin", format!("{own}Origin: null\r\n"), 403),
        ("another port", format!("{own}Origin: http://{}:1\r\n", shop.address.ip()), 403),
        ("another site", format!("{own}Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: no-cors\r\n"), 403),
        ("same site, another port", format!("{own}Sec-Fetch-Site: same-site\r\n"), 403),
        ("ours", format!("{own}Origin: http://{}\r\nSec-Fetch-Site: same-origin\r\n", shop.address), 201),
    ];
    for (what, headers, expected) in foreign {
        for (method, target) in [("POST", "/v1/drawer"), ("GET", "/v1/payments"), ("GET", "/v1/events")] {
            if expected == 403 {
                let stream = TcpStream::connect(shop.address).await.unwrap();
                let answer = exchange(stream, method, target, &headers, None).await;
                assert!(matches!(answer.status, 400 | 403), "{what}: {answer:?}");
            }
        }
        let headers = format!("{headers}Idempotency-Key: {what}\r\n");
        let answer = shop.ask_tcp("POST", "/v1/payments", &headers, Some(&body)).await;
        assert!(answer.status == expected || expected == 403 && answer.status == 400, "{what}: {answer:?}");
        assert!(!answer.text.to_ascii_lowercase().contains("access-control"), "{what}");
    }
    let sales = shop.ask("GET", "/v1/payments", None).await.json();
    assert_eq!(sales["payments"].as_array().unwrap().len(), 1, "{sales}");
    assert!(!shop.log().contains("drawer opened"), "{}", shop.log());
    // A form of another page: it can send text without asking first, and never JSON.
    let mut stream = TcpStream::connect(shop.address).await.unwrap();
    let form = format!(
        "POST /v1/payments HTTP/1.1\r\n{own}Content-Type: text/plain\r\nIdempotency-Key: f\r\nContent-Length: 15\r\n\r\n{{\"amount\": 125}}"
    );
    stream.write_all(form.as_bytes()).await.unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 415");
}

#[tokio::test]
async fn what_the_daemon_leaves_in_the_file_system_is_its_own() {
    let gateway = Gateway::open().await;
    let shop = Shop::open(&gateway).await;
    both_ways_sell(&gateway, &shop, "before").await;
    let mode = |name: &str| std::fs::metadata(shop.path(name)).unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode("run/api.sock"), 0o660, "its group may sell");
    assert!(!shop.path("run/api.sock.new").exists());
    for entry in std::fs::read_dir(shop.path("state")).unwrap() {
        let entry = entry.unwrap();
        let mode = entry.metadata().unwrap().permissions().mode() & 0o7777;
        assert_eq!(mode & 0o027, 0, "{:?} has mode {mode:o}", entry.file_name());
        let mut text = Vec::new();
        std::fs::File::open(entry.path()).unwrap().read_to_end(&mut text).unwrap();
    }
}
