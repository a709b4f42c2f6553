//! Held requests under `shuttle`, which runs threads and tasks in many orders. The state that they
//! read is a number per node; news is a number of at least so much.
//!
//! Bugs that were planted, and after how many schedules a test failed (the better scheduler of the
//! two, median of five):
//!
//! | bug | schedules |
//! | --- | --- |
//! | a request is registered after the first read | 2 |
//! | a request checks for a notification and waits under another lock | 63 |
//! | a notification wakes one request of its node (as it was), or the wrong one | 3, 1 |
//! | a notification counts only for those that wait already | 2 |
//! | what came during a read is forgotten after it | 26 |
//! | a closed request removes another one, all of its node, or stays | 25, 1, 3 |
//! | the limit is checked after notifications, or once only | 1 |

#![expect(clippy::unwrap_used, reason = "clippy allows it in tests, but not in their helpers")]

#[path = "../src/held_requests.rs"]
mod held_requests;

mod sync {
    pub use shuttle::sync::{Mutex, MutexGuard};
    pub use std::sync::PoisonError;
}

use held_requests::HeldRequests;
use model::NodeId;
use shuttle::future::{self, JoinHandle, block_on};
use shuttle::rand::{Rng, thread_rng};
use shuttle::sync::Mutex;
use shuttle::thread;
use std::collections::HashMap;
use std::convert::Infallible;
use std::future::{pending, poll_fn};
use std::sync::Arc;
use std::task::{Poll, Waker};

const RUNS: usize = 4000;
const DEPTH: usize = 4;

#[derive(Clone, Default)]
struct Service {
    held_requests: Arc<HeldRequests>,
    states: Arc<Mutex<HashMap<NodeId, u32>>>,
}

impl Service {
    /// Commits, then announces, as the control plane does.
    fn change(&self, name: &str) {
        *self.states.lock().unwrap().entry(node(name)).or_default() += 1;
        self.held_requests.notify(&node(name));
    }

    async fn read(&self, name: &str) -> Result<u32, Infallible> {
        future::yield_now().await;
        let state = self.states.lock().unwrap().get(&node(name)).copied().unwrap_or_default();
        future::yield_now().await;
        Ok(state)
    }

    /// Held until the state of the node is `wanted`.
    async fn request(self, name: &str, wanted: u32, limit: impl Future<Output = ()>) -> u32 {
        let (first, again) = (self.read(name), || self.read(name));
        let news = |state: &u32| *state >= wanted;
        self.held_requests.hold(&node(name), limit, first, again, news).await.unwrap()
    }

    /// A request with a limit that never ends: when a notification is lost, it hangs.
    fn spawn(&self, name: &'static str, wanted: u32) -> JoinHandle<u32> {
        future::spawn(self.clone().request(name, wanted, pending()))
    }

    fn check_nothing_is_left(&self) {
        assert!(
            self.held_requests.is_empty(),
            "{} requests are still held",
            self.held_requests.len()
        );
    }
}

fn node(name: &str) -> NodeId {
    NodeId::parse(name).unwrap()
}

/// A timer, with time that passes when the test says so.
#[derive(Clone, Default)]
struct Timer(Arc<Mutex<(bool, Option<Waker>)>>);

impl Timer {
    fn end(&self) {
        // Any time passes.
        (0..thread_rng().gen_range(0..20)).for_each(|_| thread::yield_now());
        let mut timer = self.0.lock().unwrap();
        timer.0 = true;
        let waker = timer.1.take();
        drop(timer);
        waker.into_iter().for_each(Waker::wake);
    }

    async fn ended(self) {
        poll_fn(|context| {
            let mut timer = self.0.lock().unwrap();
            timer.1 = Some(context.waker().clone());
            if timer.0 { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }
}

/// Runs in random orders, and in orders that delay a task at a few chosen points.
fn explore(scenario: impl Fn() + Send + Sync + Clone + 'static) {
    shuttle::check_random(scenario.clone(), RUNS);
    shuttle::check_pct(scenario, RUNS, DEPTH);
}

#[test]
fn no_notification_is_lost() {
    explore(|| {
        let service = Service::default();
        let request = service.spawn("n1", 3);
        let changes = {
            let service = service.clone();
            move || (0..2).for_each(|_| service.change("n1"))
        };
        let changing = thread::spawn(changes);
        service.change("n1");
        assert_eq!(block_on(request).unwrap(), 3);
        changing.join().unwrap();
        service.check_nothing_is_left();
    });
}

#[test]
fn a_notification_reaches_every_request_of_its_node_and_no_other() {
    explore(|| {
        let service = Service::default();
        let requests: Vec<_> =
            ["n1", "n1", "n1", "n2"].map(|name| service.spawn(name, 1)).into_iter().collect();
        let changing = {
            let service = service.clone();
            thread::spawn(move || service.change("n1"))
        };
        service.change("n2");
        for request in requests {
            assert_eq!(block_on(request).unwrap(), 1);
        }
        changing.join().unwrap();
        service.check_nothing_is_left();
    });
}

/// Connections close at any moment, also while a notification is on its way.
#[test]
fn a_closed_connection_leaves_nothing_and_takes_no_notification_with_it() {
    explore(|| {
        let service = Service::default();
        let closed = [service.spawn("n1", 9), service.spawn("n1", 1), service.spawn("n2", 9)];
        let kept = service.spawn("n1", 1);
        let changing = {
            let service = service.clone();
            thread::spawn(move || service.change("n1"))
        };
        closed.iter().for_each(JoinHandle::abort);
        assert_eq!(block_on(kept).unwrap(), 1);
        for request in closed {
            let _ = block_on(request);
        }
        changing.join().unwrap();
        service.check_nothing_is_left();
    });
}

#[test]
fn the_limit_ends_a_request() {
    explore(|| {
        let service = Service::default();
        let timer = Timer::default();
        let request = future::spawn(service.clone().request("n1", 2, timer.clone().ended()));
        let changing = {
            let service = service.clone();
            thread::spawn(move || service.change("n1"))
        };
        timer.end();
        assert!(block_on(request).unwrap() <= 1);
        changing.join().unwrap();
        service.check_nothing_is_left();
    });
}

/// Every read of the state meets another change: only the limit ends this request.
#[test]
fn notifications_without_end_do_not_hold_a_request_beyond_its_limit() {
    explore(|| {
        let service = Service::default();
        let (timer, reads) = (Timer::default(), Mutex::new(0));
        let timing = {
            let timer = timer.clone();
            thread::spawn(move || timer.end())
        };
        let read = || async {
            service.change("n1");
            // The test of a request that is never ended is to end.
            let mut reads = reads.lock().unwrap();
            *reads += 1;
            assert!(*reads < 100, "held on after the limit");
            drop(reads);
            if service.read("n1").await.unwrap() == 3 {
                timer.clone().ended().await;
            }
            Ok::<(), Infallible>(())
        };
        let node = node("n1");
        let held =
            service.held_requests.hold(&node, timer.clone().ended(), read(), read, |()| false);
        block_on(held).unwrap();
        timing.join().unwrap();
        service.check_nothing_is_left();
    });
}
