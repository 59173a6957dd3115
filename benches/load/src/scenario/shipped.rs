//! The scenarios that the program brings along.

/// Name and text of each.
const SHIPPED: [(&str, &str); 1] = [("steady", include_str!("../../scenarios/steady.toml"))];

/// Their names.
pub fn names() -> impl Iterator<Item = &'static str> {
    SHIPPED.iter().map(|(name, _)| *name)
}

/// The text of one.
pub fn text(name: &str) -> Option<&'static str> {
    SHIPPED.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
}
