//! WeChat's side, simulated: a gateway as strict as the real one, with customers, purses and weather.
//!
//! It is an examiner, so it shares no protocol code with the gateway room. Two ways in:
//!
//! - [`Simulator`]: HTTP or HTTPS on a socket, what `micropayd simulator` and the demo run, and tests in this process.
//! - [`front::Front`] and [`world::World`]: the same gateway without sockets, clocks or threads, told the time
//!   with each call, for tests that need millions of payments.

pub mod answers;
mod bill;
pub mod command;
mod control;
pub mod dice;
pub mod fields;
pub mod front;
mod http;
pub mod mood;
pub mod order;
mod papers;
pub mod refunds;
mod spoil;
pub mod views;
pub mod weather;
pub mod wire;
pub mod world;

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use serde::Serialize;
use tokio::net::TcpListener;
use tokio::sync::watch;

use self::front::{Call, Front, Merchant};
use self::http::Shared;
use self::mood::Mood;
use self::papers::Papers;
use self::views::{OrderView, Purse};
use self::weather::Rule;
use self::world::{Offer, Rules, World};
use crate::listen::{self, Limits, Transport};
use crate::time::Timestamp;

/// Where the simulator takes its time from.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// How a simulator is started.
#[derive(Clone)]
pub struct Settings {
    /// Address and port; port 0 takes a free one.
    pub listen: SocketAddr,
    /// HTTPS, with a client certificate where the real gateway wants one.
    pub tls: bool,
    /// What goes wrong from the start.
    pub weather: Vec<Rule>,
    /// The same seed issues the same codes and numbers and has the same weather.
    pub seed: u64,
    /// The gateway's own numbers.
    pub rules: Rules,
    /// Its time; the wall clock unless a test turns the hands itself.
    pub clock: Clock,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            tls: false,
            weather: Vec::new(),
            seed: 1,
            rules: Rules::default(),
            clock: Arc::new(wall_clock),
        }
    }
}

fn wall_clock() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// Everything that an APIv2 client needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Handshake {
    /// Where the APIs are.
    pub base_url: String,
    /// `appid`
    pub app_id: String,
    /// `mch_id`
    pub mch_id: String,
    /// The key of both signatures.
    pub api_key: String,
    /// The authority that vouches for the server, PEM.
    pub ca_file: String,
    /// The merchant's certificate, PEM; beside it lies `apiclient_cert.p12`, whose password is the merchant number.
    pub client_cert_file: String,
    /// Its key, PEM, PKCS#8.
    pub client_key_file: String,
}

/// Why a simulator does not start.
#[derive(Debug, thiserror::Error)]
pub enum SimulatorError {
    /// The address cannot be listened on.
    #[error("cannot listen on {0}: {1}")]
    Listen(SocketAddr, io::Error),
    /// A file or directory cannot be written.
    #[error("cannot write {0}: {1}")]
    File(PathBuf, io::Error),
    /// A certificate cannot be made.
    #[error("cannot make a certificate: {0}")]
    Certificate(#[from] rcgen::Error),
    /// The certificate's other form cannot be made.
    #[error("cannot make apiclient_cert.p12: {0}")]
    P12(String),
    /// The server's TLS cannot be set up.
    #[error("cannot set up TLS: {0}")]
    Tls(#[from] rustls::Error),
    /// A rule of the weather can never be followed.
    #[error("weather: {0}")]
    Weather(String),
}

/// A gateway that listens. Dropping it ends it and removes its files.
pub struct Simulator {
    shared: Arc<Shared>,
    papers: Papers,
    addr: SocketAddr,
    tls: bool,
    stop: watch::Sender<bool>,
}

impl Drop for Simulator {
    fn drop(&mut self) {
        self.stop.send_replace(true);
    }
}

impl Simulator {
    /// Starts listening, on the current tokio runtime.
    pub async fn start(settings: Settings) -> Result<Self, SimulatorError> {
        let Settings { listen, tls, weather, seed, rules, clock } = settings;
        let mut dice = dice::Dice::new(seed);
        let merchant = Merchant {
            app_id: "wx8888888888888888".to_owned(),
            mch_id: "1900000109".to_owned(),
            api_key: dice.nonce(),
        };
        let papers = Papers::new(&merchant.mch_id)?;
        let mut front = Front::new(merchant, World::new(seed, rules), seed);
        if let Some(complaint) = weather.iter().find_map(Rule::complaint) {
            return Err(SimulatorError::Weather(complaint));
        }
        for rule in weather {
            front.weather.add(clock(), rule);
        }
        let refused = |error| SimulatorError::Listen(listen, error);
        let listener = TcpListener::bind(listen).await.map_err(refused)?;
        let addr = listener.local_addr().map_err(refused)?;
        let shared = Arc::new(Shared {
            front: Mutex::new(front),
            clock,
            merchant: tls.then(|| papers.merchant.clone()),
        });
        let transport = if tls { Transport::Tls(papers.server.clone()) } else { Transport::Plain };
        let (stop, stopped) = watch::channel(false);
        let router = http::router(shared.clone());
        tokio::spawn(listen::serve(listener, transport, router, Limits::default(), stopped));
        Ok(Self { shared, papers, addr, tls, stop })
    }

    /// What a client needs.
    pub fn handshake(&self) -> Handshake {
        let scheme = if self.tls { "https" } else { "http" };
        let host = match self.addr.ip() {
            ip if !ip.is_unspecified() => SocketAddr::new(ip, self.addr.port()),
            ip if ip.is_ipv4() => SocketAddr::from((Ipv4Addr::LOCALHOST, self.addr.port())),
            _ => SocketAddr::from((Ipv6Addr::LOCALHOST, self.addr.port())),
        };
        let Merchant { app_id, mch_id, api_key } = self.shared.front().merchant.clone();
        let file = |name| papers::shown(&self.papers.path(name));
        Handshake {
            base_url: format!("{scheme}://{host}"),
            app_id,
            mch_id,
            api_key,
            ca_file: file("ca.pem"),
            client_cert_file: file("apiclient_cert.pem"),
            client_key_file: file("apiclient_key.pem"),
        }
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// What each customer is out of pocket for.
    pub fn purses(&self) -> Vec<Purse> {
        let now = (self.shared.clock)();
        self.shared.front().world.purses(now)
    }

    /// An order as the gateway sees it.
    pub fn order(&self, out_trade_no: &str) -> Option<OrderView> {
        let now = (self.shared.clock)();
        self.shared.front().world.order(now, out_trade_no)
    }

    /// Every order as the gateway sees it.
    pub fn orders(&self) -> Vec<OrderView> {
        let now = (self.shared.clock)();
        self.shared.front().world.orders(now)
    }

    /// What was received, oldest first.
    pub fn calls(&self) -> Vec<Call> {
        self.shared.front().calls().cloned().collect()
    }

    /// Replaces the weather; an empty list makes it fair.
    pub fn set_weather(&self, rules: Vec<Rule>) {
        let now = (self.shared.clock)();
        let weather = &mut self.shared.front().weather;
        weather.clear();
        for rule in rules {
            weather.add(now, rule);
        }
    }

    /// A fresh payment code of a new customer.
    pub fn new_code(&self, mood: Mood) -> String {
        self.new_code_with(mood, Offer::default()).0
    }

    /// A fresh payment code with everything that can be chosen, and its customer.
    pub fn new_code_with(&self, mood: Mood, offer: Offer) -> (String, u32) {
        let now = (self.shared.clock)();
        self.shared.front().world.new_code(now, mood, offer)
    }
}
