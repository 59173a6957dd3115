//! One user's life, and a crash between any two steps of it.

use relampago_actors::user::{Authority, Command};
use relampago_actors::{Address, Message};

use crate::support::samples::id;
use crate::world::falls::{self, every_fall};
use crate::world::{Scene, World};

fn script(world: &mut World) -> Vec<falls::Scene> {
    let (ana, bea) = (Address::user(id("user", 0)), Address::user(id("user", 1)));
    let erase = Command::Erase { authority: Authority::Owner, if_version: None };
    let crowd = &mut world.crowd;
    let script = [
        crowd.register_at(ana, 0, Some("first")),
        crowd.register_at(bea, 1, None),
        crowd.move_to(bea, 0),
        crowd.move_to(ana, 2),
        crowd.move_to(bea, 0),
        (ana, erase, None),
        crowd.move_to(bea, 2),
    ];
    script.map(|(to, command, key)| falls::Scene::Ask(to, Message::User(command), key)).into()
}

#[test]
fn a_crash_between_any_two_steps_shares_and_strands_no_address() {
    let falls =
        every_fall(|seed| World::new(seed, Scene::People, false), script, World::let_newcomers_register);
    println!("{falls} crashes");
    assert!(falls > 50, "only {falls} crashes");
}
