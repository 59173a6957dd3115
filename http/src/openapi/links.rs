//! What can be done next with what an answer tells: the ways through the shop.

use serde_json::Value;
use utoipa::openapi::RefOr;
use utoipa::openapi::link::{Link, LinkBuilder};
use utoipa::openapi::path::Operation;

const ID: &str = "$response.body#/id";
const SAME_ID: &str = "$request.path.id";

/// Values for a call, by name: where they are found.
type Values = &'static [(&'static str, &'static str)];

/// Which calls follow a call that succeeds, with which parameters.
const NEXT: &[(&str, &[(&str, Values)])] = &[
    (
        "products_create",
        &[
            ("products_show", &[("id", ID)]),
            ("products_change", &[("id", ID)]),
            ("products_replace", &[("id", ID)]),
            ("products_archive", &[("id", ID)]),
            ("inventory_show", &[("sku", "$response.body#/sku")]),
            ("inventory_adjust", &[("sku", "$response.body#/sku")]),
        ],
    ),
    ("products_change", &[("products_show", &[("id", SAME_ID)]), ("products_archive", &[("id", SAME_ID)])]),
    ("inventory_adjust", &[("inventory_show", &[("sku", "$request.path.sku")])]),
    (
        "carts_create",
        &[("carts_add", &[("id", ID)]), ("carts_show", &[("id", ID)]), ("carts_delete", &[("id", ID)])],
    ),
    (
        "carts_add",
        &[
            ("checkout_check_out", &[("id", ID)]),
            ("carts_set_quantity", &[("id", ID), ("item_id", "$response.body#/items/0/id")]),
            ("carts_remove", &[("id", ID), ("item_id", "$response.body#/items/0/id")]),
            ("carts_clear", &[("id", ID)]),
        ],
    ),
    ("carts_set_quantity", &[("checkout_check_out", &[("id", ID)])]),
    ("checkout_check_out", AFTER_A_PURCHASE),
    ("checkout_place", AFTER_A_PURCHASE),
    ("orders_cancel", &[("orders_show", &[("id", ID)]), ("orders_history", &[("id", ID)])]),
    (
        "payments_process",
        &[
            ("payments_show", &[("id", ID)]),
            ("payments_confirm", &[("id", ID)]),
            ("payments_capture", &[("id", ID)]),
            ("payments_refund", &[("id", ID)]),
            ("orders_show", &[("id", "$response.body#/order_id")]),
            ("orders_cancel", &[("id", "$response.body#/order_id")]),
        ],
    ),
    ("payments_confirm", AFTER_A_CHANGE_OF_A_PAYMENT),
    ("payments_capture", AFTER_A_CHANGE_OF_A_PAYMENT),
    ("payments_refund", AFTER_A_CHANGE_OF_A_PAYMENT),
    (
        "users_register",
        &[
            ("users_show", &[("id", ID)]),
            ("users_change", &[("id", ID)]),
            ("users_orders", &[("id", ID)]),
            ("users_add", &[("id", ID)]),
            ("users_erase", &[("id", ID)]),
        ],
    ),
    (
        "users_add",
        &[
            ("users_list", &[("id", SAME_ID)]),
            ("users_replace", &[("id", SAME_ID), ("address_id", ID)]),
            ("users_remove", &[("id", SAME_ID), ("address_id", ID)]),
        ],
    ),
    ("api-keys_create", &[("api-keys_show", &[("id", ID)]), ("api-keys_revoke", &[("id", ID)])]),
    ("auth_login", &[("auth_refresh", &[])]),
];

const AFTER_A_PURCHASE: &[(&str, Values)] = &[
    ("payments_process", &[]),
    ("orders_show", &[("id", ID)]),
    ("orders_history", &[("id", ID)]),
    ("orders_cancel", &[("id", ID)]),
];

const AFTER_A_CHANGE_OF_A_PAYMENT: &[(&str, Values)] = &[
    ("payments_show", &[("id", ID)]),
    ("orders_show", &[("id", "$response.body#/order_id")]),
    ("orders_history", &[("id", "$response.body#/order_id")]),
];

/// What a call takes in its body from the answer before it.
const BODIES: &[(&str, Values)] = &[
    ("payments_process", &[("order_id", ID), ("amount", "$response.body#/total")]),
    ("auth_refresh", &[("refresh_token", "$response.body#/refresh_token")]),
];

/// Adds to an operation's success what follows it.
pub(super) fn complete(operation: &mut Operation) {
    let name = operation.operation_id.as_deref().unwrap_or_default();
    let Some((_, following)) = NEXT.iter().find(|(after, _)| *after == name) else { return };
    for (status, response) in &mut operation.responses.responses {
        if let (RefOr::T(response), true) = (response, status.starts_with('2')) {
            let links =
                following.iter().map(|(to, parameters)| ((*to).to_owned(), link(to, parameters).into()));
            response.links.extend(links);
        }
    }
}

/// A link, with two of its names put down as what the library lets through as it is: it would write `operation_id`.
fn link(to: &str, parameters: Values) -> Link {
    let body = BODIES.iter().find(|(call, _)| *call == to).map(|(_, values)| {
        let fields = values.iter().map(|(name, value)| ((*name).to_owned(), Value::from(*value)));
        ("requestBody", Value::Object(fields.collect()))
    });
    let names = [("operationId", Value::from(to))].into_iter().chain(body);
    let link = LinkBuilder::new().extensions(Some(names.collect()));
    parameters.iter().fold(link, |link, (name, value)| link.parameter(*name, *value)).build()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::Map;

    use super::*;
    use crate::openapi::document;
    use crate::routes;

    /// Every operation of the served document, by its id.
    fn operations(document: &Value) -> Map<String, Value> {
        let paths = document["paths"].as_object().unwrap().values();
        let operations = paths.flat_map(|item| item.as_object().unwrap().values());
        operations
            .map(|operation| (operation["operationId"].as_str().unwrap().to_owned(), operation.clone()))
            .collect()
    }

    #[test]
    fn every_link_is_served_and_leads_to_a_call_with_all_of_its_path() {
        let document: Value = serde_json::from_slice(&document(routes::site().listed())).unwrap();
        let operations = operations(&document);
        for (after, following) in NEXT {
            let responses = operations[*after]["responses"].as_object().unwrap();
            let success = responses.iter().find(|(status, _)| status.starts_with('2')).unwrap().1;
            for (to, parameters) in *following {
                assert_eq!(success["links"][to]["operationId"], *to, "{after}");
                let takes = operations[*to]["parameters"].as_array().unwrap();
                let in_path = takes.iter().filter(|parameter| parameter["in"] == "path");
                let names: Vec<&str> = in_path.map(|parameter| parameter["name"].as_str().unwrap()).collect();
                let given: Vec<&str> = parameters.iter().map(|(name, _)| *name).collect();
                assert_eq!(names, given, "{after} to {to}");
                let takes_body = BODIES.iter().any(|(call, _)| call == to);
                assert_eq!(success["links"][to]["requestBody"].is_object(), takes_body, "{after} to {to}");
            }
        }
    }
}
