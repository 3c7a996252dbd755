//! The doors: real sockets, modes and certificates.

use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::pki_types::{PrivateKeyDer, ServerName};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use zeroize::Zeroizing;

use super::shop::Till;
use crate::api::{Door, DoorError, Settings, Tls};
use crate::input::Notice;

async fn ask(mut stream: impl AsyncRead + AsyncWrite + Unpin, request: impl AsRef<str>) -> String {
    let request = format!("{}connection: close\r\n\r\n", request.as_ref());
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    // A peer that closes without TLS's goodbye has still answered.
    let _ = stream.read_to_string(&mut answer).await;
    answer
}

#[tokio::test]
async fn the_same_shop_answers_on_a_port_and_on_a_socket() {
    let till = Till::open();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("api.sock");
    let settings = Settings {
        listen: Some("127.0.0.1:0".parse().unwrap()),
        unix_socket: Some(path.clone()),
        ..Settings::default()
    };
    // What a killed process leaves behind is replaced; what somebody answers on is not.
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let door = Door::open(&settings).await.unwrap();
    let address = door.address().unwrap();
    let second = Settings { unix_socket: Some(path.clone()), ..Settings::default() };
    assert!(matches!(Door::open(&second).await, Err(DoorError::SocketInUse(_))));
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o660);

    let served = tokio::spawn(door.serve(till.router.clone(), till.stop.subscribe()));
    let tcp = ask(
        TcpStream::connect(address).await.unwrap(),
        format!("GET /healthz HTTP/1.1\r\nhost: {address}\r\n"),
    );
    assert!(tcp.await.starts_with("HTTP/1.1 200"));
    let rebound = "GET /healthz HTTP/1.1\r\nhost: evil.example\r\n";
    let tcp = ask(TcpStream::connect(address).await.unwrap(), rebound);
    assert!(tcp.await.starts_with("HTTP/1.1 403"));
    let unix = ask(UnixStream::connect(&path).await.unwrap(), rebound);
    assert!(unix.await.starts_with("HTTP/1.1 200"));

    // A POS that hangs up while it waits changes nothing.
    let mut pos = TcpStream::connect(address).await.unwrap();
    let body = r#"{"amount": 1250}"#;
    let request = format!(
        "POST /v1/payments?wait=60 HTTP/1.1\r\nhost: {address}\r\nidempotency-key: k1\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut steps = till.notices.subscribe();
    pos.write_all(request.as_bytes()).await.unwrap();
    let Notice::Sale(_, sale) = steps.recv().await.unwrap() else { panic!("expected the opened sale") };
    drop(pos);
    till.paid(sale.id.as_str());
    let found = format!("GET /v1/payments?key=k1 HTTP/1.1\r\nhost: {address}\r\n");
    assert!(ask(TcpStream::connect(address).await.unwrap(), found).await.contains(r#""phase":"paid""#));

    let mut follower = TcpStream::connect(address).await.unwrap();
    follower
        .write_all(format!("GET /v1/events HTTP/1.1\r\nhost: {address}\r\n\r\n").as_bytes())
        .await
        .unwrap();
    follower.readable().await.unwrap();
    till.stop.send(true).unwrap();
    served.await.unwrap();
    assert!(!path.exists());
}

#[tokio::test]
async fn beyond_loopback_takes_tls_and_tokens() {
    let till = Till::open();
    let own = rcgen::generate_simple_self_signed(vec!["till3.shop".to_owned()]).unwrap();
    let other = rcgen::generate_simple_self_signed(Vec::new()).unwrap();
    let tls = |key: &rcgen::KeyPair| {
        let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
        Some(Tls { chain: vec![own.cert.der().clone()], key })
    };
    let token = "0123456789abcdef0123456789abcdef";
    let mut settings = Settings { listen: Some("0.0.0.0:0".parse().unwrap()), ..Settings::default() };
    assert!(matches!(Door::open(&settings).await, Err(DoorError::NoTls(_))));
    settings.tls = tls(&other.signing_key);
    assert!(matches!(Door::open(&settings).await, Err(DoorError::Tls(_))));
    settings.tls = tls(&own.signing_key);
    assert!(matches!(Door::open(&settings).await, Err(DoorError::NoTokens(_))));
    settings.tokens = vec![Zeroizing::new("short".to_owned())];
    assert!(matches!(Door::open(&settings).await, Err(DoorError::Token)));
    settings.tokens = vec![Zeroizing::new(token.to_owned())];

    let door = Door::open(&settings).await.unwrap();
    let address = ("127.0.0.1", door.address().unwrap().port());
    tokio::spawn(door.serve(till.router.clone(), till.stop.subscribe()));
    let mut roots = RootCertStore::empty();
    roots.add(own.cert.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let client = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(client));
    for (header, status) in [(String::new(), "401"), (format!("authorization: Bearer {token}\r\n"), "200")] {
        let stream = TcpStream::connect(address).await.unwrap();
        let stream = connector.connect(ServerName::try_from("till3.shop").unwrap(), stream).await.unwrap();
        let request = format!("GET /v1/status HTTP/1.1\r\nhost: till3.shop\r\n{header}");
        let answer = ask(stream, &request).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{answer}");
    }
    // Without TLS there is no answer at all.
    let plain =
        ask(TcpStream::connect(address).await.unwrap(), "GET /healthz HTTP/1.1\r\nhost: till3.shop\r\n");
    assert!(!plain.await.starts_with("HTTP/1.1 200"));
}
