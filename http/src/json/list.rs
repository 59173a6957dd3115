use serde::Serialize;
use utoipa::ToSchema;

use super::{Order, Product};

/// A page of products.
#[derive(Serialize, ToSchema)]
pub(crate) struct ProductList<'a> {
    pub(crate) items: Vec<Product<'a>>,
    /// Where the next page begins; null on the last.
    pub(crate) next_cursor: Option<&'a str>,
}

/// A page of orders, newest first.
#[derive(Serialize, ToSchema)]
pub(crate) struct OrderList<'a> {
    pub(crate) items: Vec<Order<'a>>,
    /// Where the next page begins; null on the last.
    pub(crate) next_cursor: Option<&'a str>,
}
