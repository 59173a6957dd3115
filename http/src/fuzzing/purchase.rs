//! Purchases on both ways: whatever the short way takes, the long one reads as the same.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use axum::http::header::{ACCEPT_LANGUAGE, AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HOST};
use axum::http::{Request, Response};
use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use relampago_config::Locale;
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
use tokio::runtime::{Builder, Runtime};

use crate::auth::Caller;
use crate::idempotency::{self, Key};
use crate::lane::head::{self, BEGINNING, Simple};
use crate::locale;
use crate::routes::checkout;
use crate::trace::{self, TraceId, is_request_id};

/// What must come out behind the request as it went in, if both ways agree on where that ends.
const MARKER: &[u8] = b"GET /marker HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\r\n";

thread_local! {
    static RUNTIME: Runtime = Builder::new_current_thread().build().expect("a runtime");
}

/// A request, behind its first line. If the short way takes it, hyper must read the same headers, body and end.
pub fn purchase(input: &[u8]) {
    checkout::same_read_quickly(input);
    let bytes = [BEGINNING, input].concat();
    let Some(simple) = head::read(&bytes) else { return };
    let requests = RUNTIME.with(|runtime| runtime.block_on(long_way(&bytes[..simple.length])));
    let [request, marker] = &requests[..] else { panic!("{} requests instead of two", requests.len()) };
    assert_eq!(marker.uri(), "/marker");
    assert_eq!((request.method().as_str(), request.uri().path()), ("POST", "/api/v1/orders"));
    assert_eq!(request.body(), simple.body);
    same_headers(request, &simple);
    same_meaning(request, &simple);
    checkout::same_read_quickly(simple.body);
}

fn same_headers(request: &Request<Bytes>, simple: &Simple<'_>) {
    for (name, expected) in [
        (AUTHORIZATION.as_str(), simple.authorization),
        ("x-api-key", simple.api_key),
        ("idempotency-key", simple.idempotency_key),
        (CONTENT_TYPE.as_str(), simple.content_type),
        (ACCEPT_LANGUAGE.as_str(), simple.accept_language),
        ("x-request-id", simple.request_id),
        ("traceparent", simple.traceparent),
    ] {
        let values: Vec<&[u8]> =
            request.headers().get_all(name).iter().map(|value| value.as_bytes()).collect();
        assert_eq!(values, expected.into_iter().collect::<Vec<_>>(), "{name}");
    }
    for name in [HOST, CONTENT_LENGTH] {
        assert_eq!(request.headers().get_all(&name).iter().count(), 1, "{name}");
    }
}

fn same_meaning(request: &Request<Bytes>, simple: &Simple<'_>) {
    let headers = request.headers();
    let key = Key::of(headers, Caller::Guest).ok().flatten();
    let taken = simple.idempotency_key.filter(|key| idempotency::is_good(key, Caller::Guest));
    assert_eq!(key.as_ref().map(Key::as_bytes), taken);
    for locale in [Locale::En, Locale::Es] {
        let taken = locale::preferred_of(simple.accept_language.into_iter(), locale);
        assert_eq!(locale::preferred(headers, locale), taken);
    }
    assert_eq!(TraceId::of(headers), simple.traceparent.and_then(TraceId::read));
    if let Some(taken) = simple.request_id.filter(|given| is_request_id(given)) {
        assert_eq!(trace::request_id(headers).as_bytes(), taken);
    }
}

/// The requests that hyper reads, given these bytes and a marker behind them.
async fn long_way(bytes: &[u8]) -> Vec<Request<Bytes>> {
    let requests = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&requests);
    let service = service_fn(move |request: Request<Incoming>| {
        let seen = Arc::clone(&seen);
        async move {
            let (parts, body) = request.into_parts();
            // What breaks off is no request.
            if let Ok(body) = body.collect().await {
                seen.lock().expect("no panic").push(Request::from_parts(parts, body.to_bytes()));
            }
            Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
        }
    });
    let (mut client, server) = duplex(bytes.len() + MARKER.len());
    let connection =
        http1::Builder::new().header_read_timeout(None).serve_connection(TokioIo::new(server), service);
    let talk = async {
        client.write_all(bytes).await.expect("there is room");
        client.write_all(MARKER).await.expect("there is room");
        let mut answers = Vec::new();
        client.read_to_end(&mut answers).await.expect("the end");
    };
    let (_ended, ()) = tokio::join!(connection, talk);
    let mut requests = requests.lock().expect("no panic");
    std::mem::take(&mut *requests)
}
