//! The listener's bounds, tried with real sockets: idle, slow, endless and too many peers.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Extension, Request};
use axum::http::StatusCode;
use axum::routing::{get, post};
use futures_util::{StreamExt, stream};
use micropayd::listen::{Hangup, Limits, Peer, Transport, serve};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Longer than anything here takes, shorter than a person's patience.
const LONG: Duration = Duration::from_secs(20);
const SOON: Duration = Duration::from_millis(100);
const LIMITS: Limits = Limits { connections: 16, request_timeout: LONG, idle_timeout: LONG };

struct Server {
    addr: SocketAddr,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
    gate: Arc<Gate>,
}

/// Where held requests wait.
struct Gate {
    /// A permit for each that has arrived.
    arrived: Semaphore,
    /// A permit for each that may go.
    go: Semaphore,
    /// A permit for each endless answer that was dropped.
    dropped: Semaphore,
}

/// Tells when an answer is dropped.
struct Dropped(Arc<Gate>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.dropped.add_permits(1);
    }
}

impl Gate {
    fn new() -> Arc<Self> {
        Arc::new(Self { arrived: Semaphore::new(0), go: Semaphore::new(0), dropped: Semaphore::new(0) })
    }

    async fn hold(&self) -> &'static str {
        self.arrived.add_permits(1);
        self.go.acquire().await.unwrap().forget();
        "held"
    }

    async fn one_arrived(&self) {
        timeout(LONG / 2, self.arrived.acquire()).await.unwrap().unwrap().forget();
    }
}

async fn start(limits: Limits) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let (stop, stopped) = watch::channel(false);
    let gate = Gate::new();
    let task = tokio::spawn(serve(listener, Transport::Plain, router(gate.clone()), limits, stopped));
    Server { addr, stop, task, gate }
}

fn router(gate: Arc<Gate>) -> Router {
    let flooded = gate.clone();
    Router::new()
        .route(
            "/flood",
            get(move || async move {
                let answer = Dropped(flooded.clone());
                Body::from_stream(stream::repeat_with(move || {
                    let _held = &answer;
                    Ok::<_, io::Error>(Bytes::from_static(&[b'x'; 16384]))
                }))
            }),
        )
        .route("/", get(|Extension(peer): Extension<Peer>| async move { format!("{:?}", peer.addr) }))
        .route("/held", get(move || async move { gate.hold().await }))
        .route(
            "/body",
            post(|request: Request| async move {
                let read = axum::body::to_bytes(request.into_body(), 1024).await;
                if read.is_ok() { StatusCode::OK } else { StatusCode::REQUEST_TIMEOUT }
            }),
        )
        .route(
            "/stream",
            get(|| async {
                let ticks = stream::iter(0..8).then(|_| async {
                    tokio::time::sleep(SOON / 2).await;
                    Ok::<_, io::Error>(Bytes::from_static(b"tick\n"))
                });
                Body::from_stream(ticks)
            }),
        )
        .route("/hangup", get(|| async { (Extension(Hangup::default()), "never seen") }))
        .route("/raw", get(|| async { (Extension(Hangup(Bytes::from_static(b"not HTTP"))), "never seen") }))
        .route("/endless", get(|| async { Body::from_stream(stream::pending::<io::Result<Bytes>>()) }))
}

impl Server {
    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.addr).await.unwrap()
    }

    async fn send(&self, path: &str) -> TcpStream {
        let mut stream = self.connect().await;
        let head = format!("GET {path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        stream
    }

    async fn get(&self, path: &str) -> String {
        rest(self.send(path).await).await
    }
}

/// Everything until the server closes, however it closes.
async fn rest(mut stream: TcpStream) -> String {
    let mut bytes = Vec::new();
    let read = timeout(LONG / 2, stream.read_to_end(&mut bytes)).await;
    let _how = read.expect("the server closes");
    String::from_utf8(bytes).unwrap()
}

#[tokio::test]
async fn idle_crowds_make_room_for_the_next() {
    let server = start(LIMITS).await;
    let mut crowd = Vec::new();
    for n in 0..500 {
        crowd.push(server.connect().await);
        if n % 50 == 0 {
            assert!(server.get("/").await.starts_with("HTTP/1.1 200"), "after {n} idle connections");
        }
    }
    assert_eq!(rest(crowd.remove(0)).await, "", "the oldest was closed");
}

#[tokio::test]
async fn half_a_request_does_not_hold_a_place() {
    let server = start(Limits { request_timeout: SOON, ..LIMITS }).await;
    let mut slow = server.connect().await;
    slow.write_all(b"GET / HTTP/1.1\r\nHost: h\r\nX: ").await.unwrap();
    assert_eq!(rest(slow).await, "");
}

#[tokio::test]
async fn half_a_body_is_not_waited_for() {
    let server = start(Limits { request_timeout: SOON, ..LIMITS }).await;
    let mut slow = server.connect().await;
    let head = b"POST /body HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n1234";
    slow.write_all(head).await.unwrap();
    assert!(rest(slow).await.starts_with("HTTP/1.1 408"));
}

#[tokio::test]
async fn idle_connections_end_after_their_time() {
    let server = start(Limits { request_timeout: SOON, idle_timeout: SOON, ..LIMITS }).await;
    assert_eq!(rest(server.connect().await).await, "");
}

#[tokio::test]
async fn requests_in_hand_are_never_evicted() {
    let server = start(Limits { connections: 2, ..LIMITS }).await;
    let mut held = Vec::new();
    for _ in 1..=2 {
        held.push(server.send("/held").await);
        server.gate.one_arrived().await;
    }
    assert_eq!(rest(server.connect().await).await, "", "plainly refused");
    server.gate.go.add_permits(2);
    for stream in held {
        assert!(rest(stream).await.ends_with("held"));
    }
    assert!(server.get("/").await.starts_with("HTTP/1.1 200"), "and there is room again");
}

#[tokio::test]
async fn a_long_answer_is_not_idleness() {
    let server = start(Limits { request_timeout: SOON, idle_timeout: SOON, ..LIMITS }).await;
    assert_eq!(server.get("/stream").await.matches("tick").count(), 8);
}

#[tokio::test]
async fn a_peer_that_takes_nothing_of_its_answer_is_hung_up_on() {
    let server = start(Limits { request_timeout: SOON, ..LIMITS }).await;
    let slow = server.send("/flood").await;
    // Nothing is read, so the kernel's buffers fill, and then no byte goes out any more.
    timeout(LONG / 2, server.gate.dropped.acquire()).await.expect("it is hung up on").unwrap().forget();
    drop(slow);
}

/// Small answers wait in the listener when the kernel takes no more, and their requests are no longer in hand then.
#[tokio::test]
async fn a_peer_that_asks_and_asks_and_reads_nothing_is_hung_up_on() {
    let server = start(Limits { request_timeout: SOON, ..LIMITS }).await;
    let mut greedy = server.connect().await;
    let requests = "GET / HTTP/1.1\r\nHost: h\r\n\r\n".repeat(1000);
    let asking = async { while greedy.write_all(requests.as_bytes()).await.is_ok() {} };
    timeout(LONG / 2, asking).await.expect("it is hung up on");
}

#[tokio::test]
async fn a_hangup_sends_nothing_but_its_own_bytes() {
    let server = start(Limits { request_timeout: SOON, ..LIMITS }).await;
    assert_eq!(server.get("/hangup").await, "");
    assert_eq!(server.get("/raw").await, "not HTTP");
}

#[tokio::test]
async fn a_head_without_end_is_refused() {
    let server = start(LIMITS).await;
    let mut stream = server.connect().await;
    let _ = stream.write_all(b"GET / HTTP/1.1\r\n").await;
    let _ = stream.write_all(format!("X: {}\r\n\r\n", "x".repeat(100_000)).as_bytes()).await;
    assert!(!rest(stream).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn stopping_lets_requests_finish_and_ends_the_rest() {
    let server = start(LIMITS).await;
    let idle = server.connect().await;
    let held = server.send("/held").await;
    server.gate.one_arrived().await;
    server.stop.send_replace(true);
    assert_eq!(rest(idle).await, "");
    assert!(TcpStream::connect(server.addr).await.is_err(), "nobody is let in any more");
    server.gate.go.add_permits(1);
    assert!(rest(held).await.ends_with("held"));
    timeout(LONG / 2, server.task).await.expect("the server ends").unwrap();

    let server = start(LIMITS).await;
    let endless = server.send("/endless").await;
    let mut byte = [0];
    endless.peek(&mut byte).await.unwrap();
    server.stop.send_replace(true);
    timeout(LONG / 2, server.task).await.expect("an endless answer does not hold the server").unwrap();
    rest(endless).await;
}

#[tokio::test]
async fn a_socket_in_the_file_system_serves_peers_without_address() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("api.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let (_stop, stopped) = watch::channel(false);
    let gate = Gate::new();
    tokio::spawn(serve(listener, Transport::Plain, router(gate), LIMITS, stopped));
    let mut stream = UnixStream::connect(&path).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    assert!(text.ends_with("None"), "{text}");
}
