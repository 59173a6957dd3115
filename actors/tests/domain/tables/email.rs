use relampago_actors::email::{Command as C, Email};

use super::{after, assert_table, table};
use crate::support::samples::id;

#[test]
fn email_table() {
    let (ana, bea) = (id("user", 0), id("user", 1));
    let claim = |user, number| C::Claim { user, number };
    let keep = |user, number| C::Keep { user, number };
    let release = |user, number| C::Release { user, number };
    let phases = [
        ("nobody's", after::<Email>([])),
        ("offered", after([claim(ana, 2)])),
        ("kept", after([claim(ana, 2), keep(ana, 2)])),
        ("offered again", after([claim(ana, 1), keep(ana, 1), claim(ana, 2)])),
        ("given back", after([claim(ana, 2), keep(ana, 2), release(ana, 2)])),
    ];
    let commands = [
        ("claim", claim(ana, 2)),
        ("claim, older", claim(ana, 1)),
        ("claim, newer", claim(ana, 3)),
        ("claim, another's", claim(bea, 2)),
        ("keep", keep(ana, 2)),
        ("keep, older", keep(ana, 1)),
        ("keep, another's", keep(bea, 2)),
        ("release", release(ana, 2)),
        ("release, older", release(ana, 1)),
        ("release, another's", release(bea, 2)),
        ("find", C::Find),
    ];
    assert_table(&table(&phases, &commands), include_str!("email.txt"));
}
