//! The run's own metrics, for Prometheus to fetch.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::record::CONTENT_TYPE;

/// A scraper that takes longer is let go.
const WITHIN: Duration = Duration::from_secs(5);
const LONGEST_REQUEST: usize = 16 << 10;

/// Listens for scrapers.
///
/// # Errors
/// If nobody can listen there.
pub(super) async fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    TcpListener::bind(address).await
}

/// Answers every request with the latest metrics, one scraper after the other, until it is dropped.
pub(super) async fn serve(listener: TcpListener, page: watch::Receiver<String>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let text = page.borrow().clone();
        // A scraper that goes away comes again.
        let _gone = timeout(WITHIN, answer(stream, &text)).await;
    }
}

async fn answer(mut stream: TcpStream, page: &str) -> io::Result<()> {
    let mut request = Vec::new();
    while !request.windows(4).any(|four| four == b"\r\n\r\n") {
        if request.len() > LONGEST_REQUEST || stream.read_buf(&mut request).await? == 0 {
            return Ok(());
        }
    }
    let length = page.len();
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: {CONTENT_TYPE}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(page.as_bytes()).await?;
    stream.shutdown().await
}
