//! A payment provider: idempotent by payment, unreliable in every other way.

use std::collections::BTreeMap;

use relampago_actors::Id;
use relampago_actors::payment::{Asked, GatewayAnswer, GatewayCall, Operation};

use super::dice::Dice;

/// What it will say to a payment in the end.
#[derive(Clone, Copy, Debug)]
enum Plan {
    AtOnce { approve: bool },
    Later { approve: bool },
    AfterAction { approve: bool },
}

/// What it has done for a payment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    Untouched,
    Pending,
    ActionRequired,
    Authorized,
    Charged,
    Declined,
    Voided,
}

/// Its books of one payment.
#[derive(Debug)]
pub struct Account {
    plan: Plan,
    pub standing: Standing,
    manual: bool,
    amount: i64,
    /// By number: the amount, and whether it was given back.
    refunds: BTreeMap<u32, (i64, bool)>,
}

impl Account {
    fn new(dice: &mut Dice) -> Self {
        let approve = dice.percent(75);
        let plan = match dice.weighted(&[6, 2, 2]) {
            0 => Plan::AtOnce { approve },
            1 => Plan::Later { approve },
            _ => Plan::AfterAction { approve },
        };
        Self { plan, standing: Standing::Untouched, manual: false, amount: 0, refunds: BTreeMap::new() }
    }

    /// What it keeps of the buyer's money, minor units.
    pub fn kept(&self) -> i64 {
        match self.standing {
            Standing::Charged => self.amount - self.given_back(),
            _ => 0,
        }
    }

    pub fn given_back(&self) -> i64 {
        self.refunds.values().filter(|(_, done)| *done).map(|(amount, _)| amount).sum()
    }

    fn decide(&mut self, approve: bool) {
        self.standing = match (approve, self.manual) {
            (false, _) => Standing::Declined,
            (true, true) => Standing::Authorized,
            (true, false) => Standing::Charged,
        };
    }

    fn answer(&self) -> GatewayAnswer {
        match self.standing {
            Standing::Untouched | Standing::Pending => GatewayAnswer::Pending,
            Standing::ActionRequired => GatewayAnswer::ActionRequired,
            Standing::Authorized => GatewayAnswer::Authorized,
            Standing::Charged => GatewayAnswer::Done,
            Standing::Declined | Standing::Voided => GatewayAnswer::Declined { code: "declined".into() },
        }
    }

    fn carry_out(&mut self, operation: &Operation, dice: &mut Dice) -> GatewayAnswer {
        match operation {
            Operation::Charge { amount, manual, .. } if self.standing == Standing::Untouched => {
                (self.amount, self.manual) = (*amount, *manual);
                match self.plan {
                    Plan::AtOnce { approve } => self.decide(approve),
                    Plan::Later { .. } => self.standing = Standing::Pending,
                    Plan::AfterAction { .. } => self.standing = Standing::ActionRequired,
                }
            }
            Operation::Charge { amount, .. } => {
                assert!(self.amount == *amount || self.standing == Standing::Voided, "another amount");
            }
            Operation::Confirm => {
                if let (Standing::ActionRequired, Plan::AfterAction { approve }) = (self.standing, self.plan)
                {
                    self.decide(approve);
                }
            }
            Operation::Capture if self.standing == Standing::Authorized => {
                if dice.percent(20) {
                    return GatewayAnswer::Declined { code: "capture_refused".into() };
                }
                self.standing = Standing::Charged;
            }
            Operation::Capture => {}
            Operation::Void => {
                // Also of a charge that is still under way to it: that one comes to nothing.
                self.standing = Standing::Voided;
                return GatewayAnswer::Done;
            }
            Operation::Refund { number, amount } => return self.refund(*number, *amount, dice),
        }
        self.answer()
    }

    fn refund(&mut self, number: u32, amount: i64, dice: &mut Dice) -> GatewayAnswer {
        assert_eq!(self.standing, Standing::Charged, "a refund of what was not charged");
        let (before, done) = *self.refunds.entry(number).or_insert((amount, dice.percent(60)));
        assert_eq!(before, amount, "refund {number} was asked for with another amount");
        assert!(self.kept() >= 0, "more was given back than was paid");
        if done { GatewayAnswer::Done } else { GatewayAnswer::Declined { code: "refund_refused".into() } }
    }
}

#[derive(Default)]
pub struct Provider {
    pub accounts: BTreeMap<Id, Account>,
}

impl Provider {
    /// Carries a call out.
    pub fn call(&mut self, call: &GatewayCall, dice: &mut Dice) -> GatewayAnswer {
        let account = self.accounts.entry(call.payment).or_insert_with(|| Account::new(dice));
        account.carry_out(&call.operation, dice)
    }

    /// Decides a payment that it wanted to decide later, and says so unasked.
    pub fn decide_one(&mut self, dice: &mut Dice) -> Option<(Id, Asked, GatewayAnswer)> {
        let open = |(_, account): &(&Id, &mut Account)| account.standing == Standing::Pending;
        let mut open: Vec<_> = self.accounts.iter_mut().filter(open).collect();
        if open.is_empty() {
            return None;
        }
        let index = dice.below(open.len());
        let (payment, account) = &mut open[index];
        if let Plan::Later { approve } = account.plan {
            account.decide(approve);
        }
        Some((**payment, Asked::Charge, account.answer()))
    }
}
