//! One connection: its requests one after the other, by the short way or the long one, and how long its client may
//! be quiet between them.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use hyper::body::{Body as _, Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, Sleep, sleep, timeout};

use crate::app::Front;
use crate::error::Kind;
use crate::extract::Peer;
use crate::lane::{Lane, Left};
use crate::metrics::Refusal;
use crate::pace::{Pace, Patience};
use crate::progress::{Phase, Progress};
use crate::refusing::Refusing;

/// How often in a row a request may be taken from the long way and be given back, before that is left alone.
const MOST_GIVEN_BACK: u32 = 3;

/// For so long a client may at least take nothing of an answer: the kernel tells that there is room again only when a
/// third of its buffer is free, which takes a slow reader its time.
const NOTHING_TAKEN: Duration = Duration::from_secs(10);

/// Serves one connection until the client closes it, is quiet for too long, or the server stops; a request in
/// flight is finished. A head that does not end is answered 408; where nothing has begun, nothing is said.
///
/// It begins on the short way, and changes over to the long one and back between two requests as they come.
pub(crate) async fn serve(
    mut stream: TcpStream,
    peer: IpAddr,
    front: Front,
    patience: Patience,
    stopped: watch::Receiver<bool>,
) {
    let mut pace = Pace::new(patience, stopped);
    let (mut ahead, mut given_back) = (Vec::new(), 0);
    loop {
        let lane = Lane::new(&mut stream, &front.short, &mut pace, ahead);
        let (left, served) = lane.run().await;
        let Left::Bytes(bytes) = left else { break };
        given_back = if served > 0 { 0 } else { given_back + 1 };
        // In a box of its own: most connections never need it, and all of them would hold its room.
        let long_way = Box::pin(
            LongWay { peer, front: front.clone(), gives_way: given_back < MOST_GIVEN_BACK }
                .serve(stream, bytes, &mut pace),
        );
        match long_way.await {
            Some(taken) => (stream, ahead) = taken,
            None => return,
        }
    }
    // Whoever is gone already does not mind.
    let _gone = stream.shutdown().await;
}

/// How requests go through hyper and the router.
struct LongWay {
    peer: IpAddr,
    front: Front,
    /// Whether it ends where a request for the short way begins.
    gives_way: bool,
}

impl LongWay {
    /// Serves the connection, which begins with the bytes `ahead`, to its end, or until a request comes for the
    /// short way: then gives the connection back, and what was read of that request.
    async fn serve(self, stream: TcpStream, ahead: Vec<u8>, pace: &mut Pace) -> Option<(TcpStream, Vec<u8>)> {
        let Self { peer, front, gives_way } = self;
        let (patience, refusals) = (pace.patience, front.clone());
        let progress = Arc::new(Progress::new());
        let stuck = patience.idle.max(NOTHING_TAKEN);
        let stream = TokioIo::new(Refusing::new(stream, ahead, gives_way, Arc::clone(&progress), stuck));
        let mut quiet = Quiet::new(patience, Arc::clone(&progress));
        let service = service_fn(move |mut request: hyper::Request<Incoming>| {
            progress.has_head(request.body().is_end_stream());
            request.extensions_mut().insert(Peer(peer));
            let (front, progress) = (front.clone(), Arc::clone(&progress));
            let arriving = Arc::clone(&progress);
            async move {
                let request = request.map(|body| Body::new(Arriving { body, progress: arriving }));
                let response = front.handle(request).await;
                Ok::<_, Infallible>(response.map(|body| Answer { body, progress }))
            }
        });
        // hyper's timeout does not tell a slow head from an idle connection and answers neither.
        let mut connection =
            http1::Builder::new().header_read_timeout(None).serve_connection(stream, service);
        let ended = tokio::select! {
            // First, so that hyper has what was read before it is told to end.
            biased;
            ended = quiet.cut(&mut connection) => ended,
            () = pace.stopped() => {
                Pin::new(&mut connection).graceful_shutdown();
                quiet.cut(&mut connection).await
            }
        };
        match ended {
            Cut::Ended(Ok(())) => None,
            Cut::Ended(Err(error)) => {
                tracing::debug!(%error, "connection ended");
                None
            }
            Cut::TooLong => {
                let parts = connection.into_parts();
                if has_begun(&parts.read_buf) {
                    refusals.refuse(Refusal::HeadTimeout);
                    let detail = "The request's head took too long to arrive.";
                    let refused = parts.io.into_inner().refuse(Kind::REQUEST_TIMEOUT, detail);
                    // A client that is slow to write may be slow to read.
                    let told = timeout(patience.head, refused).await;
                    tracing::debug!(?told, "a head took too long");
                }
                None
            }
            Cut::Taken => {
                let parts = connection.into_parts();
                let (stream, taken) = parts.io.into_inner().into_parts();
                // As a rule nothing: it is taken where hyper's buffer was seen empty.
                Some((stream, [&parts.read_buf[..], &taken].concat()))
            }
        }
    }
}

/// Whether these bytes are part of a request; empty lines before it are not.
fn has_begun(unread: &[u8]) -> bool {
    unread.iter().any(|byte| !matches!(byte, b'\r' | b'\n'))
}

/// What hyper's part in a connection ends with.
enum Cut<T> {
    /// With the connection itself.
    Ended(T),
    /// The client is quiet for too long.
    TooLong,
    /// A request goes the short way.
    Taken,
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

    /// What the connection is cut by. Cancelling this loses nothing.
    async fn cut<C: Future + Unpin>(&mut self, connection: &mut C) -> Cut<C::Output> {
        poll_fn(|cx| match Pin::new(&mut *connection).poll(cx) {
            Poll::Ready(ended) => Poll::Ready(Cut::Ended(ended)),
            Poll::Pending if self.progress.is_taken() => Poll::Ready(Cut::Taken),
            Poll::Pending => self.poll_too_long(cx).map(|()| Cut::TooLong),
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

/// A request's body, as it arrives.
struct Arriving {
    body: Incoming,
    progress: Arc<Progress>,
}

impl hyper::body::Body for Arriving {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        if frame.is_none() || self.body.is_end_stream() {
            self.progress.has_body();
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
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
