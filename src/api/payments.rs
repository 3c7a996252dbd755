//! Opening a payment, following it, finding it again, and asking for its end.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use tokio::sync::broadcast::{self, error::RecvError};
use tokio::time::Instant;
use utoipa::ToSchema;

use crate::api::body::{Fields, NoBody, Read, Strict};
use crate::api::problem::{self, Failure, Problem};
use crate::api::view::{Found, Life, Listing, Payment, Payments, Step};
use crate::api::{Api, Id, Lang};
use crate::ids::PaymentCode;
use crate::input::{Command, Notice, Refused};
use crate::money::Amount;
use crate::payment::SalePhase;
use crate::sale::{Filter, NewSale, Sale};

/// The longest that `wait` holds a request open.
const WAIT_MAX: Duration = Duration::from_secs(120);
/// Requests that wait at the same time: a quarter of the places of a door, so that it stays open for others.
pub(super) const WAITS_MAX: usize = 64;
/// How long one waits that finds no place; whoever asks again does not ask in a whirl.
const CROWDED_WAIT: Duration = Duration::from_secs(1);

/// The longest `subject` in bytes: WeChat takes 127 bytes of `body` (APIv2 micropay page, 2025-08-14).
const SUBJECT_BYTES_MAX: usize = 127;

/// What to take a payment for.
#[derive(ToSchema)]
#[schema(example = json!({"amount": 1250, "reference": "POS-4711", "subject": "朝阳门店-消费"}))]
pub(crate) struct NewPayment {
    /// What it costs, in fen: 12.50 yuan is 1250. A whole number; a text or a fraction is refused.
    #[schema(value_type = u32, minimum = 1)]
    amount: Amount,
    /// The shop's own reference, to find the payment again.
    #[schema(max_length = 64, min_length = 1)]
    reference: Option<String>,
    /// What the payer sees; the terminal's default if absent. At most 127 bytes of UTF-8.
    #[schema(max_length = 127, min_length = 1)]
    subject: Option<String>,
    /// The customer's payment code, if the POS read it itself; else the terminal waits for a scan. Never kept.
    #[schema(value_type = Option<String>, min_length = 16, max_length = 24, pattern = "^[0-9]{16,24}$")]
    auth_code: Option<PaymentCode>,
}

impl Read for NewPayment {
    fn read(fields: &mut Fields) -> Result<Self, Failure> {
        let subject = fields.text_of_bytes("subject", SUBJECT_BYTES_MAX)?;
        Ok(Self {
            amount: fields.amount("amount")?,
            reference: fields.text("reference", 64)?,
            subject,
            auth_code: code(fields, "auth_code")?,
        })
    }
}

/// Takes a payment code out of a body. It is never quoted, whatever it looks like.
pub(crate) fn code(fields: &mut Fields, name: &'static str) -> Result<Option<PaymentCode>, Failure> {
    let Some(text) = fields.secret(name)? else { return Ok(None) };
    let code = PaymentCode::parse(&text);
    code.map(Some).map_err(|error| problem::NOT_A_CODE.because(error.to_string()).field(name))
}

/// Opens a payment. Repeats with the same key and body answer with the same payment, for ever.
#[utoipa::path(
    post, path = "/v1/payments", tag = "payments", operation_id = "open_payment",
    params(
        ("Idempotency-Key" = String, Header, min_length = 1, max_length = 255, pattern = "^[ -~]*$", description = "1 to 255 printable ASCII characters, fresh for each sale, kept for its repeats"),
        ("wait" = Option<u32>, Query, description = "Answer when the payment is final, or after this many seconds (at most 120; after one when 64 wait already)"),
        ("lang" = Option<crate::api::view::LangName>, Query, description = "Language of the cashier's sentence: zh-CN or en"),
    ),
    request_body(content = NewPayment, content_type = "application/json"),
    responses(
        (status = 201, description = "Opened now", body = Payment, headers(("Location" = String, description = "The payment"))),
        (status = 200, description = "Opened before under this key with this body", body = Payment),
        (status = 400, description = "malformed_json, key_missing, invalid_header, invalid_query", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "busy (another payment is in hand), key_reused", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "invalid_field, not_a_code, too_much", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "journal_failed, not_ready, terminal_silent, stopping", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn open(
    State(api): State<Api>,
    uri: Uri,
    headers: HeaderMap,
    Strict(wanted): Strict<NewPayment>,
) -> Result<Response, Failure> {
    let mut query = Fields::of_query(&uri)?;
    let (wait, language) = (wait(&mut query)?, api.language(&mut query)?);
    query.end_query()?;
    let key = idempotency_key(&headers)?;

    let sale = NewSale {
        amount: wanted.amount,
        reference: wanted.reference,
        subject: wanted.subject,
        with_code: wanted.auth_code.is_some(),
    };
    let notices = api.shop.notices.subscribe();
    let opened = match api.ask(|reply| Command::Open(sale, key, wanted.auth_code, reply)).await? {
        Ok(opened) => opened,
        Err(Refused::KeyReused(id)) => {
            let named = id.clone();
            let money = api.read(move |records| records.sale(&named)).await.ok().flatten();
            let problem = Failure::from(Refused::KeyReused(id));
            return Err(match money {
                Some(sale) => problem.money(sale.money().into()),
                None => problem,
            });
        }
        Err(refused) => return Err(refused.into()),
    };
    let sale = api.settled(opened.sale, notices, wait).await;
    let status = if opened.new { StatusCode::CREATED } else { StatusCode::OK };
    let location = [(header::LOCATION, format!("/v1/payments/{}", sale.id))];
    Ok((status, location, Json(api.view(&sale, language))).into_response())
}

/// A page of the log, newest first; or the payment with exactly this reference or key, beside a page of all such.
#[utoipa::path(
    get, path = "/v1/payments", tag = "payments", operation_id = "list_payments",
    params(
        ("reference" = Option<String>, Query, description = "Exactly this reference; 404 never_seen if there is none"),
        ("key" = Option<String>, Query, description = "Opened under exactly this Idempotency-Key; 404 never_seen if there is none"),
        ("date" = Option<String>, Query, format = Date, description = "Opened on this day in Beijing, 2026-11-21"),
        ("phase" = Option<crate::api::view::PhaseName>, Query, description = "In this phase now"),
        ("q" = Option<String>, Query, max_length = 64, description = "Part of the id, an order number, the reference or the gateway's number"),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 200, description = "1 to 200; 50 if absent"),
        ("cursor" = Option<String>, Query, pattern = "^[0-9]{1,18}$", description = "next_cursor of the page before"),
        ("lang" = Option<crate::api::view::LangName>, Query, description = "Language of the cashier's sentence: zh-CN or en"),
    ),
    responses(
        (status = 200, description = "The page; with reference or key, the newest payment's own fields beside it", body = Listing),
        (status = 400, description = "invalid_query", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "never_seen: nothing was ever taken under this reference or key", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn list(State(api): State<Api>, uri: Uri) -> Result<Json<Listing>, Failure> {
    let mut query = Fields::of_query(&uri)?;
    let language = api.language(&mut query)?;
    let wrong = |name: &'static str, expected: &str| {
        problem::INVALID_QUERY.because(format!("parameter {name}: expected {expected}")).field(name)
    };
    let key = query.parameter("key");
    let filter = Filter {
        day: match query.parameter("date") {
            None => None,
            Some(day) => Some(day.parse().map_err(|_| wrong("date", "a day like 2026-11-21"))?),
        },
        phase: match query.parameter("phase") {
            None => None,
            Some(name) => {
                let names = SalePhase::ALL.map(SalePhase::label).join(", ");
                Some(SalePhase::from_label(&name).ok_or_else(|| wrong("phase", &names))?)
            }
        },
        text: query.parameter("q").map(|text| text.trim().to_owned()).filter(|text| !text.is_empty()),
        reference: query.parameter("reference"),
        limit: match query.parameter("limit") {
            None => 50,
            Some(limit) => match limit.parse() {
                Ok(limit @ 1..=200) => limit,
                _ => return Err(wrong("limit", "1 to 200")),
            },
        },
        before: match query.parameter("cursor") {
            None => None,
            Some(cursor) => Some(cursor.parse().map_err(|_| wrong("cursor", "a next_cursor"))?),
        },
    };
    query.end_query()?;
    if filter.text.as_ref().is_some_and(|text| text.chars().count() > 64) {
        return Err(wrong("q", "at most 64 characters"));
    }

    let exact = (filter.reference.is_some() && filter.before.is_none()) || key.is_some();
    let page = api
        .read(move |records| match key {
            Some(key) => {
                let sales = records.by_key(&key)?.into_iter().collect();
                Ok(crate::sale::Page { sales, next: None })
            }
            None => records.page(&filter),
        })
        .await?;
    let page = Payments {
        payments: page.sales.iter().map(|sale| api.view(sale, language)).collect(),
        next_cursor: page.next.map(|cursor| cursor.to_string()),
    };
    if !exact {
        return Ok(Json(Listing::Page(page)));
    }
    match page.payments.first().cloned() {
        Some(newest) => Ok(Json(Listing::Found(Box::new(Found { newest, page })))),
        None => Err(problem::NEVER_SEEN.because("no payment with this reference or key")),
    }
}

/// A payment, by its id or one of its order or refund numbers.
#[utoipa::path(
    get, path = "/v1/payments/{id}", tag = "payments", operation_id = "show_payment",
    params(
        ("id" = String, Path, description = "The payment's id, or one of its order or refund numbers"),
        ("wait" = Option<u32>, Query, description = "Answer when the payment is final, or after this many seconds (at most 120; after one when 64 wait already)"),
        ("lang" = Option<crate::api::view::LangName>, Query, description = "Language of the cashier's sentence: zh-CN or en"),
    ),
    responses(
        (status = 200, description = "The payment", body = Payment),
        (status = 404, description = "never_seen: nothing was ever taken under this id", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn show(State(api): State<Api>, id: Id, uri: Uri) -> Result<Json<Payment>, Failure> {
    let mut query = Fields::of_query(&uri)?;
    let (wait, language) = (wait(&mut query)?, api.language(&mut query)?);
    query.end_query()?;
    let notices = api.shop.notices.subscribe();
    let sale = api.sale(&id).await?;
    let sale = api.settled(sale, notices, wait).await;
    Ok(Json(api.view(&sale, language)))
}

/// A payment's life, step by step, as the journal has it.
#[utoipa::path(
    get, path = "/v1/payments/{id}/life", tag = "payments", operation_id = "payment_life",
    params(
        ("id" = String, Path, description = "The payment's id, or one of its order or refund numbers"),
        ("lang" = Option<crate::api::view::LangName>, Query, description = "Language of the cashier's sentences: zh-CN or en"),
    ),
    responses(
        (status = 200, description = "Its steps, oldest first", body = Life),
        (status = 404, description = "never_seen", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn life(
    State(api): State<Api>,
    id: Id,
    Lang(language): Lang,
) -> Result<Json<Life>, Failure> {
    let sale = api.sale(&id).await?;
    let steps = api.read(move |records| records.life(&sale.id)).await?;
    let policy = &api.shop.policy;
    Ok(Json(Life { steps: steps.iter().map(|step| Step::of(step, policy, language)).collect() }))
}

/// Asks for the end of a payment. It may still end paid: follow it.
#[utoipa::path(
    post, path = "/v1/payments/{id}/cancel", tag = "payments", operation_id = "cancel_payment",
    params(
        ("id" = String, Path, description = "The payment's id, or one of its order or refund numbers"),
        ("lang" = Option<crate::api::view::LangName>, Query, description = "Language of the cashier's sentence: zh-CN or en"),
    ),
    responses(
        (status = 202, description = "Asked; the payment as it is now", body = Payment),
        (status = 404, description = "never_seen", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "not_now: it is final already", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn cancel(
    State(api): State<Api>,
    id: Id,
    Lang(language): Lang,
    _: NoBody,
) -> Result<Response, Failure> {
    api.about(&id, Command::Cancel, language).await
}

/// Asks the gateway now what it knows of a payment.
#[utoipa::path(
    post, path = "/v1/payments/{id}/check", tag = "payments", operation_id = "check_payment",
    params(
        ("id" = String, Path, description = "The payment's id, or one of its order or refund numbers"),
        ("lang" = Option<crate::api::view::LangName>, Query, description = "Language of the cashier's sentence: zh-CN or en"),
    ),
    responses(
        (status = 202, description = "Asked; the payment as it is now", body = Payment),
        (status = 404, description = "never_seen", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "not_now", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn check(
    State(api): State<Api>,
    id: Id,
    Lang(language): Lang,
    _: NoBody,
) -> Result<Response, Failure> {
    api.about(&id, Command::Check, language).await
}

/// How long to hold the request open; more than [`WAIT_MAX`] is taken as that.
pub(super) fn wait(query: &mut Fields) -> Result<Duration, Failure> {
    match query.parameter("wait") {
        None => Ok(Duration::ZERO),
        Some(seconds) => match seconds.parse::<u32>() {
            Ok(seconds) => Ok(Duration::from_secs(seconds.into()).min(WAIT_MAX)),
            Err(_) => {
                Err(problem::INVALID_QUERY.because("parameter wait: expected whole seconds").field("wait"))
            }
        },
    }
}

/// The `Idempotency-Key`: 1 to 255 printable ASCII characters.
pub(super) fn idempotency_key(headers: &HeaderMap) -> Result<String, Failure> {
    let mut keys = headers.get_all("idempotency-key").iter();
    let Some(key) = keys.next() else {
        return Err(problem::KEY_MISSING
            .because("money moves under a key, so that a repeat cannot move it twice")
            .field("Idempotency-Key"));
    };
    let key = key.to_str().unwrap_or("");
    let fits = (1..=255).contains(&key.len()) && key.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    if !fits || keys.next().is_some() {
        return Err(problem::INVALID_HEADER
            .because("Idempotency-Key: expected one, of 1 to 255 printable ASCII characters")
            .field("Idempotency-Key"));
    }
    Ok(key.to_owned())
}

impl Api {
    /// `sale` when it is final, or as it is when `wait` is up, too many wait already, or the process ends. `notices` must
    /// be older than `sale`, so that no step falls between the two.
    async fn settled(&self, sale: Sale, notices: broadcast::Receiver<Notice>, wait: Duration) -> Sale {
        self.until(sale, notices, wait, |sale| sale.payment.phase().is_final()).await
    }

    /// The same, for what else a sale can come to.
    pub(super) async fn until(
        &self,
        mut sale: Sale,
        mut notices: broadcast::Receiver<Notice>,
        wait: Duration,
        done: impl Fn(&Sale) -> bool,
    ) -> Sale {
        let place = self.waits.try_acquire();
        let until = Instant::now() + if place.is_ok() { wait } else { wait.min(CROWDED_WAIT) };
        let mut stop = self.shop.stop.clone();
        while !wait.is_zero() && !done(&sale) {
            let notice = tokio::select! {
                notice = notices.recv() => notice,
                () = tokio::time::sleep_until(until) => break,
                _ = stop.wait_for(|stop| *stop) => break,
            };
            match notice {
                Ok(Notice::Sale(_, newer)) if newer.id == sale.id => {
                    sale = *newer;
                }
                Ok(_) => {}
                Err(RecvError::Lagged(_)) => {
                    let id = sale.id.clone();
                    if let Ok(Some(newer)) = self.read(move |records| records.sale(&id)).await {
                        sale = newer;
                    }
                }
                Err(RecvError::Closed) => break,
            }
        }
        sale
    }
}
