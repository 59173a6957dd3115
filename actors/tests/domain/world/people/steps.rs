//! One user's life, and a crash between any two steps of it that loses any number of the newest events.

use relampago_actors::user::{Authority, Command};
use relampago_actors::{Address, Message};

use crate::support::samples::id;
use crate::world::{Scene, World};

/// When a crash comes.
#[derive(Clone, Copy)]
struct Fall {
    /// After so many steps.
    step: usize,
    /// So many of the events that were not durable yet had become so.
    kept: u64,
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
    /// Carries on until nothing is under way; the steps made, or `None` if the crash came.
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
            } else {
                self.desk.log.make_durable(self.desk.log.last());
                self.answer();
                return Ok(steps);
            }
            steps += 1;
        }
    }

    fn live(&mut self, fall: Fall) -> Life {
        let (ana, bea) = (Address::user(id("user", 0)), Address::user(id("user", 1)));
        let erase = Command::Erase { authority: Authority::Owner, if_version: None };
        let crowd = &mut self.crowd;
        let script = [
            crowd.register_at(ana, 0, Some("first")),
            crowd.register_at(bea, 1, None),
            crowd.move_to(bea, 0),
            crowd.move_to(ana, 2),
            crowd.move_to(bea, 0),
            (ana, erase, None),
            crowd.move_to(bea, 2),
        ];
        let (mut steps, mut life) = (0, Life::Ended);
        for (to, command, key) in script {
            self.clients.request(to, Message::User(command), key, &mut self.desk.post);
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

#[test]
fn a_crash_between_any_two_steps_shares_and_strands_no_address() {
    let mut falls = 0;
    'steps: for step in 0.. {
        for kept in 0.. {
            let mut world = World::new(step as u64, Scene::People, false);
            match world.live(Fall { step, kept }) {
                Life::NothingToKeep => break,
                Life::Ended => break 'steps,
                Life::Fell => falls += 1,
            }
            world.audit();
            world.let_newcomers_register();
            world.let_everything_end();
            world.audit();
        }
    }
    println!("{falls} crashes");
    assert!(falls > 50, "only {falls} crashes");
}
