//! A host and its connections: finding its address, opening them, keeping a few.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt};
use http_body_util::Full;
use hyper::Uri;
use hyper::body::Bytes;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::HeaderValue;
use hyper_util::rt::TokioIo;
use rustix::net::sockopt;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

use super::SettingsError;
use super::metered::{FOR_AN_ANSWER, Metered};
use super::tls::{Identity, Tls};
use crate::payment::Cause;

/// A connection that is ready for a request.
pub type Connection = SendRequest<Full<Bytes>>;

/// A connection that was idle for longer is not used again, so that the other side does not hang up just when a request is
/// on its way. How long WeChat keeps one is not documented; web servers usually do for 60 s or more.
const KEPT_FOR: Duration = Duration::from_secs(20);
/// From when on a warm connection is replaced by a fresh one.
const WARM_FOR: Duration = Duration::from_secs(10);
/// Connections kept of each kind: one for the payment in hand, one for what runs behind it.
const KEPT: usize = 2;
/// How long a kept connection may take to say that it is ready; longer, and it is not.
const READY_WITHIN: Duration = Duration::from_millis(50);

/// How long a resolver may take at most while there is an address that worked before: half of the time, and no longer than
/// this.
const RESOLVER_PATIENCE: Duration = Duration::from_secs(1);
/// Between attempts at the addresses of a host (RFC 8305 recommends 250 ms), and how many are tried.
const NEXT_ADDRESS: Duration = Duration::from_millis(250);
const ADDRESSES: usize = 4;

/// Finds out that the other side of an idle connection is gone (a router forgot it) within about 15 s.
const KEEPALIVE: (Duration, Duration, u32) = (Duration::from_secs(5), Duration::from_secs(5), 2);
/// Bytes not acknowledged for so long end the connection, milliseconds.
const UNACKNOWLEDGED: u32 = 8_000;

/// The most bytes of an answer's head.
const HEAD: usize = 16 * 1024;

/// One of the provider's hosts.
pub struct Host {
    url: String,
    name: String,
    port: u16,
    authority: HeaderValue,
    tls: Option<ServerName<'static>>,
    /// The address that was last connected to, and trusted. The resolver's failures do not take it away.
    good: Mutex<Option<SocketAddr>>,
    /// Held while a connection is opened ahead of its use.
    warming: tokio::sync::Mutex<()>,
    /// Idle connections without and with the client certificate. They are never mixed: a connection that was opened
    /// without one does not get one later.
    kept: [Mutex<Vec<(Connection, Instant)>>; 2],
}

impl Host {
    /// Reads `https://host[:port]`.
    pub fn parse(url: &str) -> Result<Self, SettingsError> {
        let bad = || SettingsError::Url(url.to_owned());
        let uri: Uri = url.parse().map_err(|_| bad())?;
        let authority = uri.authority().ok_or_else(bad)?;
        if authority.as_str().contains('@') || !matches!(uri.path(), "" | "/") || uri.query().is_some() {
            return Err(bad());
        }
        let name = authority.host().trim_matches(['[', ']']).to_owned();
        let (port, tls) = match uri.scheme_str() {
            Some("https") => (443, Some(ServerName::try_from(name.clone()).map_err(|_| bad())?)),
            Some("http") if is_loopback(&name) => (80, None),
            Some("http") => return Err(SettingsError::Unencrypted(url.to_owned())),
            _ => return Err(bad()),
        };
        Ok(Self {
            url: url.to_owned(),
            port: authority.port_u16().unwrap_or(port),
            authority: HeaderValue::from_str(authority.as_str()).map_err(|_| bad())?,
            name,
            tls,
            good: Mutex::new(None),
            warming: tokio::sync::Mutex::new(()),
            kept: Default::default(),
        })
    }

    /// As configured.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// For the `Host` header.
    pub fn authority(&self) -> HeaderValue {
        self.authority.clone()
    }

    pub fn is_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// The turn to open a connection ahead of its use; taken by whoever does, waited for by whoever could use it.
    pub async fn warming(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.warming.lock().await
    }

    /// Takes a kept connection that is still open, the youngest first.
    pub async fn take(&self, certificate: bool) -> Option<Connection> {
        loop {
            let (mut connection, since) = self.kept(certificate).pop()?;
            if since.elapsed() > KEPT_FOR {
                // The others are older.
                self.kept(certificate).clear();
                return None;
            }
            if let Ok(Ok(())) = timeout(READY_WITHIN, connection.ready()).await {
                return Some(connection);
            }
        }
    }

    /// Keeps a connection for the next request.
    pub fn keep(&self, connection: Connection, certificate: bool) {
        if connection.is_closed() {
            return;
        }
        let mut kept = self.kept(certificate);
        kept.retain(|(connection, since)| !connection.is_closed() && since.elapsed() <= KEPT_FOR);
        if kept.len() == KEPT {
            kept.remove(0);
        }
        kept.push((connection, Instant::now()));
    }

    /// Whether there is a young open connection without a certificate.
    pub fn is_warm(&self) -> bool {
        let young = |(connection, since): &(Connection, Instant)| {
            !connection.is_closed() && since.elapsed() <= WARM_FOR
        };
        self.kept(false).last().is_some_and(young)
    }

    fn kept(&self, certificate: bool) -> MutexGuard<'_, Vec<(Connection, Instant)>> {
        self.kept[usize::from(certificate)].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes note of an address that can be trusted to be the host's.
    pub fn remember(&self, address: SocketAddr) {
        *self.good() = Some(address);
    }

    fn good(&self) -> MutexGuard<'_, Option<SocketAddr>> {
        self.good.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The host's addresses. If the resolver fails or takes long, the one that worked last.
    async fn addresses(&self, deadline: Instant) -> Result<Vec<SocketAddr>, Cause> {
        let good = *self.good();
        let patience = RESOLVER_PATIENCE.min((deadline - Instant::now()) / 2);
        let asked = resolve(self.name.clone(), self.port);
        let found = match good {
            Some(_) => timeout(patience, asked).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())),
            None => asked.await,
        };
        let mut addresses = found.unwrap_or_default();
        if self.tls.is_none() {
            // What `localhost` means is the resolver's word; without encryption it does not count.
            addresses.retain(|address| address.ip().to_canonical().is_loopback());
        }
        if addresses.is_empty() {
            addresses.extend(good);
        }
        if addresses.is_empty() { Err(Cause::Dns) } else { Ok(addresses) }
    }
}

/// Asks the system's resolver, which blocks, on a thread of its own. A machine that gives no thread has no address either:
/// nothing was sent then, and that is said at once.
async fn resolve(name: String, port: u16) -> io::Result<Vec<SocketAddr>> {
    if let Ok(address) = name.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    let (answer, found) = tokio::sync::oneshot::channel();
    let ask = move || {
        let found = (name.as_str(), port).to_socket_addrs().map(|found| found.take(ADDRESSES).collect());
        // Whoever asked may have lost patience.
        let _ = answer.send(found);
    };
    std::thread::Builder::new().name("resolver".to_owned()).spawn(ask)?;
    found.await.unwrap_or_else(|_| Err(io::ErrorKind::Other.into()))
}

fn is_loopback(name: &str) -> bool {
    name == "localhost" || name.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
}

/// Opens connections.
pub struct Connector {
    tls: Tls,
    timeout: Duration,
}

impl Connector {
    pub fn new(roots: Vec<CertificateDer<'static>>, identity: Option<Identity>, timeout: Duration) -> Self {
        Self { tls: Tls::new(roots, identity), timeout }
    }

    pub fn identity(&self) -> Option<&Identity> {
        self.tls.identity()
    }

    /// How long a call may spend on connections, all hosts together.
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Opens a connection before `deadline`. Whatever the cause of a failure, no request was on it.
    pub async fn open(&self, host: &Host, certificate: bool, deadline: Instant) -> Result<Connection, Cause> {
        self.open_for(host, certificate, deadline, FOR_AN_ANSWER).await
    }

    /// Opens a connection that takes `most` bytes for a request. One that takes more than an answer has is never
    /// [kept](Host::keep).
    pub async fn open_for(
        &self,
        host: &Host,
        certificate: bool,
        deadline: Instant,
        most: usize,
    ) -> Result<Connection, Cause> {
        let addresses = match tokio::time::timeout_at(deadline, host.addresses(deadline)).await {
            Ok(addresses) => addresses?,
            Err(_) => return Err(Cause::Dns),
        };
        let opened =
            tokio::time::timeout_at(deadline, self.connect(host, &addresses, certificate, most)).await;
        opened.unwrap_or(Err(Cause::Connect))
    }

    async fn connect(
        &self,
        host: &Host,
        addresses: &[SocketAddr],
        certificate: bool,
        most: usize,
    ) -> Result<Connection, Cause> {
        let stream = reach(addresses).await.map_err(|_| Cause::Connect)?;
        let address = stream.peer_addr().map_err(|_| Cause::Connect)?;
        let connection = match &host.tls {
            None => speak(stream, most).await?,
            Some(name) => speak(self.tls.shake_hands(stream, name.clone(), certificate).await?, most).await?,
        };
        host.remember(address);
        Ok(connection)
    }
}

/// The first of the addresses that answers; each next one is tried a moment later.
async fn reach(addresses: &[SocketAddr]) -> io::Result<TcpStream> {
    let mut attempts: FuturesUnordered<_> = addresses
        .iter()
        .zip(0..)
        .map(|(address, place)| async move {
            sleep(NEXT_ADDRESS * place).await;
            TcpStream::connect(address).await
        })
        .collect();
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    while let Some(attempt) = attempts.next().await {
        match attempt {
            Ok(stream) => {
                let (idle, every, times) = KEEPALIVE;
                stream.set_nodelay(true)?;
                sockopt::set_socket_keepalive(&stream, true)?;
                sockopt::set_tcp_keepidle(&stream, idle)?;
                sockopt::set_tcp_keepintvl(&stream, every)?;
                sockopt::set_tcp_keepcnt(&stream, times)?;
                sockopt::set_tcp_user_timeout(&stream, UNACKNOWLEDGED)?;
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Gets HTTP/1.1 going on a stream; nothing is sent yet.
async fn speak(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    most: usize,
) -> Result<Connection, Cause> {
    let shake = http1::Builder::new().max_buf_size(HEAD).handshake(TokioIo::new(Metered::new(stream, most)));
    let (sender, connection) = shake.await.map_err(|_| Cause::Connect)?;
    // Ends when the sender is dropped or the other side hangs up; its errors reach the sender.
    tokio::spawn(connection);
    Ok(sender)
}
