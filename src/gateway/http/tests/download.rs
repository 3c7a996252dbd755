//! Downloads: large, bounded, cut, slow; and never on a connection that a payment uses.

use super::super::download::Bounds;
use super::*;
use crate::gateway::Download;

const MEGABYTE: usize = 1024 * 1024;

fn asked() -> Download {
    let body = Zeroizing::new(b"<xml></xml>".to_vec());
    Download { path: "/pay/downloadbill", body, content_type: "text/xml; charset=utf-8" }
}

/// What came, and how it ended.
async fn fetch(http: &Http, bounds: Option<Bounds>) -> (usize, Result<(), DownloadError<&'static str>>) {
    let mut come = 0;
    let sink = |piece: &[u8]| {
        come += piece.len();
        Ok(())
    };
    let done = match bounds {
        None => http.download(asked(), sink).await,
        Some(bounds) => http.download_within(bounds, asked(), sink).await,
    };
    (come, done)
}

fn line(cause: Cause) -> Result<(), DownloadError<&'static str>> {
    Err(DownloadError::Line(cause))
}

#[tokio::test]
async fn what_is_far_larger_than_an_answer_comes_whole_and_in_small_pieces() {
    for deed in [Deed::Huge, Deed::HugeChunks] {
        let (url, seen) = plain(deed).await;
        let http = http(&[&url]);
        let (mut come, mut largest) = (0, 0);
        let done = http
            .download(asked(), |piece| {
                come += piece.len();
                largest = largest.max(piece.len());
                if come > 20 * MEGABYTE { Err("enough") } else { Ok(()) }
            })
            .await;
        assert_eq!(done, Err(DownloadError::Refused("enough")), "{deed:?}");
        assert!(largest <= MEGABYTE, "{deed:?}: {largest}");
        assert_eq!(*seen.lines.lock().unwrap(), ["POST /pay/downloadbill HTTP/1.1"]);
    }
}

#[tokio::test]
async fn more_than_the_bound_is_too_large() {
    let within = Duration::from_secs(60);
    for deed in [Deed::Huge, Deed::HugeChunks, Deed::HugeFraming, Deed::HugePatience, Deed::HugeHead] {
        let (url, seen) = plain(deed).await;
        let (come, done) = fetch(&http(&[&url]), Some(Bounds { bytes: 2 * MEGABYTE, within })).await;
        assert_eq!(done, line(Cause::TooLarge), "{deed:?}");
        assert!(come <= 2 * MEGABYTE, "{deed:?}: {come}");
        assert!(seen.written.load(std::sync::atomic::Ordering::SeqCst) < 30 * MEGABYTE, "{deed:?}");
    }
}

#[tokio::test]
async fn what_is_cut_or_slow_or_no_success_is_said_to_be() {
    let within = Duration::from_secs(60);
    for (deed, cause) in [
        (Deed::Say("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok"), Cause::ConnectionLost),
        (
            Deed::Say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n"),
            Cause::ConnectionLost,
        ),
        (Deed::Say("HTTP/1.1 500 Oops\r\nContent-Length: 2\r\n\r\nok"), Cause::HttpStatus(500)),
        (
            Deed::Say("HTTP/1.1 302 Found\r\nLocation: /pay/downloadbill\r\nContent-Length: 0\r\n\r\n"),
            Cause::HttpStatus(302),
        ),
        (Deed::CloseAfterRequest, Cause::ConnectionLost),
        (Deed::Hang, Cause::Timeout),
    ] {
        let (url, seen) = plain(deed).await;
        let (_, done) = fetch(&hurried(&[&url]), Some(Bounds { bytes: MEGABYTE, within })).await;
        assert_eq!(done, line(cause), "{deed:?}");
        assert_eq!(seen.requests(), 1, "{deed:?}");
    }
}

/// Answers at once, then sends a byte every 100 ms, for ever.
async fn trickle() -> String {
    let (addr, _) = listen(|mut stream, seen| async move {
        seen.request(&mut stream).await;
        write(&mut stream, b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n").await;
        let mut tick = tokio::time::interval(Duration::from_millis(100));
        loop {
            tick.tick().await;
            write(&mut stream, b"x").await;
        }
    })
    .await;
    format!("http://{addr}")
}

#[tokio::test]
async fn a_trickle_is_no_silence_but_ends_with_the_time_for_all() {
    // Each piece comes within 800 ms, and all that is allowed is longer than that.
    let within = Duration::from_millis(1500);
    let began = Instant::now();
    let (come, done) = fetch(&hurried(&[&trickle().await]), Some(Bounds { bytes: MEGABYTE, within })).await;
    assert_eq!(done, line(Cause::Timeout));
    assert!(come > 8, "{come} pieces came");
    assert!(began.elapsed() >= within);
}

#[tokio::test]
async fn another_host_is_asked_only_while_nothing_has_come() {
    let (cut, first) = plain(Deed::Say("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")).await;
    let (url, seen) = obliging().await;
    let (come, done) = fetch(&http(&[&cut, &url]), None).await;
    assert_eq!((come, done), (4, line(Cause::ConnectionLost)));
    assert_eq!((first.requests(), seen.requests()), (1, 0));

    let (come, done) = fetch(&http(&[&nobody().await, &url]), None).await;
    assert_eq!((come, done), (2, Ok(())));
    let (down, _) = plain(Deed::Say("HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n")).await;
    assert_eq!(fetch(&http(&[&down, &url]), None).await, (2, Ok(())));
    assert_eq!(fetch(&http(&[&down, &nobody().await]), None).await.1, line(Cause::HttpStatus(503)));
}

#[tokio::test]
async fn a_payment_never_goes_out_on_a_connection_of_a_download() {
    let (addr, seen) = listen(|mut stream, seen| async move {
        while seen.request(&mut stream).await.is_some() {
            write(&mut stream, &answer("200 OK", "ok")).await;
        }
    })
    .await;
    let http = http(&[&format!("http://{addr}")]);
    assert_eq!(http.call(pay()).await, Answer::NotPaid);
    assert_eq!(fetch(&http, None).await, (2, Ok(())));
    assert_eq!(seen.connections(), 2, "the payment's was not taken");
    assert_eq!(http.call(pay()).await, Answer::NotPaid);
    assert_eq!(seen.connections(), 2, "the payment has its own again");
}
