//! How requests name a product and a number of units.

use std::sync::Arc;

use relampago_actors::Id;
use relampago_actors::line::{MAX_QUANTITY, ProductRef, Wanted};
use utoipa::ToSchema;

use super::products::MAX_SKU;
use crate::fields::{self, Fields};

/// Units of a product, named by `product_id` or by `sku`.
#[derive(ToSchema)]
#[schema(as = WantedItem)]
pub(crate) struct Item {
    #[schema(value_type = Option<String>, format = Uuid)]
    product_id: Option<Id>,
    #[schema(value_type = Option<String>, max_length = 64, example = "LAMP-1")]
    sku: Option<Arc<str>>,
    #[schema(minimum = 1, maximum = 999, example = 2)]
    quantity: u32,
}

/// New units of a line.
#[derive(ToSchema)]
pub(crate) struct Quantity {
    #[schema(minimum = 1, maximum = 999, example = 3)]
    pub(super) quantity: u32,
}

impl Item {
    pub(super) fn read(fields: &mut Fields<'_>) -> Option<Self> {
        let faults = fields.faults();
        let product_id = fields.optional("product_id", fields::id);
        let sku = fields.optional("sku", fields::text(1..=MAX_SKU));
        if fields.faults() == faults && product_id.is_some() == sku.is_some() {
            fields.fault("product_id", "give either product_id or sku".into());
        }
        let quantity = quantity(fields)?;
        Some(Self { product_id, sku, quantity })
    }

    /// The line it asks for; `None` if it names no product.
    pub(super) fn wanted(self) -> Option<Wanted> {
        let product = match (self.product_id, self.sku) {
            (Some(id), _) => ProductRef::Id(id),
            (None, Some(sku)) => ProductRef::Sku(sku),
            (None, None) => return None,
        };
        Some(Wanted { product, quantity: self.quantity })
    }
}

impl Quantity {
    pub(super) fn read(fields: &mut Fields<'_>) -> Option<Self> {
        Some(Self { quantity: quantity(fields)? })
    }
}

fn quantity(fields: &mut Fields<'_>) -> Option<u32> {
    let quantity = fields.required("quantity", fields::whole(1..=i64::from(MAX_QUANTITY)))?;
    u32::try_from(quantity).ok()
}

/// So many units of a sku, if both are acceptable.
pub(super) fn wanted(sku: &str, quantity: u32) -> Option<Wanted> {
    let is_sku = (1..=MAX_SKU).contains(&sku.chars().count());
    let wanted = Wanted { product: ProductRef::Sku(sku.into()), quantity };
    (is_sku && (1..=MAX_QUANTITY).contains(&quantity)).then_some(wanted)
}
