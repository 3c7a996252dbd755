//! A shop in memory: answers the loop's commands and the journal's questions, so that the protocol can be tried alone.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, StatusCode, header};
use http_body_util::BodyExt;
use serde_json::Value;
use tokio::sync::{broadcast, mpsc, watch};
use tower::ServiceExt;

use crate::api::{Shop, router};
use crate::ids::{CodeHint, PaymentCode, SaleId};
use crate::input::{Command, Input, Notice, Opened, Refunding, Refused, Status};
use crate::journal;
use crate::money::Amount;
use crate::payment::{Payment, Phase, Policy, Proof};
use crate::refund::Refund;
use crate::sale::{
    Filter, LifeStep, NewRefund, NewSale, Page, ReceiptState, Records, RecordsError, Sale, Totals,
};
use crate::time::{Day, Timestamp};

/// 2026-11-21T19:38:31+08:00.
pub const NOW: Timestamp = Timestamp(1_795_261_111_000);

/// A code that must never come back out.
pub const CODE: &str = "134567890123458406";

/// The journal of the test shop.
#[derive(Default)]
pub struct Book {
    pub steps: Vec<LifeStep>,
    pub keys: Vec<(String, String, SaleId)>,
    pub broken: bool,
}

/// The shop, from both sides.
pub struct Till {
    pub router: Router,
    pub book: Arc<Mutex<Book>>,
    pub notices: broadcast::Sender<Notice>,
    pub stop: watch::Sender<bool>,
}

impl Records for Mutex<Book> {
    fn sale(&self, id: &SaleId) -> Result<Option<Sale>, RecordsError> {
        let book = self.read()?;
        Ok(book.steps.iter().rev().find(|step| step.sale.id == *id).map(|step| step.sale.clone()))
    }
    fn by_key(&self, key: &str) -> Result<Option<Sale>, RecordsError> {
        let id = self.read()?.keys.iter().find(|(known, ..)| known == key).map(|(.., id)| id.clone());
        id.map_or(Ok(None), |id| self.sale(&id))
    }
    fn page(&self, filter: &Filter) -> Result<Page, RecordsError> {
        let ids: Vec<_> = self.read()?.keys.iter().map(|(.., id)| id.clone()).collect();
        let mut sales = Vec::new();
        for (number, id) in (1u64..).zip(ids).collect::<Vec<_>>().into_iter().rev() {
            let sale = self.sale(&id)?.unwrap();
            let fits = filter.before.is_none_or(|before| number < before)
                && filter.phase.is_none_or(|phase| sale.payment.phase() == phase)
                && (filter.reference.is_none() || filter.reference == sale.reference);
            if fits && sales.len() == filter.limit {
                return Ok(Page { sales, next: Some(number + 1) });
            }
            if fits {
                sales.push(sale);
            }
        }
        Ok(Page { sales, next: None })
    }
    fn life(&self, id: &SaleId) -> Result<Vec<LifeStep>, RecordsError> {
        Ok(self.read()?.steps.iter().filter(|step| step.sale.id == *id).cloned().collect())
    }
    fn after(&self, sequence: u64, limit: usize) -> Result<Vec<LifeStep>, RecordsError> {
        let book = self.read()?;
        Ok(book.steps.iter().filter(|step| step.sequence > sequence).take(limit).cloned().collect())
    }
    fn newest(&self) -> Result<u64, RecordsError> {
        Ok(self.read()?.steps.len() as u64)
    }
    fn totals(&self, _day: Day) -> Result<Totals, RecordsError> {
        self.read().map(|_| Totals {
            paid_count: 3,
            paid_fen: 3750,
            coupon_fen: 100,
            refund_count: 1,
            refund_fen: 500,
        })
    }
}

trait ReadBook {
    fn read(&self) -> Result<std::sync::MutexGuard<'_, Book>, RecordsError>;
}

impl ReadBook for Mutex<Book> {
    fn read(&self) -> Result<std::sync::MutexGuard<'_, Book>, RecordsError> {
        let book = self.lock().unwrap();
        if book.broken { Err(RecordsError("disk I/O error".to_owned())) } else { Ok(book) }
    }
}

impl Till {
    /// A shop with a loop that answers.
    pub fn open() -> Self {
        let (inbox, mut inputs) = mpsc::channel(8);
        let (notices, _) = broadcast::channel(16);
        let (stop, stopped) = watch::channel(false);
        let book: Arc<Mutex<Book>> = Arc::default();
        let router = router(Shop {
            inbox,
            notices: notices.clone(),
            records: book.clone(),
            clock: Arc::new(|| NOW),
            policy: Policy::default(),
            language: Default::default(),
            store_name: "朝阳门店".to_owned(),
            terminal: "T01".parse().unwrap(),
            sandbox: true,
            receipt_text: Arc::new(|sale| sale.payment.paid().map(|_| format!("{} 12.50\n", sale.subject))),
            receipt_picture: Arc::new(|sale| sale.payment.paid().map(|_| b"\x89PNG".to_vec())),
            stop: stopped,
        });
        let till = Self { router, book, notices, stop };
        let (book, notices) = (till.book.clone(), till.notices.clone());
        tokio::spawn(async move {
            while let Some(Input::Command(command)) = inputs.recv().await {
                answer(&book, &notices, command);
            }
        });
        till
    }

    /// Keeps a step of a sale and tells everybody.
    pub fn step(&self, id: &str, event: &str, change: impl FnOnce(&mut Sale)) {
        let mut sale = self.book.sale(&id.parse().unwrap()).unwrap().unwrap();
        change(&mut sale);
        keep(&self.book, &self.notices, sale, event);
    }

    /// The customer pays.
    pub fn paid(&self, id: &str) {
        self.step(id, "paid", |sale| {
            sale.receipt = ReceiptState::Queued;
            sale.copies = 1;
            sale.payment.attempts[0].hint = CodeHint::from_digits("8406");
            sale.payment.attempts[0].phase = Phase::Paid(Proof {
                gateway_txn: "4200000000202611210000000000".to_owned(),
                paid_at: NOW,
                payer_paid: sale.payment.amount.fen() - 1,
                coupon: 1,
            });
        });
    }

    /// Asks, with a JSON body if there is one.
    pub async fn call(&self, method: &str, uri: &str, headers: &[(&str, &str)], body: Option<&str>) -> Reply {
        let mut request = Request::builder().method(method).uri(uri);
        if body.is_some() && !headers.iter().any(|(name, _)| *name == "content-type") {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let body = body.map_or(Body::empty(), |body| Body::from(body.to_owned()));
        self.send(request.body(body).unwrap()).await
    }

    pub async fn send(&self, request: Request<Body>) -> Reply {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        let body = response.into_body().collect().await.unwrap().to_bytes().to_vec();
        Reply { status, headers, body }
    }

    pub async fn get(&self, uri: &str) -> Reply {
        self.call("GET", uri, &[], None).await
    }

    pub async fn post(&self, uri: &str, key: &str, body: &str) -> Reply {
        self.call(Method::POST.as_str(), uri, &[("idempotency-key", key)], Some(body)).await
    }
}

/// An answer, whole.
pub struct Reply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Reply {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// Status, code, money and retry of a problem, which must be whole.
    pub fn problem(&self) -> (u16, String, String, String) {
        assert_eq!(self.header("content-type"), "application/problem+json", "{}", self.text());
        let json = self.json();
        let text = |name: &str| {
            let text = json[name].as_str().unwrap_or_else(|| panic!("{name} is missing in {json}"));
            assert!(!text.is_empty(), "{name} is empty in {json}");
            text.to_owned()
        };
        for name in ["type", "title", "detail", "help"] {
            text(name);
        }
        assert_eq!(json["status"], self.status.as_u16());
        (self.status.as_u16(), text("code"), text("money"), text("retry"))
    }
}

fn keep(book: &Mutex<Book>, notices: &broadcast::Sender<Notice>, sale: Sale, event: &str) {
    let mut book = book.lock().unwrap();
    let sequence = book.steps.len() as u64 + 1;
    book.steps.push(LifeStep { sequence, at: NOW, event: event.to_owned(), sale: sale.clone() });
    let _ = notices.send(Notice::Sale(Some(sequence), Box::new(sale)));
}

fn in_hand(book: &Arc<Mutex<Book>>) -> Option<Sale> {
    let page = book.page(&Filter { limit: 1000, ..Filter::default() }).ok()?;
    page.sales.into_iter().find(|sale| sale.payment.holds_lane())
}

fn answer(book: &Arc<Mutex<Book>>, notices: &broadcast::Sender<Notice>, command: Command) {
    let find = |id: &SaleId| book.sale(id).unwrap().ok_or(Refused::NeverSeen);
    match command {
        Command::Open(new, key, code, reply) => {
            let _ = reply.send(open(book, notices, new, key, code));
        }
        Command::Scan(code, reply) => {
            let _ = reply.send(match in_hand(book) {
                None => Err(Refused::NothingToPay),
                Some(mut sale) => {
                    sale.payment.attempts.last_mut().unwrap().hint = Some(code.hint());
                    keep(book, notices, sale.clone(), "code …8406");
                    Ok(sale)
                }
            });
        }
        Command::Cancel(id, reply) => {
            let _ = reply.send(find(&id).and_then(|mut sale| match sale.payment.phase().is_final() {
                true => Err(Refused::NotNow("payment is paid already".to_owned())),
                false => {
                    sale.payment.attempts.last_mut().unwrap().phase = Phase::Void;
                    keep(book, notices, sale.clone(), "cancelled");
                    Ok(sale)
                }
            }));
        }
        Command::Check(id, reply) => {
            let _ = reply.send(find(&id));
        }
        Command::Refund(id, new, key, reply) => {
            let _ = reply.send(find(&id).and_then(|sale| refund(book, notices, sale, new, &key)));
        }
        Command::Reprint(id, reply) => {
            let _ = reply.send(find(&id).and_then(|mut sale| match sale.payment.paid() {
                None => Err(Refused::NotNow("payment is not paid".to_owned())),
                Some(_) => {
                    sale.copies += 1;
                    keep(book, notices, sale.clone(), "reprint");
                    Ok(sale)
                }
            }));
        }
        Command::Drawer(reply) => {
            let _ = reply.send(Ok(()));
        }
        Command::Status(reply) => {
            let in_hand = in_hand(book).map(|sale| sale.id);
            let _ = reply.send(Status { in_hand, started_at: NOW, now: NOW, ..Status::default() });
        }
    }
}

fn refund(
    book: &Arc<Mutex<Book>>,
    notices: &broadcast::Sender<Notice>,
    mut sale: Sale,
    new: NewRefund,
    key: &str,
) -> Result<Refunding, Refused> {
    let key = journal::refund_key(key, &new.fingerprint());
    let mut known = sale.refunds.iter().zip(1..).filter(|(refund, _)| refund.key.key == key.key);
    if let Some((known, ordinal)) = known.next() {
        return match known.key == key {
            true => Ok(Refunding { sale, ordinal, new: false }),
            false => Err(Refused::KeyReused(sale.id)),
        };
    }
    if sale.payment.paid().is_none() {
        return Err(Refused::NotNow("payment is not paid".to_owned()));
    }
    if new.amount.fen() > sale.refundable() {
        return Err(Refused::RefundTooMuch(sale.refundable()));
    }
    if new.amount.fen() > 100_000 {
        return Err(Refused::RefundLimit(Amount::from_fen(100_000).unwrap()));
    }
    let ordinal = 1 + u8::try_from(sale.refunds.len()).unwrap();
    let number = sale.id.refund(ordinal, 7);
    sale.refunds.push(Refund::new(number, 1, new.amount, new.reason, key, NOW, &Policy::default()));
    keep(book, notices, sale.clone(), "refund");
    Ok(Refunding { sale, ordinal, new: true })
}

fn open(
    book: &Arc<Mutex<Book>>,
    notices: &broadcast::Sender<Notice>,
    new: NewSale,
    key: String,
    code: Option<PaymentCode>,
) -> Result<Opened, Refused> {
    if new.amount > Amount::from_fen(500_000).unwrap() {
        return Err(Refused::TooMuch);
    }
    let known = book.lock().unwrap().keys.iter().find(|(known, ..)| *known == key).cloned();
    if let Some((_, fingerprint, id)) = known {
        if fingerprint != new.fingerprint() {
            return Err(Refused::KeyReused(id));
        }
        return Ok(Opened { sale: book.sale(&id).unwrap().unwrap(), new: false });
    }
    if let Some(sale) = in_hand(book) {
        return Err(Refused::Busy(sale.id));
    }
    let number = book.lock().unwrap().keys.len() as u64 + 1;
    let id = SaleId::new(&"T01".parse().unwrap(), NOW.day(), number, 7);
    let fingerprint = new.fingerprint();
    let mut payment = Payment::new(new.amount, new.with_code, NOW, &Policy::default());
    payment.attempts[0].hint = code.map(|code| code.hint());
    let sale = Sale {
        refunds: Vec::new(),
        id: id.clone(),
        payment,
        subject: new.subject.unwrap_or_else(|| "朝阳门店-消费".to_owned()),
        reference: new.reference,
        gateway: "wechat".to_owned(),
        receipt: ReceiptState::None,
        copies: 0,
        created_at: NOW,
        updated_at: NOW,
    };
    book.lock().unwrap().keys.push((key, fingerprint, id));
    keep(book, notices, sale.clone(), "opened");
    Ok(Opened { sale, new: true })
}
