//! The transport against servers that behave and misbehave on real sockets: what was heard, and whether a byte can have left.

mod download;
mod hostile;

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::net::TcpListener;
use zeroize::Zeroizing;

use self::hostile::{Deed, Papers, Seen, answer, listen, plain, write};
use super::*;
use crate::payment::Answer;

const BODY: &str = "<xml><auth_code>134567890123458406</auth_code></xml>";

fn request(second_host: SecondHost) -> Call<Answer> {
    Call::Send(Request {
        path: "/pay/micropay",
        body: Zeroizing::new(BODY.as_bytes().to_vec()),
        content_type: "text/xml; charset=utf-8",
        client_certificate: false,
        second_host,
        read: Box::new(|status, body| {
            assert_eq!(status, 200);
            if body == b"ok" { Answer::NotPaid } else { Answer::Unknown(Cause::Malformed) }
        }),
    })
}

fn pay() -> Call<Answer> {
    request(SecondHost::IfNeverSent)
}

fn query() -> Call<Answer> {
    request(SecondHost::Always)
}

fn reverse() -> Call<Answer> {
    match query() {
        Call::Send(request) => Call::Send(Request { client_certificate: true, ..request }),
        other => other,
    }
}

fn settings(base_urls: &[&str]) -> Settings {
    Settings {
        base_urls: base_urls.iter().map(|url| (*url).to_owned()).collect(),
        roots: Vec::new(),
        identity: None,
        connect_timeout: Duration::from_secs(5),
        request_timeout: Duration::from_secs(8),
    }
}

fn http(base_urls: &[&str]) -> Http {
    Http::new(settings(base_urls)).unwrap()
}

fn trusting(papers: &Papers, base_urls: &[&str]) -> Http {
    Http::new(Settings { roots: vec![papers.root()], ..settings(base_urls) }).unwrap()
}

fn hurried(base_urls: &[&str]) -> Http {
    let connect_timeout = Duration::from_millis(400);
    let request_timeout = Duration::from_millis(800);
    Http::new(Settings { connect_timeout, request_timeout, ..settings(base_urls) }).unwrap()
}

const OK: Deed = Deed::Say("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");

/// An address at which nobody listens.
async fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

/// Answers every request on every connection.
async fn obliging() -> (String, Arc<Seen>) {
    let (addr, seen) = listen(|mut stream, seen| async move {
        while seen.request(&mut stream).await.is_some() {
            write(&mut stream, &answer("200 OK", "ok")).await;
        }
    })
    .await;
    (format!("http://{addr}"), seen)
}

#[tokio::test]
async fn an_answer_is_carried_back_and_the_connection_is_used_again() {
    let (url, seen) = obliging().await;
    let http = http(&[&url]);
    for n in 1..=3 {
        assert_eq!(http.call(pay()).await, Answer::NotPaid);
        assert_eq!(seen.requests(), n);
    }
    assert_eq!(seen.connections(), 1);
    assert_eq!(*seen.lines.lock().unwrap(), ["POST /pay/micropay HTTP/1.1"; 3]);
}

#[tokio::test]
async fn what_a_connection_may_carry_is_counted_for_each_request_anew() {
    let (addr, seen) = listen(|mut stream, seen| async move {
        while seen.request(&mut stream).await.is_some() {
            write(&mut stream, &answer("200 OK", &"x".repeat(60_000))).await;
        }
    })
    .await;
    let http = http(&[&format!("http://{addr}")]);
    for n in 1..=10 {
        // The reader's own word: the answer came whole.
        assert_eq!(http.call(pay()).await, Answer::Unknown(Cause::Malformed), "answer {n}");
    }
    assert_eq!(seen.connections(), 1);
}

#[tokio::test]
async fn nothing_is_sent_where_nobody_listens() {
    assert_eq!(http(&[&nobody().await]).call(pay()).await, Answer::NeverSent(Cause::Connect));
}

#[tokio::test]
async fn a_name_without_address_is_told_from_a_refused_connection() {
    let http = http(&["https://gateway.invalid"]);
    assert_eq!(http.call(pay()).await, Answer::NeverSent(Cause::Dns));
}

#[tokio::test]
async fn whatever_a_server_does_after_the_request_left_is_unknown_and_it_gets_one_post() {
    let unknown: &[(Deed, Cause)] = &[
        (Deed::CloseAfterRequest, Cause::ConnectionLost),
        (Deed::Reset, Cause::ConnectionLost),
        (Deed::Say("HTTP/1.1 200 OK\r\nContent-Le"), Cause::ConnectionLost),
        (Deed::Say("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok"), Cause::ConnectionLost),
        (
            Deed::Say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n"),
            Cause::ConnectionLost,
        ),
        (
            Deed::Say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nok\r\n0\r\n\r\n"),
            Cause::ConnectionLost,
        ),
        (Deed::Say("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok"), Cause::Malformed),
        (Deed::Say("HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\nok"), Cause::Malformed),
        (Deed::Say("<xml><return_code>SUCCESS</return_code></xml>"), Cause::Malformed),
        (
            Deed::Say("HTTP/1.1 301 Moved\r\nLocation: /pay/micropay\r\nContent-Length: 0\r\n\r\n"),
            Cause::HttpStatus(301),
        ),
        (
            Deed::Say("HTTP/1.1 302 Found\r\nLocation: /pay/micropay\r\nContent-Length: 0\r\n\r\n"),
            Cause::HttpStatus(302),
        ),
        (
            Deed::Say("HTTP/1.1 307 Again\r\nLocation: /pay/micropay\r\nContent-Length: 0\r\n\r\n"),
            Cause::HttpStatus(307),
        ),
        (
            Deed::Say("HTTP/1.1 308 Again\r\nLocation: /pay/micropay\r\nContent-Length: 0\r\n\r\n"),
            Cause::HttpStatus(308),
        ),
        (
            Deed::Say("HTTP/1.1 429 Slow\r\nRetry-After: 0\r\nContent-Length: 0\r\n\r\n"),
            Cause::HttpStatus(429),
        ),
        (Deed::Say("HTTP/1.1 500 Oops\r\nContent-Length: 2\r\n\r\nok"), Cause::HttpStatus(500)),
        (Deed::Say("HTTP/1.1 503 Busy\r\nContent-Length: 2\r\n\r\nok"), Cause::HttpStatus(503)),
        (Deed::Say("HTTP/1.1 204 No Content\r\n\r\n"), Cause::HttpStatus(204)),
        (
            Deed::Say("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<html>portal</html>"),
            Cause::Malformed,
        ),
        (Deed::Say("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"), Cause::Malformed),
    ];
    for (deed, cause) in unknown {
        let (url, seen) = plain(*deed).await;
        let http = http(&[&url]);
        assert_eq!(http.call(pay()).await, Answer::Unknown(cause.clone()), "{deed:?}");
        assert_eq!(seen.requests(), 1, "{deed:?}");
        assert_eq!(
            http.status()[0].trouble.as_ref(),
            (*cause != Cause::Malformed || !is_whole(*deed)).then_some(cause)
        );
    }
}

/// Whether the transport gets an answer out of it, whatever the codec then says.
fn is_whole(deed: Deed) -> bool {
    matches!(deed, Deed::Say(text) if text.starts_with("HTTP/1.1 200 OK\r\nContent-Type") || text.ends_with("Length: 0\r\n\r\n"))
}

#[tokio::test]
async fn the_same_misdeeds_over_tls_are_unknown_too() {
    let papers = Papers::new();
    for deed in [
        Deed::CloseAtOnce,
        Deed::CloseAfterRequest,
        Deed::Say("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok"),
    ] {
        let (addr, seen) = papers.tls("localhost", false, false, deed).await;
        let http = trusting(&papers, &[&format!("https://localhost:{}", addr.port())]);
        assert_eq!(http.call(pay()).await, Answer::Unknown(Cause::ConnectionLost), "{deed:?}");
        assert!(seen.requests() <= 1, "{deed:?}");
    }
}

#[tokio::test]
async fn a_server_that_hangs_or_drips_costs_the_deadline_and_no_more() {
    for deed in [Deed::Hang, Deed::Drip] {
        let (url, seen) = plain(deed).await;
        let http = hurried(&[&url]);
        let start = Instant::now();
        assert_eq!(http.call(pay()).await, Answer::Unknown(Cause::Timeout), "{deed:?}");
        assert!(start.elapsed() < http.deadline() + Duration::from_secs(1), "{deed:?}");
        assert_eq!(seen.requests(), 1);
    }
}

#[tokio::test]
async fn a_handshake_that_is_never_answered_is_never_sent() {
    let (addr, seen) = listen(|stream, _| async move {
        let _stream = stream;
        std::future::pending().await
    })
    .await;
    let http = hurried(&[&format!("https://localhost:{}", addr.port())]);
    let start = Instant::now();
    assert_eq!(http.call(pay()).await, Answer::NeverSent(Cause::Connect));
    assert!(start.elapsed() < http.deadline() + Duration::from_secs(1));
    assert_eq!(seen.requests(), 0);
}

#[tokio::test]
async fn of_300_megabytes_only_what_sockets_hold_is_ever_sent() {
    for deed in [Deed::Huge, Deed::HugeChunks, Deed::HugeHead, Deed::HugePatience, Deed::HugeFraming] {
        let (url, seen) = plain(deed).await;
        assert_eq!(http(&[&url]).call(pay()).await, Answer::Unknown(Cause::TooLarge), "{deed:?}");
        let written = seen.written.load(std::sync::atomic::Ordering::SeqCst);
        // Linux gives a loopback connection up to 6 MB of receive and 4 MB of send buffer.
        assert!(written < 12 * 1024 * 1024, "{deed:?}: {written} bytes");
    }
}

#[tokio::test]
async fn a_server_that_cannot_be_trusted_gets_nothing() {
    let papers = Papers::new();
    let stranger = Papers::new();
    let cases = [
        ("wrong name", papers.tls("elsewhere.test", false, false, OK).await),
        ("expired", papers.tls("localhost", true, false, OK).await),
        ("unknown authority", stranger.tls("localhost", false, false, OK).await),
    ];
    for (what, (addr, seen)) in cases {
        let http = trusting(&papers, &[&format!("https://localhost:{}", addr.port())]);
        let answer = http.call(pay()).await;
        assert_eq!(answer, Answer::NeverSent(Cause::Tls), "{what}");
        assert_eq!(seen.requests(), 0, "{what}");
    }
    // Hangs up in the handshake; speaks something else than TLS.
    for hello in [&b""[..], b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x15\x03\x01\x00\x02\x02\x46"] {
        let (addr, _) = listen(move |mut stream, _| async move { write(&mut stream, hello).await }).await;
        let http = trusting(&papers, &[&format!("https://localhost:{}", addr.port())]);
        assert_eq!(http.call(pay()).await, Answer::NeverSent(Cause::Tls));
    }
}

#[tokio::test]
async fn a_trusted_server_is_asked_over_tls() {
    let papers = Papers::new();
    let (addr, seen) = papers.tls("localhost", false, false, OK).await;
    let http = trusting(&papers, &[&format!("https://localhost:{}", addr.port())]);
    assert_eq!(http.call(pay()).await, Answer::NotPaid);
    assert_eq!(seen.requests(), 1);
}

#[tokio::test]
async fn the_client_certificate_goes_only_where_it_is_asked_for_and_never_onto_another_connection() {
    let papers = Papers::new();
    let (addr, seen) = papers.tls("localhost", false, true, OK).await;
    let url = format!("https://localhost:{}", addr.port());
    let with =
        |identity| Http::new(Settings { roots: vec![papers.root()], identity, ..settings(&[&url]) }).unwrap();
    let without = with(None);
    assert_eq!(without.call(reverse()).await, Answer::NeverSent(Cause::ClientCertificate));
    // Under TLS 1.3 the server's refusal comes after the request was written.
    assert!(matches!(without.call(pay()).await, Answer::Unknown(_)));
    assert_eq!(seen.requests(), 0);
    let http = with(Some(papers.identity()));
    http.warm().await;
    assert_eq!(http.call(reverse()).await, Answer::NotPaid);
    assert_eq!(seen.requests(), 1);
    assert!(http.certificate_expiry().is_some());
    // Loopback without TLS wants none.
    let (url, _) = obliging().await;
    assert_eq!(self::http(&[&url]).call(reverse()).await, Answer::NotPaid);
}

#[tokio::test]
async fn pay_goes_to_the_second_host_only_if_the_first_cannot_have_it() {
    let (second, seen) = obliging().await;
    assert_eq!(http(&[&nobody().await, &second]).call(pay()).await, Answer::NotPaid);
    assert_eq!(seen.requests(), 1);

    for deed in [Deed::CloseAfterRequest, Deed::Say("HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")]
    {
        let (first, hit) = plain(deed).await;
        let (second, seen) = obliging().await;
        assert!(matches!(http(&[&first, &second]).call(pay()).await, Answer::Unknown(_)));
        assert_eq!((hit.requests(), seen.requests()), (1, 0), "{deed:?}");
    }
}

#[tokio::test]
async fn a_query_goes_to_the_second_host_after_any_failure() {
    let page = Deed::Say("HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n");
    for deed in [Deed::CloseAfterRequest, Deed::Hang, page] {
        let (first, hit) = plain(deed).await;
        let (second, seen) = obliging().await;
        let http = hurried(&[&first, &second]);
        assert_eq!(http.call(query()).await, Answer::NotPaid, "{deed:?}");
        assert_eq!((hit.requests(), seen.requests()), (1, 1), "{deed:?}");
    }
}

#[tokio::test]
async fn of_two_failures_the_one_that_may_have_left_counts() {
    let (first, _) = plain(Deed::CloseAfterRequest).await;
    let http = http(&[&first, &nobody().await]);
    assert_eq!(http.call(query()).await, Answer::Unknown(Cause::ConnectionLost));
    let http = self::http(&[&nobody().await, &nobody().await]);
    assert_eq!(http.call(query()).await, Answer::NeverSent(Cause::Connect));
}

#[tokio::test]
async fn two_hosts_that_hang_cost_no_more_than_the_deadline() {
    let (first, _) = plain(Deed::Hang).await;
    let (second, _) = plain(Deed::Hang).await;
    let http = hurried(&[&first, &second]);
    assert_eq!(http.deadline(), Duration::from_millis(1600));
    let start = Instant::now();
    assert_eq!(http.call(query()).await, Answer::Unknown(Cause::Timeout));
    assert!(start.elapsed() < http.deadline() + Duration::from_secs(1));
}

#[tokio::test]
async fn the_host_that_worked_last_is_asked_first_until_the_other_has_its_turn_again() {
    let (first, hit) = plain(Deed::CloseAfterRequest).await;
    let (second, seen) = obliging().await;
    let http = http(&[&first, &second]);
    let first_asked = |http: &Http| http.status().iter().position(|host| host.first);
    assert_eq!(first_asked(&http), Some(0));
    assert!(matches!(http.call(pay()).await, Answer::Unknown(_)));
    assert_eq!(first_asked(&http), Some(1));
    assert_eq!(http.call(pay()).await, Answer::NotPaid);
    assert_eq!(http.call(query()).await, Answer::NotPaid);
    assert_eq!((hit.requests(), seen.requests()), (1, 2));
    let status = http.status();
    assert_eq!((status[0].failed, status[0].trouble.clone()), (1, Some(Cause::ConnectionLost)));
    assert_eq!((status[1].answered, status[1].trouble.clone()), (2, None));
    // Three minutes later.
    http.state().home -= LEFT_ALONE;
    assert_eq!(first_asked(&http), Some(0));
}

#[tokio::test]
async fn warming_opens_a_connection_without_a_request_and_the_payment_uses_it() {
    let (url, seen) = obliging().await;
    let http = http(&[&url]);
    assert!(!http.is_warm());
    http.warm().await;
    assert!(http.is_warm());
    tokio::join!(http.warm(), http.warm());
    assert_eq!(http.call(pay()).await, Answer::NotPaid);
    assert_eq!((seen.connections(), seen.requests()), (1, 1));
    assert!(http.is_warm());
}

#[tokio::test]
async fn a_payment_waits_for_the_connection_that_is_being_opened() {
    let papers = Papers::new();
    let (addr, seen) = papers.tls("localhost", false, false, OK).await;
    let http = trusting(&papers, &[&format!("https://localhost:{}", addr.port())]);
    let (_, answer) = tokio::join!(biased; http.warm(), http.call(pay()));
    assert_eq!(answer, Answer::NotPaid);
    assert_eq!((seen.connections(), seen.requests()), (1, 1));
}

#[tokio::test]
async fn warming_finds_out_which_host_to_pay_at() {
    let (second, seen) = obliging().await;
    let http = http(&[&nobody().await, &second]);
    http.warm().await;
    assert!(http.is_warm());
    assert_eq!(seen.requests(), 0);
    assert_eq!(http.call(pay()).await, Answer::NotPaid);
    assert_eq!((seen.connections(), seen.requests()), (1, 1));
}

#[tokio::test]
async fn a_kept_connection_that_the_server_closed_is_not_used() {
    let (url, seen) = plain(OK).await;
    let http = http(&[&url]);
    for n in 1..=20 {
        // The server hangs up after each answer, at about the moment of the next request.
        let answer = http.call(query()).await;
        assert!(matches!(answer, Answer::NotPaid | Answer::Unknown(Cause::ConnectionLost)), "{answer:?}");
        assert!(seen.requests() <= n, "a request was repeated");
    }
}

#[tokio::test]
async fn an_address_that_worked_outlives_the_resolver() {
    let papers = Papers::new();
    let (addr, seen) = papers.tls("gateway.invalid", false, false, OK).await;
    let http = trusting(&papers, &[&format!("https://gateway.invalid:{}", addr.port())]);
    assert_eq!(http.call(pay()).await, Answer::NeverSent(Cause::Dns));
    http.hosts[0].remember(addr);
    assert_eq!(http.call(pay()).await, Answer::NotPaid);
    assert_eq!(seen.requests(), 1);
}

#[test]
fn only_loopback_goes_without_tls_and_addresses_have_no_paths() {
    let refused = |url: &str| Http::new(settings(&[url])).err();
    for good in [
        "https://api.mch.weixin.qq.com",
        "https://api.mch.weixin.qq.com/",
        "https://[::1]:8443",
        "http://localhost:80",
        "http://127.0.0.1:7000",
        "http://[::1]:7000",
    ] {
        assert_eq!(refused(good), None, "{good}");
    }
    for plain in ["http://api.mch.weixin.qq.com", "http://192.168.1.1", "http://localhost.example.org"] {
        assert_eq!(refused(plain), Some(SettingsError::Unencrypted(plain.to_owned())));
    }
    for bad in [
        "",
        "api.mch.weixin.qq.com",
        "ftp://localhost",
        "https://u:p@host",
        "https://host/pay",
        "https://host?x=1",
        "https://",
    ] {
        assert_eq!(refused(bad), Some(SettingsError::Url(bad.to_owned())));
    }
    assert_eq!(Http::new(settings(&[])).err(), Some(SettingsError::NoHost));
}

#[tokio::test]
async fn no_failure_shows_what_was_sent() {
    for deed in [
        Deed::CloseAtOnce,
        Deed::CloseAfterRequest,
        Deed::Say("nonsense\r\n\r\n"),
        Deed::Say("HTTP/1.1 500 134567890123458406\r\n\r\n"),
    ] {
        let (url, _) = plain(deed).await;
        let http = http(&[&url]);
        let shown = format!("{:?} {:?}", http.call(pay()).await, http.status());
        assert!(!shown.contains("134567890123458406"), "{shown}");
    }
}
