//! Data keys that were used lately, ready for use.

use std::{num::NonZeroU32, sync::Arc};

use parking_lot::Mutex;

use crate::secret::Cipher;

/// How many keys find a place, about 1 KB each when all are taken.
const PLACES: usize = 4096;

type Place = Mutex<Option<(NonZeroU32, Arc<Cipher>)>>;

/// Every key has one place, and shares it with those whose ids are the same modulo the number of places. So
/// nothing is searched, and users that are active together, with ids near each other, do not meet.
pub(crate) struct Opened(Box<[Place]>);

impl Opened {
    /// None at first.
    pub(crate) fn new() -> Self {
        Self((0..PLACES).map(|_| Place::default()).collect())
    }

    /// The cipher under `key`, if it is here.
    pub(crate) fn get(&self, key: NonZeroU32) -> Option<Arc<Cipher>> {
        let place = self.place(key).lock();
        place.as_ref().filter(|(here, _)| *here == key).map(|(_, cipher)| Arc::clone(cipher))
    }

    /// Puts it to its place, and out who was there.
    pub(crate) fn put(&self, key: NonZeroU32, cipher: Arc<Cipher>) {
        *self.place(key).lock() = Some((key, cipher));
    }

    /// Lets go of `key`.
    pub(crate) fn forget(&self, key: NonZeroU32) {
        self.place(key).lock().take_if(|(here, _)| *here == key);
    }

    fn place(&self, key: NonZeroU32) -> &Place {
        &self.0[key.get() as usize % PLACES]
    }
}
