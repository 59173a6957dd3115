//! Attacks and what comes of them.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::api::{key, product, units};
use crate::support::Shop;

/// What is bought where something is.
pub(super) const SKU: &str = "PRIZE";
/// The request that follows every attack.
const MARKER: &str = "GET /api/v1/products?q=marker HTTP/1.1\r\nHost: shop\r\nX-Request-Id: marker\r\nConnection: close\r\n\r\n";
/// Longer than any timeout of a shop that is attacked.
const PATIENCE: Duration = Duration::from_secs(20);
/// Attacks at once.
const AT_ONCE: usize = 64;

/// A shop whose timeouts end soon, with one thing to buy.
pub(super) async fn shop() -> Shop {
    let soon = [
        ("SERVER__HEADER_READ_TIMEOUT", "700ms"),
        ("SERVER__KEEP_ALIVE_TIMEOUT", "700ms"),
        ("SERVER__REQUEST_TIMEOUT", "3s"),
        ("PAYMENTS__WAIT", "1s"),
    ];
    let shop = Shop::open(&soon).await;
    product(&mut shop.staff(), SKU, "1.00", 1_000).await;
    shop
}

/// What an attack comes behind, on its connection.
#[derive(Debug, Clone, Copy)]
pub(super) enum Behind {
    /// Nothing: the connection is new.
    Nothing,
    /// A purchase that went the short way.
    Short,
    /// A purchase that went the long way.
    Long,
}

const BEHIND: [Behind; 3] = [Behind::Nothing, Behind::Short, Behind::Long];

/// Bytes, and what must come of them: the statuses of their answers, then `marker` if the connection goes on and `end`
/// if it does not. `-` is for what may be either.
#[derive(Debug, Clone)]
pub(super) struct Attack {
    pub(super) name: String,
    pub(super) bytes: Vec<u8>,
    pub(super) outcome: String,
}

impl Attack {
    pub(super) fn new(
        name: impl Into<String>,
        bytes: impl Into<Vec<u8>>,
        outcome: impl Into<String>,
    ) -> Self {
        Self { name: name.into(), bytes: bytes.into(), outcome: outcome.into() }
    }
}

/// An answer, taken apart.
#[derive(Debug)]
struct Answer {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.into_iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    fn is_marker(&self) -> bool {
        self.header("x-request-id") == Some("marker")
    }
}

/// A whole, ordinary purchase, which goes the short way, under a key of its own.
pub(super) fn purchase(headers: &str, quantity: u32) -> String {
    let body = bought(quantity);
    format!("{}{headers}Content-Length: {}\r\n\r\n{body}", head(), body.len())
}

/// The beginning of a purchase's head.
pub(super) fn head() -> String {
    head_under(&key())
}

fn head_under(key: &str) -> String {
    format!(
        "POST /api/v1/orders HTTP/1.1\r\nHost: shop\r\nContent-Type: application/json\r\n\
         X-Request-Id: attack\r\nIdempotency-Key: {key}\r\n"
    )
}

/// The body of a purchase.
pub(super) fn bought(quantity: u32) -> String {
    format!(r#"{{"items":[{{"sku":"{SKU}","quantity":{quantity}}}]}}"#)
}

/// One chunk, and the end of chunks.
pub(super) fn chunked(body: &str) -> String {
    format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len())
}

/// Carries out all attacks, each behind nothing, behind a purchase of the short way and behind one of the long way.
/// What they buy altogether must be `sold` units for each of these three.
pub(super) async fn attack(shop: &Shop, attacks: impl Fn() -> Vec<Attack>, sold: i64) {
    let mut staff = shop.staff();
    let (before, ..) = units(&mut staff, SKU).await;
    let keys = BEHIND.map(|_| key());
    let mut running = JoinSet::new();
    let mut wrong = Vec::new();
    for (behind, first) in BEHIND.into_iter().zip(&keys) {
        // Anew for each, since purchases need keys of their own.
        for attack in attacks() {
            if running.len() == AT_ONCE {
                wrong.extend(running.join_next().await.and_then(|done| done.unwrap()));
            }
            let (address, first) = (shop.address(), first.clone());
            running.spawn(async move { one(address, behind, &first, &attack).await });
        }
    }
    while let Some(done) = running.join_next().await {
        wrong.extend(done.unwrap());
    }
    assert!(wrong.is_empty(), "{} attacks:\n{}", wrong.len(), wrong.join("\n"));
    let (after, reserved, ..) = units(&mut staff, SKU).await;
    // The two that attacks come behind are bought once each, the others are repeated.
    assert_eq!(before - after, 3 * sold + 2, "units bought; {reserved} reserved");
}

/// Carries out one attack; what is wrong, if anything.
async fn one(address: SocketAddr, behind: Behind, key: &str, attack: &Attack) -> Option<String> {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let body = bought(1);
    let beginning = head_under(key);
    let first = match behind {
        Behind::Nothing => String::new(),
        Behind::Short => format!("{beginning}Content-Length: {}\r\n\r\n{body}", body.len()),
        Behind::Long => format!("{beginning}Transfer-Encoding: chunked\r\n\r\n{}", chunked(&body)),
    };
    if !first.is_empty() {
        stream.write_all(first.as_bytes()).await.unwrap();
        let bought = read_one(&mut stream).await;
        assert_eq!(bought.status, 201, "{bought:?}");
    }
    let (answers, is_reset) = match timeout(PATIENCE, converse(stream, &attack.bytes)).await {
        Ok(conversed) => conversed,
        Err(_) => return Some(format!("{} {behind:?}: it hangs", attack.name)),
    };
    judge(&answers, is_reset, &attack.outcome)
        .map(|wrong| format!("{} {behind:?}: {wrong}, not {:?}", attack.name, attack.outcome))
}

/// Sends an attack and the marker in one piece, and reads until the server closes. The flag says whether it was reset.
async fn converse(stream: TcpStream, bytes: &[u8]) -> (Vec<u8>, bool) {
    let (mut reading, mut writing) = stream.into_split();
    let whole = [bytes, MARKER.as_bytes()].concat();
    let write = async {
        // The server may have closed before it is all written.
        let _closed = writing.write_all(&whole).await;
        // And it closes, not we.
        std::future::pending::<()>().await;
    };
    let mut answers = Vec::new();
    let read = async { reading.read_to_end(&mut answers).await.is_err() };
    let is_reset = tokio::select! {
        is_reset = read => is_reset,
        () = write => false,
    };
    (answers, is_reset)
}

/// What is wrong with the bytes that came, if anything.
fn judge(bytes: &[u8], is_reset: bool, outcome: &str) -> Option<String> {
    let (answers, rest) = take_apart(bytes);
    if !rest.is_empty() && !is_reset {
        return Some(format!("answers end with {:?}", String::from_utf8_lossy(rest)));
    }
    if let Some(fault) = answers.iter().find_map(fault) {
        return Some(fault);
    }
    let markers = answers.iter().filter(|answer| answer.is_marker()).count();
    let is_last = answers.last().is_some_and(Answer::is_marker);
    if markers > 1 || (markers == 1 && !is_last) {
        return Some(format!("{markers} markers among {} answers", answers.len()));
    }
    let mut got: Vec<String> =
        answers.iter().filter(|answer| !answer.is_marker()).map(|answer| answer.status.to_string()).collect();
    got.push(if is_last { "marker" } else { "end" }.to_owned());
    let got = got.join(" ");
    (outcome != "-" && got != outcome).then_some(got)
}

/// What no answer may be.
fn fault(answer: &Answer) -> Option<String> {
    let what = || format!("{} {}", answer.head, String::from_utf8_lossy(&answer.body));
    if answer.header("x-request-id") == Some("smuggled") || answer.status >= 500 {
        return Some(what());
    }
    if answer.is_marker() && answer.status != 200 {
        return Some(what());
    }
    if answer.status < 400 {
        return None;
    }
    let is_problem = answer.header("content-type") == Some("application/problem+json");
    let problem: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let is_whole = problem["status"] == answer.status && problem["code"].is_string();
    (!is_problem || !is_whole).then(what)
}

/// Answers, and what is left behind them.
fn take_apart(mut bytes: &[u8]) -> (Vec<Answer>, &[u8]) {
    let mut answers = Vec::new();
    while let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        let mut answer = Answer { status, head, body: Vec::new() };
        let length = answer.header("content-length").map_or(0, |length| length.parse().unwrap());
        let Some(body) = bytes.get(end + 4..end + 4 + length) else { break };
        answer.body = body.to_vec();
        bytes = &bytes[end + 4 + length..];
        // 100 Continue is no answer yet.
        if status != 100 {
            answers.push(answer);
        }
    }
    (answers, bytes)
}

async fn read_one(stream: &mut TcpStream) -> Answer {
    let mut bytes = Vec::new();
    loop {
        let (mut answers, _) = take_apart(&bytes);
        if let Some(answer) = answers.pop() {
            return answer;
        }
        assert!(stream.read_buf(&mut bytes).await.unwrap() > 0, "closed before the answer");
    }
}
