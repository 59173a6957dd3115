//! One connection: its requests one after the other, and how long its client may be quiet between them.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, Sleep, sleep, timeout};

use crate::app::Front;
use crate::error::Kind;
use crate::extract::Peer;
use crate::progress::{Phase, Progress};
use crate::refusing::Refusing;

/// How long a client may be quiet.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    /// From a request's first byte to its last header, and from a new connection to its first byte.
    pub(crate) head: Duration,
    /// From an answer to the first byte of the next request.
    pub(crate) idle: Duration,
}

/// Serves one connection until the client closes it, is quiet for too long, or `stopped` becomes true; a request in
/// flight is finished. A head that does not end is answered 408; where nothing has begun, nothing is said.
pub(crate) async fn serve(
    stream: TcpStream,
    peer: IpAddr,
    front: Front,
    patience: Patience,
    mut stopped: watch::Receiver<bool>,
) {
    let progress = Arc::new(Progress::new());
    let stream = TokioIo::new(Refusing::new(stream, Arc::clone(&progress)));
    let mut quiet = Quiet::new(patience, Arc::clone(&progress));
    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
        progress.has_head();
        request.extensions_mut().insert(Peer(peer));
        let (front, progress) = (front.clone(), Arc::clone(&progress));
        async move {
            let response = front.handle(request.map(Body::new)).await;
            Ok::<_, Infallible>(response.map(|body| Answer { body, progress }))
        }
    });
    // hyper's timeout does not tell a slow head from an idle connection and answers neither.
    let mut connection = http1::Builder::new().header_read_timeout(None).serve_connection(stream, service);
    // The guard that `wait_for` gives must not be held while the connection ends.
    let stopped = async { drop(stopped.wait_for(|stopped| *stopped).await) };
    let ended = tokio::select! {
        ended = quiet.cut(&mut connection) => ended,
        () = stopped => {
            Pin::new(&mut connection).graceful_shutdown();
            quiet.cut(&mut connection).await
        }
    };
    match ended {
        Some(Ok(())) => {}
        Some(Err(error)) => tracing::debug!(%error, "connection ended"),
        None => {
            let parts = connection.into_parts();
            if has_begun(&parts.read_buf) {
                let detail = "The request's head took too long to arrive.";
                let refused = parts.io.into_inner().refuse(Kind::REQUEST_TIMEOUT, detail);
                // A client that is slow to write may be slow to read.
                let told = timeout(patience.head, refused).await;
                tracing::debug!(?told, "a head took too long");
            }
        }
    }
}

/// Whether these bytes are part of a request; empty lines before it are not.
fn has_begun(unread: &[u8]) -> bool {
    unread.iter().any(|byte| !matches!(byte, b'\r' | b'\n'))
}

/// Cuts a connection whose client is quiet for too long. There is one timer a connection, which is moved rather than
/// made anew, and only when the connection rests in a phase that has a limit.
struct Quiet {
    patience: Patience,
    progress: Arc<Progress>,
    timer: Pin<Box<Sleep>>,
}

impl Quiet {
    fn new(patience: Patience, progress: Arc<Progress>) -> Self {
        Self { patience, progress, timer: Box::pin(sleep(patience.head)) }
    }

    /// What the connection ends with, or `None` if it is time to cut it. Cancelling this loses nothing.
    async fn cut<C: Future + Unpin>(&mut self, connection: &mut C) -> Option<C::Output> {
        poll_fn(|cx| match Pin::new(&mut *connection).poll(cx) {
            Poll::Ready(ended) => Poll::Ready(Some(ended)),
            Poll::Pending => self.poll_too_long(cx).map(|()| None),
        })
        .await
    }

    fn poll_too_long(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let limit = match self.progress.phase() {
            Phase::Fresh | Phase::Begun => self.patience.head,
            Phase::Idle => self.patience.idle,
            Phase::Running | Phase::Answered => return Poll::Pending,
        };
        if self.progress.take_new() {
            self.timer.as_mut().reset(Instant::now() + limit);
        }
        self.timer.as_mut().poll(cx)
    }
}

/// An answer's body, dropped by hyper when it has the last of it.
struct Answer {
    body: Body,
    progress: Arc<Progress>,
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.progress.has_answer();
    }
}

impl hyper::body::Body for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_lines_begin_no_request() {
        for (unread, expected) in [("", false), ("\r\n", false), ("\r\n\nG", true), ("GET /", true)] {
            assert_eq!(has_begun(unread.as_bytes()), expected, "{unread:?}");
        }
    }
}
