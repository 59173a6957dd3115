//! What threads share where the order of their steps matters, so that many orders can be tried.
//!
//! In the program these are the types of `parking_lot` and the standard library themselves. In this crate's tests
//! each is one of two: the same again, or, where it is made within a model (`models`), the model checker's.

#[cfg(test)]
mod modelled;

#[cfg(not(test))]
pub(crate) use parking_lot::{Condvar, Mutex};
#[cfg(not(test))]
pub(crate) use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize};

#[cfg(test)]
pub(crate) use modelled::{AtomicBool, AtomicI64, AtomicU32, AtomicU64, AtomicUsize, Condvar, Mutex, Turn};

/// Stands for the locks within a concurrent map, which the model checker does not see: held in a model for as long as
/// one of them, and nothing at all in the program.
#[cfg(not(test))]
#[derive(Debug, Default)]
pub(crate) struct Turn;

/// A turn that was taken.
#[cfg(not(test))]
pub(crate) struct Taken;

#[cfg(not(test))]
impl Turn {
    #[inline(always)]
    pub(crate) fn take(&self) -> Taken {
        Taken
    }
}
