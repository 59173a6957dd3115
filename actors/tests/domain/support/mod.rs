//! What the tests of the domain share: a catalogue, a driver of single entities, sample values.

pub mod drive;
pub mod samples;
pub mod shelf;
