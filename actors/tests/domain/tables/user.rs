use relampago_actors::access::Role;
use relampago_actors::personal::Personal;
use relampago_actors::secret::{Password, SecretHash};
use relampago_actors::user::{
    Authority, Change, Command as C, MAX_ADDRESSES, MAX_SESSIONS, NewEmail, OpenSession, Profile, Purpose,
    Registration, Rejection, User,
};
use relampago_actors::{Answer, Context, Entity, Id, Party};

use super::{after, assert_table, table};
use crate::properties::shelf;
use crate::support::drive::{Driver, Said};
use crate::support::samples::{POLICY, id, tag};

fn register(password: Option<&str>, role: Role, body: u64) -> C {
    C::Register(Box::new(Registration {
        profile: Profile { name: Personal::clear("Ana"), phone: None },
        email: NewEmail { claim: id("email", 0), address: Personal::clear("ana@example.com") },
        password: password.map(Password::new),
        role,
        locale: 0,
        tag: Some(tag(1, body)),
    }))
}

fn answered(email: usize, number: u32, granted: bool) -> C {
    C::EmailAnswered { email: id("email", email), number, granted }
}

fn change_email(email: usize, key: u128, body: u64) -> C {
    let address = Personal::clear("new@example.com");
    let email = Some(NewEmail { claim: id("email", email), address });
    change(Change { email, ..Change::default() }, Authority::Owner, Some((key, body)))
}

fn change(change: Change, authority: Authority, key: Option<(u128, u64)>) -> C {
    let tag = key.map(|(key, body)| tag(key, body));
    C::Change { change: Box::new(change), authority, if_version: None, tag }
}

fn rename(authority: Authority) -> C {
    change(Change { name: Some(Personal::clear("Bea")), ..Change::default() }, authority, None)
}

fn promote(authority: Authority) -> C {
    change(Change { role: Some(Role::Staff), ..Change::default() }, authority, None)
}

fn open(number: usize, epoch: u32, key: u128) -> C {
    C::OpenSession(Box::new(OpenSession {
        session: id("session", number),
        secret: SecretHash([1; 32]),
        epoch,
        rehashed: None,
        ttl_ms: 100_000,
        tag: Some(tag(key, 0)),
    }))
}

fn refresh(presented: u8, next: u8, key: u128) -> C {
    let (presented, next) = (SecretHash([presented; 32]), SecretHash([next; 32]));
    C::Refresh { session: id("session", 0), presented, next, tag: Some(tag(key, 0)) }
}

fn set_password(epoch: u32, key: u128) -> C {
    C::SetPassword { password: Password::new("set"), epoch, keep: None, tag: Some(tag(key, 0)) }
}

fn reset_password(epoch: u32, claim: u32, key: u128) -> C {
    C::ResetPassword { password: Password::new("reset"), epoch, claim, tag: Some(tag(key, 0)) }
}

fn mail(purpose: Purpose) -> C {
    C::RequestMail { purpose, ttl_ms: 100_000 }
}

fn add_address(key: u128, body: u64) -> C {
    C::AddAddress { address: Personal::clear("{}"), tag: Some(tag(key, body)) }
}

fn set_address(id: Id, if_version: Option<u64>) -> C {
    C::SetAddress { id, address: Personal::clear("{1}"), if_version }
}

/// An account, and what it does then.
fn account(then: impl IntoIterator<Item = C>) -> Driver<User> {
    let begin = [register(Some("first"), Role::Customer, 0), answered(0, 1, true), C::MailSent { number: 1 }];
    after(begin.into_iter().chain(then))
}

/// The user, so much later.
fn later(mut user: Driver<User>, ms: u64) -> Driver<User> {
    user.now += ms;
    user
}

fn phases() -> Vec<(&'static str, Driver<User>)> {
    let erase = || C::Erase { authority: Authority::Owner, if_version: None };
    let begun = register(Some("first"), Role::Customer, 0);
    let guest = [register(None, Role::Customer, 0), answered(0, 1, true)];
    let staff = [register(Some("first"), Role::Staff, 0), answered(0, 1, true), C::MailSent { number: 1 }];
    let moved = [change_email(1, 2, 0), answered(1, 2, true)];
    vec![
        ("blank", after([])),
        ("registering", after([begun.clone()])),
        ("refused", after([begun.clone(), answered(0, 1, false)])),
        ("greeted", after([begun, answered(0, 1, true)])),
        ("account", account([])),
        ("verified", account([C::VerifyEmail { number: 1 }])),
        ("guest profile", after(guest)),
        ("staff", after(staff)),
        ("mailed", account([mail(Purpose::Reset)])),
        ("signed in", account([open(0, 1, 3)])),
        ("refreshed", account([open(0, 1, 3), refresh(1, 2, 4)])),
        ("session expired", later(account([open(0, 1, 3)]), 100_000)),
        ("password set", account([open(0, 1, 3), set_password(1, 5)])),
        ("password reset", account([open(0, 1, 3), reset_password(1, 1, 6)])),
        ("with an address", account([add_address(7, 0)])),
        ("changing", account([change_email(1, 2, 0)])),
        ("change refused", account([change_email(1, 2, 0), answered(1, 2, false)])),
        ("changed", account(moved.clone())),
        ("changed, old address free", account(moved.into_iter().chain([released(0, 1)]))),
        ("erased", account([erase()])),
        ("erased, address free", account([erase(), released(0, 1)])),
        ("forgotten", account([erase(), released(0, 1), C::KeyDestroyed])),
    ]
}

fn released(email: usize, number: u32) -> C {
    C::EmailReleased { email: id("email", email), number }
}

fn commands() -> Vec<(&'static str, C)> {
    let first_address = Id(id("entity", 0).0 ^ 1);
    let (session, authority) = (id("session", 0), Authority::Owner);
    vec![
        ("register", register(Some("first"), Role::Customer, 0)),
        ("register, other body", register(Some("first"), Role::Customer, 1)),
        ("granted", answered(0, 1, true)),
        ("not granted", answered(0, 1, false)),
        ("second granted", answered(1, 2, true)),
        ("second not granted", answered(1, 2, false)),
        ("late granted", answered(2, 1, true)),
        ("released", released(0, 1)),
        ("released another", released(1, 1)),
        ("key destroyed", C::KeyDestroyed),
        ("mail sent", C::MailSent { number: 1 }),
        ("second mail sent", C::MailSent { number: 2 }),
        ("get", C::Get),
        ("rename", rename(Authority::Owner)),
        ("rename as staff", rename(Authority::Staff)),
        ("promote", promote(Authority::Owner)),
        ("promote as staff", promote(Authority::Staff)),
        ("promote as admin", promote(Authority::Admin)),
        ("change nothing", change(Change::default(), Authority::Owner, None)),
        ("change nothing under a key", change(Change::default(), Authority::Owner, Some((9, 0)))),
        ("change e-mail", change_email(1, 2, 0)),
        ("change e-mail, other body", change_email(1, 2, 1)),
        ("change e-mail, other key", change_email(2, 8, 0)),
        ("same e-mail", change_email(0, 10, 0)),
        ("erase", C::Erase { authority, if_version: None }),
        ("erase as staff", C::Erase { authority: Authority::Staff, if_version: None }),
        ("erase, old version", C::Erase { authority, if_version: Some(9) }),
        ("add address", add_address(7, 0)),
        ("add address, other body", add_address(7, 1)),
        ("set address", set_address(first_address, None)),
        ("set address, old version", set_address(first_address, Some(9))),
        ("set no address", set_address(Id(7), None)),
        ("remove address", C::RemoveAddress { id: first_address, if_version: None }),
        ("remove no address", C::RemoveAddress { id: Id(7), if_version: None }),
        ("addresses", C::Addresses),
        ("credentials", C::Credentials),
        ("open session", open(0, 1, 3)),
        ("open session, other key", open(0, 1, 11)),
        ("open another session", open(1, 1, 12)),
        ("refresh", refresh(1, 2, 4)),
        ("refresh, other key", refresh(1, 3, 13)),
        ("refresh again", refresh(2, 3, 14)),
        ("refresh with nothing known", refresh(9, 3, 15)),
        ("check session", C::CheckSession { session }),
        ("end session", C::EndSession { session }),
        ("end sessions", C::EndSessions),
        ("set password", set_password(1, 5)),
        ("set password, new epoch", set_password(2, 16)),
        ("reset password", reset_password(1, 1, 6)),
        ("reset password, other key", reset_password(1, 1, 17)),
        ("reset password, new claim", reset_password(1, 2, 18)),
        ("ask to reset", mail(Purpose::Reset)),
        ("ask to verify", mail(Purpose::Verify)),
        ("ask for a notice", mail(Purpose::Notice)),
        ("verify", C::VerifyEmail { number: 1 }),
        ("verify, new claim", C::VerifyEmail { number: 2 }),
    ]
}

#[test]
fn user_table() {
    assert_table(&table(&phases(), &commands()), include_str!("user.txt"));
}

#[test]
fn strangers_reach_no_user() {
    let shelf = shelf();
    for (phase, user) in phases() {
        for (name, command) in commands() {
            for by in [Party::Guest, Party::User(id("another", 0))] {
                let cx = Context::new(user.now, &shelf, &POLICY).by(by);
                let decision = user.state.decide(command.clone(), &cx);
                assert_eq!(decision.answer, Answer::Reject(Rejection::NotFound.into()), "{phase}: {name}");
                assert!(decision.events.is_empty() && decision.effects.is_empty(), "{phase}: {name}");
            }
        }
    }
}

#[test]
fn the_oldest_session_ends_when_there_are_too_many() {
    let mut user = account([]);
    for number in 0..=MAX_SESSIONS {
        user.now += 1;
        user.ask(open(number, 1, 100 + number as u128), &shelf());
    }
    assert!(!user.state.session_live(id("session", 0)));
    assert_eq!(user.state.sessions().count(), MAX_SESSIONS);
    user.now += 100_000;
    user.ask(open(99, 1, 99), &shelf());
    assert_eq!(user.state.sessions().count(), 1, "those past their time are forgotten");
}

#[test]
fn a_password_change_keeps_the_session_it_came_from() {
    let mut user = account([open(0, 1, 3), open(1, 1, 4)]);
    let keep = Some(id("session", 1));
    user.ask(C::SetPassword { password: Password::new("set"), epoch: 1, keep, tag: None }, &shelf());
    assert_eq!(user.state.sessions().collect::<Vec<_>>(), [id("session", 1)]);
    assert_eq!(user.state.epoch(), 2);
}

#[test]
fn mail_is_asked_for_once_a_minute() {
    let mut user = account([]);
    let mut ask = |pause, purpose| {
        user.now += pause;
        user.ask(mail(purpose), &shelf()).events.len()
    };
    // The mail that greeted counts.
    assert_eq!([ask(59_999, Purpose::Verify), ask(0, Purpose::Reset), ask(1, Purpose::Verify)], [0, 1, 1]);
    assert_eq!([ask(59_998, Purpose::Reset), ask(1, Purpose::Reset)], [0, 1]);
    assert_eq!(user.state.pending().len(), 2, "the newer replaces the older");
}

#[test]
fn a_guest_profile_becomes_an_account_through_its_mailbox() {
    let mut guest = after::<User>([register(None, Role::Customer, 0), answered(0, 1, true)]);
    assert!(
        matches!(guest.ask(open(0, 1, 2), &shelf()).said, Said::No(_)),
        "there is no password to be right"
    );
    guest.ask(reset_password(1, 1, 3), &shelf());
    let view = guest.state.view().unwrap();
    assert!(view.has_password && view.verified && view.version == 2);
    assert!(matches!(guest.ask(open(0, 2, 2), &shelf()).said, Said::Yes(_)));
}

#[test]
fn what_is_erased_is_not_in_the_state() {
    let mut user = account([add_address(7, 0), change_email(1, 2, 0), open(0, 1, 3)]);
    user.ask(C::Erase { authority: Authority::Owner, if_version: None }, &shelf());
    let bytes = bincode::serde::encode_to_vec(&user.state, bincode::config::standard()).unwrap();
    for text in ["Ana", "example.com", "first", "{}"] {
        assert!(!bytes.windows(text.len()).any(|window| window == text.as_bytes()), "{text}");
    }
    // The answer to a claim that was under way gives the address back.
    let late = user.ask(answered(1, 2, true), &shelf());
    assert_eq!((late.events.len(), late.effects.len()), (0, 1));
}

#[test]
fn a_user_has_so_many_addresses() {
    let mut user = account((0..MAX_ADDRESSES as u128).map(|key| add_address(1_000 + key, 0)));
    assert_eq!(user.ask(add_address(7, 0), &shelf()).said, Said::No(Rejection::TooManyAddresses.into()));
    let first = Id(id("entity", 0).0 ^ 1);
    user.ask(C::RemoveAddress { id: first, if_version: None }, &shelf());
    assert!(matches!(user.ask(add_address(7, 0), &shelf()).said, Said::Yes(_)));
    // Asked for again, it is still gone.
    assert!(matches!(
        user.ask(C::RemoveAddress { id: first, if_version: None }, &shelf()).said,
        Said::Yes(_)
    ));
}
