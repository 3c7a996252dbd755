//! Where the API is reached: a TCP address, a Unix socket, or both; beyond loopback only with TLS and tokens.

use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn;
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::watch;
use x509_parser::extensions::GeneralName;
use x509_parser::parse_x509_certificate;
use zeroize::Zeroizing;

use crate::api::guard::Guard;
use crate::listen::{self, Limits, Transport};

/// The shortest token that is taken: 96 random bits in base 64.
const TOKEN_MIN: usize = 16;

/// Where the API is reached, and what it asks for there.
#[derive(Default)]
pub struct Settings {
    /// A TCP address; port 0 takes any free one.
    pub listen: Option<SocketAddr>,
    /// A Unix socket, made with mode 0660.
    pub unix_socket: Option<PathBuf>,
    /// The server's certificate and key. Required beyond loopback.
    pub tls: Option<Tls>,
    /// Tokens of at least 16 characters. Required beyond loopback, not asked for on loopback and on the Unix socket.
    pub tokens: Vec<Zeroizing<String>>,
}

/// What a TLS server shows. The names in its certificate are names under which browsers may ask.
pub struct Tls {
    /// The certificate chain, own certificate first.
    pub chain: Vec<CertificateDer<'static>>,
    /// The key of the first.
    pub key: PrivateKeyDer<'static>,
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
        "api.listen {0} is not a loopback address, expected tokens with it\nhelp: add a token, made with: openssl rand -hex 24, or listen on 127.0.0.1"
    )]
    NoTokens(SocketAddr),
    /// A token that can be guessed, or that no header can carry.
    #[error(
        "api.tokens has a token that is not usable, expected at least {TOKEN_MIN} letters, digits and signs\nhelp: make one with: openssl rand -hex 24"
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
    /// The certificate and the key do not fit, or are of a kind that is not known.
    #[error("api.tls_cert_file and api.tls_key_file cannot be used: {0}")]
    Tls(rustls::Error),
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
    let (transport, names) = match &settings.tls {
        None => (Transport::Plain, Vec::new()),
        Some(tls) => (Transport::Tls(tls_config(tls)?), names(tls)),
    };
    if address.ip().to_canonical().is_loopback() {
        return Ok((transport, Guard::loopback(names)));
    }
    if settings.tls.is_none() {
        return Err(DoorError::NoTls(address));
    }
    if settings.tokens.is_empty() {
        return Err(DoorError::NoTokens(address));
    }
    let graphic = |token: &str| token.bytes().all(|byte| byte.is_ascii_graphic());
    if settings.tokens.iter().any(|token| token.len() < TOKEN_MIN || !graphic(token)) {
        return Err(DoorError::Token);
    }
    Ok((transport, Guard::network(names, &settings.tokens)))
}

fn tls_config(tls: &Tls) -> Result<Arc<ServerConfig>, DoorError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config =
        ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().and_then(
            |builder| builder.with_no_client_auth().with_single_cert(tls.chain.clone(), tls.key.clone_key()),
        );
    let mut config = config.map_err(DoorError::Tls)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// The names in the certificate.
fn names(tls: &Tls) -> Vec<String> {
    let Some(Ok((_, certificate))) = tls.chain.first().map(|own| parse_x509_certificate(own)) else {
        return Vec::new();
    };
    let Ok(Some(alternatives)) = certificate.subject_alternative_name() else { return Vec::new() };
    let names = alternatives.value.general_names.iter();
    names
        .filter_map(|name| match name {
            GeneralName::DNSName(name) => Some((*name).to_owned()),
            _ => None,
        })
        .collect()
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
