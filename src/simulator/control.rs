//! The control API under `/_simulator/`: customers, purses, orders, weather, calls. Only peers on this machine may use it.

use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{get, post};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::http::Shared;
use super::mood::Mood;
use super::order::Coupon;
use super::weather::{Fault, Rule};
use super::world::Offer;
use crate::listen::Peer;

const HELP: &str = "\
micropayd simulator: WeChat Pay APIv2 with weather

the gateway
  POST /pay/micropay  /pay/orderquery  /secapi/pay/reverse  /secapi/pay/refund  /pay/refundquery  /pay/downloadbill

control, from this machine only
  POST   /_simulator/codes      {\"mood\": \"pay\", \"after\"?: seconds, \"coupon\"?: fen, \"customer\"?: n}  ->  {\"code\", \"customer\"}
  GET    /_simulator/moods
  GET    /_simulator/purses     what each customer is out of pocket for
  GET    /_simulator/orders     every order as the gateway sees it; /orders/{out_trade_no} for one
  POST   /_simulator/weather    {\"api\"?, \"fault\", \"times\"?, \"seconds\"?, \"skip\"?, \"chance\"?}, or a list of these
  GET    /_simulator/weather    what is still to come; DELETE makes it fair
  GET    /_simulator/weather/faults
  GET    /_simulator/calls      what was received, payment codes masked
";

type Shown = Result<Response, Refused>;

pub(super) fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/codes", post(new_code))
        .route("/moods", get(moods))
        .route("/purses", get(purses))
        .route("/orders", get(orders))
        .route("/orders/{number}", get(order))
        .route("/weather", get(forecast).post(add_weather).delete(clear_weather))
        .route("/weather/faults", get(faults))
        .route("/calls", get(calls))
        .layer(from_fn(local_only))
}

/// What there is; anyone may read it.
pub(super) async fn help() -> &'static str {
    HELP
}

async fn local_only(request: Request, next: Next) -> Response {
    let addr = request.extensions().get::<Peer>().and_then(|peer| peer.addr);
    match addr {
        Some(addr) if addr.ip().to_canonical().is_loopback() => next.run(request).await,
        _ => Refused(StatusCode::FORBIDDEN, "the control API answers peers on this machine only".to_owned())
            .into_response(),
    }
}

struct Refused(StatusCode, String);

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        (self.0, Json(json!({"error": self.1}))).into_response()
    }
}

fn bad(text: impl ToString) -> Refused {
    Refused(StatusCode::BAD_REQUEST, text.to_string())
}

fn read<T: for<'de> Deserialize<'de>>(body: &[u8]) -> Result<T, Refused> {
    serde_json::from_slice(body).map_err(bad)
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Coupons {
    Fee(u32),
    List(Vec<Coupon>),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewCode {
    mood: Mood,
    after: Option<f64>,
    coupon: Option<Coupons>,
    customer: Option<u32>,
}

/// What a fresh code is answered with.
#[derive(Serialize)]
struct Fresh {
    code: String,
    customer: u32,
}

async fn new_code(State(shared): State<Arc<Shared>>, body: Bytes) -> Shown {
    let NewCode { mood, after, coupon, customer } = read(&body)?;
    let after =
        after.map(Duration::try_from_secs_f64).transpose().map_err(|error| bad(format!("after: {error}")))?;
    let coupons = match coupon {
        None => Vec::new(),
        Some(Coupons::Fee(fee)) => vec![Coupon { fee, kind: Default::default() }],
        Some(Coupons::List(list)) => list,
    };
    let now = (shared.clock)();
    let (code, customer) = shared.front().world.new_code(now, mood, Offer { after, coupons, customer });
    Ok(Json(Fresh { code, customer }).into_response())
}

async fn moods() -> Json<Value> {
    let moods = Mood::ALL.iter().enumerate();
    Json(
        json!({"moods": moods.map(|(digit, mood)| json!({"mood": mood, "fixed_code": format!("15…{digit}")})).collect::<Vec<_>>()}),
    )
}

async fn purses(State(shared): State<Arc<Shared>>) -> Json<Value> {
    let now = (shared.clock)();
    Json(json!({"purses": shared.front().world.purses(now)}))
}

async fn orders(State(shared): State<Arc<Shared>>) -> Json<Value> {
    let now = (shared.clock)();
    Json(json!({"orders": shared.front().world.orders(now)}))
}

async fn order(State(shared): State<Arc<Shared>>, Path(number): Path<String>) -> Shown {
    let now = (shared.clock)();
    let order = shared.front().world.order(now, &number);
    let order = order.ok_or_else(|| Refused(StatusCode::NOT_FOUND, format!("no order {number}")))?;
    Ok(Json(order).into_response())
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Rules {
    List(Vec<Value>),
    One(Value),
}

async fn add_weather(State(shared): State<Arc<Shared>>, body: Bytes) -> Shown {
    let rules = match read(&body)? {
        Rules::List(list) => list,
        Rules::One(rule) => vec![rule],
    };
    let rules: Vec<Rule> =
        rules.into_iter().map(serde_json::from_value).collect::<Result<_, _>>().map_err(bad)?;
    if let Some(complaint) = rules.iter().find_map(Rule::complaint) {
        return Err(bad(complaint));
    }
    let now = (shared.clock)();
    for rule in rules {
        shared.front().weather.add(now, rule);
    }
    Ok(forecast(State(shared)).await.into_response())
}

async fn forecast(State(shared): State<Arc<Shared>>) -> Json<Value> {
    let now = (shared.clock)();
    Json(json!({"weather": shared.front().weather.forecast(now)}))
}

async fn clear_weather(State(shared): State<Arc<Shared>>) -> Json<Value> {
    shared.front().weather.clear();
    forecast(State(shared)).await
}

/// The faults as lines: name, where it can strike, what it does.
pub(super) fn fault_list() -> String {
    Fault::ALL.iter().fold(String::new(), |mut text, fault| {
        let apis: Vec<&str> = fault.apis().iter().filter_map(|api| api.path().rsplit('/').next()).collect();
        let apis =
            if apis.len() == super::fields::Api::ALL.len() { "any".to_owned() } else { apis.join(" ") };
        let written = writeln!(text, "{:<18} {}\n{:<18} [{apis}]", fault.name(), fault.about(), "");
        debug_assert!(written.is_ok(), "a String takes every write");
        text
    })
}

async fn faults() -> String {
    fault_list()
}

async fn calls(State(shared): State<Arc<Shared>>) -> Json<Value> {
    let front = shared.front();
    Json(json!({"calls": front.calls().collect::<Vec<_>>()}))
}
