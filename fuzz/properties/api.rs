//! Requests to the API, after HTTP was read: nothing reaches the loop that the body does not say, for a request that came
//! by one of our names from no other page; every answer is whole, and no payment code comes back.

use std::cell::RefCell;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::http::{Request, header};
use axum::middleware::from_fn;
use http_body_util::BodyExt;
use micropayd::api::guard::Guard;
use micropayd::api::{Shop, router};
use micropayd::ids::SaleId;
use micropayd::input::{Command, Input, Opened, Refused, Status};
use micropayd::payment::{Payment, Policy};
use micropayd::sale::{Filter, LifeStep, Page, ReceiptState, Records, RecordsError, Sale, Totals};
use micropayd::time::Day;
use serde_json::Value;
use tokio::runtime::Runtime;
use tokio::sync::{broadcast, mpsc, watch};
use tower::ServiceExt;

use super::merchant::NOW;
use super::{has_digits, head, part};

const METHODS: [&str; 8] = ["POST", "GET", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "QUERY"];
const MEDIA: [&str; 4] =
    ["application/json", "text/plain", "application/json; charset=utf-8", "multipart/form-data"];
const HOSTS: [&str; 6] =
    ["127.0.0.1:7780", "localhost", "[::1]:7780", "shop.example", "192.168.1.5", "127.0.0.1.example"];
const ORIGINS: [&str; 4] = ["http://127.0.0.1:7780", "http://localhost", "http://shop.example", "null"];

/// What reached the loop.
#[derive(Debug)]
enum Reached {
    Open(u32, Option<String>, Option<String>, bool),
    Scan,
    Other,
}

pub struct Till {
    pub runtime: Runtime,
    pub router: Router,
    reached: Arc<Mutex<Vec<Reached>>>,
    _stop: watch::Sender<bool>,
}

thread_local! {
    static TILL: RefCell<Option<Till>> = const { RefCell::new(None) };
}

/// Four bytes of choices (method and media type, host, origin, key), the target with its length before it, the body.
pub fn holds(mut data: &[u8]) {
    let [method, host, origin, key] = head(&mut data);
    let target = String::from_utf8_lossy(part(&mut data)).into_owned();
    // An open event stream and a wait for an end that nobody brings are honest, and long.
    if target.starts_with("/v1/events") || target.contains("wait") || target.contains('%') {
        return;
    }
    let mut request = Request::builder().method(METHODS[usize::from(method & 7)]).uri(&target);
    if method & 8 == 0 {
        request = request.header(header::CONTENT_TYPE, MEDIA[usize::from(method >> 4 & 3)]);
    }
    let host = (host & 0x80 == 0).then(|| HOSTS[usize::from(host) % HOSTS.len()]);
    let origin = (origin & 0x80 != 0).then(|| ORIGINS[usize::from(origin) % ORIGINS.len()]);
    if let Some(host) = host {
        request = request.header(header::HOST, host);
    }
    if let Some(origin) = origin {
        request = request.header(header::ORIGIN, origin);
    }
    if key & 1 == 0 {
        request = request.header("idempotency-key", "K1");
    }
    let Ok(request) = request.body(Body::from(data.to_vec())) else { return };
    let posted = request.method() == "POST";
    let path = request.uri().path().to_owned();
    TILL.with_borrow_mut(|till| {
        let till = till.get_or_insert_with(|| Till::open(true));
        let (status, media, body) = till.answer(request);
        whole(status, &media, &body, &[target.as_bytes(), data].concat());
        for reached in till.reached.lock().expect("one thread").drain(..) {
            assert!(host.is_some_and(is_ours), "{host:?} reached the loop: {reached:?}");
            assert!(
                origin.is_none_or(|origin| origin.rsplit('/').next() == host),
                "{origin:?} reached the loop: {reached:?}"
            );
            if !matches!(reached, Reached::Other) {
                assert!(posted, "only a POST acts");
                said(&reached, &path, data);
            }
        }
    });
}

/// Whether a body, read by somebody else, says what reached the loop.
fn said(reached: &Reached, path: &str, body: &[u8]) {
    let value: Value = serde_json::from_slice(body).expect("only JSON acts");
    let object = value.as_object().expect("only an object acts");
    let text = |name: &str| object.get(name).and_then(Value::as_str).map(str::to_owned);
    let is_code = |name: &str| {
        text(name)
            .is_some_and(|code| (16..=24).contains(&code.len()) && code.bytes().all(|b| b.is_ascii_digit()))
    };
    match reached {
        Reached::Open(fen, reference, subject, with_code) => {
            assert_eq!(path, "/v1/payments");
            assert!(
                object
                    .keys()
                    .all(|name| ["amount", "reference", "subject", "auth_code"].contains(&name.as_str()))
            );
            assert_eq!(object.get("amount").and_then(Value::as_u64), Some(u64::from(*fen)));
            assert_eq!((&text("reference"), &text("subject")), (reference, subject));
            assert_eq!(is_code("auth_code"), *with_code);
        }
        Reached::Scan => {
            assert!(path == "/v1/scan" && object.len() == 1 && is_code("code"));
        }
        Reached::Other => {}
    }
}

fn is_ours(host: &str) -> bool {
    let name = host.strip_suffix(":7780").unwrap_or(host).trim_matches(['[', ']']);
    name == "localhost" || name.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// Holds for every answer: its status is one that the API knows, a problem is whole, and nothing that could be a payment
/// code comes back of what was sent.
pub fn whole(status: u16, media: &str, body: &[u8], sent: &[u8]) {
    let known =
        [200, 201, 202, 204, 400, 401, 403, 404, 405, 408, 409, 411, 413, 414, 415, 417, 422, 431, 503];
    assert!(known.contains(&status), "{status} {}", String::from_utf8_lossy(body));
    if status >= 400 && media == "application/problem+json" && !body.is_empty() {
        let problem: Value = serde_json::from_slice(body).expect("a problem is JSON");
        for name in ["type", "title", "detail", "code", "money", "retry", "help"] {
            assert!(
                problem[name].as_str().is_some_and(|text| !text.is_empty()),
                "{name} is missing in {problem}"
            );
        }
        assert_eq!(problem["status"], status);
        let text = problem.to_string();
        if has_digits(&text, 10) {
            let sent = String::from_utf8_lossy(sent);
            let runs = text.split(|c: char| !c.is_ascii_digit()).filter(|run| run.len() >= 10);
            runs.for_each(|run| assert!(!sent.contains(run), "{run} comes back in {text}"));
        }
    }
}

struct Empty;

impl Records for Empty {
    fn sale(&self, _: &SaleId) -> Result<Option<Sale>, RecordsError> {
        Ok(None)
    }
    fn by_key(&self, _: &str) -> Result<Option<Sale>, RecordsError> {
        Ok(None)
    }
    fn page(&self, _: &Filter) -> Result<Page, RecordsError> {
        Ok(Page::default())
    }
    fn life(&self, _: &SaleId) -> Result<Vec<LifeStep>, RecordsError> {
        Ok(Vec::new())
    }
    fn after(&self, _: u64, _: usize) -> Result<Vec<LifeStep>, RecordsError> {
        Ok(Vec::new())
    }
    fn newest(&self) -> Result<u64, RecordsError> {
        Ok(0)
    }
    fn totals(&self, _: Day) -> Result<Totals, RecordsError> {
        Ok(Totals::default())
    }
}

impl Till {
    /// The API over an empty journal, and in the place of the loop something that notes what reaches it.
    pub fn open(guarded: bool) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let (inbox, mut inputs) = mpsc::channel(8);
        let (notices, _) = broadcast::channel(4);
        let (stop, stopped) = watch::channel(false);
        let mut router = router(Shop {
            inbox,
            notices,
            records: Arc::new(Empty),
            clock: Arc::new(|| NOW),
            policy: Policy::default(),
            language: Default::default(),
            store_name: "朝阳门店".to_owned(),
            terminal: "T01".parse().expect("a name"),
            sandbox: true,
            receipt_text: Arc::new(|_| None),
            receipt_picture: Arc::new(|_| None),
            stop: stopped,
        });
        if guarded {
            let guard = Guard::loopback(Vec::new());
            router = router.layer(from_fn(move |request, next| guard.clone().pass(request, next)));
        }
        let reached: Arc<Mutex<Vec<Reached>>> = Arc::default();
        let noted = reached.clone();
        runtime.spawn(async move {
            while let Some(input) = inputs.recv().await {
                if let Input::Command(command) = input {
                    noted.lock().expect("one thread").push(answer(command));
                }
            }
        });
        Self { runtime, router, reached, _stop: stop }
    }

    fn answer(&self, request: Request<Body>) -> (u16, String, Vec<u8>) {
        let router = self.router.clone();
        self.runtime.block_on(async move {
            let response = router.oneshot(request).await.unwrap_or_else(|never| match never {});
            let media = response.headers().get(header::CONTENT_TYPE);
            let media = media.and_then(|media| media.to_str().ok()).unwrap_or_default().to_owned();
            let status = response.status().as_u16();
            let body = response.into_body().collect().await.expect("an answer is whole").to_bytes();
            (status, media, body.to_vec())
        })
    }
}

fn answer(command: Command) -> Reached {
    match command {
        Command::Open(new, _, code, reply) => {
            let reached = Reached::Open(new.amount.fen(), new.reference, new.subject, code.is_some());
            assert_eq!(new.with_code, code.is_some());
            let _ = reply.send(if new.amount.fen() % 2 == 0 {
                Ok(Opened { sale: sale(new.amount, new.with_code), new: true })
            } else {
                Err(Refused::TooMuch)
            });
            reached
        }
        Command::Scan(_, reply) => {
            let _ = reply.send(Err(Refused::NothingToPay));
            Reached::Scan
        }
        Command::Cancel(_, reply) | Command::Check(_, reply) | Command::Reprint(_, reply) => {
            let _ = reply.send(Err(Refused::NeverSeen));
            Reached::Other
        }
        Command::Refund(_, _, _, reply) => {
            let _ = reply.send(Err(Refused::NeverSeen));
            Reached::Other
        }
        Command::Drawer(reply) => {
            let _ = reply.send(Ok(()));
            Reached::Other
        }
        Command::Status(reply) => {
            let _ = reply.send(Status { started_at: NOW, now: NOW, ..Status::default() });
            Reached::Other
        }
    }
}

fn sale(amount: micropayd::money::Amount, with_code: bool) -> Sale {
    Sale {
        refunds: Vec::new(),
        id: "T01261121000001000007".parse().expect("a name"),
        payment: Payment::new(amount, with_code, NOW, &Policy::default()),
        subject: "朝阳门店-消费".to_owned(),
        reference: None,
        gateway: "wechat".to_owned(),
        receipt: ReceiptState::None,
        copies: 0,
        created_at: NOW,
        updated_at: NOW,
    }
}
