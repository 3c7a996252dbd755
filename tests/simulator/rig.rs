//! A simulator, and a client of it that signs, writes and reads for itself.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use md5::{Digest, Md5};
use micropayd::simulator::weather::{Fault, Rule, Where};
use micropayd::simulator::{Handshake, Settings, Simulator};
use micropayd::time::Timestamp;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

pub type Fields = BTreeMap<String, String>;

/// A simulator with a clock that only the test moves, and its client.
pub struct Rig {
    pub simulator: Simulator,
    clock: Arc<AtomicI64>,
    pub at: Handshake,
    /// Whether the client shows its certificate.
    pub certificate: Option<(String, String)>,
}

/// An answer: HTTP status and body.
pub struct Got {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Rig {
    pub async fn start(settings: Settings) -> Self {
        // 2026-11-21 12:00:00 in Beijing.
        let clock = Arc::new(AtomicI64::new(1_795_233_600_000));
        let hands = clock.clone();
        let settings =
            Settings { clock: Arc::new(move || Timestamp(hands.load(Ordering::SeqCst))), ..settings };
        let simulator = Simulator::start(settings).await.unwrap();
        let at = simulator.handshake();
        let certificate = Some((at.client_cert_file.clone(), at.client_key_file.clone()));
        Self { simulator, clock, at, certificate }
    }

    pub async fn plain() -> Self {
        Self::start(Settings::default()).await
    }

    pub fn wait(&self, seconds: i64) {
        self.clock.fetch_add(seconds * 1000, Ordering::SeqCst);
    }

    pub fn weather(&self, api: Where, fault: Fault) {
        self.simulator.set_weather(vec![Rule::once(api, fault)]);
    }

    /// One request on one connection; an error if it closes without a whole answer.
    pub async fn send(&self, method: &str, path: &str, body: &[u8]) -> io::Result<Got> {
        let stream = TcpStream::connect(self.simulator.addr()).await?;
        if self.at.base_url.starts_with("https://") {
            let name = ServerName::try_from("localhost").unwrap();
            let stream = TlsConnector::from(self.tls()).connect(name, stream).await?;
            exchange(stream, method, path, body).await
        } else {
            exchange(stream, method, path, body).await
        }
    }

    fn tls(&self) -> Arc<rustls::ClientConfig> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(&self.at.ca_file).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        Arc::new(match &self.certificate {
            None => builder.with_no_client_auth(),
            Some((cert, key)) => {
                let cert = CertificateDer::from_pem_file(cert).unwrap();
                builder.with_client_auth_cert(vec![cert], PrivateKeyDer::from_pem_file(key).unwrap()).unwrap()
            }
        })
    }

    pub fn common(&self) -> Fields {
        fields(&[("appid", &self.at.app_id), ("mch_id", &self.at.mch_id), ("nonce_str", "n")])
    }

    pub fn micropay(&self, number: &str, total: u32, code: &str) -> Fields {
        let mut fields = self.common();
        for (name, value) in [
            ("body", "朝阳门店-消费"),
            ("out_trade_no", number),
            ("total_fee", &total.to_string()),
            ("spbill_create_ip", "127.0.0.1"),
            ("auth_code", code),
        ] {
            fields.insert(name.to_owned(), value.to_owned());
        }
        fields
    }

    pub fn about(&self, number: &str) -> Fields {
        let mut fields = self.common();
        fields.insert("out_trade_no".to_owned(), number.to_owned());
        fields
    }

    /// Signs with MD5 and sends; an error if the connection breaks.
    pub async fn try_signed(&self, path: &str, mut request: Fields) -> io::Result<Got> {
        request.insert("sign".to_owned(), md5(&request, &self.at.api_key));
        self.send("POST", path, xml(&request).as_bytes()).await
    }

    pub async fn signed(&self, path: &str, request: Fields) -> Got {
        self.try_signed(path, request).await.unwrap()
    }

    /// Signs, sends, reads, and checks what every answer must have.
    pub async fn ask(&self, path: &str, request: Fields) -> Fields {
        let got = self.signed(path, request).await;
        assert_eq!(got.status, 200, "{}", got.head);
        let answer = read(&String::from_utf8(got.body).unwrap());
        if answer["return_code"] == "SUCCESS" {
            assert_eq!(answer["sign"], md5(&answer, &self.at.api_key), "{answer:?}");
            assert_eq!((&answer["appid"], &answer["mch_id"]), (&self.at.app_id, &self.at.mch_id));
        } else {
            assert!(!answer.contains_key("sign"), "{answer:?}");
        }
        answer
    }

    pub async fn pay(&self, number: &str, total: u32, code: &str) -> Fields {
        self.ask("/pay/micropay", self.micropay(number, total, code)).await
    }

    pub async fn state(&self, number: &str) -> String {
        let answer = self.ask("/pay/orderquery", self.about(number)).await;
        answer.get("trade_state").or_else(|| answer.get("err_code")).unwrap().clone()
    }

    pub async fn reverse(&self, number: &str) -> Fields {
        self.ask("/secapi/pay/reverse", self.about(number)).await
    }

    pub fn out_of_pocket(&self) -> u64 {
        self.simulator.purses().iter().map(|purse| purse.out_of_pocket).sum()
    }
}

async fn exchange(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    method: &str,
    path: &str,
    body: &[u8],
) -> io::Result<Got> {
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: simulator\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(&[head.as_bytes(), body].concat()).await?;
    let mut bytes = Vec::new();
    // Some servers close TLS without saying so; what was read before is judged by its length below.
    let _ = stream.read_to_end(&mut bytes).await;
    let broken = || io::Error::from(io::ErrorKind::UnexpectedEof);
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").ok_or_else(broken)?;
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap().to_ascii_lowercase();
    let body = bytes[end + 4..].to_vec();
    let length =
        head.lines().find_map(|line| line.strip_prefix("content-length: ")).map(|n| n.parse().unwrap());
    if length.is_some_and(|length: usize| length != body.len()) {
        return Err(broken());
    }
    Ok(Got { status: head[9..12].parse().unwrap(), head, body })
}

pub fn fields(pairs: &[(&str, &str)]) -> Fields {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

pub fn md5(fields: &Fields, key: &str) -> String {
    let signed = fields.iter().filter(|(name, value)| *name != "sign" && !value.is_empty());
    let text: String = signed.map(|(name, value)| format!("{name}={value}&")).collect();
    Md5::digest(format!("{text}key={key}")).iter().map(|byte| format!("{byte:02X}")).collect()
}

pub fn xml(fields: &Fields) -> String {
    let inner: String =
        fields.iter().map(|(name, value)| format!("<{name}><![CDATA[{value}]]></{name}>")).collect();
    format!("<xml>{inner}</xml>")
}

/// Enough for answers that are known to be well formed.
pub fn read(text: &str) -> Fields {
    let mut fields = Fields::new();
    let mut rest = text.strip_prefix("<xml>").unwrap().strip_suffix("</xml>").unwrap();
    while let Some((name, after)) = rest.trim_start().strip_prefix('<').and_then(|rest| rest.split_once('>'))
    {
        let (value, after) = after.split_once(&format!("</{name}>")).unwrap();
        let value =
            value.strip_prefix("<![CDATA[").and_then(|value| value.strip_suffix("]]>")).unwrap_or(value);
        fields.insert(name.to_owned(), value.to_owned());
        rest = after;
    }
    fields
}
