//! Where the API is reached: a TCP address, a Unix socket, or both; beyond loopback only with TLS and tokens.

use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::watch;
use zeroize::Zeroizing;

use crate::api::guard::Guard;
use crate::listen::{self, Limits, Transport};

/// The shortest token that is taken: 128 bits in base 32.
const TOKEN_MIN: usize = 26;

/// Where the API is reached, and what it asks for there.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Settings {
    /// A TCP address; port 0 takes any free one.
    pub listen: Option<SocketAddr>,
    /// A Unix socket, made with mode 0660.
    pub unix_socket: Option<PathBuf>,
    /// A certificate chain and its key, PEM. Required beyond loopback.
    pub tls: Option<Tls>,
    /// Tokens of at least 26 characters. Required beyond loopback, not asked for on loopback and on the Unix socket.
    pub tokens: Vec<Zeroizing<String>>,
    /// Names under which browsers may ask, besides `localhost`.
    pub names: Vec<String>,
}

/// The files of a TLS server.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Tls {
    /// The certificate chain, PEM.
    pub cert_file: PathBuf,
    /// Its key, PEM.
    pub key_file: PathBuf,
}

/// Why the API cannot be reached as it is set up.
#[derive(Debug, thiserror::Error)]
pub enum DoorError {
    /// Beyond loopback without TLS.
    #[error(
        "api.listen {0} is not a loopback address, expected tls_cert_file and tls_key_file with it\nhelp: add them, or listen on 127.0.0.1"
    )]
    NoTls(SocketAddr),
    /// Beyond loopback without tokens.
    #[error(
        "api.listen {0} is not a loopback address, expected tokens with it\nhelp: add a token of at least 26 random characters, or listen on 127.0.0.1"
    )]
    NoTokens(SocketAddr),
    /// A token that can be guessed, or that no header can carry.
    #[error(
        "api.tokens has a token that is not usable, expected at least {TOKEN_MIN} letters, digits, - or _\nhelp: make one with: openssl rand -hex 32"
    )]
    Token,
    /// The address cannot be taken.
    #[error("api.listen {0}: {1}\nhelp: stop whatever listens there, or choose another port")]
    Listen(SocketAddr, io::Error),
    /// The socket cannot be made.
    #[error("api socket {0}: {1}")]
    Socket(PathBuf, io::Error),
    /// Somebody answers on the socket.
    #[error("api socket {0} is in use by another process\nhelp: stop that process")]
    SocketInUse(PathBuf),
    /// A TLS file cannot be used.
    #[error("{0}: {1}")]
    Tls(PathBuf, String),
}

/// The listeners, bound: clients can connect, and are answered once [`Door::serve`] runs.
pub struct Door {
    tcp: Option<(TcpListener, Transport, Guard)>,
    unix: Option<(UnixListener, PathBuf)>,
}

impl Door {
    /// Takes the addresses.
    pub async fn open(settings: &Settings) -> Result<Self, DoorError> {
        let tcp = match settings.listen {
            None => None,
            Some(address) => {
                let (transport, guard) = protection(settings, address)?;
                let listener = TcpListener::bind(address).await;
                Some((listener.map_err(|error| DoorError::Listen(address, error))?, transport, guard))
            }
        };
        let unix = match &settings.unix_socket {
            None => None,
            Some(path) => Some((socket(path).await?, path.clone())),
        };
        Ok(Self { tcp, unix })
    }

    /// The TCP address, with the port that was taken.
    pub fn address(&self) -> Option<SocketAddr> {
        self.tcp.as_ref().and_then(|(listener, ..)| listener.local_addr().ok())
    }

    /// Answers until `stop` turns true; then requests in hand get a second.
    pub async fn serve(self, router: Router, stop: watch::Receiver<bool>) {
        let guarded = |guard: Guard| {
            router.clone().layer(from_fn(move |request, next| guard.clone().pass(request, next)))
        };
        let tcp = async {
            if let Some((listener, transport, guard)) = self.tcp {
                listen::serve(listener, transport, guarded(guard), Limits::default(), stop.clone()).await;
            }
        };
        let unix = async {
            if let Some((listener, path)) = self.unix {
                let router = guarded(Guard::unix());
                listen::serve(listener, Transport::Plain, router, Limits::default(), stop.clone()).await;
                let _ = std::fs::remove_file(path);
            }
        };
        tokio::join!(tcp, unix);
    }
}

/// Answers at the doors of `settings` until `stop` turns true.
pub async fn serve(
    settings: &Settings,
    router: Router,
    stop: watch::Receiver<bool>,
) -> Result<(), DoorError> {
    Door::open(settings).await?.serve(router, stop).await;
    Ok(())
}

fn protection(settings: &Settings, address: SocketAddr) -> Result<(Transport, Guard), DoorError> {
    let transport = match &settings.tls {
        None => Transport::Plain,
        Some(tls) => Transport::Tls(tls_config(tls)?),
    };
    if address.ip().is_loopback() {
        return Ok((transport, Guard::loopback(settings.names.clone(), settings.tls.is_some())));
    }
    if settings.tls.is_none() {
        return Err(DoorError::NoTls(address));
    }
    if settings.tokens.is_empty() {
        return Err(DoorError::NoTokens(address));
    }
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    if settings.tokens.iter().any(|token| token.len() < TOKEN_MIN || !token.bytes().all(plain)) {
        return Err(DoorError::Token);
    }
    Ok((transport, Guard::network(settings.names.clone(), &settings.tokens)))
}

fn tls_config(tls: &Tls) -> Result<Arc<ServerConfig>, DoorError> {
    let wrong =
        |path: &Path, error: &dyn std::fmt::Display| DoorError::Tls(path.to_owned(), error.to_string());
    let chain: Result<Vec<_>, _> =
        CertificateDer::pem_file_iter(&tls.cert_file).and_then(|certificates| certificates.collect());
    let chain = chain.map_err(|error| wrong(&tls.cert_file, &error))?;
    let key = PrivateKeyDer::from_pem_file(&tls.key_file).map_err(|error| wrong(&tls.key_file, &error))?;
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key));
    let mut config = config.map_err(|error| wrong(&tls.cert_file, &error))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// Makes the socket under another name, narrows its mode, and only then puts it where clients look.
async fn socket(path: &Path) -> Result<UnixListener, DoorError> {
    if tokio::net::UnixStream::connect(path).await.is_ok() {
        return Err(DoorError::SocketInUse(path.to_owned()));
    }
    let mut new = path.as_os_str().to_owned();
    new.push(".new");
    let new = PathBuf::from(new);
    let made = (|| {
        match std::fs::remove_file(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(&new)?;
        std::fs::set_permissions(&new, std::fs::Permissions::from_mode(0o660))?;
        std::fs::rename(&new, path)?;
        Ok(listener)
    })();
    made.map_err(|error| DoorError::Socket(path.to_owned(), error))
}
