//! The second half of an order's life: payment, cancellation, expiry; and what events come to.

use super::place::{forgets, moves, reservations};
use super::{
    Ask, Cause, Event, Lines, Move, Opened, Order, Phase, Recorded, Rejection, Status, SubStatus, View,
    Violation,
};
use crate::address::{self, Address, Effect, Id, Message, Reply};
use crate::entity::{Answer, Context, Decision, Millis};
use crate::keys::KeyTag;
use crate::money::Decimal;
use crate::payment;

impl Order {
    pub(super) fn settled(&self, attempt: u32, line: u8, what: Move) -> Decision<Self> {
        let (Some((owed, lines)), Some(opened)) = (self.owed, &self.opened) else {
            return Decision::nothing();
        };
        if attempt != self.attempt || owed != what || !lines.contains(line) {
            return Decision::nothing();
        }
        let decision = Decision::record(Event::LineSettled { line });
        if !lines.without(line).is_empty() {
            return decision;
        }
        match (&self.phase, what) {
            (Phase::Refused(_), _) => decision.owing(self.cart_refused()),
            (Phase::Paid, _) => decision.owing(self.payment.map(|payment| answer_payment(payment, true))),
            (_, Move::Restock) => decision.owing(forgets(self, opened)),
            _ => decision,
        }
    }

    pub(super) fn cancel(&self, tag: Option<KeyTag>) -> Decision<Self> {
        let cancelled = Answer::Settle(Ask::Cancelled);
        match &self.phase {
            Phase::Blank | Phase::Opening { .. } | Phase::Refused(_) => Decision::reject(Rejection::NotFound),
            Phase::Created if self.paying_until.is_some() => Decision::reject(Rejection::PaymentInProgress),
            Phase::Created => self.cancelled(Cause::Requested, tag).answer(cancelled),
            // Paid, but the stock is not yet all sold: the payment is not answered either.
            Phase::Paid if self.owed.is_some() => Decision::reject(Rejection::PaymentInProgress),
            Phase::Paid => Decision::record(Event::CancelRequested { tag })
                .owing(self.payment.map(|payment| refund(payment, self.id, self.cancellations() + 1)))
                .answer(cancelled),
            Phase::Refunding => Decision::settle(Ask::Cancelled),
            Phase::Cancelled(_) if tag.is_some() && self.cancel_tag() == tag => {
                Decision::replay(Ask::Cancelled)
            }
            Phase::Cancelled(_) => Decision::settle(Ask::Cancelled),
        }
    }

    /// The key of the cancellation, if it had one.
    fn cancel_tag(&self) -> Option<KeyTag> {
        self.events.iter().rev().find_map(|recorded| match recorded.event {
            Event::Cancelled { tag, .. } => tag,
            _ => None,
        })
    }

    pub(super) fn cancelled(&self, cause: Cause, tag: Option<KeyTag>) -> Decision<Self> {
        let Some(opened) = &self.opened else { return Decision::nothing() };
        let what = if self.phase == Phase::Refunding { Move::Restock } else { Move::Release };
        Decision::record(Event::Cancelled { cause, tag }).owing(moves(
            self,
            opened,
            what,
            Lines::first(opened.lines.len()),
        ))
    }

    pub(super) fn begin_payment(
        &self,
        payment: Id,
        amount: Decimal,
        until: Millis,
        cx: &Context<'_>,
    ) -> Decision<Self> {
        let refuse = |reason| not_cleared(payment, until, reason);
        let Some(opened) = &self.opened else { return refuse(Rejection::NotFound) };
        let running = self.paying_until.filter(|_| self.phase == Phase::Created);
        match (&self.phase, running) {
            (_, Some(running)) if self.payment == Some(payment) && running >= until => {
                Decision::nothing().owing(self.clear())
            }
            (_, Some(_)) if self.payment != Some(payment) => refuse(Rejection::PaymentInProgress),
            (Phase::Created, _) if self.expires_at <= cx.now => {
                let refusal = refuse_payment(payment, until, Rejection::ReservationExpired);
                self.cancelled(Cause::Expired, None).owing([refusal])
            }
            (Phase::Created, _) if amount.minor(opened.currency) != Ok(opened.total) => {
                refuse(Rejection::AmountMismatch { total: opened.total, currency: opened.currency })
            }
            (Phase::Created, _) => Decision::record(Event::PaymentStarted { payment, until })
                .owing([clear(opened, self.id, payment, until)]),
            (Phase::Paid | Phase::Refunding, _) => refuse(Rejection::AlreadyPaid),
            (Phase::Cancelled(Cause::Expired), _) => refuse(Rejection::ReservationExpired),
            (Phase::Cancelled(Cause::Requested), _) => refuse(Rejection::NotPayable),
            (Phase::Blank | Phase::Opening { .. } | Phase::Refused(_), _) => refuse(Rejection::NotFound),
        }
    }

    /// Tells the running payment that it may charge.
    fn clear(&self) -> Option<Effect> {
        Some(clear(self.opened.as_ref()?, self.id, self.payment?, self.paying_until?))
    }

    pub(super) fn payment_approved(&self, payment: Id) -> Decision<Self> {
        let own = self.payment == Some(payment);
        match (&self.phase, &self.opened) {
            (Phase::Created, Some(opened)) if own && self.paying_until.is_some() => {
                let confirms = moves(self, opened, Move::Confirm, Lines::first(opened.lines.len()));
                Decision::record(Event::Paid { payment }).owing(confirms)
            }
            // The answer goes out when the last line is sold.
            (Phase::Paid, _) if own && self.owed.is_some() => Decision::nothing(),
            (Phase::Paid | Phase::Refunding, _) if own => {
                Decision::nothing().owing([answer_payment(payment, true)])
            }
            // Too late: nobody is charged without stock.
            _ => Decision::nothing().owing([answer_payment(payment, false)]),
        }
    }

    pub(super) fn payment_failed(&self, payment: Id, cx: &Context<'_>) -> Decision<Self> {
        let told = answer_payment(payment, false);
        let running = self.phase == Phase::Created && self.paying_until.is_some();
        if !running || self.payment != Some(payment) {
            return Decision::nothing().owing([told]);
        }
        self.stop_paying(payment, cx).owing([told])
    }

    pub(super) fn payment_lapsed(&self, payment: Id, until: Millis, cx: &Context<'_>) -> Decision<Self> {
        let running = self.phase == Phase::Created && self.paying_until == Some(until);
        if running && self.payment == Some(payment) {
            self.stop_paying(payment, cx)
        } else {
            Decision::nothing()
        }
    }

    /// The running payment came to nothing; the order is over if its hold is.
    fn stop_paying(&self, payment: Id, cx: &Context<'_>) -> Decision<Self> {
        let decision = Decision::record(Event::PaymentFailed { payment });
        if self.expires_at > cx.now {
            return decision;
        }
        let over = self.cancelled(Cause::Expired, None);
        let mut decision = decision.owing(over.effects);
        decision.events.extend(over.events);
        decision
    }

    /// How many cancellations of the paid order were asked for: one may fail for want of a refund.
    fn cancellations(&self) -> u32 {
        let asked = |recorded: &Recorded| matches!(recorded.event, Event::CancelRequested { .. });
        self.events.iter().fold(0, |count, recorded| count + u32::from(asked(recorded)))
    }

    pub(super) fn refund_settled(&self, payment: Id, cancellation: u32, refunded: bool) -> Decision<Self> {
        let awaited = self.payment == Some(payment) && self.cancellations() == cancellation;
        if self.phase != Phase::Refunding || !awaited {
            return Decision::nothing();
        }
        if !refunded {
            return Decision::record(Event::CancelFailed);
        }
        let tag = self.events.iter().rev().find_map(|recorded| match recorded.event {
            Event::CancelRequested { tag } => Some(tag),
            _ => None,
        });
        self.cancelled(Cause::Requested, tag.flatten())
    }

    pub(super) fn make_true(&mut self, event: Event, at: Millis) {
        match event {
            Event::Opened(opened) => {
                let answers = smallvec::smallvec![None; opened.lines.len()];
                (self.attempt, self.phase) = (opened.attempt, Phase::Opening { answers });
                self.opened = Some(opened);
            }
            Event::LineAnswered { line, stock } => {
                if let Phase::Opening { answers } = &mut self.phase
                    && let Some(answer) = answers.get_mut(usize::from(line))
                {
                    *answer = Some(stock);
                }
            }
            Event::Refused { reason, release } => {
                self.phase = Phase::Refused(reason);
                self.owe(Move::Release, release);
            }
            Event::LineSettled { line } => {
                if let Some((what, lines)) = self.owed {
                    self.owe(what, lines.without(line));
                }
            }
            visible => self.make_visible(visible, at),
        }
    }

    /// Events that change what clients see.
    fn make_visible(&mut self, event: Event, at: Millis) {
        (self.updated_at, self.version) = (at, self.version + 1);
        let all = Lines::first(self.opened.as_ref().map_or(0, |opened| opened.lines.len()));
        match event {
            Event::Placed { expires_at } => {
                (self.phase, self.placed_at, self.expires_at) = (Phase::Created, at, expires_at);
            }
            Event::PaymentStarted { payment, until } => {
                (self.payment, self.paying_until) = (Some(payment), Some(until));
            }
            Event::PaymentFailed { .. } => self.paying_until = None,
            Event::Paid { .. } => {
                (self.phase, self.paying_until) = (Phase::Paid, None);
                self.owe(Move::Confirm, all);
            }
            Event::CancelRequested { .. } => {
                (self.phase, self.refund_failed) = (Phase::Refunding, false);
            }
            Event::CancelFailed => (self.phase, self.refund_failed) = (Phase::Paid, true),
            Event::Cancelled { cause, .. } => {
                let what = if self.phase == Phase::Refunding { Move::Restock } else { Move::Release };
                self.phase = Phase::Cancelled(cause);
                self.owe(what, all);
            }
            Event::Opened(_) | Event::LineAnswered { .. } | Event::Refused { .. } => {}
            Event::LineSettled { .. } => {}
        }
    }

    fn owe(&mut self, what: Move, lines: Lines) {
        self.owed = (!lines.is_empty()).then_some((what, lines));
    }

    pub(super) fn owed_effects(&self) -> Vec<Effect> {
        let Some(opened) = &self.opened else { return Vec::new() };
        match (&self.phase, self.owed) {
            (Phase::Opening { answers }, _) => {
                let unanswered = (0u8..).zip(answers).filter(|(_, answer)| answer.is_none());
                let lines = unanswered.fold(Lines::default(), |lines, (line, _)| lines.with(line));
                reservations(self, opened, lines).collect()
            }
            (Phase::Refunding, _) => {
                let payment = self.payment.into_iter();
                payment.map(|payment| refund(payment, self.id, self.cancellations())).collect()
            }
            (_, Some((what, lines))) => moves(self, opened, what, lines).collect(),
            (Phase::Created, None) => self.clear().into_iter().collect(),
            _ => Vec::new(),
        }
    }

    pub(super) fn status(&self) -> Option<Status> {
        match self.phase {
            Phase::Blank | Phase::Opening { .. } | Phase::Refused(_) => None,
            Phase::Created => Some(Status::Created),
            Phase::Paid | Phase::Refunding => Some(Status::Paid),
            Phase::Cancelled(_) => Some(Status::Cancelled),
        }
    }

    /// What clients see; `None` until the order is placed.
    #[must_use]
    pub fn view(&self) -> Option<View> {
        let (status, opened) = (self.status()?, self.opened.clone()?);
        let sub_status = match self.phase {
            Phase::Cancelled(Cause::Expired) => Some(SubStatus::Expired),
            Phase::Refunding => Some(SubStatus::Refunding),
            Phase::Created if self.paying_until.is_some() => Some(SubStatus::PaymentInProgress),
            _ => None,
        };
        let hold = self.paying_until.map_or(self.expires_at, |until| until.max(self.expires_at));
        Some(View {
            id: self.id,
            opened,
            status,
            sub_status,
            payment: self.payment,
            expires_at: (self.phase == Phase::Created).then_some(hold),
            created_at: self.placed_at,
            updated_at: self.updated_at,
            version: self.version,
        })
    }

    pub(super) fn cancelled_answer(&self) -> Option<Result<Reply, address::Rejection>> {
        match self.phase {
            Phase::Cancelled(_) if self.owed.is_none() => {
                self.view().map(|view| Ok(Reply::Order(Box::new(view))))
            }
            Phase::Paid if self.refund_failed => Some(Err(Rejection::RefundFailed.into())),
            Phase::Refunding | Phase::Cancelled(_) => None,
            _ => Some(Err(Rejection::NotCancellable.into())),
        }
    }

    pub(super) fn violations(&self, cx: &Context<'_>) -> Vec<Violation> {
        let order = |code, message: &str| Violation { code, sku: None, message: message.to_owned() };
        match self.phase {
            Phase::Created if self.paying_until.is_some() => {
                vec![order("payment_in_progress", "A payment of the order is in progress.")]
            }
            Phase::Created if self.expires_at <= cx.now => {
                vec![order("reservation_expired", "The reservation has expired.")]
            }
            Phase::Cancelled(Cause::Expired) => {
                vec![order("reservation_expired", "The order was not paid in time.")]
            }
            Phase::Cancelled(Cause::Requested) => {
                vec![order("order_not_payable", "The order is cancelled.")]
            }
            _ => Vec::new(),
        }
    }
}

fn answer_payment(payment: Id, paid: bool) -> Effect {
    let message = Message::Payment(payment::Command::OrderAnswer { paid });
    Effect::Send { to: Address::payment(payment), message }
}

fn clear(opened: &Opened, order: Id, payment: Id, until: Millis) -> Effect {
    let (amount, currency) = (opened.total, opened.currency);
    let command = payment::Command::Cleared { order, amount, currency, until };
    Effect::Send { to: Address::payment(payment), message: Message::Payment(command) }
}

fn refuse_payment(payment: Id, until: Millis, reason: Rejection) -> Effect {
    let message = Message::Payment(payment::Command::NotCleared { until, reason });
    Effect::Send { to: Address::payment(payment), message }
}

fn not_cleared(payment: Id, until: Millis, reason: Rejection) -> Decision<Order> {
    Decision::nothing().owing([refuse_payment(payment, until, reason)])
}

fn refund(payment: Id, order: Id, cancellation: u32) -> Effect {
    let message = Message::Payment(payment::Command::RefundOrder { order, cancellation });
    Effect::Send { to: Address::payment(payment), message }
}
