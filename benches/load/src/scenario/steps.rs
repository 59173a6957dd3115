//! The steps of a scenario, from their written form.

use std::collections::BTreeMap;
use std::time::Duration;

use toml::{Spanned, Value};

use super::answer::{Pattern, Place, is_header_name};
use super::build::{bounded, duration, parsed, patterns, read_duration, some_time};
use super::fault::Faults;
use super::model::{Check, Pause, Retry, Role, Step, Subject, Test};
use super::names::{Names, Scope};
use super::raw;
use super::template::{Escape, Slot, Template};
use crate::decimal::Decimal;

const MOST_REPETITIONS: u32 = 1_000_000;
const MOST_COPIES: u8 = 16;
const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

/// What every step has unless it says otherwise.
#[derive(Debug)]
pub(super) struct Defaults<'a> {
    pub(super) headers: &'a raw::Texts,
    pub(super) identities: &'a BTreeMap<String, raw::Identity>,
    pub(super) timeout: Duration,
    /// Whether the audit takes roles.
    pub(super) records: bool,
}

/// Reads steps, one after the other, in the order in which they capture.
#[derive(Debug)]
pub(super) struct Steps<'a, 'f> {
    pub(super) names: &'a mut Names,
    pub(super) faults: &'a mut Faults<'f>,
    pub(super) defaults: &'a Defaults<'a>,
}

/// Where a template stands, as far as names matter.
#[derive(Clone, Copy, Debug)]
struct Site<'a> {
    scope: Scope,
    repeated: bool,
    each: &'a [Slot],
}

impl Steps<'_, '_> {
    /// A step of a flow, the set-up or the audit. Of one that is wrong there is all that is right, so that others are
    /// not blamed for it.
    pub(super) fn step(&mut self, written: &raw::Step, scope: Scope) -> Step {
        self.name_of(&written.name);
        let each = self.each(written, scope);
        let repeat = bounded(written.repeat.as_ref(), MOST_REPETITIONS, "repeat", self.faults);
        let site = Site { scope, repeated: repeat.is_some(), each: &each };
        let mut step = self.request(&written.request, written.identity.as_ref(), site);
        written.name.get_ref().clone_into(&mut step.name);
        self.headers(&written.headers, site, &mut step.headers);
        step.body = self.body(written, site, &mut step.headers);
        let timeout = written.timeout.as_ref();
        if let Some(timeout) = timeout.and_then(|text| some_time(text, Duration::from_nanos(1), self.faults))
        {
            step.timeout = timeout;
        }
        if !written.expect.is_empty() {
            step.expect = patterns(&written.expect, self.faults);
        }
        step.refused = patterns(&written.refused, self.faults);
        step.captures = self.captures(&written.capture, scope);
        step.checks = written.checks.iter().filter_map(|check| self.check(check, site)).collect();
        step.think =
            written.think.as_ref().and_then(|text| self.faults.note(text.span(), pause(text.get_ref())));
        step.chance = written.chance.as_ref().map_or(1.0, |chance| self.chance(chance));
        step.copies = written.copies.as_ref().map_or(1, |copies| self.copies(copies));
        step.repeat = repeat.unwrap_or(1);
        step.draw = self.drawn(&written.draw, scope);
        step.optional = written.optional;
        step.retry = written.retry.as_ref().and_then(|retry| self.retry(retry));
        step.record = written.record.as_ref().and_then(|role| self.role(role));
        step.keep = self.kept(&written.keep, site);
        step.each = written.each.as_ref().map(|each| each.get_ref().clone());
        step
    }

    /// A request that only reads, without anything around it.
    pub(super) fn read(
        &mut self,
        request: &raw::Text,
        identity: Option<&raw::Text>,
        repeat: Option<&Spanned<u32>>,
    ) -> Step {
        let count = bounded(repeat, MOST_REPETITIONS, "repeat", self.faults);
        let site = Site { scope: Scope::Watch, repeated: count.is_some(), each: &[] };
        let step = self.request(request, identity, site);
        Step { repeat: count.unwrap_or(1), ..step }
    }

    /// A text that belongs to no step.
    pub(super) fn template(&mut self, text: &raw::Text, usual: Escape, scope: Scope) -> Option<Template> {
        let site = Site { scope, repeated: scope == Scope::Watch, each: &[] };
        self.text(text.get_ref(), text.span(), usual, site)
    }

    fn request(&mut self, text: &raw::Text, identity: Option<&raw::Text>, site: Site<'_>) -> Step {
        let read = self.faults.note(text.span(), method_and_path(text.get_ref()));
        let (method, path) = read.unwrap_or(("GET", "/"));
        if let Some(c) = outside_of_values(path).find(|c| !c.is_ascii_graphic() || *c == '#') {
            let encoded: String = c.to_string().bytes().map(|byte| format!("%{byte:02X}")).collect();
            self.faults
                .add(text.span(), format!("`{c}` cannot stand in the path `{path}`; write it `{encoded}`"));
        }
        let path = self.text(path, text.span(), Escape::Url, site).unwrap_or_default();
        let mut headers = Vec::new();
        self.headers(self.defaults.headers, site, &mut headers);
        self.identify(identity, site, &mut headers);
        Step {
            name: String::new(),
            method: method.to_owned(),
            path,
            headers,
            body: None,
            timeout: self.defaults.timeout,
            expect: vec![Pattern::Class(2)],
            refused: Vec::new(),
            captures: Vec::new(),
            checks: Vec::new(),
            think: None,
            chance: 1.0,
            copies: 1,
            repeat: 1,
            draw: Vec::new(),
            optional: false,
            retry: None,
            record: None,
            keep: Vec::new(),
            each: None,
        }
    }

    fn text(
        &mut self,
        text: &str,
        span: std::ops::Range<usize>,
        usual: Escape,
        site: Site<'_>,
    ) -> Option<Template> {
        let find = |name: &str| self.names.find(name, site.scope, site.repeated, site.each);
        let read = Template::parse(text, usual, find);
        self.faults.note(span, read)
    }

    /// A text that is to be a decimal number, as far as that is known when the file is read.
    fn number(
        &mut self,
        what: &str,
        text: &str,
        span: &std::ops::Range<usize>,
        site: Site<'_>,
    ) -> Option<Template> {
        let template = self.text(text, span.clone(), Escape::Raw, site)?;
        let bound = template.bind(self.names).unwrap_or_default();
        let known = bound.constant().map(String::from_utf8_lossy);
        if let Some(known) = known.filter(|known| known.parse::<Decimal>().is_err()) {
            let is = if known == text { String::new() } else { format!(" is `{known}` and") };
            self.faults.add(span.clone(), format!("`{what}` takes a number, and `{text}`{is} is none"));
        }
        Some(template)
    }

    fn name_of(&mut self, name: &raw::Text) {
        let fine = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        if name.get_ref().is_empty() || !name.get_ref().chars().all(fine) {
            let problem =
                format!("`{}` is no name of a step; it has letters, digits, `_` and `-`", name.get_ref());
            self.faults.add(name.span(), problem);
        }
    }

    fn headers(&mut self, written: &raw::Texts, site: Site<'_>, headers: &mut Vec<(String, Template)>) {
        for (name, value) in written {
            let lower = name.to_ascii_lowercase();
            if !is_header_name(&lower) {
                self.faults.add(
                    value.span(),
                    format!("`{name}` is no name of a header; it has letters, digits and `-`"),
                );
            }
            if matches!(lower.as_str(), "content-length" | "transfer-encoding" | "connection") {
                self.faults.add(value.span(), format!("`{name}` is written by the generator itself"));
            }
            if value.get_ref().contains(char::is_control) {
                self.faults.add(
                    value.span(),
                    format!("`{name}` has a line break or another control character in it"),
                );
            }
            if let Some(value) = self.text(value.get_ref(), value.span(), Escape::Line, site) {
                headers.retain(|(known, _)| *known != lower);
                headers.push((lower, value));
            }
        }
    }

    fn identify(
        &mut self,
        identity: Option<&raw::Text>,
        site: Site<'_>,
        headers: &mut Vec<(String, Template)>,
    ) {
        let Some(name) = identity else { return };
        match self.defaults.identities.get(name.get_ref()) {
            Some(identity) => self.headers(&identity.headers, site, headers),
            None => {
                let known: Vec<&str> = self.defaults.identities.keys().map(String::as_str).collect();
                let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
                let problem = format!("no identity is called `{}`; there are {known}", name.get_ref());
                self.faults.add(name.span(), problem);
            }
        }
    }

    fn body(
        &mut self,
        written: &raw::Step,
        site: Site<'_>,
        headers: &mut Vec<(String, Template)>,
    ) -> Option<Template> {
        let (text, span, usual, kind) = match (&written.json, &written.text) {
            (None, None) => return None,
            (Some(json), Some(_)) => {
                self.faults.add(json.span(), "a step has either `json` or `text`");
                return None;
            }
            (Some(json), None) => {
                let value = self.faults.note(json.span(), json_of(json.get_ref()))?;
                (value.to_string(), json.span(), Escape::Json, "application/json")
            }
            (None, Some(text)) => {
                (text.get_ref().clone(), text.span(), Escape::Raw, "text/plain; charset=utf-8")
            }
        };
        if !headers.iter().any(|(name, _)| name == "content-type") {
            headers.push(("content-type".to_owned(), Template::plain(kind)));
        }
        let body = self.text(&text, span.clone(), usual, site)?;
        for slot in body.json_slots() {
            if let Some(problem) = self.names.no_json(slot) {
                self.faults.add(span.clone(), problem);
            }
        }
        Some(body)
    }

    fn captures(&mut self, written: &raw::Texts, scope: Scope) -> Vec<(Slot, Place)> {
        let mut captures = Vec::new();
        for (name, place) in written {
            let slot = self.names.capture(name, scope);
            let slot = self.faults.note(place.span(), slot);
            if let (Some(slot), Some(place)) = (slot, parsed(place, self.faults)) {
                captures.push((slot, place));
            }
        }
        captures
    }

    fn check(&mut self, written: &Spanned<raw::Check>, site: Site<'_>) -> Option<Check> {
        let (span, check) = (written.span(), written.get_ref());
        let subject = match (&check.at, &check.sum) {
            (Some(at), None) => Subject::Place(self.faults.note(span.clone(), at.parse())?),
            (None, Some(parts)) if parts.is_empty() => {
                self.faults.add(span, "`sum` has at least one number");
                return None;
            }
            (None, Some(parts)) => {
                let read = |part: &String| self.number("sum", part, &span, site);
                Subject::Sum(parts.iter().map(read).collect::<Option<_>>()?)
            }
            _ => {
                self.faults.add(span, "a check has either `at` or `sum`");
                return None;
            }
        };
        let mut tests = Vec::new();
        let written = [
            ("=", &check.equals, None, Test::Equals as fn(Template) -> Test),
            ("contains", &check.contains, None, Test::Contains),
            (">=", &check.at_least, Some("at_least"), Test::AtLeast),
            ("<=", &check.at_most, Some("at_most"), Test::AtMost),
        ];
        for (sign, text, number, make) in written {
            if let Some(text) = text {
                let template = match number {
                    Some(what) => self.number(what, text, &span, site)?,
                    None => self.text(text, span.clone(), Escape::Raw, site)?,
                };
                tests.push((format!("{sign} {text}"), make(template)));
            }
        }
        if let Some(exists) = check.exists {
            tests.push((if exists { "exists" } else { "is absent" }.to_owned(), Test::Exists(exists)));
        }
        if tests.len() > 1 {
            self.faults.add(span, "a check has one test; write two checks");
            return None;
        }
        let Some((test_name, test)) = tests.pop() else {
            self.faults.add(span, "a check has `equals`, `contains`, `at_least`, `at_most` or `exists`");
            return None;
        };
        let of = check.at.clone().or_else(|| check.sum.as_ref().map(|parts| parts.join(" + ")));
        let name = check.name.clone().unwrap_or_else(|| format!("{} {test_name}", of.unwrap_or_default()));
        Some(Check { name, subject, test })
    }

    fn chance(&mut self, written: &Spanned<f64>) -> f64 {
        let chance = *written.get_ref();
        if !(0.0..=1.0).contains(&chance) {
            self.faults.add(written.span(), format!("`chance` is from 0 to 1, not {chance}"));
        }
        chance
    }

    fn copies(&mut self, written: &Spanned<u8>) -> u8 {
        let copies = *written.get_ref();
        if !(1..=MOST_COPIES).contains(&copies) {
            self.faults.add(written.span(), format!("`copies` is from 1 to {MOST_COPIES}, not {copies}"));
        }
        copies
    }

    fn drawn(&mut self, written: &[raw::Text], scope: Scope) -> Vec<Slot> {
        let mut slots = Vec::new();
        for name in written {
            match self.names.find(name.get_ref(), scope, false, &[]) {
                Ok(slot) if self.names.is_drawn(slot) => slots.push(slot),
                Ok(_) => self.faults.add(name.span(), format!("`{}` is not generated", name.get_ref())),
                Err(problem) => self.faults.add(name.span(), problem),
            }
        }
        slots
    }

    fn retry(&mut self, written: &raw::Retry) -> Option<Retry> {
        let growth = written.growth.as_ref().map_or(1.0, |growth| *growth.get_ref());
        if let Some(at) = written.growth.as_ref().filter(|_| !(1.0..=10.0).contains(&growth)) {
            self.faults.add(at.span(), format!("`growth` is from 1 to 10, not {growth}"));
        }
        let wait = duration(&written.wait, self.faults)?;
        let longest = written.longest.as_ref().map_or(Some(wait), |text| duration(text, self.faults))?;
        if let Some(at) = written.longest.as_ref().filter(|_| longest < wait) {
            self.faults.add(at.span(), "`longest` is less than `wait`; it bounds how far the wait grows");
        }
        if written.on.is_empty() {
            let problem = "`on` names at least one answer, such as `503` or `timeout`";
            self.faults.add(written.most.span(), problem);
        }
        Some(Retry {
            on: patterns(&written.on, self.faults),
            most: bounded(Some(&written.most), MOST_REPETITIONS, "most", self.faults)?,
            wait,
            growth,
            longest,
        })
    }

    fn role(&mut self, written: &raw::Text) -> Option<Role> {
        if !self.defaults.records {
            self.faults
                .add(written.span(), "`record` is for an audit of kind `relampago`; others have `keep`");
            return None;
        }
        let role = match written.get_ref().as_str() {
            "stock" => Role::Stock,
            "cart" => Role::Cart,
            "order" => Role::Order,
            "payment" => Role::Payment,
            "cancel" => Role::Cancel,
            other => {
                let problem = format!(
                    "`{other}` is nothing to record; there are stock, cart, order, payment and cancel"
                );
                self.faults.add(written.span(), problem);
                // The audit is not to miss a step that buys, for it.
                Role::Order
            }
        };
        Some(role)
    }

    fn kept(&mut self, written: &[raw::Text], site: Site<'_>) -> Vec<Slot> {
        let mut slots = Vec::new();
        for name in written {
            let found = self.names.find(name.get_ref(), site.scope, site.repeated, site.each);
            slots.extend(self.faults.note(name.span(), found));
        }
        slots
    }

    /// The values kept by the step that an audit step goes over.
    fn each(&mut self, written: &raw::Step, scope: Scope) -> Vec<Slot> {
        let Some(name) = &written.each else { return Vec::new() };
        if scope != Scope::Audit {
            self.faults.add(name.span(), "`each` is for steps of the audit");
            return Vec::new();
        }
        match self.names.kept_by(name.get_ref()) {
            Some(kept) if !kept.is_empty() => kept.to_vec(),
            _ => {
                self.faults.add(
                    name.span(),
                    format!("no step of a flow called `{}` keeps anything", name.get_ref()),
                );
                Vec::new()
            }
        }
    }
}

/// The two parts of a request as it is written.
fn method_and_path(text: &str) -> Result<(&str, &str), String> {
    let parts = text.split_once(' ').filter(|(method, path)| {
        METHODS.contains(method) && path.starts_with(['/', '{']) && !path.contains(char::is_control)
    });
    let (method, path) = parts
        .ok_or_else(|| format!("`{text}` is no request; say `POST /orders`, with {}", METHODS.join(", ")))?;
    Ok((method, path.trim()))
}

/// The letters of a template that are written as they are.
fn outside_of_values(text: &str) -> impl Iterator<Item = char> {
    text.split("{{").enumerate().flat_map(|(index, part)| {
        let outside = if index == 0 { part } else { part.split_once("}}").map_or("", |(_, after)| after) };
        outside.chars()
    })
}

/// `2s`, `1s..3s`, or `exp 2s`.
fn pause(text: &str) -> Result<Pause, String> {
    let read = |part: &str| {
        let refused = |problem| format!("{problem}; a wait is `2s`, `1s..3s` or `exp 2s`");
        read_duration(part.trim()).map_err(refused)
    };
    if let Some(mean) = text.strip_prefix("exp ") {
        return Ok(Pause::Exponential(read(mean)?));
    }
    let Some((from, to)) = text.split_once("..") else { return Ok(Pause::Fixed(read(text)?)) };
    let (from, to) = (read(from)?, read(to)?);
    if from <= to { Ok(Pause::Between(from, to)) } else { Err(format!("`{text}` ends before it begins")) }
}

fn json_of(value: &Value) -> Result<serde_json::Value, String> {
    Ok(match value {
        Value::String(text) => serde_json::Value::from(text.as_str()),
        Value::Integer(number) => serde_json::Value::from(*number),
        Value::Float(number) if !number.is_finite() => {
            return Err(format!("JSON has no number {number}"));
        }
        Value::Float(number) => serde_json::Value::from(*number),
        Value::Boolean(truth) => serde_json::Value::from(*truth),
        Value::Datetime(moment) => serde_json::Value::from(moment.to_string()),
        Value::Array(items) => items.iter().map(json_of).collect::<Result<Vec<_>, _>>()?.into(),
        Value::Table(table) => {
            let fields = table.iter().map(|(name, value)| Ok((name.clone(), json_of(value)?)));
            serde_json::Value::Object(fields.collect::<Result<_, String>>()?)
        }
    })
}
