//! More than there should be: headers, bytes, frames of another protocol. What is kept of it in memory is bounded.

use std::fs;

use super::line::{Attack, attack, head, shop};

/// More than the server may grow by under these floods, KiB: some of them at a time, each with buffers of a megabyte.
const MOST_GROWTH_KB: u64 = 400_000;

fn floods() -> Vec<Attack> {
    let get = |headers: &str| format!("GET /livez HTTP/1.1\r\nHost: shop\r\n{headers}\r\n");
    let headers: String = (0..100_000).map(|n| format!("X-{n}: y\r\n")).collect();
    let cookies = "Cookie: a=b\r\n".repeat(100_000);
    let line = format!("X: {}\r\n", "y".repeat(1 << 20));
    let name = format!("{}: y\r\n", "X".repeat(1 << 20));
    let target = |bytes: usize| format!("GET /{} HTTP/1.1\r\nHost: shop\r\n\r\n", "y".repeat(bytes));
    // Ten gigabytes of zeros, if anybody unpacked them over and over; refused for its coding.
    let bomb = [&b"\x1f\x8b\x08\0\0\0\0\0\x02\xff"[..], &[0; 500_000]].concat();
    let packed = |coding: &str| {
        format!("{}Content-Encoding: {coding}\r\nContent-Length: {}\r\n\r\n", head(), bomb.len())
    };
    let mut attacks = vec![
        Attack::new("100,000 headers", get(&headers), "431 end"),
        Attack::new("100,000 headers of one name", get(&cookies), "431 end"),
        Attack::new("a header of a megabyte", get(&line), "431 end"),
        Attack::new("a name of a megabyte", get(&name), "431 end"),
        Attack::new("a purchase with 100,000 headers", format!("{}{headers}\r\n", head()), "431 end"),
        Attack::new("a target of 64 KB", target(64 << 10), "414 end"),
        Attack::new("a target of a megabyte", target(1 << 20), "431 end"),
        Attack::new("a megabyte without an end of line", "G".repeat(1 << 20), "431 end"),
        Attack::new("a megabyte of empty lines", "\r\n".repeat(1 << 19), "431 end"),
        Attack::new(
            "more than a body may have",
            format!("{}Content-Length: 9000000\r\n\r\n{}", head(), " ".repeat(9_000_000)),
            "413 marker",
        ),
        Attack::new(
            "more in chunks than a body may have",
            format!(
                "{}Transfer-Encoding: chunked\r\n\r\n{}0\r\n\r\n",
                head(),
                format!("10000\r\n{}\r\n", " ".repeat(0x10000)).repeat(32)
            ),
            "413 end",
        ),
    ];
    for coding in ["gzip", "deflate", "br", "zstd", "x-gzip", "GZIP", "compress"] {
        attacks.push(Attack::new(coding, [packed(coding).as_bytes(), &bomb].concat(), "415 end"));
    }
    attacks.extend(frames().into_iter().map(|(name, frames)| {
        let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
        Attack::new(name, [&preface[..], &frames].concat(), "end")
    }));
    attacks
}

/// Frames of HTTP/2 as the known attacks send them. It is not offered, so they come to nothing.
fn frames() -> Vec<(&'static str, Vec<u8>)> {
    let frame = |kind: u8, flags: u8, stream: u32, payload: &[u8]| {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
    };
    let request = [0x82, 0x84, 0x86];
    let resets = (0..10_000)
        .flat_map(|n| [frame(1, 5, 2 * n + 1, &request), frame(3, 0, 2 * n + 1, &[0, 0, 0, 8])].concat());
    let settings = frame(4, 0, 0, &[0, 4, 0xff, 0xff, 0xff, 0xff].repeat(10_000));
    let continued = [frame(1, 1, 1, &request), frame(9, 0, 1, &[0; 16_000]).repeat(60)].concat();
    let bomb = [frame(1, 0, 1, &[0x40, 1, b'a', 0x7f]), frame(9, 4, 1, &[0xbe; 16_000])].concat();
    vec![
        ("rapid reset", resets.collect()),
        ("huge settings", settings),
        ("endless continuation", continued),
        ("an HPACK bomb", bomb),
        ("pings", frame(6, 0, 0, &[0; 8]).repeat(50_000)),
    ]
}

#[tokio::test]
async fn floods_are_refused_in_bounded_memory() {
    let shop = shop().await;
    let resident = || {
        let status = fs::read_to_string(format!("/proc/{}/status", shop.process())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a line of it");
        line.trim_end_matches("kB").trim().parse::<u64>().unwrap()
    };
    let before = resident();
    attack(&shop, floods, 0).await;
    let after = resident();
    println!("resident before {before} KiB, after {after} KiB");
    assert!(after < before + MOST_GROWTH_KB, "{before} KiB before, {after} KiB after");
}
