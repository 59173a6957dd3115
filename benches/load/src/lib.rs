//! The load generator of Relámpago: shoppers who know the shop's REST interface and nothing else of it.
//!
//! | module | what it holds |
//! | --- | --- |
//! | [`target`] | where the server listens, changeable while shoppers run, so that a server may be killed under them |
//! | [`tls`] | TLS to the server: whom the generator trusts |
//! | `stream` | the bytes between a client and the server, plain or within TLS |
//! | [`message`] | one request and one answer |
//! | [`client`] | an HTTP/1.1 keep-alive client that reconnects, and retries a request until it is answered |
//! | [`wire`] | the entities as the REST interface writes them; money stays the decimal string it came as |
//! | [`sale`] | a flash sale: a closed loop of shoppers, one connection each |
//! | [`scenario`] | scenario files: what people do, how many of them, and what must hold |
//! | [`run`] | runs them: arrivals, connections, steps, what is watched meanwhile |
//! | [`ledger`] | everything the server acknowledged to them |
//! | [`report`] | throughput, latency percentiles a step, answers by kind |
//! | [`record`] | what a worker writes down of its requests: histograms by step and outcome, one series a second |
//! | [`summary`] | the JSON document of a run, its text for a terminal, and the thresholds that decide |
//! | [`html`] | the same as one page with pictures |
//! | [`compare`] | two runs beside each other, and what differs by more than chance |
//! | [`decimal`] | amounts of money as numbers, never as floats |
//! | [`audit`] | the verdict: what the API shows afterwards against the ledger |
//!
//! The crate imports no other crate of the workspace: what it finds out, any storefront could.

pub mod audit;
pub mod client;
pub mod compare;
pub mod decimal;
pub mod html;
pub mod ledger;
pub mod message;
pub mod record;
pub mod report;
pub mod rng;
pub mod run;
pub mod sale;
pub mod scenario;
mod shopper;
mod stream;
pub mod summary;
pub mod target;
pub mod tls;
mod verify;
pub mod wire;

pub use client::{Client, ClientError};
pub use hyper::Method;
pub use ledger::Ledger;
pub use message::{Answer, Request};
pub use report::Report;
pub use rng::Rng;
pub use sale::{Mix, Progress, Sale, SalePlan, Until};
pub use target::Target;
