//! One keep-alive HTTP/1.1 connection, plain or within TLS: prepared bytes out, an answer in.

use std::io;
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::ops::Range;

use thiserror::Error;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::stream::Stream;
use crate::tls::Tls;

/// Longer answers are an error: nothing that a step looks at is that large.
const LONGEST_ANSWER: usize = 16 << 20;
/// As long a head is none of HTTP, and would be read again with every piece that comes.
const LONGEST_HEAD: usize = 64 << 10;
const MOST_HEADERS: usize = 96;
const FIRST_BUFFER: usize = 4096;

/// Why there is no answer.
#[derive(Debug, Error)]
pub(crate) enum Broken {
    /// Nobody listens there, or nobody can be reached, or may be trusted.
    #[error("cannot connect: {0}")]
    Connect(io::Error),
    /// The connection ended before the answer did.
    #[error("connection lost: {0}")]
    Reset(io::Error),
    /// What came back is not HTTP/1.1, or too long.
    #[error("malformed answer: {0}")]
    Malformed(&'static str),
}

/// A connection, and the answer that was read on it last.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: Stream,
    input: Vec<u8>,
}

/// Where the parts of an answer lie in its connection's buffer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    head: Range<usize>,
    body: Range<usize>,
    /// Whether the connection may be asked again.
    pub(crate) keeps: bool,
}

/// How the end of a body is found.
enum Framing {
    Length(usize),
    Chunked,
    UntilClosed,
}

impl Connection {
    pub(crate) async fn open(address: SocketAddr, tls: Option<&Tls>) -> Result<Self, Broken> {
        let stream = TcpStream::connect(address).await.map_err(Broken::Connect)?;
        // While nobody listens on a port that the system also hands out, a client may connect to itself.
        if stream.local_addr().ok() == Some(address) {
            return Err(Broken::Connect(io::ErrorKind::ConnectionRefused.into()));
        }
        let stream = Stream::over(stream, tls).await.map_err(Broken::Connect)?;
        Ok(Self { stream, input: Vec::with_capacity(FIRST_BUFFER) })
    }

    /// Whether the server has not closed it meanwhile, as far as is known without asking the system.
    pub(crate) fn is_open(&mut self) -> bool {
        self.stream.is_open()
    }

    /// Sends one request and reads its answer. `bodiless`: whether it is the answer of a `HEAD`.
    pub(crate) async fn exchange(&mut self, request: &[u8], bodiless: bool) -> Result<Answer, Broken> {
        self.input.clear();
        self.stream.write_all(request).await.map_err(Broken::Reset)?;
        // TLS keeps what the system did not take at once.
        self.stream.flush().await.map_err(Broken::Reset)?;
        loop {
            match self.head(bodiless)? {
                // An interim answer is followed by the one that counts.
                Some((interim, _)) if interim.status < 200 => drop(self.input.drain(..interim.head.end)),
                Some((answer, framing)) => return self.body(answer, framing).await,
                None => self.more().await?,
            }
        }
    }

    async fn read(&mut self) -> io::Result<usize> {
        if self.input.len() == self.input.capacity() {
            self.input.reserve(self.input.len().max(FIRST_BUFFER));
        }
        self.stream.read_buf(&mut self.input).await
    }

    /// Reads the head, if it is there as a whole.
    fn head(&self, bodiless: bool) -> Result<Option<(Answer, Framing)>, Broken> {
        let mut headers = [const { MaybeUninit::uninit() }; MOST_HEADERS];
        let mut head = httparse::Response::new(&mut []);
        let config = httparse::ParserConfig::default();
        let parsed = config.parse_response_with_uninit_headers(&mut head, &self.input, &mut headers);
        let length = match parsed {
            Ok(httparse::Status::Complete(length)) => length,
            Ok(httparse::Status::Partial) if self.input.len() > LONGEST_HEAD => {
                return Err(Broken::Malformed("a head that is too long"));
            }
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(_) => return Err(Broken::Malformed("no HTTP")),
        };
        let status = head.code.unwrap_or_default();
        if status < 100 {
            return Err(Broken::Malformed("no status"));
        }
        if status == 101 {
            return Err(Broken::Malformed("another protocol, for which nobody asked"));
        }
        let (framing, mut keeps) = framing(head.headers, head.version == Some(1))?;
        let framing = match framing {
            _ if bodiless || matches!(status, 100..=199 | 204 | 304) => Framing::Length(0),
            framing => framing,
        };
        keeps &= !matches!(framing, Framing::UntilClosed);
        Ok(Some((Answer { status, head: 0..length, body: length..length, keeps }, framing)))
    }

    async fn body(&mut self, mut answer: Answer, framing: Framing) -> Result<Answer, Broken> {
        let start = answer.head.end;
        let end = match framing {
            Framing::Length(length) => {
                if length > LONGEST_ANSWER {
                    return Err(Broken::Malformed("a body that is too long"));
                }
                while self.input.len() < start + length {
                    self.more().await?;
                }
                start + length
            }
            Framing::Chunked => {
                let (end, next) = self.chunks(start).await?;
                answer.keeps &= self.input.len() == next;
                end
            }
            Framing::UntilClosed => {
                while self.read().await.map_err(Broken::Reset)? > 0 {
                    self.bounded()?;
                }
                self.input.len()
            }
        };
        // Nothing was asked for yet that bytes behind it could answer.
        answer.keeps &= self.input.len() == end || matches!(framing, Framing::Chunked);
        answer.body = start..end;
        Ok(answer)
    }

    async fn more(&mut self) -> Result<(), Broken> {
        match self.read().await.map_err(Broken::Reset)? {
            0 => Err(Broken::Reset(io::ErrorKind::UnexpectedEof.into())),
            _ => self.bounded(),
        }
    }

    fn bounded(&self) -> Result<(), Broken> {
        if self.input.len() <= LONGEST_ANSWER {
            Ok(())
        } else {
            Err(Broken::Malformed("a body that is too long"))
        }
    }

    /// Reads chunks from `start` on and moves their content together. Returns where it ends, and where the answer does.
    async fn chunks(&mut self, start: usize) -> Result<(usize, usize), Broken> {
        let (mut next, mut end) = (start, start);
        loop {
            let size = loop {
                match httparse::parse_chunk_size(&self.input[next..]) {
                    Ok(httparse::Status::Complete((line, size))) => {
                        next += line;
                        break usize::try_from(size).unwrap_or(usize::MAX);
                    }
                    Ok(httparse::Status::Partial) => self.more().await?,
                    Err(_) => return Err(Broken::Malformed("a chunk without a size")),
                }
            };
            if size > LONGEST_ANSWER {
                return Err(Broken::Malformed("a body that is too long"));
            }
            if size == 0 {
                return self.trailers(next).await.map(|next| (end, next));
            }
            while self.input.len() < next + size + 2 {
                self.more().await?;
            }
            if self.input.get(next + size..next + size + 2) != Some(b"\r\n") {
                return Err(Broken::Malformed("a chunk of another size than it says"));
            }
            self.input.copy_within(next..next + size, end);
            (next, end) = (next + size + 2, end + size);
        }
    }

    /// Reads what follows the last chunk: lines up to an empty one. Returns where that ends.
    async fn trailers(&mut self, start: usize) -> Result<usize, Broken> {
        loop {
            let rest = &self.input[start..];
            if rest.starts_with(b"\r\n") {
                return Ok(start + 2);
            }
            if let Some(end) = rest.windows(4).position(|four| four == b"\r\n\r\n") {
                return Ok(start + end + 4);
            }
            if rest.len() > LONGEST_HEAD {
                return Err(Broken::Malformed("trailers that are too long"));
            }
            self.more().await?;
        }
    }

    /// The body of an answer that was read here last.
    pub(crate) fn body_of(&self, answer: &Answer) -> &[u8] {
        self.input.get(answer.body.clone()).unwrap_or_default()
    }

    /// A header of an answer that was read here last, by its name.
    pub(crate) fn header_of(&self, answer: &Answer, name: &str) -> Option<&str> {
        // The head was found right when it came, so that its lines need no reader of HTTP.
        let head = self.input.get(answer.head.clone())?;
        fn value<'h>(line: &'h [u8], name: &str) -> Option<&'h [u8]> {
            let (own, value) = line.split_at_checked(name.len())?;
            let is_it = own.eq_ignore_ascii_case(name.as_bytes());
            value.strip_prefix(b":").filter(|_| is_it)
        }
        let found = head.split(|byte| *byte == b'\n').skip(1).find_map(|line| value(line, name))?;
        std::str::from_utf8(found.trim_ascii()).ok()
    }
}

/// Digits and nothing else: `+5` is a number for the standard library, and no length.
fn length_of(value: &[u8]) -> Result<usize, Broken> {
    let digits = value.trim_ascii();
    let text = std::str::from_utf8(digits).ok().filter(|_| digits.iter().all(u8::is_ascii_digit));
    text.and_then(|text| text.parse().ok()).ok_or(Broken::Malformed("a length that is no number"))
}

/// How the body ends, and whether the connection stays open after it.
fn framing(headers: &[httparse::Header<'_>], is_1_1: bool) -> Result<(Framing, bool), Broken> {
    let mut length = None;
    let mut chunked = false;
    let mut keeps = is_1_1;
    for header in headers {
        if header.name.eq_ignore_ascii_case("content-length") {
            let read = length_of(header.value)?;
            if length.is_some_and(|known| known != read) {
                return Err(Broken::Malformed("two lengths"));
            }
            length = Some(read);
        } else if header.name.eq_ignore_ascii_case("transfer-encoding") {
            chunked = header.value.to_ascii_lowercase().ends_with(b"chunked");
        } else if header.name.eq_ignore_ascii_case("connection") {
            let options = header.value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
            let (mut closes, mut stays) = (false, false);
            for option in options {
                closes |= option.eq_ignore_ascii_case(b"close");
                stays |= option.eq_ignore_ascii_case(b"keep-alive");
            }
            keeps = !closes && (keeps || stays);
        }
    }
    let framing = match (chunked, length) {
        (true, _) => Framing::Chunked,
        (false, Some(length)) => Framing::Length(length),
        (false, None) => Framing::UntilClosed,
    };
    Ok((framing, keeps))
}
