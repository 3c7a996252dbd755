//! Bounded listeners, plain and TLS, TCP and Unix: what one peer does or leaves undone never keeps the next peer from being served.

use std::collections::HashMap;
use std::error::Error;
use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::Response;
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustls::pki_types::CertificateDer;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, Sleep, sleep, sleep_until};
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt;

/// How long requests in hand may take to finish once the listener is told to stop.
const GRACE: Duration = Duration::from_secs(1);
/// Pause after a failed accept (descriptors exhausted, as a rule), so that the failure does not become a busy loop.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);
/// Bytes of a request head that are kept while it is read; a longer head is refused with 431.
const HEAD_BYTES: usize = 32 * 1024;

/// What peers may use up.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Open connections. When they are all taken, the one that has been without a request for the longest makes room for
    /// a new one; if every one has a request in hand, the new one is closed.
    pub connections: usize,
    /// From a request's first byte to the last byte of its head, and again to the last byte of its body; also the TLS
    /// handshake. A peer that takes no byte of its answer for this long is hung up on, at the latest after twice the time.
    pub request_timeout: Duration,
    /// A connection without a request is closed after this time.
    pub idle_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 256,
            request_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(15 * 60),
        }
    }
}

/// Whether bytes are encrypted on their way.
#[derive(Clone)]
pub enum Transport {
    /// As they are: loopback and Unix sockets.
    Plain,
    /// TLS with this configuration, which also decides about client certificates.
    Tls(Arc<rustls::ServerConfig>),
}

/// Where peers knock.
pub enum Listener {
    /// A TCP port.
    Tcp(TcpListener),
    /// A path.
    Unix(UnixListener),
}

impl From<TcpListener> for Listener {
    fn from(listener: TcpListener) -> Self {
        Self::Tcp(listener)
    }
}

impl From<UnixListener> for Listener {
    fn from(listener: UnixListener) -> Self {
        Self::Unix(listener)
    }
}

impl Listener {
    async fn accept(&self) -> io::Result<(Stream, Option<SocketAddr>)> {
        match self {
            Self::Tcp(listener) => {
                let (stream, addr) = listener.accept().await?;
                stream.set_nodelay(true)?;
                Ok((Box::new(stream), Some(addr)))
            }
            Self::Unix(listener) => Ok((Box::new(listener.accept().await?.0), None)),
        }
    }
}

/// Who asks; every request carries it as an extension.
#[derive(Clone, Debug, Default)]
pub struct Peer {
    /// The peer's address; none on a Unix socket.
    pub addr: Option<SocketAddr>,
    /// The certificate that the peer presented, as far as the TLS configuration let it pass.
    pub client_cert: Option<CertificateDer<'static>>,
}

/// A response extension: nothing of the response is sent; these bytes are, as they are, and the connection ends with them.
#[derive(Clone, Debug, Default)]
pub struct Hangup(pub Bytes);

impl fmt::Display for Hangup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("hung up on purpose")
    }
}

impl std::error::Error for Hangup {}

trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}
type Stream = Box<dyn Duplex>;

/// Serves `router` until `stop` turns true or its sender is gone; then requests in hand get a second to finish.
pub async fn serve(
    listener: impl Into<Listener>,
    transport: Transport,
    router: Router,
    limits: Limits,
    mut stop: watch::Receiver<bool>,
) {
    let listener = listener.into();
    let seats = Arc::new(Seats { limits, taken: Mutex::default(), left: Notify::new() });
    loop {
        let accepted = tokio::select! {
            () = stopped(&mut stop) => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, addr)) => {
                let Some(seat) = Seats::take(&seats) else { continue };
                tokio::spawn(connection(stream, addr, transport.clone(), router.clone(), seat, stop.clone()));
            }
            Err(_) => {
                seats.lock().evict();
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    let emptied = async {
        while !seats.lock().by_id.is_empty() {
            seats.left.notified().await;
        }
    };
    if tokio::time::timeout(GRACE, emptied).await.is_err() {
        for entry in seats.lock().by_id.values() {
            entry.close.notify_one();
        }
    }
}

async fn stopped(stop: &mut watch::Receiver<bool>) {
    // A sender that is gone can never say stop, so its end means the same.
    let _ = stop.wait_for(|stop| *stop).await;
}

async fn connection(
    stream: Stream,
    addr: Option<SocketAddr>,
    transport: Transport,
    router: Router,
    seat: Seat,
    mut stop: watch::Receiver<bool>,
) {
    let handshake = async {
        Some(match transport {
            Transport::Plain => (stream, None),
            Transport::Tls(config) => {
                seat.enter(Phase::Reading);
                let stream = TlsAcceptor::from(config).accept(stream).await.ok()?;
                let certificate = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
                let certificate = certificate.map(|certificate| certificate.clone().into_owned());
                seat.enter(Phase::Idle);
                (Box::new(stream) as Stream, certificate)
            }
        })
    };
    let shaken = tokio::select! {
        shaken = handshake => shaken,
        () = seat.over() => None,
        () = stopped(&mut stop) => None,
    };
    let Some((stream, client_cert)) = shaken else { return };
    let peer = Peer { addr, client_cert };
    let service = service_fn(|request| Box::pin(answer(request, router.clone(), peer.clone(), seat.clone())));
    let io = TokioIo::new(Watched { stream, seat: seat.clone(), stalls: false });
    // Time limits are kept here, by phase: hyper's own cannot tell an idle connection from half a request.
    let mut http = http1::Builder::new()
        .header_read_timeout(None)
        .max_buf_size(HEAD_BYTES)
        .serve_connection(io, service);
    let mut stopping = false;
    let ended = loop {
        tokio::select! {
            ended = poll_fn(|cx| http.poll_without_shutdown(cx)) => break ended,
            () = seat.over() => return,
            () = stopped(&mut stop), if !stopping => {
                stopping = true;
                Pin::new(&mut http).graceful_shutdown();
            }
        }
    };
    let hangup = ended.err().and_then(|error| error.source()?.downcast_ref::<Hangup>().cloned());
    let mut stream = http.into_parts().io.into_inner();
    seat.enter(Phase::Reading);
    tokio::select! {
        () = farewell(&mut stream, hangup) => {}
        () = seat.over() => {}
    }
}

/// Ends a connection: as TLS wants it, or with the last bytes of a hang-up, which a peer may read to their end.
async fn farewell(stream: &mut Watched, hangup: Option<Hangup>) {
    match hangup {
        // The peer is gone or will be; there is nobody to tell about a failure.
        None => drop(stream.shutdown().await),
        Some(Hangup(bytes)) if bytes.is_empty() => {}
        Some(Hangup(bytes)) => {
            let mut ignored = [0; 1024];
            let mut open = stream.write_all(&bytes).await.is_ok() && stream.flush().await.is_ok();
            while open {
                open = stream.read(&mut ignored).await.is_ok_and(|n| n > 0);
            }
        }
    }
}

async fn answer(
    request: Request<Incoming>,
    router: Router,
    peer: Peer,
    seat: Seat,
) -> Result<Response<Body>, Hangup> {
    seat.enter(Phase::Busy);
    let deadline = Instant::now() + seat.seats.limits.request_timeout;
    let mut request = request.map(|incoming| Body::new(Prompt { incoming, deadline, alarm: None }));
    request.extensions_mut().insert(peer);
    let response = match router.oneshot(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    };
    if let Some(hangup) = response.extensions().get::<Hangup>() {
        return Err(hangup.clone());
    }
    Ok(response.map(|body| Body::new(Held { body, seat })))
}

/// What a connection is doing, as far as its time limit is concerned.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Between requests.
    Idle,
    /// A request's head has begun, or a TLS handshake.
    Reading,
    /// A request is with the router, or its answer is on the way.
    Busy,
}

struct Entry {
    phase: Phase,
    since: Instant,
    /// Since when the peer takes no byte of what is due to it.
    stalled: Option<Instant>,
    close: Arc<Notify>,
}

#[derive(Default)]
struct Taken {
    next: u64,
    by_id: HashMap<u64, Entry>,
}

impl Taken {
    /// Closes the connection that has been without a request for the longest; false if all are busy.
    fn evict(&mut self) -> bool {
        let waiting = self.by_id.iter().filter(|(_, entry)| entry.phase != Phase::Busy);
        let Some(oldest) = waiting.min_by_key(|(_, entry)| entry.since).map(|(id, _)| *id) else {
            return false;
        };
        if let Some(entry) = self.by_id.remove(&oldest) {
            entry.close.notify_one();
        }
        true
    }
}

struct Seats {
    limits: Limits,
    taken: Mutex<Taken>,
    left: Notify,
}

impl Seats {
    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(seats: &Arc<Self>) -> Option<Seat> {
        let mut taken = seats.lock();
        if taken.by_id.len() >= seats.limits.connections && !taken.evict() {
            return None;
        }
        let id = taken.next;
        taken.next += 1;
        let close = Arc::new(Notify::new());
        taken.by_id.insert(
            id,
            Entry { phase: Phase::Idle, since: Instant::now(), stalled: None, close: close.clone() },
        );
        Some(Seat { id, close, seats: seats.clone(), owner: true })
    }
}

/// One connection's place; the original gives it back when it is dropped, its clones only write the phase.
struct Seat {
    id: u64,
    close: Arc<Notify>,
    seats: Arc<Seats>,
    owner: bool,
}

impl Clone for Seat {
    fn clone(&self) -> Self {
        Self { id: self.id, close: self.close.clone(), seats: self.seats.clone(), owner: false }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        if self.owner {
            self.seats.lock().by_id.remove(&self.id);
            self.seats.left.notify_one();
        }
    }
}

impl Seat {
    fn enter(&self, phase: Phase) {
        if let Some(entry) = self.seats.lock().by_id.get_mut(&self.id) {
            entry.phase = phase;
            entry.since = Instant::now();
        }
    }

    fn received(&self) {
        if let Some(entry) = self.seats.lock().by_id.get_mut(&self.id)
            && entry.phase == Phase::Idle
        {
            entry.phase = Phase::Reading;
            entry.since = Instant::now();
        }
    }

    fn stalls(&self, stalls: bool) {
        if let Some(entry) = self.seats.lock().by_id.get_mut(&self.id) {
            entry.stalled = stalls.then(Instant::now);
        }
    }

    /// Returns when this connection must be closed: evicted, or too slow for its phase.
    async fn over(&self) {
        let Limits { request_timeout, idle_timeout, .. } = self.seats.limits;
        let late = async {
            loop {
                let now = Instant::now();
                let deadline = match self.seats.lock().by_id.get(&self.id) {
                    None => return,
                    Some(entry) => match entry.phase {
                        Phase::Idle => entry.since + idle_timeout,
                        Phase::Reading => entry.since + request_timeout,
                        Phase::Busy => entry.stalled.unwrap_or(now) + request_timeout,
                    },
                };
                if deadline <= now {
                    return;
                }
                // The phase may change meanwhile, so no sleep is longer than the shorter limit.
                sleep_until(deadline.min(now + request_timeout)).await;
            }
        };
        tokio::select! {
            () = late => {}
            () = self.close.notified() => {}
        }
    }
}

/// A stream that tells its seat when bytes come in, and when none can go out.
struct Watched {
    stream: Stream,
    seat: Seat,
    stalls: bool,
}

impl Watched {
    fn sent<T>(&mut self, polled: Poll<T>) -> Poll<T> {
        if polled.is_pending() != self.stalls {
            self.stalls = polled.is_pending();
            self.seat.stalls(self.stalls);
        }
        polled
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buf);
        if buf.filled().len() > before {
            self.seat.received();
        }
        polled
    }
}

impl AsyncWrite for Watched {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.sent(polled)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_flush(cx);
        self.sent(polled)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// A request body that fails when it has not arrived by its deadline.
struct Prompt {
    incoming: Incoming,
    deadline: Instant,
    alarm: Option<Pin<Box<Sleep>>>,
}

impl hyper::body::Body for Prompt {
    type Data = Bytes;
    type Error = axum::BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::BoxError>>> {
        let deadline = self.deadline;
        if let Poll::Ready(frame) = Pin::new(&mut self.incoming).poll_frame(cx)
            && Instant::now() < deadline
        {
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        let alarm = self.alarm.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        alarm.as_mut().poll(cx).map(|()| Some(Err("the request's body did not arrive in time".into())))
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

/// A response body that keeps its connection busy until it is sent or given up.
struct Held {
    body: Body,
    seat: Seat,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.seat.enter(Phase::Idle);
    }
}

impl hyper::body::Body for Held {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
