//! `/api/v1/products`: the catalogue.

use std::sync::Arc;

use axum::http::StatusCode;
use axum::response::Response;
use relampago_actors::access::Permission;
use relampago_actors::inventory::MAX_UNITS;
use relampago_actors::money::Currency;
use relampago_actors::product::{Command, Details, Patch, Status, View};
use relampago_actors::{Address, Id, Message, Reply};
use relampago_engine::{ProductKey, ProductOrder, ProductQuery};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::answer::{self, Stamp};
use crate::error::{Kind, Problem};
use crate::etag::ETag;
use crate::extract::Call;
use crate::fields::{self, Fault, Fields};
use crate::idempotency::id_for;
use crate::json::{Amount, Product, ProductList};
use crate::page::{Cursor, ListQuery, SortKey};

/// Longest sku, characters.
pub(super) const MAX_SKU: usize = 64;
const MAX_NAME: usize = 200;
const MAX_DESCRIPTION: usize = 10_000;
const MAX_CATEGORY: usize = 100;

/// A product to be made.
#[derive(ToSchema)]
pub(crate) struct NewProduct {
    #[schema(value_type = String, min_length = 1, max_length = 200, example = "Storm lamp")]
    name: Arc<str>,
    price: Amount,
    /// Visible ASCII without slashes, beginning with a letter or digit; made up if left out.
    #[schema(value_type = Option<String>, min_length = 1, max_length = 64, example = "LAMP-1")]
    sku: Option<Arc<str>>,
    #[schema(value_type = Option<String>, max_length = 10_000)]
    description: Option<Arc<str>>,
    /// ISO 4217; the shop's own if left out.
    #[schema(value_type = Option<String>, example = "USD")]
    currency: Option<Currency>,
    /// Units to sell; none if left out.
    #[schema(minimum = 0, example = 1000)]
    stock_quantity: Option<i64>,
    #[schema(value_type = Option<String>, min_length = 1, max_length = 100, example = "outdoor")]
    category: Option<Arc<str>>,
}

impl NewProduct {
    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        let name = fields.required("name", fields::text(1..=MAX_NAME));
        let price = fields.required("price", fields::decimal);
        let sku = fields.optional("sku", sku);
        let description = fields.optional("description", fields::text(0..=MAX_DESCRIPTION));
        let currency = fields.optional("currency", fields::currency);
        let stock_quantity = fields.optional("stock_quantity", fields::whole(0..=MAX_UNITS));
        let category = fields.optional("category", fields::text(1..=MAX_CATEGORY));
        let (name, price) = (name?, Amount(price?));
        Some(Self { name, price, sku, description, currency, stock_quantity, category })
    }
}

/// All of a product that can be changed, to replace what is there.
#[derive(ToSchema)]
pub(crate) struct ProductReplacement {
    #[schema(value_type = String, min_length = 1, max_length = 200, example = "Storm lamp")]
    name: Arc<str>,
    price: Amount,
    /// Empty if left out.
    #[schema(value_type = Option<String>, max_length = 10_000)]
    description: Option<Arc<str>>,
    /// None if left out.
    #[schema(value_type = Option<String>, min_length = 1, max_length = 100)]
    category: Option<Arc<str>>,
    /// What can be sold from now on; unchanged if left out.
    #[schema(minimum = 0)]
    stock_quantity: Option<i64>,
    /// A sku never changes: only the one it has is accepted.
    #[schema(value_type = Option<String>)]
    sku: Option<Arc<str>>,
    /// A currency never changes: only the one it has is accepted.
    #[schema(value_type = Option<String>)]
    currency: Option<Currency>,
}

impl ProductReplacement {
    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        let new = NewProduct::read(fields)?;
        let NewProduct { name, price, sku, description, currency, stock_quantity, category } = new;
        Some(Self { name, price, description, category, stock_quantity, sku, currency })
    }

    fn patch(self, if_version: Option<u64>) -> Patch {
        Patch {
            name: Some(self.name),
            description: Some(self.description.unwrap_or_default()),
            category: Some(self.category),
            price: Some(self.price.0),
            stock: self.stock_quantity,
            sku: self.sku,
            currency: self.currency,
            if_version,
        }
    }
}

/// What of a product shall change; what is left out stays as it is.
#[derive(ToSchema)]
pub(crate) struct ProductChange {
    #[schema(value_type = String, required = false, min_length = 1, max_length = 200)]
    name: Option<Arc<str>>,
    #[schema(value_type = Amount, required = false)]
    price: Option<Amount>,
    /// Null empties it.
    #[schema(value_type = Option<String>, max_length = 10_000)]
    description: Option<Arc<str>>,
    /// Null takes it away.
    #[schema(value_type = Option<String>, min_length = 1, max_length = 100)]
    category: Option<Option<Arc<str>>>,
    /// What can be sold from now on.
    #[schema(value_type = i64, required = false, minimum = 0, example = 1500)]
    stock_quantity: Option<i64>,
    /// A sku never changes: only the one it has is accepted.
    #[schema(value_type = String, required = false)]
    sku: Option<Arc<str>>,
    /// A currency never changes: only the one it has is accepted.
    #[schema(value_type = String, required = false)]
    currency: Option<Currency>,
}

impl ProductChange {
    fn read(fields: &mut Fields<'_>) -> Self {
        Self {
            name: fields.changed("name", fields::text(1..=MAX_NAME)),
            price: fields.changed("price", fields::decimal).map(Amount),
            description: fields
                .present("description", fields::text(0..=MAX_DESCRIPTION))
                .map(Option::unwrap_or_default),
            category: fields.present("category", fields::text(1..=MAX_CATEGORY)),
            stock_quantity: fields.changed("stock_quantity", fields::whole(0..=MAX_UNITS)),
            sku: fields.changed("sku", sku),
            currency: fields.changed("currency", fields::currency),
        }
    }

    fn patch(self, if_version: Option<u64>) -> Patch {
        Patch {
            name: self.name,
            description: self.description,
            category: self.category,
            price: self.price.map(|price| price.0),
            stock: self.stock_quantity,
            sku: self.sku,
            currency: self.currency,
            if_version,
        }
    }
}

/// A sku is a part of paths.
fn sku(raw: &RawValue) -> Result<Arc<str>, Fault> {
    let sku = fields::text(1..=MAX_SKU)(raw)?;
    let plain = sku.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'/');
    if plain && sku.starts_with(|first: char| first.is_ascii_alphanumeric()) {
        return Ok(sku);
    }
    Err("must be visible ASCII without slashes and begin with a letter or digit".into())
}

/// Makes a product.
#[utoipa::path(
    post, path = "/api/v1/products", tag = "products", request_body = NewProduct,
    params(("Idempotency-Key" = Option<String>, Header, description = "Makes the request safe to repeat.")),
    responses(
        (status = 201, description = "The product.", body = Product<'_>, headers(("Location" = String))),
        (status = 409, description = "`sku_taken`, `idempotency_in_flight`"),
        (status = 422, description = "`validation_failed`, `idempotency_key_reused`"),
    ),
)]
pub(crate) async fn create(mut call: Call) -> Result<Response, Problem> {
    let key = call.key()?;
    let body = call.body().await?;
    let mut fields = Fields::parse(&body)?;
    let new = NewProduct::read(&mut fields);
    let currency = new.as_ref().and_then(|new| new.currency).unwrap_or(call.app.currency);
    let price = new.as_ref().map(|new| new.price.0.minor(currency));
    if let Some(Err(error)) = price {
        fields.fault("price", error.to_string().into());
    }
    let (new, price) = fields.finish(new.zip(price.and_then(Result::ok)))?;

    let tag = key.map(|key| call.tag(&key, &body));
    let id = id_for(call.secret(), "product", tag);
    let details = Details {
        sku: new.sku.unwrap_or_else(|| id.to_string().into()),
        name: new.name,
        description: new.description.unwrap_or_default(),
        category: new.category,
        price,
        currency,
    };
    let create = Command::Create { details, stock: new.stock_quantity.unwrap_or(0), tag };
    let answered = call.ask(Address::product(id), Message::Product(create)).await?;
    let stamp = Stamp::from(&answered);
    let view = product(answered.reply)?;
    let response = answer::entity(StatusCode::CREATED, &Product::from(&*view), tag_of(&view), stamp)?;
    Ok(answer::located(response, format_args!("/api/v1/products/{id}")))
}

/// Shows a product. Archived ones are for staff.
#[utoipa::path(
    get, path = "/api/v1/products/{id}", tag = "products",
    params(("id" = String, Path), ("If-None-Match" = Option<String>, Header)),
    responses(
        (status = 200, description = "The product.", body = Product<'_>),
        (status = 304, description = "It is as the caller has it."),
        (status = 404, description = "`product_not_found`"),
    ),
)]
pub(crate) async fn show(call: Call) -> Result<Response, Problem> {
    let id = call.id("id", Kind::PRODUCT_NOT_FOUND)?;
    let answered = call.ask(Address::product(id), Message::Product(Command::Get)).await?;
    let stamp = Stamp::from(&answered);
    let (commit, view) = (answered.commit, product(answered.reply)?);
    if view.status == Status::Archived && !call.caller.may(Permission::CatalogueWrite) {
        return Err(Problem::new(Kind::PRODUCT_NOT_FOUND, "There is no such product.").at(commit));
    }
    answer::shown(call.headers(), &Product::from(&*view), tag_of(&view), stamp)
}

/// Replaces a product.
#[utoipa::path(
    put, path = "/api/v1/products/{id}", tag = "products", request_body = ProductReplacement,
    params(("id" = String, Path), ("If-Match" = Option<String>, Header, description = "Only its version counts.")),
    responses(
        (status = 200, description = "The product as it is now.", body = Product<'_>),
        (status = 404, description = "`product_not_found`"),
        (status = 412, description = "`version_conflict`"),
    ),
)]
pub(crate) async fn replace(mut call: Call) -> Result<Response, Problem> {
    let id = call.id("id", Kind::PRODUCT_NOT_FOUND)?;
    let body = call.body().await?;
    let mut fields = Fields::parse(&body)?;
    let replacement = ProductReplacement::read(&mut fields);
    let replacement = fields.finish(replacement)?;
    let if_version = call.expected_version(current_version(&call, id)).await?;
    carry_out(&call, id, replacement.patch(if_version)).await
}

/// Changes a product.
#[utoipa::path(
    patch, path = "/api/v1/products/{id}", tag = "products", request_body = ProductChange,
    params(("id" = String, Path), ("If-Match" = Option<String>, Header, description = "Only its version counts.")),
    responses(
        (status = 200, description = "The product as it is now.", body = Product<'_>),
        (status = 404, description = "`product_not_found`"),
        (status = 412, description = "`version_conflict`"),
    ),
)]
pub(crate) async fn change(mut call: Call) -> Result<Response, Problem> {
    let id = call.id("id", Kind::PRODUCT_NOT_FOUND)?;
    let body = call.body().await?;
    let mut fields = Fields::parse(&body)?;
    let change = ProductChange::read(&mut fields);
    let change = fields.finish(Some(change))?;
    let if_version = call.expected_version(current_version(&call, id)).await?;
    carry_out(&call, id, change.patch(if_version)).await
}

async fn carry_out(call: &Call, id: Id, patch: Patch) -> Result<Response, Problem> {
    let answered = call.ask(Address::product(id), Message::Product(Command::Change(patch))).await?;
    let stamp = Stamp::from(&answered);
    let view = product(answered.reply)?;
    answer::entity(StatusCode::OK, &Product::from(&*view), tag_of(&view), stamp)
}

/// Takes a product off the shelf. Its sku stays taken; orders and reservations are left alone.
#[utoipa::path(
    delete, path = "/api/v1/products/{id}", tag = "products",
    params(("id" = String, Path), ("If-Match" = Option<String>, Header, description = "Only its version counts.")),
    responses(
        (status = 204, description = "It is archived."),
        (status = 404, description = "`product_not_found`"),
        (status = 412, description = "`version_conflict`"),
    ),
)]
pub(crate) async fn archive(call: Call) -> Result<Response, Problem> {
    let id = call.id("id", Kind::PRODUCT_NOT_FOUND)?;
    let if_version = call.expected_version(current_version(&call, id)).await?;
    let archive = Message::Product(Command::Archive { if_version });
    let answered = call.ask(Address::product(id), archive).await?;
    Ok(answer::gone(Stamp::from(&answered)))
}

/// Lists products. Archived ones are for staff.
#[utoipa::path(
    get, path = "/api/v1/products", tag = "products",
    params(
        ("q" = Option<String>, Query, description = "Part of the name, the description or the sku; any case."),
        ("category" = Option<String>, Query, description = "Exactly this category."),
        ("sort" = Option<String>, Query, description = "`created_at`, `name` or `price`; with `-` descending."),
        ("limit" = Option<u32>, Query, description = "1 to 200, default 50."),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before."),
    ),
    responses((status = 200, description = "A page of products.", body = ProductList<'_>)),
)]
pub(crate) async fn list(call: Call) -> Result<Response, Problem> {
    let mut query = ListQuery::of(call.uri())?;
    let sort = query.parsed("sort", "must be created_at, name or price, with - for descending", sort);
    let (order, descending) = sort.unwrap_or_default();
    let limit = query.limit();
    let wanted = ProductQuery {
        text: query.get("q").map(str::to_owned),
        category: query.get("category").map(str::to_owned),
        order,
        descending,
        archived: call.caller.may(Permission::CatalogueWrite),
        after: query.cursor(call.secret()).and_then(|last| Some((product_key(order, &last.key)?, last.id))),
        limit,
    };
    let paging = query.finish()?;
    let page = call.in_time(call.engine().list_products(&wanted)).await?;
    let last = page.items.last().filter(|_| page.more);
    let place = |last: &View| Cursor { key: sort_key(order.key(last)), id: last.id };
    let next = last.map(|last| paging.next(call.secret(), place(last), limit));
    let (cursor, path) = next.unzip();
    let items = page.items.iter().map(|view| Product::from(&**view)).collect();
    answer::page(&ProductList { items, next_cursor: cursor.as_deref() }, page.position, path)
}

/// A place in the list as a cursor carries it; prices are never negative.
fn sort_key(key: ProductKey) -> SortKey {
    match key {
        ProductKey::CreatedAt(at) => SortKey::Number(at),
        ProductKey::Name(name) => SortKey::Text(name),
        ProductKey::Price(price) => SortKey::Number(price.cast_unsigned()),
    }
}

fn product_key(order: ProductOrder, key: &SortKey) -> Option<ProductKey> {
    match order {
        ProductOrder::CreatedAt => key.number().map(ProductKey::CreatedAt),
        ProductOrder::Name => key.text().map(ProductKey::Name),
        ProductOrder::Price => key.number().map(|price| ProductKey::Price(price.cast_signed())),
    }
}

fn sort(text: &str) -> Option<(ProductOrder, bool)> {
    let (name, descending) = text.strip_prefix('-').map_or((text, false), |name| (name, true));
    let order = match name {
        "created_at" => ProductOrder::CreatedAt,
        "name" => ProductOrder::Name,
        "price" => ProductOrder::Price,
        _ => return None,
    };
    Some((order, descending))
}

async fn current_version(call: &Call, id: Id) -> Result<u64, Problem> {
    let answered = call.ask(Address::product(id), Message::Product(Command::Get)).await?;
    product(answered.reply).map(|view| view.version)
}

fn tag_of(view: &View) -> ETag {
    ETag::with_stock(view.version, view.stock)
}

fn product(reply: Reply) -> Result<Box<View>, Problem> {
    match reply {
        Reply::Product(view) => Ok(view),
        _ => Err(Problem::unexpected_reply()),
    }
}
