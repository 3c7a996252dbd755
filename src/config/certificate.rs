//! Certificates and their keys: read, held against each other and against the calendar. Never shows a key.

use std::path::Path;
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::secret_file::{self, Guard, Trouble};
use crate::time::Timestamp;

/// Warned this long before a certificate ends; a new one takes the merchant a few days.
pub const WARNED_BEFORE: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// A certificate chain, own certificate first, with its key.
pub struct Identity {
    /// Own certificate first.
    pub chain: Vec<CertificateDer<'static>>,
    /// The key of the first.
    pub key: PrivateKeyDer<'static>,
    /// When the first one becomes valid.
    pub begins: Timestamp,
    /// When the first one ends.
    pub ends: Timestamp,
}

impl Clone for Identity {
    fn clone(&self) -> Self {
        Self { chain: self.chain.clone(), key: self.key.clone_key(), begins: self.begins, ends: self.ends }
    }
}

/// Shows when the certificate ends, never the key.
impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Identity(ends {})", self.ends.rfc3339())
    }
}

/// Where a certificate stands in the calendar.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Standing {
    /// Valid, and for long enough.
    Good,
    /// Valid, but ends within [`WARNED_BEFORE`].
    EndsSoon,
    /// Over.
    Ended,
    /// Not valid yet; a clock that stands wrong is more likely than a new certificate.
    NotYet,
}

impl Identity {
    /// Where the certificate stands at `now`.
    pub fn standing(&self, now: Timestamp) -> Standing {
        if now < self.begins {
            Standing::NotYet
        } else if now >= self.ends {
            Standing::Ended
        } else if now + WARNED_BEFORE >= self.ends {
            Standing::EndsSoon
        } else {
            Standing::Good
        }
    }

    fn new(
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
        shown: &str,
    ) -> Result<Self, Trouble> {
        let trouble = |what: String, help: &str| Trouble { what, help: help.to_owned() };
        let again = "download the certificate again from the merchant platform";
        let Some(own) = chain.first() else {
            return Err(trouble(format!("{shown} has no certificate"), again));
        };
        let (_, parsed) = X509Certificate::from_der(own)
            .map_err(|error| trouble(format!("{shown} is not a certificate: {error}"), again))?;
        let moment = |seconds: i64| Timestamp(seconds.saturating_mul(1000));
        let begins = moment(parsed.validity().not_before.timestamp());
        let ends = moment(parsed.validity().not_after.timestamp());
        let signing = rustls::crypto::ring::sign::any_supported_type(&key).map_err(|_| {
            trouble("key is not an RSA or elliptic curve key that TLS can use".to_owned(), again)
        })?;
        let pair = rustls::sign::CertifiedKey::new(chain.clone(), signing);
        if pair.keys_match().is_err() {
            let help = "name the certificate and the key that were downloaded together";
            return Err(trouble(format!("{shown} and the key do not belong together"), help));
        }
        Ok(Self { chain, key, begins, ends })
    }
}

/// Reads a certificate and its key from two PEM files.
///
/// # Errors
/// The trouble, and whether it is with the key's file (`true`) or the certificate's.
pub fn from_pem(cert_file: &Path, key_file: &Path, key_guard: Guard) -> Result<Identity, (bool, Trouble)> {
    let shown = cert_file.display().to_string();
    let cert = secret_file::read(cert_file, Guard::Anybody).map_err(|trouble| (false, trouble))?;
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&cert).flatten().collect();
    let key = secret_file::read(key_file, key_guard).map_err(|trouble| (true, trouble))?;
    let key = PrivateKeyDer::from_pem_slice(&key).map_err(|_| {
        let what = format!("{} has no private key in PEM form", key_file.display());
        let help = "expected a file that begins with -----BEGIN PRIVATE KEY-----, name apiclient_key.pem";
        (true, Trouble { what, help: help.to_owned() })
    })?;
    Identity::new(chain, key, &shown).map_err(|trouble| (false, trouble))
}

/// Reads both from WeChat's `apiclient_cert.p12`; its password is the merchant number.
pub fn from_p12(file: &Path, password: &str) -> Result<Identity, Trouble> {
    let shown = file.display().to_string();
    let bytes = secret_file::read(file, Guard::Owner)?;
    let opened =
        p12_keystore::KeyStore::from_pkcs12(&bytes, password, p12_keystore::Pkcs12ImportPolicy::Relaxed);
    let store = opened.map_err(|_| Trouble {
        what: format!("{shown} cannot be opened with wechat.mch_id as its password"),
        help: "download apiclient_cert.p12 again, or correct mch_id".to_owned(),
    })?;
    let Some((_, pair)) = store.private_key_chain() else {
        let what = format!("{shown} has no private key with a certificate");
        return Err(Trouble { what, help: "download apiclient_cert.p12 again".to_owned() });
    };
    let chain = pair.certs().iter().map(|cert| CertificateDer::from(cert.as_der().to_vec())).collect();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(pair.key().as_der().to_vec()));
    Identity::new(chain, key, &shown)
}

/// Reads certificates that are trusted beside the system's.
pub fn roots(file: &Path) -> Result<Vec<CertificateDer<'static>>, Trouble> {
    let bytes = secret_file::read(file, Guard::Anybody)?;
    let roots: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&bytes).flatten().collect();
    if roots.is_empty() {
        let what = format!("{} has no certificate in PEM form", file.display());
        let help = "expected a file that begins with -----BEGIN CERTIFICATE-----";
        return Err(Trouble { what, help: help.to_owned() });
    }
    Ok(roots)
}
