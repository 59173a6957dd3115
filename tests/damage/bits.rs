//! Flipped bits, one at a time, in every file there is.

use std::fs;
use std::path::Path;

use relampago_load::Rng;

use super::stage::{Outcome, Stage, assert_helpful, files};
use crate::support::{is_long, seed};

const FLIPS_A_FILE: usize = 2;
const FLIPS_A_FILE_LONG: usize = 60;

/// Flips a bit: every other time among the bytes that are not zero, since most of some files is. Gives its byte.
fn flip(path: &Path, rng: &mut Rng) -> usize {
    let mut bytes = fs::read(path).unwrap();
    let used: Vec<usize> = (0..bytes.len()).filter(|at| bytes[*at] != 0).collect();
    let anywhere = used.is_empty() || rng.below(2) == 0;
    let at = if anywhere {
        rng.below(bytes.len() as u64) as usize
    } else {
        used[rng.below(used.len() as u64) as usize]
    };
    bytes[at] ^= 1 << rng.below(8);
    fs::write(path, bytes).unwrap();
    at
}

#[tokio::test]
async fn a_flipped_bit_is_refused_by_name_or_loses_nothing() {
    let mut stage = Stage::new(seed()).await;
    let flips = if is_long() { FLIPS_A_FILE_LONG } else { FLIPS_A_FILE };
    for file in files(&stage.today) {
        let (mut refused, mut last) = (0, String::new());
        for _ in 0..flips {
            stage.lay_out();
            let at = flip(&stage.tried.join(&file), &mut stage.rng);
            println!("{} at {at}", file.display());
            let Outcome::Refused(words) = stage.outcome().await else { continue };
            let name = file.iter().next().unwrap().to_str().unwrap();
            assert_helpful(&words, name);
            stage.mend(&file).await;
            (refused, last) = (refused + 1, words);
        }
        println!("{}: {refused} of {flips} refused {last}", file.display());
    }
}
