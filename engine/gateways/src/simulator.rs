//! The embedded payment provider: decides by the card token, charges once however often it is asked.
//!
//! | token | what happens |
//! | --- | --- |
//! | none, `tok_approve` | approved |
//! | `tok_decline` | declined, `card_declined` |
//! | `tok_insufficient_funds` | declined, `insufficient_funds` |
//! | `tok_delay_<ms>` | approved so long after the first call, however often it is asked meanwhile |
//! | `tok_timeout` | never answers |
//! | `tok_lost` | charges, and loses the first answer |
//! | `tok_late_<ms>` | "pending"; approves on its own after so long |
//! | `tok_action` | wants the buyer to act; approved once confirmed |
//! | `tok_refund_fail` | approved; refunds are declined, `refund_declined` |
//! | `tok_delay_`, `tok_late_` without a number | declined, `invalid_token` |
//! | any other | approved |
//!
//! A void is final: a charge that arrives after it is declined, `voided`.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use relampago_actors::Id;
use relampago_actors::payment::{Asked, GatewayAnswer, GatewayCall, Operation};
use rustc_hash::FxHashMap;
use tokio::time::Instant;

use crate::{Answering, Gateway, LateAnswer, LateAnswers};

/// The longest delay a token can ask for, ms.
const LONGEST_MS: u64 = 600_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// Charged from this moment on; the caller waits for it.
    Due(Instant),
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

/// What a token makes the provider do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Behaviour {
    Approve,
    ApproveAfter(Duration),
    ApproveLater(Duration),
    Decline(&'static str),
    NeverAnswer,
    LoseAnswer,
    WantAction,
    RefuseRefunds,
}

impl Behaviour {
    fn of(token: Option<&str>) -> Self {
        let Some(token) = token else { return Self::Approve };
        let timed = |ms: &str, behaviour: fn(Duration) -> Self| {
            let ms = ms.parse::<u64>().map(|ms| Duration::from_millis(ms.min(LONGEST_MS)));
            ms.map_or(Self::Decline("invalid_token"), behaviour)
        };
        if let Some(ms) = token.strip_prefix("tok_delay_") {
            return timed(ms, Self::ApproveAfter);
        }
        if let Some(ms) = token.strip_prefix("tok_late_") {
            return timed(ms, Self::ApproveLater);
        }
        match token {
            "tok_decline" => Self::Decline("card_declined"),
            "tok_insufficient_funds" => Self::Decline("insufficient_funds"),
            "tok_timeout" => Self::NeverAnswer,
            "tok_lost" => Self::LoseAnswer,
            "tok_action" => Self::WantAction,
            "tok_refund_fail" => Self::RefuseRefunds,
            _ => Self::Approve,
        }
    }
}

/// When a call is answered, and with what.
#[derive(Debug)]
enum Next {
    Answer(GatewayAnswer),
    At(Instant),
    Never,
}

impl From<Standing> for Next {
    fn from(standing: Standing) -> Self {
        match standing {
            Standing::Due(at) => Self::At(at),
            _ => Self::Answer(standing_answer(standing)),
        }
    }
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

    async fn charge(&self, payment: Id, token: Option<&str>, manual: bool) -> GatewayAnswer {
        match self.begin(payment, Behaviour::of(token), manual) {
            Next::Answer(answer) => answer,
            Next::Never => std::future::pending().await,
            Next::At(due) => {
                tokio::time::sleep_until(due).await;
                self.fall_due(payment)
            }
        }
    }

    /// Decides a charge unless it is known already, be it by its void alone.
    fn begin(&self, payment: Id, behaviour: Behaviour, manual: bool) -> Next {
        let mut charges = self.charges.lock();
        if let Some(known) = charges.get(&payment) {
            return known.standing.into();
        }
        let standing = match behaviour {
            Behaviour::Decline(code) => return Next::Answer(declined(code)),
            Behaviour::NeverAnswer => return Next::Never,
            Behaviour::WantAction => Standing::ActionRequired,
            Behaviour::ApproveAfter(delay) => Standing::Due(Instant::now() + delay),
            Behaviour::ApproveLater(delay) => {
                self.decide_later(payment, manual, delay);
                Standing::Pending
            }
            Behaviour::Approve | Behaviour::LoseAnswer | Behaviour::RefuseRefunds => charged(manual),
        };
        let refuses_refunds = behaviour == Behaviour::RefuseRefunds;
        charges.insert(payment, Charge { standing, manual, refuses_refunds });
        if behaviour == Behaviour::LoseAnswer { Next::Never } else { standing.into() }
    }

    /// A charge whose moment has come, unless it was voided meanwhile.
    fn fall_due(&self, payment: Id) -> GatewayAnswer {
        let mut charges = self.charges.lock();
        let Some(charge) = charges.get_mut(&payment) else { return GatewayAnswer::Pending };
        if matches!(charge.standing, Standing::Due(_)) {
            charge.standing = charged(charge.manual);
        }
        standing_answer(charge.standing)
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
                Operation::Charge { token, manual, .. } => {
                    self.charge(payment, token.as_deref(), manual).await
                }
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
        Standing::Pending | Standing::Due(_) => GatewayAnswer::Pending,
        Standing::ActionRequired => GatewayAnswer::ActionRequired,
        Standing::Authorized => GatewayAnswer::Authorized,
        Standing::Charged => GatewayAnswer::Done,
        Standing::Voided => declined("voided"),
    }
}

fn declined(code: &str) -> GatewayAnswer {
    GatewayAnswer::Declined { code: code.to_owned() }
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
            ("tok_delay_", declined("invalid_token")),
            ("tok_late_1s", declined("invalid_token")),
        ];
        for (payment, (token, expected)) in (0..).zip(table) {
            assert_eq!(simulator.call(charge(payment, token, false)).await, expected, "{token}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_delay_counts_from_the_first_call() {
        let (simulator, _answers) = simulator();
        let began = Instant::now();
        let first = simulator.call(charge(1, "tok_delay_5000", true));
        tokio::time::timeout(Duration::from_secs(3), first).await.unwrap_err();
        assert_eq!(simulator.call(charge(1, "tok_delay_5000", true)).await, GatewayAnswer::Authorized);
        assert!(began.elapsed() < Duration::from_millis(5100), "{:?}", began.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn a_charge_after_its_void_is_declined() {
        let (simulator, _answers) = simulator();
        let void = |payment| GatewayCall { payment: Id(payment), operation: Operation::Void };
        simulator.call(void(1)).await;
        for token in ["tok_approve", "tok_late_10", "tok_lost", "tok_timeout"] {
            assert_eq!(simulator.call(charge(1, token, false)).await, declined("voided"), "{token}");
        }
        let waiting = simulator.call(charge(2, "tok_delay_1000", false));
        let (answer, _) = tokio::join!(waiting, simulator.call(void(2)));
        assert_eq!(answer, declined("voided"));
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
