//! Ports to the outside world, each with an embedded default.

mod mail;
mod simulator;

use std::future::Future;
use std::pin::Pin;

use relampago_actors::Id;
use relampago_actors::payment::{Asked, GatewayAnswer, GatewayCall};
use tokio::sync::mpsc;

pub use mail::{Letter, Mailbox, NotTaken, Post, Posting};
pub use simulator::Simulator;

/// A decision that a provider makes on its own, after it has answered "pending".
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LateAnswer {
    /// The payment.
    pub payment: Id,
    /// What was asked.
    pub asked: Asked,
    /// What it says.
    pub answer: GatewayAnswer,
}

/// Where a provider sends its late answers.
pub type LateAnswers = mpsc::Sender<LateAnswer>;

/// An answer that is on its way.
pub type Answering<'a> = Pin<Box<dyn Future<Output = GatewayAnswer> + Send + 'a>>;

/// A payment provider.
///
/// Every operation may be asked again under the same payment id (and refund number): a provider does it
/// once, and a repetition learns what came of it.
pub trait Gateway: Send + Sync {
    /// Its name, as payments show it.
    fn name(&self) -> &'static str;

    /// Asks it. May never answer: the caller gives up after a time.
    fn call(&self, call: GatewayCall) -> Answering<'_>;
}
