//! Figures as people read them.

use std::fmt;

/// A count with thousands apart: `1,234,567`.
pub(crate) fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A rate: whole above a hundred, else with one decimal.
pub(crate) fn rate(rate: f64) -> String {
    if rate >= 100.0 { grouped(rate.round() as u64) } else { format!("{rate:.1}") }
}

/// Milliseconds to three digits that matter: `0.042`, `1.23`, `12.3`, `1,234`.
pub(crate) fn milliseconds(microseconds: f64) -> String {
    let milliseconds = microseconds / 1e3;
    match milliseconds {
        ..1.0 => format!("{milliseconds:.3}"),
        ..10.0 => format!("{milliseconds:.2}"),
        ..100.0 => format!("{milliseconds:.1}"),
        _ => grouped(milliseconds.round() as u64),
    }
}

/// A latency with the unit that suits its size: `420 µs`, `1.23 ms`, `2.5 s`.
pub(crate) fn latency(microseconds: f64) -> String {
    match microseconds {
        ..1e3 => format!("{microseconds:.0} µs"),
        ..1e6 => format!("{} ms", milliseconds(microseconds)),
        _ => format!("{:.2} s", microseconds / 1e6),
    }
}

/// The same of a figure that may not be there.
pub(crate) fn told(microseconds: Option<u64>) -> String {
    microseconds.map_or_else(|| "-".to_owned(), |microseconds| latency(microseconds as f64))
}

/// How long a run took: `60 s`, `12.5 min`.
pub(crate) fn duration(seconds: f64) -> String {
    let (figure, unit) = if seconds < 120.0 { (seconds, "s") } else { (seconds / 60.0, "min") };
    format!("{} {unit}", (figure * 10.0).round() / 10.0)
}

/// A share of a whole: `99.87 %`, and never `0 %` or `100 %` unless it is exactly that.
pub(crate) fn share(part: u64, whole: u64) -> String {
    if part == 0 || whole == 0 {
        return "0 %".to_owned();
    }
    if part == whole {
        return "100 %".to_owned();
    }
    let percent = part as f64 * 100.0 / whole as f64;
    match percent {
        ..0.01 => "< 0.01 %".to_owned(),
        99.99.. => "> 99.99 %".to_owned(),
        _ => format!("{percent:.2} %"),
    }
}

/// Text that others chose, safe on a terminal: what would steer the terminal is written out.
pub(crate) struct Printable<'a>(pub(crate) &'a str);

impl fmt::Display for Printable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.0.chars().any(char::is_control) {
            return f.pad(self.0);
        }
        let letters = self.0.chars().map(|letter| {
            if letter.is_control() { letter.escape_default().to_string() } else { letter.to_string() }
        });
        f.pad(&letters.collect::<String>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_read_well() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!(
            [42.0, 1_234.0, 12_340.0, 1_234_500.0].map(milliseconds),
            ["0.042", "1.23", "12.3", "1,235"]
        );
        assert_eq!([420.0, 1_234.0, 2_500_000.0].map(latency), ["420 µs", "1.23 ms", "2.50 s"]);
        assert_eq!([60.0, 2.04, 750.0].map(duration), ["60 s", "2 s", "12.5 min"]);
        assert_eq!([0.0, 99.94, 9_012.4].map(rate), ["0.0", "99.9", "9,012"]);
    }

    #[test]
    fn a_share_is_never_rounded_to_all_or_nothing() {
        let shares = [(0, 9), (1, 1_000_000), (1, 8), (999_999, 1_000_000), (9, 9), (0, 0)];
        let texts = ["0 %", "< 0.01 %", "12.50 %", "> 99.99 %", "100 %", "0 %"];
        assert_eq!(shares.map(|(part, whole)| share(part, whole)), texts);
    }

    #[test]
    fn a_name_cannot_steer_the_terminal() {
        assert_eq!(Printable("409 \u{1b}[2Jgone").to_string(), r"409 \u{1b}[2Jgone");
        assert_eq!(format!("{:>8}", Printable("größe")), "   größe");
    }
}
