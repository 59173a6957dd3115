//! The REST front of Relámpago: HTTP, JSON, authentication, and the command line. Statuses, codes and the
//! shapes of JSON live here alone; what they mean is the domain's business.
//!
//! | module | what it holds |
//! | --- | --- |
//! | [`cli`] | the command line: `serve`, `demo`, `load`, tools for a data folder |
//! | [`demo`] | a flash sale with a crash in it, audited |
//! | [`serve`] | settings to a listening server, and its orderly end |
//! | [`app`] | what happens to every request: limits, slashes, request ids, metrics, problems |
//! | `routes` | the table of routes with who may call them, and the handlers, one file a resource |
//! | `extract` | what a handler gets: path, key, body, `If-Match`, and the way to the engine |
//! | `fields` | request bodies, read field by field so that every fault is named |
//! | `json`, `answer`, `etag`, `page`, `locale`, `text` | answers: shapes, headers, entity tags, pages, languages |
//! | `error` | problems: the table of codes and statuses, and which rejection is which |
//! | [`access`] | what signing in is made of: tokens, passwords, throttling |
//! | `admission` | how many requests are worked on, and how many bodies are arriving |
//! | `auth`, `audited`, `idempotency`, `trace` | callers, keys, request ids |
//! | `connection`, `progress`, `pace` | one connection, what it waits for, and how long |
//! | `lane` | the short way of the hot route: from its bytes to the engine and back |
//! | `refusing` | problems for what hyper cannot read |
//! | [`allocator`] | where memory comes from, and when it goes back |
//! | `fuzzing` | for fuzzing alone: the readers of what callers send, and the front as a whole |
//! | `checks`, `recovering` | whether work is taken, and what is said before it is |
//! | `openapi`, [`metrics`] | what the interface is, and how it does |

pub mod access;
mod admission;
pub mod allocator;
mod answer;
pub mod app;
mod audited;
mod auth;
mod checks;
pub mod cli;
mod connection;
pub mod demo;
mod error;
mod etag;
mod extract;
mod fields;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod idempotency;
mod json;
mod lane;
mod locale;
pub mod metrics;
mod openapi;
mod pace;
mod page;
mod progress;
mod recovering;
mod refusing;
mod routes;
pub mod serve;
mod text;
mod trace;
