//! Heads: first lines, targets, and headers that are odd, twice there or at odds with each other.

use super::line::{Attack, attack, bought, head, purchase, shop};
use crate::support::API_KEY;

/// An ordinary purchase in which something is replaced.
fn changed(what: &str, by: &str, outcome: &'static str) -> Attack {
    let whole = purchase("", 1);
    assert!(whole.contains(what), "{what}");
    Attack::new(format!("{by:?} for {what:?}"), whole.replacen(what, by, 1), outcome)
}

/// An ordinary purchase with more headers.
fn with(headers: &str, outcome: &'static str) -> Attack {
    Attack::new(headers, purchase(&format!("{headers}\r\n"), 1), outcome)
}

fn first_lines() -> Vec<Attack> {
    const LINE: &str = "POST /api/v1/orders HTTP/1.1";
    let line = |by: &str, outcome| changed(LINE, by, outcome);
    let alone = |text: &str, outcome: &'static str| Attack::new(text, text, outcome);
    vec![
        line(LINE, "201 marker"),
        line("post /api/v1/orders HTTP/1.1", "405 marker"),
        line("POST  /api/v1/orders HTTP/1.1", "400 end"),
        line("POST\t/api/v1/orders HTTP/1.1", "400 end"),
        line("POST /api/v1/orders\tHTTP/1.1", "400 end"),
        line("POST /api/v1/orders  HTTP/1.1", "400 end"),
        line(" POST /api/v1/orders HTTP/1.1", "400 end"),
        line("PO\0ST /api/v1/orders HTTP/1.1", "400 end"),
        line("POST /api/v1/orders HTTP/1.1 ", "400 end"),
        line("POST /api/v1/orders HTTP/1.0", "201 end"),
        line("POST /api/v1/orders HTTP/1.2", "400 end"),
        line("POST /api/v1/orders HTTP/2.0", "400 end"),
        line("POST /api/v1/orders HTTP/11.1", "400 end"),
        line("POST /api/v1/orders http/1.1", "400 end"),
        line("POST /api/v1/orders HTTPS/1.1", "400 end"),
        line("POST /api/v1/orders", "400 end"),
        line("TRACE /api/v1/orders HTTP/1.1", "405 marker"),
        line("DELETE /api/v1/orders HTTP/1.1", "405 marker"),
        line(&format!("{} /api/v1/orders HTTP/1.1", "M".repeat(5_000)), "405 marker"),
        line("POST http://evil.example/api/v1/orders HTTP/1.1", "201 marker"),
        line("POST http://evil.example:80@shop/api/v1/orders HTTP/1.1", "201 marker"),
        line("POST ftp://shop/api/v1/orders HTTP/1.1", "201 marker"),
        line("POST //shop/api/v1/orders HTTP/1.1", "404 marker"),
        line("POST api/v1/orders HTTP/1.1", "400 end"),
        line("POST shop:80 HTTP/1.1", "404 marker"),
        line("POST * HTTP/1.1", "404 marker"),
        line("OPTIONS * HTTP/1.1", "404 marker"),
        line("CONNECT shop:80 HTTP/1.1", "404 marker"),
        line("CONNECT /api/v1/orders HTTP/1.1", "405 marker"),
        line("POST /api/v1/orders/ HTTP/1.1", "201 marker"),
        line("POST /api/v1/orders// HTTP/1.1", "201 marker"),
        line("POST /api/v1//orders HTTP/1.1", "404 marker"),
        line("POST /api/v1/./orders HTTP/1.1", "404 marker"),
        line("POST /api/v1/x/../orders HTTP/1.1", "404 marker"),
        line("POST /api/v1/%6frders HTTP/1.1", "404 marker"),
        line("POST /api/v1%2forders HTTP/1.1", "404 marker"),
        line("POST /api/v1/orders%00 HTTP/1.1", "404 marker"),
        line("POST /api/v1/orders;a=b HTTP/1.1", "404 marker"),
        line("POST /api/v1/orders? HTTP/1.1", "201 marker"),
        line("POST /api/v1/orders?a=b HTTP/1.1", "201 marker"),
        line("POST /api/v1/orders#a HTTP/1.1", "201 marker"),
        line("POST /api/v1/orders\u{202e} HTTP/1.1", "404 marker"),
        line("POST /api/v1/orders\u{7f} HTTP/1.1", "400 end"),
        line("POST \\api\\v1\\orders HTTP/1.1", "400 end"),
        alone("GET /livez\r\n\r\n", "400 end"),
        alone("\0\r\n\r\n", "400 end"),
        alone("\u{16}\u{3}\u{1}\u{2}\0\u{1}\0\u{1}\u{fc}\u{3}\u{3}", "400 end"),
        alone("HTTP/1.1 200 OK\r\nX-Request-Id: marker\r\n\r\n", "400 end"),
        alone("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "end"),
    ]
}

fn odd_headers() -> Vec<Attack> {
    let lines = |ends: &str| {
        let whole = purchase("", 1);
        let (head, body) = whole.split_once("\r\n\r\n").unwrap();
        format!("{}{ends}{ends}{body}", head.replace("\r\n", ends))
    };
    let fillers = |count: usize| (0..count).map(|n| format!("X-{n}: y\r\n")).collect::<String>();
    vec![
        // RFC 9112, 2.2, lets a reader take a bare line feed for the end of a line; both ways do.
        Attack::new("bare line feeds", lines("\n"), "201 marker"),
        Attack::new("bare carriage returns", lines("\r"), "400 end"),
        Attack::new("two carriage returns", lines("\r\r\n"), "400 end"),
        Attack::new("33 headers", purchase(&fillers(33), 1), "201 marker"),
        Attack::new("more headers than are taken", purchase(&fillers(101), 1), "431 end"),
        Attack::new(
            "a header of 40,000 bytes",
            purchase(&format!("X: {}\r\n", "y".repeat(40_000)), 1),
            "431 marker",
        ),
        Attack::new(
            "a target of 9,000 bytes",
            purchase("", 1).replacen("/orders", &format!("/orders?{}", "y".repeat(9_000)), 1),
            "414 marker",
        ),
        with("Folded: a\r\n b", "400 end"),
        with(" Folded: a", "400 end"),
        with("No colon", "400 end"),
        with(": nameless", "400 end"),
        with("Bad Name: x", "400 end"),
        with("Bad[Name]: x", "400 end"),
        with("N\u{e4}me: x", "400 end"),
        with("Nul: \0", "400 end"),
        with("Bell: \u{7}", "400 end"),
        with("Return: a\rb", "400 end"),
        with("Delete: \u{7f}", "400 end"),
        with("Bidi: \u{202e}", "201 marker"),
        with("Expect: 100-continue", "201 marker"),
        with("Expect: the-unexpected", "201 marker"),
        with("Expect: 100-continue\r\nExpect: 100-continue", "201 marker"),
        with(
            "Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA",
            "201 marker",
        ),
        with("Upgrade: websocket\r\nConnection: Upgrade", "201 marker"),
        with("Connection: close", "201 end"),
        with("Connection: close\r\nConnection: keep-alive", "201 end"),
        with("Connection: keep-alive, close", "201 end"),
        with("Connection: Idempotency-Key, Content-Length, Host", "201 marker"),
        with("TE: trailers, deflate;q=0.5", "201 marker"),
        with("Trailer: Content-Length", "201 marker"),
        with("X-HTTP-Method-Override: DELETE", "201 marker"),
        with("X-Original-URL: /api/v1/products\r\nX-Rewrite-URL: /livez", "201 marker"),
        with("X-Forwarded-For: 127.0.0.1, \0", "400 end"),
        with("Content-Encoding: gzip", "415 marker"),
        with("Content-Encoding: identity, gzip", "415 marker"),
        with("Content-Encoding: br\r\nContent-Encoding: identity", "415 marker"),
    ]
}

fn twice() -> Vec<Attack> {
    let json = "Content-Type: application/json";
    let replaced = |by: &str, outcome| changed(json, by, outcome);
    let refused = [
        (&*format!("X-API-Key: {API_KEY}\r\nX-API-Key: {API_KEY}"), "401 marker"),
        (&*format!("X-API-Key: {API_KEY}\r\nAuthorization: Bearer {API_KEY}"), "401 marker"),
        (&*format!("Authorization: Bearer {API_KEY}"), "401 marker"),
        ("Authorization: Bearer a\r\nAuthorization: Bearer a", "401 marker"),
        ("X-API-Key: \u{e4}\u{202e}", "401 marker"),
        ("Authorization: Basic \u{e4}", "401 marker"),
        ("Idempotency-Key: 0123456789012345678901", "400 marker"),
        ("Idempotency-Key:", "400 marker"),
        ("Content-Type: application/json", "415 marker"),
        ("Content-Type: text/plain", "415 marker"),
        ("Host: shop", "400 end"),
        ("Host: evil", "400 end"),
    ];
    let mut attacks: Vec<Attack> = refused.map(|(headers, outcome)| with(headers, outcome)).into();
    attacks.extend([
        with(&format!("X-API-Key: {API_KEY}"), "201 marker"),
        replaced("Content-Type: text/plain\r\nContent-Type: application/json", "415 marker"),
        replaced("Content-Type: application/json; charset=utf-7", "415 marker"),
        replaced("Content-Type: application/json, text/plain", "415 marker"),
        replaced("Content-Type: application/json;charset=\"utf-8\"", "201 marker"),
        replaced("X: y", "415 marker"),
        changed("Host: shop\r\n", "", "400 end"),
        changed("Host: shop", "Host: ", "201 marker"),
        changed("Host: shop", "Host: shop:80", "201 marker"),
        changed("Host: shop", "Host: [::1]:80", "201 marker"),
        changed("Host: shop", "Host: shop evil", "400 end"),
        changed("Host: shop", "Host: user@shop", "400 end"),
        changed("Host: shop", "Host: shop/../evil", "400 end"),
        changed("Host: shop", "Host: shop, evil", "400 end"),
        changed("Host: shop", "Host: sh\u{f6}p", "400 end"),
    ]);
    attacks
}

fn targets() -> Vec<Attack> {
    let get = |target: &str, outcome: &'static str| {
        let request = format!("GET {target} HTTP/1.1\r\nHost: shop\r\nX-API-Key: {API_KEY}\r\n\r\n");
        Attack::new(target, request, outcome)
    };
    let mut attacks = Vec::new();
    for text in [
        "%00",
        "%0d%0aX:%20y",
        "%ff",
        "%c0%af",
        "%ed%a0%80",
        "%",
        "%zz",
        "%2e%2e%2f",
        "..",
        "%e2%80%ae",
        "-1",
        "%25",
    ] {
        for place in ["/api/v1/orders/", "/api/v1/products/", "/api/v1/carts/", "/api/v1/users/"] {
            attacks.push(get(&format!("{place}{text}"), "404 marker"));
        }
        attacks.push(get(&format!("/api/v1/inventory/{text}"), "404 marker"));
        attacks.push(get(&format!("/api/v1/products?q={text}"), "-"));
        attacks.push(get(&format!("/docs/{text}"), "404 marker"));
    }
    for query in ["limit=-1", "limit=99999999999999999999", "cursor=%00", "sort=%00", "q=%ff", "q=%ed%a0%80"]
    {
        attacks.push(get(&format!("/api/v1/products?{query}"), "422 marker"));
    }
    attacks.push(get("/livez?%00%ff", "200 marker"));
    // A body that nobody asked for is read over, and one that looks like a request is none.
    let hidden = purchase("", 7).replace("X-Request-Id: attack", "X-Request-Id: smuggled");
    let length = hidden.len();
    let with_body = format!("GET /livez HTTP/1.1\r\nHost: shop\r\nContent-Length: {length}\r\n\r\n{hidden}");
    attacks.push(Attack::new("GET with a body", with_body, "200 marker"));
    attacks
}

#[tokio::test]
async fn a_head_is_understood_or_refused() {
    let shop = shop().await;
    let sold =
        |attacks: &[Attack]| attacks.iter().filter(|attack| attack.outcome.starts_with("201")).count() as i64;
    for attacks in [first_lines, odd_headers, twice, targets] {
        attack(&shop, attacks, sold(&attacks())).await;
    }
}

#[tokio::test]
async fn a_body_that_waits_to_be_asked_for_is_asked_for() {
    let shop = shop().await;
    let body = bought(1);
    let some = || {
        let head = format!("{}Expect: 100-continue\r\nContent-Length: {}\r\n\r\n", head(), body.len());
        let missing = head.replace("Idempotency-Key", "X-Key");
        vec![
            Attack::new("asked for", format!("{head}{body}"), "201 marker"),
            Attack::new("refused before it is asked for", format!("{missing}{body}"), "-"),
        ]
    };
    attack(&shop, some, 1).await;
}
