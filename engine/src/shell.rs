//! The one actor that hosts any entity.
//!
//! A shell lives longer than what it hosts: when its entity leaves memory it is free for the next one, since
//! starting an actor costs more than everything an order does.

use std::ops::ControlFlow;
use std::sync::Arc;

use ractor::{Actor, ActorCell, ActorProcessingErr, ActorRef, ActorRuntime, SupervisionEvent};
use relampago_actors::{Address, Sequence, Stamp};
use relampago_snapshots::StorageError;

use crate::hosting::{self, Hosted};
use crate::node::Node;
use crate::record;
use crate::region::{Broken, Envelope, Gate, Input, Origin, Resting};

/// What comes to a shell.
pub(crate) enum ShellMessage {
    /// It is to host an entity from now on, and to begin with a message.
    Host { gate: Arc<Gate>, origin: Origin, first: Box<Envelope> },
    /// For the entity.
    Deliver(Box<Envelope>),
    /// The entity's state is to be stored.
    Snapshot,
    /// The entity may leave memory if nothing is going on.
    Retire,
}

/// The behaviour of every shell.
pub(crate) struct Shell {
    node: Arc<Node>,
}

/// The entity that a shell hosts.
pub(crate) struct Hosting {
    gate: Arc<Gate>,
    hosted: Box<dyn Hosted>,
}

/// Starts a shell under the supervisor; `None` while the runtime shuts down.
pub(crate) fn spawn(node: Arc<Node>, supervisor: ActorCell) -> Option<ActorRef<ShellMessage>> {
    match ActorRuntime::spawn_linked_instant(None, Shell { node }, (), supervisor) {
        Ok((actor, _started)) => Some(actor),
        Err(error) => {
            tracing::error!(%error, "an actor could not be started");
            None
        }
    }
}

impl Actor for Shell {
    type Msg = ShellMessage;
    type State = Option<Hosting>;
    type Arguments = ();

    async fn pre_start(&self, _me: ActorRef<ShellMessage>, _: ()) -> Result<Self::State, ActorProcessingErr> {
        Ok(None)
    }

    async fn handle(
        &self,
        _me: ActorRef<ShellMessage>,
        message: ShellMessage,
        state: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            ShellMessage::Host { gate, origin, first } => {
                *state = Some(self.host(gate, origin).await?);
                self.deliver(first, state);
            }
            ShellMessage::Deliver(envelope) => self.deliver(envelope, state),
            ShellMessage::Snapshot => self.snapshot(state),
            ShellMessage::Retire => {
                let idle = state.as_ref().is_some_and(|hosting| hosting.hosted.idle());
                self.leave_if(state, idle);
            }
        }
        Ok(())
    }
}

impl Shell {
    fn deliver(&self, envelope: Box<Envelope>, state: &mut Option<Hosting>) {
        let Some(Hosting { gate, hosted }) = state else { return };
        let redriven = matches!(envelope.input, Input::Redrive);
        gate.begin(self.node.committer.next(), self.node.clock.now());
        hosted.handle(envelope, &self.node);
        gate.settle(hosted.sequence());
        if redriven && hosted.idle() {
            gate.set_quiet();
        }
        let rest = hosted.at_rest();
        self.leave_if(state, rest);
    }

    /// Ends the handling of a message; the entity leaves memory if it may and no other message waits.
    fn leave_if(&self, state: &mut Option<Hosting>, may: bool) {
        let Some(Hosting { gate, hosted }) = state else { return };
        if may && self.node.region.retire(gate, hosted.as_ref(), &self.node) {
            *state = None;
        } else {
            gate.done();
        }
    }

    fn snapshot(&self, state: &mut Option<Hosting>) {
        let Some(Hosting { gate, hosted }) = state else { return };
        if let Some(uncovered) = gate.uncovered() {
            match hosted.pack() {
                Ok(packed) => {
                    let (covers, size) = (packed.covers, packed.state().len());
                    self.node.region.rest(gate.at, Resting { packed: Arc::new(packed), uncovered });
                    gate.covered(covers, hosted.sequence(), size);
                }
                Err(error) => tracing::error!(entity = ?gate.at, %error, "a state could not be encoded"),
            }
        }
        gate.done();
    }

    async fn host(&self, gate: Arc<Gate>, origin: Origin) -> Result<Hosting, ActorProcessingErr> {
        let loaded = match origin {
            Origin::Resting(Resting { packed, .. }) => {
                hosting::load(gate.at, Some((packed.covers, packed.state()))).map_err(Into::into)
            }
            Origin::Store => self.load(&gate),
            // Boxed: every actor would hold the room for it, and hardly any ever needs it.
            Origin::Rebuild(broken) => Box::pin(self.rebuild(&gate, broken)).await,
        };
        match loaded {
            Ok(hosted) => Ok(Hosting { gate, hosted }),
            Err(error) => {
                // An entity that cannot be read must not seem blank: the node stops.
                self.node.failure.set(format!("{:?} cannot be loaded: {error}", gate.at));
                Err(error)
            }
        }
    }

    fn load(&self, gate: &Gate) -> Result<Box<dyn Hosted>, ActorProcessingErr> {
        let Some(stored) = self.node.store.get(&gate.at.key())? else {
            return Ok(hosting::load(gate.at, None)?);
        };
        let hosted = hosting::load(gate.at, Some((stored.covers, &stored.state)))?;
        gate.covered(stored.covers, stored.covers, stored.state.len());
        Ok(hosted)
    }

    /// After a death: the last stored state, and every event since, those just submitted included.
    async fn rebuild(&self, gate: &Gate, broken: Broken) -> Result<Box<dyn Hosted>, ActorProcessingErr> {
        if !self.node.committer.reached(broken.until).await {
            return Err("the journal has failed".into());
        }
        let (node, at) = (Arc::clone(&self.node), gate.at);
        let rebuilt = tokio::task::spawn_blocking(move || -> Result<_, ActorProcessingErr> {
            let resting = node.region.resting_at(at).map(|resting| resting.packed);
            let mut hosted = match resting {
                Some(packed) => hosting::load(at, Some((packed.covers, packed.state())))?,
                None => {
                    let stored = node.store.get(&at.key())?;
                    hosting::load(at, stored.as_ref().map(|found| (found.covers, &*found.state)))?
                }
            };
            let covers = hosted.sequence();
            catch_up(at, broken.uncovered, hosted.as_mut(), &node)?;
            hosted.publish(&node);
            Ok((hosted, covers))
        });
        let (hosted, covers) = rebuilt.await??;
        // Only now: until here no event of it may be cut from the journal.
        gate.covered(covers, hosted.sequence(), 0);
        Ok(hosted)
    }
}

/// Applies the journal's events of one entity that are not yet in its state.
fn catch_up(
    at: Address,
    uncovered: Sequence,
    hosted: &mut dyn Hosted,
    node: &Node,
) -> Result<(), ActorProcessingErr> {
    // If that was cut after all, the archive has it or the replay fails: nothing is skipped.
    let from = (hosted.sequence() + 1).max(uncovered);
    let mut outcome = Ok(());
    let replayed: Result<(), StorageError> = node.journal.replay(from, &mut |sequence, bytes| {
        let Some(parts) = record::parse(bytes).filter(|parts| parts.at == at) else {
            return ControlFlow::Continue(());
        };
        outcome = hosted.replay(parts.event, Stamp { sequence, at: parts.time });
        if outcome.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    });
    replayed?;
    Ok(outcome?)
}

/// After so many deaths an entity is not made live again for what it owes.
const DEATHS_REDRIVEN: u32 = 3;

/// Watches over every shell: an entity whose actor died is rebuilt and goes on with what it owes.
pub(crate) struct Supervisor {
    pub(crate) node: Arc<Node>,
}

impl Actor for Supervisor {
    type Msg = ();
    type State = ();
    type Arguments = ();

    async fn pre_start(&self, _me: ActorRef<()>, _: ()) -> Result<(), ActorProcessingErr> {
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        _me: ActorRef<()>,
        event: SupervisionEvent,
        _state: &mut (),
    ) -> Result<(), ActorProcessingErr> {
        if let SupervisionEvent::ActorFailed(who, error) = event {
            let node = &self.node;
            tracing::error!(%error, "an actor failed");
            if let Some(at) = node.region.hosted_by(who.get_id()) {
                node.region.bury(at, who.get_id(), node);
                // One that dies again and again is left alone until somebody asks for it.
                if !node.failure.has_come() && node.region.deaths(at) <= DEATHS_REDRIVEN {
                    let redrive = Envelope::own(at, Input::Redrive);
                    node.region.deliver(redrive, node);
                }
            }
        }
        Ok(())
    }
}
