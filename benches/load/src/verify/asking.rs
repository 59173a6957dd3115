//! Purchases that nobody answered, asked for again.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tokio::time::sleep;

use super::Far;
use super::notes::{Answered, Notes, Unanswered};
use crate::audit::READERS;
use crate::run::{AuditProgress, CallError, Caller, find_text};
use crate::target::Target;

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// How long one request may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// A purchase in the queue: what came of the last try, and how long to wait after the next one.
struct Open {
    purchase: Unanswered,
    problem: String,
    pause: Duration,
}

/// Sends purchases again under their keys, as their buyers would, until it is known what became of them, or until the
/// moment `until`, which is one for all. Returns what is unknown then, a sentence for each.
pub(super) async fn ask_again(
    target: &Target,
    notes: &Arc<Notes>,
    purchases: Vec<Unanswered>,
    until: Instant,
    far: &Far,
) -> Vec<String> {
    let of = Some(purchases.len() as u64);
    far.send_replace(AuditProgress { what: "unanswered purchases", done: 0, of, waits: None });
    let open =
        |purchase| Open { purchase, problem: "there was no time to ask".to_owned(), pause: FIRST_PAUSE };
    let queue: VecDeque<Open> = purchases.into_iter().map(open).collect();
    let askers = queue.len().min(READERS);
    let queue = Arc::new(Mutex::new(queue));
    let mut asking = JoinSet::new();
    for _ in 0..askers {
        let caller = Caller::new(target.clone());
        asking.spawn(ask_in_turn(caller, Arc::clone(notes), Arc::clone(&queue), until, far.clone()));
    }
    while asking.join_next().await.is_some() {}
    let left = std::mem::take(&mut *queue.lock().unwrap_or_else(PoisonError::into_inner));
    left.into_iter().map(|open| open.told()).collect()
}

/// Takes purchases from the queue, and puts back what is still not known.
async fn ask_in_turn(
    mut caller: Caller,
    notes: Arc<Notes>,
    queue: Arc<Mutex<VecDeque<Open>>>,
    until: Instant,
    far: Far,
) {
    // A panic of another asker leaves whole entries behind.
    let locked = || queue.lock().unwrap_or_else(PoisonError::into_inner);
    while Instant::now() < until {
        let Some(mut open) = locked().pop_front() else { return };
        match ask(&mut caller, &notes, &open.purchase, until).await {
            Ok(()) => far.send_modify(|progress| progress.done += 1),
            Err(problem) => {
                let pause = open.pause.min(until.saturating_duration_since(Instant::now()));
                open.problem = problem;
                open.pause = (open.pause * 2).min(LONGEST_PAUSE);
                locked().push_back(open);
                sleep(pause).await;
            }
        }
    }
}

async fn ask(
    caller: &mut Caller,
    notes: &Notes,
    purchase: &Unanswered,
    until: Instant,
) -> Result<(), String> {
    let within = until.saturating_duration_since(Instant::now()).min(ANSWER_WITHIN);
    match caller.ask(&purchase.request, false, within).await {
        Ok((connection, answer)) if answer.status < 500 && answer.status != 429 => {
            let body = connection.body_of(&answer);
            let code = find_text(body, &["code".to_owned()]);
            let told = Answered { status: answer.status, code: code.as_deref(), body, again: false };
            if told.code == Some("idempotency_in_flight") {
                return Err("its key is still in flight".to_owned());
            }
            notes.answered(Some(purchase.role), &purchase.request, &told, &mut Vec::new());
            Ok(())
        }
        Ok((_, answer)) => Err(format!("answered {}", answer.status)),
        Err(CallError::NoAnswer(problem) | CallError::Wrong(problem)) => Err(problem),
    }
}

impl Open {
    fn told(&self) -> String {
        let line = self.purchase.request.split(|byte| *byte == b'\r').next().unwrap_or_default();
        format!("{}: {}", String::from_utf8_lossy(line), self.problem)
    }
}
