//! Headers of answers: which of them say what.

use utoipa::openapi::RefOr;
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::path::Operation;
use utoipa::openapi::response::Response;
use utoipa::openapi::schema::{Object, Type};

const COMMIT: &str =
    "The position in the journal, `<journal>/<sequence>`, that the answer reflects; it is durable.";

const COMMIT_OF_REFUSAL: &str = "As of an answer, where something was asked that the journal knows.";

/// Bodies of which every version has an `ETag`.
const VERSIONED: &[&str] = &["Cart", "Inventory", "Order", "Payment", "Product", "User"];
/// Pages of what lags behind the journal by a moment.
const VIEWS: &[&str] = &["OrderList", "ProductList"];
/// Bodies that are put together from more than one entity, or none.
const UNPLACED: &[&str] = &["AuditList", "HeldLetterList", "Rotated"];

/// Completes the headers of an operation's answers.
pub(super) fn complete(operation: &mut Operation, is_api: bool) {
    let takes_key = super::has_parameter(operation, "Idempotency-Key");
    for (status, response) in &mut operation.responses.responses {
        let RefOr::T(response) = response else { continue };
        header(response, "X-Request-Id", "The caller's, or a new one.");
        match status.as_str() {
            "401" => header(response, "WWW-Authenticate", "How to authenticate."),
            "429" | "503" => header(response, "Retry-After", "Seconds to wait."),
            _ => {}
        }
        if is_api {
            place(response, status);
        }
        if takes_key && matches!(status.as_str(), "200" | "201" | "204" | "402") {
            header(response, "Idempotent-Replayed", "`true` if this answer was given before.");
        }
    }
}

/// What says which state of the shop an answer reflects.
fn place(response: &mut Response, status: &str) {
    let body = body(response);
    let is = |names: &[&str]| body.as_deref().is_some_and(|body| names.contains(&body));
    match status {
        "200" if is(VIEWS) => {
            header(response, "Link", "The next page, `rel=\"next\"`; missing on the last.");
            header(
                response,
                "Relampago-View-Position",
                "The position in the journal that the list reflects.",
            );
        }
        "200" if is(UNPLACED) => {}
        "200" | "201" | "204" | "304" => {
            let versioned = status == "304" || is(VERSIONED);
            header(response, "Relampago-Commit", COMMIT);
            if versioned {
                header(response, "ETag", "Changes whenever the answer would.");
            }
        }
        "401" | "402" | "403" | "404" | "409" | "410" | "412" | "422" => {
            header(response, "Relampago-Commit", COMMIT_OF_REFUSAL);
        }
        _ => {}
    }
}

/// The name of the body's schema.
fn body(response: &Response) -> Option<String> {
    let content = response.content.get("application/json")?;
    let Some(RefOr::Ref(schema)) = &content.schema else { return None };
    schema.ref_location.rsplit('/').next().map(str::to_owned)
}

fn header(response: &mut Response, name: &str, description: &str) {
    let header = HeaderBuilder::new().schema(Object::with_type(Type::String));
    response.headers.insert(name.to_owned(), header.description(Some(description)).build());
}
