//! The OpenAPI 3.1 document: the handlers' own words, and what is the same for all of them.

mod headers;
mod links;
mod parameters;

use bytes::Bytes;
use relampago_actors::access::{Permission, Permissions};
use relampago_actors::order;
use utoipa::openapi::content::ContentBuilder;
use utoipa::openapi::path::Operation;
use utoipa::openapi::response::{Response, ResponseBuilder};
use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder, OneOfBuilder, Ref, Schema, SchemaType, Type};
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme,
};
use utoipa::openapi::{OpenApi as Document, RefOr};
use utoipa::{OpenApi, ToSchema};

use crate::app::Listed;
use crate::auth::Access;
use crate::error::{FieldError, Kind, PriceItem, ShortageItem};
use crate::json::{HistoryEvent, Line, METHODS, Payment};
use crate::locale::order_code;
use crate::routes::{
    addresses, api_keys, backup, carts, checkout, docs, inventory, operations, orders, passwords, payments,
    products, security, sessions, users, validations,
};

const PROBLEM: &str = "Problem";
const PROBLEM_JSON: &str = "application/problem+json";
const EXAMPLE_ID: &str = "0192f0c1-2345-7abc-8def-0123456789ab";
const API_KEY: &str = "api_key";
const BEARER: &str = "bearer";

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Relámpago",
        description = "Products, stock, carts, orders and payments of a shop.\n\n\
            Answers outside 2xx are `application/problem+json` with a stable `code`; `retryable` says whether \
            the same request may succeed later. A request with an `Idempotency-Key` can be repeated: the first \
            success is given again, with `Idempotent-Replayed: true`. A trailing slash is accepted everywhere.",
        license(name = "MIT", identifier = "MIT"),
    ),
    paths(
        products::list, products::create, products::show, products::replace, products::change,
        products::archive, inventory::show, inventory::adjust,
        carts::create, carts::show, carts::delete, carts::add, carts::clear, carts::set_quantity,
        carts::remove, checkout::check_out, checkout::place, orders::list, orders::show, orders::history,
        orders::cancel, validations::validate, payments::process, payments::show, payments::confirm,
        payments::capture, payments::refund,
        users::register, users::show, users::change, users::erase, users::orders,
        addresses::list, addresses::add, addresses::replace, addresses::remove,
        sessions::login, sessions::refresh, sessions::logout,
        passwords::set, passwords::request_reset, passwords::verify, passwords::request_verification,
        api_keys::create, api_keys::list, api_keys::show, api_keys::revoke,
        security::jwks, security::audit, security::mail, security::rotate, backup::take,
        operations::livez, operations::readyz, operations::health, operations::metrics,
        docs::document, docs::page, docs::file,
    ),
    components(schemas(FieldError, ShortageItem, PriceItem, Payment<'_>, Line<'_>, HistoryEvent<'_>)),
    tags(
        (name = "products", description = "What is sold."),
        (name = "inventory", description = "How much of it there is."),
        (name = "carts", description = "What buyers gather."),
        (name = "checkout", description = "Buying it."),
        (name = "orders", description = "What was bought."),
        (name = "payments", description = "Paying for it."),
        (name = "users", description = "Who buys, and who runs the shop."),
        (name = "auth", description = "Signing in."),
        (name = "api-keys", description = "How programs call."),
        (name = "security", description = "Who did what, and the keys."),
        (name = "operations", description = "For operators."),
    ),
)]
struct Api;

/// Why a request was not carried out (RFC 9457), described for readers; [`crate::error`] writes it.
fn problem_schema() -> RefOr<Schema> {
    let text = |description: &str, example: &str| {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .description(Some(description))
            .examples([example])
            .build()
    };
    let list = |of: Ref| ArrayBuilder::new().items(of);
    let items = OneOfBuilder::new()
        .item(list(Ref::from_schema_name(ShortageItem::name())))
        .item(list(Ref::from_schema_name(PriceItem::name())))
        .description(Some(
            "With `out_of_stock`: what cannot be had in full. With `price_changed`: which prices.",
        ));
    ObjectBuilder::new()
        .description(Some("Why a request was not carried out (RFC 9457)."))
        .property("type", text("A name for the code.", "urn:relampago:problem:out_of_stock"))
        .property("title", text("The same for every problem with this code.", "Not enough stock"))
        .property("status", ObjectBuilder::new().schema_type(Type::Integer).examples([409]))
        .property("detail", text("What happened this time.", "Not enough stock."))
        .property("code", code_schema())
        .property("retryable", ObjectBuilder::new().schema_type(Type::Boolean))
        .property("errors", list(Ref::from_schema_name(FieldError::name())))
        .property("items", items)
        .property("order_id", text("With `cart_checked_out`: the order.", EXAMPLE_ID))
        .property("payment", Ref::from_schema_name(Payment::name()))
        .property("trace_id", text("From `traceparent`, or made.", "4bf92f3577b34da6a3ce929d0e0e4736"))
        .required("type")
        .required("title")
        .required("status")
        .required("detail")
        .required("code")
        .required("retryable")
        .required("trace_id")
        .into()
}

/// Every code there is.
fn code_schema() -> ObjectBuilder {
    let codes = Kind::ALL.iter().map(|kind| kind.code);
    ObjectBuilder::new()
        .schema_type(Type::String)
        .description(Some("Stable: what programs look at."))
        .enum_values(Some(codes))
}

/// The document as it is served, for these routes.
pub(crate) fn document(routes: &[Listed]) -> Bytes {
    let document = complete(Api::openapi(), routes);
    // It holds nothing but text, numbers and lists of them, so that writing it cannot fail.
    serde_json::to_vec(&document).unwrap_or_default().into()
}

fn complete(mut document: Document, routes: &[Listed]) -> Document {
    let components = document.components.get_or_insert_default();
    for name in ALWAYS_WHOLE {
        require_all(components.schemas.get_mut(*name));
    }
    for (name, property, values) in closed_sets() {
        close(components.schemas.get_mut(name), property, &values);
    }
    components.schemas.insert(PROBLEM.to_owned(), problem_schema());
    let scheme = SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::new("X-API-Key")));
    components.security_schemes.insert(API_KEY.to_owned(), scheme);
    let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("JWT").build();
    components.security_schemes.insert(BEARER.to_owned(), SecurityScheme::Http(bearer));
    for (path, item) in &mut document.paths.paths {
        let operations = [
            ("GET", &mut item.get),
            ("POST", &mut item.post),
            ("PUT", &mut item.put),
            ("PATCH", &mut item.patch),
            ("DELETE", &mut item.delete),
        ];
        for (method, operation) in operations {
            let listed = routes.iter().find(|route| route.method == method && documented(route) == *path);
            if let (Some(operation), Some(listed)) = (operation, listed) {
                complete_operation(operation, listed);
            }
        }
    }
    document
}

/// Answers that have all their fields, null or not.
const ALWAYS_WHOLE: &[&str] = &[
    "Cart",
    "CartItem",
    "Order",
    "Line",
    "Payment",
    "Refund",
    "Product",
    "ProductList",
    "OrderList",
    "Inventory",
    "History",
    "HealthReport",
    "User",
    "PostalAddress",
    "PostalAddressList",
    "Tokens",
    "ApiKeyList",
    "AuditEntry",
    "AuditList",
    "HeldLetter",
    "HeldLetterList",
    "Rotated",
];

fn require_all(schema: Option<&mut RefOr<Schema>>) {
    if let Some(RefOr::T(Schema::Object(object))) = schema {
        object.required = object.properties.keys().cloned().collect();
    }
}

/// Fields that take a closed set of values: schema, field, values.
fn closed_sets() -> Vec<(&'static str, &'static str, Vec<&'static str>)> {
    let methods: Vec<&str> = METHODS.iter().map(|(name, _)| *name).collect();
    let orders: Vec<&str> = order::Status::ALL.into_iter().map(order_code).collect();
    vec![
        ("Order", "status", orders),
        ("Order", "sub_status", vec!["expired", "payment_in_progress", "refunding"]),
        ("Payment", "status", vec!["pending", "approved", "rejected", "refunded"]),
        (
            "Payment",
            "sub_status",
            vec!["awaiting_provider", "requires_action", "authorized", "partially_refunded", "voided"],
        ),
        ("Payment", "payment_method", methods.clone()),
        ("PaymentRequest", "payment_method", methods.clone()),
        ("PaymentRequest", "capture_method", vec!["automatic", "manual"]),
        ("Buyer", "payment_method", methods),
        ("Cart", "status", vec!["open", "checked_out", "expired"]),
        ("Product", "status", vec!["active", "archived"]),
        ("HealthReport", "status", vec!["ready", "draining", "failed"]),
        ("User", "role", vec!["customer", "staff", "admin"]),
        ("NewUser", "role", vec!["customer", "staff", "admin"]),
        ("UserPatch", "role", vec!["customer", "staff", "admin"]),
        ("AuditEntry", "actor", vec!["user", "api_key", "bootstrap_key", "guest"]),
        ("AuditEntry", "role", vec!["customer", "staff", "admin"]),
        ("Rotation", "keys", vec!["signing", "personal_data"]),
        ("Rotated", "keys", vec!["signing", "personal_data"]),
    ]
}

fn close(schema: Option<&mut RefOr<Schema>>, property: &str, values: &[&str]) {
    let Some(RefOr::T(Schema::Object(object))) = schema else { return };
    if let Some(RefOr::T(Schema::Object(field))) = object.properties.get_mut(property) {
        let nullable = matches!(&field.schema_type, SchemaType::Array(types) if types.contains(&Type::Null));
        let null = nullable.then_some(serde_json::Value::Null);
        field.enum_values = Some(values.iter().map(|value| (*value).into()).chain(null).collect());
    }
}

/// A route's path as OpenAPI writes it, which knows no `{*rest}`.
fn documented(route: &Listed) -> String {
    route.template.replace("{*", "{")
}

fn complete_operation(operation: &mut Operation, route: &Listed) {
    let is_api = route.is_api();
    if let (Some(tag), Some(name)) = (operation.tags.iter().flatten().next(), &operation.operation_id) {
        operation.operation_id = Some(format!("{tag}_{name}"));
    }
    parameters::complete(operation);
    for (status, codes) in common_problems(operation, route, is_api) {
        let empty = || RefOr::T(ResponseBuilder::new().build());
        let response = operation.responses.responses.entry(status.to_owned()).or_insert_with(empty);
        if let RefOr::T(response) = response {
            add_codes(response, codes);
        }
    }
    for (status, response) in &mut operation.responses.responses {
        if let (RefOr::T(response), true) = (response, status.starts_with(['4', '5'])) {
            complete_problem(response);
        }
    }
    headers::complete(operation, is_api);
    links::complete(operation);
    if let Access::Needs(permission) = route.access {
        let needs = |scheme| SecurityRequirement::new(scheme, [permission.scope()]);
        let none = for_guests(permission).then(SecurityRequirement::default);
        operation.security = Some(none.into_iter().chain([needs(BEARER), needs(API_KEY)]).collect());
    }
}

fn for_guests(permission: Permission) -> bool {
    Permissions::of_guests().allow(permission)
}

/// Names the codes that the description does not name yet.
fn add_codes(response: &mut Response, codes: &str) {
    for code in codes.split(", ") {
        if !response.description.contains(code) {
            let comma = if response.description.is_empty() { "" } else { ", " };
            response.description.push_str(comma);
            response.description.push_str(code);
        }
    }
}

/// What can go wrong with any request of this form, besides what its handler says itself.
fn common_problems(operation: &Operation, route: &Listed, is_api: bool) -> Vec<(&'static str, &'static str)> {
    let is_post = route.method == "POST";
    let takes_body = operation.request_body.is_some();
    let is_list = route.method == "GET" && has_parameter(operation, "limit");
    let mut problems = vec![("500", "`internal`")];
    if let Access::Needs(permission) = route.access {
        let guests = "`invalid_api_key`, `invalid_token`";
        let others = "`authentication_required`, `invalid_api_key`, `invalid_token`";
        problems.push(("401", if for_guests(permission) { guests } else { others }));
        problems.push(("403", "`forbidden`"));
    }
    if is_api {
        let reads = "`overloaded`, `timeout`, `shutting_down`";
        let writes = "`overloaded`, `outcome_unknown`, `shutting_down`";
        problems.push(("503", if route.method == "GET" { reads } else { writes }));
    }
    if takes_body || is_post {
        let with_key = "`malformed_json`, `idempotency_key_required`, `idempotency_key_invalid`";
        problems.push(("400", if is_post { with_key } else { "`malformed_json`" }));
    }
    problems.push(("408", "`request_timeout`"));
    problems.push(("414", "`uri_too_long`"));
    problems.push(("431", "`headers_too_large`"));
    if takes_body {
        problems.push(("413", "`body_too_large`"));
        problems.push(("415", "`unsupported_media_type`"));
    }
    if takes_body || is_post || is_list {
        problems.push(("422", "`validation_failed`"));
    }
    problems
}

fn has_parameter(operation: &Operation, name: &str) -> bool {
    operation.parameters.iter().flatten().any(|parameter| parameter.name == name)
}

/// Problems are all of one shape.
fn complete_problem(response: &mut Response) {
    if response.content.is_empty() {
        let problem = ContentBuilder::new().schema(Some(Ref::from_schema_name(PROBLEM))).build();
        response.content.insert(PROBLEM_JSON.to_owned(), problem);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;
    use crate::routes;

    fn served() -> Value {
        serde_json::from_slice(&document(routes::site().listed())).unwrap()
    }

    fn operations(document: &Value) -> impl Iterator<Item = (String, &Value)> {
        let paths = document["paths"].as_object().unwrap().iter();
        paths.flat_map(|(path, item)| {
            let methods = item.as_object().unwrap().iter();
            methods.map(move |(method, operation)| (format!("{} {path}", method.to_uppercase()), operation))
        })
    }

    #[test]
    fn every_route_is_documented_and_nothing_else() {
        let site = routes::site();
        let routed = site.listed().iter().map(|route| format!("{} {}", route.method, documented(route)));
        let routed: BTreeSet<String> = routed.collect();
        let document = served();
        assert_eq!(document["openapi"], "3.1.0");
        let written: BTreeSet<String> = operations(&document).map(|(name, _)| name).collect();
        assert_eq!(written, routed);
    }

    #[test]
    fn operation_ids_are_unique() {
        let document = served();
        let ids: BTreeSet<&str> =
            operations(&document).map(|(_, operation)| operation["operationId"].as_str().unwrap()).collect();
        assert_eq!(ids.len(), operations(&document).count(), "{ids:?}");
        assert!(ids.contains("orders_show") && ids.contains("payments_show"), "{ids:?}");
    }

    #[test]
    fn closed_sets_and_whole_answers_say_so() {
        let document = served();
        let schemas = &document["components"]["schemas"];
        for (schema, property, values) in closed_sets() {
            let listed = schemas[schema]["properties"][property]["enum"].as_array();
            let listed = listed.unwrap_or_else(|| panic!("{schema}.{property}"));
            assert!(values.iter().all(|value| listed.contains(&Value::from(*value))), "{schema}.{property}");
        }
        for name in ALWAYS_WHOLE {
            let properties = schemas[name]["properties"].as_object().map(serde_json::Map::len);
            assert_eq!(schemas[name]["required"].as_array().map(Vec::len), properties, "{name}");
            assert!(properties > Some(0), "{name}");
        }
    }

    #[test]
    fn every_refusal_is_a_problem_and_none_is_left_to_a_default() {
        let document = served();
        for (name, operation) in operations(&document) {
            let responses = operation["responses"].as_object().unwrap();
            assert!(responses.contains_key("500") && !responses.contains_key("default"), "{name}");
            for (status, response) in responses.iter().filter(|(status, _)| status.starts_with(['4', '5'])) {
                let schema = &response["content"][PROBLEM_JSON]["schema"]["$ref"];
                assert_eq!(schema, "#/components/schemas/Problem", "{name} {status}");
            }
        }
    }

    #[test]
    fn every_code_that_is_named_exists_and_every_reference_leads_somewhere() {
        let document = served();
        let codes: BTreeSet<&str> = Kind::ALL.iter().map(|kind| kind.code).collect();
        for (name, operation) in operations(&document) {
            for (status, response) in operation["responses"].as_object().unwrap() {
                let description = response["description"].as_str().unwrap();
                if status.starts_with(['4', '5']) {
                    let named = description.split(',').filter_map(|part| part.split('`').nth(1));
                    assert!(named.clone().count() > 0, "{name} {status}: {description}");
                    assert!(named.clone().all(|code| codes.contains(code)), "{name} {status}: {description}");
                }
            }
        }
        let text = document.to_string();
        for part in text.split("\"#/components/schemas/").skip(1) {
            let schema = part.split('"').next().unwrap();
            assert!(document["components"]["schemas"][schema].is_object(), "{schema}");
        }
    }
}
