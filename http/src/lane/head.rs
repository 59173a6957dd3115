//! Requests for the hot route, read from bytes.

use httparse::{EMPTY_HEADER, Status, parse_headers};

use crate::app::is_host;

/// How a request for the hot route begins.
pub(crate) const BEGINNING: &[u8] = b"POST /api/v1/orders HTTP/1.1\r\n";

/// A request with more headers is out of the ordinary.
const MAX_HEADERS: usize = 32;

/// A request that is here as a whole, with the headers that the hot route looks at.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Simple<'a> {
    pub(crate) authorization: Option<&'a [u8]>,
    pub(crate) api_key: Option<&'a [u8]>,
    pub(crate) idempotency_key: Option<&'a [u8]>,
    pub(crate) content_type: Option<&'a [u8]>,
    pub(crate) accept_language: Option<&'a [u8]>,
    pub(crate) request_id: Option<&'a [u8]>,
    pub(crate) traceparent: Option<&'a [u8]>,
    pub(crate) body: &'a [u8],
    /// Of all of it; what comes behind is another request.
    pub(crate) length: usize,
}

/// Reads a request. `None` for one that is not here as a whole, that says something twice, that asks for anything
/// about the connection or the body's encoding, or that is no HTTP at all.
pub(crate) fn read(bytes: &[u8]) -> Option<Simple<'_>> {
    let rest = bytes.strip_prefix(BEGINNING)?;
    let mut headers = [EMPTY_HEADER; MAX_HEADERS];
    let Ok(Status::Complete((head, headers))) = parse_headers(rest, &mut headers) else { return None };
    let mut simple = Simple::default();
    let (mut host, mut length) = (None, None);
    for header in headers {
        let place = match Name::of(header.name)? {
            Name::Other => continue,
            Name::Host => &mut host,
            Name::ContentLength => &mut length,
            Name::Authorization => &mut simple.authorization,
            Name::ApiKey => &mut simple.api_key,
            Name::IdempotencyKey => &mut simple.idempotency_key,
            Name::ContentType => &mut simple.content_type,
            Name::AcceptLanguage => &mut simple.accept_language,
            Name::RequestId => &mut simple.request_id,
            Name::Traceparent => &mut simple.traceparent,
            Name::Connection if header.value.eq_ignore_ascii_case(b"keep-alive") => continue,
            Name::Connection => return None,
        };
        if place.replace(header.value).is_some() {
            return None;
        }
    }
    if !is_host(host?) {
        return None;
    }
    let end = head.checked_add(number(length?)?)?;
    simple.body = rest.get(head..end)?;
    simple.length = BEGINNING.len() + end;
    Some(simple)
}

/// Headers that make a difference here.
enum Name {
    Host,
    ContentLength,
    Connection,
    Authorization,
    ApiKey,
    IdempotencyKey,
    ContentType,
    AcceptLanguage,
    RequestId,
    Traceparent,
    Other,
}

impl Name {
    /// `None` for a header that asks for what only the long way does.
    fn of(name: &str) -> Option<Self> {
        let is = |known: &str| name.eq_ignore_ascii_case(known);
        // By length first: most names are compared with one or two others.
        Some(match name.len() {
            2 if is("te") => return None,
            4 if is("host") => Self::Host,
            6 if is("expect") => return None,
            7 if is("upgrade") || is("trailer") => return None,
            9 if is("x-api-key") => Self::ApiKey,
            10 if is("connection") => Self::Connection,
            11 if is("traceparent") => Self::Traceparent,
            12 if is("content-type") => Self::ContentType,
            12 if is("x-request-id") => Self::RequestId,
            13 if is("authorization") => Self::Authorization,
            14 if is("content-length") => Self::ContentLength,
            15 if is("idempotency-key") => Self::IdempotencyKey,
            15 if is("accept-language") => Self::AcceptLanguage,
            16 if is("content-encoding") => return None,
            17 if is("transfer-encoding") => return None,
            _ => Self::Other,
        })
    }
}

/// A number of up to six digits and nothing else: more is not here as a whole anyway.
fn number(digits: &[u8]) -> Option<usize> {
    if !(1..=6).contains(&digits.len()) || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(digits.iter().fold(0, |number, digit| number * 10 + usize::from(digit - b'0')))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(headers: &str, body: &str) -> Vec<u8> {
        [BEGINNING, headers.as_bytes(), b"\r\n", body.as_bytes()].concat()
    }

    #[test]
    fn an_ordinary_request_is_read() {
        let bytes = request(
            "Host: shop\r\nX-API-Key: k\r\nIdempotency-Key:  a-1 \r\ncontent-type: application/json\r\n\
             Content-Length: 2\r\nConnection: Keep-Alive\r\nUser-Agent: x\r\nUser-Agent: y\r\n\
             Accept-Language: es\r\nX-Request-Id: r\r\ntraceparent: t\r\nAuthorization: Bearer z\r\n",
            "{}POST /next",
        );
        let expected = Simple {
            authorization: Some(b"Bearer z"),
            api_key: Some(b"k"),
            idempotency_key: Some(b"a-1"),
            content_type: Some(b"application/json"),
            accept_language: Some(b"es"),
            request_id: Some(b"r"),
            traceparent: Some(b"t"),
            body: b"{}",
            length: bytes.len() - b"POST /next".len(),
        };
        assert_eq!(read(&bytes), Some(expected));
    }

    #[test]
    fn what_is_not_here_as_a_whole_is_not_read() {
        let whole = request("Host: a\r\nContent-Length: 5\r\n", "12345");
        assert!(read(&whole).is_some());
        for end in 0..whole.len() {
            assert_eq!(read(&whole[..end]), None, "{end}");
        }
    }

    #[test]
    fn what_is_out_of_the_ordinary_is_not_read() {
        let plain = "Host: a\r\nContent-Length: 2\r\n";
        assert!(read(&request(plain, "{}")).is_some());
        for more in [
            "Host: b",
            "Content-Length: 2",
            "content-length: 3",
            "Transfer-Encoding: chunked",
            "TE: trailers",
            "Trailer: x",
            "Expect: 100-continue",
            "Upgrade: h2c",
            "Connection: close",
            "Connection: keep-alive, Upgrade",
            "Content-Encoding: identity",
            "Idempotency-Key: a\r\nIdempotency-Key: a",
            "X-API-Key: a\r\nx-api-key: a",
            "Authorization: a\r\nAuthorization: a",
            "Accept-Language: a\r\nAccept-Language: a",
            "Content-Type: a\r\nContent-Type: a",
            "X-Request-Id: a\r\nX-Request-Id: a",
            "traceparent: a\r\ntraceparent: a",
            "no colon",
            "Bad Name: x",
            "Folded: a\r\n b",
            ": nameless",
            "Nul: \0",
        ] {
            assert_eq!(read(&request(&format!("{plain}{more}\r\n"), "{}")), None, "{more}");
        }
        let many = "A: b\r\n".repeat(MAX_HEADERS);
        assert_eq!(read(&request(&format!("{plain}{many}"), "{}")), None);
        for length in ["", "-1", "+2", " ", "2 2", "0x2", "1234567", "2,2"] {
            assert_eq!(
                read(&request(&format!("Host: a\r\nContent-Length: {length}\r\n"), "{}")),
                None,
                "{length}"
            );
        }
        assert_eq!(read(&request("Content-Length: 2\r\n", "{}")), None, "no host");
        assert_eq!(read(&request("Host: a\r\n", "")), None, "no length");
        for host in ["a b", "a@b", "a/b", "a, b", "\u{f1}"] {
            let head = format!("Host: {host}\r\nContent-Length: 2\r\n");
            assert_eq!(read(&request(&head, "{}")), None, "{host}");
        }
        for beginning in ["POST /api/v1/orders HTTP/1.0\r\n", "POST /api/v1/orders/ HTTP/1.1\r\n", "\r\n"] {
            assert_eq!(read(&[beginning.as_bytes(), plain.as_bytes(), b"\r\n{}"].concat()), None);
        }
    }
}
