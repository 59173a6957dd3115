//! What must hold of people when nothing moves any more.

use relampago_actors::user::{Command, Rejection as UserRejection};
use relampago_actors::{Address, Entity, Id, Message, OutsideCall, Rejection, Reply, user};

use super::crowd::ADDRESSES;
use crate::support::samples::id;
use crate::world::World;
use crate::world::resident::Any;

impl World {
    /// A mail or the destruction of a key: done, done without an answer, or not done.
    pub fn call_people(&mut self, call: OutsideCall, trouble: bool) {
        let trouble = if trouble { self.dice.weighted(&[80, 10, 10]) } else { 0 };
        if trouble == 2 {
            return;
        }
        let (of, answer) = match call {
            OutsideCall::Mail(mail) => {
                let answer = (mail.user, Command::MailSent { number: mail.number });
                self.crowd.mailbox.push(mail);
                answer
            }
            OutsideCall::DestroyKey { user } => {
                self.crowd.destroyed.insert(user);
                (user, Command::KeyDestroyed)
            }
            OutsideCall::Gateway(_) => return,
        };
        if trouble == 0 {
            self.tell_user(of, answer);
        }
    }

    fn tell_user(&mut self, of: Id, command: user::Command) {
        let (to, message) = (Address::user(of), Message::User(command));
        let envelope = crate::world::post::Envelope { to, message, ticket: None, depends: 0 };
        self.desk.post.send_from_outside(envelope);
    }

    /// No address is left with anybody who does not have it, and who is forgotten is so in full.
    pub fn audit_people(&self) {
        for (address, any) in &self.residents {
            match any {
                Any::Email(email) => {
                    let holder = self.desk.watch.people.holder(address.id);
                    assert_eq!(email.state.owner(), holder, "stranded: {}", any.describe());
                    assert!(email.state.at_rest(), "{}", any.describe());
                }
                Any::User(user) => {
                    assert!(user.state.at_rest(), "{}", any.describe());
                    assert_eq!(
                        user.state.is_erased(),
                        self.crowd.destroyed.contains(&address.id),
                        "{}",
                        any.describe()
                    );
                }
                _ => {}
            }
        }
        for mail in &self.crowd.mailbox {
            assert!(self.desk.watch.people.was_registered(mail.user), "mail to nobody: {mail:?}");
        }
    }

    /// Somebody new gets every address that nobody has, and no other.
    pub fn let_newcomers_register(&mut self) {
        let free: Vec<bool> = (0..ADDRESSES)
            .map(|address| self.desk.watch.people.owner(id("email", address)).is_none())
            .collect();
        let requests: Vec<usize> = (0..ADDRESSES)
            .map(|address| {
                let (to, command, key) = self.crowd.newcomer(address);
                self.clients.request(to, Message::User(command), key, &mut self.desk.post);
                self.clients.len() - 1
            })
            .collect();
        self.come_to_rest();
        for (request, free) in requests.into_iter().zip(free) {
            match self.clients.outcome(request) {
                Some(Ok(Reply::User(_))) => assert!(free),
                Some(Err(Rejection::User(UserRejection::EmailTaken))) => assert!(!free),
                other => panic!("a newcomer got {other:?}"),
            }
        }
    }
}
