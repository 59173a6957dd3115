//! A server for tests: whatever a function answers, over HTTP/1.1 on a port of its own.

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::HeaderMap;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, server::conn::http1};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::runtime::Builder;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

/// A request, read.
pub(crate) struct Asked {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

impl Asked {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

/// A running server. Dropping it closes every connection.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    _stop: oneshot::Sender<()>,
}

impl Server {
    /// Answers with what `answer` says: a status, headers and a JSON body. It runs on a thread of its own, so that
    /// it answers while the generator is busy.
    pub(crate) fn open<F>(answer: F) -> Self
    where
        F: Fn(Asked) -> (u16, Vec<(&'static str, String)>, Value) + Send + Sync + 'static,
    {
        let (tell, told) = std::sync::mpsc::channel();
        let (stop, stopped) = oneshot::channel();
        thread::spawn(move || {
            let runtime = Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                tell.send(listener.local_addr().unwrap()).unwrap();
                tokio::select! {
                    () = serve(listener, Arc::new(answer)) => {}
                    _dropped = stopped => {}
                }
            });
        });
        Self { address: told.recv().unwrap(), _stop: stop }
    }
}

async fn serve<F>(listener: TcpListener, answer: Arc<F>)
where
    F: Fn(Asked) -> (u16, Vec<(&'static str, String)>, Value) + Send + Sync + 'static,
{
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let answer = Arc::clone(&answer);
        connections.spawn(async move {
            let service = service_fn(|request| reply(Arc::clone(&answer), request));
            let _lost = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn reply<F>(answer: Arc<F>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, hyper::Error>
where
    F: Fn(Asked) -> (u16, Vec<(&'static str, String)>, Value),
{
    let (head, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let path = head.uri.path_and_query().map_or("", |path| path.as_str()).to_owned();
    let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
    let (status, headers, value) = answer(Asked { method: head.method, path, headers: head.headers, body });
    let mut response = Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(name, value);
    }
    Ok(response.body(Full::new(Bytes::from(value.to_string()))).unwrap())
}
