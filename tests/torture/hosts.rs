//! Hosts that no request can reach, each in its own way, and the good one with and without a line that can be pulled.

use std::net::{SocketAddr, TcpListener as Bound, TcpStream as Knock};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustix::net::{AddressFamily, SocketType};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::shop::Shop;

/// Why no request reaches a host.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Bad {
    /// Nobody listens.
    Refused,
    /// No answer to the first packet, as from an address that is not there.
    Silent,
    /// Takes connections and says nothing on them.
    Mute,
    /// Hangs up in the middle of the handshake.
    HangsUp,
    /// Speaks TLS 1.1 at most.
    OldTls,
    /// A portal that answers the handshake with a page.
    Page,
    /// A certificate of an authority that nobody trusts.
    Stranger,
    /// A trusted authority's certificate for another name.
    WrongName,
    /// A trusted authority's certificate that is over.
    Expired,
}

pub const BAD: [Bad; 9] = [
    Bad::Refused,
    Bad::Silent,
    Bad::Mute,
    Bad::HangsUp,
    Bad::OldTls,
    Bad::Page,
    Bad::Stranger,
    Bad::WrongName,
    Bad::Expired,
];

/// A ServerHello of TLS 1.1: version, no randomness, no session, TLS_RSA_WITH_AES_128_CBC_SHA (RFC 4346).
const OLD_HELLO: [u8; 47] = {
    let mut hello = [0; 47];
    let head = [22, 3, 2, 0, 42, 2, 0, 0, 38, 3, 2];
    let mut n = 0;
    while n < head.len() {
        hello[n] = head[n];
        n += 1;
    }
    hello[45] = 0x2f;
    hello
};

/// Where a host is; what keeps it as it is ends with it.
#[derive(Default)]
pub struct Host {
    pub url: String,
    _held: Option<(OwnedFd, Vec<Knock>)>,
}

impl Host {
    fn at(address: SocketAddr) -> Self {
        Self { url: format!("https://{address}"), ..Self::default() }
    }

    /// The same under a name that must be looked up. The simulator's certificate is good for it, and a configuration that
    /// names nothing else may have short waits.
    pub fn by_name(self) -> Self {
        Self { url: self.url.replace("127.0.0.1", "localhost"), ..self }
    }

    /// The simulated gateway at the end of a line that can be pulled.
    pub fn at_the_line(shop: &Shop) -> Self {
        Self::at(shop.stage.line.addr())
    }

    /// The simulated gateway, with nothing between.
    pub fn gateway(shop: &Shop) -> Self {
        Self::at(shop.stage.gateway.addr())
    }

    /// A bad one, on the runtime of the test.
    pub fn bad(bad: Bad, shop: &Shop) -> Self {
        match bad {
            Bad::Refused => {
                let gone = Bound::bind("127.0.0.1:0").expect("an address");
                Self::at(gone.local_addr().expect("its address"))
            }
            Bad::Silent => Self::silent(),
            Bad::Mute | Bad::HangsUp | Bad::OldTls | Bad::Page => {
                Self::listening(move |mut stream| async move {
                    let mut hello = [0; 512];
                    // Whatever it is, the answer does not depend on it.
                    let _ = stream.read(&mut hello).await;
                    let answer: &[u8] = match bad {
                        Bad::OldTls => &OLD_HELLO,
                        Bad::Page => b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nlogin",
                        _ => &[],
                    };
                    // The other side may have hung up.
                    let _ = stream.write_all(answer).await;
                    if bad == Bad::Mute {
                        std::future::pending::<()>().await;
                    }
                })
            }
            Bad::Stranger | Bad::WrongName | Bad::Expired => {
                let acceptor = TlsAcceptor::from(certified(bad, shop));
                Self::listening(move |stream| {
                    let acceptor = acceptor.clone();
                    async move {
                        if let Ok(mut stream) = acceptor.accept(stream).await {
                            // With TLS 1.3 the server is done before the client has looked at the certificate.
                            let mut request = [0; 1];
                            let read = stream.read(&mut request).await;
                            assert!(!matches!(read, Ok(1)), "{bad:?}: a request was sent");
                        }
                    }
                })
            }
        }
    }

    fn listening<F: Future<Output = ()> + Send + 'static>(
        serve: impl Fn(TcpStream) -> F + Send + 'static,
    ) -> Self {
        let bound = Bound::bind("127.0.0.1:0").expect("an address");
        bound.set_nonblocking(true).expect("a socket");
        let host = Self::at(bound.local_addr().expect("its address"));
        let listener = TcpListener::from_std(bound).expect("a listener");
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream));
            }
        });
        host
    }

    /// A full queue: the kernel drops every further first packet.
    fn silent() -> Self {
        let socket = rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None).expect("a socket");
        let any: SocketAddr = ([127, 0, 0, 1], 0).into();
        rustix::net::bind(&socket, &any).expect("an address");
        rustix::net::listen(&socket, 0).expect("it listens");
        let name = rustix::net::getsockname(&socket).expect("its address");
        let address = SocketAddr::try_from(name).expect("an internet address");
        let mut knocks = Vec::new();
        while let Ok(knock) = Knock::connect_timeout(&address, Duration::from_millis(50)) {
            knocks.push(knock);
        }
        Self { _held: Some((socket, knocks)), ..Self::at(address) }
    }
}

/// A server with something wrong with its certificate. The authority is trusted by the shop, but for the stranger's.
fn certified(bad: Bad, shop: &Shop) -> Arc<ServerConfig> {
    let authority_key = KeyPair::generate().expect("a key");
    let mut authority = CertificateParams::default();
    authority.distinguished_name.push(DnType::CommonName, "micropayd test CA");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority_cert = authority.self_signed(&authority_key).expect("a certificate");
    if bad != Bad::Stranger {
        shop.trust(&authority_cert.pem());
    }
    let issuer = Issuer::new(authority, authority_key);
    let name = if bad == Bad::WrongName { "127.0.0.2" } else { "127.0.0.1" };
    let mut server = CertificateParams::new(vec![name.to_owned()]).expect("a name");
    if bad == Bad::Expired {
        server.not_before = rcgen::date_time_ymd(2020, 1, 1);
        server.not_after = rcgen::date_time_ymd(2021, 1, 1);
    }
    let key = KeyPair::generate().expect("a key");
    let cert = server.signed_by(&key, &issuer).expect("a certificate");
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config =
        ServerConfig::builder().with_no_client_auth().with_single_cert(vec![cert.der().clone()], key);
    Arc::new(config.expect("a server"))
}
