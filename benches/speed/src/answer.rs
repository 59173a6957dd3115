//! The little of an HTTP/1.1 answer that a load generator has to see.

use std::ops::Range;

use crate::template::ID_LENGTH;

/// One whole answer at the start of some bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Its HTTP status.
    pub status: u16,
    /// Whether it does not say when to come again: a 429 or 503 without `Retry-After`.
    pub blunt: bool,
    /// Where its body stands; the answer ends with it.
    pub body: Range<usize>,
}

/// Why bytes are no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// No status line of HTTP/1.1.
    #[error("the answer has no status line of HTTP/1.1")]
    Status,
    /// The body's length is not told in front of it.
    #[error("the answer has no content-length")]
    Length,
}

/// The answer at the start of the bytes; none as long as it is not all there.
///
/// # Errors
/// If the bytes can never become an answer.
pub fn scan(bytes: &[u8]) -> Result<Option<Answer>, Malformed> {
    let mut lines = Lines { bytes, at: 0 };
    let Some(first) = lines.next() else { return Ok(None) };
    let status = status(&bytes[first])?;
    let (mut length, mut blunt) = (None, matches!(status, 429 | 503));
    while let Some(line) = lines.next() {
        let line = &bytes[line];
        if line.is_empty() {
            let body = lines.at..lines.at + length.ok_or(Malformed::Length)?;
            return Ok((body.end <= bytes.len()).then_some(Answer { status, blunt, body }));
        }
        if let Some(value) = header(line, b"content-length:") {
            length = Some(number(value).ok_or(Malformed::Length)?);
        }
        if blunt && header(line, b"retry-after:").is_some_and(|value| number(value).is_some()) {
            blunt = false;
        }
    }
    Ok(None)
}

/// The first id in a body.
pub fn id(body: &[u8]) -> Option<[u8; ID_LENGTH]> {
    const FIELD: &[u8] = b"\"id\":\"";
    let start = body.windows(FIELD.len()).position(|window| window == FIELD)? + FIELD.len();
    body.get(start..start + ID_LENGTH)?.try_into().ok()
}

fn status(line: &[u8]) -> Result<u16, Malformed> {
    let code = line.strip_prefix(b"HTTP/1.1 ").and_then(|rest| rest.get(..3)).and_then(number);
    code.and_then(|code| u16::try_from(code).ok()).ok_or(Malformed::Status)
}

/// The value of this header; none for another one.
fn header<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let found = line.get(..name.len())?;
    found.eq_ignore_ascii_case(name).then(|| line[name.len()..].trim_ascii())
}

fn number(digits: &[u8]) -> Option<usize> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// Lines that end with CR LF, without it.
struct Lines<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Iterator for Lines<'_> {
    type Item = Range<usize>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = &self.bytes[self.at..];
        let end = rest.iter().position(|byte| *byte == b'\n')?;
        let line = self.at..self.at + end.saturating_sub(usize::from(rest[..end].ends_with(b"\r")));
        self.at += end + 1;
        Some(line)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const CREATED: &[u8] =
        b"HTTP/1.1 201 Created\r\ncontent-type: application/json\r\nContent-Length: 9\r\n\r\n{\"a\": 12}";

    #[test]
    fn an_answer_is_seen_once_its_last_byte_is_there() {
        for end in 0..CREATED.len() {
            assert_eq!(scan(&CREATED[..end]), Ok(None), "after {end} bytes");
        }
        let answer = scan(CREATED).unwrap().unwrap();
        assert_eq!((answer.status, &CREATED[answer.body]), (201, b"{\"a\": 12}".as_slice()));
    }

    #[test]
    fn what_follows_an_answer_is_not_its_body() {
        let two = [CREATED, b"HTTP/1.1 409"].concat();
        assert_eq!(scan(&two).unwrap().unwrap().body.end, CREATED.len());
    }

    #[test]
    fn a_refusal_says_for_how_long_or_is_blunt() {
        let refused = |status: &str, headers: &str| {
            let text = format!("HTTP/1.1 {status}\r\n{headers}content-length: 0\r\n\r\n");
            scan(text.as_bytes()).unwrap().unwrap().blunt
        };
        assert!(
            refused("503 Service Unavailable", "")
                && refused("429 Too Many Requests", "retry-after: soon\r\n")
        );
        assert!(!refused("503 Service Unavailable", "Retry-After: 1\r\n") && !refused("409 Conflict", ""));
    }

    #[test]
    fn an_answer_without_a_length_or_a_status_is_refused() {
        assert_eq!(scan(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"), Err(Malformed::Length));
        assert_eq!(scan(b"HTTP/1.1 200 OK\r\ncontent-length: x\r\n"), Err(Malformed::Length));
        assert_eq!(scan(b"SSH-2.0-OpenSSH\r\n"), Err(Malformed::Status));
    }

    #[test]
    fn the_first_id_is_found() {
        let id_text = "01a203ef-8c8e-765e-8fd4-530d887c8241";
        let body = format!(r#"{{"id":"{id_text}","user_id":null}}"#);
        assert_eq!(id(body.as_bytes()).unwrap(), id_text.as_bytes());
        assert_eq!(id(br#"{"id":"short"}"#), None);
        assert_eq!(id(b"{}"), None);
    }
}
