//! The load generator: one thread, one `epoll`, as many keep-alive connections as wanted, one request in flight on each.
//!
//! A load is driven in stretches, so that a caller can look at the server between warm-up and measurement; requests in
//! flight stay so in between.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use relampago_load::Rng;
use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};
use rustix::process::{Resource, getrlimit, setrlimit};
use rustix::time::{ClockId, clock_gettime};

use crate::answer::{Answer, id, scan};
use crate::outcome::Outcome;
use crate::template::{ID_LENGTH, Template, Unit};

/// Events taken from the kernel at once.
const EVENTS: usize = 512;
/// More than the longest answer.
const ANSWER_BYTES: usize = 64 * 1024;
/// Without an answer for so long the server counts as stuck.
const PATIENCE: Duration = Duration::from_secs(30);

/// What every shopper does, again and again: one request, or several that follow from each other.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// The requests of one unit of work. The next is sent once the one before succeeded.
    pub steps: Vec<Template>,
    /// Whose turn it is.
    pub skus: Skus,
}

/// The skus that units of work are about.
#[derive(Debug, Clone, Copy)]
pub enum Skus {
    /// This one, always.
    One(u64),
    /// Any number below this.
    RandomBelow(u64),
    /// From this one on, each once.
    From(u64),
}

/// When units of work begin.
#[derive(Debug, Clone, Copy)]
pub enum Pace {
    /// As soon as a connection is free: as fast as the server answers.
    Closed,
    /// So many a second, whatever the server does. Latency counts from when a unit should have begun.
    PerSecond(f64),
}

/// Connections at work.
pub struct Load {
    epoll: OwnedFd,
    events: Vec<epoll::Event>,
    buffer: Vec<u8>,
    shoppers: Vec<Shopper>,
    /// Shoppers without a request in flight.
    idle: VecDeque<usize>,
    skus: Skus,
    pace: Pace,
    /// When the next unit begins, in an open loop.
    next_begin: Instant,
    /// Units begun so far.
    begun: u64,
    /// Units that may still begin.
    left: u64,
    rng: Rng,
}

/// One connection.
struct Shopper {
    socket: TcpStream,
    steps: Vec<Template>,
    step: usize,
    unit: Unit,
    /// When the request in flight was sent, or should have been.
    since: Instant,
    /// When it was sent.
    sent: Instant,
    /// The part of an answer that has come so far.
    part: Vec<u8>,
}

impl Load {
    /// Connects so many shoppers, who wait for what [`Self::run_for`] or [`Self::run`] tell them.
    ///
    /// # Errors
    /// If a connection fails.
    pub fn connect(server: SocketAddr, scenario: &Scenario, shoppers: usize, pace: Pace) -> io::Result<Self> {
        raise_file_limit();
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let now = Instant::now();
        let mut connected = Vec::with_capacity(shoppers);
        for number in 0..shoppers {
            let socket = TcpStream::connect(server)?;
            socket.set_nodelay(true)?;
            socket.set_nonblocking(true)?;
            epoll::add(&epoll, &socket, epoll::EventData::new_u64(number as u64), epoll::EventFlags::IN)?;
            let (steps, unit, part) = (scenario.steps.clone(), Unit::default(), Vec::new());
            connected.push(Shopper { socket, steps, step: 0, unit, since: now, sent: now, part });
        }
        Ok(Self {
            epoll,
            events: Vec::with_capacity(EVENTS),
            buffer: vec![0; ANSWER_BYTES],
            shoppers: connected,
            idle: (0..shoppers).collect(),
            skus: scenario.skus,
            pace,
            next_begin: now,
            begun: 0,
            left: 0,
            rng: Rng::new(1),
        })
    }

    /// Keeps the shoppers busy for so long; what is in flight then stays so.
    ///
    /// # Errors
    /// If a connection fails or the server sends something else than an answer.
    pub fn run_for(&mut self, length: Duration) -> io::Result<Outcome> {
        self.left = u64::MAX;
        // What an open loop was late with before does not count here.
        self.next_begin = Instant::now();
        let end = self.next_begin + length;
        self.drive(|_, now| now >= end)
    }

    /// Lets so many units of work begin and waits for all that is in flight.
    ///
    /// # Errors
    /// As [`Self::run_for`].
    pub fn run(&mut self, units: u64) -> io::Result<Outcome> {
        self.left = units;
        self.next_begin = Instant::now();
        self.drive(|load, _| load.left == 0 && load.idle.len() == load.shoppers.len())
    }

    /// Waits for all that is in flight.
    ///
    /// # Errors
    /// As [`Self::run_for`].
    pub fn finish(&mut self) -> io::Result<Outcome> {
        self.run(0)
    }

    fn drive(&mut self, done: impl Fn(&Self, Instant) -> bool) -> io::Result<Outcome> {
        let mut outcome = Outcome::default();
        let (started, cpu, begun) = (Instant::now(), own_cpu(), self.begun);
        let (mut now, mut last_answer) = (started, started);
        loop {
            self.begin_due(now)?;
            if done(self, now) {
                break;
            }
            if self.wait(now)? > 0 {
                last_answer = Instant::now();
            } else if self.idle.len() < self.shoppers.len() && now - last_answer > PATIENCE {
                return Err(io::Error::new(io::ErrorKind::TimedOut, "the server has stopped answering"));
            }
            for number in 0..self.events.len() {
                let shopper = self.events[number].data.u64() as usize;
                self.receive(shopper, &mut outcome)?;
            }
            now = Instant::now();
        }
        outcome.elapsed = started.elapsed();
        outcome.begun = self.begun - begun;
        outcome.generator_cpu = own_cpu().saturating_sub(cpu);
        Ok(outcome)
    }

    /// Lets shoppers begin that are idle, if there is something to begin by now.
    fn begin_due(&mut self, now: Instant) -> io::Result<()> {
        while self.left > 0 && !self.idle.is_empty() {
            let since = match self.pace {
                Pace::Closed => now,
                Pace::PerSecond(rate) => {
                    if self.next_begin > now {
                        break;
                    }
                    let due = self.next_begin;
                    self.next_begin += Duration::from_secs_f64(1.0 / rate);
                    due
                }
            };
            if let Some(shopper) = self.idle.pop_front() {
                self.begin(shopper, since)?;
            }
        }
        Ok(())
    }

    fn begin(&mut self, shopper: usize, since: Instant) -> io::Result<()> {
        let sku = match self.skus {
            Skus::One(sku) => sku,
            Skus::RandomBelow(count) => self.rng.below(count),
            Skus::From(first) => first + self.begun,
        };
        let shopper = &mut self.shoppers[shopper];
        shopper.unit = Unit { number: self.begun, sku, ..Unit::default() };
        shopper.step = 0;
        self.begun += 1;
        self.left -= 1;
        shopper.send(since)
    }

    /// Waits for answers, but not beyond the next beginning; how many connections have something.
    fn wait(&mut self, now: Instant) -> io::Result<usize> {
        const LONGEST: Duration = Duration::from_millis(20);
        let paced = matches!(self.pace, Pace::PerSecond(_)) && self.left > 0 && !self.idle.is_empty();
        let longest = if paced { self.next_begin.saturating_duration_since(now) } else { LONGEST };
        let longest = longest.min(LONGEST);
        let timeout = Timespec { tv_sec: 0, tv_nsec: longest.subsec_nanos().into() };
        self.events.clear();
        Ok(epoll::wait(&self.epoll, spare_capacity(&mut self.events), Some(&timeout))?)
    }

    /// Takes what has come for a shopper, and sends what follows from it.
    fn receive(&mut self, number: usize, outcome: &mut Outcome) -> io::Result<()> {
        let shopper = &mut self.shoppers[number];
        let Some((answer, id)) = shopper.receive(&mut self.buffer)? else { return Ok(()) };
        let now = Instant::now();
        outcome.note(answer.status, now - shopper.since, now - shopper.sent);
        outcome.blunt += u64::from(answer.blunt);
        let succeeded = (200..300).contains(&answer.status);
        shopper.step += 1;
        if succeeded && shopper.step < shopper.steps.len() {
            shopper.unit.id = id.unwrap_or(shopper.unit.id);
            return shopper.send(now);
        }
        if self.left > 0 && matches!(self.pace, Pace::Closed) {
            return self.begin(number, now);
        }
        self.idle.push_back(number);
        Ok(())
    }
}

/// An answer, and the first id in it.
type WithId = (Answer, Option<[u8; ID_LENGTH]>);

impl Shopper {
    fn send(&mut self, since: Instant) -> io::Result<()> {
        self.since = since;
        self.sent = Instant::now();
        // One request is far below what a socket holds, and nothing else is on its way.
        self.socket.write_all(self.steps[self.step].fill(&self.unit))
    }

    /// The answer once all of it has come, with the first id in it if a further step may need that.
    fn receive(&mut self, buffer: &mut [u8]) -> io::Result<Option<WithId>> {
        let read = match self.socket.read(buffer) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(read) => &buffer[..read],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            Err(error) => return Err(error),
        };
        let bytes = if self.part.is_empty() {
            read
        } else {
            self.part.extend_from_slice(read);
            &self.part
        };
        let Some(answer) = scan(bytes).map_err(io::Error::other)? else {
            if self.part.is_empty() {
                self.part.extend_from_slice(read);
            }
            return Ok(None);
        };
        let id = if self.steps.len() > 1 { id(&bytes[answer.body.clone()]) } else { None };
        self.part.clear();
        Ok(Some((answer, id)))
    }
}

/// Time on a core of this thread so far.
fn own_cpu() -> Duration {
    let cpu = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(cpu.tv_sec as u64, cpu.tv_nsec as u32)
}

/// As many open connections as the system lets this process have.
fn raise_file_limit() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // Whoever needs more than the old limit hears of it when connecting.
    let _ = setrlimit(Resource::Nofile, limit);
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    const ID: &str = "01a203ef-8c8e-765e-8fd4-530d887c8241";

    /// Serves one connection until it is closed, every answer in two pieces; the first lines of all requests.
    fn serve(listener: &TcpListener, answers: &[(u16, &str)]) -> Vec<String> {
        let (mut connection, _) = listener.accept().unwrap();
        connection.set_nodelay(true).unwrap();
        let mut seen = Vec::new();
        let mut buffer = [0; 4096];
        for (status, body) in answers.iter().cycle() {
            let read = connection.read(&mut buffer).unwrap();
            if read == 0 {
                break;
            }
            let request = String::from_utf8_lossy(&buffer[..read]).into_owned();
            seen.push(request.lines().next().unwrap().to_owned());
            let answer = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n\r\n{body}", body.len());
            let (first, second) = answer.split_at(answer.len() / 2);
            connection.write_all(first.as_bytes()).unwrap();
            connection.write_all(second.as_bytes()).unwrap();
        }
        seen
    }

    /// What a server saw of so many units of work of one shopper, and what the shopper saw of it.
    fn meet(answers: &'static [(u16, &'static str)], units: u64) -> (Vec<String>, Outcome) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = thread::spawn(move || serve(&listener, answers));
        let steps = vec![Template::post("/carts", "{}"), Template::post("/carts/{id}/items", "{sku}")];
        let scenario = Scenario { steps, skus: Skus::From(7) };
        let mut load = Load::connect(address, &scenario, 1, Pace::Closed).unwrap();
        let outcome = load.run(units).unwrap();
        drop(load);
        (server.join().unwrap(), outcome)
    }

    #[test]
    fn the_id_of_the_first_answer_goes_into_the_next_request() {
        let (seen, outcome) =
            meet(&[(201, r#"{"id":"01a203ef-8c8e-765e-8fd4-530d887c8241"}"#), (200, "{}")], 3);
        let items = format!("POST /carts/{ID}/items HTTP/1.1");
        assert_eq!(seen, ["POST /carts HTTP/1.1", &items].repeat(3));
        assert_eq!((outcome.with_status(201), outcome.with_status(200), outcome.answers()), (3, 3, 6));
    }

    #[test]
    fn a_refusal_ends_the_unit() {
        let (seen, outcome) = meet(&[(503, "{}")], 2);
        assert_eq!(seen, ["POST /carts HTTP/1.1"; 2]);
        assert_eq!(outcome.with_status(503), 2);
    }
}
