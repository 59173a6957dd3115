//! Text that others chose, safe in HTML and SVG.

use std::fmt::{self, Write};

/// Writes a text so that it is nothing but text, in an element or in a quoted attribute.
pub(super) struct Text<T>(pub(super) T);

impl<T: fmt::Display> fmt::Display for Text<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(Escaping(f), "{}", self.0)
    }
}

/// Escapes whatever passes through it.
struct Escaping<'a, 'b>(&'a mut fmt::Formatter<'b>);

impl Write for Escaping<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.chars().try_for_each(|letter| match letter {
            '&' => self.0.write_str("&amp;"),
            '<' => self.0.write_str("&lt;"),
            '>' => self.0.write_str("&gt;"),
            '"' => self.0.write_str("&quot;"),
            '\'' => self.0.write_str("&#39;"),
            '\n' => self.0.write_char(' '),
            control if control.is_control() => self.0.write_char(char::REPLACEMENT_CHARACTER),
            other => self.0.write_char(other),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Text;

    #[test]
    fn nothing_but_text_is_left() {
        assert_eq!(
            Text("<script>alert(\"1\" + '2')</script>&amp;\u{0}\n").to_string(),
            "&lt;script&gt;alert(&quot;1&quot; + &#39;2&#39;)&lt;/script&gt;&amp;amp;\u{fffd} "
        );
    }
}
