//! A login storm: more sign-ins at once than the queue of passwords has room for, with right passwords and
//! wrong ones, from many addresses.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use relampago_load::{Answer, Client, Rng, Target};
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::server::{PASSWORD, Server, login};

/// Connections that sign in with right passwords.
const OWNERS: usize = 64;
/// Connections that guess.
const GUESSERS: usize = 32;
/// People come back when they are told to, but nobody waits longer than this.
const LONGEST_WAIT: Duration = Duration::from_secs(1);
const SATURATED_WITHIN: Duration = Duration::from_secs(30);

/// What was answered so far.
#[derive(Default)]
struct Answers {
    signed_in: AtomicU64,
    wrong: AtomicU64,
    full: AtomicU64,
    throttled: AtomicU64,
}

/// What was answered in a while: 200, 401, 503 and 429, a second; and cores that hashed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Logins {
    pub(crate) signed_in: f64,
    pub(crate) wrong: f64,
    pub(crate) full: f64,
    pub(crate) throttled: f64,
    pub(crate) cores: f64,
}

/// A storm, until it is dropped.
pub(crate) struct Storm<'a> {
    server: &'a Server,
    answers: Arc<Answers>,
    people: JoinSet<()>,
}

/// Where a count begins.
pub(crate) struct Mark {
    at: Instant,
    answers: [u64; 4],
    cpu: Duration,
}

impl<'a> Storm<'a> {
    /// Raises a storm and waits until somebody is turned away because the queue is full.
    pub(crate) async fn raise(server: &'a Server, accounts: &Arc<[String]>, sources: &Arc<Sources>) -> Self {
        let mut storm = Self { server, answers: Arc::default(), people: JoinSet::new() };
        let mut seeds = Rng::new(Rng::fresh_seed());
        for number in 0..OWNERS + GUESSERS {
            let person = Person {
                target: server.target.clone(),
                accounts: Arc::clone(accounts),
                answers: Arc::clone(&storm.answers),
                rng: seeds.fork(),
            };
            if number < OWNERS {
                storm.people.spawn(person.sign_in(Arc::clone(sources)));
            } else {
                storm.people.spawn(person.guess(Arc::clone(sources)));
            }
        }
        let began = Instant::now();
        while storm.answers.full.load(Ordering::Relaxed) == 0 {
            assert!(began.elapsed() < SATURATED_WITHIN, "the queue of passwords never was full");
            sleep(Duration::from_millis(10)).await;
        }
        storm
    }

    /// Begins to count.
    pub(crate) fn mark(&self) -> Mark {
        Mark { at: Instant::now(), answers: self.answers.now(), cpu: self.server.hashing_cpu() }
    }

    /// What was answered since.
    pub(crate) fn since(&self, mark: &Mark) -> Logins {
        let (seconds, now) = (mark.at.elapsed().as_secs_f64(), self.answers.now());
        let rate = |index: usize| (now[index] - mark.answers[index]) as f64 / seconds;
        let cores = (self.server.hashing_cpu() - mark.cpu).as_secs_f64() / seconds;
        Logins { signed_in: rate(0), wrong: rate(1), full: rate(2), throttled: rate(3), cores }
    }

    /// Ends the storm and waits until the server has done with it.
    pub(crate) async fn calm(mut self) {
        self.people.shutdown().await;
        self.server.settle().await;
    }
}

impl Answers {
    fn now(&self) -> [u64; 4] {
        [&self.signed_in, &self.wrong, &self.full, &self.throttled].map(|count| count.load(Ordering::Relaxed))
    }

    fn count(&self, answer: &Answer) {
        let count = match answer.code() {
            200 => &self.signed_in,
            401 => &self.wrong,
            503 => &self.full,
            429 => &self.throttled,
            _ => panic!("a sign-in is answered with {}", answer.kind()),
        };
        count.fetch_add(1, Ordering::Relaxed);
    }
}

/// Addresses that nobody has come from yet: of 127.1.0.0/16 and on.
pub(crate) struct Sources(AtomicU32);

impl Sources {
    pub(crate) fn new() -> Self {
        Self(AtomicU32::new(Ipv4Addr::new(127, 1, 0, 1).to_bits()))
    }

    fn next(&self) -> IpAddr {
        Ipv4Addr::from_bits(self.0.fetch_add(1, Ordering::Relaxed)).into()
    }
}

struct Person {
    target: Target,
    accounts: Arc<[String]>,
    answers: Arc<Answers>,
    rng: Rng,
}

impl Person {
    /// Signs in to one account after the other, from an address that nobody has tried from.
    async fn sign_in(mut self, sources: Arc<Sources>) {
        let mut client = Client::guest(self.target.clone()).from_address(sources.next());
        loop {
            let answer = self.attempt(&mut client, PASSWORD).await;
            if let Some(wait) = wait(&answer) {
                sleep(wait).await;
            }
        }
    }

    /// Tries a wrong password on one account after the other, and comes from elsewhere once told to wait for it.
    async fn guess(mut self, sources: Arc<Sources>) {
        loop {
            let mut client = Client::guest(self.target.clone()).from_address(sources.next());
            loop {
                let answer = self.attempt(&mut client, "a wrong guess").await;
                match wait(&answer) {
                    Some(_) if answer.code() == 429 => break,
                    Some(wait) => sleep(wait).await,
                    None => {}
                }
            }
        }
    }

    async fn attempt(&mut self, client: &mut Client, password: &str) -> Answer {
        let email = self.rng.pick(&self.accounts).unwrap();
        let answer = client.send(&login(email, password)).await.unwrap();
        self.answers.count(&answer);
        answer
    }
}

/// How long a refused sign-in has to wait; `None` if it was looked at.
fn wait(answer: &Answer) -> Option<Duration> {
    matches!(answer.code(), 429 | 503).then(|| {
        let seconds = answer.header("retry-after").expect("a refused sign-in says when to come again");
        Duration::from_secs(seconds.parse().unwrap()).min(LONGEST_WAIT)
    })
}
