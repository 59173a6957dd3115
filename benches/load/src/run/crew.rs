//! The tasks that run the flows of an open loop. One that has ended its flow waits for the next: to wake it costs a
//! fraction of what a new task does, which is an allocation of some kilobytes and a place in every list of tasks.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::Instant;

use tokio::task::JoinSet;

use super::shopper::Shop;

/// As many tasks as flows were ever under way at once.
#[derive(Debug)]
pub(super) struct Crew {
    shop: Rc<Shop>,
    idle: Rc<Idle>,
}

/// Those that wait for a flow, and what all of them know.
#[derive(Debug, Default)]
struct Idle {
    runners: RefCell<Vec<Rc<Runner>>>,
    /// Whether no more flows come.
    closed: Cell<bool>,
    /// Flows that were started and have not ended.
    under_way: Cell<usize>,
}

/// One task, as the others see it.
#[derive(Debug, Default)]
struct Runner {
    order: Cell<Option<Order>>,
    waker: RefCell<Option<Waker>>,
}

/// What a task is to do next.
#[derive(Clone, Copy, Debug)]
enum Order {
    /// Run the flow of this number, which is due at this moment.
    Run(u64, Instant),
    /// There is nothing more to do.
    End,
}

impl Crew {
    pub(super) fn new(shop: Rc<Shop>) -> Self {
        Self { shop, idle: Rc::default() }
    }

    /// Has a flow run, by a task of `tasks` if no other waits.
    pub(super) fn start(&self, number: u64, due: Instant, tasks: &mut JoinSet<()>) {
        let idle = self.idle.runners.borrow_mut().pop();
        let runner = idle.unwrap_or_else(|| {
            let runner = Rc::<Runner>::default();
            tasks.spawn_local(Rc::clone(&runner).serve(Rc::clone(&self.shop), Rc::clone(&self.idle)));
            runner
        });
        self.idle.under_way.update(|flows| flows + 1);
        runner.tell(Order::Run(number, due));
    }

    /// Flows that were started and have not ended.
    pub(super) fn under_way(&self) -> usize {
        self.idle.under_way.get()
    }

    /// No more flows come: every task ends with its flow.
    pub(super) fn close(&self) {
        self.idle.closed.set(true);
        self.idle.runners.take().iter().for_each(|runner| runner.tell(Order::End));
    }
}

impl Runner {
    fn tell(&self, order: Order) {
        self.order.set(Some(order));
        // A new task has none: it looks before it waits.
        if let Some(waker) = self.waker.borrow().as_ref() {
            waker.wake_by_ref();
        }
    }

    /// The body of the task.
    async fn serve(self: Rc<Self>, shop: Rc<Shop>, idle: Rc<Idle>) {
        while let Order::Run(number, due) = self.told().await {
            Rc::clone(&shop).flow(number, due).await;
            idle.under_way.update(|flows| flows - 1);
            if idle.closed.get() {
                return;
            }
            idle.runners.borrow_mut().push(Rc::clone(&self));
        }
    }

    async fn told(&self) -> Order {
        poll_fn(|context| {
            if let Some(order) = self.order.take() {
                return Poll::Ready(order);
            }
            let mut waker = self.waker.borrow_mut();
            if !waker.as_ref().is_some_and(|waker| waker.will_wake(context.waker())) {
                *waker = Some(context.waker().clone());
            }
            Poll::Pending
        })
        .await
    }
}
