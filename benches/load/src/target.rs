//! Where the server listens.

use std::net::SocketAddr;

use tokio::sync::watch;

use crate::tls::Tls;

/// The address that clients connect to, shared by all of them.
///
/// It can be closed and opened again while they run: requests not sent yet wait at a closed target, so whoever
/// kills the server decides when shoppers see its successor.
#[derive(Clone, Debug)]
pub struct Target {
    address: watch::Sender<Option<SocketAddr>>,
    /// None is plain HTTP.
    tls: Option<Tls>,
}

impl Target {
    /// A target open at `address`, which speaks plain HTTP.
    pub fn new(address: SocketAddr) -> Self {
        Self { address: watch::Sender::new(Some(address)), tls: None }
    }

    /// A target open at `address`, to be spoken to within TLS.
    pub fn secure(address: SocketAddr, tls: Tls) -> Self {
        Self { tls: Some(tls), ..Self::new(address) }
    }

    /// How to speak TLS there, if so.
    pub(crate) fn tls(&self) -> Option<&Tls> {
        self.tls.as_ref()
    }

    /// Holds back every request that is not on its way yet.
    pub fn close(&self) {
        self.address.send_replace(None);
    }

    /// Sends everything from now on, and everything held back, to `address`.
    pub fn open(&self, address: SocketAddr) {
        self.address.send_replace(Some(address));
    }

    /// The address now, if the target is open.
    pub fn current(&self) -> Option<SocketAddr> {
        *self.address.borrow()
    }

    /// The address, waiting while the target is closed.
    pub async fn address(&self) -> SocketAddr {
        let mut changes = self.address.subscribe();
        loop {
            if let Some(address) = *changes.borrow_and_update() {
                return address;
            }
            if changes.changed().await.is_err() {
                // The sender lives in `self`; it cannot be gone.
                std::future::pending::<()>().await;
            }
        }
    }
}
