//! Where a request ends: lengths, codings and chunks that two readers could read as two things.

use super::line::{Attack, attack, bought, chunked, head, purchase, shop};

/// A purchase that hides in what another reader would take for a body.
fn smuggled() -> String {
    purchase("", 7).replace("X-Request-Id: attack", "X-Request-Id: smuggled")
}

/// A purchase with these headers instead of a length, and this body.
fn framed(name: &str, headers: &str, body: &str, outcome: &'static str) -> Attack {
    Attack::new(name, format!("{}{headers}\r\n{body}", head()), outcome)
}

fn lengths() -> Vec<Attack> {
    let (body, smuggled) = (bought(1), smuggled());
    let length = body.len();
    let with = |headers: String, outcome| framed(&headers, &headers, &body, outcome);
    vec![
        with(format!("Content-Length: {length}\r\nContent-Length: {length}\r\n"), "201 marker"),
        with(format!("Content-Length: {length}\r\nContent-Length: 0\r\n"), "400 end"),
        with(format!("Content-Length: 0\r\nContent-Length: {length}\r\n"), "400 end"),
        with(format!("Content-Length: {length}, {length}\r\n"), "400 end"),
        with(format!("Content-Length: +{length}\r\n"), "400 end"),
        with(format!("Content-Length: -{length}\r\n"), "400 end"),
        with(format!("Content-Length: 0x{length:x}\r\n"), "400 end"),
        with(format!("Content-Length: {length}.0\r\n"), "400 end"),
        with(format!("Content-Length: {length} 0\r\n"), "400 end"),
        with(format!("Content-Length: \"{length}\"\r\n"), "400 end"),
        with("Content-Length: \r\n".to_owned(), "400 end"),
        with("Content-Length: 99999999999999999999\r\n".to_owned(), "400 end"),
        with(format!("Content-Length: 000{length}\r\n"), "201 marker"),
        with(format!("Content-Length : {length}\r\n"), "400 end"),
        with(format!("Content-Length:\t {length} \t\r\n"), "201 marker"),
        with(format!("Content-Length\0: {length}\r\n"), "400 end"),
        with(format!("Content-Length: {length}\0\r\n"), "400 end"),
        with(format!("Content-Length:\r\n {length}\r\n"), "400 end"),
        // hyper's word for a length beyond what it counts with is 431 too.
        with("Content-Length: 18446744073709551615\r\n".to_owned(), "431 end"),
        // Longer than what is there: the marker is part of the body, and the rest never comes.
        with(format!("Content-Length: {}\r\n", length + 10_000), "408 end"),
        // Shorter: what is left begins the next request, which is none.
        framed("shorter", &format!("Content-Length: {length}\r\n"), &format!("{body}\0"), "201 400 end"),
        framed("no length", "", &body, "400 400 end"),
        framed("CL.0", "Content-Length: 0\r\n", &smuggled.replace("smuggled", "second"), "400 201 marker"),
    ]
}

fn codings() -> Vec<Attack> {
    let (body, smuggled) = (bought(1), smuggled());
    let chunks = chunked(&body);
    let te = |name: &str, outcome| framed(name, &format!("{name}\r\n"), &chunks, outcome);
    let mut attacks = vec![
        te("Transfer-Encoding: chunked", "201 marker"),
        te("transfer-encoding: CHUNKED", "201 marker"),
        te("Transfer-Encoding:\tchunked\t", "201 marker"),
        te("Transfer-Encoding: chunked, chunked", "400 end"),
        te("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", "400 end"),
        te("Transfer-Encoding: gzip, chunked", "400 end"),
        te("Transfer-Encoding: identity, chunked", "400 end"),
        te("Transfer-Encoding: identity\r\nTransfer-Encoding: chunked", "400 end"),
        te("Transfer-Encoding: , chunked", "400 end"),
        te("Transfer-Encoding: chunked, identity", "400 end"),
        te("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity", "400 end"),
        te("Transfer-Encoding: identity", "400 end"),
        te("Transfer-Encoding: xchunked", "400 end"),
        te("Transfer-Encoding: chunked;q=1", "400 end"),
        te("Transfer-Encoding: \"chunked\"", "400 end"),
        te("Transfer-Encoding: chunked\u{b}", "400 end"),
        te("Transfer-Encoding: chun\u{212a}ed", "400 end"),
        te("Transfer-Encoding : chunked", "400 end"),
        te("Transfer-Encoding\t: chunked", "400 end"),
        te(" Transfer-Encoding: chunked", "400 end"),
        te("Transfer-Encoding:\r\n chunked", "400 end"),
        te("X: y\rTransfer-Encoding: chunked", "400 end"),
        te("Transfer-Encoding: chunked\0", "400 end"),
    ];
    // One reader goes by the length, another by the chunks: whoever is right, the connection ends.
    let of = |length: usize| format!("Content-Length: {length}\r\n");
    for (name, length, body) in [
        ("CL.TE", body.len(), chunks.clone()),
        ("CL.TE hiding", 5 + smuggled.len(), format!("0\r\n\r\n{smuggled}")),
        ("TE.CL hiding", 4, format!("{:x}\r\n{smuggled}\r\n0\r\n\r\n", smuggled.len())),
    ] {
        let outcome = if name == "CL.TE" { "201 end" } else { "400 end" };
        let te = "Transfer-Encoding: chunked\r\n";
        attacks.push(framed(name, &format!("{}{te}", of(length)), &body, outcome));
        attacks.push(framed(&format!("{name}, TE first"), &format!("{te}{}", of(length)), &body, outcome));
    }
    attacks
}

fn chunks() -> Vec<Attack> {
    let (body, smuggled) = (bought(1), smuggled());
    let length = body.len();
    let with = |name: &str, chunks: String, outcome| {
        framed(name, "Transfer-Encoding: chunked\r\n", &chunks, outcome)
    };
    let end = "\r\n0\r\n\r\n";
    vec![
        with(
            "in two",
            format!("3\r\n{}\r\n{:X}\r\n{}{end}", &body[..3], length - 3, &body[3..]),
            "201 marker",
        ),
        with("zeros", format!("000000000000{length:x}\r\n{body}{end}"), "201 marker"),
        with("extension", format!("{length:x};a=b;c=\"d\"\r\n{body}{end}"), "201 marker"),
        with("extension with a bare line feed", format!("{length:x};a\nb\r\n{body}{end}"), "400 end"),
        with("long extensions", format!("{length:x};{}\r\n{body}{end}", "x".repeat(20_000)), "400 end"),
        with("spaces behind the size", format!("{length:x}  \r\n{body}{end}"), "201 marker"),
        with("a space before the size", format!(" {length:x}\r\n{body}{end}"), "400 end"),
        with("no size", format!("\r\n{body}{end}"), "400 end"),
        with("0x", format!("0x{length:x}\r\n{body}{end}"), "400 end"),
        with("plus", format!("+{length:x}\r\n{body}{end}"), "400 end"),
        with("minus", format!("-{length:x}\r\n{body}{end}"), "400 end"),
        with("not hexadecimal", format!("g\r\n{body}{end}"), "400 end"),
        with("overflow", format!("fffffffffffffffff\r\n{body}{end}"), "400 end"),
        with("overflow to its size", format!("10000000000000000{length:x}\r\n{body}{end}"), "400 end"),
        with("the largest", format!("ffffffffffffffff\r\n{body}"), "408 end"),
        with("bare line feeds", format!("{length:x}\n{body}\n0\n\n"), "400 end"),
        with("bare carriage returns", format!("{length:x}\r{body}\r0\r\r"), "400 end"),
        with("no line end behind the data", format!("{length:x}\r\n{body}0\r\n\r\n"), "400 end"),
        with("too short", format!("{:x}\r\n{body}{end}", length - 1), "400 end"),
        with(
            "trailers",
            format!("{length:x}\r\n{body}\r\n0\r\nContent-Length: 99\r\nHost: evil\r\n\r\n"),
            "201 marker",
        ),
        with("a trailer without a colon", format!("{length:x}\r\n{body}\r\n0\r\nevil\r\n\r\n"), "400 end"),
        with(
            "many trailers",
            format!("{length:x}\r\n{body}\r\n0\r\n{}\r\n", "a: b\r\n".repeat(5_000)),
            "400 end",
        ),
        with("a request in a trailer", format!("{length:x}\r\n{body}\r\n0\r\n{smuggled}"), "400 end"),
        with("thousands of chunks", format!("{}0\r\n\r\n", "1\r\n \r\n".repeat(5_000)), "400 marker"),
    ]
}

/// Attacks on the route with a short way of its own, and on one without.
fn on_both_routes(attacks: Vec<Attack>) -> Vec<Attack> {
    let elsewhere = attacks.iter().map(|attack| {
        let bytes = String::from_utf8(attack.bytes.clone()).unwrap();
        let bytes = bytes.replacen("/api/v1/orders ", "/api/v1/carts ", 1);
        // It is refused for its body there, if not before.
        let outcome = match &*attack.outcome {
            "201 marker" => "422 marker",
            "201 end" => "422 end",
            "201 400 end" => "422 400 end",
            // An empty body is a cart.
            "400 201 marker" => "201 201 marker",
            "400 400 end" => "201 400 end",
            "400 end" if attack.name.starts_with("CL.TE hiding") => "201 end",
            other => other,
        };
        Attack::new(format!("carts: {}", attack.name), bytes, outcome)
    });
    elsewhere.chain(attacks.clone()).collect()
}

#[tokio::test]
async fn a_request_ends_in_one_place_only() {
    let shop = shop().await;
    // Four that are good after all buy one each, and the request behind an empty body buys seven.
    attack(&shop, || on_both_routes(lengths()), 4 + 7).await;
    attack(&shop, || on_both_routes(codings()), 5).await;
    attack(&shop, || on_both_routes(chunks()), 5).await;
}

#[tokio::test]
async fn pipelined_requests_get_their_answers_in_order() {
    let shop = shop().await;
    let some = || {
        let short = || purchase("", 1);
        let long = || format!("{}Transfer-Encoding: chunked\r\n\r\n{}", head(), chunked(&bought(1)));
        let refused = purchase("", 0);
        vec![
            Attack::new("short, long", short() + &long(), "201 201 marker"),
            Attack::new("long, short", long() + &short(), "201 201 marker"),
            Attack::new(
                "refused between",
                [short(), refused.clone(), long(), refused.clone(), short()].concat(),
                "201 422 201 422 201 marker",
            ),
            Attack::new("a hundred refusals", refused.repeat(100), "422 ".repeat(100) + "marker"),
            Attack::new(
                "empty lines between",
                format!("\r\n\r\n{}\r\n\r\n{}\r\n", short(), long()),
                "201 201 marker",
            ),
        ]
    };
    attack(&shop, some, 9).await;
}
