//! What became of a request.

use serde::{Deserialize, Serialize};

/// Longest part of a name that the server chose (a problem's `code`) which is kept, in bytes.
const LONGEST_CODE: usize = 64;

/// What became of one request. It borrows, so that telling a recorder allocates nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome<'a> {
    /// An answer, and every check passed.
    Status {
        /// The HTTP status.
        status: u16,
        /// The machine-readable code of a refusal (`out_of_stock`), where the answer had one.
        code: Option<&'a str>,
    },
    /// An answer that failed the check of this name.
    CheckFailed(&'a str),
    /// No answer in the time allowed.
    Timeout,
    /// No connection could be made.
    Connect,
    /// The connection ended before the answer did.
    Reset,
    /// An answer that is not HTTP, or is larger than allowed.
    Malformed,
}

/// How an outcome counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// What the shopper wanted.
    Ok,
    /// A proper no, such as sold out.
    Refused,
    /// The server said that it has too much to do (429, 503).
    Throttled,
    /// Everything else: server errors, failed checks, no answer.
    Failed,
}

impl Kind {
    /// All kinds, in the order of the reports.
    pub const ALL: [Self; 4] = [Self::Ok, Self::Refused, Self::Throttled, Self::Failed];

    /// The name in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Refused => "refused",
            Self::Throttled => "throttled",
            Self::Failed => "failed",
        }
    }

    pub(crate) const fn index(self) -> usize {
        self as usize
    }
}

impl<'a> Outcome<'a> {
    /// How the outcome counts unless the scenario says otherwise: 2xx and 3xx are ok, 429 and 503 throttled, other
    /// 4xx refused, the rest failed.
    pub const fn usual_kind(&self) -> Kind {
        match self {
            Self::Status { status: 200..=399, .. } => Kind::Ok,
            Self::Status { status: 429 | 503, .. } => Kind::Throttled,
            Self::Status { status: 400..=499, .. } => Kind::Refused,
            _ => Kind::Failed,
        }
    }

    /// Whether its latency tells how long a client waits for the server: true of answers, and of time-outs, which
    /// waited at least that long. A refused connection is quick and would make a dead server look fast.
    pub const fn is_waited_for(&self) -> bool {
        matches!(self, Self::Status { .. } | Self::CheckFailed(_) | Self::Timeout)
    }

    /// The same with what the server chose cut to a bounded length, as it is kept.
    pub(crate) fn bounded(self) -> Self {
        match self {
            Self::Status { status, code } => Self::Status { status, code: code.map(shortened) },
            Self::CheckFailed(name) => Self::CheckFailed(shortened(name)),
            other => other,
        }
    }

    /// The name in reports: `201`, `409 out_of_stock`, `timeout`.
    pub fn label(&self) -> String {
        match self {
            Self::Status { status, code: None } => status.to_string(),
            Self::Status { status, code: Some(code) } => format!("{status} {code}"),
            Self::CheckFailed(name) => format!("check {name}"),
            Self::Timeout => "timeout".to_owned(),
            Self::Connect => "no connection".to_owned(),
            Self::Reset => "connection lost".to_owned(),
            Self::Malformed => "malformed answer".to_owned(),
        }
    }
}

fn shortened(text: &str) -> &str {
    &text[..text.floor_char_boundary(LONGEST_CODE)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_have_their_usual_kind_and_a_name() {
        let status = |status, code| Outcome::Status { status, code };
        let table = [
            (status(201, None), Kind::Ok, "201"),
            (status(304, None), Kind::Ok, "304"),
            (status(409, Some("out_of_stock")), Kind::Refused, "409 out_of_stock"),
            (status(429, None), Kind::Throttled, "429"),
            (status(503, Some("overloaded")), Kind::Throttled, "503 overloaded"),
            (status(500, None), Kind::Failed, "500"),
            (status(101, None), Kind::Failed, "101"),
            (Outcome::CheckFailed("total"), Kind::Failed, "check total"),
            (Outcome::Timeout, Kind::Failed, "timeout"),
            (Outcome::Connect, Kind::Failed, "no connection"),
        ];
        for (outcome, kind, label) in table {
            assert_eq!((outcome.usual_kind(), outcome.label().as_str()), (kind, label), "{outcome:?}");
        }
    }

    #[test]
    fn a_code_that_the_server_chose_is_cut_between_letters() {
        let long = "ü".repeat(100);
        let Outcome::Status { code: Some(code), .. } =
            (Outcome::Status { status: 400, code: Some(&long) }).bounded()
        else {
            panic!("the outcome changed its form");
        };
        assert_eq!(code, "ü".repeat(32));
    }
}
