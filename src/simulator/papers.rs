//! Certificates and keys of the simulated gateway: its own authority, its server, and the merchant's client certificate,
//! in a directory that goes away with it. Nothing here is worth stealing: every start makes new ones.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use p12_keystore::{
    EncryptionAlgorithm, KeyStore, KeyStoreEntry, LocalKeyId, MacAlgorithm, PrivateKey, PrivateKeyChain,
};
use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use rustls::crypto::{WebPkiSupportedAlgorithms, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, ServerConfig, SignatureScheme};

use super::SimulatorError;

/// The files that a client needs, and what the server needs.
pub(super) struct Papers {
    dir: PathBuf,
    /// The merchant's certificate: whoever shows it is let through.
    pub merchant: CertificateDer<'static>,
    /// The server's side of TLS.
    pub server: Arc<ServerConfig>,
}

impl Drop for Papers {
    fn drop(&mut self) {
        // Left behind it would only be litter in the temporary directory.
        let _ = fs::remove_dir_all(&self.dir);
    }
}

impl Papers {
    /// Makes everything anew and writes the client's part.
    pub fn new(mch_id: &str) -> Result<Self, SimulatorError> {
        let ca_key = KeyPair::generate()?;
        let mut ca = params("micropayd simulator CA")?;
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca_cert = ca.self_signed(&ca_key)?;
        let issuer = Issuer::new(ca, ca_key);

        let server_key = KeyPair::generate()?;
        let mut server =
            CertificateParams::new(["localhost", "127.0.0.1", "::1"].map(str::to_owned).to_vec())?;
        server.distinguished_name.push(DnType::CommonName, "micropayd simulator");
        server.insert_extended_key_usage(ExtendedKeyUsagePurpose::ServerAuth);
        let server_cert = server.signed_by(&server_key, &issuer)?;

        let client_key = KeyPair::generate()?;
        let mut client = params(mch_id)?;
        client.insert_extended_key_usage(ExtendedKeyUsagePurpose::ClientAuth);
        let client_cert = client.signed_by(&client_key, &issuer)?;

        let papers = Self {
            dir: own_directory()?,
            merchant: client_cert.der().clone(),
            server: server_config(server_cert.der().clone(), &server_key)?,
        };
        papers.write("ca.pem", ca_cert.pem().as_bytes())?;
        papers.write("apiclient_cert.pem", client_cert.pem().as_bytes())?;
        papers.write("apiclient_key.pem", client_key.serialize_pem().as_bytes())?;
        let p12 = p12(client_cert.der(), &client_key, mch_id)
            .map_err(|error| SimulatorError::P12(error.to_string()))?;
        papers.write("apiclient_cert.p12", &p12)?;
        Ok(papers)
    }

    /// One of the files.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    fn write(&self, name: &str, bytes: &[u8]) -> Result<(), SimulatorError> {
        let path = self.path(name);
        let written = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .and_then(|mut f| f.write_all(bytes));
        written.map_err(|error| SimulatorError::File(path, error))
    }
}

fn params(name: &str) -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.distinguished_name.push(DnType::CommonName, name);
    Ok(params)
}

/// The form in which WeChat hands the certificate out: ciphers of the nineties, the merchant number for a password.
fn p12(cert: &CertificateDer<'_>, key: &KeyPair, password: &str) -> p12_keystore::Result<Vec<u8>> {
    let cert = p12_keystore::Certificate::from_der(cert)?;
    let key = PrivateKey::from_der(&key.serialize_der())?;
    let chain = PrivateKeyChain::new(LocalKeyId::from(b"1".to_vec()), key, [cert]);
    let mut store = KeyStore::new();
    store.add_entry("Tenpay Certificate", KeyStoreEntry::PrivateKeyChain(chain));
    let form = EncryptionAlgorithm::PbeWithShaAnd3KeyTripleDesCbc;
    store.writer(password).encryption_algorithm(form).mac_algorithm(MacAlgorithm::HmacSha1).write()
}

fn own_directory() -> Result<PathBuf, SimulatorError> {
    let parent = std::env::temp_dir();
    loop {
        let random = getrandom::u64()
            .map_err(|error| SimulatorError::File(parent.clone(), io::Error::other(error.to_string())))?;
        let dir = parent.join(format!("micropayd-simulator-{random:016x}"));
        match DirBuilder::new().mode(0o700).create(&dir) {
            Ok(()) => return Ok(dir),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(SimulatorError::File(dir, error)),
        }
    }
}

fn server_config(cert: CertificateDer<'static>, key: &KeyPair) -> Result<Arc<ServerConfig>, rustls::Error> {
    let provider = Arc::new(ring::default_provider());
    let verifier = AnyCertificate(provider.signature_verification_algorithms);
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_client_cert_verifier(Arc::new(verifier))
        .with_single_cert(vec![cert], key)?;
    Ok(Arc::new(config))
}

/// Lets every client certificate through the handshake: like nginx in front of the real gateway, the simulator refuses a
/// missing or foreign one later, with a page, and only where one is needed. Possession of the key is still proven.
#[derive(Debug)]
struct AnyCertificate(WebPkiSupportedAlgorithms);

impl ClientCertVerifier for AnyCertificate {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _certificate: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.0)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}

/// The path as text, for the line that says where everything is.
pub(super) fn shown(path: &Path) -> String {
    path.display().to_string()
}
