//! Drives one entity as the engine does: decide, stamp, apply, answer.

use relampago_actors::{
    Address, Answer, Context, Decision, Effect, Entity, Id, Message, Millis, Rejection, Reply, Stamp,
};

use super::samples::POLICY;
use super::shelf::Shelf;

/// What the one who asked got.
#[derive(Debug, PartialEq)]
pub enum Said {
    /// Nobody waits for an answer.
    Nothing,
    /// The question stays open.
    Waits,
    Yes(Reply),
    /// The same as before.
    Again(Reply),
    No(Rejection),
    /// Somebody else answers.
    HandedOver(Address, Message),
}

/// What a command came to.
#[derive(Debug)]
pub struct Outcome<E: Entity> {
    pub events: Vec<E::Event>,
    pub effects: Vec<Effect>,
    pub said: Said,
}

/// An entity, its journal and the world it decides in.
#[derive(Clone, Debug)]
pub struct Driver<E: Entity> {
    pub state: E,
    pub now: Millis,
    id: Id,
    log: Vec<(E::Event, Stamp)>,
}

impl<E: Entity> Driver<E> {
    pub fn new(id: Id, now: Millis) -> Self {
        Self { state: E::blank(id), now, id, log: Vec::new() }
    }

    /// Carries a command out.
    pub fn ask(&mut self, command: E::Command, shelf: &Shelf) -> Outcome<E> {
        let decision = self.state.decide(command, &Context::new(self.now, shelf, &POLICY));
        self.carry_out(decision, shelf)
    }

    /// Lets the time of its deadline come.
    pub fn expire(&mut self, shelf: &Shelf) -> Outcome<E> {
        self.now = self.now.max(self.state.deadline().unwrap_or(0));
        let decision = self.state.expire(&Context::new(self.now, shelf, &POLICY));
        self.carry_out(decision, shelf)
    }

    fn carry_out(&mut self, decision: Decision<E>, shelf: &Shelf) -> Outcome<E> {
        let Decision { events, effects, answer } = decision;
        for event in &events {
            let stamp = Stamp { sequence: self.log.len() as u64 + 1, at: self.now };
            self.log.push((event.clone(), stamp));
            self.state.apply(event.clone(), stamp);
        }
        let cx = Context::new(self.now, shelf, &POLICY);
        let said = match answer {
            Answer::Nothing => Said::Nothing,
            Answer::Reject(rejection) => Said::No(rejection),
            Answer::HandOver(to, message) => Said::HandedOver(to, message),
            Answer::Settle(ask) => said(self.state.answer(&ask, &cx), Said::Yes),
            Answer::Replay(ask) => said(self.state.answer(&ask, &cx), Said::Again),
        };
        Outcome { events: events.into_vec(), effects, said }
    }

    /// The state that the recorded events come to.
    pub fn replayed(&self) -> E {
        self.log.iter().fold(E::blank(self.id), |mut state, (event, stamp)| {
            state.apply(event.clone(), *stamp);
            state
        })
    }

    /// The state after it was written and read.
    pub fn thawed(&self) -> E {
        let config = bincode::config::standard();
        let bytes = bincode::serde::encode_to_vec(&self.state, config).unwrap();
        bincode::serde::decode_from_slice(&bytes, config).unwrap().0
    }
}

fn said(answer: Option<Result<Reply, Rejection>>, yes: impl Fn(Reply) -> Said) -> Said {
    match answer {
        None => Said::Waits,
        Some(Ok(reply)) => yes(reply),
        Some(Err(rejection)) => Said::No(rejection),
    }
}
