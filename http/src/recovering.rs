//! While the engine recovers the port is open already: who asks learns that the process runs and takes no work yet.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, HeaderValue};
use axum::response::Response;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, sleep_until, timeout};

use crate::error::{Kind, Problem};
use crate::trace::{self, TraceId};

/// Connections at once: they are short, and whoever finds no room waits in the listen queue.
const MOST: usize = 64;

/// While there is no room, who was accepted so long ago and is not answered yet makes some: those who say nothing keep
/// nobody waiting for long.
const SILENT: Duration = Duration::from_millis(250);

/// Whoever comes meanwhile waits in the listen queue: most starts are over by then, and nobody need try again.
pub(crate) const GRACE: Duration = Duration::from_secs(1);

/// Answers everybody who waits longer than `grace` until the engine is there; gives what became of it.
pub(crate) async fn until<T>(
    listener: &TcpListener,
    grace: Duration,
    patience: Duration,
    started: impl Future<Output = T>,
) -> T {
    let mut started = pin!(started);
    if let Ok(started) = timeout(grace, &mut started).await {
        return started;
    }
    let mut connections = JoinSet::new();
    let mut by_age: VecDeque<(Instant, AbortHandle)> = VecDeque::with_capacity(MOST);
    loop {
        let is_full = by_age.len() == MOST;
        let silent = by_age.front().map_or_else(Instant::now, |(since, _)| *since + SILENT);
        tokio::select! {
            biased;
            started = &mut started => {
                // Whoever was accepted is answered; each has its time.
                connections.detach_all();
                return started;
            }
            Some(_) = connections.join_next() => by_age.retain(|(_, connection)| !connection.is_finished()),
            () = sleep_until(silent), if is_full => {
                if let Some((_, oldest)) = by_age.pop_front() {
                    oldest.abort();
                }
            }
            accepted = listener.accept(), if !is_full => {
                if let Ok((stream, _)) = accepted {
                    // Whoever is slower than that is not answered.
                    by_age.push_back((Instant::now(), connections.spawn(timeout(patience, serve(stream)))));
                }
            }
        }
    }
}

async fn serve(stream: TcpStream) {
    let service = service_fn(|request| async move { Ok::<_, Infallible>(answer(&request)) });
    let served = http1::Builder::new().keep_alive(false).serve_connection(TokioIo::new(stream), service);
    if let Err(error) = served.await {
        tracing::debug!(%error, "connection ended");
    }
}

fn answer(request: &hyper::Request<Incoming>) -> Response {
    let mut response = match request.uri().path() {
        "/livez" => {
            let mut response = Response::new(Body::from("ok\n"));
            let text = HeaderValue::from_static("text/plain; charset=utf-8");
            response.headers_mut().insert(CONTENT_TYPE, text);
            response
        }
        _ => {
            let trace = TraceId::of(request.headers()).unwrap_or_else(TraceId::fresh);
            let problem = Problem::new(Kind::NOT_READY, "The engine recovers. Try again.");
            problem.retry_after_s(1).into_response(trace)
        }
    };
    response.headers_mut().insert(trace::REQUEST_ID, trace::request_id(request.headers()));
    response
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn who_says_nothing_keeps_nobody_waiting() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (start, started) = oneshot::channel();
        let asking = async move {
            let mut silent = Vec::new();
            for _ in 0..3 * MOST {
                silent.push(TcpStream::connect(address).await.unwrap());
            }
            let alive = ask(address, "/livez").await;
            start.send(()).unwrap();
            alive
        };
        // Far longer than the test may take.
        let patience = Duration::from_secs(600);
        let (_, alive) = tokio::join!(until(&listener, Duration::ZERO, patience, started), asking);
        assert!(alive.starts_with("HTTP/1.1 200 OK"), "{alive}");
    }

    async fn ask(address: std::net::SocketAddr, path: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: shop\r\n\r\n").as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn nobody_is_sent_away_by_a_start_that_is_soon_over() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut waiting = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        waiting.write_all(b"GET /readyz HTTP/1.1\r\nHost: shop\r\n\r\n").await.unwrap();
        let started = tokio::task::yield_now();
        until(&listener, Duration::from_secs(10), Duration::from_secs(10), started).await;
        let (mut accepted, _) = listener.accept().await.unwrap();
        let mut request = [0; 4];
        accepted.read_exact(&mut request).await.unwrap();
        assert_eq!(&request, b"GET ");
    }

    #[tokio::test]
    async fn the_process_lives_and_takes_no_work() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (start, started) = oneshot::channel();
        let asking = async move {
            let answers = [ask(address, "/livez").await, ask(address, "/readyz").await];
            start.send(7).unwrap();
            answers
        };
        let (started, [alive, ready]) =
            tokio::join!(until(&listener, Duration::ZERO, Duration::from_secs(10), started), asking);
        assert_eq!(started, Ok(7));
        assert!(alive.starts_with("HTTP/1.1 200 OK") && alive.ends_with("ok\n"), "{alive}");
        assert!(ready.starts_with("HTTP/1.1 503") && ready.contains("\"code\":\"not_ready\""), "{ready}");
        assert!(ready.contains("retry-after: 1") && ready.contains("x-request-id: "), "{ready}");
    }
}
