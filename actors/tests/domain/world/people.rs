//! The people of a world: who registers, signs in, changes, forgets and is forgotten, and what must hold of it.

mod audit;
mod crowd;
mod doors;
mod steps;
mod watch;

pub use crowd::Crowd;
pub use doors::{Doors, Glance};
pub use watch::PeopleWatch;
