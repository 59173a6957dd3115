//! What the audit of a run found.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::decimal::Decimal;

/// Whether the shop's books balance with what it acknowledged.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Audit {
    /// How far it came.
    pub state: AuditState,
    /// Why it came no further, where it did not.
    #[serde(default)]
    pub reason: Option<String>,
    /// What was looked at.
    pub checks: Vec<AuditCheck>,
}

/// How far an audit came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AuditState {
    /// The scenario has none.
    #[default]
    None,
    /// Everything was judged.
    Made,
    /// One of several generators judged what it knows; what concerns the whole shop is judged when they are merged.
    Part,
    /// Its user ended it.
    CutShort,
    /// It could not be made: the server did not answer, or not to this.
    NotMade,
}

/// One thing that the audit looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditCheck {
    /// Its name, such as `conservation`.
    pub name: String,
    /// Whether all was well; `None` if that was not judged.
    pub passed: Option<bool>,
    /// What was found, or why nothing was judged, in a sentence.
    pub detail: String,
}

/// What one of several generators knows of the books, for an audit of the whole.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PartLedger {
    /// Units that it put in and were acknowledged, by sku.
    pub stock: BTreeMap<String, i64>,
    /// The ids of the orders that were acknowledged to it.
    pub orders: Vec<String>,
    /// Purchases of which nobody could tell it whether they were made.
    pub unanswered: u64,
    /// How long what may lag has time, in seconds.
    pub patience_s: f64,
    /// What an audit by steps counts; `None` of another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steps: Option<StepsLedger>,
}

/// What one of several generators did, for an audit by steps of the whole.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepsLedger {
    /// A digest of the scenario's text and of what its variables were set to.
    pub file: String,
    /// What each `count.STEP` and `sum.STEP.VALUE` of the audit came to, decimal; `None` of what is no number.
    pub tallies: BTreeMap<String, Option<String>>,
}

impl Audit {
    /// Whether a check found something wrong.
    pub fn failed(&self) -> bool {
        self.checks.iter().any(|check| check.passed == Some(false))
    }

    /// Whether everything was judged and is as it should be.
    pub fn balances(&self) -> bool {
        self.state == AuditState::Made && !self.failed()
    }
}

impl PartLedger {
    /// Adds what another generator knows.
    pub(crate) fn add(&mut self, other: &Self) {
        for (sku, units) in &other.stock {
            *self.stock.entry(sku.clone()).or_default() += units;
        }
        self.orders.extend_from_slice(&other.orders);
        self.unanswered += other.unanswered;
        self.patience_s = self.patience_s.max(other.patience_s);
        if let (Some(own), Some(other)) = (&mut self.steps, &other.steps) {
            own.add(other);
        }
    }
}

impl StepsLedger {
    fn add(&mut self, other: &Self) {
        for (name, own) in &mut self.tallies {
            let other = other.tallies.get(name).and_then(Option::as_deref);
            *own = own.as_deref().zip(other).and_then(|(own, other)| sum(own, other));
        }
    }
}

/// The sum of two decimal numbers.
fn sum(one: &str, other: &str) -> Option<String> {
    let (one, other): (Decimal, Decimal) = (one.parse().ok()?, other.parse().ok()?);
    one.checked_add(other).map(|sum| sum.to_string())
}
