//! A stopped data folder in which bits have flipped, files are missing, or older copies were put back: a start refuses
//! it, naming the file and the remedy, or has every acknowledged order. With the right files back it goes on.

mod bits;
mod files;
mod stage;
mod torn;
