//! What happens in a world, and how likely each thing is: every world has its own weather.

use super::dice::Dice;

/// One thing that can happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// A message arrives.
    Deliver,
    /// A message that arrived before arrives once more.
    Echo,
    /// Somebody has a wish.
    Want,
    /// A client repeats a request.
    AskAgain,
    /// More of the journal becomes durable.
    BecomeDurable,
    /// A call on the outside leaves.
    CallProvider,
    /// The provider says unasked what it has decided.
    ProviderDecides,
    /// Some time passes.
    Tick,
    /// A deadline that has passed is noticed.
    RingAlarm,
    /// What somebody owes is sent again.
    Redrive,
    /// An entity's actor dies and comes back.
    Reload,
    /// A snapshot is taken.
    Snapshot,
    /// Much time passes.
    Jump,
    /// Everything that is not durable is lost.
    Crash,
}

/// Busy mailboxes or quick ones, slow disks, many crashes or none: the weights that each thing may have.
const CLIMATE: [(Turn, [usize; 3]); 14] = [
    (Turn::Deliver, [100, 250, 600]),
    (Turn::Echo, [0, 20, 100]),
    (Turn::Want, [60, 120, 200]),
    (Turn::AskAgain, [10, 50, 150]),
    (Turn::BecomeDurable, [20, 60, 150]),
    (Turn::CallProvider, [20, 60, 150]),
    (Turn::ProviderDecides, [4, 12, 40]),
    (Turn::Tick, [10, 30, 60]),
    (Turn::RingAlarm, [10, 25, 60]),
    (Turn::Redrive, [0, 15, 60]),
    (Turn::Reload, [0, 8, 30]),
    (Turn::Snapshot, [5, 20, 40]),
    (Turn::Jump, [0, 1, 6]),
    (Turn::Crash, [0, 2, 8]),
];

/// How likely each thing is in one world.
pub struct Weather([usize; CLIMATE.len()]);

impl Weather {
    pub fn new(dice: &mut Dice) -> Self {
        Self(CLIMATE.map(|(_, weights)| weights[dice.below(weights.len())]))
    }

    /// What happens next.
    pub fn turn(&self, dice: &mut Dice) -> Turn {
        CLIMATE[dice.weighted(&self.0)].0
    }
}
