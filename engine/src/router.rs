//! From an address to where it lives. A standalone node has one partition, which owns every slot.

/// The number of the one journal of a standalone node.
pub(crate) const JOURNAL: u16 = 0;
