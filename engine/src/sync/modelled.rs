//! The types of [`super`] as tests have them.
#![allow(clippy::unwrap_used)]

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::Ordering;
use std::time::Instant;

use shuttle::rand::Rng as _;

/// Whether this thread is one of a model.
fn in_model() -> bool {
    shuttle::current::try_get_current_task().is_some()
}

/// A lock.
pub(crate) enum Mutex<T> {
    Real(parking_lot::Mutex<T>),
    Model(shuttle::sync::Mutex<T>),
}

impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Self {
        if in_model() {
            return Self::Model(shuttle::sync::Mutex::new(value));
        }
        Self::Real(parking_lot::Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        match self {
            Self::Real(mutex) => MutexGuard::Real(mutex.lock()),
            Self::Model(mutex) => MutexGuard::Model(mutex, Some(mutex.lock().unwrap())),
        }
    }
}

impl<T: Default> Default for Mutex<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T> fmt::Debug for Mutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Mutex")
    }
}

/// What a lock holds; `None` only while a condition variable has it.
pub(crate) enum MutexGuard<'a, T> {
    Real(parking_lot::MutexGuard<'a, T>),
    Model(&'a shuttle::sync::Mutex<T>, Option<shuttle::sync::MutexGuard<'a, T>>),
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        match self {
            Self::Real(guard) => guard,
            Self::Model(_, guard) => guard.as_ref().unwrap(),
        }
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        match self {
            Self::Real(guard) => guard,
            Self::Model(_, guard) => guard.as_mut().unwrap(),
        }
    }
}

/// A condition variable.
pub(crate) enum Condvar {
    Real(parking_lot::Condvar),
    Model(shuttle::sync::Condvar),
}

/// Whether a wait ended by its time.
pub(crate) struct TimedOut(bool);

impl TimedOut {
    pub(crate) fn timed_out(&self) -> bool {
        self.0
    }
}

impl Condvar {
    pub(crate) fn new() -> Self {
        if in_model() {
            return Self::Model(shuttle::sync::Condvar::new());
        }
        Self::Real(parking_lot::Condvar::new())
    }

    pub(crate) fn notify_one(&self) {
        match self {
            Self::Real(condvar) => drop(condvar.notify_one()),
            Self::Model(condvar) => condvar.notify_one(),
        }
    }

    pub(crate) fn notify_all(&self) {
        match self {
            Self::Real(condvar) => drop(condvar.notify_all()),
            Self::Model(condvar) => condvar.notify_all(),
        }
    }

    pub(crate) fn wait<T>(&self, guard: &mut MutexGuard<'_, T>) {
        match (self, guard) {
            (Self::Real(condvar), MutexGuard::Real(guard)) => condvar.wait(guard),
            (Self::Model(condvar), MutexGuard::Model(_, guard)) => {
                *guard = Some(condvar.wait(guard.take().unwrap()).unwrap());
            }
            _ => panic!("a lock of a model and a condition variable outside of it"),
        }
    }

    /// In a model a time comes whenever it likes: at once, or after the others have done anything.
    pub(crate) fn wait_until<T>(&self, guard: &mut MutexGuard<'_, T>, until: Instant) -> TimedOut {
        match (self, guard) {
            (Self::Real(condvar), MutexGuard::Real(guard)) => {
                TimedOut(condvar.wait_until(guard, until).timed_out())
            }
            (Self::Model(_), MutexGuard::Model(mutex, guard)) => {
                drop(guard.take());
                shuttle::thread::yield_now();
                *guard = Some(mutex.lock().unwrap());
                TimedOut(shuttle::rand::thread_rng().gen_bool(0.5))
            }
            _ => panic!("a lock of a model and a condition variable outside of it"),
        }
    }
}

/// Atomics: one of two, with the methods that are used.
macro_rules! atomics {
    ($($name:ident($value:ty) $($method:ident)*;)*) => { $(
        #[derive(Debug)]
        #[allow(dead_code, reason = "all have the same methods")]
        pub(crate) enum $name {
            Real(std::sync::atomic::$name),
            Model(shuttle::sync::atomic::$name),
        }

        #[allow(dead_code, reason = "all have the same methods")]
        impl $name {
            pub(crate) fn new(value: $value) -> Self {
                if in_model() {
                    return Self::Model(shuttle::sync::atomic::$name::new(value));
                }
                Self::Real(std::sync::atomic::$name::new(value))
            }

            pub(crate) fn load(&self, order: Ordering) -> $value {
                match self {
                    Self::Real(atomic) => atomic.load(order),
                    Self::Model(atomic) => atomic.load(order),
                }
            }

            pub(crate) fn store(&self, value: $value, order: Ordering) {
                match self {
                    Self::Real(atomic) => atomic.store(value, order),
                    Self::Model(atomic) => atomic.store(value, order),
                }
            }

            $(
                pub(crate) fn $method(&self, value: $value, order: Ordering) -> $value {
                    match self {
                        Self::Real(atomic) => atomic.$method(value, order),
                        Self::Model(atomic) => atomic.$method(value, order),
                    }
                }
            )*
        }

        impl Default for $name {
            fn default() -> Self {
                Self::new(<$value>::default())
            }
        }
    )* };
}

atomics! {
    AtomicBool(bool);
    AtomicU32(u32) fetch_add fetch_sub;
    AtomicU64(u64) fetch_add;
    AtomicUsize(usize) fetch_add fetch_sub;
    AtomicI64(i64);
}

/// In a model, a lock.
#[derive(Debug, Default)]
pub(crate) struct Turn(Mutex<()>);

impl Turn {
    pub(crate) fn take(&self) -> Option<MutexGuard<'_, ()>> {
        matches!(self.0, Mutex::Model(_)).then(|| self.0.lock())
    }
}
