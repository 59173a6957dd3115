//! A script, and a crash between any two steps of it that loses any number of the newest events.

use relampago_actors::{Address, Message, Millis};

use super::World;

/// When a crash comes.
#[derive(Clone, Copy, Debug)]
pub struct Fall {
    /// After so many steps.
    step: usize,
    /// So many of the events that were not durable yet had become so.
    kept: u64,
}

/// What a script is made of.
#[expect(clippy::large_enum_variant, reason = "a script has two dozen of them")]
pub enum Scene {
    /// A client asks this, under this key.
    Ask(Address, Message, Option<u128>),
    /// So much time passes, ms, and every deadline in it comes.
    Pass(Millis),
}

/// How far a life came.
enum Life {
    /// The crash was there.
    Fell,
    /// There were fewer events to keep.
    NothingToKeep,
    /// It was over before.
    Ended,
}

impl World {
    /// Carries on until nothing is under way; the steps made, or how the crash came.
    fn carry_on(&mut self, mut steps: usize, fall: Fall) -> Result<usize, Life> {
        loop {
            if steps == fall.step {
                let (durable, last) = (self.desk.log.durable(), self.desk.log.last());
                if durable + fall.kept > last {
                    return Err(Life::NothingToKeep);
                }
                self.desk.log.make_durable(durable + fall.kept);
                self.crash();
                return Err(Life::Fell);
            }
            if !self.desk.post.is_empty() {
                self.deliver();
            } else if !self.desk.calls.is_empty() {
                self.desk.log.make_durable(self.desk.log.last());
                self.call_provider(false);
            } else if self.is_due() {
                self.ring_alarm();
            } else {
                self.desk.log.make_durable(self.desk.log.last());
                self.answer();
                return Ok(steps);
            }
            steps += 1;
        }
    }

    fn is_due(&self) -> bool {
        let due = |deadline| deadline <= self.desk.now;
        self.residents.values().any(|any| any.deadline().is_some_and(due))
    }

    fn live(&mut self, script: Vec<Scene>, fall: Fall) -> Life {
        let (mut steps, mut life) = (0, Life::Ended);
        for scene in script {
            match scene {
                Scene::Ask(to, message, key) => self.clients.request(to, message, key, &mut self.desk.post),
                Scene::Pass(time) => self.desk.now += time,
            }
            match life {
                Life::Ended => match self.carry_on(steps, fall) {
                    Ok(made) => steps = made,
                    Err(Life::NothingToKeep) => return Life::NothingToKeep,
                    Err(end) => {
                        life = end;
                        self.come_to_rest();
                    }
                },
                _ => self.come_to_rest(),
            }
        }
        life
    }
}

/// Plays a script once for every crash that there can be in it, each in a world of its own, and lets `look` see how
/// it ends; the number of crashes.
pub fn every_fall(
    begin: impl Fn(u64) -> World,
    script: impl Fn(&mut World) -> Vec<Scene>,
    look: impl Fn(&mut World),
) -> usize {
    let mut falls = 0;
    for step in 0.. {
        for kept in 0.. {
            let (mut world, fall) = (begin(step as u64), Fall { step, kept });
            let announce = Announce(fall);
            let script = script(&mut world);
            match world.live(script, fall) {
                Life::NothingToKeep => break,
                Life::Ended => return falls,
                Life::Fell => falls += 1,
            }
            world.audit();
            look(&mut world);
            world.let_everything_end();
            world.audit();
            drop(announce);
        }
    }
    falls
}

/// Says which crash it was.
struct Announce(Fall);

impl Drop for Announce {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the script fails with {:?}", self.0);
        }
    }
}
