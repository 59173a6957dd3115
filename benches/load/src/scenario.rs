//! Scenario files: what people do, how many of them, and what must hold. `SCENARIOS.md` describes the format.
//!
//! | module | what it holds |
//! | --- | --- |
//! | [`model`] | a scenario that was read and found right |
//! | [`template`] | texts with values in them |
//! | [`generator`] | values that are drawn |
//! | [`curve`] | the rate over time |
//! | [`answer`] | patterns of answers, and places in them |
//! | [`shipped`] | the scenarios that the program brings along |

pub mod answer;
mod build;
pub mod curve;
mod fault;
pub mod generator;
pub mod model;
mod names;
mod raw;
pub mod shipped;
mod steps;
pub mod template;

use std::fs;
use std::path::Path;

pub use fault::{Fault, ScenarioError};
pub use model::Scenario;

/// Reads a scenario: a file, or a shipped one by its name. `set` gives variables another value than the file does.
///
/// # Errors
/// Every fault of the file, with its line.
pub fn load(name: &str, set: &[(String, String)]) -> Result<Scenario, ScenarioError> {
    if let Some(text) = shipped::text(name) {
        return parse(name, text, set);
    }
    let path = Path::new(name);
    if !path.exists() {
        let shipped = shipped::names().collect::<Vec<_>>().join(", ");
        return Err(ScenarioError::Unknown { name: name.to_owned(), shipped });
    }
    let text = fs::read_to_string(path)
        .map_err(|source| ScenarioError::Unreadable { path: path.to_owned(), source })?;
    parse(name, &text, set)
}

/// Reads the text of a scenario; `name` is what faults call it.
///
/// # Errors
/// Every fault of the text, with its line.
pub fn parse(name: &str, text: &str, set: &[(String, String)]) -> Result<Scenario, ScenarioError> {
    build::scenario(name, text, set)
}
