//! Settings: `default.toml`, a file, the environment and flags, merged raw and then checked once.
//!
//! | module | what it holds |
//! | --- | --- |
//! | [`settings`](Settings) | the checked values that the rest of the program reads |
//! | `layers` | the four sources, merged into text by dotted key, each value with its origin |
//! | `reader` | text to typed values within bounds; collects every fault before it gives up |
//! | `check` | which keys exist, their bounds, and the rules between them |
//! | `show` | settings as TOML, secrets left out |
//! | `units`, `secret`, `error` | sizes and durations as text, redacted text, what can go wrong |

mod check;
mod error;
mod layers;
mod reader;
mod secret;
mod settings;
mod show;
mod units;

pub use error::{ConfigError, Fault};
pub use layers::Flags;
pub use secret::Secret;
pub use settings::{
    Auth, Carts, Data, Engine, Journal, Locale, Log, LogFormat, Orders, Payments, Server, Settings, Shop,
};
