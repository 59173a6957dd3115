use relampago_actors::access::Role;
use relampago_actors::api_keys::{ApiKeys, Command as C, ENDED_KEPT, MAX_LIVE, NewKey, Rejection};
use relampago_actors::secret::SecretHash;
use relampago_actors::{Id, Reply};

use super::{after, assert_table, table};
use crate::properties::shelf;
use crate::support::drive::{Driver, Said};
use crate::support::samples::{id, tag};

const MINUTE: u64 = 60_000;

fn new(key: Id, tagged: u128, body: u64) -> NewKey {
    NewKey {
        id: key,
        name: "warehouse".into(),
        permissions: Role::Staff.permissions(),
        digest: SecretHash([7; 32]),
        expires_at: Some(1_000_000 + 10 * MINUTE),
        by: None,
        tag: Some(tag(tagged, body)),
    }
}

fn create(new: NewKey) -> C {
    C::Create(Box::new(new))
}

/// The keys, so much later.
fn later(mut keys: Driver<ApiKeys>, ms: u64) -> Driver<ApiKeys> {
    keys.now += ms;
    keys
}

#[test]
fn api_keys_table() {
    let (one, two) = (id("key", 0), id("key", 1));
    let made = || after::<ApiKeys>([create(new(one, 1, 0))]);
    let used = || after([create(new(one, 1, 0)), C::Used { id: one }]);
    let phases = [
        ("none", after::<ApiKeys>([])),
        ("live", made()),
        ("used just now", later(used(), MINUTE - 1)),
        ("used a minute ago", later(used(), MINUTE)),
        ("revoked", after([create(new(one, 1, 0)), C::Revoke { id: one }])),
        ("almost expired", later(made(), 10 * MINUTE - 1)),
        ("expired", later(made(), 10 * MINUTE)),
    ];
    let other_secret = NewKey { digest: SecretHash([8; 32]), ..new(one, 1, 0) };
    let commands = [
        ("create", create(new(one, 1, 0))),
        ("create, other body", create(new(one, 1, 1))),
        ("create, other secret", create(other_secret)),
        ("create, other key", create(new(one, 2, 0))),
        ("create another", create(new(two, 2, 0))),
        ("revoke", C::Revoke { id: one }),
        ("revoke nothing", C::Revoke { id: two }),
        ("used", C::Used { id: one }),
        ("nothing used", C::Used { id: two }),
        ("check", C::Check { id: one, digest: SecretHash([7; 32]) }),
        ("check, other secret", C::Check { id: one, digest: SecretHash([8; 32]) }),
        ("check nothing", C::Check { id: two, digest: SecretHash([7; 32]) }),
        ("get", C::Get { id: one }),
        ("get nothing", C::Get { id: two }),
        ("list", C::List),
    ];
    assert_table(&table(&phases, &commands), include_str!("api_keys.txt"));
}

fn number(keys: &mut Driver<ApiKeys>) -> usize {
    match keys.ask(C::List, &shelf()).said {
        Said::Yes(Reply::ApiKeys(all)) => all.len(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn live_keys_are_bounded_and_of_the_ended_the_newest_stay() {
    let mut keys = after::<ApiKeys>([]);
    let lasting = |number: usize| NewKey { expires_at: None, tag: None, ..new(id("key", number), 0, 0) };
    for number in 0..MAX_LIVE {
        keys.ask(create(lasting(number)), &shelf());
    }
    let refused = keys.ask(create(lasting(MAX_LIVE)), &shelf()).said;
    assert_eq!(refused, Said::No(Rejection::TooMany.into()));
    for number in 0..ENDED_KEPT + 5 {
        keys.now += 1;
        keys.ask(C::Revoke { id: id("key", number) }, &shelf());
        keys.ask(create(lasting(MAX_LIVE + number)), &shelf());
    }
    assert_eq!(number(&mut keys), MAX_LIVE + ENDED_KEPT);
    assert!(keys.state.key_live(id("key", ENDED_KEPT + 5), keys.now));
    let forgotten = keys.ask(C::Get { id: id("key", 4) }, &shelf()).said;
    assert_eq!(forgotten, Said::No(Rejection::NotFound.into()));
    assert!(matches!(keys.ask(C::Get { id: id("key", 5) }, &shelf()).said, Said::Yes(_)));
    assert_eq!((keys.thawed(), keys.replayed()), (keys.state.clone(), keys.state.clone()));
}
