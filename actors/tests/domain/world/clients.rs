//! The clients: they ask, ask again with the same key, ask twice at once, and remember what they were told.

use std::collections::{BTreeMap, BTreeSet};

use relampago_actors::keys::KeyTag;
use relampago_actors::{Address, Message, Rejection, Reply, cart, order, payment, user};

use super::people::{Doors, Glance};
use super::post::{Envelope, Post, Ticket};
use super::promise::{Promises, version};
use super::resident::Answered;

/// Something a client wants.
pub struct Request {
    pub to: Address,
    pub message: Message,
    /// The key it comes under, if any.
    key: Option<u128>,
    /// Sendings that may still be answered.
    open: usize,
    outcome: Option<Result<Reply, Rejection>>,
    /// The first success that a client got, and its number.
    success: Option<(usize, Reply)>,
}

/// One sending of a request.
struct Sending {
    request: usize,
    /// The version of the entity that clients had seen by then: no later read may show an older one.
    floor: u64,
    /// Whether clients had been told that this cart was bought.
    bought: bool,
    /// What clients had been told of the session it is about.
    glance: Glance,
}

#[derive(Default)]
pub struct Clients {
    requests: Vec<Request>,
    sendings: Vec<Sending>,
    /// Which request succeeded under a key.
    by_key: BTreeMap<u128, usize>,
    /// Carts whose order was answered.
    bought: BTreeSet<Address>,
    pub doors: Doors,
    pub promises: Promises,
}

impl Clients {
    pub fn request(&mut self, to: Address, message: Message, key: Option<u128>, post: &mut Post) {
        let request = Request { to, message, key, open: 0, outcome: None, success: None };
        self.requests.push(request);
        self.send(self.requests.len() - 1, post);
    }

    /// Sends a request, perhaps not for the first time.
    pub fn send(&mut self, request: usize, post: &mut Post) {
        let Request { to, message, .. } = &self.requests[request];
        let (bought, glance) = (self.bought.contains(to), self.doors.glance(message));
        self.sendings.push(Sending { request, floor: self.promises.version_of(*to), bought, glance });
        let ticket = Some(self.sendings.len() - 1);
        post.send_from_outside(Envelope { to: *to, message: message.clone(), ticket, depends: 0 });
        self.requests[request].open += 1;
    }

    pub fn len(&self) -> usize {
        self.requests.len()
    }

    /// What was asked with a sending.
    pub fn asked(&self, ticket: Ticket) -> &Message {
        &self.requests[self.sendings[ticket].request].message
    }

    /// The newest answer to a request.
    pub fn outcome(&self, request: usize) -> Option<&Result<Reply, Rejection>> {
        self.requests[request].outcome.as_ref()
    }

    /// Requests without an answer and without hope for one.
    pub fn given_up(&self) -> Vec<usize> {
        let lost = |(_, request): &(usize, &Request)| request.outcome.is_none() && request.open == 0;
        self.requests.iter().enumerate().filter(lost).map(|(index, _)| index).collect()
    }

    pub fn unanswered(&self) -> Option<&Message> {
        self.requests.iter().find(|request| request.outcome.is_none()).map(|request| &request.message)
    }

    /// A crash: all connections are gone.
    pub fn hang_up(&mut self) {
        for request in &mut self.requests {
            request.open = 0;
        }
    }

    /// An answer arrives.
    pub fn take(&mut self, answered: Answered) {
        let Answered { ticket, outcome, number, .. } = answered;
        let Sending { request: index, floor, bought, glance } = self.sendings[ticket];
        let request = &mut self.requests[index];
        request.open = request.open.saturating_sub(1);
        if let Ok(reply) = &outcome
            && request.key.is_none()
        {
            check_read(&request.message, reply, floor, bought);
        }
        check_terms(&request.message, &outcome);
        if request.key.is_some() {
            request.check_repetition(&outcome, number);
        }
        if let Message::User(command) = &request.message {
            self.doors.answered(request.to, command, &outcome, glance);
            if let (user::Command::Erase { .. }, Ok(Reply::Done)) = (command, &outcome) {
                self.promises.note_erased(request.to);
            }
        }
        if let (Ok(_), Some(key)) = (&outcome, request.key) {
            let first = *self.by_key.entry(key).or_insert(index);
            assert_eq!(first, index, "two bodies under one key: {:?}", self.requests[index].message);
        }
        if let Ok(reply) = &outcome {
            self.promises.note(subject(self.requests[index].to, reply), reply);
            if let Reply::Order(view) = reply {
                check_buyer(&self.requests[index].message, view.opened.tag);
                self.bought.extend(view.opened.cart.map(Address::cart));
            }
        }
        self.requests[index].outcome = Some(outcome);
    }

    /// Requests of which clients know that they succeeded.
    pub fn succeeded(&self) -> usize {
        self.requests.iter().filter(|request| request.success.is_some()).count()
    }
}

impl Request {
    /// The same key gets the same success for ever.
    fn check_repetition(&mut self, outcome: &Result<Reply, Rejection>, number: usize) {
        match (&mut self.success, outcome) {
            (Some((_, first)), Ok(reply)) => assert_eq!(first, reply, "{:?}", self.message),
            // Who is forgotten is so with all that they were answered.
            (Some(_), Err(Rejection::User(user::Rejection::NotFound | user::Rejection::InvalidToken))) => {}
            (Some((first, reply)), Err(rejection)) => {
                assert!(number < *first, "{:?} got {reply:?}, then {rejection:?}", self.message);
            }
            (success, Ok(reply)) => *success = Some((number, reply.clone())),
            (None, Err(_)) => {}
        }
    }
}

/// A read shows at least what was known when it was sent.
fn check_read(message: &Message, reply: &Reply, floor: u64, bought: bool) {
    let shown = matches!(
        reply,
        Reply::Product(_)
            | Reply::Inventory(_)
            | Reply::Cart(_)
            | Reply::Order(_)
            | Reply::Payment(_)
            | Reply::User(_)
    );
    if !shown {
        return;
    }
    assert!(version(reply) >= floor, "{message:?} shows {reply:?}, and version {floor} was seen before");
    if let (Reply::Cart(view), true) = (reply, bought) {
        assert_eq!(view.status, cart::Status::CheckedOut, "the cart's order was answered before");
    }
}

/// Nobody is sent away from stock that there is, nor pays anything but what they agreed to.
fn check_terms(asked: &Message, outcome: &Result<Reply, Rejection>) {
    match (asked, outcome) {
        (_, Err(Rejection::Order(order::Rejection::OutOfStock { items }))) => {
            let short = items.iter().all(|item| item.available < i64::from(item.requested));
            assert!(short && !items.is_empty(), "{asked:?} was refused for {items:?}");
        }
        (Message::Payment(payment::Command::Process { amount, .. }), Ok(Reply::Payment(view))) => {
            assert_eq!(amount.minor(view.currency), Ok(view.amount), "{asked:?} got {view:?}");
        }
        _ => {}
    }
}

/// A purchase is shown as bought to nobody but who holds its key.
fn check_buyer(message: &Message, bought: KeyTag) {
    let asked = match message {
        Message::Cart(cart::Command::Checkout { tag, .. }) => tag,
        Message::Order(order::Command::Place { tag, .. }) => tag,
        _ => return,
    };
    assert_eq!(*asked, bought, "{message:?} got an order that was bought under another key");
}

/// Whom a reply is about: a purchase asked of a cart is answered by its order.
fn subject(asked: Address, reply: &Reply) -> Address {
    match reply {
        Reply::Order(view) => Address::order(view.id),
        _ => asked,
    }
}
