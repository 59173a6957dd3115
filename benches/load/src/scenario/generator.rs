//! Values that are drawn for each flow.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::template::Slot;
use crate::rng::Rng;

/// Most items of a Zipf distribution: its table has eight bytes for each.
pub(super) const MOST_ITEMS: u64 = 4_000_000;

/// How a value is drawn.
#[derive(Clone, Debug)]
pub enum Generator {
    /// A random UUID (version 4) of the seeded generator, with these bits of the run mixed in: equal seeds draw other
    /// UUIDs in another run.
    Uuid(u128),
    /// A number that is drawn once in the whole run, over all threads and generators.
    Counter {
        /// The first.
        from: u64,
        /// How many were drawn here.
        drawn: Arc<AtomicU64>,
    },
    /// A whole number, both ends included.
    Uniform {
        /// The smallest.
        from: i64,
        /// The largest.
        to: i64,
    },
    /// One of what a set-up step collected, all alike likely.
    UniformOf(Slot),
    /// The index of an item, from 0: the k-th is drawn in proportion to 1/(k+1)^exponent.
    Zipf(Arc<Zipf>),
    /// One of what a set-up step collected, the k-th as likely as Zipf says.
    ZipfOf(Slot, f64),
    /// One of some texts, by weight.
    Choice {
        /// The texts, each with the sum of all weights up to its own.
        among: Arc<[(String, u64)]>,
    },
}

/// The cumulative distribution of Zipf's law.
#[derive(Debug)]
pub struct Zipf {
    cumulative: Vec<f64>,
}

impl Zipf {
    /// The distribution over `items` items.
    pub fn new(items: usize, exponent: f64) -> Self {
        let mut sum = 0.0;
        let weigh = |rank: usize| {
            sum += (rank as f64).powf(-exponent);
            sum
        };
        let mut cumulative: Vec<f64> = (1..=items).map(weigh).collect();
        let whole = cumulative.last().copied().unwrap_or(1.0);
        cumulative.iter_mut().for_each(|part| *part /= whole);
        Self { cumulative }
    }

    /// The index of an item.
    pub fn draw(&self, rng: &mut Rng) -> usize {
        let drawn = unit(rng);
        self.cumulative.partition_point(|part| *part <= drawn).min(self.cumulative.len().saturating_sub(1))
    }
}

/// A number from 0 to below 1, of 53 random bits.
pub fn unit(rng: &mut Rng) -> f64 {
    (rng.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
}

/// One of several equal parts of a run: a generator's, or that of one of its threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// Counted from 0.
    pub index: u32,
    /// How many there are.
    pub of: u32,
}

impl Part {
    /// One of `of` equal parts of this one.
    #[must_use]
    pub fn nested(self, index: u32, of: u32) -> Self {
        Self { index: self.index * of + index, of: self.of * of }
    }

    /// The number, over all parts, of the n-th thing of this one; no other part has it.
    pub fn number(self, n: u64) -> u64 {
        n * u64::from(self.of) + u64::from(self.index)
    }

    /// How many of `whole` fall to this part.
    pub fn of_whole(self, whole: u64) -> u64 {
        let (of, index) = (u64::from(self.of), u64::from(self.index));
        whole / of + u64::from(index < whole % of)
    }
}

impl Generator {
    /// Appends a new value to `out`. [`Self::UniformOf`] and [`Self::ZipfOf`] are replaced before a run begins.
    pub fn draw(&self, rng: &mut Rng, part: Part, out: &mut Vec<u8>) {
        match self {
            Self::Uuid(bits) => write_uuid(rng, *bits, out),
            Self::Counter { from, drawn } => {
                let mine = drawn.fetch_add(1, Ordering::Relaxed);
                write_number(from + part.number(mine), out);
            }
            Self::Uniform { from, to } => {
                let width = to.abs_diff(*from).saturating_add(1);
                let drawn = from.saturating_add_unsigned(rng.below(width));
                out.extend_from_slice(drawn.to_string().as_bytes());
            }
            Self::Zipf(zipf) => write_number(zipf.draw(rng) as u64, out),
            Self::Choice { among } => {
                let whole = among.last().map_or(0, |(_, sum)| *sum);
                let drawn = rng.below(whole);
                let index = among.partition_point(|(_, sum)| *sum <= drawn);
                out.extend_from_slice(among.get(index).map_or("", |(text, _)| text).as_bytes());
            }
            Self::UniformOf(_) | Self::ZipfOf(..) => {}
        }
    }

    /// The same for the run of which these are some bits.
    #[must_use]
    pub fn of_run(&self, bits: u128) -> Self {
        match self {
            Self::Uuid(_) => Self::Uuid(bits),
            other => other.clone(),
        }
    }

    /// The same with the items that a set-up step collected in `slot`; anything else stays as it is.
    #[must_use]
    pub fn over(&self, collected: impl Fn(Slot) -> Vec<String>) -> Self {
        let (slot, exponent) = match self {
            Self::UniformOf(slot) => (*slot, 0.0),
            Self::ZipfOf(slot, exponent) => (*slot, *exponent),
            other => return other.clone(),
        };
        // Weights as whole numbers, so that one table serves every choice.
        const WHOLE: f64 = (1_u64 << 52) as f64;
        let items = collected(slot);
        let zipf = Zipf::new(items.len(), exponent);
        let among = items.into_iter().zip(zipf.cumulative).map(|(text, sum)| (text, (sum * WHOLE) as u64));
        Self::Choice { among: among.collect() }
    }
}

fn write_number(number: u64, out: &mut Vec<u8>) {
    let mut digits = [0; 20];
    let mut start = digits.len();
    let mut rest = number;
    loop {
        start -= 1;
        digits[start] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[start..]);
}

fn write_uuid(rng: &mut Rng, of_run: u128, out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let high = ((rng.next_u64() ^ (of_run >> 64) as u64) & !0xF000) | 0x4000;
    let low = ((rng.next_u64() ^ of_run as u64) >> 2) | 0x8000_0000_0000_0000;
    let bytes = [high.to_be_bytes(), low.to_be_bytes()].concat();
    for (index, byte) in bytes.iter().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            out.push(b'-');
        }
        out.extend_from_slice(&[DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const ALONE: Part = Part { index: 0, of: 1 };

    fn drawn(generator: &Generator, rng: &mut Rng, part: Part) -> String {
        let mut out = Vec::new();
        generator.draw(rng, part, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn equal_seeds_draw_equal_values() {
        let generator = Generator::Uuid(0).of_run(0x5555 << 64 | 0x5555);
        let uuid = drawn(&generator, &mut Rng::new(1), ALONE);
        assert_eq!(uuid, drawn(&generator, &mut Rng::new(1), ALONE));
        assert_ne!(uuid, drawn(&Generator::Uuid(0), &mut Rng::new(1), ALONE), "another run");
        assert_eq!(uuid.len(), 36);
        assert_eq!((uuid.as_bytes()[14], uuid.matches('-').count()), (b'4', 4), "{uuid}");
        assert!(matches!(uuid.as_bytes()[19], b'8' | b'9' | b'a' | b'b'), "{uuid}");
    }

    #[test]
    fn counters_of_several_generators_never_meet() {
        let counters = [0, 1].map(|index| (Generator::Counter { from: 10, drawn: Arc::default() }, index));
        let draw = |_| {
            let one = |(counter, index): &(Generator, u32)| {
                drawn(counter, &mut Rng::new(0), Part { index: *index, of: 2 })
            };
            counters.each_ref().map(one)
        };
        let drawn: Vec<[String; 2]> = (0..3).map(draw).collect();
        assert_eq!(drawn, [["10", "11"], ["12", "13"], ["14", "15"]]);
    }

    #[test]
    fn parts_add_up_to_the_whole() {
        let generators = (0..3).map(|index| ALONE.nested(index, 3));
        let threads = generators.flat_map(|generator| (0..2).map(move |index| generator.nested(index, 2)));
        let threads: Vec<Part> = threads.collect();
        assert_eq!(threads, [0, 1, 2, 3, 4, 5].map(|index| Part { index, of: 6 }));
        assert_eq!(threads.iter().map(|part| part.of_whole(128)).sum::<u64>(), 128);
    }

    #[test]
    fn zipf_prefers_the_first_as_the_law_says() {
        let zipf = Zipf::new(1000, 1.0);
        let mut rng = Rng::new(7);
        let mut counts = vec![0_u32; 1000];
        (0..100_000).for_each(|_| counts[zipf.draw(&mut rng)] += 1);
        // 1/H(1000) = 13.4 % for the first, half of it for the second.
        assert!((12_900..13_900).contains(&counts[0]), "{}", counts[0]);
        assert!((6_400..7_000).contains(&counts[1]), "{}", counts[1]);
        assert!(counts[999] < 60);
    }

    #[test]
    fn choices_follow_their_weights() {
        let choice = Generator::Choice { among: [("a".to_owned(), 3), ("b".to_owned(), 4)].into() };
        let mut rng = Rng::new(3);
        let a = (0..10_000).filter(|_| drawn(&choice, &mut rng, ALONE) == "a").count();
        assert!((7_300..7_700).contains(&a), "{a}");
    }

    #[test]
    fn uniform_numbers_reach_both_ends() {
        let uniform = Generator::Uniform { from: -1, to: 1 };
        let mut rng = Rng::new(5);
        let drawn: std::collections::BTreeSet<String> =
            (0..100).map(|_| drawn(&uniform, &mut rng, ALONE)).collect();
        assert_eq!(drawn.into_iter().collect::<Vec<_>>(), ["-1", "0", "1"]);
    }
}
