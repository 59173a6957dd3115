//! What a connection waits for.
//!
//! hyper does not tell, so it is put together from what can be seen around it: the bytes that the stream passes on,
//! the service that is called with each head, and the answer's body that hyper drops when it has written the last
//! of it.

use std::sync::atomic::{AtomicBool, AtomicU8, Ordering::Relaxed};

/// What a connection waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// For the first byte of all.
    Fresh,
    /// For the rest of a request's head.
    Begun,
    /// For an answer, or for the body that it needs.
    Running,
    /// For the client to take the rest of the answer.
    Answered,
    /// For the first byte of the next request.
    Idle,
}

impl Phase {
    /// In their order of declaration.
    const ALL: [Self; 5] = [Self::Fresh, Self::Begun, Self::Running, Self::Answered, Self::Idle];
}

/// The phase of one connection. All that share it run in the connection's own task, one after the other, so no
/// order of memory is asked for; atomics only let the task change its thread.
#[derive(Debug)]
pub(crate) struct Progress {
    /// Index into [`Phase::ALL`].
    phase: AtomicU8,
    /// Whether hyper may hold bytes of the next request.
    is_ahead: AtomicBool,
    /// Whether a phase has begun since somebody asked.
    is_new: AtomicBool,
    /// Whether the last request's body was not read to its end: what comes then may be of it.
    owes_body: AtomicBool,
    /// Whether a request was taken away before hyper saw any of it.
    is_taken: AtomicBool,
}

impl Progress {
    pub(crate) fn new() -> Self {
        Self {
            phase: AtomicU8::new(Phase::Fresh as u8),
            is_ahead: AtomicBool::new(false),
            is_new: AtomicBool::new(true),
            owes_body: AtomicBool::new(false),
            is_taken: AtomicBool::new(false),
        }
    }

    pub(crate) fn phase(&self) -> Phase {
        Phase::ALL[usize::from(self.phase.load(Relaxed))]
    }

    /// Whether a phase has begun since the last call, be it one of the same name.
    pub(crate) fn take_new(&self) -> bool {
        self.is_new.swap(false, Relaxed)
    }

    /// Whether what comes now begins a request, of which hyper has nothing yet.
    pub(crate) fn is_between(&self) -> bool {
        matches!(self.phase(), Phase::Fresh | Phase::Idle) && !self.owes_body.load(Relaxed)
    }

    /// The request that begins is taken away from hyper.
    pub(crate) fn take(&self) {
        self.is_taken.store(true, Relaxed);
    }

    /// Whether one was.
    pub(crate) fn is_taken(&self) -> bool {
        self.is_taken.load(Relaxed)
    }

    /// hyper has asked for bytes and got so many, 0 if there are none yet.
    pub(crate) fn has_read(&self, bytes: usize) {
        match self.phase() {
            Phase::Fresh | Phase::Idle if bytes > 0 => self.enter(Phase::Begun),
            Phase::Fresh | Phase::Idle | Phase::Begun => {}
            // Behind a head hyper asks only with an empty buffer: what it had is used up.
            Phase::Running | Phase::Answered => self.is_ahead.store(bytes > 0, Relaxed),
        }
    }

    /// The last of a request's body is here.
    pub(crate) fn has_body(&self) {
        self.owes_body.store(false, Relaxed);
    }

    /// A head is complete, and the request with it if it `is_whole`; behind it there may be more.
    pub(crate) fn has_head(&self, is_whole: bool) {
        self.owes_body.store(!is_whole, Relaxed);
        self.is_ahead.store(true, Relaxed);
        self.enter(Phase::Running);
    }

    /// hyper has the whole answer.
    pub(crate) fn has_answer(&self) {
        self.enter(Phase::Answered);
    }

    /// The kernel has all that hyper had to write.
    pub(crate) fn has_flushed(&self) {
        if self.phase() == Phase::Answered {
            self.enter(if self.is_ahead.load(Relaxed) { Phase::Begun } else { Phase::Idle });
        }
    }

    fn enter(&self, phase: Phase) {
        self.phase.store(phase as u8, Relaxed);
        self.is_new.store(true, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_goes_through_its_phases() {
        let progress = Progress::new();
        let mut phases = Vec::new();
        let steps: [&dyn Fn(); 9] = [
            &|| progress.has_read(0),
            &|| progress.has_flushed(),
            &|| progress.has_read(20),
            &|| progress.has_read(0),
            &|| progress.has_head(true),
            &|| progress.has_read(0),
            &|| progress.has_flushed(),
            &|| progress.has_answer(),
            &|| progress.has_flushed(),
        ];
        for step in steps {
            step();
            phases.push(progress.phase());
        }
        use Phase::{Answered, Begun, Fresh, Idle, Running};
        assert_eq!(phases, [Fresh, Fresh, Begun, Begun, Running, Running, Running, Answered, Idle]);
    }

    #[test]
    fn behind_an_answer_a_request_has_begun_unless_the_buffer_was_seen_empty() {
        for (reads, expected) in
            [(&[][..], Phase::Begun), (&[0], Phase::Idle), (&[7], Phase::Begun), (&[7, 0], Phase::Idle)]
        {
            let progress = Progress::new();
            progress.has_read(99);
            progress.has_head(true);
            reads.iter().for_each(|bytes| progress.has_read(*bytes));
            progress.has_answer();
            progress.has_flushed();
            assert_eq!(progress.phase(), expected, "{reads:?}");
        }
    }

    #[test]
    fn no_request_begins_while_a_body_is_owed() {
        let progress = Progress::new();
        assert!(progress.is_between());
        let answered = || {
            progress.has_read(0);
            progress.has_answer();
            progress.has_flushed();
        };
        progress.has_read(9);
        progress.has_head(false);
        answered();
        assert_eq!((progress.phase(), progress.is_between()), (Phase::Idle, false));
        progress.has_body();
        assert!(progress.is_between());
        progress.has_head(true);
        answered();
        assert!(progress.is_between());
    }

    #[test]
    fn a_phase_is_new_once() {
        let progress = Progress::new();
        assert_eq!((progress.take_new(), progress.take_new()), (true, false));
        progress.has_read(1);
        progress.has_read(1);
        assert_eq!((progress.take_new(), progress.take_new()), (true, false));
    }

    #[test]
    fn phases_are_numbered_as_they_are_listed() {
        for (index, phase) in Phase::ALL.into_iter().enumerate() {
            assert_eq!(phase as usize, index);
        }
    }
}
