//! Hostile bytes on raw connections, on both ways that requests go through the server. Each attack is followed by a
//! marker, a request of its own, on the same connection: it gets its own answer, or the connection has ended. Nothing
//! is answered twice, nothing hangs, nothing is bought that was refused, and no answer is the server's own mistake.

mod floods;
mod framing;
mod heads;
mod line;
mod texts;
