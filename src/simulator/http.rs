//! Deliveries over HTTP: reads a request, asks the counter, and carries out what it says, broken lines included.

use std::convert::Infallible;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::Response;
use axum::routing::get;
use futures_util::stream::{self, Stream, StreamExt};
use rustls::pki_types::CertificateDer;
use tokio::time::sleep;

use super::fields::Api;
use super::front::{Answer, Certificate, Delivery, Front, Manner, nginx, protocol};
use super::{Clock, control};
use crate::listen::{Hangup, Peer};

/// Bytes of a request's body.
const MOST: usize = 64 * 1024;
/// What follows a huge answer.
const HUGE: usize = 300 * 1024 * 1024;
/// Long enough for what was already written to leave, before the connection breaks.
const FLUSH: Duration = Duration::from_millis(50);

/// What every handler has.
pub(super) struct Shared {
    pub front: Mutex<Front>,
    pub clock: Clock,
    /// The certificate that must be shown; none over plain HTTP.
    pub merchant: Option<CertificateDer<'static>>,
}

impl Shared {
    pub fn front(&self) -> MutexGuard<'_, Front> {
        self.front.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/_simulator/", get(control::help))
        .nest("/_simulator", control::routes())
        .fallback(gateway)
        .with_state(shared)
}

async fn gateway(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let Some(api) = Api::at(parts.uri.path()) else {
        return page(StatusCode::NOT_FOUND, "404 Not Found");
    };
    if parts.method != Method::POST {
        return whole(Answer::xml(&protocol(api, "请使用post方法")));
    }
    let Ok(body) = axum::body::to_bytes(body, MOST).await else {
        return page(StatusCode::PAYLOAD_TOO_LARGE, "413 Request Entity Too Large");
    };
    let shown = parts.extensions.get::<Peer>().and_then(|peer| peer.client_cert.as_ref());
    let certificate = match (&shared.merchant, shown) {
        (None, _) => Certificate::NotAsked,
        (Some(_), None) => Certificate::Absent,
        (Some(merchant), Some(shown)) if merchant == shown => Certificate::Ours,
        (Some(_), Some(_)) => Certificate::Foreign,
    };
    let now = (shared.clock)();
    let delivery = shared.front().call(now, api, &body, certificate);
    match delivery {
        Delivery::Answer(answer) => deliver(answer, api).await,
        Delivery::Hangup => hangup(Bytes::new()),
        Delivery::Raw(bytes) => hangup(bytes.into()),
        Delivery::Never => std::future::pending().await,
    }
}

fn hangup(bytes: Bytes) -> Response {
    let mut response = Response::new(Body::empty());
    response.extensions_mut().insert(Hangup(bytes));
    response
}

async fn deliver(answer: Answer, api: Api) -> Response {
    let redirect = (300..400).contains(&answer.status);
    let mut response = match answer.manner {
        Manner::Whole => whole(answer),
        Manner::After(late) => {
            sleep(late).await;
            whole(answer)
        }
        Manner::Cut => {
            let length = answer.body.len();
            let half = Bytes::copy_from_slice(&answer.body[..length / 2]);
            let first = stream::once(async { Ok::<_, io::Error>(half) });
            let then = stream::once(async {
                sleep(FLUSH).await;
                Err(io::Error::other("cut on purpose"))
            });
            streamed(answer, length, first.chain(then))
        }
        Manner::Drip => {
            let bytes = stream::iter(answer.body.clone()).then(|byte| async move {
                sleep(Duration::from_secs(1)).await;
                Ok::<_, Infallible>(Bytes::copy_from_slice(&[byte]))
            });
            let length = answer.body.len();
            streamed(answer, length, bytes)
        }
        Manner::Huge => {
            const BLANKS: &[u8] = &[b' '; 64 * 1024];
            let body = Bytes::copy_from_slice(&answer.body);
            let blanks = stream::iter((0..HUGE / BLANKS.len()).map(|_| Bytes::from_static(BLANKS)));
            let length = body.len() + HUGE / BLANKS.len() * BLANKS.len();
            streamed(answer, length, stream::iter([body]).chain(blanks).map(Ok::<_, Infallible>))
        }
    };
    if redirect {
        response.headers_mut().insert(header::LOCATION, HeaderValue::from_static(api.path()));
    }
    response
}

fn streamed<E>(
    answer: Answer,
    length: usize,
    body: impl Stream<Item = Result<Bytes, E>> + Send + 'static,
) -> Response
where
    E: Into<axum::BoxError> + 'static,
{
    let mut response = whole(Answer { body: Vec::new(), ..answer });
    *response.body_mut() = Body::from_stream(body);
    response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    response
}

fn whole(answer: Answer) -> Response {
    let mut response = Response::new(Body::from(answer.body));
    *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::OK);
    let headers: &mut HeaderMap = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(answer.content_type));
    headers.insert(header::SERVER, HeaderValue::from_static("nginx"));
    response
}

fn page(status: StatusCode, title: &str) -> Response {
    whole(Answer::text(status.as_u16(), "text/html", nginx(title, title, "")))
}
