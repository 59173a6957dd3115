#![allow(clippy::unwrap_used)]

use std::fs;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use super::*;

const QUEUE: usize = 64;

fn plain(text: &str) -> Plain {
    Plain::new(text.to_owned())
}

fn start(threads: usize) -> Passwords {
    Passwords::start(NonZeroUsize::new(threads), QUEUE).unwrap()
}

/// A queue that nobody works on.
fn idle(places: usize) -> (Passwords, Receiver<Job>) {
    let (queue, jobs) = sync_channel(places);
    let waiting = metrics::passwords_waiting();
    (Passwords { queue: Some(queue), waiting, threads: Vec::new() }, jobs)
}

fn poll<F: Future>(future: std::pin::Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

#[tokio::test]
async fn a_password_matches_its_own_hash_alone() {
    let passwords = start(2);
    let hash = passwords.hash(plain("correct horse")).await.unwrap();
    assert!(hash.phc().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{}", hash.phc());
    assert_ne!(hash, passwords.hash(plain("correct horse")).await.unwrap(), "one salt for two hashes");
    let verdict = passwords.verify(Some(hash.clone()), plain("correct horse")).await.unwrap();
    assert_eq!(verdict, Verdict { matches: true, needs_rehash: false });
    for wrong in ["correct horsf", "correct hors", "correct horse ", ""] {
        let verdict = passwords.verify(Some(hash.clone()), plain(wrong)).await.unwrap();
        assert_eq!(verdict, Verdict { matches: false, needs_rehash: false });
    }
}

#[tokio::test]
async fn unknown_users_and_unreadable_hashes_never_match() {
    let passwords = start(1);
    for stored in [None, Some(""), Some("plain"), Some("$argon2id$v=19$m=19456,t=2,p=1$AAAA")] {
        let verdict = passwords.verify(stored.map(Password::new), plain("correct horse")).await.unwrap();
        assert_eq!(verdict, Verdict { matches: false, needs_rehash: false });
    }
}

#[test]
fn an_unknown_user_costs_what_a_known_one_costs() {
    let hasher = Hasher::new().unwrap();
    assert!(is_of_today(&hasher.dummy));
    let known = phc::PasswordHash::new(hasher.hash(&plain("correct horse")).unwrap().phc()).unwrap();
    assert_eq!(known.params, hasher.dummy.params);
    assert_eq!(known.salt.unwrap().len(), hasher.dummy.salt.unwrap().len());
}

#[test]
fn a_hash_of_other_parameters_is_made_anew() {
    let hasher = Hasher::new().unwrap();
    let older = |params: Params, algorithm| {
        let argon2 = Argon2::new(algorithm, Version::default(), params);
        Password::new(argon2.hash_password(b"correct horse").unwrap().to_string())
    };
    let today = Params::default;
    for (params, algorithm) in [
        (Params::new(4096, 2, 1, None).unwrap(), argon2::Algorithm::Argon2id),
        (Params::new(today().m_cost(), 1, 1, None).unwrap(), argon2::Algorithm::Argon2id),
        (Params::new(today().m_cost(), 2, 1, Some(16)).unwrap(), argon2::Algorithm::Argon2id),
        (today(), argon2::Algorithm::Argon2i),
    ] {
        let stored = older(params, algorithm);
        let verdict = hasher.verify(Some(&stored), &plain("correct horse")).unwrap();
        assert_eq!(verdict, Verdict { matches: true, needs_rehash: true }, "{}", stored.phc());
        let verdict = hasher.verify(Some(&stored), &plain("wrong horse")).unwrap();
        assert_eq!(verdict, Verdict { matches: false, needs_rehash: false });
    }
}

#[test]
fn a_full_queue_is_said_at_once() {
    let (passwords, jobs) = idle(2);
    let mut waiting: Vec<_> = (0..2).map(|_| Box::pin(passwords.verify(None, plain("x")))).collect();
    assert!(waiting.iter_mut().all(|verify| poll(verify.as_mut()).is_pending()));
    let busy = Poll::Ready(Err(Busy { retry_after: Duration::from_secs(1) }));
    assert_eq!(poll(pin!(passwords.verify(None, plain("x")))), busy);
    drop(jobs.recv());
    assert_eq!(poll(waiting[0].as_mut()), busy, "a job that failed is answered");
    assert!(poll(pin!(passwords.verify(None, plain("x")))).is_pending());
}

#[test]
fn nobody_works_for_a_caller_who_has_gone() {
    let (passwords, jobs) = idle(2);
    {
        let mut hash = pin!(passwords.hash(plain("x")));
        assert!(poll(hash.as_mut()).is_pending());
        assert!(jobs.try_recv().unwrap().is_wanted());
        let mut verify = pin!(passwords.verify(None, plain("x")));
        assert!(poll(verify.as_mut()).is_pending());
    }
    assert!(!jobs.try_recv().unwrap().is_wanted());
}

#[test]
fn who_waited_for_a_core_rests() {
    let ms = Duration::from_millis;
    assert_eq!(rest(ms(20), ms(20)), Duration::ZERO, "an idle machine");
    assert_eq!(rest(ms(20), ms(21)), Duration::ZERO, "clocks of different grain");
    assert_eq!(rest(ms(25), ms(20)), ms(30));
    assert_eq!(rest(ms(2000), ms(20)), LONGEST_REST, "a busy machine: sign-ins still get on");
}

#[tokio::test]
async fn hashes_are_made_at_the_lowest_priority_and_nothing_else_is() {
    let own = rustix::process::getpriority_process(None).unwrap();
    let passwords = start(1);
    let name = passwords.threads[0].thread().name().unwrap().to_owned();
    // Once it has answered, it has set its priority.
    passwords.hash(plain("x")).await.unwrap_or_else(|busy| panic!("{busy:?}"));
    assert!(nice_values(&name).contains(&LOWEST_PRIORITY));
    assert_eq!(rustix::process::getpriority_process(None).unwrap(), own);
}

/// The nice values of the process's threads of this name (other tests have such threads too): field 19 of their
/// `stat`, see proc_pid_stat(5).
fn nice_values(name: &str) -> Vec<i32> {
    let tasks = fs::read_dir("/proc/self/task").unwrap();
    // A thread may end while we look.
    let stats = tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join("stat")).ok());
    let named = stats.filter(|stat| stat.contains(&format!("({name})")));
    named.map(|stat| stat.rsplit_once(") ").unwrap().1.split(' ').nth(16).unwrap().parse().unwrap()).collect()
}

#[test]
fn what_was_typed_is_not_shown() {
    assert_eq!(format!("{:?}", plain("correct horse")), "[redacted]");
}
