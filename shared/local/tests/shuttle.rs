//! The queue of hints under `shuttle`, which runs threads and tasks in many orders. A target's state
//! is how many hints were sent for it; a handler reads that, and has seen what was sent before.
//!
//! A lost wake-up shows as a deadlock: every task is blocked.
//!
//! Bugs that were planted, and after how many schedules a test failed (the better scheduler of the
//! two, median of five):
//!
//! | bug | schedules |
//! | --- | --- |
//! | a worker checks for a message and registers under another lock | 4 |
//! | a message wakes a worker only when the queue was empty | 1 |
//! | the lock of a target is released before the handler ran | 1 |
//! | a message is taken as equal to the one that is being handled | 1 |
//! | a message behind one of a locked target is not found | 1 |
//! | a worker that ends takes the wake-up with it, or stays registered | 36, 7 |
//! | a handler that is aborted keeps its target locked; its end wakes nobody | 1, 3 |
//! | a failure is forgotten, wakes no repeater, is repeated without waking a worker | 1 |
//! | the repeater checks for a failure and registers under another lock | 25 |
//! | a failed target is free at once, stays locked for ever, comes after later messages | 1 |
//! | a worker waits for the pause itself | 1 |

#![expect(clippy::unwrap_used, reason = "clippy allows it in tests, but not in their helpers")]

#[path = "../src/queue.rs"]
mod queue;

mod sync {
    pub use shuttle::sync::{Mutex, MutexGuard};
    pub use std::sync::PoisonError;
}

use model::{Target, Uid};
use queue::Queue;
use shuttle::future::{self, JoinHandle, block_on};
use shuttle::sync::{Condvar, Mutex, MutexGuard};
use shuttle::thread;
use std::collections::{BTreeMap, BTreeSet};
use std::future::pending;
use std::pin::Pin;
use std::sync::{Arc, PoisonError};

const RUNS: usize = 2500;
const DEPTH: usize = 4;

type Pause = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A queue, and what its handlers did.
#[derive(Clone)]
struct Fixture {
    queue: Arc<Queue<Pause>>,
    notes: Arc<(Mutex<Notes>, Condvar)>,
}

#[derive(Default)]
struct Notes {
    sent: BTreeMap<Target, usize>,
    /// What of `sent` was seen by handlers that succeeded.
    seen: BTreeMap<Target, usize>,
    /// In the order in which handlers began.
    begun: Vec<Target>,
    running: BTreeSet<Uid>,
    /// How many handlers have run at a time.
    together: usize,
    /// Failed, and before the end of the pause.
    paused: BTreeSet<Uid>,
    /// How often handlers of a target fail at first.
    failures: BTreeMap<Target, usize>,
}

impl Fixture {
    fn new(failures: impl IntoIterator<Item = (Target, usize)>) -> Self {
        let notes = Notes { failures: failures.into_iter().collect(), ..Notes::default() };
        Self { queue: Arc::new(Queue::new()), notes: Arc::new((Mutex::new(notes), Condvar::new())) }
    }

    fn note<T>(&self, change: impl FnOnce(&mut Notes) -> T) -> T {
        let result = change(&mut self.notes());
        self.notes.1.notify_all();
        result
    }

    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.notes.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Blocks the thread or task.
    fn wait_until(&self, condition: impl Fn(&Notes) -> bool) {
        let mut notes = self.notes();
        while !condition(&notes) {
            notes = self.notes.1.wait(notes).unwrap();
        }
    }

    fn wait_until_all_is_seen(&self) {
        self.wait_until(|notes| notes.seen == notes.sent && notes.running.is_empty());
    }

    fn send(&self, target: &Target) {
        self.note(|notes| *notes.sent.entry(target.clone()).or_default() += 1);
        self.queue.send(target);
    }

    fn send_from_thread(&self, targets: &[Target]) -> thread::JoinHandle<()> {
        let (fixture, targets) = (self.clone(), targets.to_vec());
        thread::spawn(move || targets.iter().for_each(|target| fixture.send(target)))
    }

    fn begin(&self, target: &Target) -> Running {
        self.note(|notes| {
            assert!(notes.running.insert(target.uid().clone()), "two handlers of one target");
            assert!(!notes.paused.contains(target.uid()), "repeated before the end of the pause");
            notes.together = notes.together.max(notes.running.len());
            notes.begun.push(target.clone());
            let sent = notes.sent.get(target).copied().unwrap_or_default();
            Running { fixture: self.clone(), target: target.clone(), sent }
        })
    }

    async fn pause(self, uid: Uid) {
        future::yield_now().await;
        self.note(|notes| notes.paused.remove(&uid));
    }

    async fn handle(self, target: Target) -> Result<(), Pause> {
        let running = self.begin(&target);
        future::yield_now().await;
        running.end()
    }

    /// Stays until three handlers have run at a time.
    async fn meet(self, target: Target) -> Result<(), Pause> {
        let running = self.begin(&target);
        self.wait_until(|notes| notes.together == 3);
        running.end()
    }

    /// The pauses end when another target was handled.
    async fn handle_with_long_pauses(self, target: Target) -> Result<(), Pause> {
        self.begin(&target).end().map_err(|pause| {
            Box::pin(async move {
                self.wait_until(|notes| !notes.seen.is_empty());
                pause.await;
            }) as Pause
        })
    }

    /// Cannot be aborted in between.
    async fn handle_at_once(self, target: Target) -> Result<(), Pause> {
        self.begin(&target).end()
    }

    async fn handle_for_ever(self, target: Target) -> Result<(), Pause> {
        let _running = self.begin(&target);
        pending().await
    }

    fn work<F>(&self, worker: usize, handle: fn(Self, Target) -> F) -> JoinHandle<()>
    where
        F: Future<Output = Result<(), Pause>> + Send + 'static,
    {
        let fixture = self.clone();
        future::spawn(async move {
            fixture.queue.work(worker, |target| handle(fixture.clone(), target)).await;
        })
    }

    fn repeat(&self) -> JoinHandle<()> {
        let fixture = self.clone();
        future::spawn(async move { fixture.queue.retry_failed().await })
    }

    /// So many workers, and the repeater.
    fn start(&self, workers: usize) -> Vec<JoinHandle<()>> {
        let workers = (0..workers).map(|worker| self.work(worker, Self::handle));
        workers.chain([self.repeat()]).collect()
    }

    fn begun(&self, uid: &Uid) -> Vec<Target> {
        self.notes().begun.iter().filter(|target| target.uid() == uid).cloned().collect()
    }
}

/// A handler, until it ends or is aborted.
struct Running {
    fixture: Fixture,
    target: Target,
    /// How many hints there were for the target when it began.
    sent: usize,
}

impl Running {
    fn end(self) -> Result<(), Pause> {
        let (fixture, target) = (&self.fixture, &self.target);
        fixture.note(|notes| match notes.failures.get_mut(target).filter(|it| **it > 0) {
            Some(failures) => {
                *failures -= 1;
                notes.paused.insert(target.uid().clone());
                Err(Box::pin(fixture.clone().pause(target.uid().clone())) as Pause)
            }
            None => {
                notes.seen.insert(target.clone(), self.sent);
                Ok(())
            }
        })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.fixture.note(|notes| notes.running.remove(self.target.uid()));
    }
}

fn stop(tasks: Vec<JoinHandle<()>>) {
    tasks.iter().for_each(JoinHandle::abort);
    for task in tasks {
        assert!(block_on(task).is_err(), "a worker ended by itself");
    }
}

fn join(threads: impl IntoIterator<Item = thread::JoinHandle<()>>) {
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

fn target(byte: u8) -> Target {
    in_group(byte, "e")
}

fn in_group(byte: u8, name: &str) -> Target {
    let uid = Uid::from_bytes([byte; 16]);
    Target::Experiment { workspace: uid.clone(), name: name.into(), uid }
}

/// Runs in random orders, and in orders that delay a task at a few chosen points.
fn explore(scenario: impl Fn() + Send + Sync + Clone + 'static) {
    shuttle::check_random(scenario.clone(), RUNS);
    shuttle::check_pct(scenario, RUNS, DEPTH);
}

fn check_hints(workers: usize) {
    explore(move || {
        let fixture = Fixture::new([]);
        let tasks = fixture.start(workers);
        let senders = [[1, 2, 1], [1, 3, 2]].map(|it| fixture.send_from_thread(&it.map(target)));
        join(senders);
        fixture.wait_until_all_is_seen();
        stop(tasks);
        assert!(fixture.notes().begun.len() <= 6, "more messages than hints");
    });
}

#[test]
fn a_handler_begins_after_each_hint() {
    check_hints(1);
}

#[test]
fn a_handler_begins_after_each_hint_with_several_workers() {
    check_hints(3);
}

/// Every handler stays until there was one of each target.
#[test]
fn targets_are_handled_side_by_side() {
    explore(|| {
        let fixture = Fixture::new([]);
        let tasks = (0..3).map(|worker| fixture.work(worker, Fixture::meet)).collect();
        let sender = fixture.send_from_thread(&[1, 1, 2].map(target));
        fixture.send(&target(3));
        join([sender]);
        fixture.wait_until_all_is_seen();
        stop(tasks);
    });
}

#[test]
fn messages_of_a_group_are_handled_in_order_also_when_one_fails() {
    explore(|| {
        let [first, second, third] = ["first", "second", "third"].map(|name| in_group(1, name));
        let fixture = Fixture::new([(second.clone(), 1)]);
        let tasks = fixture.start(2);
        let sent = [first.clone(), second.clone(), third.clone()];
        let senders = [fixture.send_from_thread(&sent), fixture.send_from_thread(&[target(2)])];
        join(senders);
        fixture.wait_until_all_is_seen();
        stop(tasks);
        assert_eq!(fixture.begun(third.uid()), [first, second.clone(), second, third]);
    });
}

#[test]
fn what_fails_is_repeated_after_its_pause() {
    explore(|| {
        let fixture = Fixture::new([(target(1), 2), (target(2), 1)]);
        let tasks = fixture.start(2);
        let senders = [fixture.send_from_thread(&[1, 2].map(target))];
        fixture.send(&target(1));
        join(senders);
        fixture.wait_until_all_is_seen();
        stop(tasks);
        let begun = fixture.begun(target(1).uid()).len();
        assert!((3..=4).contains(&begun), "two failures, and one success for each hint: {begun}");
    });
}

/// The pauses end when the other target is handled, which has the one worker to itself.
#[test]
fn a_failed_message_holds_up_no_other_target() {
    explore(|| {
        let fixture = Fixture::new([(target(1), 1)]);
        let tasks = vec![fixture.work(0, Fixture::handle_with_long_pauses), fixture.repeat()];
        fixture.send(&target(1));
        join([fixture.send_from_thread(&[target(2)])]);
        fixture.wait_until_all_is_seen();
        stop(tasks);
    });
}

/// Their handlers run to completion at once: what these workers leave, they have not begun.
#[test]
fn workers_that_end_leave_their_messages_to_others() {
    explore(|| {
        let fixture = Fixture::new([]);
        let mut tasks: Vec<_> =
            (0..3).map(|worker| fixture.work(worker, Fixture::handle_at_once)).collect();
        let kept = tasks.split_off(2);
        let sender = fixture.send_from_thread(&[1, 2, 3].map(target));
        stop(tasks);
        join([sender]);
        fixture.wait_until_all_is_seen();
        stop(kept);
    });
}

#[test]
fn a_handler_that_is_aborted_frees_its_target() {
    explore(|| {
        let fixture = Fixture::new([]);
        let stuck = fixture.work(0, Fixture::handle_for_ever);
        fixture.send(&target(1));
        fixture.wait_until(|notes| notes.begun.len() == 1);
        let tasks = fixture.start(2);
        let sender = fixture.send_from_thread(&[target(1)]);
        stop(vec![stuck]);
        join([sender]);
        fixture.wait_until_all_is_seen();
        stop(tasks);
    });
}

#[test]
fn after_the_end_messages_stay_where_they_are() {
    explore(|| {
        let fixture = Fixture::new([]);
        let tasks = fixture.start(2);
        let sender = fixture.send_from_thread(&[1, 2].map(target));
        stop(tasks);
        join([sender]);
        let begun = fixture.notes().begun.len();
        fixture.send(&target(3));
        let left = std::iter::from_fn(|| fixture.queue.take());
        assert_eq!(left.map(|message| message.target.clone()).last(), Some(target(3)));
        assert_eq!(fixture.notes().begun.len(), begun);
    });
}
