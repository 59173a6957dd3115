//! What the engine is compared with: a handler that keeps nothing, and what a careful team would build on PostgreSQL.
//!
//! | binary | a checkout is |
//! | --- | --- |
//! | `noop` | JSON in, JSON out, nothing kept: what axum and hyper take |
//! | `pg --mode proc` | one call of a PostgreSQL function, one transaction |
//! | `pg --mode batch` | a place in the next batch: one call and one commit for all that wait |
//!
//! All of them speak the two routes that a comparison needs, `POST /api/v1/products` and `POST /api/v1/orders`, in
//! the words of the real REST interface, with answers of about its size.

pub mod batch;
pub mod procedure;
pub mod schema;
pub mod wire;

use axum::Router;
use axum::serve::ListenerExt;
use tokio::net::{TcpListener, TcpStream};

/// The allocator that the engine has, with its usual settings.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Serves on a free port of the loopback interface, named in one line on standard output, until the process ends.
///
/// # Errors
/// If no port can be bound.
pub async fn serve(routes: Router) -> std::io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("listening on http://{}", listener.local_addr()?);
    axum::serve(listener.tap_io(send_at_once), routes).await
}

/// Answers are small: waiting for more of them would only add latency.
fn send_at_once(connection: &mut TcpStream) {
    // A connection that is gone by now has nothing to send.
    let _ = connection.set_nodelay(true);
}
