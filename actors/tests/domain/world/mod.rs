//! The whole checkout, and the people of a shop, each as a world of pure entities.
//!
//! A scheduler with one seed delivers messages in any order that two mailboxes allow and some once more, lets time
//! pass, lets the journal become durable late, repeats what is owed, loses actors with their mailboxes, and crashes:
//! then everything in memory and under way is gone, and so is what was not durable. Clients repeat themselves; the
//! payment provider does what providers do. `watch` checks every event, `audit` what must hold when all is quiet.
//!
//! `RELAMPAGO_SEEDS=n` runs so many worlds, on every core there is, from `RELAMPAGO_FIRST_SEED` on; `RELAMPAGO_SEED=n`
//! runs one and says what happens in it. `falls` plays scripts with a crash between any two steps.

mod audit;
mod claims;
mod clients;
mod dice;
mod echo;
mod falls;
mod hosted;
mod log;
mod people;
mod post;
mod promise;
mod provider;
mod resident;
mod shopping;
mod watch;
mod weather;

use std::collections::BTreeMap;
use std::num::NonZero;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use relampago_actors::payment::{self, GatewayAnswer, GatewayCall};
use relampago_actors::{Address, Id, Message, OutsideCall, Reply, Sequence, order};

use clients::Clients;
use dice::Dice;
use echo::Echoes;
use people::Crowd;
use post::Envelope;
use provider::Provider;
use resident::{Answered, Any, Desk, OwedCall};
use shopping::Shopping;
use watch::Watch;
use weather::{Turn, Weather};

/// How many worlds a plain `cargo test` runs.
const SEEDS: u64 = 500;

/// What a world is about.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Scene {
    /// Carts, orders and payments.
    Shop,
    /// Users and their addresses.
    People,
}

impl Scene {
    /// How many steps the trouble in its worlds lasts.
    fn steps(self) -> usize {
        match self {
            // From a cart to a payment that is given back is a long way.
            Self::Shop => 2800,
            Self::People => 1500,
        }
    }
}

struct World {
    dice: Dice,
    desk: Desk,
    residents: BTreeMap<Address, Any>,
    snapshots: BTreeMap<Address, (Sequence, Vec<u8>)>,
    clients: Clients,
    shopping: Shopping,
    crowd: Crowd,
    /// Who lives in it.
    scene: Scene,
    provider: Provider,
    /// Calls that left before a crash and arrive after it.
    strays: Vec<GatewayCall>,
    crashes: usize,
    /// Messages that may come once more.
    echoes: Echoes,
    weather: Weather,
    tell: bool,
}

impl World {
    fn new(seed: u64, scene: Scene, tell: bool) -> Self {
        let mut dice = Dice::new(seed);
        Self {
            shopping: Shopping::new(&mut dice),
            crowd: Crowd::default(),
            scene,
            weather: Weather::new(&mut dice),
            dice,
            desk: Desk { now: 1_000_000, ..Desk::default() },
            residents: BTreeMap::new(),
            snapshots: BTreeMap::new(),
            clients: Clients::default(),
            provider: Provider::default(),
            strays: Vec::new(),
            echoes: Echoes::default(),
            crashes: 0,
            tell,
        }
    }

    fn tell(&self, what: impl FnOnce() -> String) {
        if self.tell {
            println!("{:>5} {:>8} {}", self.desk.log.last(), self.desk.now, what());
        }
    }

    /// One thing happens.
    fn step(&mut self) {
        match self.weather.turn(&mut self.dice) {
            Turn::Deliver => self.deliver(),
            Turn::Echo => self.repeat_a_message(),
            Turn::Want => self.want(),
            Turn::AskAgain => self.ask_again(),
            Turn::BecomeDurable => self.become_durable(),
            Turn::CallProvider => self.call_provider(true),
            Turn::ProviderDecides => self.provider_decides(),
            Turn::Tick => self.desk.now += self.dice.below(150) as u64,
            Turn::RingAlarm => self.ring_alarm(),
            Turn::Redrive => self.redrive_one(),
            Turn::Reload => self.reload_one(),
            Turn::Snapshot => self.take_snapshot(),
            Turn::Jump => self.desk.now += self.dice.below(12_000) as u64,
            Turn::Crash => self.crash(),
        }
    }

    /// Somebody has a wish.
    fn want(&mut self) {
        let (clients, post, dice) = (&mut self.clients, &mut self.desk.post, &mut self.dice);
        match self.scene {
            Scene::Shop => self.shopping.go_on(clients, post, dice),
            Scene::People => self.crowd.go_on(clients, post, dice),
        }
    }

    /// Trouble, rest, and the end of all that takes time.
    fn run(&mut self) {
        self.come_to_rest();
        for _ in 0..self.scene.steps() {
            self.step();
        }
        self.echoes.fade();
        self.come_to_rest();
        self.audit();
        self.let_everything_end();
        self.audit();
    }

    fn deliver(&mut self) {
        let Some(envelope) = self.desk.post.take(&mut self.dice) else { return };
        self.tell(|| format!("to {:?} {:?} (ticket {:?})", envelope.to, envelope.message, envelope.ticket));
        self.echoes.note(&envelope, &mut self.dice);
        let to = envelope.to;
        let resident = self.residents.entry(to).or_insert_with(|| Any::new(to));
        resident.deliver(envelope, &mut self.desk);
        self.answer();
    }

    fn repeat_a_message(&mut self) {
        if let Some(envelope) = self.echoes.take(&mut self.dice) {
            self.tell(|| format!("once more: to {:?} {:?}", envelope.to, envelope.message));
            self.desk.post.send_from_outside(envelope);
        }
    }

    /// Hands out the answers that may leave.
    fn answer(&mut self) {
        let durable = self.desk.log.durable();
        let mut index = 0;
        while index < self.desk.answers.len() {
            if self.desk.answers[index].depends > durable {
                index += 1;
                continue;
            }
            let answered = self.desk.answers.swap_remove(index);
            self.tell(|| format!("    answered {answered:?}"));
            self.check_cancelled(&answered);
            self.clients.take(answered);
        }
    }

    /// Who is told that an order is cancelled finds its stock given back.
    fn check_cancelled(&self, answered: &Answered) {
        let Message::Order(order::Command::Cancel { .. }) = self.clients.asked(answered.ticket) else {
            return;
        };
        if let Ok(Reply::Order(view)) = &answered.outcome {
            self.desk.watch.check_given_back(view.id);
        }
    }

    /// A client repeats a request: because it got no answer, or twice at once, or for no reason.
    fn ask_again(&mut self) {
        let lost = self.clients.given_up();
        let any = (self.clients.len() > 0).then(|| self.dice.below(self.clients.len()));
        let again = self.dice.pick(&lost).copied().filter(|_| self.dice.percent(70)).or(any);
        if let Some(request) = again {
            self.clients.send(request, &mut self.desk.post);
        }
    }

    fn become_durable(&mut self) {
        let (durable, last) = (self.desk.log.durable(), self.desk.log.last());
        let step = self.dice.below((last - durable) as usize + 1) as u64;
        self.desk.log.make_durable(durable + step);
        self.answer();
    }

    /// A call on the outside leaves, if its cause is durable.
    fn call_provider(&mut self, trouble: bool) {
        if let Some(index) = (!self.strays.is_empty()).then(|| self.dice.below(self.strays.len())) {
            let call = self.strays.swap_remove(index);
            self.provider.call(&call, &mut self.dice);
            return;
        }
        let durable = self.desk.log.durable();
        let ready = |(_, owed): &(usize, &OwedCall)| owed.depends <= durable;
        let ready: Vec<usize> =
            self.desk.calls.iter().enumerate().filter(ready).map(|(index, _)| index).collect();
        let Some(index) = self.dice.pick(&ready).copied() else { return };
        match self.desk.calls.swap_remove(index).call {
            OutsideCall::Gateway(call) => self.call_gateway(&call, trouble),
            call => self.call_people(call, trouble),
        }
    }

    fn call_gateway(&mut self, call: &GatewayCall, trouble: bool) {
        let trouble = if trouble { self.dice.weighted(&[70, 10, 10, 10]) } else { 0 };
        let answer = match trouble {
            // It never gets there.
            1 => GatewayAnswer::Unknown,
            2 => {
                self.provider.call(call, &mut self.dice);
                GatewayAnswer::Unknown
            }
            // It gets there after the engine has given up waiting.
            3 => {
                self.strays.push(call.clone());
                GatewayAnswer::Unknown
            }
            _ => self.provider.call(call, &mut self.dice),
        };
        self.tell(|| format!("    provider: {call:?} gives {answer:?}"));
        self.provider_says(call.payment, call.operation.asked(), answer);
    }

    fn provider_decides(&mut self) {
        if let Some((payment, asked, answer)) = self.provider.decide_one(&mut self.dice) {
            self.provider_says(payment, asked, answer);
        }
    }

    fn provider_says(&mut self, payment: Id, asked: payment::Asked, answer: GatewayAnswer) {
        let message = Message::Payment(payment::Command::Gateway { asked, answer });
        let envelope = Envelope { to: Address::payment(payment), message, ticket: None, depends: 0 };
        self.desk.post.send_from_outside(envelope);
    }

    /// A deadline that has passed is noticed.
    fn ring_alarm(&mut self) {
        let now = self.desk.now;
        let due = |(_, any): &(&Address, &Any)| any.deadline().is_some_and(|deadline| deadline <= now);
        let due: Vec<Address> = self.residents.iter().filter(due).map(|(address, _)| *address).collect();
        if let Some(address) = self.dice.pick(&due) {
            self.tell(|| format!("deadline of {address:?}"));
            if let Some(any) = self.residents.get_mut(address) {
                any.expire(&mut self.desk);
            }
            self.answer();
        }
    }

    fn some_resident(&mut self) -> Option<Address> {
        let all: Vec<Address> = self.residents.keys().copied().collect();
        self.dice.pick(&all).copied()
    }

    fn redrive_one(&mut self) {
        let owing = |(_, any): &(&Address, &Any)| any.owes();
        let owing: Vec<Address> = self.residents.iter().filter(owing).map(|(address, _)| *address).collect();
        if let Some(address) = self.dice.pick(&owing) {
            self.tell(|| format!("what {address:?} owes is sent again"));
            self.residents[address].redrive(&mut self.desk);
        }
    }

    /// An entity's actor dies and comes back: its state is what is recorded, durable or not. What is under way to it
    /// may be lost; who waits gets no answer.
    fn reload_one(&mut self) {
        let Some(address) = self.some_resident() else { return };
        let rebuilt = self.replay(address, None);
        let mut old = self.residents.insert(address, rebuilt);
        if let Some(old) = &mut old {
            assert!(old.same(&self.residents[&address]), "replay differs from {}", old.describe());
            old.hang_up();
        }
        if self.dice.percent(50) {
            self.desk.post.lose_those_to(address);
        }
        self.clients.hang_up();
        self.tell(|| format!("{address:?} is loaded again"));
        self.residents[&address].redrive(&mut self.desk);
    }

    /// An entity from a snapshot, if one is given, and the events above it.
    fn replay(&self, address: Address, snapshot: Option<&(Sequence, Vec<u8>)>) -> Any {
        let mut any = match snapshot {
            Some((last, bytes)) => Any::thaw(address, bytes, *last),
            None => Any::new(address),
        };
        let from = any.last();
        let above = self.desk.log.entries().iter().filter(|entry| entry.of == address);
        for entry in above.filter(|entry| entry.stamp.sequence > from) {
            any.restore_quietly(&entry.fact, entry.stamp);
        }
        any
    }

    fn take_snapshot(&mut self) {
        let Some(address) = self.some_resident() else { return };
        let any = &self.residents[&address];
        // Only what is durable may be covered.
        if (1..=self.desk.log.durable()).contains(&any.last()) {
            self.snapshots.insert(address, (any.last(), any.freeze()));
        }
    }

    /// Everything in memory and under way is lost, and so is what is not durable.
    fn crash(&mut self) {
        self.crashes += 1;
        let durable = self.desk.log.durable();
        self.tell(|| format!("crash: only up to {durable} is left"));
        for OwedCall { call, depends } in std::mem::take(&mut self.desk.calls) {
            let OutsideCall::Gateway(call) = call else { continue };
            if depends <= durable && self.dice.percent(40) {
                self.strays.push(call);
            }
        }
        self.desk.post.lose_all();
        self.echoes.lose_tail(durable);
        self.desk.answers.clear();
        self.clients.hang_up();
        self.desk.log.lose_tail();
        self.recover();
        if self.dice.percent(20) {
            self.desk.now += self.dice.below(150_000) as u64;
        }
        for any in self.residents.values() {
            any.redrive(&mut self.desk);
        }
    }

    /// Every entity from its events; some from snapshots, which must come to the same.
    fn recover(&mut self) {
        self.desk.watch = Watch::default();
        self.desk.shelf = Default::default();
        self.residents.clear();
        let Desk { log, shelf, watch, .. } = &mut self.desk;
        for entry in log.entries() {
            let any = self.residents.entry(entry.of).or_insert_with(|| Any::new(entry.of));
            any.restore(&entry.fact, entry.stamp, shelf, watch);
        }
        for (address, snapshot) in &self.snapshots {
            let thawed = self.replay(*address, Some(snapshot));
            let Some(replayed) = self.residents.get(address) else { panic!("{address:?} is gone") };
            assert!(
                thawed.same(replayed),
                "from a snapshot: {}, else {}",
                thawed.describe(),
                replayed.describe()
            );
            self.residents.insert(*address, thawed);
        }
        self.clients.promises.check(&self.residents);
    }
}

fn shop(seed: u64, tell: bool) -> [usize; 5] {
    let mut world = World::new(seed, Scene::Shop, tell);
    world.shopping.open_shop(&mut world.clients, &mut world.desk.post);
    world.run();
    let (paid, given_back) = world.desk.watch.orders_paid();
    [world.desk.watch.orders_placed(), paid, given_back, world.crashes, world.clients.succeeded()]
}

fn people(seed: u64, tell: bool) -> [usize; 5] {
    let mut world = World::new(seed, Scene::People, tell);
    world.run();
    world.let_newcomers_register();
    world.audit();
    let (refreshed, reset) = world.clients.doors.used();
    [world.desk.watch.people.registered(), world.crashes, world.crowd.destroyed.len(), refreshed, reset]
}

/// Says which world failed, and ends the others.
struct Announce<'a>(u64, &'a AtomicBool);

impl Drop for Announce<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.1.store(true, Ordering::Relaxed);
            let seed = self.0;
            eprintln!(
                "replay with RELAMPAGO_SEED={seed} cargo test -p relampago-actors world::no_ -- --nocapture"
            );
        }
    }
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().expect("a number"))
}

/// Many worlds, or the one that is asked for; the sum of what happened in them.
fn run_all<const N: usize>(run: impl Fn(u64, bool) -> [usize; N] + Sync) -> (u64, [usize; N]) {
    if let Some(seed) = number("RELAMPAGO_SEED") {
        return (0, run(seed, true));
    }
    let seeds = number("RELAMPAGO_SEEDS").unwrap_or(SEEDS);
    let first = number("RELAMPAGO_FIRST_SEED").unwrap_or(0);
    let (next, failed) = (AtomicU64::new(first), AtomicBool::new(false));
    let work = || {
        let mut sum = [0; N];
        while !failed.load(Ordering::Relaxed) {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= first + seeds {
                break;
            }
            let announce = Announce(seed, &failed);
            let happened = run(seed, false);
            drop(announce);
            add(&mut sum, happened);
        }
        sum
    };
    let mut sum = [0; N];
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..cores).map(|_| scope.spawn(work)).collect();
        for worker in workers {
            add(&mut sum, worker.join().expect("a world fails"));
        }
    });
    (seeds, sum)
}

fn add<const N: usize>(sum: &mut [usize; N], more: [usize; N]) {
    for (sum, more) in sum.iter_mut().zip(more) {
        *sum += more;
    }
}

#[test]
fn no_world_oversells_strands_or_forgets() {
    let (seeds, [orders, paid, given_back, crashes, successes]) = run_all(shop);
    println!("{seeds} worlds: {orders} orders, {crashes} crashes, {successes} requests carried out");
    println!("{paid} orders paid, {given_back} of them given back");
    assert!([orders, paid].into_iter().all(|count| count as u64 >= seeds), "the worlds sell next to nothing");
}

#[test]
fn no_world_shares_or_strands_an_address() {
    let (seeds, [users, crashes, erased, refreshed, reset]) = run_all(people);
    println!("{seeds} worlds: {users} users, {erased} forgotten, {crashes} crashes");
    println!("{refreshed} sessions refreshed, {reset} passwords reset");
    assert!([users, refreshed].into_iter().all(|count| count as u64 >= seeds), "next to nothing happens");
}
