//! Short texts, put together without the heap: header values, and the scalars of answers.

use std::fmt::{self, Display, Write};

use smallvec::SmallVec;

/// A text that is short as a rule.
#[derive(Debug, Default)]
pub(crate) struct Text(SmallVec<[u8; 96]>);

impl Text {
    /// What `value` shows.
    pub(crate) fn of(value: impl Display) -> Self {
        let mut text = Self::default();
        // Writing to memory does not fail, and none of what is written here refuses to be shown.
        let _written = write!(text, "{value}");
        text
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl Write for Text {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        self.0.extend_from_slice(part.as_bytes());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_what_was_written_however_long() {
        assert_eq!(Text::of(format_args!("{}/{}", 1, "año")).as_bytes(), "1/año".as_bytes());
        let long = "año".repeat(100);
        assert_eq!(Text::of(&long).as_bytes(), long.as_bytes());
    }
}
