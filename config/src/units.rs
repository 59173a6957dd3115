//! Sizes and durations as text: `4096`, `64KiB`, `32MiB`; `250ms`, `6s`, `15m`, `30d`.

use std::time::Duration;

const SIZES: [(&str, u32); 5] = [("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10), ("B", 0)];
const TIMES: [(&str, u128); 7] = [
    ("d", 86_400_000_000_000),
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

/// Reads a whole number of bytes or of one of the units. `None` on anything else and on overflow.
pub(crate) fn parse_size(text: &str) -> Option<u64> {
    let (digits, shift) = SIZES
        .iter()
        .find_map(|(unit, shift)| Some((text.strip_suffix(unit)?.trim_end(), *shift)))
        .unwrap_or((text, 0));
    digits.parse::<u64>().ok()?.checked_mul(1 << shift)
}

/// Writes the size in the largest unit that divides it, so that [`parse_size`] reads it back exactly.
pub(crate) fn format_size(bytes: u64) -> String {
    SIZES
        .iter()
        .find(|(_, shift)| bytes >= 1 << shift && bytes.trailing_zeros() >= *shift)
        .map_or_else(|| format!("{bytes}B"), |(unit, shift)| format!("{}{unit}", bytes >> shift))
}

/// Writes the duration in the largest unit that divides it. humantime's own form turns `400d` into a year,
/// a month and some hours; it reads this one back exactly.
pub(crate) fn format_duration(duration: Duration) -> String {
    let nanos = duration.as_nanos();
    TIMES
        .iter()
        .find(|(_, unit_nanos)| nanos >= *unit_nanos && nanos.is_multiple_of(*unit_nanos))
        .map_or_else(|| "0s".to_owned(), |(unit, unit_nanos)| format!("{}{unit}", nanos / unit_nanos))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{format_duration, format_size, parse_size};

    #[test]
    fn reads_sizes() {
        for (text, bytes) in [
            ("0", Some(0)),
            ("4096", Some(4096)),
            ("7B", Some(7)),
            ("64KiB", Some(65_536)),
            ("32 MiB", Some(33_554_432)),
            ("2TiB", Some(2_199_023_255_552)),
            ("17179869184GiB", None),
            ("1.5MiB", None),
            ("-1", None),
            ("32MB", None),
            ("MiB", None),
            ("", None),
        ] {
            assert_eq!(parse_size(text), bytes, "{text:?}");
        }
    }

    #[test]
    fn writes_sizes_that_it_reads() {
        let table = [(0, "0B"), (1000, "1000B"), (65_536, "64KiB"), (1 << 20, "1MiB"), (3 << 29, "1536MiB")];
        for (bytes, text) in table {
            assert_eq!(format_size(bytes), text);
            assert_eq!(parse_size(text), Some(bytes));
        }
    }

    #[test]
    fn writes_durations_that_humantime_reads() {
        for (nanos, text) in [
            (0, "0s"),
            (1, "1ns"),
            (1_500_000, "1500us"),
            (250_000_000, "250ms"),
            (90_000_000_000, "90s"),
            (900_000_000_000, "15m"),
            (7_200_000_000_000, "2h"),
            (34_560_000_000_000_000, "400d"),
        ] {
            let duration = Duration::from_nanos(nanos);
            assert_eq!(format_duration(duration), text);
            assert_eq!(humantime::parse_duration(text), Ok(duration));
        }
    }
}
