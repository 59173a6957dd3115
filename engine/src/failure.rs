//! The reason why the node has to stop, once there is one.

use parking_lot::Mutex;
use tokio::sync::Notify;

#[derive(Debug, Default)]
pub(crate) struct Failure {
    reason: Mutex<Option<String>>,
    changed: Notify,
}

impl Failure {
    /// The first reason stays.
    pub(crate) fn set(&self, reason: String) {
        self.reason.lock().get_or_insert(reason);
        self.changed.notify_waiters();
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
