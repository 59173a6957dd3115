//! Parameters that mean the same in all operations.

use utoipa::openapi::path::{Operation, Parameter};
use utoipa::openapi::schema::{Object, Schema, SchemaType, Type};
use utoipa::openapi::{RefOr, Required};

use crate::idempotency::MAX_LENGTH as MOST_KEY;
use crate::page::MAX_LIMIT;

/// Completes the schemas of an operation's parameters.
pub(super) fn complete(operation: &mut Operation) {
    for parameter in operation.parameters.iter_mut().flatten() {
        let Parameter { name, required, schema: Some(RefOr::T(Schema::Object(schema))), .. } = parameter
        else {
            continue;
        };
        if matches!(required, Required::False) {
            never_null(schema);
        }
        narrow(schema, name);
    }
}

/// A parameter can be left out, but there is no way to write null.
fn never_null(schema: &mut Object) {
    if let SchemaType::Array(types) = &mut schema.schema_type {
        types.retain(|kind| *kind != Type::Null);
        if let [only] = &types[..] {
            schema.schema_type = SchemaType::Type(only.clone());
        }
    }
}

fn narrow(schema: &mut Object, name: &str) {
    match name {
        "limit" => {
            schema.minimum = Some(1usize.into());
            schema.maximum = Some(MAX_LIMIT.into());
        }
        "Idempotency-Key" => {
            schema.min_length = Some(1);
            schema.max_length = Some(MOST_KEY);
            schema.pattern = Some("^[!-~]+$".to_owned());
        }
        _ => {}
    }
}
