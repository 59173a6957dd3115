//! The reason why the node has to stop, once there is one.

use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use tokio::sync::Notify;

#[derive(Debug, Default)]
pub(crate) struct Failure {
    failed: AtomicBool,
    reason: Mutex<Option<String>>,
    changed: Notify,
}

impl Failure {
    /// The first reason stays.
    pub(crate) fn set(&self, reason: String) {
        self.reason.lock().get_or_insert(reason);
        self.failed.store(true, Ordering::Release);
        self.changed.notify_waiters();
    }

    /// Whether there is a reason.
    pub(crate) fn has_come(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }

    pub(crate) fn get(&self) -> Option<String> {
        self.reason.lock().clone()
    }

    /// Resolves once there is a reason.
    pub(crate) async fn wait(&self) -> String {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            // Registered before the look, so that no change falls between the two.
            changed.as_mut().enable();
            if let Some(reason) = self.get() {
                return reason;
            }
            changed.await;
        }
    }
}
