//! A gateway that misbehaves on the wire.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, crypto::ring};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::super::Identity;

pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// What a server saw.
#[derive(Default)]
pub struct Seen {
    pub connections: AtomicUsize,
    pub requests: AtomicUsize,
    /// The first line of each whole request.
    pub lines: Mutex<Vec<String>>,
    pub written: AtomicUsize,
}

impl Seen {
    /// Reads one request to its end; none if the client hangs up.
    pub async fn request(&self, stream: &mut dyn Stream) -> Option<()> {
        let mut bytes = Vec::new();
        let head = loop {
            if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
                break end + 4;
            }
            if stream.read_buf(&mut bytes).await.ok()? == 0 {
                return None;
            }
        };
        let text = String::from_utf8_lossy(&bytes[..head]).to_lowercase();
        let length = text.split_once("content-length: ").map_or(0, |(_, rest)| {
            rest.split_once("\r\n").and_then(|(length, _)| length.parse().ok()).unwrap_or(0)
        });
        while bytes.len() < head + length {
            if stream.read_buf(&mut bytes).await.ok()? == 0 {
                return None;
            }
        }
        let line = String::from_utf8_lossy(&bytes).lines().next().unwrap_or_default().to_owned();
        self.lines.lock().unwrap().push(line);
        self.requests.fetch_add(1, Ordering::SeqCst);
        Some(())
    }

    pub fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }

    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

pub async fn write(stream: &mut dyn Stream, bytes: &[u8]) {
    // The client may have hung up: that is what some tests want.
    let _ = stream.write_all(bytes).await;
    let _ = stream.flush().await;
}

/// A whole, ordinary answer.
pub fn answer(status: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

/// A misdeed on an open connection.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Deed {
    /// Hangs up before reading.
    CloseAtOnce,
    /// Reads the request and hangs up.
    CloseAfterRequest,
    /// Reads the request and resets the connection.
    Reset,
    /// Reads the request, sends these bytes, hangs up.
    Say(&'static str),
    /// Reads the request, then nothing.
    Hang,
    /// Answers well, a byte a tick.
    Drip,
    /// Announces and sends 300 MB.
    Huge,
    /// The same in chunks, without saying how many.
    HugeChunks,
    /// Sends headers for ever.
    HugeHead,
    /// Says that the request may go on, for ever.
    HugePatience,
    /// Sends chunks of a byte, for ever.
    HugeFraming,
}

/// Does it, and counts.
pub async fn commit(deed: Deed, mut stream: Box<dyn Stream>, seen: &Seen) {
    if deed == Deed::CloseAtOnce {
        return;
    }
    if seen.request(&mut *stream).await.is_none() {
        return;
    }
    match deed {
        Deed::CloseAtOnce | Deed::CloseAfterRequest | Deed::Reset => {}
        Deed::Say(text) => write(&mut *stream, text.as_bytes()).await,
        Deed::Hang => std::future::pending().await,
        Deed::Drip => {
            for byte in answer("200 OK", "ok") {
                write(&mut *stream, &[byte]).await;
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
        Deed::Huge => {
            write(&mut *stream, b"HTTP/1.1 200 OK\r\nContent-Length: 314572800\r\n\r\n").await;
            pour(&mut *stream, seen, &[b'x'; 65536]).await;
        }
        Deed::HugeChunks => {
            write(&mut *stream, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").await;
            let chunk = format!("4000\r\n{}\r\n", "x".repeat(0x4000));
            pour(&mut *stream, seen, chunk.as_bytes()).await;
        }
        Deed::HugeHead => {
            write(&mut *stream, b"HTTP/1.1 200 OK\r\n").await;
            pour(&mut *stream, seen, b"X-Filler: xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\r\n")
                .await;
        }
        Deed::HugePatience => pour(&mut *stream, seen, &b"HTTP/1.1 100 Continue\r\n\r\n".repeat(100)).await,
        Deed::HugeFraming => {
            write(&mut *stream, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").await;
            pour(&mut *stream, seen, &b"1\r\nx\r\n".repeat(1000)).await;
        }
    }
}

/// Writes until 300 MB or the client's patience are at an end.
async fn pour(stream: &mut dyn Stream, seen: &Seen, piece: &[u8]) {
    for _ in 0..300 * 1024 * 1024 / piece.len() {
        if stream.write_all(piece).await.is_err() {
            return;
        }
        seen.written.fetch_add(piece.len(), Ordering::SeqCst);
    }
}

/// Listens and hands each connection to `serve`.
pub async fn listen<F>(serve: impl Fn(TcpStream, Arc<Seen>) -> F + Send + 'static) -> (SocketAddr, Arc<Seen>)
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let seen = Arc::new(Seen::default());
    let counts = seen.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            counts.connections.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(serve(stream, counts.clone()));
        }
    });
    (addr, seen)
}

/// Does `deed` on every connection, over plain TCP.
pub async fn plain(deed: Deed) -> (String, Arc<Seen>) {
    let (addr, seen) = listen(move |stream, seen| async move {
        if deed == Deed::Reset {
            let mut stream = stream;
            seen.request(&mut stream).await;
            stream.set_zero_linger().unwrap();
            return;
        }
        commit(deed, Box::new(stream), &seen).await;
    })
    .await;
    (format!("http://{addr}"), seen)
}

/// An authority, and what it vouches for.
pub struct Papers {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Papers {
    pub fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self { issuer: CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap() }
    }

    pub fn root(&self) -> CertificateDer<'static> {
        self.issuer.der().clone()
    }

    pub fn certificate(
        &self,
        name: &str,
        expired: bool,
    ) -> (CertificateDer<'static>, PrivateKeyDer<'static>) {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        if expired {
            params.not_before = rcgen::date_time_ymd(2019, 1, 1);
            params.not_after = rcgen::date_time_ymd(2020, 1, 1);
        }
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        (certificate.der().clone(), PrivateKeyDer::try_from(key.serialize_der()).unwrap())
    }

    pub fn identity(&self) -> Identity {
        let (certificate, key) = self.certificate("merchant", false);
        Identity::new(vec![certificate], key).unwrap()
    }

    /// Does `deed` on every connection, over TLS with a certificate for `name`.
    pub async fn tls(
        &self,
        name: &str,
        expired: bool,
        wants_client: bool,
        deed: Deed,
    ) -> (SocketAddr, Arc<Seen>) {
        let (certificate, key) = self.certificate(name, expired);
        let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap();
        let builder = if wants_client {
            let mut roots = RootCertStore::empty();
            roots.add(self.root()).unwrap();
            let provider = Arc::new(ring::default_provider());
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            builder.with_client_cert_verifier(verifier.build().unwrap())
        } else {
            builder.with_no_client_auth()
        };
        let acceptor = TlsAcceptor::from(Arc::new(builder.with_single_cert(vec![certificate], key).unwrap()));
        listen(move |stream, seen| {
            let acceptor = acceptor.clone();
            async move {
                if let Ok(stream) = acceptor.accept(stream).await {
                    commit(deed, Box::new(stream), &seen).await;
                }
            }
        })
        .await
    }
}
