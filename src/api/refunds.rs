//! Giving money back: a refund of a paid payment, all of it or a part, followed to its end.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use utoipa::ToSchema;

use crate::api::body::{Fields, Read, Strict};
use crate::api::payments::{idempotency_key, wait};
use crate::api::problem::{Failure, Problem};
use crate::api::view::{Refund, Refunded};
use crate::api::{Api, Id};
use crate::input::Command;
use crate::money::Amount;
use crate::refund::Phase;
use crate::sale;

/// The longest `reason` in bytes: WeChat takes 80 bytes of `refund_desc` (APIv2 refund page, 2025-08-14).
const REASON_BYTES_MAX: usize = 80;

/// What to give back.
#[derive(ToSchema)]
#[schema(example = json!({"amount": 500, "reason": "商品有瑕疵"}))]
pub(crate) struct NewRefund {
    /// What goes back, in fen; at most what is left of the payment.
    #[schema(value_type = u32, minimum = 1)]
    amount: Amount,
    /// Why, as the payer is told. At most 80 bytes of UTF-8.
    #[schema(max_length = 80, min_length = 1)]
    reason: Option<String>,
}

impl Read for NewRefund {
    fn read(fields: &mut Fields) -> Result<Self, Failure> {
        let reason = fields.text_of_bytes("reason", REASON_BYTES_MAX)?;
        Ok(Self { amount: fields.amount("amount")?, reason })
    }
}

/// Gives money back. Repeats with the same key and body are the same refund, for ever.
#[utoipa::path(
    post, path = "/v1/payments/{id}/refunds", tag = "refunds", operation_id = "refund_payment",
    params(
        ("id" = String, Path, description = "The payment's id, or one of its order or refund numbers"),
        ("Idempotency-Key" = String, Header, min_length = 1, max_length = 255, pattern = "^[ -~]*$", description = "1 to 255 printable ASCII characters, fresh for each refund, kept for its repeats"),
        ("wait" = Option<u32>, Query, description = "Answer when the gateway has taken the refund on or refused it, or after this many seconds (at most 120; after one when 64 wait already)"),
        ("lang" = Option<crate::api::view::LangName>, Query, description = "Language of the sentences: zh-CN or en"),
    ),
    request_body(content = NewRefund, content_type = "application/json"),
    responses(
        (status = 201, description = "Asked for now; the payment's own fields with `refund`, this one, beside them", body = Refunded, headers(("Location" = String, description = "The payment"))),
        (status = 200, description = "Asked for before under this key with this body", body = Refunded),
        (status = 400, description = "malformed_json, key_missing, invalid_header, invalid_query", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "never_seen", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "not_now (it is not paid, or being reversed), key_reused", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "invalid_field, refund_too_much, refund_limit", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "journal_failed, not_ready, terminal_silent, stopping", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn refund(
    State(api): State<Api>,
    id: Id,
    uri: Uri,
    headers: HeaderMap,
    Strict(wanted): Strict<NewRefund>,
) -> Result<Response, Failure> {
    let mut query = Fields::of_query(&uri)?;
    let (wait, language) = (wait(&mut query)?, api.language(&mut query)?);
    query.end_query()?;
    let key = idempotency_key(&headers)?;
    let sale = api.sale(&id).await?;
    let (name, money) = (sale.id.clone(), sale.money().into());
    let new = sale::NewRefund { amount: wanted.amount, reason: wanted.reason };

    let notices = api.shop.notices.subscribe();
    let asked = api.ask(|reply| Command::Refund(name, new, key, reply)).await;
    let asked = asked
        .map_err(|problem| problem.money(money).of(&sale.id))?
        .map_err(|refused| Failure::from(refused).money(money).of(&sale.id))?;
    let this = |sale: &sale::Sale| sale.refund(asked.ordinal).cloned();
    let answered =
        |sale: &sale::Sale| this(sale).is_none_or(|refund| !matches!(refund.phase, Phase::Asking(_)));
    let sale = api.until(asked.sale, notices, wait, answered).await;
    let status = if asked.new { StatusCode::CREATED } else { StatusCode::OK };
    let location = [(header::LOCATION, format!("/v1/payments/{}", sale.id))];
    let refund = this(&sale).map(|refund| Refund::of(&refund, language));
    let body = Refunded { payment: api.view(&sale, language), refund };
    Ok((status, location, Json(body)).into_response())
}
