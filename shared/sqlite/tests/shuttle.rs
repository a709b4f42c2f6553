//! The queue of group commit under `shuttle`, which runs the threads in many orders, with a disk
//! that only records requests.

#![expect(clippy::unwrap_used, reason = "clippy allows it in tests, but not in their helpers")]

#[path = "../src/queue.rs"]
mod queue;

mod sync {
    pub use shuttle::sync::{Condvar, Mutex, MutexGuard};
    pub use std::sync::PoisonError;
}

use queue::{Disk, Queue, Stopped};
use shuttle::future::block_on;
use shuttle::sync::Mutex;
use shuttle::thread;
use std::sync::Arc;

const RUNS: usize = 3000;
const DEPTH: usize = 4;

type Requests = Queue<Request, usize>;

/// The number of the submitter, and the number of its request.
type Request = (usize, usize);

#[derive(Clone, Default)]
struct Notes {
    /// What is on disk, in order.
    flushed: Arc<Mutex<Vec<Request>>>,
}

struct Fake {
    notes: Notes,
    max_group: usize,
}

impl Disk for Fake {
    type Request = Request;
    type Answer = usize;

    /// Answers each request with its position in the order of all requests.
    fn write(&mut self, group: &[Request]) -> Vec<usize> {
        assert!(!group.is_empty() && group.len() <= self.max_group, "a group of {}", group.len());
        // Lets other threads run between the arrival of the group and its flush.
        thread::yield_now();
        let mut flushed = self.notes.flushed.lock().unwrap();
        let first = flushed.len();
        flushed.extend(group);
        (first..flushed.len()).collect()
    }

    fn maintain(&mut self) {
        thread::yield_now();
    }
}

impl Notes {
    fn contains(&self, request: Request) -> bool {
        self.flushed.lock().unwrap().contains(&request)
    }
}

/// Runs in random orders, and in orders that delay a thread at a few chosen points.
fn explore(scenario: impl Fn() + Send + Sync + Clone + 'static) {
    shuttle::check_random(scenario.clone(), RUNS);
    shuttle::check_pct(scenario, RUNS, DEPTH);
}

fn start(capacity: u32, max_group: usize) -> (Arc<Requests>, Notes, thread::JoinHandle<()>) {
    let queue = Arc::new(Queue::new(capacity, max_group));
    let notes = Notes::default();
    let mut disk = Fake { notes: notes.clone(), max_group };
    let writer = {
        let queue = Arc::clone(&queue);
        thread::spawn(move || queue.run(&mut disk))
    };
    (queue, notes, writer)
}

/// Each submitter sends its requests one after another.
fn submitters(
    queue: &Arc<Requests>,
    notes: &Notes,
    submitters: usize,
    requests: usize,
) -> Vec<thread::JoinHandle<()>> {
    let start = |submitter| {
        let (queue, notes) = (Arc::clone(queue), notes.clone());
        thread::spawn(move || {
            for number in 0..requests {
                let request = (submitter, number);
                let place = block_on(queue.submit(request, 1)).unwrap();
                let flushed = notes.flushed.lock().unwrap();
                assert_eq!(flushed.get(place), Some(&request), "answered before it was flushed");
            }
        })
    };
    (0..submitters).map(start).collect()
}

fn check_submissions(capacity: u32, max_group: usize) {
    explore(move || {
        let (queue, notes, writer) = start(capacity, max_group);
        for submitter in submitters(&queue, &notes, 3, 2) {
            submitter.join().unwrap();
        }
        queue.close();
        writer.join().unwrap();
        let flushed = notes.flushed.lock().unwrap();
        assert_eq!(flushed.len(), 6, "each once: {flushed:?}");
        for submitter in 0..3 {
            let own: Vec<usize> =
                flushed.iter().filter(|it| it.0 == submitter).map(|it| it.1).collect();
            assert_eq!(own, [0, 1], "in the order of its submitter");
        }
    });
}

#[test]
fn every_request_is_flushed_once_and_then_answered() {
    check_submissions(16, 16);
}

#[test]
fn with_small_groups() {
    check_submissions(16, 2);
}

#[test]
fn with_room_for_one() {
    check_submissions(1, 4);
}

/// Room is given in the order of arrival: a heavy request does not starve.
#[test]
fn heavy_and_light_requests_share_the_room() {
    explore(|| {
        let (queue, notes, writer) = start(3, 8);
        let heavy = {
            let queue = Arc::clone(&queue);
            // More than the capacity: it takes all of it.
            thread::spawn(move || block_on(queue.submit((9, 0), 100)).unwrap())
        };
        for submitter in submitters(&queue, &notes, 2, 2) {
            submitter.join().unwrap();
        }
        heavy.join().unwrap();
        queue.close();
        writer.join().unwrap();
        assert_eq!(notes.flushed.lock().unwrap().len(), 5);
    });
}

/// One submitter polls both futures in one task: the first polled is the first flushed.
#[test]
fn the_order_of_one_submitter_is_kept() {
    explore(|| {
        let (queue, notes, writer) = start(1, 4);
        block_on(async {
            let all = (0..3).map(|number| queue.submit((0, number), 1));
            for answer in futures::future::join_all(all).await {
                answer.unwrap();
            }
        });
        queue.close();
        writer.join().unwrap();
        assert_eq!(*notes.flushed.lock().unwrap(), [(0, 0), (0, 1), (0, 2)]);
    });
}

#[test]
fn a_closed_queue_is_drained_and_takes_nothing_more() {
    explore(|| {
        let (queue, notes, writer) = start(8, 2);
        let start = |submitter| {
            let (queue, notes) = (Arc::clone(&queue), notes.clone());
            thread::spawn(move || {
                let answer = block_on(queue.submit((submitter, 0), 1));
                assert_eq!(answer.is_ok(), notes.contains((submitter, 0)), "{answer:?}");
            })
        };
        let submitters: Vec<_> = (0..3).map(start).collect();
        queue.close();
        writer.join().unwrap();
        assert_eq!(block_on(queue.submit((7, 0), 1)), Err(Stopped));
        for submitter in submitters {
            submitter.join().unwrap();
        }
    });
}

#[test]
fn requests_in_the_queue_at_the_end_are_flushed() {
    explore(|| {
        let (queue, notes, writer) = start(8, 2);
        block_on(async {
            let mut all: Vec<_> =
                (0..5).map(|number| Box::pin(queue.submit((0, number), 1))).collect();
            for submission in &mut all {
                let _ = futures::poll!(submission.as_mut());
            }
            queue.close();
            for submission in all {
                submission.await.unwrap();
            }
        });
        writer.join().unwrap();
        assert_eq!(notes.flushed.lock().unwrap().len(), 5);
    });
}

/// A dropped request is written if it is in the queue. A dropped request that waits for room is not
/// written and takes no room.
#[test]
fn abandoned_requests_do_no_harm() {
    explore(|| {
        let (queue, notes, writer) = start(2, 2);
        let abandoning = {
            let queue = Arc::clone(&queue);
            thread::spawn(move || {
                block_on(async {
                    let mut all: Vec<_> =
                        (0..4).map(|number| Box::pin(queue.submit((5, number), 1))).collect();
                    for submission in &mut all {
                        let _ = futures::poll!(submission.as_mut());
                    }
                });
            })
        };
        for submitter in submitters(&queue, &notes, 2, 2) {
            submitter.join().unwrap();
        }
        abandoning.join().unwrap();
        // The whole capacity is available again.
        block_on(queue.submit((6, 0), 2)).unwrap();
        queue.close();
        writer.join().unwrap();
        let flushed = notes.flushed.lock().unwrap();
        let abandoned: Vec<_> = flushed.iter().filter(|it| it.0 == 5).map(|it| it.1).collect();
        assert!(abandoned.is_sorted(), "{abandoned:?}");
        assert_eq!(flushed.len(), 5 + abandoned.len());
    });
}
