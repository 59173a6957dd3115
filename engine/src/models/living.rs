//! The passivation race: whoever sends, leaves and dies meanwhile, there is one host at a time, and every message is
//! handled once, but for those that die with their host.

use std::collections::VecDeque;
use std::sync::Arc;

use relampago_actors::{Address, Id};
use shuttle::rand::Rng as _;
use shuttle::thread;

use super::explore;
use crate::region::table::{Gate, Mailbox, Sent, Slot, Table};
use crate::sync::{Condvar, Mutex};

const SENDERS: u64 = 3;
const MESSAGES: u64 = 2;

/// What comes to a host.
enum Note {
    /// It is to host the entity from now on, which has handled these, and to begin with a message.
    Host { gate: Arc<Gate>, handled: Vec<u64>, first: u64 },
    /// For the entity.
    Deliver(u64),
    /// The entity may leave.
    Retire,
    /// The host dies.
    Die,
    /// There will be nothing more.
    End,
}

/// Where notes for one host are put.
struct Queue {
    number: usize,
    notes: Mutex<Option<VecDeque<Note>>>,
    changed: Condvar,
}

impl Queue {
    fn new(number: usize) -> Arc<Self> {
        Arc::new(Self { number, notes: Mutex::new(Some(VecDeque::new())), changed: Condvar::new() })
    }

    fn take(&self) -> Note {
        let mut notes = self.notes.lock();
        loop {
            match notes.as_mut().unwrap().pop_front() {
                Some(note) => return note,
                None => self.changed.wait(&mut notes),
            }
        }
    }

    /// Nothing is taken out any more.
    fn shut(&self) -> VecDeque<Note> {
        self.notes.lock().take().unwrap()
    }
}

impl Mailbox for Arc<Queue> {
    type Message = Note;

    fn put(&self, note: Note) -> Result<(), Note> {
        let mut notes = self.notes.lock();
        let Some(queue) = notes.as_mut() else { return Err(note) };
        queue.push_back(note);
        drop(notes);
        self.changed.notify_one();
        Ok(())
    }
}

/// What is known of the entity beside its hosts.
#[derive(Default)]
struct Books {
    /// Handled, in order: as in a journal.
    handled: Vec<u64>,
    /// Died with their host: who sent them is told.
    lost: Vec<u64>,
    /// The state that a host left behind, until another one takes it up.
    resting: Vec<u64>,
    /// The host that has the entity.
    host: Option<usize>,
}

struct Region {
    at: Address,
    table: Table<Arc<Queue>>,
    books: Mutex<Books>,
    hosts: Mutex<Vec<(Arc<Queue>, thread::JoinHandle<()>)>>,
    free: Mutex<Vec<Arc<Queue>>>,
}

impl Region {
    /// As `Region::deliver`.
    fn deliver(self: &Arc<Self>, message: u64) {
        let mut unsent = Some(message);
        while let Some(message) = unsent.take() {
            let back = match self.table.send(self.at, Note::Deliver(message)) {
                Sent::Away => return,
                Sent::NotLive(back) => back,
                Sent::Dead(back, host) => {
                    self.bury(&host);
                    back
                }
            };
            let Note::Deliver(message) = back else { panic!("another message comes back") };
            unsent = self.activate(message);
        }
    }

    fn activate(self: &Arc<Self>, message: u64) -> Option<u64> {
        let mut unsent = Some(message);
        self.table.activate(self.at, || {
            let first = unsent.take()?;
            let free = self.free.lock().pop();
            let host = free.unwrap_or_else(|| self.start_host());
            let mut books = self.books.lock();
            assert_eq!(books.host, None, "two hosts");
            let (handled, gate) = (std::mem::take(&mut books.resting), Arc::new(Gate::new(self.at, 0, 0)));
            if let Err(Note::Host { first, handled, .. }) =
                host.put(Note::Host { gate: Arc::clone(&gate), handled, first })
            {
                books.resting = handled;
                unsent = Some(first);
                return None;
            }
            books.host = Some(host.number);
            Some(Slot { mailbox: host, gate })
        });
        unsent
    }

    fn bury(&self, dead: &Arc<Queue>) {
        self.table.bury(
            self.at,
            |host| host.number == dead.number,
            |_| {
                let mut books = self.books.lock();
                assert_eq!(books.host, Some(dead.number), "another one is buried");
                books.host = None;
                // It is rebuilt from what is recorded.
                books.resting = books.handled.clone();
            },
        );
    }

    fn start_host(self: &Arc<Self>) -> Arc<Queue> {
        let mut hosts = self.hosts.lock();
        let queue = Queue::new(hosts.len());
        let (region, own) = (Arc::clone(self), Arc::clone(&queue));
        hosts.push((Arc::clone(&queue), thread::spawn(move || region.host(&own))));
        queue
    }

    /// As a shell: carries out what comes, and leaves when nothing is going on.
    fn host(&self, own: &Arc<Queue>) {
        let mut hosting: Option<(Arc<Gate>, Vec<u64>)> = None;
        loop {
            match own.take() {
                Note::Host { gate, handled, first } => {
                    assert!(hosting.is_none(), "a host has an entity already");
                    hosting = Some((gate, handled));
                    self.handle(own, &mut hosting, first);
                }
                Note::Deliver(message) => self.handle(own, &mut hosting, message),
                Note::Retire => self.leave(own, &mut hosting),
                Note::Die => {
                    let lost = own.shut();
                    let lost = lost.into_iter().filter_map(|note| match note {
                        Note::Deliver(message) | Note::Host { first: message, .. } => Some(message),
                        _ => None,
                    });
                    self.books.lock().lost.extend(lost);
                    return self.bury(own);
                }
                Note::End => return,
            }
        }
    }

    fn handle(&self, own: &Arc<Queue>, hosting: &mut Option<(Arc<Gate>, Vec<u64>)>, message: u64) {
        let (_, handled) = hosting.as_mut().expect("a message for an entity that is not here");
        handled.push(message);
        let mut books = self.books.lock();
        assert_eq!(books.host, Some(own.number), "handled by who is not its host");
        books.handled.push(message);
        assert_eq!(books.handled, *handled, "a life does not begin where the last one ended");
        drop(books);
        self.leave(own, hosting);
    }

    /// As `Shell::leave_if`.
    fn leave(&self, own: &Arc<Queue>, hosting: &mut Option<(Arc<Gate>, Vec<u64>)>) {
        let Some((gate, handled)) = hosting else { return };
        let rest = || {
            let mut books = self.books.lock();
            assert_eq!(books.host.take(), Some(own.number), "who leaves is not the host");
            books.resting = handled.clone();
            true
        };
        match self.table.retire(gate, rest) {
            Some(mailbox) => {
                *hosting = None;
                self.free.lock().push(mailbox);
            }
            None => gate.done(),
        }
    }
}

fn messages_come(deaths: bool) {
    let region = Arc::new(Region {
        at: Address::order(Id(1)),
        table: Table::default(),
        books: Mutex::default(),
        hosts: Mutex::default(),
        free: Mutex::default(),
    });
    let mut busy = Vec::new();
    for sender in 0..SENDERS {
        let region = Arc::clone(&region);
        busy.push(thread::spawn(move || {
            for message in 0..MESSAGES {
                region.deliver(sender * MESSAGES + message);
            }
        }));
    }
    let sweeping = Arc::clone(&region);
    busy.push(thread::spawn(move || {
        // As the sweeper nudges, and as a panic comes.
        let note = if deaths && shuttle::rand::thread_rng().gen_bool(0.5) { Note::Die } else { Note::Retire };
        let _not_live = sweeping.table.send(sweeping.at, note);
    }));
    for thread in busy {
        thread.join().unwrap();
    }
    loop {
        // Hosts start no others.
        let Some((queue, host)) = region.hosts.lock().pop() else { break };
        let _dead = queue.put(Note::End);
        host.join().unwrap();
    }
    let books = region.books.lock();
    let mut all: Vec<u64> = books.handled.iter().chain(&books.lost).copied().collect();
    all.sort_unstable();
    assert_eq!(all, (0..SENDERS * MESSAGES).collect::<Vec<_>>(), "a message was lost, or handled twice");
    assert!(deaths || books.lost.is_empty());
}

#[test]
fn no_message_is_lost_between_two_lives() {
    explore(|| messages_come(false));
}

#[test]
fn nor_when_the_host_dies() {
    explore(|| messages_come(true));
}
