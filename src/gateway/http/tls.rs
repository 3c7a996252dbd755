//! TLS to the provider: 1.2 or newer, the system's roots, the merchant's certificate only where it is asked for.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, version};
use rustls_platform_verifier::Verifier;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::payment::Cause;
use crate::time::Timestamp;

/// Makes ring the process's provider of cryptography, where a library asks for one. Does nothing the second time.
pub fn install_ring() {
    // An error says that there is one already.
    let _ = ring::default_provider().install_default();
}

/// The merchant's certificate, its own first, with its key.
pub struct Identity {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    not_after: Timestamp,
}

/// Why a certificate and a key are no [`Identity`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// There is none, or it is none.
    #[error("client certificate is not an X.509 certificate")]
    Certificate,
    /// TLS cannot use the key.
    #[error("client key is not an RSA or elliptic curve key")]
    Key,
    /// Those of two downloads.
    #[error("client certificate and key do not belong together")]
    Mismatch,
}

impl Identity {
    /// Holds the certificate and the key against each other.
    pub fn new(
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> Result<Self, IdentityError> {
        let own = chain.first().ok_or(IdentityError::Certificate)?;
        let (_, parsed) = X509Certificate::from_der(own).map_err(|_| IdentityError::Certificate)?;
        let not_after = Timestamp(parsed.validity().not_after.timestamp().saturating_mul(1000));
        let signing = ring::sign::any_supported_type(&key).map_err(|_| IdentityError::Key)?;
        let pair = CertifiedKey::new(chain.clone(), signing);
        pair.keys_match().map_err(|_| IdentityError::Mismatch)?;
        Ok(Self { chain, key, not_after })
    }

    /// When the certificate ends.
    pub fn not_after(&self) -> Timestamp {
        self.not_after
    }
}

/// Shows when the certificate ends, never the key.
impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity(ends {})", self.not_after.rfc3339())
    }
}

/// Makes TLS connections.
pub struct Tls {
    roots: Vec<CertificateDer<'static>>,
    identity: Option<Identity>,
    provider: Arc<CryptoProvider>,
    /// Made at the first connection, for reading the system's roots takes milliseconds that a start does not have; and
    /// again after a certificate was not trusted, for the system's roots may have been renewed since.
    ready: Mutex<Option<Ready>>,
}

#[derive(Clone)]
struct Ready {
    plain: Arc<ClientConfig>,
    /// With the client certificate.
    full: Option<Arc<ClientConfig>>,
}

impl Tls {
    pub fn new(roots: Vec<CertificateDer<'static>>, identity: Option<Identity>) -> Self {
        Self { roots, identity, provider: Arc::new(ring::default_provider()), ready: Mutex::new(None) }
    }

    pub fn identity(&self) -> Option<&Identity> {
        self.identity.as_ref()
    }

    /// Takes TLS up on a stream.
    ///
    /// # Errors
    /// [`Cause::Tls`], also if the other side hangs up: there is nothing else to fall back to.
    pub async fn shake_hands(
        &self,
        stream: TcpStream,
        name: ServerName<'static>,
        certificate: bool,
    ) -> Result<TlsStream<TcpStream>, Cause> {
        let ready = self.ready().ok_or(Cause::Tls)?;
        let config = if certificate { ready.full.ok_or(Cause::ClientCertificate)? } else { ready.plain };
        match TlsConnector::from(config).connect(name, stream).await {
            Ok(stream) => Ok(stream),
            Err(_) => {
                *self.ready.lock().unwrap_or_else(PoisonError::into_inner) = None;
                Err(Cause::Tls)
            }
        }
    }

    fn ready(&self) -> Option<Ready> {
        let mut ready = self.ready.lock().unwrap_or_else(PoisonError::into_inner);
        if ready.is_none() {
            *ready = self.make().ok();
        }
        ready.clone()
    }

    fn make(&self) -> Result<Ready, rustls::Error> {
        let verifier: Arc<dyn ServerCertVerifier> =
            Arc::new(Verifier::new_with_extra_roots(self.roots.iter().cloned(), self.provider.clone())?);
        let builder = || {
            let versions = [&version::TLS13, &version::TLS12];
            let builder = ClientConfig::builder_with_provider(self.provider.clone());
            let builder = builder.with_protocol_versions(&versions)?;
            // "Dangerous" is to bring a verifier of one's own; this one checks chain, name and time like the usual one.
            Ok::<_, rustls::Error>(builder.dangerous().with_custom_certificate_verifier(verifier.clone()))
        };
        let finish = |mut config: ClientConfig| {
            config.alpn_protocols = vec![b"http/1.1".to_vec()];
            Arc::new(config)
        };
        let full = match &self.identity {
            Some(Identity { chain, key, .. }) => {
                Some(finish(builder()?.with_client_auth_cert(chain.clone(), key.clone_key())?))
            }
            None => None,
        };
        Ok(Ready { plain: finish(builder()?.with_no_client_auth()), full })
    }
}
