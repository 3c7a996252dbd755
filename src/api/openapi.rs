//! The machine-readable description of the API, made from the handlers' own types.

use utoipa::openapi::schema::{AdditionalProperties, Schema};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{ContentBuilder, OpenApi as Document, Ref, RefOr, ResponseBuilder};
use utoipa::{Modify, OpenApi};

use crate::api::events::Remark;
use crate::api::problem;
use crate::api::till::{Device, Gateway};
use crate::api::view::LangName;

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
    components(schemas(Device, Gateway, LangName, Remark)),
    tags(
        (name = "payments", description = "Taking payments and finding them again"),
        (name = "refunds", description = "Giving money back"),
        (name = "receipts", description = "The paper"),
        (name = "till", description = "Scans, events, devices, the drawer"),
        (name = "reports", description = "A day's numbers"),
        (name = "operation", description = "Whether all is well"),
    ),
    modifiers(&Token),
)]
pub(crate) struct Described;

/// `document` with what its types cannot say: bodies are strict, problems have known codes, every route can fail.
pub(crate) fn whole(mut document: Document) -> Document {
    for (name, schema) in document.components.iter_mut().flat_map(|components| &mut components.schemas) {
        let RefOr::T(Schema::Object(object)) = schema else { continue };
        match name.as_str() {
            "NewPayment" | "NewRefund" | "Scanned" | "Session" => {
                object.additional_properties = Some(Box::new(AdditionalProperties::FreeForm(false)));
            }
            "Problem" => {
                if let Some(RefOr::T(Schema::Object(code))) = object.properties.get_mut("code") {
                    code.enum_values = Some(problem::ALL.iter().map(|kind| kind.code.into()).collect());
                }
            }
            _ => {}
        }
    }
    // What can go wrong everywhere: the guard, the body, the journal, the loop.
    let problem = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
    let default = ResponseBuilder::new()
        .description("Any other failure")
        .content("application/problem+json", problem)
        .build();
    for item in document.paths.paths.values_mut() {
        for operation in [&mut item.get, &mut item.post].into_iter().flatten() {
            operation.responses.responses.insert("default".to_owned(), RefOr::T(default.clone()));
        }
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
