//! The far side of the line: a gateway of blocking sockets and real TLS that notes when a request was whole and when its
//! answer left. It signs with the simulator's own pen, never with the code that is measured.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use crate::lane::private_file;
use anyhow::{Context, Result};
use micropayd::simulator::wire::{self, Fields, SignType};
use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection, StreamOwned};

/// The merchant that this gateway knows.
pub const APP_ID: &str = "wx8888888888888888";
pub const MCH_ID: &str = "1900000109";
pub const API_KEY: &str = "192006250b4c09247ec02edce69f6a2d";
/// What every sale of the benches costs, fen.
pub const FEN: u32 = 1250;

/// How long the gateway thinks before it answers a payment. A real one needs longer; one that answers at once would
/// only measure whether the note of the scan is written before or after the answer comes.
const THINKS: Duration = Duration::from_millis(10);

/// One pay request, seen from here.
#[derive(Clone, Copy, Debug)]
pub struct Seen {
    /// The last byte of the request was read.
    pub arrived: Instant,
    /// The answer is about to be written.
    pub answered: Instant,
}

/// How the gateway answers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Temper {
    Honest,
    /// 300 MB are announced and sent.
    Huge,
    /// The same without saying how many.
    HugeChunks,
    /// A head without an end.
    HugeHead,
    /// A byte every tenth of a second.
    Drip,
    /// Quarter of a MiB of small fields.
    Fields,
    /// Quarter of a MiB of elements within elements.
    Deep,
}

pub struct Gateway {
    pub addr: SocketAddr,
    server: Arc<ServerConfig>,
    client: Arc<ClientConfig>,
    temper: Mutex<Temper>,
    seen: Mutex<Sender<Seen>>,
    hops: Mutex<Sender<Instant>>,
}

/// What the gateway reports to the bench.
pub struct Reports {
    pub seen: Receiver<Seen>,
    pub hops: Receiver<Instant>,
}

impl Gateway {
    /// Starts it; writes the certificate of its authority and the merchant's papers to `dir`.
    pub fn start(dir: &Path) -> Result<(Arc<Self>, Reports)> {
        let ca_key = KeyPair::generate()?;
        let mut ca = CertificateParams::new(Vec::new())?;
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca_cert = ca.self_signed(&ca_key)?;
        std::fs::write(dir.join("ca.pem"), ca_cert.pem())?;
        let issuer = Issuer::new(ca, ca_key);
        let key = KeyPair::generate()?;
        let mut leaf = CertificateParams::new(vec!["localhost".to_owned(), "127.0.0.1".to_owned()])?;
        leaf.insert_extended_key_usage(ExtendedKeyUsagePurpose::ServerAuth);
        let leaf = leaf.signed_by(&key, &issuer)?;
        let merchant_key = KeyPair::generate()?;
        let merchant = CertificateParams::new(Vec::new())?.signed_by(&merchant_key, &issuer)?;
        std::fs::write(dir.join("apiclient_cert.pem"), merchant.pem())?;
        private_file(&dir.join("apiclient_key.pem"), &merchant_key.serialize_pem())?;
        let private = PrivatePkcs8KeyDer::from(key.serialize_der()).into();
        let server = ServerConfig::builder().with_no_client_auth();
        let server = server.with_single_cert(vec![CertificateDer::from(leaf.der().to_vec())], private)?;
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from(ca_cert.der().to_vec()))?;
        let client = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let ((seen, seen_here), (hops, hops_here)) = (channel(), channel());
        let gateway = Arc::new(Self {
            addr: listener.local_addr()?,
            server: Arc::new(server),
            client: Arc::new(client),
            temper: Mutex::new(Temper::Honest),
            seen: Mutex::new(seen),
            hops: Mutex::new(hops),
        });
        let serving = Arc::clone(&gateway);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let gateway = Arc::clone(&serving);
                // A client that goes away ends its thread, which is all there is to do.
                thread::spawn(move || gateway.serve(stream).ok());
            }
        });
        Ok((gateway, Reports { seen: seen_here, hops: hops_here }))
    }

    pub fn set_temper(&self, temper: Temper) {
        *self.temper.lock().expect("no panic while held") = temper;
    }

    /// A kept-alive connection of a client with nothing around it: the floor of a hop.
    pub fn connect(&self) -> Result<StreamOwned<ClientConnection, TcpStream>> {
        let stream = TcpStream::connect(self.addr)?;
        stream.set_nodelay(true)?;
        let name = ServerName::try_from("127.0.0.1")?;
        Ok(StreamOwned::new(ClientConnection::new(Arc::clone(&self.client), name)?, stream))
    }

    fn serve(&self, stream: TcpStream) -> Result<()> {
        stream.set_nodelay(true)?;
        let mut line = StreamOwned::new(ServerConnection::new(Arc::clone(&self.server))?, stream);
        let mut buffer = Vec::with_capacity(16 * 1024);
        let mut chunk = [0; 16 * 1024];
        loop {
            let (head, whole) = loop {
                if let Some(lengths) = lengths(&buffer)
                    && buffer.len() >= lengths.1
                {
                    break lengths;
                }
                match line.read(&mut chunk)? {
                    0 => return Ok(()),
                    read => buffer.extend_from_slice(&chunk[..read]),
                }
            };
            let arrived = Instant::now();
            let path = buffer.split(|byte| *byte == b' ').nth(1).unwrap_or_default().to_vec();
            if path == b"/hop" {
                line.write_all(&hop_answer())?;
                self.hops.lock().expect("no panic while held").send(arrived)?;
                buffer.clear();
                continue;
            }
            let pays = path == b"/pay/micropay";
            if pays {
                thread::sleep(THINKS);
            }
            let temper = *self.temper.lock().expect("no panic while held");
            if temper != Temper::Honest {
                if pays {
                    self.seen
                        .lock()
                        .expect("no panic while held")
                        .send(Seen { arrived, answered: arrived })?;
                }
                return spoil(&mut line, temper);
            }
            let answer = http(answer(&buffer[head..whole], pays)?.as_bytes());
            let answered = Instant::now();
            line.write_all(&answer)?;
            if pays {
                self.seen.lock().expect("no panic while held").send(Seen { arrived, answered })?;
            }
            buffer.clear();
        }
    }
}

/// Lengths of the head and of the whole request, when the head is there.
fn lengths(bytes: &[u8]) -> Option<(usize, usize)> {
    let head = bytes.windows(4).position(|end| end == b"\r\n\r\n")? + 4;
    let text = std::str::from_utf8(&bytes[..head]).ok()?;
    let length = text.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    });
    Some((head, head + length.unwrap_or(0)))
}

/// What a floor's request gets: as long as the answer to a payment.
pub fn hop_answer() -> Vec<u8> {
    http(&[b'x'; 700])
}

fn http(body: &[u8]) -> Vec<u8> {
    let head =
        format!("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

/// A paid order, signed as the request was.
pub fn answer(request: &[u8], pays: bool) -> Result<String> {
    let request = wire::read(request).context("request is no message")?;
    let order = request.get("out_trade_no").context("request has no order number")?;
    let kind = SignType::of(&request).context("request has no known sign_type")?;
    anyhow::ensure!(request.get("sign") == Some(&wire::sign(&request, API_KEY, kind)), "signature is wrong");
    let mut fields = Fields::new();
    let mut put = |name: &str, value: &str| fields.insert(name.to_owned(), value.to_owned());
    put("return_code", "SUCCESS");
    put("return_msg", "OK");
    put("appid", APP_ID);
    put("mch_id", MCH_ID);
    put("nonce_str", "5K8264ILTKCH16CQ2502SI8ZNMTM67VS");
    put("result_code", "SUCCESS");
    put("openid", "oUpF8uN95-Ptaags6E_roPHg7AG0");
    put("is_subscribe", "N");
    put("trade_type", "MICROPAY");
    put("bank_type", "CMB_DEBIT");
    put("fee_type", "CNY");
    put("total_fee", &FEN.to_string());
    put("cash_fee_type", "CNY");
    put("cash_fee", &FEN.to_string());
    put("transaction_id", &format!("42000{:0>23}", order.len()));
    put("out_trade_no", order);
    put("time_end", "20261121120001");
    if !pays {
        put("trade_state", "SUCCESS");
        put("trade_state_desc", "支付成功");
    }
    let sign = wire::sign(&fields, API_KEY, kind);
    fields.insert("sign".to_owned(), sign);
    Ok(wire::write(&fields))
}

fn spoil(line: &mut impl Write, temper: Temper) -> Result<()> {
    let block = [b' '; 16 * 1024];
    match temper {
        Temper::Honest => {}
        Temper::Huge => {
            line.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 300000000\r\n\r\n")?;
            for _ in 0..300_000_000 / block.len() {
                line.write_all(&block)?;
            }
        }
        Temper::HugeChunks => {
            line.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
            for _ in 0..300_000_000 / block.len() {
                line.write_all(b"4000\r\n")?;
                line.write_all(&block)?;
                line.write_all(b"\r\n")?;
            }
        }
        Temper::HugeHead => {
            line.write_all(b"HTTP/1.1 200 OK\r\n")?;
            for n in 0..1_000_000 {
                line.write_all(format!("x-{n}: {n}\r\n").as_bytes())?;
            }
        }
        Temper::Drip => {
            for byte in http(&block) {
                line.write_all(&[byte])?;
                thread::sleep(Duration::from_millis(100));
            }
        }
        Temper::Fields => {
            let fields: String = (0..14_000).map(|n| format!("<f{n}>1</f{n}>")).collect();
            line.write_all(&http(format!("<xml>{fields}</xml>").as_bytes()))?;
        }
        Temper::Deep => line.write_all(&http(format!("<xml>{}", "<a>".repeat(80_000)).as_bytes()))?,
    }
    Ok(())
}
