//! The machine-readable description of the API, made from the handlers' own types.

use utoipa::openapi::schema::Schema;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{OpenApi as Document, RefOr};
use utoipa::{Modify, OpenApi};

use crate::api::events::Remark;
use crate::api::problem;
use crate::api::till::{Device, Gateway};

/// What stands above the routes.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "micropayd",
        description = "A point-of-sale payment terminal. Amounts are whole fen (12.50 yuan is 1250), times RFC 3339.\n\n\
            Every failure is `application/problem+json` with `code` to program against, `money` (where the money is of the \
            payment that the request names) and `retry`: `same_key` means repeat the very same request, which can never \
            charge twice; `new_key` means nothing was done, repeat it under a fresh Idempotency-Key; `never` means that \
            repeating it as it is does not help.\n\n\
            After a lost answer: repeat the POST with the same key, or ask `GET /v1/payments?key=…`. Hand over goods only \
            when `cashier.hand_over_goods` is true.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    servers((url = "/")),
    security((), ("token" = [])),
    components(schemas(Device, Gateway, Remark)),
    tags(
        (name = "payments", description = "Taking payments and finding them again"),
        (name = "receipts", description = "The paper"),
        (name = "till", description = "Scans, events, devices, the drawer"),
        (name = "reports", description = "A day's numbers"),
        (name = "operation", description = "Whether all is well"),
    ),
    modifiers(&Token),
)]
pub(crate) struct Described;

/// `document` with the codes of every problem in it.
pub(crate) fn whole(mut document: Document) -> Document {
    let schemas = document.components.as_mut().map(|components| &mut components.schemas);
    if let Some(RefOr::T(Schema::Object(problem))) = schemas.and_then(|schemas| schemas.get_mut("Problem"))
        && let Some(RefOr::T(Schema::Object(code))) = problem.properties.get_mut("code")
    {
        code.enum_values = Some(problem::ALL.iter().map(|kind| kind.code.into()).collect());
    }
    document
}

/// The bearer token that is required beyond loopback.
struct Token;

impl Modify for Token {
    fn modify(&self, document: &mut Document) {
        let token = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("One of the tokens of [api]; required beyond loopback."))
            .build();
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("token", SecurityScheme::Http(token));
    }
}
