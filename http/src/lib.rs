//! The REST front.
