//! An HTTP/1.1 client over one keep-alive connection.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{CONTENT_LENGTH, HOST, HeaderValue};
use hyper_util::rt::TokioIo;
use thiserror::Error;
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::message::{Answer, Request};
use crate::stream::Stream;
use crate::target::Target;
use crate::tls::Tls;

/// Longer than any deadline of the server for one request, so that the server is the one to give up first.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
const FIRST_BACKOFF: Duration = Duration::from_millis(5);
const LONGEST_BACKOFF: Duration = Duration::from_millis(200);
/// `Retry-After` counts whole seconds; a closed loop that waited longer would stop being load.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(1);

/// Why there is no usable answer.
#[derive(Debug, Error)]
pub enum ClientError {
    /// Nobody listens there, or nobody who may be trusted.
    #[error("cannot connect to {address}")]
    Connect {
        /// Where the client tried to connect.
        address: SocketAddr,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The connection broke before the whole answer was there: the request may have been carried out or not.
    #[error("connection lost")]
    Lost(#[from] hyper::Error),
    /// No answer within the client's patience: the request may have been carried out or not.
    #[error("no answer within {0:?}")]
    Unanswered(Duration),
    /// The request cannot be written as HTTP.
    #[error("not a request")]
    Malformed(#[from] hyper::http::Error),
    /// The body of an answer is not the JSON that was expected.
    #[error("unexpected body in an answer {status}")]
    Body {
        /// Status of the answer.
        status: u16,
        /// What is wrong with the body.
        source: serde_json::Error,
    },
    /// An answer of another kind than the caller needs.
    #[error("unexpected answer {0}")]
    Unexpected(String),
}

impl ClientError {
    /// Whether a later try of the same request can succeed.
    pub(crate) fn is_transient(&self) -> bool {
        matches!(self, Self::Connect { .. } | Self::Lost(_) | Self::Unanswered(_))
    }
}

/// One try of a request, as the observer of [`Client::persist`] sees it.
#[derive(Debug)]
pub struct Attempt<'a> {
    /// From the first byte sent to the last byte received, or to the loss.
    pub latency: Duration,
    /// What came back.
    pub outcome: Result<&'a Answer, &'a ClientError>,
}

/// A client with one connection, made when needed and made again when lost.
#[derive(Debug)]
pub struct Client {
    target: Target,
    api_key: Option<HeaderValue>,
    /// The address to call from, if not the system's choice.
    source: Option<IpAddr>,
    connection: Option<Connection>,
}

#[derive(Debug)]
struct Connection {
    address: SocketAddr,
    host: HeaderValue,
    sender: SendRequest<Full<Bytes>>,
    /// Drives the connection; dropping it closes the socket.
    _driver: JoinSet<()>,
}

impl Client {
    /// A client without a credential.
    pub fn guest(target: Target) -> Self {
        Self { target, api_key: None, source: None, connection: None }
    }

    /// A client that sends `api_key` as `X-API-Key`. A key that is no header value is left out.
    pub fn staff(target: Target, api_key: &str) -> Self {
        Self { api_key: HeaderValue::from_str(api_key).ok(), ..Self::guest(target) }
    }

    /// This client, calling from an address of its own: one of this machine, of the family that the target has.
    #[must_use]
    pub fn from_address(self, source: IpAddr) -> Self {
        Self { source: Some(source), connection: None, ..self }
    }

    /// Sends `request` once and collects the answer.
    ///
    /// A connection that the server had closed while it was idle is replaced first; a request that may have
    /// reached the server is never sent twice.
    ///
    /// # Errors
    /// Everything but [`ClientError::Body`] and [`ClientError::Unexpected`].
    pub async fn send(&mut self, request: &Request) -> Result<Answer, ClientError> {
        let answer = match timeout(ANSWER_WITHIN, self.exchange(request)).await {
            Ok(answer) => answer,
            Err(_) => Err(ClientError::Unanswered(ANSWER_WITHIN)),
        };
        if answer.is_err() {
            self.connection = None;
        }
        answer
    }

    /// Sends `request` until it is answered for good: again after a lost connection, after 429 and 503, and
    /// while its key is in flight. The caller sees to it that repeating it is harmless (a read, or a key).
    ///
    /// # Errors
    /// The last failure, once `patience` is over. An answer that still asks for a retry by then is returned.
    pub async fn persist(
        &mut self,
        request: &Request,
        patience: Duration,
        mut observe: impl FnMut(Attempt<'_>),
    ) -> Result<Answer, ClientError> {
        let began = Instant::now();
        let mut backoff = FIRST_BACKOFF;
        let mut last = Err(ClientError::Unanswered(patience));
        loop {
            let left = patience.saturating_sub(began.elapsed());
            // A closed target is waited for, but not beyond the caller's patience, and not as latency.
            if left.is_zero() || timeout(left, self.target.address()).await.is_err() {
                return last;
            }
            let sent = Instant::now();
            let outcome = self.send(request).await;
            observe(Attempt { latency: sent.elapsed(), outcome: outcome.as_ref() });
            let retry_after = match &outcome {
                Ok(answer) if answer.asks_for_retry() => retry_after(answer),
                Err(error) if error.is_transient() => Duration::ZERO,
                _ => return outcome,
            };
            sleep(backoff.max(retry_after).min(left)).await;
            backoff = (backoff * 2).min(LONGEST_BACKOFF);
            last = outcome;
        }
    }

    async fn exchange(&mut self, request: &Request) -> Result<Answer, ClientError> {
        let message = {
            let host = self.connected().await?.host.clone();
            self.message(request, host)?
        };
        let response = match self.connection.as_mut() {
            Some(connection) => connection.sender.send_request(message).await?,
            None => return Err(ClientError::Unanswered(Duration::ZERO)),
        };
        let (head, body) = response.into_parts();
        let body = body.collect().await?.to_bytes();
        Ok(Answer { status: head.status, headers: head.headers, body })
    }

    fn message(
        &self,
        request: &Request,
        host: HeaderValue,
    ) -> Result<hyper::Request<Full<Bytes>>, ClientError> {
        let mut message = hyper::Request::builder()
            .method(request.method.clone())
            .uri(request.path.as_str())
            .body(Full::new(request.body.clone()))?;
        let headers = message.headers_mut();
        headers.extend(request.headers.clone());
        headers.insert(HOST, host);
        if !request.body.is_empty() {
            headers.insert(CONTENT_LENGTH, HeaderValue::from(request.body.len()));
        }
        if let Some(api_key) = &self.api_key {
            headers.entry("x-api-key").or_insert_with(|| api_key.clone());
        }
        Ok(message)
    }

    /// A connection to where the target is now, ready to take a request.
    async fn connected(&mut self) -> Result<&Connection, ClientError> {
        let address = self.target.address().await;
        let usable = match &mut self.connection {
            Some(connection) if connection.address == address => connection.sender.ready().await.is_ok(),
            _ => false,
        };
        match self.connection.take() {
            Some(connection) if usable => Ok(self.connection.insert(connection)),
            _ => Ok(self.connection.insert(connect(address, self.source, self.target.tls()).await?)),
        }
    }
}

async fn connect(
    address: SocketAddr,
    source: Option<IpAddr>,
    tls: Option<&Tls>,
) -> Result<Connection, ClientError> {
    let refused = |source| ClientError::Connect { address, source };
    let stream = open(address, source).await.map_err(refused)?;
    let stream = Stream::over(stream, tls).await.map_err(refused)?;
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let mut driver = JoinSet::new();
    driver.spawn(async move {
        // An error of the connection also reaches whoever waits for an answer on it.
        let _ = connection.await;
    });
    let host = match tls {
        // Who ends TLS for several shops tells them apart by it.
        Some(tls) => tls.host().clone(),
        None => HeaderValue::from_str(&address.to_string()).map_err(hyper::http::Error::from)?,
    };
    Ok(Connection { address, host, sender, _driver: driver })
}

async fn open(address: SocketAddr, source: Option<IpAddr>) -> io::Result<TcpStream> {
    let Some(source) = source else { return TcpStream::connect(address).await };
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.bind(SocketAddr::new(source, 0))?;
    socket.connect(address).await
}

fn retry_after(answer: &Answer) -> Duration {
    let seconds = answer.header("retry-after").and_then(|value| value.parse().ok()).unwrap_or(0);
    Duration::from_secs(seconds).min(LONGEST_RETRY_AFTER)
}
