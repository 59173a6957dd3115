//! `relampago inspect`: one entity of a data folder, with its events.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use relampago_actors::{Address, Id, Kind, Millis, Sequence};
use relampago_engine::{Shown, inspect};
use serde::Serialize;
use serde_json::{Value, json};

use super::{REFUSED, print, readable};
use crate::json::Time;

#[derive(Debug, Args)]
pub(super) struct Options {
    /// The data folder
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// product, inventory, cart, order, payment, user, email, api-keys or audit; the plural will do
    #[arg(value_name = "KIND", value_parser = kind)]
    kind: Kind,
    /// Its id; the sku of an inventory, the minute since 1970 of an audit, anything for api-keys
    #[arg(value_name = "ID")]
    id: String,
    /// Where the private copy lies that is read in place of the folder; beside the folder if not given
    #[arg(long, value_name = "DIR")]
    scratch: Option<PathBuf>,
}

/// Prints the entity as JSON; exit code 1 if there is none, 2 if the folder cannot be read.
pub(super) fn run(options: &Options) -> Result<ExitCode> {
    let Some(at) = address(options.kind, &options.id) else {
        eprintln!("relampago: {:?} cannot be the id of any {}", options.id, options.kind.name());
        return Ok(ExitCode::FAILURE);
    };
    let mut page = Page::default();
    match inspect(&options.dir, options.scratch.as_deref(), at, &mut page) {
        Err(error) => {
            eprintln!("relampago: cannot look into {}: {error}", options.dir.display());
            Ok(REFUSED.into())
        }
        Ok(false) => {
            eprintln!("relampago: there is no {} {}", at.kind.name(), options.id);
            Ok(ExitCode::FAILURE)
        }
        Ok(true) => {
            print(&format!("{:#}\n", page.into_json(at)))?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// A kind in the words of the interface.
fn kind(word: &str) -> Result<Kind, String> {
    let word = word.to_lowercase().replace('-', "_");
    let plural = |kind: &Kind| format!("{}s", kind.name()) == word;
    let found = Kind::ALL.into_iter().find(|kind| kind.name() == word || plural(kind));
    let found = found.or_else(|| (word == "inventories").then_some(Kind::Inventory));
    found.ok_or_else(|| {
        let names: Vec<&str> = Kind::ALL.iter().map(|kind| kind.name()).collect();
        format!("expected one of {}", names.join(", "))
    })
}

/// The address that an id of the interface names.
fn address(kind: Kind, id: &str) -> Option<Address> {
    match (kind, id.parse::<Id>()) {
        (Kind::ApiKeys, _) => Some(Address::api_keys()),
        (_, Ok(id)) => Some(Address { kind, id }),
        (Kind::Inventory, Err(_)) => Some(Address::inventory(id)),
        (Kind::Audit, Err(_)) => id.parse().ok().map(Address::audit),
        _ => None,
    }
}

/// What is printed.
#[derive(Default)]
struct Page {
    events: Vec<Value>,
    snapshot: Value,
    state: Value,
    last: Sequence,
}

impl Page {
    fn into_json(self, at: Address) -> Value {
        let Self { events, snapshot, state, last } = self;
        json!({
            "kind": at.kind.name(), "id": at.id.to_string(), "last_event": last,
            "state": state, "snapshot": snapshot, "events": events,
        })
    }
}

impl Shown for Page {
    fn event(&mut self, sequence: Sequence, at: Millis, event: &impl Serialize) {
        self.events.push(json!({ "sequence": sequence, "at": Time(at), "event": readable::value(event) }));
    }

    fn snapshot(&mut self, covers: Sequence, state: &impl Serialize) {
        self.snapshot = json!({ "covers": covers, "state": readable::value(state) });
    }

    fn state(&mut self, last: Sequence, state: &impl Serialize) {
        (self.last, self.state) = (last, readable::value(state));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_and_ids_are_those_of_the_interface() {
        assert_eq!(kind("orders"), Ok(Kind::Order));
        assert_eq!(kind("inventory"), Ok(Kind::Inventory));
        assert_eq!(kind("api-keys"), Ok(Kind::ApiKeys));
        assert!(kind("order!").is_err());
        let id = Id::derived("test", &[]);
        assert_eq!(address(Kind::Order, &id.to_string()), Some(Address::order(id)));
        assert_eq!(address(Kind::Inventory, "BOLT"), Some(Address::inventory("BOLT")));
        assert_eq!(address(Kind::Audit, "29000000"), Some(Address::audit(29_000_000)));
        assert_eq!(address(Kind::Order, "BOLT"), None);
    }
}
