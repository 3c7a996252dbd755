//! Server-sent events: every step of every payment, once and in order, from the journal where the client left off.
//!
//! A follower is told first how the devices and the gateway are, then the steps after its `Last-Event-ID`, then whatever
//! happens. Ids are the journal's sequence numbers. A follower that reads too slowly loses nothing: what the channel
//! dropped is read from the journal.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, Uri, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde::{Deserialize, Serialize};
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::broadcast::{self, error::RecvError};
use tokio::sync::watch;
use utoipa::ToSchema;

use crate::api::Api;
use crate::api::body::Fields;
use crate::api::problem::{self, Failure, Problem};
use crate::api::till::{self, Device, Gateway, Line};
use crate::api::view::Payment;
use crate::input::{Command, Notice};
use crate::payment::cashier::Language;
use crate::sale::Sale;
use crate::time::Timestamp;

/// Followers at the same time; each holds a connection and a place in the channel.
pub(crate) const FOLLOWERS_MAX: usize = 32;

/// A comment this often keeps proxies from closing the stream, and tells the client that it still stands.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// How soon a browser comes back after the stream broke.
const COME_BACK_AFTER: Duration = Duration::from_secs(1);

/// Steps that are read from the journal at a time.
const STEPS_AT_A_TIME: usize = 100;

/// A sentence for the cashier outside of any payment; data of `event: remark`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Remark {
    /// `scan_refused`, `already_in_progress`, …
    pub code: String,
    /// The sentence.
    pub text: String,
}

/// What happens at the till, as it happens (`text/event-stream`).
///
/// `event: payment` carries a Payment, `event: device` a Device, `event: gateway` a Gateway, `event: remark` a Remark.
/// The id of a payment event is the journal's sequence number; send the last one as `Last-Event-ID` to go on from there
/// without a gap. Events without an id are states, not steps: all current ones are sent at the start.
#[utoipa::path(
    get, path = "/v1/events", tag = "till", operation_id = "events",
    params(
        ("Last-Event-ID" = Option<u64>, Header, description = "Go on after this event; without it, only what is new is sent"),
        ("lang" = Option<crate::api::view::LangName>, Query, description = "Language of the cashier's sentences: zh-CN or en"),
    ),
    responses(
        (status = 200, description = "The stream", content((Payment = "text/event-stream"))),
        (status = 503, description = "too_many_followers", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn events(
    State(api): State<Api>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let mut query = Fields::of_query(&uri)?;
    let language = api.language(&mut query)?;
    query.end_query()?;
    let wanted = match headers.get("last-event-id") {
        None => None,
        Some(id) => {
            let id = id.to_str().ok().and_then(|id| id.parse::<u64>().ok());
            Some(id.ok_or_else(|| {
                problem::INVALID_HEADER
                    .because("Last-Event-ID: expected the id of an event")
                    .field("Last-Event-ID")
            })?)
        }
    };
    let place = Arc::clone(&api.followers).try_acquire_owned();
    let place = place
        .map_err(|_| problem::TOO_MANY.because(format!("expected at most {FOLLOWERS_MAX} followers")))?;

    // First the channel, then the journal: a step in between is in both, and told once because of its number.
    let notices = api.shop.notices.subscribe();
    let newest = api.read(|records| records.newest()).await?;
    // A journal restored from a backup is behind what the client has seen; its next step must not be taken for an old one.
    let last = wanted.unwrap_or(newest).min(newest);
    let follower = Follower {
        behind: last < newest,
        stop: api.shop.stop.clone(),
        notices,
        language,
        last,
        ready: VecDeque::from([Event::default().retry(COME_BACK_AFTER)]),
        states_due: true,
        api,
        _place: place,
    };
    let stream = stream::unfold(follower, |mut follower| async move {
        let event = follower.next().await?;
        Some((Ok::<_, Infallible>(event), follower))
    });
    let heartbeat = KeepAlive::new().interval(HEARTBEAT).text("still here");
    let mut response = Sse::new(stream).keep_alive(heartbeat).into_response();
    response.headers_mut().insert("x-accel-buffering", header::HeaderValue::from_static("no"));
    Ok(response)
}

/// One client that follows.
struct Follower {
    api: Api,
    language: Language,
    notices: broadcast::Receiver<Notice>,
    stop: watch::Receiver<bool>,
    /// The newest step that it was told.
    last: u64,
    /// Whether the journal holds steps that it was not told.
    behind: bool,
    /// Whether it is to be told how devices and gateway are.
    states_due: bool,
    /// What it is told next.
    ready: VecDeque<Event>,
    _place: OwnedSemaphorePermit,
}

impl Follower {
    /// The next event; `None` when the process ends or the journal cannot be read: the client comes back with its id.
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(event);
            }
            if *self.stop.borrow() {
                return None;
            }
            if self.states_due {
                self.states_due = false;
                self.states().await;
            } else if self.behind {
                self.catch_up().await?;
            } else {
                let notice = tokio::select! {
                    notice = self.notices.recv() => notice,
                    _ = self.stop.wait_for(|stop| *stop) => return None,
                };
                match notice {
                    Ok(notice) => self.take(notice).await?,
                    Err(RecvError::Lagged(_)) => (self.behind, self.states_due) = (true, true),
                    Err(RecvError::Closed) => return None,
                }
            }
        }
    }

    async fn take(&mut self, notice: Notice) -> Option<()> {
        match notice {
            Notice::Sale(None, sale) => self.tell_payment(None, &sale, self.now()),
            Notice::Sale(Some(sequence), _) if sequence <= self.last => {}
            Notice::Sale(Some(sequence), sale) => {
                if sequence > self.last + 1 {
                    self.behind = true;
                    while self.behind {
                        self.catch_up().await?;
                    }
                }
                if sequence > self.last {
                    self.last = sequence;
                    self.tell_payment(Some(sequence), &sale, self.now());
                }
            }
            Notice::Device(device) => self.tell("device", None, &Device::from(&device)),
            Notice::Gateway(up, words) => {
                let line = if up { Line::Up } else { Line::Down };
                self.tell("gateway", None, &Gateway { line, since: None, trouble: words });
            }
            Notice::Remark(remark) => {
                self.tell("remark", None, &Remark { code: remark.code.to_owned(), text: remark.text });
            }
        }
        Some(())
    }

    /// Reads the next steps from the journal.
    async fn catch_up(&mut self) -> Option<()> {
        let last = self.last;
        let steps = self.api.read(move |records| records.after(last, STEPS_AT_A_TIME)).await.ok()?;
        self.behind = steps.len() == STEPS_AT_A_TIME;
        let newest = steps.last().map(|step| step.sequence).filter(|_| !self.behind);
        for step in steps {
            self.last = step.sequence;
            // What was told then; the newest is told as of now, for it may still be so.
            let now = if newest == Some(step.sequence) { self.now() } else { step.at };
            self.tell_payment(Some(step.sequence), &step.sale, now);
        }
        Some(())
    }

    /// How devices and gateway are now. A loop that does not answer has other ways to say so.
    async fn states(&mut self) {
        if let Ok(status) = self.api.ask(Command::Status).await {
            for device in till::devices(&status) {
                self.tell("device", None, &device);
            }
            self.tell("gateway", None, &till::gateway(&status));
        }
    }

    fn now(&self) -> Timestamp {
        (self.api.shop.clock)()
    }

    fn tell_payment(&mut self, sequence: Option<u64>, sale: &Sale, now: Timestamp) {
        let payment = Payment::of(sale, now, &self.api.shop.policy, self.language);
        self.tell("payment", sequence, &payment);
    }

    fn tell(&mut self, name: &str, sequence: Option<u64>, data: &impl Serialize) {
        let data = serde_json::to_string(data).expect("our own types have only text keys");
        let event = Event::default().event(name).data(data);
        self.ready.push_back(match sequence {
            Some(sequence) => event.id(sequence.to_string()),
            None => event,
        });
    }
}
