use relampago_actors::inventory::View;
use serde::Serialize;
use utoipa::ToSchema;

use super::IdText;

/// The stock of a sku: always `stocked = available + reserved + sold`, none of them negative.
#[derive(Serialize, ToSchema)]
pub(crate) struct Inventory<'a> {
    #[schema(example = "LAMP-1")]
    sku: &'a str,
    product_id: IdText,
    /// All units that were ever put in, less those taken out.
    #[schema(example = 1000)]
    stocked: i64,
    /// Units that can be sold.
    #[schema(example = 990)]
    available: i64,
    /// Units held for unpaid orders.
    #[schema(example = 7)]
    reserved: i64,
    /// Units of paid orders.
    #[schema(example = 3)]
    sold: i64,
    version: u64,
}

impl<'a> Inventory<'a> {
    pub(crate) fn new(sku: &'a str, view: &View) -> Self {
        Self {
            sku,
            product_id: IdText(view.product),
            stocked: view.available + view.reserved + view.sold,
            available: view.available,
            reserved: view.reserved,
            sold: view.sold,
            version: view.version,
        }
    }
}
