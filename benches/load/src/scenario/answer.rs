//! What a scenario says of answers: which ones it expects, and where in them something stands.

use std::fmt;
use std::str::FromStr;

use crate::record::Outcome;

/// Answers that are meant together: `201`, `2xx`, `409 out_of_stock`, `timeout`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pattern {
    /// A status, with a code where the file names one.
    Status(u16, Option<String>),
    /// All statuses of a hundred.
    Class(u16),
    /// No answer in time.
    Timeout,
    /// Nobody listens.
    Connect,
    /// The connection ended before the answer did.
    Reset,
    /// What came back is not HTTP.
    Malformed,
}

impl Pattern {
    /// Whether it means `outcome`.
    pub fn means(&self, outcome: &Outcome<'_>) -> bool {
        match (self, outcome) {
            (Self::Status(wanted, None), Outcome::Status { status, .. }) => wanted == status,
            (Self::Status(wanted, Some(text)), Outcome::Status { status, code }) => {
                wanted == status && *code == Some(text)
            }
            (Self::Class(class), Outcome::Status { status, .. }) => *class == status / 100,
            (Self::Timeout, Outcome::Timeout)
            | (Self::Connect, Outcome::Connect)
            | (Self::Reset, Outcome::Reset)
            | (Self::Malformed, Outcome::Malformed) => true,
            _ => false,
        }
    }
}

impl FromStr for Pattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let refused = || {
            format!(
                "`{text}` means no answer; say `201`, `2xx`, `409 out_of_stock`, `timeout`, `no connection`, \
                 `connection lost` or `malformed answer`"
            )
        };
        match text {
            "timeout" => return Ok(Self::Timeout),
            "no connection" => return Ok(Self::Connect),
            "connection lost" => return Ok(Self::Reset),
            "malformed answer" => return Ok(Self::Malformed),
            _ => {}
        }
        if let Some(class) = text.strip_suffix("xx") {
            let class = class.parse().ok().filter(|class| (1..=5).contains(class));
            return class.map(Self::Class).ok_or_else(refused);
        }
        let (status, code) = match text.split_once(' ') {
            Some((_, code)) if code.trim().is_empty() => return Err(refused()),
            Some((status, code)) => (status, Some(code.trim().to_owned())),
            None => (text, None),
        };
        let status = status.parse().ok().filter(|status| (100..=599).contains(status));
        status.map(|status| Self::Status(status, code)).ok_or_else(refused)
    }
}

/// Whether a text can be the name of a header (RFC 9110, 5.6.2: a token).
pub(super) fn is_header_name(text: &str) -> bool {
    let token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    !text.is_empty() && text.chars().all(token)
}

/// Where in an answer something stands: a JSON pointer (RFC 6901) into its body, or `header name`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// The parts of a pointer, with `~0` and `~1` read.
    Body(Vec<String>),
    /// A header, in lower case.
    Header(String),
}

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(name) = text.strip_prefix("header ") {
            let name = name.trim();
            if !is_header_name(name) {
                return Err(format!("`{name}` is no name of a header; say `header location`"));
            }
            return Ok(Self::Header(name.to_ascii_lowercase()));
        }
        if text.is_empty() {
            return Ok(Self::Body(Vec::new()));
        }
        let Some(parts) = text.strip_prefix('/') else {
            return Err(format!("`{text}` is no place in an answer; say `/items/0/id` or `header location`"));
        };
        if parts.split('~').skip(1).any(|after| !after.starts_with(['0', '1'])) {
            return Err(format!(
                "`{text}` is no JSON pointer: after `~` comes `0` or `1`; `~0` stands for `~` and `~1` for `/`"
            ));
        }
        Ok(Self::Body(parts.split('/').map(|part| part.replace("~1", "/").replace("~0", "~")).collect()))
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Header(name) => write!(f, "header {name}"),
            Self::Body(parts) if parts.is_empty() => f.write_str("the whole body"),
            Self::Body(parts) => {
                parts.iter().try_for_each(|part| write!(f, "/{}", part.replace('~', "~0").replace('/', "~1")))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn patterns_mean_their_answers_and_no_others() {
        let sold_out = Outcome::Status { status: 409, code: Some("out_of_stock") };
        for (pattern, outcome, expected) in [
            ("409", sold_out, true),
            ("409 out_of_stock", sold_out, true),
            ("409 other", sold_out, false),
            ("4xx", sold_out, true),
            ("2xx", sold_out, false),
            ("timeout", Outcome::Timeout, true),
            ("no connection", Outcome::Connect, true),
            ("connection lost", Outcome::Timeout, false),
        ] {
            assert_eq!(pattern.parse::<Pattern>().unwrap().means(&outcome), expected, "{pattern}");
        }
    }

    #[test]
    fn what_means_no_answer_is_refused() {
        for text in ["99", "600", "20x", "9xx", "time out", "", "409 "] {
            assert!(text.parse::<Pattern>().unwrap_err().starts_with(&format!("`{text}` means no answer")));
        }
    }

    #[test]
    fn places_are_pointers_and_headers() {
        assert_eq!("/a~1b/0/c~0d".parse(), Ok(Place::Body(vec!["a/b".into(), "0".into(), "c~d".into()])));
        assert_eq!("header Location".parse(), Ok(Place::Header("location".into())));
        assert_eq!("/a~1b/0/c~0d".parse::<Place>().unwrap().to_string(), "/a~1b/0/c~0d");
        assert_eq!("".parse::<Place>().unwrap().to_string(), "the whole body");
        for text in ["id", "/nope/~2", "/a~", "/~~0", "header ", "header a b"] {
            assert!(text.parse::<Place>().is_err(), "{text}");
        }
    }
}
