//! What a newcomer gets wrong: each message names the line, what is wrong, and what would be right, and blames nothing
//! else for it.

use std::error::Error;
use std::fs;

use relampago_load::scenario::{ScenarioError, load, parse};
use relampago_load::summary::Summary;

use crate::scenarios::{RIGHT, faults};

/// What is replaced in a right file (nothing: a line is added to its step), by what, and what is said of it.
const WRONG: &[(&str, &str, &str)] = &[
    ("", "capture = { id = \"/nope/~2\" }", "16: `/nope/~2` is no JSON pointer: after `~` comes `0` or `1`"),
    ("", "capture = { id = \"header \" }", "16: `` is no name of a header; say `header location`"),
    ("", "capture = { \"a-b\" = \"/id\" }", "16: `a-b` is no name; it has letters, digits and `_`"),
    ("", "timeout = \"0s\"", "16: `0s` is no time at all; say `250ms`"),
    ("", "timeout = \"soon\"", "16: `soon` is no duration; say `250ms`, `5s`, `2m` or `1h`"),
    ("", "timeout = \"-1s\"", "16: `-1s` is no duration; say `250ms`"),
    ("", "timeout = \"1.2.3s\"", "16: `1.2.3s` is no duration, that is no number; say `250ms`"),
    ("", "timeout = \"s\"", "16: `s` is no duration, it has no number; say `250ms`"),
    ("", "timeout = \"9999999h\"", "16: `9999999h` is too long; a duration is at most 8760h, a year"),
    ("", "timeout = 5", "16: `timeout = 5`: invalid type: integer `5`, expected a string"),
    ("", "expect = [\"201 \"]", "16: `201 ` means no answer; say `201`, `2xx`"),
    (
        "",
        "expect = \"201\"",
        "16: `expect = \"201\"`: invalid type: string \"201\", expected a list in `[` and `]`",
    ),
    (
        "",
        "think = \"exp\"",
        "16: `exp` is no duration; say `250ms`, `5s`, `2m` or `1h`; a wait is `2s`, `1s..3s` or `exp 2s`",
    ),
    ("", "repeat = 0", "16: `repeat` is from 1 to 1000000, not 0"),
    (
        "",
        "repeat = -1",
        "16: `repeat = -1`: invalid value: integer `-1`, expected a whole number, not negative",
    ),
    (
        "",
        "copies = 300",
        "16: `copies = 300`: invalid value: integer `300`, expected a whole number, not negative and not larger",
    ),
    ("", "chance = nan", "16: `chance` is from 0 to 1, not NaN"),
    ("", "checks = [{ at = \"/x~\", equals = \"1\" }]", "16: `/x~` is no JSON pointer"),
    ("", "checks = [{ sum = [], equals = \"1\" }]", "16: `sum` has at least one number"),
    ("", "headers = { \"a b\" = \"1\" }", "16: `a b` is no name of a header"),
    ("", "headers = { a = \"1\\n2\" }", "16: `a` has a line break or another control character in it"),
    ("", "draw = [\"units\"]", "16: `units` is not generated"),
    ("", "retry = { on = [\"503\"], most = 0, wait = \"1s\" }", "16: `most` is from 1 to 1000000, not 0"),
    (
        "",
        "retry = { on = [], most = 1, wait = \"1s\" }",
        "16: `on` names at least one answer, such as `503` or `timeout`",
    ),
    ("", "retry = { most = 1 }", "16: `retry = { most = 1 }`: missing field `on`"),
    (
        "",
        "retry = { on = [\"503\"], most = 1, wait = \"5s\", longest = \"1s\" }",
        "16: `longest` is less than `wait`",
    ),
    (
        "",
        "keep = [\"nope\"]",
        "16: no value is called `nope`; there are api_key, index, key, run, seed, units",
    ),
    ("POST /orders", "GET /a b", "14: ` ` cannot stand in the path `/a b`; write it `%20`"),
    ("POST /orders", "GET /ü", "14: `ü` cannot stand in the path `/ü`; write it `%C3%BC`"),
    ("POST /orders", "GET /a#b", "14: `#` cannot stand in the path `/a#b`; write it `%23`"),
    ("POST /orders", "GET orders", "14: `GET orders` is no request; say `POST /orders`, with GET"),
    ("POST /orders", "GET /{{key", "14: `{{key` has no closing `}}`"),
    ("POST /orders", "GET /{{key:hex}}", "14: `:hex` is no way to write a value; there are `:json`"),
    ("json = { key = \"{{key}}\"", "json = { a = nan", "15: JSON has no number NaN"),
    (
        "units = 5",
        "units = \"many\"",
        "15: `{{units:json}}` stands for a number or other JSON, and `units` is `many`; a text is `{{units}}`",
    ),
    (
        "units = 5",
        "units = \"5, \\\"x\\\": 1\"",
        "15: `{{units:json}}` stands for a number or other JSON, and `units` is `5, \"x\": 1`",
    ),
    ("{{key}}", "{{key:json}}", "15: `{{key:json}}` stands for a number or other JSON, and `key` is a UUID"),
    ("{{key}}", "{{run:json}}", "15: `{{run:json}}` stands for a number or other JSON, and `run` is a name"),
    (
        "",
        "checks = [{ at = \"/x\", at_least = \"many\" }]",
        "16: `at_least` takes a number, and `many` is none",
    ),
    (
        "",
        "checks = [{ sum = [\"1\", \"{{seed}}\", \"x\"], equals = \"1\" }]",
        "16: `sum` takes a number, and `x` is none",
    ),
    (
        "mode = \"open\"",
        "mode = \"opne\"",
        "17: `mode = \"opne\"`: unknown variant `opne`, expected `open` or `closed`",
    ),
    ("mode = \"open\"\nrate = 10\n", "mode = \"closed\"\n", "16: mode `closed` has `clients` and `duration`"),
    (
        "mode = \"open\"\nrate = 10\n",
        "mode = \"closed\"\nclients = 0\n",
        "18: `clients` is from 1 to 1000000, not 0",
    ),
    (
        "mode = \"open\"\nrate = 10\nduration = \"1s\"",
        "mode = \"closed\"\nclients = 1\nduration = \"0s\"",
        "19: `0s` is no time at all",
    ),
    (
        "mode = \"open\"\nrate = 10\n",
        "mode = \"closed\"\nclients = 1\nflows = 0\n",
        "19: `flows` is at least 1",
    ),
    ("rate = 10\nduration = \"1s\"", "curve = []", "16: a curve has at least two points"),
    ("rate = 10", "rate = inf", "16: a rate is a number of flows a second, from 0 to 1000000"),
    ("rate = 10", "rate = \"10\"", "18: `rate = \"10\"`: invalid type: string \"10\", expected a number"),
    ("rate = 10", "rate = 10\ncurve = []", "16: mode `open` has either `rate` and `duration`, or `curve`"),
    ("duration = \"1s\"", "duration = \"0s\"", "19: `0s` is no time at all"),
    ("rate = 10", "rate = 10\nconnections = 100000", "19: `connections` is from 1 to 60000, not 100000"),
    ("rate = 10", "rate = 10\ntimeout = \"0s\"", "19: `0s` is no time at all"),
    ("name = \"one\"", "", "1: missing field `name`"),
    ("name = \"one\"", "name = \"\"", "1: a scenario has a name"),
    ("name = \"one\"", "name = \"one", "1: `name = \"one`: invalid basic string"),
    ("[[flows]]", "[[flow]]", "10: `[[flow]]`: unknown field `flow`, expected one of `name`"),
    ("name = \"flow\"", "name = \"flow\"\nweight = 0", "10: no flow has a weight, so none would ever start"),
    (
        "name = \"flow\"",
        "name = \"flow\"\nweight = -1",
        "12: `weight = -1`: invalid value: integer `-1`, expected a whole number, not negative",
    ),
    ("{ kind = \"uuid\" }", "{ }", "7: `key = { }`: missing field `kind`"),
    (
        "{ kind = \"uuid\" }",
        "{ kind = \"uniform\", from = 5, to = 1 }",
        "7: `uniform` has either `from` and `to`, in order, or `of`",
    ),
    ("{ kind = \"uuid\" }", "{ kind = \"uniform\", of = \"nope\" }", "7: no set-up step captures `nope`"),
    (
        "{ kind = \"uuid\" }",
        "{ kind = \"zipf\", items = 0, exponent = 1.0 }",
        "7: `items` is from 1 to 4000000, not 0",
    ),
    (
        "{ kind = \"uuid\" }",
        "{ kind = \"zipf\", items = 10, exponent = -1.0 }",
        "7: `exponent` is from 0 to 10",
    ),
    ("{ kind = \"uuid\" }", "{ kind = \"choice\", among = [] }", "7: `choice` has nothing to choose among"),
    (
        "{ kind = \"uuid\" }",
        "{ kind = \"choice\", among = [\"a\"], weights = [1, 2] }",
        "7: `weights` has one number for each of `among`",
    ),
    (
        "[load]",
        "[stock]\nrequest = \"GET /s\"\nname = \"s\"\navailable = \"/a\"\nevery = \"1us\"\n[load]",
        "20: `1us` is less than 10ms",
    ),
    (
        "[load]",
        "[stock]\nrequest = \"GET /s\"\nname = \"s\"\navailable = \"header x\"\n[load]",
        "19: `header x` is read in the body",
    ),
    (
        "[load]",
        "[stock]\nrequest = \"GET /s/{{index}}\"\nname = \"s\"\navailable = \"/a\"\n[load]",
        "17: `index` counts only where a step has `repeat`",
    ),
    ("[load]", "[audit]\nkind = \"steps\"\n[load]", "17: an audit of kind `steps` has at least one step"),
    ("[variables]", "thresholds = [\"\"]\n[variables]", "4: threshold ``: it has no operator"),
    ("[variables]", "answers = { code = \"code\" }\n[variables]", "4: `code` is no place in an answer"),
];

#[test]
fn each_fault_is_told_once_and_where_it_is() {
    for (from, to, expected) in WRONG {
        let text = match *from {
            "" => RIGHT.replacen("[load]", &format!("{to}\n[load]"), 1),
            from => RIGHT.replacen(from, to, 1),
        };
        assert_ne!(text, RIGHT, "{from}");
        let found = faults(&text);
        let first = found.first().map(String::as_str).unwrap_or_default();
        assert!(first.starts_with(&format!("shop.toml:{expected}")), "{to}: {found:#?}");
        let others = if text.contains("mode = \"closed\"") { 2 } else { 1 };
        assert!(found.len() <= others, "{to}: {found:#?}");
    }
}

/// A flow of three steps and what refers to the first of them: a capture, a threshold, an audit.
const SEVERAL: &str = r#"name = "several"
description = "A step that others need."
thresholds = ["buy.p99 < 1s"]
[variables]
most = 5
[generate]
size = { kind = "choice", among = ["1", "2"] }
[[flows]]
name = "flow"
[[flows.steps]]
name = "buy"
request = "POST /orders"
json = { quantity = "{{size:json}}" }
capture = { order = "/id" }
record = "order"
[[flows.steps]]
name = "look"
request = "GET /orders/{{order}}"
checks = [{ at = "/quantity", at_most = "{{most}}" }]
[load]
mode = "open"
rate = 10
duration = "1s"
[audit]
kind = "relampago"
"#;

#[test]
fn what_refers_to_a_wrong_step_or_value_is_not_blamed() {
    assert_eq!(faults(SEVERAL), [""; 0]);
    for (from, to, expected) in [
        ("POST /orders", "POST orders", "12: `POST orders` is no request; say `POST /orders`"),
        ("POST /orders", "POST /{{nothing}}", "12: no value is called `nothing`"),
        ("\"/id\"", "\"id\"", "14: `id` is no place in an answer"),
        ("\"order\"", "\"ordr\"", "15: `ordr` is nothing to record"),
        ("most = 5", "most = []", "5: a variable is a text, a number or a truth value"),
        ("most = 5", "most = \"five\"", "19: `at_most` takes a number, and `{{most}}` is `five` and is none"),
        (
            "\"2\"]",
            "\"two\"]",
            "13: `{{size:json}}` stands for a number or other JSON, and `size` is `two` at times",
        ),
    ] {
        let found = faults(&SEVERAL.replacen(from, to, 1));
        assert_eq!(found.len(), 1, "{to}: {found:#?}");
        assert!(found[0].starts_with(&format!("shop.toml:{expected}")), "{to}: {found:#?}");
    }
}

#[test]
fn a_variable_is_judged_as_the_command_line_says() {
    let set = |value: &str| parse("shop.toml", RIGHT, &[("units".to_owned(), value.to_owned())]);
    assert!(set("7").is_ok() && set("[1, 2]").is_ok() && set("\"many\"").is_ok());
    let error = set("many").unwrap_err().to_string();
    assert!(error.contains("and `units` is `many`"), "{error}");
}

#[test]
fn a_variable_that_is_not_there_is_told_with_those_that_are() {
    let set = [("price".to_owned(), "1".to_owned())];
    let error = parse("shop.toml", RIGHT, &set).unwrap_err();
    assert_eq!(
        error.to_string(),
        "shop.toml: --set price: there is no variable of that name in it; there are units"
    );
}

/// An error with its causes, as the program prints them.
fn with_causes(error: &dyn Error) -> String {
    let causes = std::iter::successors(Some(error), |&error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[test]
fn no_cause_is_told_twice() {
    let folder = std::env::temp_dir();
    let unreadable = load(&folder.display().to_string(), &[]).unwrap_err();
    assert!(matches!(unreadable, ScenarioError::Unreadable { .. }), "{unreadable}");
    let no_report = Summary::from_json("{ \"schema\": ").unwrap_err();
    let example = fs::read_to_string("tests/documents/relampago-load-2.json").unwrap();
    let broken = example.replacen("\"histogram\": \"", "\"histogram\": \"!", 1);
    let no_histogram = Summary::from_json(&broken).unwrap().recorded().unwrap_err();
    for (error, cause) in [
        (&unreadable as &dyn Error, "Is a directory"),
        (&no_report, "EOF while parsing"),
        (&no_histogram, "base64"),
    ] {
        let told = with_causes(error);
        assert_eq!(told.matches(cause).count(), 1, "{told}");
    }
}
