//! Where a request comes from.
//!
//! A proxy appends the address that it was called from to `X-Forwarded-For` or `Forwarded` (RFC 7239), so these are
//! read from the right, and only as far as the addresses are those of proxies that we trust. What stands further left
//! was written by the client: it may be anything, and is not looked at.

use std::net::{IpAddr, SocketAddr};

use axum::http::{HeaderMap, HeaderName};
use ipnet::IpNet;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED: HeaderName = HeaderName::from_static("forwarded");

/// The chain of addresses cannot be followed.
#[derive(Debug, PartialEq, Eq)]
struct Malformed;

/// The address that a request comes from: `peer`, or what it forwards for if it is a trusted proxy.
///
/// It is `peer` too if the headers are malformed as far as they are read, or disagree: a proxy that writes one of them
/// passes the other on as the client wrote it. If all proxies on the way are trusted, it is the first of them.
pub(crate) fn origin(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    // A socket that serves both families says ::ffff:192.0.2.1 for 192.0.2.1.
    let peer = peer.to_canonical();
    if !is_trusted(peer, trusted) {
        return peer;
    }
    let x_forwarded_for = follow(headers, &X_FORWARDED_FOR, trusted, address);
    let forwarded = follow(headers, &FORWARDED, trusted, forwarded_for);
    match (x_forwarded_for, forwarded) {
        (Ok(Some(one)), Ok(Some(other))) if one == other => one,
        (Ok(Some(one)), Ok(None)) | (Ok(None), Ok(Some(one))) => one,
        _ => peer,
    }
}

/// The right-most untrusted address of the header, or the left-most trusted one; `None` without the header.
fn follow(
    headers: &HeaderMap,
    name: &HeaderName,
    trusted: &[IpNet],
    read: fn(&str) -> Option<IpAddr>,
) -> Result<Option<IpAddr>, Malformed> {
    let mut found = None;
    // Several lines are one list (RFC 9110, 5.3).
    for line in headers.get_all(name).iter().rev() {
        // The client's part may not even be text.
        for element in line.as_bytes().rsplit(|byte| *byte == b',') {
            let element = str::from_utf8(element).map_err(|_| Malformed)?;
            let address = read(element.trim()).ok_or(Malformed)?;
            found = Some(address);
            if !is_trusted(address, trusted) {
                return Ok(found);
            }
        }
    }
    Ok(found)
}

fn is_trusted(address: IpAddr, trusted: &[IpNet]) -> bool {
    trusted.iter().any(|network| network.contains(&address))
}

/// The address of the one `for` of a `Forwarded` element: `for="[2001:db8::1]:4711";proto=https`.
/// `None` for `unknown` and for hidden names too: behind them the chain is lost.
fn forwarded_for(element: &str) -> Option<IpAddr> {
    let mut nodes = element.split(';').filter_map(|pair| {
        let (name, value) = pair.trim().split_once('=')?;
        name.eq_ignore_ascii_case("for").then_some(value)
    });
    let node = nodes.next()?;
    if nodes.next().is_some() {
        return None;
    }
    address(node.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(node))
}

/// `192.0.2.1`, `192.0.2.1:4711`, `2001:db8::1`, `[2001:db8::1]` or `[2001:db8::1]:4711`.
fn address(text: &str) -> Option<IpAddr> {
    let bracketed = || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok().map(IpAddr::V6);
    let with_port = || text.parse::<SocketAddr>().ok().map(|address| address.ip());
    let address = text.parse().ok().or_else(bracketed).or_else(with_port)?;
    Some(address.to_canonical())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use axum::http::HeaderValue;

    use super::*;

    const PROXY: &str = "10.0.0.1";

    fn origin_of(peer: &str, lines: &[(&'static str, &[u8])]) -> String {
        let trusted: Vec<IpNet> =
            ["10.0.0.0/8", "fd00::/8"].iter().map(|network| network.parse().unwrap()).collect();
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, HeaderValue::from_bytes(value).unwrap());
        }
        origin(peer.parse().unwrap(), &headers, &trusted).to_string()
    }

    #[test]
    fn x_forwarded_for_is_read_from_the_right() {
        for (value, expected) in [
            ("203.0.113.7", "203.0.113.7"),
            ("203.0.113.7:4711", "203.0.113.7"),
            ("2001:db8::1", "2001:db8::1"),
            ("[2001:db8::1]", "2001:db8::1"),
            ("[2001:db8::1]:4711", "2001:db8::1"),
            ("::ffff:203.0.113.7", "203.0.113.7"),
            ("198.51.100.1, 203.0.113.7", "203.0.113.7"),
            ("198.51.100.1, 203.0.113.7, 10.2.3.4,fd00::5", "203.0.113.7"),
            ("rubbish, 203.0.113.7", "203.0.113.7"),
            ("10.0.0.9, 10.0.0.8", "10.0.0.9"),
            // Malformed as far as it is read.
            ("", PROXY),
            (",", PROXY),
            ("203.0.113.7,", PROXY),
            ("203.0.113.7, unknown", PROXY),
            ("203.0.113.7, 10.0.0.8, rubbish, 10.0.0.9", PROXY),
            ("203.0.113.777", PROXY),
            ("203.0.113.7:99999", PROXY),
            ("[203.0.113.7]", PROXY),
            ("[2001:db8::1", PROXY),
            ("203.0.113.7 198.51.100.1", PROXY),
        ] {
            assert_eq!(origin_of(PROXY, &[("x-forwarded-for", value.as_bytes())]), expected, "{value}");
        }
    }

    #[test]
    fn forwarded_is_read_from_the_right() {
        for (value, expected) in [
            ("for=203.0.113.7", "203.0.113.7"),
            ("For=\"203.0.113.7:80\";proto=https;by=10.0.0.1", "203.0.113.7"),
            ("proto=https; for=\"[2001:db8::1]:4711\"", "2001:db8::1"),
            ("for=\"[2001:db8::1]\"", "2001:db8::1"),
            ("for=198.51.100.1, for=203.0.113.7, for=10.0.0.3", "203.0.113.7"),
            // A quote that the client opened swallows nothing of what the proxy wrote.
            ("for=\"1, for=203.0.113.7", "203.0.113.7"),
            ("for=unknown", PROXY),
            ("for=_hidden", PROXY),
            ("proto=https", PROXY),
            ("for=203.0.113.7;for=198.51.100.1", PROXY),
            ("for=\"203.0.113.7", PROXY),
        ] {
            assert_eq!(origin_of(PROXY, &[("forwarded", value.as_bytes())]), expected, "{value}");
        }
    }

    #[test]
    fn only_trusted_peers_are_believed() {
        let forged: (&str, &[u8]) = ("x-forwarded-for", b"203.0.113.7");
        assert_eq!(origin_of("198.51.100.1", &[forged]), "198.51.100.1");
        assert_eq!(origin_of("::ffff:198.51.100.1", &[forged]), "198.51.100.1");
        assert_eq!(origin_of("::ffff:10.1.1.1", &[forged]), "203.0.113.7");
        assert_eq!(origin_of(PROXY, &[]), PROXY);
    }

    #[test]
    fn several_lines_are_one_list() {
        let lines: [(&str, &[u8]); 2] =
            [("x-forwarded-for", b"198.51.100.1"), ("x-forwarded-for", b"203.0.113.7, 10.0.0.8")];
        assert_eq!(origin_of(PROXY, &lines), "203.0.113.7");
        let lines: [(&str, &[u8]); 2] =
            [("x-forwarded-for", b"\xff, 203.0.113.7"), ("x-forwarded-for", b"10.0.0.8")];
        assert_eq!(origin_of(PROXY, &lines), "203.0.113.7");
    }

    #[test]
    fn headers_that_disagree_are_not_believed() {
        let proxied: (&str, &[u8]) = ("x-forwarded-for", b"203.0.113.7");
        assert_eq!(origin_of(PROXY, &[proxied, ("forwarded", b"for=203.0.113.7")]), "203.0.113.7");
        assert_eq!(origin_of(PROXY, &[proxied, ("forwarded", b"for=198.51.100.1")]), PROXY);
        assert_eq!(origin_of(PROXY, &[proxied, ("forwarded", b"rubbish")]), PROXY);
    }
}
