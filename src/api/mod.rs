//! The POS, the cashier's page and the manager's log: HTTP over the loop's commands and the journal's records.
//!
//! It decides nothing about money: it asks the loop, reads the journal, and says what it was told. A payment belongs to
//! the loop from the moment it is asked for, so a client that hangs up changes nothing.

pub mod body;
mod console;
mod door;
pub mod events;
pub mod guard;
pub mod metrics;
mod openapi;
pub mod payments;
pub mod problem;
pub mod receipts;
pub mod refunds;
pub mod till;
pub mod view;

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{FromRequestParts, Path, Request};
use axum::http::request::Parts;
use axum::http::{Method, StatusCode, header};
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use tokio::sync::{Semaphore, oneshot, watch};
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub use crate::api::door::{Door, DoorError, Settings, Tls, serve};

use crate::api::body::Fields;
use crate::api::problem::Failure;
use crate::ids::{SaleId, TerminalId};
use crate::input::{Command, Inbox, Input, Notices, Reply};
use crate::payment::Policy;
use crate::payment::cashier::Language;
use crate::sale::{Records, RecordsError, Sale, id_from_text};
use crate::time::Timestamp;

/// How long the loop may take for an answer. It syncs a disk at most twice; a till's worst disk takes a second for that.
const LOOP_WITHIN: Duration = Duration::from_secs(10);

/// Reads of the journal at the same time; more wait, so that a page that searches cannot take all memory.
const READS_MAX: usize = 4;

/// Makes a receipt as text, as the paper shows it; `None` if the sale has none.
pub type ReceiptText = Arc<dyn Fn(&Sale) -> Option<String> + Send + Sync>;

/// Makes a receipt as a PNG picture, as the paper shows it; `None` if the sale has none.
pub type ReceiptPicture = Arc<dyn Fn(&Sale) -> Option<Vec<u8>> + Send + Sync>;

/// What the API is about: the way to the loop, the journal, and the shop's facts.
pub struct Shop {
    /// To the loop.
    pub inbox: Inbox,
    /// From the loop.
    pub notices: Notices,
    /// What was kept.
    pub records: Arc<dyn Records>,
    /// The terminal's clock, for the cashier's sentences.
    pub clock: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    /// The waits, for the seconds that are left.
    pub policy: Policy,
    /// The cashier's language.
    pub language: Language,
    /// The shop's name.
    pub store_name: String,
    /// The terminal's name.
    pub terminal: TerminalId,
    /// Whether this is play money.
    pub sandbox: bool,
    /// Receipts as text.
    pub receipt_text: ReceiptText,
    /// Receipts as pictures.
    pub receipt_picture: ReceiptPicture,
    /// Turns true when the process is to end: waits and event streams end then.
    pub stop: watch::Receiver<bool>,
}

/// The shop and what the handlers share.
#[derive(Clone)]
pub(crate) struct Api {
    shop: Arc<Shop>,
    reads: Arc<Semaphore>,
    followers: Arc<Semaphore>,
    waits: Arc<Semaphore>,
    requests: metrics::Requests,
}

/// What the API is, as OpenAPI: what `/openapi.json` shows.
pub fn description() -> utoipa::openapi::OpenApi {
    described().split_for_parts().1
}

/// The whole API as a service.
pub fn router(shop: Shop) -> Router {
    let api = Api {
        shop: Arc::new(shop),
        reads: Arc::new(Semaphore::new(READS_MAX)),
        followers: Arc::new(Semaphore::new(events::FOLLOWERS_MAX)),
        waits: Arc::new(Semaphore::new(payments::WAITS_MAX)),
        requests: metrics::Requests::default(),
    };
    let (routes, document) = described().split_for_parts();
    let document = openapi::whole(document).to_json().expect("a description has only text keys");
    let json = [(header::CONTENT_TYPE, "application/json")];
    routes
        .merge(console::pages())
        .route("/openapi.json", get(async move || (json, document.clone())))
        .fallback(no_such_route)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(from_fn_with_state(api.clone(), metrics::count))
        .layer(from_fn(guard::harden))
        .with_state(api)
}

fn described() -> OpenApiRouter<Api> {
    OpenApiRouter::with_openapi(openapi::Described::openapi())
        .routes(routes!(payments::open, payments::list))
        .routes(routes!(payments::show))
        .routes(routes!(payments::life))
        .routes(routes!(payments::cancel))
        .routes(routes!(payments::check))
        .routes(routes!(refunds::refund))
        .routes(routes!(receipts::reprint))
        .routes(routes!(receipts::text))
        .routes(routes!(receipts::picture))
        .routes(routes!(receipts::drawer))
        .routes(routes!(receipts::report))
        .routes(routes!(events::events))
        .routes(routes!(till::scan))
        .routes(routes!(till::status))
        .routes(routes!(till::healthz))
        .routes(routes!(till::readyz))
        .routes(routes!(metrics::metrics))
        .routes(routes!(guard::session))
}

async fn no_such_route(request: Request) -> Failure {
    // Neither the path nor a method of its own is repeated: somebody may have put a payment code into it.
    let method = shown(request.method());
    problem::NO_SUCH_ROUTE.because(format!("nothing answers {method} on this path"))
}

async fn method_not_allowed(request: Request) -> Failure {
    problem::METHOD.because(format!("this route does not take {}", shown(request.method())))
}

/// A method of HTTP; any other word is the client's own.
fn shown(method: &Method) -> &str {
    const KNOWN: [Method; 9] = [
        Method::GET,
        Method::HEAD,
        Method::POST,
        Method::PUT,
        Method::PATCH,
        Method::DELETE,
        Method::OPTIONS,
        Method::TRACE,
        Method::CONNECT,
    ];
    if KNOWN.contains(method) { method.as_str() } else { "this method" }
}

impl Api {
    /// Asks the loop. The reply to a command that may have been taken up, but did not come, is [`problem::SILENT`].
    async fn ask<T>(&self, command: impl FnOnce(Reply<T>) -> Command) -> Result<T, Failure> {
        let (reply, answer) = oneshot::channel();
        let sent = tokio::time::timeout(LOOP_WITHIN, self.shop.inbox.reserve()).await;
        match sent {
            Ok(Ok(place)) => place.send(Input::Command(command(reply))),
            Ok(Err(_)) => return Err(problem::STOPPING.because("the terminal is ending")),
            Err(_) => {
                return Err(problem::SILENT.because("the terminal is overloaded; nothing was asked of it"));
            }
        }
        match tokio::time::timeout(LOOP_WITHIN, answer).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(_)) => Err(problem::STOPPING
                .because("the terminal ended before it answered")
                .money(view::Money::Possible)),
            Err(_) => Err(problem::SILENT
                .because("no answer from the terminal within 10 seconds")
                .money(view::Money::Possible)),
        }
    }

    /// Reads the journal on a thread of its own, for the disk blocks. A machine that gives no thread is told of like a
    /// journal that cannot be read.
    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&dyn Records) -> Result<T, RecordsError> + Send + 'static,
    ) -> Result<T, Failure> {
        let unreadable = |why: String| problem::JOURNAL_UNREADABLE.because(why).money(view::Money::Possible);
        let place = Arc::clone(&self.reads).acquire_owned().await.map_err(|e| unreadable(e.to_string()))?;
        let records = Arc::clone(&self.shop.records);
        let (answer, found) = tokio::sync::oneshot::channel();
        let work = move || {
            let _place = place;
            // The peer may have gone.
            let _ = answer.send(read(&*records));
        };
        let begun = std::thread::Builder::new().name("reader".to_owned()).spawn(work);
        begun.map_err(|error| unreadable(format!("no thread to read with: {error}")))?;
        match found.await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => Err(unreadable(error.to_string())),
            Err(_) => Err(unreadable("the reader broke off".to_owned())),
        }
    }

    /// The sale with this id, or with an attempt of this order number.
    async fn sale(&self, id: &Id) -> Result<Sale, Failure> {
        let text = id.0.clone();
        let found = self.read(move |records| id_from_text(&text, records)).await?;
        found.ok_or_else(|| problem::NEVER_SEEN.because("no payment with this id"))
    }

    /// Sends a command about a sale and answers with the sale after it: asked, not yet done.
    async fn about(
        &self,
        id: &Id,
        command: impl FnOnce(SaleId, Reply<Result<Sale, crate::input::Refused>>) -> Command,
        language: Language,
    ) -> Result<Response, Failure> {
        let sale = self.sale(id).await?;
        let name = sale.id.clone();
        let asked = self.ask(|reply| command(name, reply)).await;
        let money = sale.money().into();
        let after = asked.map_err(|problem| problem.money(money).of(&sale.id))?.map_err(|refused| {
            let problem = Failure::from(refused).money(money);
            if problem.names_a_payment() { problem } else { problem.of(&sale.id) }
        })?;
        Ok((StatusCode::ACCEPTED, Json(self.view(&after, language))).into_response())
    }

    fn view(&self, sale: &Sale, language: Language) -> view::Payment {
        view::Payment::of(sale, (self.shop.clock)(), &self.shop.policy, language)
    }

    /// The language that `lang` asks for, else the shop's.
    fn language(&self, query: &mut Fields) -> Result<Language, Failure> {
        match query.parameter("lang").as_deref() {
            None => Ok(self.shop.language),
            Some("zh-CN") => Ok(Language::Chinese),
            Some("en") => Ok(Language::English),
            Some(_) => {
                Err(problem::INVALID_QUERY.because("parameter lang: expected zh-CN or en").field("lang"))
            }
        }
    }
}

/// The `{id}` of a path: a payment's id, or one of its order or refund numbers.
pub(crate) struct Id(String);

impl<S: Sync + Send> FromRequestParts<S> for Id {
    type Rejection = Failure;
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        match Path::<String>::from_request_parts(parts, state).await {
            Ok(Path(id)) => Ok(Self(id)),
            Err(_) => Err(problem::NEVER_SEEN.because("no payment with this id")),
        }
    }
}

/// The language that `lang` asks for, where the query may hold nothing else.
pub(crate) struct Lang(Language);

impl FromRequestParts<Api> for Lang {
    type Rejection = Failure;
    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Failure> {
        let mut query = Fields::of_query(&parts.uri)?;
        let language = api.language(&mut query)?;
        query.end_query()?;
        Ok(Self(language))
    }
}

#[cfg(test)]
mod tests;
