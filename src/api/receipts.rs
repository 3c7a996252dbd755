//! Receipts and the drawer, and a day's numbers.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::api::body::NoBody;
use crate::api::problem::{self, Failure, Problem};
use crate::api::view::{Money, Payment};
use crate::api::{Api, Id, Lang, Shop};
use crate::input::Command;
use crate::sale::Sale;
use crate::time::Day;

/// Prints the receipt again, marked as a copy.
#[utoipa::path(
    post, path = "/v1/payments/{id}/receipts", tag = "receipts", operation_id = "reprint",
    params(
        ("id" = String, Path, description = "The payment's id, or one of its order or refund numbers"),
        ("lang" = Option<crate::api::view::LangName>, Query, description = "Language of the cashier's sentence: zh-CN or en"),
    ),
    responses(
        (status = 202, description = "Ordered; the payment as it is now", body = Payment),
        (status = 404, description = "never_seen", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "not_now: it is not paid", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn reprint(
    State(api): State<Api>,
    id: Id,
    Lang(language): Lang,
    _: NoBody,
) -> Result<Response, Failure> {
    api.about(&id, Command::Reprint, language).await
}

/// The receipt as the paper shows it, as text.
#[utoipa::path(
    get, path = "/v1/payments/{id}/receipt.txt", tag = "receipts", operation_id = "receipt_text",
    params(("id" = String, Path, description = "The payment's id, or one of its order or refund numbers")),
    responses(
        (status = 200, description = "The receipt", body = String, content_type = "text/plain; charset=utf-8"),
        (status = 404, description = "never_seen, no_receipt: it is not paid", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn text(State(api): State<Api>, id: Id) -> Result<Response, Failure> {
    let text = api.rendered(&id, |shop, sale| (shop.receipt_text)(sale)).await?;
    Ok(([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], text).into_response())
}

/// The receipt as the paper shows it, as a picture.
#[utoipa::path(
    get, path = "/v1/payments/{id}/receipt.png", tag = "receipts", operation_id = "receipt_picture",
    params(("id" = String, Path, description = "The payment's id, or one of its order or refund numbers")),
    responses(
        (status = 200, description = "The receipt", body = Vec<u8>, content_type = "image/png"),
        (status = 404, description = "never_seen, no_receipt: it is not paid", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn picture(State(api): State<Api>, id: Id) -> Result<Response, Failure> {
    let png = api.rendered(&id, |shop, sale| (shop.receipt_picture)(sale)).await?;
    Ok(([(header::CONTENT_TYPE, "image/png")], png).into_response())
}

/// Opens the drawer. The log keeps that it was.
#[utoipa::path(
    post, path = "/v1/drawer", tag = "till", operation_id = "drawer",
    responses(
        (status = 204, description = "Asked the printer to"),
        (status = 409, description = "not_now: no printer with a drawer", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn drawer(State(api): State<Api>, _: NoBody) -> Result<StatusCode, Failure> {
    api.ask(Command::Drawer).await??;
    Ok(StatusCode::NO_CONTENT)
}

/// A day's numbers. Amounts in fen.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Report {
    /// The day, in Beijing.
    pub date: String,
    /// Payments that were paid on the day.
    pub paid_count: u64,
    /// What they came to.
    pub paid: u64,
    /// Of that, from coupons.
    pub coupon: u64,
    /// Refunds that the gateway took on on the day.
    pub refund_count: u64,
    /// What they came to.
    pub refunded: u64,
}

/// A day's totals.
#[utoipa::path(
    get, path = "/v1/reports/{date}", tag = "reports", operation_id = "report",
    params(("date" = String, Path, format = Date, description = "A day in Beijing, 2026-11-21")),
    responses(
        (status = 200, description = "Its numbers", body = Report),
        (status = 400, description = "invalid_query: not a day", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn report(State(api): State<Api>, Id(date): Id) -> Result<Json<Report>, Failure> {
    let wrong = |_| problem::INVALID_QUERY.because("expected a day like 2026-11-21").field("date");
    let day: Day = date.parse().map_err(wrong)?;
    let totals = api.read(move |records| records.totals(day)).await?;
    Ok(Json(Report {
        date: day.to_string(),
        paid_count: totals.paid_count,
        paid: totals.paid_fen,
        coupon: totals.coupon_fen,
        refund_count: totals.refund_count,
        refunded: totals.refund_fen,
    }))
}

impl Api {
    /// A sale's receipt; drawing takes too long for the threads that answer.
    async fn rendered<T: Send + 'static>(
        &self,
        id: &Id,
        draw: impl FnOnce(&Shop, &Sale) -> Option<T> + Send + 'static,
    ) -> Result<T, Failure> {
        let sale = self.sale(id).await?;
        let (name, money) = (sale.id.clone(), Money::from(sale.money()));
        let shop = Arc::clone(&self.shop);
        let drawn = self.read(move |_| Ok(draw(&shop, &sale))).await?;
        drawn.ok_or_else(|| problem::NO_RECEIPT.because("the payment is not paid").money(money).of(&name))
    }
}
