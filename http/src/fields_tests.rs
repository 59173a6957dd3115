#![allow(clippy::unwrap_used)]

use super::*;

fn line(fields: &mut Fields<'_>) -> Option<(Arc<str>, i64)> {
    let sku = fields.required("sku", text(1..=8));
    let quantity = fields.required("quantity", whole(1..=999));
    sku.zip(quantity)
}

type Bought = (Vec<(Arc<str>, i64)>, Option<Arc<str>>);

fn buy(body: &[u8]) -> Result<Bought, Problem> {
    let mut fields = Fields::parse(body)?;
    let items = fields.objects("items", 3, line)?;
    let note = fields.optional("note", text(0..=10));
    fields.finish(items.map(|items| (items, note)))
}

fn code(result: Result<Bought, Problem>) -> &'static str {
    result.unwrap_err().kind().code
}

#[test]
fn a_good_body_is_read() {
    let (items, note) = buy(br#" {"items": [{"sku": "a\u0042", "quantity": 2}], "note": null} "#).unwrap();
    assert_eq!(items, [("aB".into(), 2)]);
    assert_eq!(note, None);
}

#[test]
fn every_field_at_fault_is_named() {
    let body =
        br#"{"items": [{"sku": 1}, 7, {"sku": "x", "quantity": 1.0, "size": 3}], "note": [], "a": {}}"#;
    let problem = buy(body).unwrap_err();
    assert_eq!(problem.kind(), Kind::VALIDATION_FAILED);
    let fields: Vec<&str> = problem.errors().iter().map(|error| &*error.field).collect();
    let expected =
        ["items[0].sku", "items[0].quantity", "items[1]", "items[2].quantity", "items[2].size", "note", "a"];
    assert_eq!(fields, expected);
}

#[test]
fn what_is_not_an_object_is_malformed() {
    let deep = format!(r#"{{"note": {}1{}}}"#, "[".repeat(32), "]".repeat(32));
    let table: [&[u8]; 14] = [
        b"",
        b"{",
        b"[]",
        b"7",
        b"null",
        b"{} {}",
        b"{'note': 1}",
        b"{\"note\": \"\xff\"}",
        b"{\"note\": 1, \"note\": 1}",
        b"{\"items\": [[\"sku\", 1]]}",
        b"{\"items\": [{\"sku\": \"a\", \"sku\": \"a\", \"quantity\": 1}]}",
        b"{\"unknown\": {\"a\": 1, \"a\": 2}}",
        b"{\"note\": 01}",
        deep.as_bytes(),
    ];
    for body in table {
        assert_eq!(code(buy(body)), "malformed_json", "{}", String::from_utf8_lossy(body));
    }
    let allowed = format!(r#"{{"note": {}1{}}}"#, "[".repeat(31), "]".repeat(31));
    assert_eq!(code(buy(allowed.as_bytes())), "validation_failed");
    let brackets_in_text = format!(r#"{{"note": "{}"}}"#, "[{".repeat(40));
    assert_eq!(code(buy(brackets_in_text.as_bytes())), "validation_failed");
}

#[test]
fn lists_are_never_empty_and_bounded() {
    for items in ["[]", "[{},{},{},{}]", "{}", "null", "\"x\""] {
        assert_eq!(code(buy(format!("{{\"items\": {items}}}").as_bytes())), "validation_failed", "{items}");
    }
}

#[test]
fn null_differs_from_missing_where_asked() {
    let read = |body: &'static [u8]| {
        let mut fields = Fields::parse(body).unwrap();
        let note = fields.present("note", text(0..=5));
        fields.finish(Some(note)).unwrap()
    };
    assert_eq!(read(b"{}"), None);
    assert_eq!(read(b"{\"note\": null}"), Some(None));
    assert_eq!(read(b"{\"note\": \"x\"}"), Some(Some("x".into())));
}

#[test]
fn a_hundred_thousand_members_take_no_longer_than_they_should() {
    let members = |last: &str| {
        let names = (0..100_000).map(|number| format!("\"{number:05}\":0,"));
        format!("{{{}\"{last}\":0}}", names.collect::<String>())
    };
    let read = |body: &str| {
        let began = std::time::Instant::now();
        let problem = Fields::parse(body.as_bytes()).and_then(|fields| fields.finish(Some(()))).unwrap_err();
        // Compared each with each, they took most of a minute.
        assert!(began.elapsed().as_secs() < 5, "{:?}", began.elapsed());
        problem
    };
    let unknown = read(&members("last"));
    assert_eq!(unknown.kind().code, "validation_failed");
    let mut written = Vec::new();
    unknown.write(crate::trace::TraceId::fresh(), &mut written);
    assert!(written.len() < 10_000);
    assert_eq!(read(&members("00007")).kind().code, "malformed_json");
}

#[test]
fn values_are_read_from_their_digits() {
    let amount = |json: &'static str| {
        let body = format!("{{\"amount\": {json}}}");
        let mut fields = Fields::parse(body.as_bytes()).unwrap();
        let amount = fields.required("amount", decimal);
        fields.finish(amount).ok().and_then(|amount| amount.minor(Currency::USD).ok())
    };
    assert_eq!(amount("\"19.99\""), Some(1999));
    assert_eq!(amount("19.99"), Some(1999));
    assert_eq!(amount("0.1"), Some(10));
    assert_eq!(amount("90071992547.41"), Some(9_007_199_254_741));
    assert_eq!(amount("1e400"), None);
    assert_eq!(amount("true"), None);
    assert_eq!(amount("\"19,99\""), None);
    assert_eq!(amount("{\"a\": 1}"), None);
}

#[test]
fn a_number_beyond_all_floats_is_a_fault_of_its_field() {
    for body in ["{\"note\": 1e400}", "{\"unknown\": [1e400]}"] {
        assert_eq!(code(buy(body.as_bytes())), "validation_failed", "{body}");
    }
}

#[test]
fn what_can_only_be_replaced_is_not_null() {
    let read = |body: &'static [u8]| {
        let mut fields = Fields::parse(body).unwrap();
        let note = fields.changed("note", text(0..=5));
        fields.finish(Some(note)).map_err(|problem| problem.kind().code)
    };
    assert_eq!(read(b"{}"), Ok(None));
    assert_eq!(read(b"{\"note\": \"x\"}"), Ok(Some("x".into())));
    assert_eq!(read(b"{\"note\": null}"), Err("validation_failed"));
}

#[test]
fn objects_are_kept_as_they_were_written() {
    let read = |body: &'static [u8]| {
        let mut fields = Fields::parse(body).unwrap();
        let address = fields.object("address", 20);
        fields.finish(Some(address)).map_err(|problem| problem.kind().code)
    };
    assert_eq!(read(br#"{"address": {"street": "x"}}"#), Ok(Some(r#"{"street": "x"}"#)));
    assert_eq!(read(b"{}"), Ok(None));
    assert_eq!(read(br#"{"address": []}"#), Err("malformed_json"));
    assert_eq!(read(br#"{"address": {"street": "long enough"}}"#), Err("validation_failed"));
    assert_eq!(read(br#"{"address": "x"}"#), Err("validation_failed"));
    assert_eq!(read(br#"{"address": {"a": 1, "a": 2}}"#), Err("malformed_json"));
}
