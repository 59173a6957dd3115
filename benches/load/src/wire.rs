//! The entities as the REST interface writes them: only the fields that a load test looks at. Money stays the
//! decimal string it came as and is only ever compared.

use serde::Deserialize;

/// A product.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Product {
    /// Its id.
    pub id: String,
    /// Its stock-keeping unit.
    pub sku: String,
    /// Unit price, decimal.
    pub price: String,
    /// What can be sold now.
    pub stock_quantity: i64,
}

/// The stock of one sku: `stocked = available + reserved + sold`, in units.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Inventory {
    /// The stock-keeping unit.
    pub sku: String,
    /// Units ever put in, adjustments included.
    pub stocked: i64,
    /// Units that can be sold now.
    pub available: i64,
    /// Units held by unpaid orders.
    pub reserved: i64,
    /// Units paid for.
    pub sold: i64,
}

/// A cart.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Cart {
    /// Its id, which is also the guest's only credential for it.
    pub id: String,
}

/// A line of an order.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub struct OrderLine {
    /// The stock-keeping unit.
    pub sku: String,
    /// Units.
    pub quantity: i64,
    /// Unit price, decimal.
    pub price: String,
    /// Price of the line, decimal.
    pub line_total: String,
}

/// An order.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Order {
    /// Its id.
    pub id: String,
    /// The cart it came from, if any.
    pub cart_id: Option<String>,
    /// What was bought.
    pub items: Vec<OrderLine>,
    /// Sum of the lines, decimal.
    pub total: String,
    /// ISO 4217.
    pub currency: String,
    /// `created`, `paid`, `shipped`, `delivered` or `cancelled`.
    pub status: String,
    /// A finer state, such as `expired`.
    pub sub_status: Option<String>,
    /// Its last payment.
    pub payment_id: Option<String>,
}

impl Order {
    /// Whether it holds or has taken stock.
    pub fn is_live(&self) -> bool {
        self.status != "cancelled"
    }

    /// Whether its units are sold rather than reserved.
    pub fn is_sold(&self) -> bool {
        matches!(self.status.as_str(), "paid" | "shipped" | "delivered")
    }

    /// Its lines in a comparable order.
    pub fn sorted_items(&self) -> Vec<OrderLine> {
        let mut items = self.items.clone();
        items.sort();
        items
    }
}

/// A payment.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Payment {
    /// Its id.
    pub id: String,
    /// The order it is for.
    pub order_id: String,
    /// What was charged, decimal.
    pub amount: String,
    /// ISO 4217.
    pub currency: String,
    /// `pending`, `approved`, `rejected` or `refunded`.
    pub status: String,
}

/// A page of a list.
#[derive(Clone, Debug, Deserialize)]
pub struct Page<T> {
    /// The entries, at most `limit`.
    pub items: Vec<T>,
    /// Where the next page starts; none on the last.
    pub next_cursor: Option<String>,
}
