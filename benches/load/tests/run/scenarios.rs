//! Every fault of a scenario file is told with its line, all of them at once.

use relampago_load::scenario::model::{Origin, Shape};
use relampago_load::scenario::{ScenarioError, load, parse};

pub(crate) const RIGHT: &str = r#"name = "one"
description = "One step."

[variables]
units = 5
[generate]
key = { kind = "uuid" }
[identity.staff]
headers = { x-api-key = "{{api_key}}" }
[[flows]]
name = "flow"
[[flows.steps]]
name = "buy"
request = "POST /orders"
json = { key = "{{key}}", units = "{{units:json}}" }
[load]
mode = "open"
rate = 10
duration = "1s"
"#;

pub(crate) fn faults(text: &str) -> Vec<String> {
    match parse("shop.toml", text, &[]) {
        Err(ScenarioError::Faults(faults)) => faults.iter().map(ToString::to_string).collect(),
        Err(error) => vec![error.to_string()],
        Ok(_) => Vec::new(),
    }
}

#[test]
fn a_right_file_is_read() {
    let set = [("units".to_owned(), "7".to_owned())];
    let scenario = parse("shop.toml", RIGHT, &set).unwrap();
    assert_eq!((scenario.name.as_str(), scenario.flows.len()), ("one", 1));
    let units = scenario.names.iter().find(|name| name.name == "units").unwrap();
    assert!(matches!(&units.origin, Origin::Constant(text) if text == "7"));
    assert!(matches!(&scenario.load.shape, Shape::Open { curve, .. } if curve.total() == 10.0));
}

#[test]
fn faults_name_their_line_and_what_would_be_right() {
    for (from, to, expected) in [
        (
            "POST /orders",
            "BUY /orders",
            "shop.toml:14: `BUY /orders` is no request; say `POST /orders`, with GET",
        ),
        (
            "{{key}}",
            "{{kye}}",
            "shop.toml:15: no value is called `kye`; there are api_key, index, key, run, seed, units",
        ),
        ("{{key}}", "{{index}}", "shop.toml:15: `index` counts only where a step has `repeat`"),
        ("\"buy\"", "\"buy it\"", "shop.toml:13: `buy it` is no name of a step"),
        ("\"1s\"", "\"1 day\"", "shop.toml:19: `1 day` is no duration; say `250ms`, `5s`, `2m` or `1h`"),
        ("rate = 10", "rate = -1", "shop.toml:16: a rate is a number of flows a second, from 0 to 1000000"),
        ("rate = 10\n", "", "shop.toml:16: mode `open` has either `rate` and `duration`, or `curve`"),
        ("\"uuid\"", "\"guid\"", "unknown variant `guid`, expected one of `uuid`"),
        ("request =", "requset =", "unknown field `requset`, expected one of"),
        ("units = 5", "units = []", "shop.toml:5: a variable is a text, a number or a truth value"),
        ("units = 5", "run = 5", "shop.toml:5: there is a value called `run` already"),
    ] {
        let found = faults(&RIGHT.replacen(from, to, 1));
        assert!(found.iter().any(|fault| fault.contains(expected)), "{to}: {found:#?}");
    }
}

#[test]
fn faults_of_steps_are_told() {
    for (line, expected) in [
        ("as = \"boss\"", "shop.toml:16: no identity is called `boss`; there are staff"),
        ("expect = [\"20x\"]", "shop.toml:16: `20x` means no answer"),
        ("capture = { units = \"/units\" }", "shop.toml:16: there is a value called `units` already"),
        ("capture = { id = \"id\" }", "shop.toml:16: `id` is no place in an answer"),
        ("think = \"3s..1s\"", "shop.toml:16: `3s..1s` ends before it begins"),
        ("chance = 1.5", "shop.toml:16: `chance` is from 0 to 1, not 1.5"),
        ("copies = 0", "shop.toml:16: `copies` is from 1 to 16, not 0"),
        ("record = \"order\"", "shop.toml:16: `record` is for an audit of kind `relampago`"),
        ("text = \"x\"", "shop.toml:15: a step has either `json` or `text`"),
        ("each = \"buy\"", "shop.toml:16: `each` is for steps of the audit"),
        (
            "headers = { content-length = \"3\" }",
            "shop.toml:16: `content-length` is written by the generator itself",
        ),
        ("checks = [{ at = \"/x\" }]", "shop.toml:16: a check has `equals`, `contains`"),
        ("checks = [{ equals = \"1\" }]", "shop.toml:16: a check has either `at` or `sum`"),
        ("headers = { x = \"{{order}}\" }", "shop.toml:16: no value is called `order`"),
    ] {
        let found = faults(&RIGHT.replacen("[load]", &format!("{line}\n[load]"), 1));
        assert!(found.iter().any(|fault| fault.contains(expected)), "{line}: {found:#?}");
    }
}

#[test]
fn all_faults_are_told_at_once_and_in_order() {
    let text = RIGHT.replacen("POST /orders", "BUY", 1).replacen("\"1s\"", "\"soon\"", 1);
    let text = text.replacen("[load]", "[[flows.steps]]\nname = \"\"\nrequest = \"GET /\"\n[load]", 1);
    let found = faults(&text);
    let lines: Vec<&str> = found.iter().map(|fault| fault.split(':').nth(1).unwrap()).collect();
    assert_eq!(lines, ["14", "17", "22"], "{found:#?}");
}

#[test]
fn a_threshold_of_no_step_is_told() {
    let text = RIGHT.replacen("[variables]", "thresholds = [\"pay.p99 < 5ms\"]\n[variables]", 1);
    let found = faults(&text);
    assert!(
        found[0].starts_with("shop.toml:4: threshold `pay.p99 < 5ms`: there is no step `pay`"),
        "{found:#?}"
    );
}

#[test]
fn what_is_neither_file_nor_shipped_is_told_with_what_is() {
    let error = load("no-such", &[]).unwrap_err().to_string();
    assert!(error.contains("shipped are flash-sale, steady"), "{error}");
}

#[test]
fn an_audit_of_orders_that_no_step_records_is_told() {
    let audited = RIGHT.to_owned() + "[audit]\nkind = \"relampago\"\n";
    let found = faults(&audited);
    assert!(found[0].starts_with("shop.toml:21: an audit of kind `relampago` compares"), "{found:#?}");
    assert!(found[0].contains("give the step that buys `record = \"order\"`"), "{found:#?}");
    let recorded = audited.replacen("[load]", "record = \"order\"\n[load]", 1);
    assert_eq!(faults(&recorded), [""; 0]);
}
