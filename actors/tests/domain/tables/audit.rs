use relampago_actors::access::Role;
use relampago_actors::audit::{Actor, Audit, Command as C, Entry};
use relampago_actors::{Address, Entity};

use super::{after, assert_table, table};
use crate::support::samples::id;

fn entry(at: u64) -> Entry {
    Entry {
        at,
        actor: Actor::User(id("user", 0)),
        role: Some(Role::Staff),
        method: "PATCH".into(),
        route: "/products/{id}".into(),
        path: "/products/1".into(),
        status: 200,
        from: "192.0.2.1".into(),
        request_id: "r".into(),
    }
}

#[test]
fn audit_table() {
    let record = || C::Record(Box::new(entry(1_000_000)));
    let phases = [("empty", after::<Audit>([])), ("written", after([record()]))];
    assert_table(&table(&phases, &[("record", record()), ("list", C::List)]), include_str!("audit.txt"));
}

#[test]
fn a_minute_is_found_by_its_time_and_listed_under_its_beginning() {
    let minute = Audit::minute_of(1_019_999);
    assert_eq!((minute, Audit::minute_of(1_020_000)), (16, 17));
    assert_ne!(Address::audit(16), Address::audit(17));
    let written = after::<Audit>([C::Record(Box::new(entry(1_019_999)))]);
    assert_eq!(written.state.facets().map(|facets| facets.created_at), Some(16 * 60_000));
    assert_eq!((written.thawed(), written.replayed()), (written.state.clone(), written.state.clone()));
    assert!(!written.state.at_rest() && after::<Audit>([]).state.facets().is_none());
}
