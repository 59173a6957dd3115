//! The table of problems: status, stable code, title, and whether the same request may succeed later.

use axum::http::StatusCode;

/// What a problem is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Kind {
    /// The HTTP status.
    pub(crate) status: StatusCode,
    /// Stable, snake case: what programs look at.
    pub(crate) code: &'static str,
    /// For people; the same for every problem of the kind.
    pub(crate) title: &'static str,
    /// Whether the same request, with the same key, may succeed later.
    pub(crate) retryable: bool,
}

impl Kind {
    const fn new(status: StatusCode, code: &'static str, title: &'static str) -> Self {
        Self { status, code, title, retryable: false }
    }

    const fn retryable(self) -> Self {
        Self { retryable: true, ..self }
    }
}

macro_rules! kinds {
    ($($name:ident $status:ident $code:literal $title:literal $($retryable:ident)?;)*) => {
        impl Kind {
            $(
                #[doc = $title]
                pub(crate) const $name: Self = Self::new(StatusCode::$status, $code, $title)$(.$retryable())?;
            )*

            /// Every kind there is.
            pub(crate) const ALL: &[Self] = &[$(Self::$name),*];
        }
    };
}

kinds! {
    BAD_REQUEST BAD_REQUEST "bad_request" "The request is not well-formed HTTP";
    MALFORMED_JSON BAD_REQUEST "malformed_json" "The body is not well-formed JSON";
    KEY_REQUIRED BAD_REQUEST "idempotency_key_required" "An idempotency key is required";
    KEY_INVALID BAD_REQUEST "idempotency_key_invalid" "The idempotency key is not acceptable";
    AUTHENTICATION_REQUIRED UNAUTHORIZED "authentication_required" "A credential is required";
    INVALID_API_KEY UNAUTHORIZED "invalid_api_key" "The API key is not valid";
    INVALID_TOKEN UNAUTHORIZED "invalid_token" "The access token is not valid";
    INVALID_CREDENTIALS UNAUTHORIZED "invalid_credentials" "The e-mail address or the password is wrong";
    INVALID_REFRESH_TOKEN UNAUTHORIZED "invalid_refresh_token" "The refresh token is not valid";
    REFRESH_TOKEN_REUSED UNAUTHORIZED "refresh_token_reused" "The refresh token was used before";
    PAYMENT_DECLINED PAYMENT_REQUIRED "payment_declined" "The payment was declined";
    FORBIDDEN FORBIDDEN "forbidden" "The caller may not do this";
    NOT_FOUND NOT_FOUND "not_found" "There is no such resource";
    PRODUCT_NOT_FOUND NOT_FOUND "product_not_found" "There is no such product";
    INVENTORY_NOT_FOUND NOT_FOUND "inventory_not_found" "There is no such sku";
    CART_NOT_FOUND NOT_FOUND "cart_not_found" "There is no such cart";
    ITEM_NOT_FOUND NOT_FOUND "item_not_found" "The cart has no such item";
    ORDER_NOT_FOUND NOT_FOUND "order_not_found" "There is no such order";
    PAYMENT_NOT_FOUND NOT_FOUND "payment_not_found" "There is no such payment";
    USER_NOT_FOUND NOT_FOUND "user_not_found" "There is no such user";
    ADDRESS_NOT_FOUND NOT_FOUND "address_not_found" "The user has no such address";
    API_KEY_NOT_FOUND NOT_FOUND "api_key_not_found" "There is no such API key";
    KEY_IN_FLIGHT CONFLICT "idempotency_in_flight" "The first request under this key still runs" retryable;
    METHOD_NOT_ALLOWED METHOD_NOT_ALLOWED "method_not_allowed" "The method is not allowed here";
    REQUEST_TIMEOUT REQUEST_TIMEOUT "request_timeout" "The request took too long to arrive" retryable;
    EMAIL_TAKEN CONFLICT "email_taken" "The e-mail address is taken";
    CHANGE_IN_PROGRESS CONFLICT "change_in_progress" "Another change is in progress" retryable;
    CREDENTIALS_CHANGED CONFLICT "credentials_changed" "The credentials have changed" retryable;
    TOO_MANY_ADDRESSES CONFLICT "too_many_addresses" "The user has too many addresses";
    TOO_MANY_API_KEYS CONFLICT "too_many_api_keys" "There are too many API keys";
    SKU_TAKEN CONFLICT "sku_taken" "The sku is taken";
    INSUFFICIENT_STOCK CONFLICT "insufficient_stock" "There are not so many units";
    CART_EMPTY CONFLICT "cart_empty" "The cart is empty";
    CART_CHECKED_OUT CONFLICT "cart_checked_out" "The cart was checked out";
    CHECKOUT_IN_PROGRESS CONFLICT "checkout_in_progress" "The cart is being checked out" retryable;
    CART_EXPIRED CONFLICT "cart_expired" "The cart has expired";
    PRICE_CHANGED CONFLICT "price_changed" "Prices have changed";
    PRODUCT_UNAVAILABLE CONFLICT "product_unavailable" "A product is no longer on sale";
    OUT_OF_STOCK CONFLICT "out_of_stock" "Not enough stock";
    ORDER_NOT_CANCELLABLE CONFLICT "order_not_cancellable" "The order cannot be cancelled any more";
    PAYMENT_IN_PROGRESS CONFLICT "payment_in_progress" "A payment is in progress" retryable;
    ALREADY_PAID CONFLICT "already_paid" "The order is already paid";
    ORDER_NOT_PAYABLE CONFLICT "order_not_payable" "The order cannot be paid";
    REFUND_FAILED CONFLICT "refund_failed" "The refund failed";
    REFUND_IN_PROGRESS CONFLICT "refund_in_progress" "A refund is in progress" retryable;
    PAYMENT_NOT_REFUNDABLE CONFLICT "payment_not_refundable" "The payment has nothing to refund";
    PAYMENT_NOT_CONFIRMABLE CONFLICT "payment_not_confirmable" "The payment waits for no confirmation";
    PAYMENT_NOT_CAPTURABLE CONFLICT "payment_not_capturable" "The payment waits for no capture";
    RESERVATION_EXPIRED GONE "reservation_expired" "The reservation has expired";
    VERSION_CONFLICT PRECONDITION_FAILED "version_conflict" "The resource has changed";
    URI_TOO_LONG URI_TOO_LONG "uri_too_long" "The path and query are too long";
    HEADERS_TOO_LARGE REQUEST_HEADER_FIELDS_TOO_LARGE "headers_too_large" "The headers are too large";
    BODY_TOO_LARGE PAYLOAD_TOO_LARGE "body_too_large" "The request body is too large";
    UNSUPPORTED_MEDIA_TYPE UNSUPPORTED_MEDIA_TYPE "unsupported_media_type" "The body must be JSON";
    VALIDATION_FAILED UNPROCESSABLE_ENTITY "validation_failed" "Some fields are not acceptable";
    KEY_REUSED UNPROCESSABLE_ENTITY "idempotency_key_reused" "The key was used with another request";
    AMOUNT_MISMATCH UNPROCESSABLE_ENTITY "amount_mismatch" "The amount is not the order's total";
    REFUND_EXCEEDS_PAYMENT UNPROCESSABLE_ENTITY "refund_exceeds_payment" "More than is left to refund";
    MAILED_TOKEN_INVALID UNPROCESSABLE_ENTITY "mailed_token_invalid" "The mailed token is not valid";
    TOO_MANY_ATTEMPTS TOO_MANY_REQUESTS "too_many_attempts" "Too many failed attempts" retryable;
    INTERNAL INTERNAL_SERVER_ERROR "internal" "The server made a mistake";
    OVERLOADED SERVICE_UNAVAILABLE "overloaded" "The server is at its limit" retryable;
    SHUTTING_DOWN SERVICE_UNAVAILABLE "shutting_down" "The server is shutting down" retryable;
    OUTCOME_UNKNOWN SERVICE_UNAVAILABLE "outcome_unknown" "The outcome is unknown" retryable;
    TIMEOUT SERVICE_UNAVAILABLE "timeout" "The answer took too long" retryable;
    CHECKOUT_INTERRUPTED SERVICE_UNAVAILABLE "checkout_interrupted" "The checkout was interrupted" retryable;
    NOT_READY SERVICE_UNAVAILABLE "not_ready" "The server takes no work now" retryable;
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn codes_are_unique_and_snake_case() {
        let codes: HashSet<&str> = Kind::ALL.iter().map(|kind| kind.code).collect();
        assert_eq!(codes.len(), Kind::ALL.len());
        for code in codes {
            assert!(code.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{code}");
        }
    }

    #[test]
    fn every_server_error_but_our_own_mistake_may_be_tried_again() {
        for kind in Kind::ALL.iter().filter(|kind| kind.status.is_server_error()) {
            assert_eq!(kind.retryable, *kind != Kind::INTERNAL, "{}", kind.code);
        }
    }
}
