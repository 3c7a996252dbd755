//! The till around a payment: scans that come over the network, how everything is, whether it is well.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::api::body::{Fields, Read, Strict, invalid};
use crate::api::payments::code;
use crate::api::problem::{self, Failure, Problem};
use crate::api::view::Payment;
use crate::api::{Api, Lang};
use crate::ids::PaymentCode;
use crate::input::{self, Command, DeviceKind, ObligationKind};

/// What a scanner would have sent.
#[derive(ToSchema)]
#[schema(example = json!({"code": "134567890123458406"}))]
pub(crate) struct Scanned {
    /// The customer's payment code. Never kept.
    #[schema(value_type = String, min_length = 16, max_length = 24, pattern = "^[0-9]{16,24}$")]
    code: PaymentCode,
}

impl Read for Scanned {
    fn read(fields: &mut Fields) -> Result<Self, Failure> {
        let code = code(fields, "code")?;
        Ok(Self { code: code.ok_or_else(|| invalid("code", "a text of 16 to 24 digits", "nothing"))? })
    }
}

/// Hands the terminal a payment code, as a scanner would have.
#[utoipa::path(
    post, path = "/v1/scan", tag = "till", operation_id = "scan",
    params(("lang" = Option<crate::api::view::LangName>, Query, description = "Language of the cashier's sentence: zh-CN or en")),
    request_body(content = Scanned, content_type = "application/json"),
    responses(
        (status = 200, description = "Taken; the payment that it was for", body = Payment),
        (status = 409, description = "nothing_to_pay, not_now (a code is being paid already)", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "not_a_code", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn scan(
    State(api): State<Api>,
    Lang(language): Lang,
    Strict(scanned): Strict<Scanned>,
) -> Result<Json<Payment>, Failure> {
    let sale = api.ask(|reply| Command::Scan(scanned.code, reply)).await??;
    Ok(Json(api.view(&sale, language)))
}

/// What a device is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DeviceName {
    /// Reads codes.
    Scanner,
    /// Prints receipts.
    Printer,
    /// Shows amounts to the customer.
    Display,
    /// Holds the journal; listed once it was nearly full.
    Disk,
}

/// A device and how it is.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Device {
    /// What it is.
    pub kind: DeviceName,
    /// Its name in the configuration or its path.
    pub name: String,
    /// Whether it can be used.
    pub ready: bool,
    /// What is wrong and what to do; empty when all is well.
    pub trouble: String,
    /// Since when it is as it is; RFC 3339. Null where it is told as it happens.
    #[schema(required = true)]
    pub since: Option<String>,
}

/// Whether the gateway answers.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Line {
    /// It answered last time.
    Up,
    /// It did not.
    Down,
    /// It was not asked yet.
    Unknown,
}

/// The gateway and how it is.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Gateway {
    /// Whether it answers.
    pub line: Line,
    /// Since when; RFC 3339. Null where it is told as it happens, or not known.
    #[schema(required = true)]
    pub since: Option<String>,
    /// The last failure, in the log's words.
    pub trouble: String,
}

/// Kinds of unfinished work.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum OpenKind {
    /// An outcome to be looked up.
    Query,
    /// Money to be given back if it was taken.
    Reversal,
    /// A refund to be followed until the payer has it.
    Refund,
    /// A receipt to be printed or looked at.
    Receipt,
}

/// Something that is not finished.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Open {
    /// The payment.
    pub payment: String,
    /// What is owed.
    pub kind: OpenKind,
    /// Since when; RFC 3339.
    pub since: String,
    /// When it is tried next; null when a person must act.
    #[schema(required = true)]
    pub next: Option<String>,
    /// What to tell the cashier or the manager.
    pub text: String,
}

/// How everything is: what is well, what is not, since when.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Status {
    /// The terminal's name.
    pub terminal: String,
    /// The shop's name.
    pub store_name: String,
    /// Whether this is play money.
    pub sandbox: bool,
    /// The program's version.
    pub version: String,
    /// Why no new payment is taken; null when they are.
    #[schema(required = true)]
    pub refuses_sales: Option<String>,
    /// The payment in hand.
    #[schema(required = true)]
    pub in_hand: Option<String>,
    /// Every device.
    pub devices: Vec<Device>,
    /// The gateway.
    pub gateway: Gateway,
    /// Answers since the start that were not authentic or not about us: look into it when it is not 0.
    pub suspicious_answers: u64,
    /// Whatever is not finished, oldest first.
    pub open: Vec<Open>,
    /// When the certificate for reversals ends; RFC 3339.
    #[schema(required = true)]
    pub certificate_ends: Option<String>,
    /// When the terminal started; RFC 3339.
    pub started_at: String,
    /// Now, by the terminal's clock; RFC 3339.
    pub now: String,
}

impl From<DeviceKind> for DeviceName {
    fn from(kind: DeviceKind) -> Self {
        match kind {
            DeviceKind::Scanner => Self::Scanner,
            DeviceKind::Printer => Self::Printer,
            DeviceKind::Display => Self::Display,
            DeviceKind::Disk => Self::Disk,
        }
    }
}

impl From<ObligationKind> for OpenKind {
    fn from(kind: ObligationKind) -> Self {
        match kind {
            ObligationKind::Query => Self::Query,
            ObligationKind::Reversal => Self::Reversal,
            ObligationKind::Refund => Self::Refund,
            ObligationKind::Receipt => Self::Receipt,
        }
    }
}

impl From<&input::Device> for Device {
    fn from(device: &input::Device) -> Self {
        Self {
            kind: device.kind.into(),
            name: device.name.clone(),
            ready: device.ready,
            trouble: device.trouble.clone(),
            since: None,
        }
    }
}

impl Status {
    fn of(api: &Api, status: &input::Status) -> Self {
        let shop = &api.shop;
        Self {
            terminal: shop.terminal.as_str().to_owned(),
            store_name: shop.store_name.clone(),
            sandbox: shop.sandbox,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            refuses_sales: status.refuses_sales.clone(),
            in_hand: status.in_hand.as_ref().map(ToString::to_string),
            devices: devices(status).collect(),
            gateway: gateway(status),
            suspicious_answers: status.suspicious_answers,
            open: status
                .open
                .iter()
                .map(|open| Open {
                    payment: open.sale.to_string(),
                    kind: open.kind.into(),
                    since: open.since.rfc3339(),
                    next: open.next.map(|next| next.rfc3339()),
                    text: open.text.clone(),
                })
                .collect(),
            certificate_ends: status.certificate_ends.map(|end| end.rfc3339()),
            started_at: status.started_at.rfc3339(),
            now: status.now.rfc3339(),
        }
    }
}

/// The devices of a status, with the times since when they are as they are.
pub(crate) fn devices(status: &input::Status) -> impl Iterator<Item = Device> {
    status.devices.iter().map(|(device, since)| Device { since: Some(since.rfc3339()), ..device.into() })
}

/// The gateway of a status.
pub(crate) fn gateway(status: &input::Status) -> Gateway {
    Gateway {
        line: match status.gateway {
            None => Line::Unknown,
            Some((true, _)) => Line::Up,
            Some((false, _)) => Line::Down,
        },
        since: status.gateway.map(|(_, since)| since.rfc3339()),
        trouble: status.gateway_trouble.clone(),
    }
}

/// How everything is.
#[utoipa::path(
    get, path = "/v1/status", tag = "till", operation_id = "status",
    responses(
        (status = 200, description = "How everything is", body = Status),
        (status = 503, description = "terminal_silent, stopping", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn status(State(api): State<Api>) -> Result<Json<Status>, Failure> {
    let status = api.ask(Command::Status).await?;
    Ok(Json(Status::of(&api, &status)))
}

/// Well, in one word.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Well {
    /// `ok`.
    pub status: String,
}

/// Whether the process answers at all.
#[utoipa::path(
    get, path = "/healthz", tag = "operation", operation_id = "healthz",
    responses((status = 200, description = "It does", body = Well))
)]
pub(crate) async fn healthz() -> Json<Well> {
    Json(Well { status: "ok".to_owned() })
}

/// Whether a payment can be taken now. A missing scanner or printer does not count: see the status.
#[utoipa::path(
    get, path = "/readyz", tag = "operation", operation_id = "readyz",
    responses(
        (status = 200, description = "It can", body = Well),
        (status = 503, description = "not_ready and why, terminal_silent, stopping", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn readyz(State(api): State<Api>) -> Result<Json<Well>, Failure> {
    match api.ask(Command::Status).await?.refuses_sales {
        None => Ok(Json(Well { status: "ok".to_owned() })),
        Some(why) => Err(problem::NOT_READY.because(why)),
    }
}
