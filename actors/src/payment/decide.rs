//! What a payment decides, and what its events come to.

use super::{
    Ask, Asked, Event, GatewayAnswer, GatewayCall, Operation, Payment, Phase, RESERVATION_EXPIRED, Refund,
    Refunding, Rejection, Requested, Status, SubStatus, View, Waiting,
};
use crate::address::{self, Address, Effect, Id, Message, OutsideCall, Reply};
use crate::entity::{Answer, Decision, Millis};
use crate::keys::{KeyTag, Seen};
use crate::money::{Currency, Decimal};
use crate::order;

impl Payment {
    pub(super) fn process(&self, request: Requested) -> Decision<Self> {
        match (&self.phase, &self.request) {
            (Phase::Blank | Phase::Refused(_), _) | (_, None) => {
                let begin = self.begin(&request);
                Decision::record(Event::Requested(Box::new(request)))
                    .owing([begin])
                    .answer(Answer::Settle(Ask::Processed))
            }
            (_, Some(first)) if first.tag != request.tag => Decision::reject(address::Rejection::KeyReused),
            _ => Decision::replay(Ask::Processed),
        }
    }

    fn begin(&self, request: &Requested) -> Effect {
        let (amount, until) = (request.amount, request.until);
        let command = order::Command::BeginPayment { payment: self.id, amount, until };
        Effect::Send { to: Address::order(request.order), message: Message::Order(command) }
    }

    /// Whether it waits for the order to clear the try of this deadline.
    pub(super) fn clears(&self, until: Millis) -> bool {
        self.phase == Phase::Clearing && self.request.as_ref().is_some_and(|request| request.until == until)
    }

    pub(super) fn cleared(
        &self,
        order: Id,
        amount: i64,
        currency: Currency,
        until: Millis,
    ) -> Decision<Self> {
        let Some(request) = &self.request else { return Decision::nothing() };
        let current = request.until == until;
        match &self.phase {
            Phase::Clearing if current => {
                let charge = self.charge(request, amount, currency);
                Decision::record(Event::Cleared { amount, currency }).owing([charge])
            }
            // The try was asked for twice and is over, refused or given up: the order must not wait for it.
            _ if !current || matches!(self.phase, Phase::Refused(_) | Phase::Rejected { .. }) => {
                let lapsed = order::Command::PaymentLapsed { payment: self.id, until };
                Decision::nothing().send(Address::order(order), Message::Order(lapsed))
            }
            _ => Decision::nothing(),
        }
    }

    fn charge(&self, request: &Requested, amount: i64, currency: Currency) -> Effect {
        self.call(Operation::Charge {
            amount,
            currency,
            method: request.method,
            token: request.token.clone(),
            manual: request.manual,
        })
    }

    fn call(&self, operation: Operation) -> Effect {
        Effect::Call(OutsideCall::Gateway(GatewayCall { payment: self.id, operation }))
    }

    pub(super) fn gateway(&self, asked: Asked, answer: GatewayAnswer) -> Decision<Self> {
        match asked {
            Asked::Charge | Asked::Confirm | Asked::Capture => self.decided(asked, answer),
            Asked::Void => match (&self.phase, answer) {
                (Phase::Rejected { void: true, voided: false, .. }, GatewayAnswer::Done) => {
                    Decision::record(Event::Voided)
                }
                _ => Decision::nothing(),
            },
            Asked::Refund(number) => self.refund_answered(number, answer),
        }
    }

    fn decided(&self, asked: Asked, answer: GatewayAnswer) -> Decision<Self> {
        let open = match self.phase {
            Phase::Charging if asked == Asked::Charge => None,
            Phase::Confirming if asked == Asked::Confirm => None,
            Phase::Capturing if asked == Asked::Capture => None,
            Phase::Waiting(waiting) => Some(waiting),
            // The answer to an earlier question, or decided before; what a late approval took is undone by
            // the void that is owed.
            _ => return Decision::nothing(),
        };
        let wait = |waiting| {
            // Answers may overtake each other: what is waited for only moves on.
            let old = open.is_some_and(|open| waiting <= open);
            if old { Decision::nothing() } else { Decision::record(Event::Waiting(waiting)) }
        };
        match answer {
            GatewayAnswer::Done => Decision::record(Event::Approved).owing(self.tell(true)),
            GatewayAnswer::Authorized => wait(Waiting::Capture),
            GatewayAnswer::ActionRequired => wait(Waiting::Action),
            GatewayAnswer::Pending => wait(Waiting::Provider),
            GatewayAnswer::Unknown => wait(Waiting::Unanswered),
            GatewayAnswer::Declined { code } => {
                // The money may still be set aside.
                let authorized = asked == Asked::Capture || open == Some(Waiting::Capture);
                self.reject(&code, authorized)
            }
        }
    }

    pub(super) fn reject(&self, code: &str, void: bool) -> Decision<Self> {
        let undo = void.then(|| self.call(Operation::Void));
        Decision::record(Event::Rejected { code: code.to_owned(), void, told: false })
            .owing(self.tell(false))
            .owing(undo)
    }

    fn tell(&self, approved: bool) -> Option<Effect> {
        let order = self.request.as_ref()?.order;
        let payment = self.id;
        let command = if approved {
            order::Command::PaymentApproved { payment }
        } else {
            order::Command::PaymentFailed { payment }
        };
        Some(Effect::Send { to: Address::order(order), message: Message::Order(command) })
    }

    pub(super) fn order_answer(&self, paid: bool) -> Decision<Self> {
        match self.phase {
            Phase::Approved if paid => Decision::record(Event::Settled),
            Phase::Approved => {
                let code = RESERVATION_EXPIRED.to_owned();
                Decision::record(Event::Rejected { code, void: true, told: true })
                    .owing([self.call(Operation::Void)])
            }
            Phase::Rejected { told: false, .. } => Decision::record(Event::OrderTold),
            _ => Decision::nothing(),
        }
    }

    pub(super) fn confirm(&self, tag: KeyTag) -> Decision<Self> {
        self.go_on(tag, Waiting::Action, Event::ConfirmRequested { tag }, Operation::Confirm)
    }

    pub(super) fn capture(&self, tag: KeyTag) -> Decision<Self> {
        self.go_on(tag, Waiting::Capture, Event::CaptureRequested { tag }, Operation::Capture)
    }

    fn go_on(&self, tag: KeyTag, from: Waiting, event: Event, operation: Operation) -> Decision<Self> {
        match self.repeated(tag) {
            Some(decision) => decision,
            None if self.phase == Phase::Waiting(from) => {
                Decision::record(event).owing([self.call(operation)]).answer(Answer::Settle(Ask::Keyed(tag)))
            }
            None if self.view().is_none() => Decision::reject(Rejection::NotFound),
            None if from == Waiting::Action => Decision::reject(Rejection::NotConfirmable),
            None => Decision::reject(Rejection::NotCapturable),
        }
    }

    /// What a request with a key that was seen before, or is being carried out, leads to.
    fn repeated(&self, tag: KeyTag) -> Option<Decision<Self>> {
        let running = self.running.or(self.refunding.as_ref().and_then(|refunding| refunding.tag));
        match self.keyed.look_up(Some(tag)) {
            Seen::Same(_) => Some(Decision::replay(Ask::Keyed(tag))),
            Seen::Other => Some(Decision::reject(address::Rejection::KeyReused)),
            Seen::Never => running.filter(|running| running.key == tag.key).map(|running| {
                if running.body == tag.body {
                    Decision::replay(Ask::Keyed(tag))
                } else {
                    Decision::reject(address::Rejection::KeyReused)
                }
            }),
        }
    }

    pub(super) fn refund(&self, amount: Option<Decimal>, reason: String, tag: KeyTag) -> Decision<Self> {
        if let Some(decision) = self.repeated(tag) {
            return decision;
        }
        let (Some(currency), false) = (self.currency, self.view().is_none()) else {
            return Decision::reject(Rejection::NotFound);
        };
        let left = self.left();
        if self.phase != Phase::Settled || left == 0 {
            return Decision::reject(Rejection::NotRefundable);
        }
        if self.refunding.is_some() {
            return Decision::reject(Rejection::RefundInProgress);
        }
        let amount = amount.map_or(Ok(left), |amount| amount.minor(currency));
        match amount {
            Ok(amount) if (1..=left).contains(&amount) => {
                self.begin_refund(amount, reason, Some(tag), None).answer(Answer::Settle(Ask::Keyed(tag)))
            }
            _ => Decision::reject(Rejection::RefundAmount { left, currency }),
        }
    }

    pub(super) fn refund_order(&self, order: Id, cancellation: u32) -> Decision<Self> {
        if self.request.as_ref().map(|request| request.order) != Some(order) || self.phase != Phase::Settled {
            return Decision::nothing();
        }
        if cancellation <= self.failed_cancellation {
            return Decision::nothing().owing(self.refund_told(cancellation, false));
        }
        if self.refunding.is_some() {
            // The order asks again; this refund may leave less or nothing to give back.
            return Decision::nothing();
        }
        match self.left() {
            0 => Decision::nothing().owing(self.refund_told(cancellation, true)),
            left => self.begin_refund(left, "order_cancelled".to_owned(), None, Some(cancellation)),
        }
    }

    fn begin_refund(
        &self,
        amount: i64,
        reason: String,
        tag: Option<KeyTag>,
        cancellation: Option<u32>,
    ) -> Decision<Self> {
        let call = self.call(Operation::Refund { number: self.refunds_begun, amount });
        Decision::record(Event::RefundRequested { amount, reason, tag, cancellation }).owing([call])
    }

    fn refund_answered(&self, number: u32, answer: GatewayAnswer) -> Decision<Self> {
        let Some(refunding) = &self.refunding else { return Decision::nothing() };
        if number + 1 != self.refunds_begun {
            return Decision::nothing();
        }
        let told = |refunded| refunding.cancellation.and_then(|which| self.refund_told(which, refunded));
        match answer {
            GatewayAnswer::Done => Decision::record(Event::Refunded).owing(told(true)),
            GatewayAnswer::Declined { code } => {
                Decision::record(Event::RefundFailed { code }).owing(told(false))
            }
            _ => Decision::nothing(),
        }
    }

    fn refund_told(&self, cancellation: u32, refunded: bool) -> Option<Effect> {
        let order = self.request.as_ref()?.order;
        let command = order::Command::RefundSettled { payment: self.id, cancellation, refunded };
        Some(Effect::Send { to: Address::order(order), message: Message::Order(command) })
    }

    /// What was paid and is not given back, minor units.
    fn left(&self) -> i64 {
        self.amount - self.refunds.iter().map(|refund| refund.amount).sum::<i64>()
    }

    pub(super) fn owed_effects(&self) -> Vec<Effect> {
        let mut owed = Vec::new();
        let Some(request) = &self.request else { return owed };
        match &self.phase {
            Phase::Clearing => owed.push(self.begin(request)),
            Phase::Charging | Phase::Waiting(Waiting::Provider | Waiting::Unanswered) => {
                if let Some(currency) = self.currency {
                    owed.push(self.charge(request, self.amount, currency));
                }
            }
            Phase::Confirming => owed.push(self.call(Operation::Confirm)),
            Phase::Capturing => owed.push(self.call(Operation::Capture)),
            Phase::Approved => owed.extend(self.tell(true)),
            Phase::Rejected { void, told, voided, .. } => {
                if !told {
                    owed.extend(self.tell(false));
                }
                if *void && !voided {
                    owed.push(self.call(Operation::Void));
                }
            }
            Phase::Blank | Phase::Refused(_) | Phase::Waiting(_) | Phase::Settled => {}
        }
        if let Some(refunding) = &self.refunding {
            let number = self.refunds_begun.saturating_sub(1);
            owed.push(self.call(Operation::Refund { number, amount: refunding.amount }));
        }
        owed
    }

    pub(super) fn make_true(&mut self, event: Event, at: Millis) {
        (self.updated_at, self.version) = (at, self.version + 1);
        match event {
            Event::Requested(request) => {
                *self = Self { request: Some(request), ..<Self as crate::Entity>::blank(self.id) };
                (self.phase, self.created_at) = (Phase::Clearing, at);
                (self.updated_at, self.version) = (at, 1);
            }
            Event::Cleared { amount, currency } => {
                (self.amount, self.currency) = (amount, Some(currency));
                self.phase = Phase::Charging;
            }
            Event::NotCleared { reason } => self.phase = Phase::Refused(reason),
            Event::Waiting(waiting) => self.phase = Phase::Waiting(waiting),
            Event::ConfirmRequested { tag } => {
                (self.phase, self.running) = (Phase::Confirming, Some(tag));
            }
            Event::CaptureRequested { tag } => {
                (self.phase, self.running) = (Phase::Capturing, Some(tag));
            }
            Event::Approved => self.phase = Phase::Approved,
            Event::Settled => self.phase = Phase::Settled,
            Event::Rejected { code, void, told } => {
                self.phase = Phase::Rejected { code, void, told, voided: false };
            }
            Event::OrderTold => {
                if let Phase::Rejected { told, .. } = &mut self.phase {
                    *told = true;
                }
            }
            Event::Voided => {
                if let Phase::Rejected { voided, .. } = &mut self.phase {
                    *voided = true;
                }
            }
            Event::RefundRequested { amount, reason, tag, cancellation } => {
                self.refunding = Some(Refunding { amount, reason, tag, cancellation });
                self.refunds_begun += 1;
            }
            Event::Refunded => {
                if let Some(Refunding { amount, reason, tag, .. }) = self.refunding.take() {
                    self.refunds.push(Refund { amount, reason, at });
                    self.remember(tag, at);
                }
            }
            Event::RefundFailed { code } => {
                if let Some(Refunding { tag, cancellation, .. }) = self.refunding.take() {
                    self.failed_cancellation = cancellation.unwrap_or(self.failed_cancellation);
                    if let Some(tag) = tag {
                        self.keyed.insert(tag, at, Err(Rejection::RefundFailed { code }));
                    }
                }
            }
        }
        self.note_answers(at);
    }

    /// Keeps the first answer to the request, and the one to a confirmation or a capture: repetitions show
    /// them again, whatever has happened since.
    fn note_answers(&mut self, at: Millis) {
        let answered =
            matches!(self.phase, Phase::Waiting(_) | Phase::Settled | Phase::Rejected { told: true, .. });
        if !answered {
            return;
        }
        if self.processed.is_none() {
            self.processed = self.view().map(Box::new);
        }
        let running = self.running.take();
        self.remember(running, at);
    }

    fn remember(&mut self, tag: Option<KeyTag>, at: Millis) {
        if let (Some(tag), Some(view)) = (tag, self.view()) {
            self.keyed.insert(tag, at, Ok(Box::new(view)));
        }
    }

    pub(super) fn processed_answer(&self) -> Option<Result<Reply, address::Rejection>> {
        if let Phase::Refused(reason) = &self.phase {
            return Some(Err(reason.clone().into()));
        }
        let view = self.processed.as_deref()?;
        if view.failure_code.as_deref() == Some(RESERVATION_EXPIRED) {
            return Some(Err(order::Rejection::ReservationExpired.into()));
        }
        Some(Ok(Reply::Payment(Box::new(view.clone()))))
    }

    pub(super) fn keyed_answer(&self, tag: KeyTag) -> Option<Result<Reply, address::Rejection>> {
        self.keyed.get(tag).map(|answer| match answer {
            Ok(view) => Ok(Reply::Payment(view.clone())),
            Err(rejection) => Err(rejection.clone().into()),
        })
    }

    /// What clients see; `None` until the order has cleared the payment.
    #[must_use]
    pub fn view(&self) -> Option<View> {
        let (request, currency) = (self.request.as_ref()?, self.currency?);
        let (status, sub_status) = self.standing();
        Some(View {
            id: self.id,
            order: request.order,
            amount: self.amount,
            currency,
            method: request.method,
            status,
            sub_status,
            failure_code: match &self.phase {
                Phase::Rejected { code, .. } => Some(code.clone()),
                _ => None,
            },
            refunds: self.refunds.clone(),
            created_at: self.created_at,
            updated_at: self.updated_at,
            version: self.version,
        })
    }

    fn standing(&self) -> (Status, Option<SubStatus>) {
        match &self.phase {
            Phase::Settled if self.refunds.is_empty() => (Status::Approved, None),
            Phase::Settled if self.left() == 0 => (Status::Refunded, None),
            Phase::Settled => (Status::Approved, Some(SubStatus::PartiallyRefunded)),
            Phase::Rejected { voided: true, .. } => (Status::Rejected, Some(SubStatus::Voided)),
            Phase::Rejected { .. } => (Status::Rejected, None),
            Phase::Waiting(Waiting::Action) => (Status::Pending, Some(SubStatus::RequiresAction)),
            Phase::Waiting(Waiting::Capture) => (Status::Pending, Some(SubStatus::Authorized)),
            Phase::Waiting(_) => (Status::Pending, Some(SubStatus::AwaitingProvider)),
            _ => (Status::Pending, None),
        }
    }
}
