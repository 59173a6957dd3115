//! Read models, folded from events: what lists show, and what decisions may know of products.

mod catalogue;
mod minutes;
mod orders;
mod timeline;

pub(crate) use catalogue::{Catalogue, StockHandle};
pub(crate) use minutes::Minutes;
pub(crate) use orders::Orders;
