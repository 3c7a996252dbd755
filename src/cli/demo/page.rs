//! The demo's page and its server: the customer's phone, the weather and the plug are here; everything of the shop is
//! asked of the daemon.

use std::convert::Infallible;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, Result};
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use futures_util::stream::{self, Stream, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_stream::wrappers::{BroadcastStream, IntervalStream};

use super::stage::Stage;

/// The one switch of the weather that is not the gateway's.
const LINE_DOWN: &str = "line_down";
/// How often the page hears how the stage looks.
const LOOK_EVERY: Duration = Duration::from_millis(500);

struct Demo {
    stage: Arc<Stage>,
    faults: Mutex<Vec<String>>,
    sales: AtomicU64,
}

type Shared = Arc<Demo>;

/// Serves the page until the process ends.
pub async fn serve(stage: Arc<Stage>, listener: TcpListener) -> Result<()> {
    let demo = Arc::new(Demo { stage, faults: Mutex::default(), sales: AtomicU64::new(0) });
    let app = Router::new()
        .route("/", get(|| async { asset("text/html; charset=utf-8", include_str!("page.html")) }))
        .route("/demo.css", get(|| async { asset("text/css; charset=utf-8", include_str!("page.css")) }))
        .route("/demo.js", get(|| async { asset("text/javascript; charset=utf-8", include_str!("page.js")) }))
        .route("/demo/events", get(events))
        .route("/demo/sale", post(sale))
        .route("/demo/cancel", post(cancel))
        .route("/demo/scan", post(scan))
        .route("/demo/weather", post(weather))
        .route("/demo/paper", post(paper))
        .route("/demo/kill", post(kill))
        .route("/shop/{*path}", get(shop))
        .layer(axum::middleware::from_fn(only_this_page))
        .with_state(demo);
    axum::serve(listener, app).await.context("serve the demo's page")
}

/// The demo moves play money only, but another page in the same browser shall not play with it all the same.
async fn only_this_page(request: Request, next: axum::middleware::Next) -> Response {
    let headers = request.headers();
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    let local = matches!(name, "127.0.0.1" | "localhost" | "[::1]");
    let same = headers
        .get(header::ORIGIN)
        .is_none_or(|origin| origin.as_bytes() == format!("http://{host}").as_bytes());
    if local && same { next.run(request).await } else { StatusCode::FORBIDDEN.into_response() }
}

fn asset(kind: &'static str, text: &'static str) -> Response {
    let policy = "default-src 'self'; frame-ancestors 'none'";
    ([(header::CONTENT_TYPE, kind), (header::CONTENT_SECURITY_POLICY, policy)], text).into_response()
}

/// The log as it grows, and every moment how the stage looks.
async fn events(State(demo): State<Shared>) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let (lines, follow) = demo.stage.log().follow();
    let log = stream::iter(lines)
        .chain(BroadcastStream::new(follow).filter_map(|line| async move { line.ok() }))
        .map(|line| Event::default().event("log").data(line.replace(['\r', '\n'], " ")));
    let looks = IntervalStream::new(tokio::time::interval(LOOK_EVERY)).then(move |_| {
        let demo = Arc::clone(&demo);
        async move { Event::default().event("stage").data(look(&demo).await.to_string()) }
    });
    Sse::new(stream::select(log, looks).map(Ok)).keep_alive(KeepAlive::default())
}

async fn look(demo: &Demo) -> Value {
    let purses: Vec<String> = demo
        .stage
        .gateway
        .purses()
        .iter()
        .rev()
        .take(12)
        .map(|purse| {
            let fen = purse.out_of_pocket;
            format!("顾客 customer {}: ¥{}.{:02}", purse.customer, fen / 100, fen % 100)
        })
        .collect();
    let pid = demo.stage.pid().await;
    json!({
        "console": demo.stage.console(),
        "running": pid.is_some(),
        "pid": pid,
        "paper_out": demo.stage.paper.is_empty(),
        "receipts": demo.stage.paper.sheets(),
        "faults": *demo.faults.lock().unwrap_or_else(|broken| broken.into_inner()),
        "purses": purses,
    })
}

async fn sale(State(demo): State<Shared>, Json(ask): Json<Value>) -> Result<Response, Trouble> {
    let key = format!("demo-{}-{}", std::process::id(), demo.sales.fetch_add(1, Ordering::Relaxed));
    let (status, answer) = demo.stage.sell(ask["amount"].as_u64().unwrap_or(0), &key).await?;
    Ok((StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY), Json(answer)).into_response())
}

async fn cancel(State(demo): State<Shared>, Json(ask): Json<Value>) -> Result<StatusCode, Trouble> {
    let id: String =
        ask["id"].as_str().unwrap_or_default().chars().filter(char::is_ascii_alphanumeric).collect();
    demo.stage.shop(reqwest::Method::POST, &format!("/v1/payments/{id}/cancel")).send().await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn scan(State(demo): State<Shared>, Json(ask): Json<Value>) -> Result<StatusCode, Trouble> {
    demo.stage.scan(ask["mood"].as_str().unwrap_or("pay"))?;
    Ok(StatusCode::NO_CONTENT)
}

/// Switches a fault on or off.
async fn weather(State(demo): State<Shared>, Json(ask): Json<Value>) -> Result<StatusCode, Trouble> {
    let fault = ask["fault"].as_str().unwrap_or_default().to_owned();
    let faults = {
        let mut faults = demo.faults.lock().unwrap_or_else(|broken| broken.into_inner());
        faults.retain(|known| *known != fault);
        if ask["on"] == true {
            faults.push(fault);
        }
        faults.clone()
    };
    if faults.iter().any(|fault| fault == LINE_DOWN) {
        demo.stage.line.pull().await;
    } else {
        demo.stage.line.put_in().await;
    }
    let rules: Vec<_> = faults
        .iter()
        .filter(|fault| *fault != LINE_DOWN)
        .map(|fault| match fault.as_str() {
            "recall" => ("reverse", "recall", None),
            "systemerror_paid" => ("micropay", "systemerror_paid", None),
            fault => ("any", fault, None),
        })
        .collect();
    demo.stage.set_weather(&rules)?;
    Ok(StatusCode::NO_CONTENT)
}

async fn paper(State(demo): State<Shared>, Json(ask): Json<Value>) -> StatusCode {
    demo.stage.paper.set_empty(ask["empty"] == true);
    StatusCode::NO_CONTENT
}

async fn kill(State(demo): State<Shared>) -> Result<StatusCode, Trouble> {
    demo.stage.pull_the_plug().await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Passes reading requests on to the daemon, event streams included.
async fn shop(State(demo): State<Shared>, request: Request) -> Result<Response, Trouble> {
    let path = request.uri().path_and_query().map_or("", |path| path.as_str());
    let mut ask = demo.stage.shop(reqwest::Method::GET, path.trim_start_matches("/shop"));
    if let Some(last) = request.headers().get("last-event-id").and_then(|id| id.to_str().ok()) {
        ask = ask.header("last-event-id", last);
    }
    let answer = ask.send().await?;
    let status = StatusCode::from_u16(answer.status().as_u16()).unwrap_or(StatusCode::BAD_GATEWAY);
    let kind =
        answer.headers().get("content-type").and_then(|kind| HeaderValue::from_bytes(kind.as_bytes()).ok());
    let mut response = Response::new(Body::from_stream(answer.bytes_stream()));
    *response.status_mut() = status;
    if let Some(kind) = kind {
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
    }
    Ok(response)
}

/// What went wrong, for the page.
struct Trouble(anyhow::Error);

impl<E: Into<anyhow::Error>> From<E> for Trouble {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl IntoResponse for Trouble {
    fn into_response(self) -> Response {
        let body = json!({ "title": "演示出错 the demo failed", "detail": format!("{:#}", self.0) });
        (StatusCode::BAD_GATEWAY, Json(body)).into_response()
    }
}
