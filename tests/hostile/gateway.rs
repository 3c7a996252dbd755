//! A gateway behind TLS that is honest to every order but one: to that one it does a deed.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use micropayd::simulator::fields::Api;
use micropayd::simulator::front::{Certificate, Delivery, Front, Merchant};
use micropayd::simulator::mood::Mood;
use micropayd::simulator::wire::{self, Fields, SignType};
use micropayd::simulator::world::{Offer, Rules, World};
use micropayd::time::Timestamp;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::deeds::Deed;

pub const APP: &str = "wx8888888888888888";
pub const MCH: &str = "1900000109";
pub const KEY: &str = "k7Qm2ZxW9rTb4VnC6LpYs3HdJf8GaEu5";

pub type Line = TlsStream<TcpStream>;

/// One call as it arrived, and when its connection or its answer was over.
#[derive(Clone, Debug)]
pub struct Seen {
    number: u64,
    pub api: Api,
    pub order: String,
    pub at: Instant,
    pub over: Option<Instant>,
}

struct State {
    front: Mutex<Front>,
    deed: Mutex<Option<Deed>>,
    /// The order that the deed is done to: the first unknown one after the deed was set.
    victim: Mutex<Option<String>>,
    old: Mutex<HashMap<Api, Vec<u8>>>,
    calls: AtomicU64,
    seen: watch::Sender<Vec<Seen>>,
}

pub struct Gateway {
    pub url: String,
    /// PEM of who vouches for it.
    pub authority: String,
    /// PEM of a merchant's certificate and its key.
    pub client: (String, String),
    state: Arc<State>,
}

fn now() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    Timestamp(i64::try_from(since.as_millis()).unwrap())
}

impl Gateway {
    pub async fn open() -> Self {
        micropayd::gateway::http::install_ring();
        let key = || KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, key()).unwrap();
        let issue = |names: &[&str]| {
            let key = key();
            let names: Vec<String> = names.iter().map(ToString::to_string).collect();
            let params = CertificateParams::new(names).unwrap();
            (params.signed_by(&key, &authority).unwrap(), key)
        };
        let (server, server_key) = issue(&["127.0.0.1", "localhost"]);
        let (client, client_key) = issue(&["merchant"]);
        let server_key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(server_key.serialize_der()));
        let config = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![server.der().clone()], server_key)
            .unwrap();
        let merchant = Merchant { app_id: APP.to_owned(), mch_id: MCH.to_owned(), api_key: KEY.to_owned() };
        let state = Arc::new(State {
            front: Mutex::new(Front::new(merchant, World::new(7, Rules::default()), 7)),
            deed: Mutex::default(),
            victim: Mutex::default(),
            old: Mutex::default(),
            calls: AtomicU64::new(0),
            seen: watch::channel(Vec::new()).0,
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://{}", listener.local_addr().unwrap());
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let serving = state.clone();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.expect("a connection: `ulimit -n` may be too low");
                let (acceptor, state) = (acceptor.clone(), serving.clone());
                tokio::spawn(async move {
                    if let Ok(line) = acceptor.accept(stream).await {
                        state.serve(line).await;
                    }
                });
            }
        });
        let client = (client.pem(), client_key.serialize_pem());
        Self { url, authority: authority.pem(), client, state }
    }

    /// A fresh code of a customer in this mood.
    pub fn code(&self, mood: Mood) -> String {
        let offer = Offer { after: Some(Duration::from_millis(200)), ..Offer::default() };
        self.state.front.lock().unwrap().world.new_code(now(), mood, offer).0
    }

    /// Does this deed to the next order that is not known yet. Calls that are over are forgotten, or ten thousand rounds
    /// would look through those of all the rounds before.
    pub fn threaten(&self, deed: Deed) {
        self.state.seen.send_modify(|seen| seen.retain(|call| call.over.is_none()));
        *self.state.victim.lock().unwrap() = None;
        *self.state.deed.lock().unwrap() = Some(deed);
    }

    /// Is honest again.
    pub fn relent(&self) {
        *self.state.deed.lock().unwrap() = None;
    }

    /// The order that suffered.
    pub fn victim(&self) -> Option<String> {
        self.state.victim.lock().unwrap().clone()
    }

    /// Waits until the calls so far are as wanted; all calls.
    pub async fn until(&self, wanted: impl Fn(&[Seen]) -> bool) -> Vec<Seen> {
        let mut seen = self.state.seen.subscribe();
        let found = tokio::time::timeout(crate::shop::PATIENCE, seen.wait_for(|seen| wanted(seen))).await;
        found.unwrap_or_else(|_| panic!("never as wanted: {:?}", self.state.seen.borrow())).unwrap().clone()
    }
}

impl State {
    async fn serve(&self, mut line: Line) {
        while let Some((api, body)) = request(&mut line).await {
            let fields = wire::read(&body).unwrap_or_default();
            let order = fields.get("out_trade_no").cloned().unwrap_or_default();
            let deed = self.deed_to(api, &order);
            let number = self.calls.fetch_add(1, Ordering::Relaxed);
            self.seen
                .send_modify(|seen| seen.push(Seen { number, api, order, at: Instant::now(), over: None }));
            let goes_on = match deed {
                None => {
                    let answer = self.honest(api, &body);
                    self.old.lock().unwrap().entry(api).or_insert_with(|| answer.clone());
                    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", answer.len());
                    write(&mut line, &[head.as_bytes(), &answer].concat()).await
                }
                Some(deed) => {
                    let old = self.old.lock().unwrap().get(&api).cloned().unwrap_or_default();
                    deed.done_to(&mut line, &Lie { api, request: &fields, old: &old }).await
                }
            };
            self.seen.send_modify(|seen| {
                if let Some(call) = seen.iter_mut().find(|call| call.number == number) {
                    call.over = Some(Instant::now());
                }
            });
            if !goes_on {
                return;
            }
        }
    }

    fn deed_to(&self, api: Api, order: &str) -> Option<Deed> {
        let deed = (*self.deed.lock().unwrap())?;
        let mut victim = self.victim.lock().unwrap();
        if victim.is_none() && api == Api::Micropay {
            *victim = Some(order.to_owned());
        }
        (victim.as_deref() == Some(order)).then_some(deed)
    }

    fn honest(&self, api: Api, body: &[u8]) -> Vec<u8> {
        match self.front.lock().unwrap().call(now(), api, body, Certificate::Ours) {
            Delivery::Answer(answer) => answer.body,
            other => panic!("fair weather, and {other:?}"),
        }
    }
}

/// What a liar knows: which question it is, and what the gateway once said.
pub struct Lie<'a> {
    pub api: Api,
    pub request: &'a Fields,
    pub old: &'a [u8],
}

impl Lie<'_> {
    /// A success that did not happen, right in everything but its signature.
    pub fn fields(&self) -> Fields {
        let mut fields = Fields::new();
        let mut put = |name: &str, value: &str| {
            fields.insert(name.to_owned(), value.to_owned());
        };
        for (name, value) in [
            ("return_code", "SUCCESS"),
            ("return_msg", "OK"),
            ("appid", APP),
            ("mch_id", MCH),
            ("nonce_str", "5K8264ILTKCH16CQ2502SI8ZNMTM67VS"),
            ("result_code", "SUCCESS"),
            ("out_trade_no", self.request.get("out_trade_no").map_or("", String::as_str)),
        ] {
            put(name, value);
        }
        match self.api {
            Api::Reverse => put("recall", "N"),
            _ => {
                for (name, value) in [
                    ("total_fee", "1250"),
                    ("cash_fee", "1250"),
                    ("fee_type", "CNY"),
                    ("transaction_id", "4200001234202611211234567890"),
                    ("time_end", "20261121193841"),
                    ("trade_type", "MICROPAY"),
                ] {
                    put(name, value);
                }
            }
        }
        if self.api == Api::Orderquery {
            put("trade_state", "SUCCESS");
        }
        fields
    }

    /// Signs as the request was signed.
    pub fn sealed(&self, mut fields: Fields) -> String {
        let kind = SignType::of(self.request).unwrap_or(SignType::Md5);
        let sign = wire::sign(&fields, KEY, kind);
        fields.insert("sign".to_owned(), sign);
        wire::write(&fields)
    }

    /// The same with one field changed before it is signed.
    pub fn sealed_with(&self, name: &str, value: &str) -> String {
        let mut fields = self.fields();
        fields.insert(name.to_owned(), value.to_owned());
        self.sealed(fields)
    }

    /// A lie that only its journey can give away.
    pub fn perfect(&self) -> String {
        self.sealed(self.fields())
    }
}

/// Reads one request to its end; none if the client hangs up.
async fn request(line: &mut Line) -> Option<(Api, Vec<u8>)> {
    let mut bytes = Vec::new();
    let head = loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break end + 4;
        }
        if line.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let text = String::from_utf8_lossy(&bytes[..head]).to_lowercase();
    let length = text.split_once("content-length: ")?.1.split_once("\r\n")?.0.parse::<usize>().ok()?;
    while bytes.len() < head + length {
        if line.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
    let api = Api::at(text.split(' ').nth(1)?)?;
    Some((api, bytes[head..].to_vec()))
}

/// Writes; false when the client has hung up.
pub async fn write(line: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) -> bool {
    line.write_all(bytes).await.is_ok() && line.flush().await.is_ok()
}

/// Waits until the client hangs up.
pub async fn outwait(line: &mut (impl AsyncRead + Unpin)) {
    let mut ignored = [0; 1024];
    while line.read(&mut ignored).await.is_ok_and(|length| length > 0) {}
}
