//! The connections of one worker thread.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::ops::{Deref, DerefMut};

use tokio::sync::{Semaphore, SemaphorePermit};

use super::connection::{Broken, Connection};
use crate::target::Target;

/// A bounded number of connections, used in turn so that all of them are in use.
#[derive(Debug)]
pub(super) struct Pool {
    target: Target,
    /// Idle connections, the one that was used longest ago first.
    idle: RefCell<VecDeque<Connection>>,
    places: Semaphore,
}

/// A connection for one request. Dropped instead of given back, it is closed.
#[derive(Debug)]
pub(super) struct Lease<'p> {
    pool: &'p Pool,
    connection: Connection,
    pub(super) keeps: bool,
    _place: SemaphorePermit<'p>,
}

impl Pool {
    pub(super) fn new(target: Target, most: usize) -> Self {
        Self { target, idle: RefCell::default(), places: Semaphore::new(most) }
    }

    /// Opens one more connection, for later.
    pub(super) async fn open_one(&self) -> Result<(), Broken> {
        let connection = self.open().await?;
        self.idle.borrow_mut().push_back(connection);
        Ok(())
    }

    async fn open(&self) -> Result<Connection, Broken> {
        // A closed target is a server that is known to be down.
        let address =
            self.target.current().ok_or(Broken::Connect(io::ErrorKind::ConnectionRefused.into()))?;
        Connection::open(address, self.target.tls()).await
    }

    /// An idle connection, or a new one; waits in turn while all are in use.
    pub(super) async fn lease(&self) -> Result<Lease<'_>, Broken> {
        // The semaphore is never closed.
        let place = self.places.acquire().await.map_err(|_| Broken::Connect(io::ErrorKind::Other.into()))?;
        let connection = match self.idle_one() {
            Some(connection) => connection,
            // In a box: a handshake is large, and every flow would be as large with it.
            None => Box::pin(self.open()).await?,
        };
        Ok(Lease { pool: self, connection, keeps: false, _place: place })
    }

    fn idle_one(&self) -> Option<Connection> {
        let mut idle = self.idle.borrow_mut();
        while let Some(mut connection) = idle.pop_front() {
            if connection.is_open() {
                return Some(connection);
            }
        }
        None
    }
}

impl Lease<'_> {
    /// Gives the connection back now: to be asked again, or closed.
    pub(super) fn give_back(self) {
        let Self { pool, connection, keeps, _place } = self;
        if keeps {
            pool.idle.borrow_mut().push_back(connection);
        }
    }
}

impl Deref for Lease<'_> {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.connection
    }
}

impl DerefMut for Lease<'_> {
    fn deref_mut(&mut self) -> &mut Connection {
        &mut self.connection
    }
}
