//! HTTPS to the provider, with one question always answered: can a byte of the request have left? Never sends a request
//! twice to where it may have arrived.
//!
//! It is HTTP/1.1 on connections that it opens itself. No redirect is followed, no proxy used, nothing retried, nothing
//! compressed: a client for browsing repeats a POST after a 307, or when a connection seems unused, and needs a request to
//! open a connection ahead of time. Here one is opened by [`Http::warm`] without a request.

mod download;
mod exchange;
mod host;
mod metered;
mod tls;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hyper::body::Bytes;
use rustls::pki_types::CertificateDer;
use tokio::time::Instant;

pub use self::download::{DownloadError, LARGEST};
use self::exchange::{Failure, Post};
use self::host::{Connector, Host};
pub use self::tls::{Identity, IdentityError, install_ring};
use super::{Call, Outcome, Request, SecondHost};
use crate::payment::Cause;

/// How long the first host is left alone after it failed and another one is asked first: 3 minutes, as WeChat's own SDK
/// does (WXPay-SDK 3.0.9, `WXPayDomainSimpleImpl`).
const LEFT_ALONE: Duration = Duration::from_secs(3 * 60);

/// Where the provider is and how long it is waited for.
#[derive(Debug)]
pub struct Settings {
    /// `https://host[:port]`, asked in this order; `http://` for loopback addresses only.
    pub base_urls: Vec<String>,
    /// Roots trusted beside the system's: the simulator's, a proxy's.
    pub roots: Vec<CertificateDer<'static>>,
    /// The merchant's certificate and its key.
    pub identity: Option<Identity>,
    /// Name, TCP and TLS together, shared by the hosts: after it, that nothing was sent is told.
    pub connect_timeout: Duration,
    /// A whole call to one host, connection and last byte of the answer included.
    pub request_timeout: Duration,
}

/// What is wrong with [`Settings`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// There is none.
    #[error("base_urls is empty, expected at least one address")]
    NoHost,
    /// Not of the form `https://host[:port]`.
    #[error("address {0:?} is not usable, expected a form like \"https://api.mch.weixin.qq.com\"")]
    Url(String),
    /// `http://` to another machine.
    #[error("address {0:?} is not encrypted, expected https:// (http:// is for loopback addresses only)")]
    Unencrypted(String),
}

/// A host as the status page shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostStatus {
    /// As configured.
    pub url: String,
    /// Whether it is asked first at present.
    pub first: bool,
    /// Calls that got a whole answer, of whatever content.
    pub answered: u64,
    /// Calls and connections that failed.
    pub failed: u64,
    /// Why the last one failed; none since it last answered.
    pub trouble: Option<Cause>,
}

/// Carries calls to the provider and their answers back.
///
/// Dropping a call's future does not unsend it. Whoever may lose interest spawns the call.
pub struct Http {
    hosts: Vec<Host>,
    connector: Connector,
    request_timeout: Duration,
    state: Mutex<State>,
}

/// Which host to ask first, and how the hosts fare.
struct State {
    first: usize,
    /// When the first of the list may be asked first again.
    home: Instant,
    records: Vec<Record>,
}

#[derive(Default)]
struct Record {
    answered: u64,
    failed: u64,
    trouble: Option<Cause>,
}

/// Whether `url` can be one of [`Settings::base_urls`].
///
/// # Errors
/// What is wrong with it.
pub fn check_url(url: &str) -> Result<(), SettingsError> {
    Host::parse(url).map(drop)
}

impl Http {
    /// Checks the settings. Opens no connection and reads no file yet.
    pub fn new(settings: Settings) -> Result<Self, SettingsError> {
        let Settings { base_urls, roots, identity, connect_timeout, request_timeout } = settings;
        let hosts = base_urls.iter().map(|url| Host::parse(url)).collect::<Result<Vec<_>, _>>()?;
        if hosts.is_empty() {
            return Err(SettingsError::NoHost);
        }
        let records = hosts.iter().map(|_| Record::default()).collect();
        Ok(Self {
            hosts,
            connector: Connector::new(roots, identity, connect_timeout.min(request_timeout)),
            request_timeout,
            state: Mutex::new(State { first: 0, home: Instant::now(), records }),
        })
    }

    /// The longest that a call can take, over all hosts.
    pub fn deadline(&self) -> Duration {
        self.request_timeout * u32::try_from(self.hosts.len()).unwrap_or(u32::MAX)
    }

    /// When the merchant's certificate ends; none without one.
    pub fn certificate_expiry(&self) -> Option<crate::time::Timestamp> {
        self.connector.identity().map(Identity::not_after)
    }

    /// How the hosts fare.
    pub fn status(&self) -> Vec<HostStatus> {
        let first = self.first();
        let state = self.state();
        let shown = |(place, (host, record)): (usize, (&Host, &Record))| HostStatus {
            url: host.url().to_owned(),
            first: place == first,
            answered: record.answered,
            failed: record.failed,
            trouble: record.trouble.clone(),
        };
        self.hosts.iter().zip(&state.records).enumerate().map(shown).collect()
    }

    /// Carries a call out, within [`deadline`](Self::deadline).
    ///
    /// The host that worked last is asked first; the first of the list has its turn again three minutes after it failed.
    /// Another host is asked as [`SecondHost`] allows.
    pub async fn call<A: Outcome>(&self, call: Call<A>) -> A {
        let request = match call {
            Call::Send(request) => request,
            Call::NotSendable(answer) => return answer,
        };
        let Request { path, body, content_type, client_certificate, second_host, read } = request;
        // The bytes stay where the codec wrote them, and are wiped there when the last user is done.
        let post = Post { path, content_type, body: Bytes::from_owner(body), client_certificate };
        let mut worst: Option<Failure> = None;
        let began = Instant::now();
        for (turn, place) in (1..).zip(self.order()) {
            let failure = match self.ask(place, &post, self.connect_by(began, turn)).await {
                Ok(body) => return read(200, &body),
                Err(failure) => failure,
            };
            let stop = failure.may_have_left && second_host == SecondHost::IfNeverSent;
            worst = Some(match worst {
                Some(before) => before.or(failure),
                None => failure,
            });
            if stop {
                break;
            }
        }
        match worst {
            Some(Failure { cause, may_have_left: true }) => A::unknown(cause),
            Some(Failure { cause, may_have_left: false }) => A::never_sent(cause),
            None => A::never_sent(Cause::Connect),
        }
    }

    /// Opens a connection ahead of the next pay request, so that it need not wait for a handshake. Sends no request, and
    /// does nothing while [`is_warm`](Self::is_warm). A call that comes meanwhile waits for the connection instead of opening
    /// another. Failing here already moves the next call to another host.
    pub async fn warm(&self) {
        let began = Instant::now();
        for (turn, place) in (1..).zip(self.order()) {
            let host = &self.hosts[place];
            // The second of two waits for the first, and finds its connection.
            let _turn = host.warming().await;
            if host.is_warm() {
                return;
            }
            match self.connector.open(host, false, self.connect_by(began, turn)).await {
                Ok(connection) => return host.keep(connection, false),
                Err(cause) => self.failed(place, cause),
            }
        }
    }

    /// Whether the next pay request finds an open connection that was used or opened within the last ten seconds.
    pub fn is_warm(&self) -> bool {
        self.hosts[self.first()].is_warm()
    }

    /// Until when the `turn`-th host (from 1) may take to connect. The hosts share the time, so that a line that is down
    /// altogether is known to be within it; what an earlier host leaves over, the later ones have.
    fn connect_by(&self, began: Instant, turn: u32) -> Instant {
        let share = self.connector.timeout() / u32::try_from(self.hosts.len()).unwrap_or(u32::MAX);
        (began + share * turn).max(Instant::now() + share)
    }

    async fn ask(&self, place: usize, post: &Post, connect_by: Instant) -> Result<Vec<u8>, Failure> {
        let host = &self.hosts[place];
        let outcome = exchange::ask(&self.connector, host, post, connect_by, self.request_timeout).await;
        match &outcome {
            Ok(_) => self.answered(place),
            // Nothing that the host did.
            Err(Failure { cause: Cause::ClientCertificate, may_have_left: false }) => {}
            Err(failure) => self.failed(place, failure.cause.clone()),
        }
        outcome
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn first(&self) -> usize {
        let mut state = self.state();
        if state.first != 0 && state.home <= Instant::now() {
            state.first = 0;
        }
        state.first
    }

    fn order(&self) -> impl Iterator<Item = usize> + use<> {
        let (first, count) = (self.first(), self.hosts.len());
        (0..count).map(move |n| (first + n) % count)
    }

    fn answered(&self, place: usize) {
        let mut state = self.state();
        state.first = place;
        let record = &mut state.records[place];
        record.answered += 1;
        record.trouble = None;
    }

    fn failed(&self, place: usize, cause: Cause) {
        let mut state = self.state();
        if state.first == place {
            state.first = (place + 1) % self.hosts.len();
        }
        if place == 0 {
            state.home = Instant::now() + LEFT_ALONE;
        }
        let record = &mut state.records[place];
        record.failed += 1;
        record.trouble = Some(cause);
    }
}

#[cfg(test)]
mod tests;
