//! Numbers for Prometheus: how the terminal is at the moment of asking, and what it was asked for since it started.

use std::time::Duration;

use axum::extract::{MatchedPath, Request, State};
use axum::http::header;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::api::Api;
use crate::api::events::FOLLOWERS_MAX;
use crate::input::{Command, ObligationKind, Status};

/// A scraper gives up after 10 s as a rule; what the loop does not say by then is left out.
const LOOP_WITHIN: Duration = Duration::from_secs(3);

type Labels = Vec<(&'static str, String)>;

/// What was asked for since the start: method, route and status.
#[derive(Clone, Default)]
pub(crate) struct Requests(Family<Labels, Counter>);

/// Counts a request by its route, never by its path: paths hold what clients make up.
pub(crate) async fn count(State(api): State<Api>, request: Request, next: Next) -> Response {
    let method = request.method().as_str().to_owned();
    let route = request.extensions().get::<MatchedPath>();
    let route = route.map_or_else(|| "none".to_owned(), |route| route.as_str().to_owned());
    let response = next.run(request).await;
    let status = response.status().as_u16();
    tracing::debug!(method, route, status, "answered");
    // Methods are what clients make up, too.
    let method = match method.as_str() {
        "GET" | "HEAD" | "POST" | "PUT" | "DELETE" | "OPTIONS" | "PATCH" => method,
        _ => "other".to_owned(),
    };
    let labels = vec![("method", method), ("route", route), ("status", status.to_string())];
    api.requests.0.get_or_create(&labels).inc();
    response
}

/// Numbers for Prometheus, as OpenMetrics text.
#[utoipa::path(
    get, path = "/metrics", tag = "operation", operation_id = "metrics",
    responses((status = 200, description = "The numbers", body = String, content_type = "application/openmetrics-text"))
)]
pub(crate) async fn metrics(State(api): State<Api>) -> Response {
    let mut registry = Registry::with_prefix("micropayd");
    let status = tokio::time::timeout(LOOP_WITHIN, api.ask(Command::Status)).await;
    let status = status.ok().and_then(Result::ok);
    gauge(
        &mut registry,
        "loop_answers",
        "Whether the payment loop answered within 3 s",
        status.is_some().into(),
    );
    if let Some(status) = &status {
        terminal(&mut registry, status);
    }
    let today = (api.shop.clock)().day();
    let read = api.read(move |records| Ok((records.newest()?, records.totals(today)?))).await;
    gauge(&mut registry, "journal_readable", "Whether the journal could be read", read.is_ok().into());
    if let Ok((newest, totals)) = read {
        gauge(&mut registry, "journal_sequence", "The newest step in the journal", signed(newest));
        let (count, fen) = (signed(totals.paid_count), signed(totals.paid_fen));
        gauge(&mut registry, "paid_today", "Payments that were paid today, Beijing time", count);
        gauge(&mut registry, "paid_today_fen", "What they came to, fen", fen);
    }
    let followers = FOLLOWERS_MAX - api.followers.available_permits();
    gauge(&mut registry, "followers", "Clients that follow the events", signed(followers as u64));
    registry.register("http_requests", "Requests that were answered", api.requests.0.clone());
    let build = Family::<Labels, Gauge>::default();
    let labels = vec![
        ("version", env!("CARGO_PKG_VERSION").to_owned()),
        ("terminal", api.shop.terminal.as_str().to_owned()),
    ];
    build.get_or_create(&labels).set(1);
    registry.register("build_info", "The program and the terminal", build);

    let mut text = String::new();
    encode(&mut text, &registry).expect("writing to a string does not fail");
    let media = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, media)], text).into_response()
}

fn terminal(registry: &mut Registry, status: &Status) {
    let ready = status.refuses_sales.is_none();
    gauge(registry, "takes_sales", "Whether a new payment would be taken", ready.into());
    if let Some((up, _)) = status.gateway {
        gauge(registry, "gateway_up", "Whether the gateway answered last time", up.into());
    }
    let devices = Family::<Labels, Gauge>::default();
    for (device, _) in &status.devices {
        let kind = format!("{:?}", device.kind).to_lowercase();
        let labels = vec![("kind", kind), ("name", device.name.clone())];
        devices.get_or_create(&labels).set(device.ready.into());
    }
    registry.register("device_ready", "Whether a device can be used", devices);

    let open = Family::<Labels, Gauge>::default();
    for (kind, name) in [
        (ObligationKind::Query, "query"),
        (ObligationKind::Reversal, "reversal"),
        (ObligationKind::Refund, "refund"),
        (ObligationKind::Receipt, "receipt"),
    ] {
        let count = status.open.iter().filter(|open| open.kind == kind).count();
        open.get_or_create(&vec![("kind", name.to_owned())]).set(signed(count as u64));
    }
    registry.register("unfinished", "Work that is not finished", open);
    let oldest = status.open.iter().map(|open| status.now.since(open.since).as_secs()).max().unwrap_or(0);
    gauge(registry, "unfinished_oldest_seconds", "Age of the oldest unfinished work", signed(oldest));
    let people = status.open.iter().filter(|open| open.next.is_none()).count();
    gauge(
        registry,
        "unfinished_needs_a_person",
        "Unfinished work that a person must look at",
        signed(people as u64),
    );

    let suspicious = Counter::<u64>::default();
    suspicious.inc_by(status.suspicious_answers);
    registry.register("suspicious_answers", "Answers that were not authentic or not about us", suspicious);
    if let Some(end) = status.certificate_ends {
        gauge(
            registry,
            "certificate_ends_timestamp_seconds",
            "When the certificate for reversals ends",
            end.0 / 1000,
        );
    }
    let started = status.started_at.0 / 1000;
    gauge(registry, "start_timestamp_seconds", "When the terminal started", started);
}

fn gauge(registry: &mut Registry, name: &str, help: &str, value: i64) {
    let gauge = Gauge::<i64>::default();
    gauge.set(value);
    registry.register(name, help.trim_end_matches('.'), gauge);
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
