//! Another shop's interface, driven by a scenario file alone: tokens instead of keys, carts by form, amounts in cents,
//! ids in headers, refusals of another shape.

use std::collections::HashMap;
use std::sync::Mutex;

use relampago_load::summary::Exit;
use serde_json::{Value, json};

use crate::running;
use crate::serving::{Asked, Server};

const SCENARIO: &str = include_str!("foreign.toml");

/// What the shop does wrong.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fault {
    None,
    /// Takes orders for units that are not there.
    Oversell,
    /// Makes a second order of a reference that comes again.
    ForgetReferences,
    /// Loses every tenth order after it was answered.
    LoseOrders,
}

#[derive(Default)]
struct Books {
    variants: HashMap<String, i64>,
    baskets: HashMap<String, Vec<String>>,
    /// Order number, variant and cents by reference.
    orders: HashMap<String, (String, String, i64)>,
    made: u64,
}

fn shop(fault: Fault) -> Server {
    let books = Mutex::new(Books::default());
    Server::open(move |asked| books.lock().unwrap().answer(fault, &asked))
}

type Answer = (u16, Vec<(&'static str, String)>, Value);

fn plain(status: u16, body: Value) -> Answer {
    (status, Vec::new(), body)
}

impl Books {
    fn answer(&mut self, fault: Fault, asked: &Asked) -> Answer {
        let path = asked.path.split('?').next().unwrap();
        let parts: Vec<&str> = path.trim_start_matches("/store/").split('/').collect();
        if parts != ["session"] && asked.header("authorization") != "Bearer open-sesame" {
            return plain(401, json!({ "fault": { "kind": "NoSession" } }));
        }
        match (asked.method.as_str(), parts.as_slice()) {
            ("POST", ["session"]) => plain(200, json!({ "session": { "token": "open-sesame" } })),
            ("PUT", ["variants", id]) => {
                self.variants.insert((*id).to_owned(), asked.body["onHand"].as_i64().unwrap());
                plain(200, json!({ "variant": { "ref": format!("v/{id}") } }))
            }
            ("GET", ["variants", id]) => plain(200, json!({ "variant": { "onHand": self.variants[*id] } })),
            ("POST", ["baskets"]) => {
                let id = format!("b {}", self.baskets.len());
                self.baskets.insert(id.clone(), Vec::new());
                (201, vec![("x-basket", id)], json!({}))
            }
            ("PUT", ["baskets", id, "lines"]) => {
                let id = id.replace("%20", " ");
                let variant = asked.body["variant"].as_str().unwrap().trim_start_matches("v/").to_owned();
                self.baskets.get_mut(&id).unwrap().push(variant);
                plain(200, json!({ "lines": self.baskets[&id].len() }))
            }
            ("POST", ["baskets", id, "purchase"]) => self.purchase(fault, &id.replace("%20", " "), asked),
            ("GET", ["orders", number]) => self.read(number),
            _ => plain(404, json!({ "fault": { "kind": "NoSuchThing" } })),
        }
    }

    fn purchase(&mut self, fault: Fault, basket: &str, asked: &Asked) -> Answer {
        let reference = asked.body["reference"].as_str().unwrap().to_owned();
        if let Some((number, _, cents)) = self.orders.get(&reference)
            && fault != Fault::ForgetReferences
        {
            return plain(200, json!({ "order": { "number": number, "cents": cents } }));
        }
        let variant = self.baskets[basket][0].clone();
        let left = self.variants.get_mut(&variant).unwrap();
        if *left == 0 && fault != Fault::Oversell {
            return plain(422, json!({ "fault": { "kind": "SoldOut" } }));
        }
        *left = (*left - 1).max(0);
        self.made += 1;
        let number = format!("N{}", self.made);
        if !(fault == Fault::LoseOrders && self.made.is_multiple_of(10)) {
            self.orders.insert(reference, (number.clone(), variant, 1250));
        }
        plain(200, json!({ "order": { "number": number, "cents": 1250 } }))
    }

    fn read(&self, number: &str) -> Answer {
        match self.orders.values().find(|(known, _, _)| known == number) {
            Some((number, variant, cents)) => {
                plain(200, json!({ "order": { "number": number, "variant": variant, "cents": cents } }))
            }
            None => plain(404, json!({ "fault": { "kind": "NoSuchThing" } })),
        }
    }
}

#[test]
fn a_file_drives_a_shop_that_nobody_wrote_code_for() {
    let server = shop(Fault::None);
    let summary = running::run_text(SCENARIO, server.address);
    // A busy machine may make the run invalid, and nothing else wrong.
    assert!(summary.audit.balances(), "{summary}");
    let purchase = summary.steps.iter().find(|step| step.name == "purchase").unwrap();
    let outcome = |name: &str| purchase.outcomes.iter().find(|outcome| outcome.outcome == name);
    // 60 units, and every purchase is sent twice.
    assert_eq!(outcome("200").unwrap().count, 120, "{summary}");
    assert!(outcome("422 SoldOut").unwrap().count > 0, "{summary}");
    assert_eq!(purchase.all.failed, 0, "{summary}");
    assert_eq!(summary.audit.checks.len(), 3, "{summary}");
    let left = summary.stock.iter().map(|stock| stock.available).min();
    assert_eq!(left, Some(0), "{summary}");
}

#[test]
fn its_faults_are_found_by_the_audit_of_the_file() {
    for (fault, check) in [
        (Fault::Oversell, "no-unit-sold-twice"),
        (Fault::LoseOrders, "orders-are-there"),
        (Fault::ForgetReferences, "one answer to one request"),
    ] {
        let server = shop(fault);
        let summary = running::run_text(SCENARIO, server.address);
        assert_eq!(summary.exit(), Exit::AuditFailed, "{check}: {summary}");
        assert!(summary.to_string().starts_with("AUDIT FAILED: "), "{summary}");
        let failed = summary.audit.checks.iter().find(|found| found.name == check).unwrap();
        assert!(failed.passed == Some(false), "{check}: {summary}");
    }
}
