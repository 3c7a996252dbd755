//! Who may ask: requests for this machine by its own names, from its own pages or from programs, with a token where one is due.
//!
//! A page of another site can make a cashier's browser send requests here (cross-site requests), or give its own name our
//! address (DNS rebinding). The first is told by `Origin` and `Sec-Fetch-Site`, the second by `Host`; no answer ever
//! allows another origin to read it.

use std::net::IpAddr;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Extension, Request};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};
use utoipa::ToSchema;
use zeroize::Zeroizing;

use crate::api::body::{Fields, Read, Strict, invalid};
use crate::api::problem::{self, Failure, Problem};
use crate::api::till::Well;

/// The cookie that lets a browser in; it holds the token's SHA-256 in hex, out of reach of any script.
const COOKIE: &str = "__Host-micropayd";

/// What pages may do: only what comes from here, and nothing inline.
const CONTENT_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
    connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// What one listener asks of its clients.
#[derive(Clone, Debug)]
pub struct Guard(Arc<Rules>);

#[derive(Debug)]
struct Rules {
    hosts: Hosts,
    /// SHA-256 of each token; empty where none is asked for.
    tokens: Vec<[u8; 32]>,
}

/// Which names in `Host` are ours.
#[derive(Debug)]
enum Hosts {
    /// Any: no browser reaches a Unix socket.
    Any,
    /// `localhost`, loopback addresses, and these.
    Loopback(Vec<String>),
    /// Any address, because rebinding needs a name; `localhost`, and these.
    Network(Vec<String>),
}

impl Guard {
    /// For a Unix socket: its file says who may connect.
    pub fn unix() -> Self {
        Self(Arc::new(Rules { hosts: Hosts::Any, tokens: Vec::new() }))
    }

    /// For a loopback address.
    pub fn loopback(names: Vec<String>) -> Self {
        Self(Arc::new(Rules { hosts: Hosts::Loopback(names), tokens: Vec::new() }))
    }

    /// For any other address: one of `tokens` is required.
    pub fn network(names: Vec<String>, tokens: &[Zeroizing<String>]) -> Self {
        let tokens = tokens.iter().map(|token| Sha256::digest(token.as_bytes()).into()).collect();
        Self(Arc::new(Rules { hosts: Hosts::Network(names), tokens }))
    }

    /// Lets a request pass, or says why not.
    pub async fn pass(self, mut request: Request, next: Next) -> Response {
        if let Err(failure) = self.check(&request) {
            return hardened(failure.into_response());
        }
        request.extensions_mut().insert(self);
        next.run(request).await
    }

    fn check(&self, request: &Request) -> Result<(), Failure> {
        let host = self.host(request)?;
        from_here(request, host.as_ref())?;
        let rules = &self.0;
        let open =
            matches!(request.uri().path(), "/" | "/log" | "/healthz" | "/openapi.json" | "/v1/session")
                || request.uri().path().starts_with("/console/");
        if rules.tokens.is_empty() || open || self.admits(request.headers()) {
            return Ok(());
        }
        Err(problem::UNAUTHORIZED.because("no token that this terminal knows"))
    }

    /// The `Host` of the request, which must be one of our names.
    fn host(&self, request: &Request) -> Result<Option<Authority>, Failure> {
        let (names, network) = match &self.0.hosts {
            Hosts::Any => return Ok(None),
            Hosts::Loopback(names) => (names, false),
            Hosts::Network(names) => (names, true),
        };
        let wrong = || problem::FORBIDDEN_HOST.because("the Host header is not one of this terminal's names");
        let mut hosts = request.headers().get_all(header::HOST).iter();
        let host = hosts.next().and_then(|host| host.to_str().ok()).ok_or_else(wrong)?;
        if hosts.next().is_some() || host.contains('@') {
            return Err(wrong());
        }
        let host: Authority = host.parse().map_err(|_| wrong())?;
        let ours = |host: &Authority| {
            let name = host.host();
            match name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>() {
                Ok(address) => network || address.to_canonical().is_loopback(),
                Err(_) => {
                    let same = |known: &String| known.eq_ignore_ascii_case(name);
                    name.eq_ignore_ascii_case("localhost") || names.iter().any(same)
                }
            }
        };
        let target = request.uri().authority();
        if !ours(&host) || target.is_some_and(|target| *target != host) {
            return Err(wrong());
        }
        Ok(Some(host))
    }

    /// Whether the request shows a token in `Authorization: Bearer`, else the cookie that was given for one.
    fn admits(&self, headers: &HeaderMap) -> bool {
        if let Some(authorization) = headers.get(header::AUTHORIZATION) {
            let shown = authorization.to_str().ok().and_then(|text| text.split_once(' '));
            return shown.is_some_and(|(scheme, token)| {
                scheme.eq_ignore_ascii_case("bearer") && self.knows(Sha256::digest(token.trim()).as_slice())
            });
        }
        let cookies = headers.get_all(header::COOKIE).iter().filter_map(|cookies| cookies.to_str().ok());
        let pairs = cookies.flat_map(|cookies| cookies.split(';')).filter_map(|pair| pair.split_once('='));
        let mut ours = pairs.filter(|(name, _)| name.trim() == COOKIE);
        ours.any(|(_, value)| unhex(value.trim()).is_some_and(|digest| self.knows(&digest)))
    }

    /// Whether this is the digest of one of the tokens; takes equally long for each.
    fn knows(&self, digest: &[u8]) -> bool {
        let hits = self.0.tokens.iter().map(|known| known.as_slice().ct_eq(digest));
        hits.fold(Choice::from(0), |any, hit| any | hit).into()
    }
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let pairs = text.as_bytes().chunks(2);
    pairs.map(|pair| Some(digit(*pair.first()?)? << 4 | digit(*pair.get(1)?)?)).collect()
}

/// Refuses what a page of another site made a browser send.
fn from_here(request: &Request, host: Option<&Authority>) -> Result<(), Failure> {
    let headers = request.headers();
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    if let Some(origin) = text("origin") {
        let authority = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
        if authority.is_none() || authority != host.map(Authority::as_str) {
            return Err(problem::FORBIDDEN_ORIGIN.because("the Origin header names another site"));
        }
    }
    // A link from elsewhere may open a page; nothing else may come from there.
    let reading = request.method() == Method::GET || request.method() == Method::HEAD;
    let link = reading && text("sec-fetch-mode") == Some("navigate");
    match text("sec-fetch-site") {
        None | Some("same-origin" | "none") => Ok(()),
        Some(_) if link => Ok(()),
        Some(_) => Err(problem::FORBIDDEN_ORIGIN.because("the browser says that another site asks")),
    }
}

/// A token, for the pages.
#[derive(ToSchema)]
pub(crate) struct Session {
    /// One of the tokens of `[api]`.
    #[schema(value_type = String)]
    token: Zeroizing<String>,
}

impl Read for Session {
    fn read(fields: &mut Fields) -> Result<Self, Failure> {
        let token = fields.secret("token")?;
        Ok(Self { token: token.ok_or_else(|| invalid("token", "a text", "nothing"))? })
    }
}

/// Lets a browser in where a token is required: it is given a cookie that no script can read.
#[utoipa::path(
    post, path = "/v1/session", tag = "operation", operation_id = "session",
    request_body(content = Session, content_type = "application/json"),
    responses(
        (status = 200, description = "Let in, or no token is required here", body = Well),
        (status = 401, description = "unauthorized", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn session(
    guard: Option<Extension<Guard>>,
    Strict(session): Strict<Session>,
) -> Result<Response, Failure> {
    let well = || Json(Well { status: "ok".to_owned() });
    let Some(Extension(guard)) = guard.filter(|guard| !guard.0.0.tokens.is_empty()) else {
        return Ok(well().into_response());
    };
    let digest = Sha256::digest(session.token.as_bytes());
    if !guard.knows(&digest) {
        return Err(problem::UNAUTHORIZED.because("no token that this terminal knows"));
    }
    let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    // A year: a till is let in once, by the manager.
    let cookie = format!("{COOKIE}={digest}; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age=31536000");
    Ok((StatusCode::OK, [(header::SET_COOKIE, cookie)], well()).into_response())
}

/// Headers that every answer carries.
pub(crate) async fn harden(request: Request, next: Next) -> Response {
    hardened(next.run(request).await)
}

fn hardened(mut response: Response) -> Response {
    let headers = response.headers_mut();
    for (name, value) in [
        ("content-security-policy", CONTENT_POLICY),
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        ("referrer-policy", "no-referrer"),
        ("cross-origin-resource-policy", "same-origin"),
        ("cross-origin-opener-policy", "same-origin"),
        ("cache-control", "no-store"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}
