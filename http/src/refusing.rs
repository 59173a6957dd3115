//! A connection on which refusals of unreadable requests are problems too, which notes how far requests are, which
//! keeps back those that go the short way, and which ends when its client does not take what is written.
//!
//! What is not HTTP never reaches a handler: hyper answers it itself, with a bare status line. This stream knows
//! such an answer by the request id that it lacks (every answer of ours has one) and writes a problem instead.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep};

use crate::error::{Kind, Problem};
use crate::lane::{BEGINNING, LONGEST};
use crate::progress::Progress;
use crate::trace::{REQUEST_ID, TraceId, fresh_request_id};

/// A refusal of hyper's has a status, a date and little else; longer answers need no second look.
const LONGEST_BARE: usize = 256;

/// A TCP connection whose bare refusals are replaced.
pub(crate) struct Refusing {
    stream: TcpStream,
    progress: Arc<Progress>,
    /// What was read before, and how much of it was passed on.
    ahead: (Vec<u8>, usize),
    /// Whether requests for the short way are kept back.
    gives_way: bool,
    /// A request, or its beginning, that was kept back.
    taken: Vec<u8>,
    /// What is written instead of a bare refusal, and how much of it is.
    instead: Option<(Vec<u8>, usize)>,
    /// How long a client may take nothing of what is written.
    patience: Duration,
    /// Runs while it does not.
    stuck: Option<Pin<Box<Sleep>>>,
}

impl Refusing {
    /// On a stream of which the bytes `ahead` were read already.
    pub(crate) fn new(
        stream: TcpStream,
        ahead: Vec<u8>,
        gives_way: bool,
        progress: Arc<Progress>,
        patience: Duration,
    ) -> Self {
        let (ahead, taken) = ((ahead, 0), Vec::new());
        Self { stream, progress, ahead, gives_way, taken, instead: None, patience, stuck: None }
    }

    /// The stream, and what was kept back.
    pub(crate) fn into_parts(self) -> (TcpStream, Vec<u8>) {
        (self.stream, self.taken)
    }

    /// Answers a request that was not read to its end, and closes.
    ///
    /// # Errors
    /// If the client is gone.
    pub(crate) async fn refuse(mut self, kind: Kind, detail: &'static str) -> io::Result<()> {
        self.stream.write_all(&last_answer(kind, detail)).await?;
        self.stream.shutdown().await
    }

    /// Writes what is still owed of a replaced refusal.
    fn poll_instead(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some((bytes, written)) = &mut self.instead {
            if *written == bytes.len() {
                self.instead = None;
                break;
            }
            let more = Pin::new(&mut self.stream).poll_write(cx, &bytes[*written..]);
            match ready!(in_time(&mut self.stuck, self.patience, cx, more))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                more => *written += more,
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Refusing {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let this = &mut *self;
        let (ahead, passed) = &mut this.ahead;
        if *passed < ahead.len() {
            let part = &ahead[*passed..][..(ahead.len() - *passed).min(buf.remaining())];
            buf.put_slice(part);
            *passed += part.len();
            this.progress.has_read(part.len());
            return Poll::Ready(Ok(()));
        }
        if !ahead.is_empty() {
            this.ahead = (Vec::new(), 0);
        }
        let read = Pin::new(&mut this.stream).poll_read(cx, buf);
        let fresh = &buf.filled()[before..];
        let is_short = fresh.len() <= LONGEST && fresh.starts_with(BEGINNING);
        if this.gives_way && this.progress.is_between() && is_short {
            this.taken = fresh.to_vec();
            buf.set_filled(before);
            this.progress.take();
            // Nobody has to be woken: who polls hyper looks for what was taken.
            return Poll::Pending;
        }
        this.progress.has_read(fresh.len());
        read
    }
}

impl AsyncWrite for Refusing {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.poll_instead(cx))?;
        if let Some(kind) = bare_refusal(buf) {
            self.instead = Some((last_answer(kind, "The server could not read the request."), 0));
            self.progress.has_answer();
            return Poll::Ready(Ok(buf.len()));
        }
        let Self { stream, stuck, patience, .. } = &mut *self;
        let written = Pin::new(stream).poll_write(cx, buf);
        in_time(stuck, *patience, cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        // A bare refusal is a head without a body: one piece.
        if let [only] = bufs {
            return self.poll_write(cx, only);
        }
        ready!(self.poll_instead(cx))?;
        let Self { stream, stuck, patience, .. } = &mut *self;
        let written = Pin::new(stream).poll_write_vectored(cx, bufs);
        in_time(stuck, *patience, cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_instead(cx))?;
        ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
        self.progress.has_flushed();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_instead(cx))?;
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// What came of a write; an error if the client has taken nothing for as long as it may.
fn in_time(
    stuck: &mut Option<Pin<Box<Sleep>>>,
    patience: Duration,
    cx: &mut Context<'_>,
    written: Poll<io::Result<usize>>,
) -> Poll<io::Result<usize>> {
    if written.is_ready() {
        *stuck = None;
        return written;
    }
    let timer = stuck.get_or_insert_with(|| Box::pin(sleep(patience)));
    timer.as_mut().poll(cx).map(|()| Err(io::ErrorKind::TimedOut.into()))
}

/// The problem that stands for what hyper is about to write, if that is a refusal of its own.
fn bare_refusal(head: &[u8]) -> Option<Kind> {
    let status = head.strip_prefix(b"HTTP/1.1 4").or_else(|| head.strip_prefix(b"HTTP/1.0 4"))?;
    if head.len() > LONGEST_BARE {
        return None;
    }
    let name = REQUEST_ID;
    let ours = name.as_str().as_bytes();
    if head.windows(ours.len()).any(|window| window.eq_ignore_ascii_case(ours)) {
        return None;
    }
    Some(match status.get(..2) {
        Some(b"14") => Kind::URI_TOO_LONG,
        Some(b"31") => Kind::HEADERS_TOO_LARGE,
        Some(b"13") => Kind::BODY_TOO_LARGE,
        Some(b"08") => Kind::REQUEST_TIMEOUT,
        _ => Kind::BAD_REQUEST,
    })
}

/// A whole answer; the connection ends with it.
fn last_answer(kind: Kind, detail: &'static str) -> Vec<u8> {
    let mut body = Vec::new();
    Problem::new(kind, detail).write(TraceId::fresh(), &mut body);
    let request_id = fresh_request_id();
    let head = format!(
        "HTTP/1.1 {}\r\ncontent-type: application/problem+json\r\nconnection: close\r\n{REQUEST_ID}: {}\r\n\
         content-length: {}\r\n\r\n",
        kind.status,
        request_id.to_str().unwrap_or("-"),
        body.len()
    );
    [head.into_bytes(), body].concat()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn a_client_that_takes_nothing_is_let_go() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        let progress = Arc::new(Progress::new());
        let mut refusing = Refusing::new(stream, Vec::new(), false, progress, Duration::from_millis(50));
        // More than the kernel holds for anybody.
        let written = refusing.write_all(&vec![b'x'; 64 << 20]).await;
        assert_eq!(written.unwrap_err().kind(), io::ErrorKind::TimedOut);
        drop(client);
    }

    #[test]
    fn only_refusals_without_a_request_id_are_replaced() {
        let bare = |head: &str| bare_refusal(head.as_bytes()).map(|kind| kind.code);
        assert_eq!(bare("HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n"), Some("bad_request"));
        assert_eq!(bare("HTTP/1.1 414 URI Too Long\r\n\r\n"), Some("uri_too_long"));
        assert_eq!(bare("HTTP/1.1 431 X\r\n\r\n"), Some("headers_too_large"));
        assert_eq!(bare("HTTP/1.1 400 Bad Request\r\nX-Request-Id: 7\r\n\r\n{}"), None);
        assert_eq!(bare("HTTP/1.1 200 OK\r\n\r\n"), None);
        assert_eq!(bare("HTTP/1.1 100 Continue\r\n\r\n"), None);
        assert_eq!(bare("{\"code\": 400}"), None);
    }
}
