//! Bounded listeners, plain and TLS, TCP and Unix: what one peer does or leaves undone never keeps the next peer from being served.
//!
//! | file | for |
//! |---|---|
//! | `seats` | who has a place, what it does since when, and who must go |
//! | `stream` | a connection's bytes, on their way past its seat |
//! | `body` | a request that is late, an answer that is not over |

mod body;
mod seats;
mod stream;

use std::error::Error;
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::Response;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustls::pki_types::CertificateDer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt;

use body::{Held, Prompt};
use seats::{Phase, Seat, Seats};
use stream::{Stream, Watched};

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

/// Serves `router` until `stop` turns true or its sender is gone; then requests in hand get a second to finish.
pub async fn serve(
    listener: impl Into<Listener>,
    transport: Transport,
    router: Router,
    limits: Limits,
    mut stop: watch::Receiver<bool>,
) {
    let listener = listener.into();
    let seats = Arc::new(Seats::new(limits));
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
                seats.evict();
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    if timeout(GRACE, seats.emptied()).await.is_err() {
        seats.close_all();
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
    let io = TokioIo::new(Watched::new(stream, seat.clone()));
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
                std::pin::Pin::new(&mut http).graceful_shutdown();
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
    let deadline = Instant::now() + seat.limits().request_timeout;
    let mut request = request.map(|incoming| Body::new(Prompt::new(incoming, deadline)));
    request.extensions_mut().insert(peer);
    let response = match router.oneshot(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    };
    if let Some(hangup) = response.extensions().get::<Hangup>() {
        return Err(hangup.clone());
    }
    Ok(response.map(|body| Body::new(Held::new(body, seat))))
}
