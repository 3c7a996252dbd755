//! One POST to one host and its whole answer, within one deadline for all of it.

use std::error::Error;
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HOST, HeaderValue, USER_AGENT};
use hyper::{Method, Response, StatusCode};
use tokio::time::{Instant, timeout_at};

use super::host::{Connector, Host};
use super::metered::TOO_MUCH;
use crate::gateway::LARGEST_ANSWER;
use crate::payment::Cause;

/// What is sent to each host that is asked.
pub struct Post {
    pub path: &'static str,
    pub content_type: &'static str,
    pub body: Bytes,
    pub client_certificate: bool,
}

/// Why there is no answer.
pub struct Failure {
    pub cause: Cause,
    /// False only if no byte of the request can have left this machine.
    pub may_have_left: bool,
}

impl Failure {
    fn unsent(cause: Cause) -> Self {
        Self { cause, may_have_left: false }
    }

    fn sent(cause: Cause) -> Self {
        Self { cause, may_have_left: true }
    }

    /// What to tell of two hosts: that it may have left, then what somebody should look at, then what was first.
    pub fn or(self, later: Failure) -> Self {
        let weight = |failure: &Failure| (failure.may_have_left, failure.cause.is_suspicious());
        if weight(&later) > weight(&self) { later } else { self }
    }
}

/// Sends `post` to `host` on a connection that is open by `connect_by`, and gives the body of the answer, whose status was
/// 200.
pub async fn ask(
    connector: &Connector,
    host: &Host,
    post: &Post,
    connect_by: Instant,
    timeout: Duration,
) -> Result<Vec<u8>, Failure> {
    let deadline = Instant::now() + timeout;
    let connect_by = connect_by.min(deadline);
    let certificate = host.is_tls() && post.client_certificate;
    if certificate && connector.identity().is_none() {
        return Err(Failure::unsent(Cause::ClientCertificate));
    }
    loop {
        let mut kept = host.take(certificate).await;
        if kept.is_none() && !certificate {
            // One may just be on its way, and is further than a new one would be.
            let _ = timeout_at(connect_by, host.warming()).await;
            kept = host.take(certificate).await;
        }
        let reused = kept.is_some();
        let mut sender = match kept {
            Some(sender) => sender,
            None => connector.open(host, certificate, connect_by).await.map_err(Failure::unsent)?,
        };
        let request = request(host, post).ok_or(Failure::unsent(Cause::Field("body")))?;
        let response = match timeout_at(deadline, sender.try_send_request(request)).await {
            Ok(Ok(response)) => response,
            Ok(Err(mut error)) => match error.take_message() {
                None => return Err(Failure::sent(lost(error.error()))),
                // Handed back: not a byte of it was written. On a connection that was kept, the other side had hung up in
                // the meantime, and a fresh one may do.
                Some(_) if reused => continue,
                Some(_) => return Err(Failure::unsent(Cause::Connect)),
            },
            Err(_) => return Err(Failure::sent(Cause::Timeout)),
        };
        let body = match timeout_at(deadline, whole(response)).await {
            Ok(body) => body.map_err(Failure::sent)?,
            Err(_) => return Err(Failure::sent(Cause::Timeout)),
        };
        host.keep(sender, certificate);
        return Ok(body);
    }
}

pub(super) fn request(host: &Host, post: &Post) -> Option<hyper::Request<Full<Bytes>>> {
    const NAME: HeaderValue = HeaderValue::from_static(concat!("micropayd/", env!("CARGO_PKG_VERSION")));
    hyper::Request::builder()
        .method(Method::POST)
        .uri(post.path)
        .header(HOST, host.authority())
        .header(USER_AGENT, NAME)
        .header(CONTENT_TYPE, HeaderValue::from_static(post.content_type))
        .body(Full::new(post.body.clone()))
        .ok()
}

/// Reads an answer to its end. Dropping it on the way out closes the connection.
async fn whole(response: Response<Incoming>) -> Result<Vec<u8>, Cause> {
    if response.status() != StatusCode::OK {
        return Err(Cause::HttpStatus(response.status().as_u16()));
    }
    let mut body = response.into_body();
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if announced > LARGEST_ANSWER {
        return Err(Cause::TooLarge);
    }
    let mut bytes = Vec::with_capacity(announced);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| lost(&error))?;
        let Some(piece) = frame.data_ref() else { continue };
        if bytes.len() + piece.len() > LARGEST_ANSWER {
            return Err(Cause::TooLarge);
        }
        bytes.extend_from_slice(piece);
    }
    Ok(bytes)
}

/// What a connection died of after the request had begun.
pub(super) fn lost(error: &hyper::Error) -> Cause {
    if error.is_parse_too_large() {
        return Cause::TooLarge;
    }
    if error.is_parse() {
        return Cause::Malformed;
    }
    let mut deeper = error.source();
    while let Some(source) = deeper {
        if source.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == TOO_MUCH) {
            return Cause::TooLarge;
        }
        if let Some(rustls::Error::AlertReceived(alert)) = tls_error(source) {
            use rustls::AlertDescription as Alert;
            // With TLS 1.3 a certificate is found wanting only after the request was written.
            if matches!(
                alert,
                Alert::CertificateRequired
                    | Alert::BadCertificate
                    | Alert::CertificateExpired
                    | Alert::CertificateRevoked
                    | Alert::CertificateUnknown
                    | Alert::UnknownCA
                    | Alert::AccessDenied
            ) {
                return Cause::ClientCertificate;
            }
        }
        deeper = source.source();
    }
    Cause::ConnectionLost
}

/// The TLS error in an I/O error, which does not count it among its sources.
fn tls_error<'e>(error: &'e (dyn Error + 'static)) -> Option<&'e rustls::Error> {
    let inside = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
    inside.and_then(|inside| inside.downcast_ref()).or_else(|| error.downcast_ref())
}
