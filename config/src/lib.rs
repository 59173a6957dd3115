//! Settings: `default.toml`, a file, the environment and flags, merged raw and then checked once.
//!
//! | module | what it holds |
//! | --- | --- |
//! | [`settings`](Settings) | the checked values that the rest of the program reads |
//! | `layers` | the four sources, merged into text by dotted key, each value with its origin |
//! | `reader` | text to typed values within bounds; collects every fault before it gives up |
//! | `check` | which keys exist, their bounds, and the rules between them |
//! | `production` | what development accepts and production refuses |
//! | `strength` | whether a secret can be guessed |
//! | `show` | settings as TOML, secrets left out |
//! | `units`, `secret`, `error` | sizes and durations as text, redacted text, what can go wrong |

mod check;
mod error;
mod layers;
mod production;
mod reader;
mod secret;
mod settings;
mod show;
mod strength;
mod units;

pub use error::{ConfigError, Fault, Risk};
pub use layers::Flags;
pub use secret::Secret;
pub use settings::{
    Auth, Carts, Configuration, Data, Engine, Journal, Locale, Log, LogFormat, Mail, Orders, Payments,
    Profile, Security, Server, Settings, Shop,
};
pub use strength::Weakness;
