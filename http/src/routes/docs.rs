//! The OpenAPI document, and Swagger UI to read it; nothing of it comes from the network.

use std::sync::Arc;

use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, HeaderValue};
use axum::response::Response;
use utoipa_swagger_ui::{Config, serve};

use crate::error::Problem;
use crate::extract::Call;

const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// This document.
#[utoipa::path(
    get, path = "/openapi.json", tag = "operations",
    responses((status = 200, description = "The OpenAPI 3.1 document.", content_type = "application/json")),
)]
pub(crate) async fn document(call: Call) -> Result<Response, Problem> {
    Ok(with_type(Body::from(call.app.openapi.clone()), JSON))
}

/// Swagger UI.
#[utoipa::path(
    get, path = "/docs", tag = "operations",
    responses((status = 200, description = "A page to read this document with.", content_type = "text/html")),
)]
pub(crate) async fn page(_: Call) -> Result<Response, Problem> {
    file_of_ui("index.html")
}

/// A file that the page of Swagger UI needs.
#[utoipa::path(
    get, path = "/docs/{file}", tag = "operations", params(("file" = String, Path)),
    responses(
        (status = 200, description = "The file."),
        (status = 404, description = "`not_found`"),
    ),
)]
pub(crate) async fn file(call: Call) -> Result<Response, Problem> {
    // A name that is no UTF-8 is none of ours; an empty one would be the page.
    file_of_ui(call.param("file").ok_or_else(Problem::no_such_path)?)
}

fn file_of_ui(name: &str) -> Result<Response, Problem> {
    let config = Arc::new(Config::from("/openapi.json"));
    let file = serve(name, config).ok().flatten().ok_or_else(Problem::no_such_path)?;
    let kind = HeaderValue::try_from(file.content_type).unwrap_or(HeaderValue::from_static("text/plain"));
    let mut bytes = file.bytes.into_owned();
    if name == "index.html" {
        // Its links are relative to the folder, and it is served as the folder without a slash, too.
        let page = String::from_utf8_lossy(&bytes);
        bytes = page.replacen("<head>", "<head>\n    <base href=\"/docs/\">", 1).into_bytes();
    }
    Ok(with_type(Body::from(bytes), kind))
}

fn with_type(body: Body, kind: HeaderValue) -> Response {
    let mut response = Response::new(body);
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}
