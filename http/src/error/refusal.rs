//! Which problem each rejection of the domain is.

use relampago_actors::line::LineError;
use relampago_actors::{Rejection, api_keys, cart, inventory, order, payment, product, user};

use super::{Extra, FieldError, Kind, Problem};

impl From<Rejection> for Problem {
    fn from(rejection: Rejection) -> Self {
        let detail = sentence(&rejection);
        match rejection {
            Rejection::Product(rejection) => product(rejection, detail),
            Rejection::Inventory(rejection) => inventory(&rejection, detail),
            Rejection::Cart(rejection) => cart(rejection, detail),
            Rejection::Order(rejection) => order(rejection, detail),
            Rejection::Payment(rejection) => payment(&rejection, detail),
            Rejection::User(rejection) => Self::new(user(rejection), detail),
            Rejection::ApiKey(rejection) => Self::new(api_key(rejection), detail),
            Rejection::KeyReused => Self::new(Kind::KEY_REUSED, detail),
        }
    }
}

/// The rejection's own words as a sentence.
fn sentence(rejection: &Rejection) -> String {
    let mut text = rejection.to_string();
    if let Some(first) = text.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    text.push('.');
    text
}

fn product(rejection: product::Rejection, detail: String) -> Problem {
    match rejection {
        product::Rejection::NotFound => Problem::new(Kind::PRODUCT_NOT_FOUND, detail),
        product::Rejection::SkuTaken => Problem::new(Kind::SKU_TAKEN, detail),
        product::Rejection::Immutable { field } => Problem::field(field.to_string(), "cannot be changed"),
        product::Rejection::Price(error) => Problem::field("price", error.to_string()),
        product::Rejection::VersionConflict { .. } => Problem::new(Kind::VERSION_CONFLICT, detail),
    }
}

fn inventory(rejection: &inventory::Rejection, detail: String) -> Problem {
    match rejection {
        inventory::Rejection::NotFound => Problem::new(Kind::INVENTORY_NOT_FOUND, detail),
        inventory::Rejection::InsufficientStock { .. } => Problem::new(Kind::INSUFFICIENT_STOCK, detail),
        inventory::Rejection::TooMany => Problem::field("delta", detail),
    }
}

fn cart(rejection: cart::Rejection, detail: String) -> Problem {
    use cart::Rejection as R;
    match rejection {
        R::NotFound => Problem::new(Kind::CART_NOT_FOUND, detail),
        R::ItemNotFound => Problem::new(Kind::ITEM_NOT_FOUND, detail),
        R::Line(error) => line(&error, "quantity", detail),
        R::Empty => Problem::new(Kind::CART_EMPTY, detail),
        R::CheckedOut { order } => {
            Problem::new(Kind::CART_CHECKED_OUT, detail).with_extra(Extra::Order(order))
        }
        R::CheckingOut => Problem::new(Kind::CHECKOUT_IN_PROGRESS, detail),
        R::Expired => Problem::new(Kind::CART_EXPIRED, detail),
        R::PriceChanged { items } => {
            Problem::new(Kind::PRICE_CHANGED, detail).with_extra(Extra::Prices(items))
        }
        R::Unavailable { .. } => Problem::new(Kind::PRODUCT_UNAVAILABLE, detail),
        R::VersionConflict { .. } => Problem::new(Kind::VERSION_CONFLICT, detail),
    }
}

fn order(rejection: order::Rejection, detail: String) -> Problem {
    use order::Rejection as R;
    let kind = match rejection {
        R::Items(error) => return line(&error, "items", detail),
        R::OutOfStock { items } => {
            return Problem::new(Kind::OUT_OF_STOCK, detail).with_extra(Extra::Shortages(items));
        }
        R::CartCheckedOut { order } => {
            return Problem::new(Kind::CART_CHECKED_OUT, detail).with_extra(Extra::Order(order));
        }
        R::NotFound => Kind::ORDER_NOT_FOUND,
        R::Lapsed => Kind::CHECKOUT_INTERRUPTED,
        R::NotCancellable => Kind::ORDER_NOT_CANCELLABLE,
        R::RefundFailed => Kind::REFUND_FAILED,
        R::PaymentInProgress => Kind::PAYMENT_IN_PROGRESS,
        R::AlreadyPaid => Kind::ALREADY_PAID,
        R::NotPayable => Kind::ORDER_NOT_PAYABLE,
        R::ReservationExpired => Kind::RESERVATION_EXPIRED,
        R::AmountMismatch { .. } => Kind::AMOUNT_MISMATCH,
    };
    Problem::new(kind, detail)
}

fn payment(rejection: &payment::Rejection, detail: String) -> Problem {
    use payment::Rejection as R;
    let kind = match rejection {
        R::NotFound => Kind::PAYMENT_NOT_FOUND,
        R::NotConfirmable => Kind::PAYMENT_NOT_CONFIRMABLE,
        R::NotCapturable => Kind::PAYMENT_NOT_CAPTURABLE,
        R::NotRefundable => Kind::PAYMENT_NOT_REFUNDABLE,
        R::RefundInProgress => Kind::REFUND_IN_PROGRESS,
        R::RefundAmount { .. } => Kind::REFUND_EXCEEDS_PAYMENT,
        R::RefundFailed { .. } => Kind::REFUND_FAILED,
    };
    Problem::new(kind, detail)
}

fn user(rejection: user::Rejection) -> Kind {
    use user::Rejection as R;
    match rejection {
        R::NotFound => Kind::USER_NOT_FOUND,
        R::EmailTaken => Kind::EMAIL_TAKEN,
        R::Busy => Kind::CHANGE_IN_PROGRESS,
        R::NotAllowed => Kind::FORBIDDEN,
        R::VersionConflict { .. } => Kind::VERSION_CONFLICT,
        R::AddressNotFound => Kind::ADDRESS_NOT_FOUND,
        R::TooManyAddresses => Kind::TOO_MANY_ADDRESSES,
        R::SessionEnded => Kind::INVALID_TOKEN,
        R::RefreshReused => Kind::REFRESH_TOKEN_REUSED,
        R::CredentialsChanged => Kind::CREDENTIALS_CHANGED,
        R::InvalidToken => Kind::MAILED_TOKEN_INVALID,
    }
}

fn api_key(rejection: api_keys::Rejection) -> Kind {
    match rejection {
        api_keys::Rejection::NotFound => Kind::API_KEY_NOT_FOUND,
        api_keys::Rejection::Invalid => Kind::INVALID_API_KEY,
        api_keys::Rejection::TooMany => Kind::TOO_MANY_API_KEYS,
    }
}

/// `field` is what to blame where the error names no line of its own.
fn line(error: &LineError, field: &'static str, detail: String) -> Problem {
    match error {
        LineError::UnknownProduct { index } if field == "items" => {
            let at = FieldError { field: format!("items[{index}]").into(), message: detail.clone().into() };
            Problem::new(Kind::PRODUCT_NOT_FOUND, detail).with_errors(vec![at])
        }
        LineError::UnknownProduct { .. } => {
            Problem::new(Kind::PRODUCT_NOT_FOUND, "There is no such product on sale.")
        }
        LineError::TooMany { .. }
        | LineError::TooManyLines
        | LineError::TotalTooLarge
        | LineError::MixedCurrency { .. } => Problem::field(field, detail),
    }
}
