//! Passwords as hashes: argon2id with the parameters that its crate defaults to, which are those that OWASP
//! recommends (19 MiB, two passes).
//!
//! A hash costs some ten milliseconds of a core by design. So they are made on a few threads of the lowest priority
//! behind a bounded queue: however many sign in at once, the threads that serve everybody else come first, and who
//! finds the queue full is told to come again.
//!
//! The priority alone does not do it. Threads that serve sleep a little all the time, and each time a hash takes the
//! core, keeps it for a scheduler's slice and leaves cold caches behind. So a hash that had to wait for its core is
//! followed by a rest, the longer the more it waited: an idle machine hashes at full speed, a busy one now and then.

use std::fmt;
use std::io;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use ::metrics::Gauge;
use argon2::password_hash::{self, phc};
use argon2::{ARGON2ID_IDENT, Argon2, Params, PasswordHasher, PasswordVerifier, Version};
use parking_lot::Mutex;
use relampago_actors::secret::Password;
use rustix::time::{ClockId, clock_gettime};
use tokio::sync::oneshot;
use zeroize::Zeroizing;

use crate::metrics;

/// When to come again if the queue is full.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// The lowest priority that Linux has: such a thread gets about 1/70 of a core that a normal one wants.
const LOWEST_PRIORITY: i32 = 19;

/// How much longer than it waited for its core a thread rests after a hash.
const REST_FOR_WAIT: u32 = 6;
const LONGEST_REST: Duration = Duration::from_millis(100);

/// A password as somebody typed it. `Debug` does not show it, and it is wiped from memory when dropped.
pub(crate) struct Plain(Zeroizing<String>);

/// What came out of comparing a password with a hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// Whether it is the password.
    pub(crate) matches: bool,
    /// Whether it is, and the hash should be made anew with the parameters of today.
    pub(crate) needs_rehash: bool,
}

/// No answer now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Busy {
    /// When to come again.
    pub(crate) retry_after: Duration,
}

/// The threads that make and compare hashes. They end when this is dropped.
pub(crate) struct Passwords {
    /// `None` only while being dropped.
    queue: Option<SyncSender<Job>>,
    waiting: Gauge,
    threads: Vec<JoinHandle<()>>,
}

enum Job {
    Hash { plain: Plain, answer: oneshot::Sender<Password> },
    Verify { stored: Option<Password>, plain: Plain, answer: oneshot::Sender<Verdict> },
}

/// What a job needs to know.
struct Hasher {
    argon2: Argon2<'static>,
    /// The hash of a password that nobody has: what costs as much for an unknown user.
    dummy: phc::PasswordHash,
}

impl Passwords {
    /// Starts the threads; `None` is half as many as there are cores, and at least one. At most `queue` jobs wait. Takes as long as one hash.
    ///
    /// # Errors
    /// If a thread cannot be started, or there is neither memory nor randomness for a hash.
    pub(crate) fn start(threads: Option<NonZeroUsize>, queue: usize) -> io::Result<Self> {
        let threads = threads.map_or_else(default_threads, NonZeroUsize::get);
        let (queue, jobs) = sync_channel(queue);
        let jobs = Arc::new(Mutex::new(jobs));
        let hasher = Arc::new(Hasher::new().map_err(io::Error::other)?);
        let waiting = metrics::passwords_waiting();
        let mut passwords = Self { queue: Some(queue), waiting: waiting.clone(), threads: Vec::new() };
        for number in 0..threads {
            let (jobs, hasher, waiting) = (Arc::clone(&jobs), Arc::clone(&hasher), waiting.clone());
            let thread = thread::Builder::new().name(format!("password-{number}"));
            passwords.threads.push(thread.spawn(move || work(&jobs, &hasher, &waiting))?);
        }
        Ok(passwords)
    }

    /// The hash of a password, under a new salt.
    ///
    /// # Errors
    /// If the queue is full, or there is no memory or randomness for it.
    pub(crate) async fn hash(&self, plain: Plain) -> Result<Password, Busy> {
        let (answer, answered) = oneshot::channel();
        self.submit(Job::Hash { plain, answer })?;
        answered.await.map_err(|_| Busy::NOW)
    }

    /// Whether it is the password of this hash; `None` for a user who is not there, which never matches and takes as
    /// long.
    ///
    /// # Errors
    /// If the queue is full, or there is no memory for it.
    pub(crate) async fn verify(&self, stored: Option<Password>, plain: Plain) -> Result<Verdict, Busy> {
        let (answer, answered) = oneshot::channel();
        self.submit(Job::Verify { stored, plain, answer })?;
        answered.await.map_err(|_| Busy::NOW)
    }

    fn submit(&self, job: Job) -> Result<(), Busy> {
        let queue = self.queue.as_ref().ok_or(Busy::NOW)?;
        self.waiting.increment(1.0);
        queue.try_send(job).map_err(|_| {
            self.waiting.decrement(1.0);
            Busy::NOW
        })
    }
}

impl Drop for Passwords {
    fn drop(&mut self) {
        // Without a sender the threads find the queue's end; nobody waits for what is still in it, so it is skipped.
        self.queue = None;
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a password thread had panicked");
            }
        }
    }
}

impl Busy {
    const NOW: Self = Self { retry_after: RETRY_AFTER };
}

fn default_threads() -> usize {
    thread::available_parallelism().map_or(1, |cores| (cores.get() / 2).max(1))
}

fn work(jobs: &Mutex<Receiver<Job>>, hasher: &Hasher, waiting: &Gauge) {
    // For the kernel this is about the calling thread, whatever the name says.
    if let Err(error) = rustix::process::setpriority_process(None, LOWEST_PRIORITY) {
        tracing::warn!(%error, "password hashes run at normal priority");
    }
    loop {
        let Ok(job) = jobs.lock().recv() else { return };
        waiting.decrement(1.0);
        if job.is_wanted() {
            let stint = Stint::begin();
            job.run(hasher);
            thread::park_timeout(stint.rest());
        }
    }
}

/// A while of this thread's work.
struct Stint {
    began: Instant,
    /// What the thread had used of its core by then.
    used: Duration,
}

impl Stint {
    fn begin() -> Self {
        Self { began: Instant::now(), used: core_time() }
    }

    /// How long to rest after it.
    fn rest(&self) -> Duration {
        rest(self.began.elapsed(), core_time().saturating_sub(self.used))
    }
}

/// The time that others had the core while a hash was made, several times over.
fn rest(took: Duration, used: Duration) -> Duration {
    (took.saturating_sub(used) * REST_FOR_WAIT).min(LONGEST_REST)
}

/// How long the calling thread has had a core.
fn core_time() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap_or_default()
}

impl Job {
    /// Whether somebody still waits for the answer.
    fn is_wanted(&self) -> bool {
        match self {
            Self::Hash { answer, .. } => !answer.is_closed(),
            Self::Verify { answer, .. } => !answer.is_closed(),
        }
    }

    fn run(self, hasher: &Hasher) {
        match self {
            Self::Hash { plain, answer } => tell(answer, hasher.hash(&plain)),
            Self::Verify { stored, plain, answer } => tell(answer, hasher.verify(stored.as_ref(), &plain)),
        }
    }
}

/// Answers; an asker whose job failed finds the sender dropped.
fn tell<T>(asker: oneshot::Sender<T>, done: password_hash::Result<T>) {
    match done {
        // Who has gone meanwhile misses nothing.
        Ok(answer) => {
            asker.send(answer).ok();
        }
        Err(error) => tracing::error!(%error, "a password could not be hashed"),
    }
}

impl Hasher {
    fn new() -> password_hash::Result<Self> {
        let argon2 = Argon2::default();
        let dummy = argon2.hash_password(&password_hash::generate_salt())?;
        Ok(Self { argon2, dummy })
    }

    fn hash(&self, plain: &Plain) -> password_hash::Result<Password> {
        Ok(Password::new(self.argon2.hash_password(plain.bytes())?.to_string()))
    }

    fn verify(&self, stored: Option<&Password>, plain: &Plain) -> password_hash::Result<Verdict> {
        let stored = stored.and_then(|password| {
            let read = phc::PasswordHash::new(password.phc());
            read.inspect_err(|error| tracing::error!(%error, "a stored password hash cannot be read")).ok()
        });
        let equal = match self.argon2.verify_password(plain.bytes(), stored.as_ref().unwrap_or(&self.dummy)) {
            Ok(()) => true,
            Err(password_hash::Error::PasswordInvalid) => false,
            Err(error) => return Err(error),
        };
        let matches = equal && stored.is_some();
        Ok(Verdict { matches, needs_rehash: matches && !stored.as_ref().is_some_and(is_of_today) })
    }
}

fn is_of_today(hash: &phc::PasswordHash) -> bool {
    let today = Params::default();
    let same_cost = Params::try_from(hash).is_ok_and(|params| {
        (params.m_cost(), params.t_cost(), params.p_cost())
            == (today.m_cost(), today.t_cost(), today.p_cost())
    });
    same_cost
        && hash.algorithm == ARGON2ID_IDENT
        && hash.version == Some(Version::default().into())
        && hash.hash.is_some_and(|output| output.len() == Params::DEFAULT_OUTPUT_LEN)
}

impl Plain {
    /// Takes the text over.
    pub(crate) fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// The text itself. Named so that every use stands out in a review.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }

    fn bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl fmt::Debug for Plain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

#[cfg(test)]
#[path = "passwords_tests.rs"]
mod tests;
