//! Every command in every phase of every entity: what is recorded, what is sent, what is answered.
//!
//! The expected tables stand beside this file, one line an outcome: phase, the commands that
//! have it, events, effects, answer. `RELAMPAGO_SHOW_TABLES=1` prints what they are.

mod api_keys;
mod audit;
mod cart;
mod email;
mod inventory;
mod order;
mod payment;
mod product;
mod user;

use std::fmt::{Debug, Write};

use relampago_actors::{Context, Effect, Entity};

use crate::properties::shelf;
use crate::support::drive::{Driver, Outcome, Said};
use crate::support::samples::POLICY;
use crate::support::shelf::Shelf;

/// What is worth showing of a message besides its name.
const FIELDS: [&str; 11] = [
    "attempt: ",
    "stock: ",
    "what: ",
    "granted: ",
    "paid: ",
    "refunded: ",
    "operation: ",
    "reason: ",
    "cause: ",
    "purpose: ",
    "why: ",
];

/// Names of enum variants from the outside in, and the telling fields.
fn brief(value: &impl Debug) -> String {
    let text = format!("{value:?}");
    let name = |text: &str| text.split([' ', '{', ')', ',']).next().unwrap_or("").replace('(', ".");
    let mut brief = name(&text);
    for field in FIELDS {
        if let Some((_, rest)) = text.split_once(field) {
            write!(brief, " {}", name(rest)).unwrap();
        }
    }
    brief
}

fn effect(effect: &Effect) -> String {
    match effect {
        Effect::Send { message, .. } => brief(message),
        Effect::Call(call) => brief(call),
    }
}

fn said(said: &Said) -> String {
    match said {
        Said::Nothing => "-".into(),
        Said::Waits => "waits".into(),
        Said::Yes(reply) => format!("yes {}", brief(reply).split('.').next().unwrap_or("")),
        Said::Again(reply) => format!("again {}", brief(reply).split('.').next().unwrap_or("")),
        Said::No(rejection) => format!("no {}", brief(rejection)),
        Said::HandedOver(_, message) => format!("handed over {}", brief(message)),
    }
}

fn list(items: impl Iterator<Item = String>) -> String {
    let items: Vec<String> = items.collect();
    if items.is_empty() { "-".into() } else { items.join(", ") }
}

/// The table of all pairs, those of one phase with the same outcome in one line; the passing of the deadline
/// comes last in each phase.
fn table<E: Entity>(phases: &[(&str, Driver<E>)], commands: &[(&str, E::Command)]) -> String
where
    E::Command: Clone,
{
    let shelf = shelf();
    let mut table = String::new();
    for (phase, driver) in phases {
        let mut lines: Vec<(String, Vec<&str>)> = Vec::new();
        let mut note = |command, Outcome { events, effects, said: answer }: Outcome<E>| {
            let events = list(events.iter().map(brief));
            let effects = list(effects.iter().map(effect));
            let outcome = format!("{events} | {effects} | {}", said(&answer));
            match lines.iter_mut().find(|(known, _)| *known == outcome) {
                Some((_, commands)) => commands.push(command),
                None => lines.push((outcome, vec![command])),
            }
        };
        for (name, command) in commands {
            note(name, driver.clone().ask(command.clone(), &shelf));
        }
        assert_not_early(phase, driver, &shelf);
        note("deadline", driver.clone().expire(&shelf));
        for (outcome, commands) in lines {
            writeln!(table, "{phase} | {} | {outcome}", commands.join("; ")).unwrap();
        }
    }
    table
}

/// An entity may be woken before its deadline: then nothing happens yet.
fn assert_not_early<E: Entity>(phase: &str, driver: &Driver<E>, shelf: &Shelf) {
    if driver.state.deadline().is_none_or(|deadline| deadline > driver.now) {
        let early = driver.state.expire(&Context::new(driver.now, shelf, &POLICY)).events;
        assert!(early.is_empty(), "{phase}: {early:?} before the deadline");
    }
}

/// Compares line by line, so that a failure names the pair.
fn assert_table(actual: &str, expected: &str) {
    if std::env::var_os("RELAMPAGO_SHOW_TABLES").is_some() {
        println!("{actual}");
    }
    for (actual, expected) in actual.lines().zip(expected.lines()) {
        assert_eq!(actual, expected);
    }
    assert_eq!(actual.lines().count(), expected.lines().count(), "lines of the table");
}

/// An entity after some commands.
fn after<E: Entity>(commands: impl IntoIterator<Item = E::Command>) -> Driver<E> {
    let shelf = shelf();
    let mut driver = Driver::new(crate::support::samples::id("entity", 0), 1_000_000);
    for command in commands {
        driver.ask(command, &shelf);
    }
    driver
}
