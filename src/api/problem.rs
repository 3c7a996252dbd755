//! Every failure as RFC 9457 problem+json: what is wrong, where the money is, and whether to repeat the request.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::api::view::Money;
use crate::ids::SaleId;
use crate::input::Refused;

/// Whether to repeat the request. A POS can follow it blindly.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Retry {
    /// Repeated as it is, the request fails again, or it asks for something that must be looked at first.
    Never,
    /// Repeat the very same request, with the same `Idempotency-Key` if it had one: it cannot charge anyone twice.
    SameKey,
    /// Nothing was done. Repeat the request under an `Idempotency-Key` that was never used.
    NewKey,
}

/// An error, as `application/problem+json`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({
    "type": "urn:micropayd:problem:busy", "title": "Another payment is in hand", "status": 409,
    "detail": "payment T0126112100004200000A is in hand, expected none", "code": "busy", "money": "none",
    "retry": "same_key", "help": "finish or cancel the payment in hand, then repeat this request",
    "id": "T0126112100004200000A"
}))]
pub struct Problem {
    /// `urn:micropayd:problem:` and the code.
    #[serde(rename = "type")]
    pub kind: String,
    /// The problem in general. English; for logs.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// The problem in this case: the thing, what was expected, what was got. English; for logs.
    pub detail: String,
    /// The name to program against.
    pub code: String,
    /// Where the money is of the payment that this request names by id, reference or key; `none` if it names none.
    pub money: Money,
    /// Whether to repeat the request.
    pub retry: Retry,
    /// What to do, in the imperative.
    pub help: String,
    /// The payment that the problem is about, where it is about one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[schema(nullable = false)]
    pub id: Option<String>,
    /// The field, query parameter or header that is at fault, where one is.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[schema(nullable = false)]
    pub field: Option<String>,
}

/// A kind of problem: all of it but the case at hand.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Kind {
    /// The name to program against.
    pub code: &'static str,
    /// The HTTP status.
    pub status: StatusCode,
    /// The problem in general.
    pub title: &'static str,
    /// Whether to repeat the request.
    pub retry: Retry,
    /// What to do.
    pub help: &'static str,
}

macro_rules! kinds {
    ($($name:ident: $code:literal, $status:ident, $retry:ident, $title:literal, $help:literal;)*) => {
        $(
            #[doc = $title]
            pub static $name: Kind = Kind {
                code: $code, status: StatusCode::$status, title: $title, retry: Retry::$retry, help: $help,
            };
        )*
        /// Every kind of problem.
        pub static ALL: &[&Kind] = &[$(&$name),*];
    };
}

kinds! {
    MALFORMED_JSON: "malformed_json", BAD_REQUEST, Never,
        "The body is not JSON", "send one JSON object, in UTF-8";
    INVALID_FIELD: "invalid_field", UNPROCESSABLE_ENTITY, Never,
        "A field of the body cannot be used", "correct the field; nothing was done, so the key is still unused";
    INVALID_QUERY: "invalid_query", BAD_REQUEST, Never,
        "A query parameter cannot be used", "correct the query; GET /openapi.json lists what there is";
    INVALID_HEADER: "invalid_header", BAD_REQUEST, Never,
        "A header cannot be used", "correct the header";
    KEY_MISSING: "key_missing", BAD_REQUEST, NewKey,
        "Idempotency-Key is missing",
        "send an Idempotency-Key header of 1 to 255 printable ASCII characters, fresh for each sale or refund and kept for its repeats";
    KEY_REUSED: "key_reused", CONFLICT, Never,
        "The Idempotency-Key was used for another request",
        "look at the payment with this id first: it may be the one you mean. For another sale, use a fresh key";
    BUSY: "busy", CONFLICT, SameKey,
        "Another payment is in hand", "finish or cancel the payment in hand, then repeat this request";
    NEVER_SEEN: "never_seen", NOT_FOUND, SameKey,
        "No such payment", "nothing was ever taken for it; the request that should have made it can be repeated";
    NOT_NOW: "not_now", CONFLICT, Never,
        "The payment is in a phase in which this cannot be done", "read the payment, then decide";
    NOTHING_TO_PAY: "nothing_to_pay", CONFLICT, Never,
        "No payment waits for a code", "open a payment first, then scan; the code was not kept";
    NOT_A_CODE: "not_a_code", UNPROCESSABLE_ENTITY, Never,
        "Not a payment code", "scan the payment code of the customer's wallet, 16 to 24 digits";
    TOO_MUCH: "too_much", UNPROCESSABLE_ENTITY, Never,
        "The amount is larger than the shop allows", "take a smaller amount, or raise limits.max_amount";
    REFUND_TOO_MUCH: "refund_too_much", UNPROCESSABLE_ENTITY, Never,
        "The refund is larger than what is left of the payment", "read the payment's refunds, then refund at most what is left";
    REFUND_LIMIT: "refund_limit", UNPROCESSABLE_ENTITY, Never,
        "The refund is larger than the shop allows at the till",
        "let the manager refund it on the merchant platform, or raise limits.max_refund";
    NO_RECEIPT: "no_receipt", NOT_FOUND, Never,
        "The payment has no receipt", "ask again when the payment is paid";
    JOURNAL_FAILED: "journal_failed", SERVICE_UNAVAILABLE, SameKey,
        "The journal cannot be written; no sale is taken", "free the disk or mend it; run: micropayd doctor";
    JOURNAL_UNREADABLE: "journal_unreadable", SERVICE_UNAVAILABLE, SameKey,
        "The journal cannot be read", "ask again; if it stays so, run: micropayd doctor";
    NOT_READY: "not_ready", SERVICE_UNAVAILABLE, SameKey,
        "The terminal cannot take sales", "run: micropayd doctor";
    SILENT: "terminal_silent", SERVICE_UNAVAILABLE, SameKey,
        "The terminal did not answer in time",
        "repeat this request with the same key; what it did, if anything, will be the answer";
    STOPPING: "stopping", SERVICE_UNAVAILABLE, SameKey,
        "The terminal is ending", "repeat this request when it is up again";
    TOO_MANY: "too_many_followers", SERVICE_UNAVAILABLE, SameKey,
        "Too many clients follow the events", "close unused pages, or read /v1/status instead";
    NO_SUCH_ROUTE: "no_such_route", NOT_FOUND, Never,
        "No such route", "GET /openapi.json lists what there is";
    METHOD: "method_not_allowed", METHOD_NOT_ALLOWED, Never,
        "The route does not take this method", "GET /openapi.json lists what there is";
    MEDIA_TYPE: "unsupported_media_type", UNSUPPORTED_MEDIA_TYPE, Never,
        "The body has the wrong media type", "send Content-Type: application/json";
    TOO_LARGE: "body_too_large", PAYLOAD_TOO_LARGE, Never,
        "The body is too large", "send at most 16384 bytes";
    TOO_SLOW: "body_too_slow", REQUEST_TIMEOUT, SameKey,
        "The body did not arrive in time", "send the whole body within 10 seconds";
    FORBIDDEN_HOST: "forbidden_host", FORBIDDEN, Never,
        "The Host header names another machine",
        "use the address of api.listen, or a name in the certificate of api.tls_cert_file";
    FORBIDDEN_ORIGIN: "forbidden_origin", FORBIDDEN, Never,
        "The request comes from another site's page", "use this terminal's own pages, or a program";
    UNAUTHORIZED: "unauthorized", UNAUTHORIZED, Never,
        "A token is required here", "send Authorization: Bearer and one of the tokens of [api]";
}

/// A problem at hand: what a handler returns, small, and what becomes a [`Problem`] on its way out.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Failure {
    kind: &'static Kind,
    detail: String,
    money: Money,
    id: Option<String>,
    field: Option<String>,
}

impl Kind {
    /// The problem in this case.
    pub fn because(&'static self, detail: impl Into<String>) -> Failure {
        Failure { kind: self, detail: detail.into(), money: Money::None, id: None, field: None }
    }
}

impl Failure {
    /// The same, about this payment.
    pub fn of(mut self, id: &SaleId) -> Self {
        self.id = Some(id.to_string());
        self
    }

    /// The same, with the field, parameter or header at fault.
    pub fn field(mut self, name: impl Into<String>) -> Self {
        self.field = Some(name.into());
        self
    }

    /// The same, with where the named payment's money is.
    pub fn money(mut self, money: Money) -> Self {
        self.money = money;
        self
    }

    /// Whether it says which payment it is about.
    pub fn names_a_payment(&self) -> bool {
        self.id.is_some()
    }

    /// The same problem, as another kind.
    pub fn kind(mut self, kind: &'static Kind) -> Self {
        self.kind = kind;
        self
    }
}

impl From<Failure> for Problem {
    fn from(failure: Failure) -> Self {
        let Failure { kind, detail, money, id, field } = failure;
        Self {
            kind: format!("urn:micropayd:problem:{}", kind.code),
            title: kind.title.to_owned(),
            status: kind.status.as_u16(),
            detail,
            code: kind.code.to_owned(),
            money,
            retry: kind.retry,
            help: kind.help.to_owned(),
            id,
            field,
        }
    }
}

/// A refusal of the loop. Nothing was done.
impl From<Refused> for Failure {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Busy(id) => BUSY.because(format!("payment {id} is in hand, expected none")).of(&id),
            Refused::KeyReused(id) => KEY_REUSED
                .because(format!("this key was used for payment {id} with another body"))
                .money(Money::Possible)
                .of(&id),
            Refused::NeverSeen => NEVER_SEEN.because("no payment with this id"),
            Refused::NotNow(why) => NOT_NOW.because(why),
            Refused::NothingToPay => NOTHING_TO_PAY.because("no payment waits for a code"),
            Refused::NotACode => NOT_A_CODE.because("not a payment code of a wallet that is set up"),
            Refused::TooMuch => TOO_MUCH.because("amount is above the limit for one payment").field("amount"),
            Refused::RefundTooMuch(left) => REFUND_TOO_MUCH.because(at_most(left)).field("amount"),
            Refused::RefundLimit(most) => REFUND_LIMIT.because(at_most(most.fen())).field("amount"),
            Refused::JournalFailed(why) => JOURNAL_FAILED.because(why),
            Refused::NotReady(why) => NOT_READY.because(why),
        }
    }
}

/// For programs and for people, who think in yuan.
fn at_most(fen: u32) -> String {
    format!("field amount: expected at most {fen} fen ({}.{:02} yuan)", fen / 100, fen % 100)
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let status = self.kind.status;
        let location = self.id.as_ref().and_then(|id| format!("/v1/payments/{id}").parse().ok());
        let mut response = (status, Json(Problem::from(self))).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(location) = location {
            headers.insert(header::LOCATION, location);
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_name_of_its_own_and_says_what_to_do() {
        let mut codes: Vec<_> = ALL.iter().map(|kind| kind.code).collect();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), ALL.len());
        assert!(ALL.iter().all(|kind| !kind.help.is_empty() && kind.status.as_u16() >= 400));
    }

    #[test]
    fn only_a_request_that_did_nothing_may_be_repeated_under_a_new_key() {
        // A new key can charge a second time, so a failure whose effect is not known must never name it.
        for kind in ALL.iter().filter(|kind| kind.retry == Retry::NewKey) {
            assert_eq!(kind.code, "key_missing", "{kind:?}");
        }
        assert_eq!(SILENT.retry, Retry::SameKey);
    }
}
