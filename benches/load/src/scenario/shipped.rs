//! The scenarios that the program brings along.

/// Name and text of each.
const SHIPPED: [(&str, &str); 9] = [
    ("flash-sale", include_str!("../../scenarios/flash-sale.toml")),
    ("steady", include_str!("../../scenarios/steady.toml")),
    ("soak", include_str!("../../scenarios/soak.toml")),
    ("abandoned-carts", include_str!("../../scenarios/abandoned-carts.toml")),
    ("retries", include_str!("../../scenarios/retries.toml")),
    ("long-tail", include_str!("../../scenarios/long-tail.toml")),
    ("duplicates", include_str!("../../scenarios/duplicates.toml")),
    ("pay-and-refund", include_str!("../../scenarios/pay-and-refund.toml")),
    ("browse-to-buy", include_str!("../../scenarios/browse-to-buy.toml")),
];

/// Their names.
pub fn names() -> impl Iterator<Item = &'static str> {
    SHIPPED.iter().map(|(name, _)| *name)
}

/// The text of one.
pub fn text(name: &str) -> Option<&'static str> {
    SHIPPED.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shipped_scenario_is_right_and_named_like_its_file() {
        for (name, text) in SHIPPED {
            match crate::scenario::parse(name, text, &[]) {
                Ok(scenario) => assert_eq!(scenario.name, name),
                Err(faults) => panic!("{faults}"),
            }
        }
    }
}
