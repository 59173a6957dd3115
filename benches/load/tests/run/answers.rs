//! Answers of servers that are old, odd or broken: each has its place in the report, none hangs or kills a run.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use relampago_load::summary::Summary;

use crate::running::run_text;

/// What a server does when it has written.
#[derive(Clone, Copy, Debug)]
enum Then {
    Closes,
    Stays,
}
use Then::{Closes, Stays};

/// What is written for every request, what follows, what the report calls it, and on how many connections three
/// requests go.
const ANSWERS: &[(&str, Then, &str, usize)] = &[
    // What is well: a body `{"ok":1}` in every form.
    ("HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\n{\"ok\":1}", Stays, "200", 1),
    ("HTTP/1.1 200 OK\r\nContent-Length:  8 \r\n\r\n{\"ok\":1}", Stays, "200", 1),
    ("HTTP/1.1 200 OK\r\ncontent-length: 8\r\ncontent-length: 8\r\n\r\n{\"ok\":1}", Stays, "200", 1),
    ("HTTP/1.1 200 OK\r\ncontent-length: 8\r\nconnection: close\r\n\r\n{\"ok\":1}", Closes, "200", 3),
    ("HTTP/1.1 200 OK\r\ncontent-length: 8\r\nconnection: foo, Close\r\n\r\n{\"ok\":1}", Stays, "200", 3),
    ("HTTP/1.1 200 OK\r\n\r\n{\"ok\":1}", Closes, "200", 3),
    ("HTTP/1.0 200 OK\r\n\r\n{\"ok\":1}", Closes, "200", 3),
    ("HTTP/1.0 200 OK\r\ncontent-length: 8\r\n\r\n{\"ok\":1}", Stays, "200", 3),
    ("HTTP/1.0 200 OK\r\ncontent-length: 8\r\nconnection: Keep-Alive\r\n\r\n{\"ok\":1}", Stays, "200", 1),
    (
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\n{\"o\r\n5;x=y\r\nk\":1}\r\n0\r\n\r\n",
        Stays,
        "200",
        1,
    ),
    (
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n8\r\n{\"ok\":1}\r\n0\r\na: b\r\n\r\n",
        Stays,
        "200",
        1,
    ),
    (
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\n{\"ok\":1}",
        Stays,
        "200",
        1,
    ),
    ("HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\n{\"ok\":1}more", Stays, "200", 3),
    (
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n8\r\n{\"ok\":1}\r\n0\r\n\r\nmore",
        Stays,
        "200",
        3,
    ),
    // What is an answer, and not that one.
    ("HTTP/1.1 204 No Content\r\n\r\n", Stays, "check /ok is there", 1),
    ("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n{ok", Stays, "check /ok is there", 1),
    ("HTTP/1.1 302 Found\r\nlocation: http://192.0.2.1/\r\ncontent-length: 0\r\n\r\n", Stays, "302", 1),
    ("HTTP/1.1 304 Not Modified\r\ncontent-length: 8\r\n\r\n", Stays, "304", 1),
    ("HTTP/1.1 799 Odd\r\ncontent-length: 0\r\n\r\n", Stays, "799", 1),
    // What is none.
    ("HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n\r\n", Stays, "malformed answer", 3),
    ("HTTP/1.1 099 Less\r\ncontent-length: 0\r\n\r\n", Stays, "malformed answer", 3),
    ("HTTP/2.0 200 OK\r\ncontent-length: 0\r\n\r\n", Stays, "malformed answer", 3),
    ("SSH-2.0-OpenSSH_9.9\r\n", Stays, "malformed answer", 3),
    ("\x16\x03\x01\x02\x00\x01\x00\x01", Stays, "malformed answer", 3),
    ("<html>hello</html>", Closes, "malformed answer", 3),
    (
        "HTTP/1.1 200 OK\r\ncontent-length: 8\r\ncontent-length: 9\r\n\r\n{\"ok\":1}",
        Stays,
        "malformed answer",
        3,
    ),
    ("HTTP/1.1 200 OK\r\ncontent-length: +8\r\n\r\n{\"ok\":1}", Stays, "malformed answer", 3),
    ("HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n", Stays, "malformed answer", 3),
    ("HTTP/1.1 200 OK\r\ncontent-length: 99999999999999999999\r\n\r\n", Stays, "malformed answer", 3),
    ("HTTP/1.1 200 OK\r\ncontent-length: 99999999\r\n\r\n", Stays, "malformed answer", 3),
    ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n", Stays, "malformed answer", 3),
    (
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nfffffffffffffffff\r\n",
        Stays,
        "malformed answer",
        3,
    ),
    ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nffffffff\r\n", Stays, "malformed answer", 3),
    (
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\n{\"ok\":1}\r\n0\r\n\r\n",
        Stays,
        "malformed answer",
        3,
    ),
    // What breaks off, or never comes.
    ("", Closes, "connection lost", 3),
    ("HTTP/1.1 200 OK\r\ncontent-le", Closes, "connection lost", 3),
    ("HTTP/1.1 200 OK\r\ncontent-length: 80\r\n\r\n{\"ok\":1}", Closes, "connection lost", 3),
    (
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n8\r\n{\"ok\":1}\r\n",
        Closes,
        "connection lost",
        3,
    ),
    ("HTTP/1.1 100 Continue\r\n\r\n", Closes, "connection lost", 3),
    ("", Stays, "timeout", 3),
    ("HTTP/1.1 200 OK\r\n\r\n{\"ok\":1}", Stays, "timeout", 3),
    ("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{\"ok\":1}", Stays, "timeout", 3),
];

/// A server that reads a request and does as it is told, on every connection.
fn serve(answer: Vec<u8>, then: Then) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let answer = answer.clone();
            thread::spawn(move || answer_all(stream.unwrap(), &answer, then));
        }
    });
    address
}

/// Answers until the client goes away, whom no answer need reach.
fn answer_all(mut stream: TcpStream, answer: &[u8], then: Then) {
    let mut request = Vec::new();
    let mut piece = [0; 1024];
    while let Ok(length @ 1..) = stream.read(&mut piece) {
        request.extend_from_slice(&piece[..length]);
        if request.ends_with(b"\r\n\r\n") {
            request.clear();
            if stream.write_all(answer).is_err() || matches!(then, Closes) {
                return;
            }
        }
    }
}

fn asked_three_times(address: SocketAddr) -> Summary {
    let text = r#"
        name = "answers"
        description = "One small request."
        [[flows]]
        name = "ask"
        [[flows.steps]]
        name = "ask"
        request = "GET /"
        timeout = "300ms"
        capture = { found = "/ok" }
        [load]
        mode = "closed"
        clients = 1
        flows = 3
        duration = "30s"
        "#;
    run_text(text, address)
}

#[test]
fn every_answer_has_its_name() {
    for (answer, then, expected, _) in ANSWERS {
        let told = asked_three_times(serve(answer.as_bytes().to_vec(), *then));
        let outcomes: Vec<(&str, u64)> =
            told.steps[0].outcomes.iter().map(|outcome| (outcome.outcome.as_str(), outcome.count)).collect();
        assert_eq!(outcomes, [(*expected, 3)], "{answer:?}, and then it {then:?}");
    }
}

#[test]
fn a_connection_is_used_again_only_if_it_can_be() {
    for (answer, then, _, expected) in ANSWERS {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, then) = (listener.local_addr().unwrap(), *then);
        let (count, counted) = std::sync::mpsc::channel();
        thread::spawn(move || {
            for stream in listener.incoming() {
                count.send(()).unwrap();
                thread::spawn(move || answer_all(stream.unwrap(), answer.as_bytes(), then));
            }
        });
        asked_three_times(address);
        assert_eq!(counted.try_iter().count(), *expected, "{answer:?}, and then it {then:?}");
    }
}

#[test]
fn what_has_no_end_is_given_up() {
    let header = "x: y\r\n".repeat(20_000);
    let long_head = format!("HTTP/1.1 200 OK\r\n{header}");
    let one_header = format!("HTTP/1.1 200 OK\r\nx: {}", "y".repeat(200_000));
    let body = format!("HTTP/1.1 200 OK\r\n\r\n{}", "y".repeat(17 << 20));
    let chunk = format!("8000\r\n{}\r\n", "y".repeat(0x8000));
    let chunks = format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{}", chunk.repeat(600));
    let trailers = format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n{header}");
    for (what, answer) in [
        ("head", long_head),
        ("header", one_header),
        ("body", body),
        ("chunks", chunks),
        ("trailers", trailers),
    ] {
        let began = std::time::Instant::now();
        let told = asked_three_times(serve(answer.into_bytes(), Stays));
        let outcomes = &told.steps[0].outcomes;
        let is_given_up = |name: &str| name == "malformed answer" || name == "timeout";
        assert!(outcomes.iter().all(|outcome| is_given_up(&outcome.outcome)), "{what}: {told}");
        assert!(began.elapsed() < Duration::from_secs(20), "{what}");
    }
}
