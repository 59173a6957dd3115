//! The embedded payment provider: decides by the card token, charges once however often it is asked.
//!
//! | token | what happens |
//! | --- | --- |
//! | none, `tok_approve` | approved |
//! | `tok_decline` | declined, `card_declined` |
//! | `tok_insufficient_funds` | declined, `insufficient_funds` |
//! | `tok_delay_<ms>` | approved after so long |
//! | `tok_timeout` | never answers |
//! | `tok_lost` | charges, and loses the first answer |
//! | `tok_late_<ms>` | "pending"; approves on its own after so long |
//! | `tok_action` | wants the buyer to act; approved once confirmed |
//! | `tok_refund_fail` | approved; refunds are declined, `refund_declined` |

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use relampago_actors::Id;
use relampago_actors::payment::{Asked, GatewayAnswer, GatewayCall, Operation};
use rustc_hash::FxHashMap;

use crate::{Answering, Gateway, LateAnswer, LateAnswers};

/// The longest delay a token can ask for, ms.
const LONGEST_MS: u64 = 600_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    Pending,
    ActionRequired,
    Authorized,
    Charged,
    Voided,
}

#[derive(Clone, Debug)]
struct Charge {
    standing: Standing,
    manual: bool,
    refuses_refunds: bool,
}

type Charges = Arc<Mutex<FxHashMap<Id, Charge>>>;

/// The embedded payment provider. What it knows is lost with the process, as if the provider had never been
/// asked: a repeated charge is then decided anew, by the same token.
#[derive(Debug)]
pub struct Simulator {
    charges: Charges,
    late: LateAnswers,
}

impl Simulator {
    /// A provider that sends what it decides later to `late`.
    #[must_use]
    pub fn new(late: LateAnswers) -> Self {
        Self { charges: Charges::default(), late }
    }

    async fn charge(&self, payment: Id, token: Option<String>, manual: bool) -> GatewayAnswer {
        let token = token.unwrap_or_else(|| "tok_approve".to_owned());
        if let Some(known) = self.charges.lock().get(&payment) {
            return standing_answer(known.standing);
        }
        match token.as_str() {
            "tok_decline" => return declined("card_declined"),
            "tok_insufficient_funds" => return declined("insufficient_funds"),
            "tok_timeout" => return std::future::pending().await,
            "tok_action" => return self.note(payment, Standing::ActionRequired, manual, false),
            "tok_lost" => {
                self.note(payment, charged(manual), manual, false);
                return std::future::pending().await;
            }
            _ => {}
        }
        if let Some(delay) = delay_of(&token, "tok_late_") {
            self.decide_later(payment, manual, delay);
            return self.note(payment, Standing::Pending, manual, false);
        }
        if let Some(delay) = delay_of(&token, "tok_delay_") {
            tokio::time::sleep(delay).await;
            if let Some(known) = self.charges.lock().get(&payment) {
                return standing_answer(known.standing);
            }
        }
        self.note(payment, charged(manual), manual, token == "tok_refund_fail")
    }

    fn note(&self, payment: Id, standing: Standing, manual: bool, refuses_refunds: bool) -> GatewayAnswer {
        self.charges.lock().insert(payment, Charge { standing, manual, refuses_refunds });
        standing_answer(standing)
    }

    fn decide_later(&self, payment: Id, manual: bool, delay: Duration) {
        let (charges, late) = (Arc::clone(&self.charges), self.late.clone());
        let decision = async move {
            tokio::time::sleep(delay).await;
            let answer = {
                let mut charges = charges.lock();
                let Some(charge) = charges.get_mut(&payment) else { return };
                if charge.standing != Standing::Pending {
                    return;
                }
                charge.standing = charged(manual);
                standing_answer(charge.standing)
            };
            // Nobody listens once the engine is gone; it asks again when it is back.
            let _gone = late.send(LateAnswer { payment, asked: Asked::Charge, answer }).await;
        };
        #[expect(clippy::disallowed_methods, reason = "ends by itself, at the latest after LONGEST_MS")]
        tokio::spawn(decision);
    }

    fn go_on(&self, payment: Id, from: Standing, capture: bool) -> GatewayAnswer {
        let mut charges = self.charges.lock();
        // Unknown after a restart: it was there, or the engine would not go on with it.
        let charge = charges.entry(payment).or_insert(Charge {
            standing: from,
            manual: false,
            refuses_refunds: false,
        });
        if charge.standing == from {
            charge.standing = if capture { Standing::Charged } else { charged(charge.manual) };
        }
        standing_answer(charge.standing)
    }

    fn void(&self, payment: Id) -> GatewayAnswer {
        let voided = Charge { standing: Standing::Voided, manual: false, refuses_refunds: false };
        self.charges.lock().insert(payment, voided);
        GatewayAnswer::Done
    }

    fn refund(&self, payment: Id) -> GatewayAnswer {
        match self.charges.lock().get(&payment) {
            Some(charge) if charge.refuses_refunds => declined("refund_declined"),
            _ => GatewayAnswer::Done,
        }
    }
}

impl Gateway for Simulator {
    fn name(&self) -> &'static str {
        "simulator"
    }

    fn call(&self, call: GatewayCall) -> Answering<'_> {
        Box::pin(async move {
            let payment = call.payment;
            match call.operation {
                Operation::Charge { token, manual, .. } => self.charge(payment, token, manual).await,
                Operation::Confirm => self.go_on(payment, Standing::ActionRequired, false),
                Operation::Capture => self.go_on(payment, Standing::Authorized, true),
                Operation::Void => self.void(payment),
                Operation::Refund { .. } => self.refund(payment),
            }
        })
    }
}

fn charged(manual: bool) -> Standing {
    if manual { Standing::Authorized } else { Standing::Charged }
}

fn standing_answer(standing: Standing) -> GatewayAnswer {
    match standing {
        Standing::Pending => GatewayAnswer::Pending,
        Standing::ActionRequired => GatewayAnswer::ActionRequired,
        Standing::Authorized => GatewayAnswer::Authorized,
        Standing::Charged => GatewayAnswer::Done,
        Standing::Voided => declined("voided"),
    }
}

fn declined(code: &str) -> GatewayAnswer {
    GatewayAnswer::Declined { code: code.to_owned() }
}

fn delay_of(token: &str, prefix: &str) -> Option<Duration> {
    let ms = token.strip_prefix(prefix)?.parse::<u64>().ok()?;
    Some(Duration::from_millis(ms.min(LONGEST_MS)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use relampago_actors::money::Currency;
    use relampago_actors::payment::Method;
    use tokio::sync::mpsc;

    use super::*;

    fn charge(payment: u128, token: &str, manual: bool) -> GatewayCall {
        let operation = Operation::Charge {
            amount: 100,
            currency: Currency::USD,
            method: Method::CreditCard,
            token: Some(token.to_owned()),
            manual,
        };
        GatewayCall { payment: Id(payment), operation }
    }

    fn simulator() -> (Simulator, mpsc::Receiver<LateAnswer>) {
        let (late, answers) = mpsc::channel(8);
        (Simulator::new(late), answers)
    }

    #[tokio::test(start_paused = true)]
    async fn tokens_decide() {
        let (simulator, _answers) = simulator();
        let table = [
            ("tok_approve", GatewayAnswer::Done),
            ("tok_visa", GatewayAnswer::Done),
            ("tok_decline", declined("card_declined")),
            ("tok_insufficient_funds", declined("insufficient_funds")),
            ("tok_delay_5000", GatewayAnswer::Done),
            ("tok_late_5000", GatewayAnswer::Pending),
            ("tok_action", GatewayAnswer::ActionRequired),
        ];
        for (payment, (token, expected)) in (0..).zip(table) {
            assert_eq!(simulator.call(charge(payment, token, false)).await, expected, "{token}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_lost_answer_is_learnt_by_asking_again() {
        let (simulator, _answers) = simulator();
        let first = simulator.call(charge(1, "tok_lost", false));
        tokio::time::timeout(Duration::from_secs(5), first).await.unwrap_err();
        assert_eq!(simulator.call(charge(1, "tok_lost", false)).await, GatewayAnswer::Done);
    }

    #[tokio::test(start_paused = true)]
    async fn a_void_comes_before_a_late_approval() {
        let (simulator, mut answers) = simulator();
        simulator.call(charge(1, "tok_late_1000", false)).await;
        simulator.call(charge(2, "tok_late_1000", false)).await;
        let void = GatewayCall { payment: Id(1), operation: Operation::Void };
        assert_eq!(simulator.call(void).await, GatewayAnswer::Done);
        let late = answers.recv().await.unwrap();
        assert_eq!((late.payment, late.answer), (Id(2), GatewayAnswer::Done));
        drop(simulator);
        assert_eq!(answers.recv().await, None, "the voided one says nothing");
    }

    #[tokio::test(start_paused = true)]
    async fn manual_charges_are_captured() {
        let (simulator, _answers) = simulator();
        assert_eq!(simulator.call(charge(1, "tok_approve", true)).await, GatewayAnswer::Authorized);
        let capture = GatewayCall { payment: Id(1), operation: Operation::Capture };
        assert_eq!(simulator.call(capture.clone()).await, GatewayAnswer::Done);
        assert_eq!(simulator.call(capture).await, GatewayAnswer::Done);
    }
}
