//! Users, e-mail claims, API keys and the audit.

use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, any, prop_oneof};
use proptest::proptest;
use relampago_actors::access::Role;
use relampago_actors::api_keys::{self, ApiKeys, NewKey};
use relampago_actors::audit::{self, Actor, Audit};
use relampago_actors::email::{self, Email};
use relampago_actors::personal::Personal;
use relampago_actors::secret::{Password, SecretHash};
use relampago_actors::user::{
    self, Authority, Change, MAX_SESSIONS, NewEmail, OpenSession, Profile, Purpose, Registration, User,
};
use relampago_actors::{Entity, Id};

use super::{drive, pause};
use crate::support::samples::{id, tag};

fn new_email() -> impl Strategy<Value = NewEmail> {
    (0..3usize).prop_map(|email| NewEmail { claim: id("email", email), address: Personal::clear("a@b") })
}

fn password() -> impl Strategy<Value = Password> {
    (0..3u8).prop_map(|number| Password::new(number.to_string()))
}

fn registration() -> impl Strategy<Value = user::Command> {
    (new_email(), password(), 0..4u8, 0..2u128).prop_map(|(email, password, role, key)| {
        user::Command::Register(Box::new(Registration {
            profile: Profile { name: Personal::clear("Ana"), phone: None },
            email,
            password: (role > 0).then_some(password),
            role: if role == 3 { Role::Staff } else { Role::Customer },
            locale: 1,
            tag: Some(tag(key, 0)),
        }))
    })
}

fn change() -> impl Strategy<Value = user::Command> {
    let authority = prop_oneof![Just(Authority::Owner), Just(Authority::Staff), Just(Authority::Admin)];
    let email = proptest::option::of(new_email());
    (any::<bool>(), email, any::<bool>(), authority, 10..20u128).prop_map(
        |(rename, email, role, authority, key)| {
            let change = Change {
                name: rename.then(|| Personal::clear("Bea")),
                phone: rename.then(|| Some(Personal::clear("1"))),
                email,
                role: role.then_some(Role::Staff),
            };
            let change = Box::new(change);
            user::Command::Change { change, authority, if_version: None, tag: Some(tag(key, 0)) }
        },
    )
}

fn session_command() -> impl Strategy<Value = user::Command> {
    use user::Command as C;
    let secret = || (0..3u8).prop_map(|number| SecretHash([number; 32]));
    let session = || prop_oneof![5 => 0..2usize, 1 => 0..24usize].prop_map(|number| id("session", number));
    let epoch = || prop_oneof![4 => Just(1u32), 1 => 2..4u32];
    let ttl = prop_oneof![3 => Just(5_000u64), 1 => any::<u64>()];
    prop_oneof![
        4 => (session(), secret(), epoch(), ttl).prop_map(|(session, secret, epoch, ttl_ms)| {
            let tag = Some(tag(session.0, 0));
            C::OpenSession(Box::new(OpenSession { session, secret, epoch, rehashed: None, ttl_ms, tag }))
        }),
        4 => (session(), secret(), secret(), 100..110u128).prop_map(|(session, presented, next, key)| {
            C::Refresh { session, presented, next, tag: Some(tag(key, 0)) }
        }),
        1 => session().prop_map(|session| C::EndSession { session }),
        1 => Just(C::EndSessions),
        1 => (password(), epoch(), session(), 200..210u128).prop_map(|(password, epoch, keep, key)| {
            C::SetPassword { password, epoch, keep: Some(keep), tag: Some(tag(key, 0)) }
        }),
        1 => (password(), epoch(), 1..3u32, 300..310u128).prop_map(|(password, epoch, claim, key)| {
            C::ResetPassword { password, epoch, claim, tag: Some(tag(key, 0)) }
        }),
    ]
}

fn user_command() -> impl Strategy<Value = user::Command> {
    use user::Command as C;
    let purpose = prop_oneof![Just(Purpose::Reset), Just(Purpose::Verify), Just(Purpose::Notice)];
    let postal = || (0..4u128).prop_map(|number| Id(id("entity", 0).0 ^ number));
    let email = || (0..3usize).prop_map(|number| id("email", number));
    prop_oneof![
        2 => registration(),
        8 => (email(), 1..4u32, any::<bool>())
            .prop_map(|(email, number, granted)| C::EmailAnswered { email, number, granted }),
        2 => (email(), 1..4u32).prop_map(|(email, number)| C::EmailReleased { email, number }),
        2 => change(),
        8 => session_command(),
        1 => (0..6u32).prop_map(|number| C::MailSent { number }),
        1 => (purpose, any::<u64>()).prop_map(|(purpose, ttl_ms)| C::RequestMail { purpose, ttl_ms }),
        1 => (1..4u32).prop_map(|number| C::VerifyEmail { number }),
        3 => (400..500u128).prop_map(|key| C::AddAddress {
            address: Personal::clear("{}"),
            tag: Some(tag(key, 0)),
        }),
        1 => postal().prop_map(|id| C::SetAddress { id, address: Personal::clear("{1}"), if_version: None }),
        1 => postal().prop_map(|id| C::RemoveAddress { id, if_version: None }),
        1 => (0..30u8).prop_map(|roll| match roll {
            0 => C::Erase { authority: Authority::Owner, if_version: None },
            _ => C::Get,
        }),
        1 => Just(C::KeyDestroyed),
    ]
}

fn email_command() -> impl Strategy<Value = email::Command> {
    use email::Command as C;
    (0..4u8, 0..2usize, 1..4u32).prop_map(|(what, user, number)| {
        let user = id("user", user);
        match what {
            0 => C::Claim { user, number },
            1 => C::Keep { user, number },
            2 => C::Release { user, number },
            _ => C::Find,
        }
    })
}

fn api_keys_command() -> impl Strategy<Value = api_keys::Command> {
    use api_keys::Command as C;
    let key = || (0..6usize).prop_map(|number| id("key", number));
    prop_oneof![
        2 => (key(), proptest::option::of(any::<u64>()), 0..9u128).prop_map(|(id, expires_at, key)| {
            C::Create(Box::new(NewKey {
                id,
                name: "a program".into(),
                permissions: Role::Staff.permissions(),
                digest: SecretHash([0; 32]),
                expires_at,
                by: None,
                tag: Some(tag(key, 0)),
            }))
        }),
        1 => key().prop_map(|id| C::Revoke { id }),
        2 => key().prop_map(|id| C::Used { id }),
        1 => key().prop_map(|id| C::Check { id, digest: SecretHash([0; 32]) }),
    ]
}

fn audit_command() -> impl Strategy<Value = audit::Command> {
    any::<u16>().prop_map(|status| {
        audit::Command::Record(Box::new(audit::Entry {
            at: 0,
            actor: Actor::Bootstrap,
            role: None,
            method: "GET".into(),
            route: "/".into(),
            path: "/".into(),
            status,
            from: String::new(),
            request_id: String::new(),
        }))
    })
}

proptest! {
    #[test]
    fn a_user_stays_within_its_bounds(
        begin in registration(),
        commands in vec((user_command(), pause()), 1..80),
    ) {
        // Whatever the address, it is granted at once.
        let grants = (0..3).map(|email| {
            (user::Command::EmailAnswered { email: id("email", email), number: 1, granted: true }, 0)
        });
        let commands = std::iter::once((begin, 0)).chain(grants).chain(commands).collect();
        drive::<User>(commands, |_| true, |user| {
            assert!(user.sessions().count() <= MAX_SESSIONS);
            assert_eq!(user.view().is_some(), user.epoch() > 0);
            assert_eq!(user.at_rest(), user.pending().is_empty(), "{user:?}");
            assert!(user.view().is_none() || user.facets().is_some_and(|facets| facets.user.is_some()));
        });
    }

    #[test]
    fn an_address_is_offered_until_it_is_kept_or_given_back(commands in vec((email_command(), 0..9u64), 1..60)) {
        drive::<Email>(commands, |_| true, |email| {
            assert_eq!(email.at_rest(), email.pending().is_empty());
            assert!(email.owner().is_some() || email.at_rest());
        });
    }

    #[test]
    fn api_keys_repeat_themselves(commands in vec((api_keys_command(), pause()), 1..60)) {
        drive::<ApiKeys>(commands, |_| true, |_| {});
    }

    #[test]
    fn the_audit_forgets_nothing(commands in vec((audit_command(), 0..9u64), 1..20)) {
        drive::<Audit>(commands, |_| false, |audit| assert!(!audit.at_rest()));
    }
}
