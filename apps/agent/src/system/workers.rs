//! Threads that are reused for the next attempt: starting one costs as much as half a short job.

use std::io;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};

type Work = Box<dyn FnOnce(Worker<'_>) + Send>;

/// In practice one thread, and another one while the first is busy with an attempt that hangs.
#[derive(Debug, Default)]
pub struct Workers {
    idle: Mutex<Vec<Sender<Work>>>,
}

/// The thread that runs a piece of work, for that work.
pub struct Worker<'a> {
    workers: &'a Workers,
    inbox: &'a Sender<Work>,
}

impl Worker<'_> {
    /// Makes the thread available for more work, which it does afterwards.
    pub fn release(self) {
        self.workers.lock().push(self.inbox.clone());
    }
}

impl Workers {
    /// Runs `work` on an idle thread.
    pub fn run(self: &Arc<Self>, work: impl FnOnce(Worker<'_>) + Send + 'static) -> io::Result<()> {
        let idle = self.lock().pop();
        let inbox = idle.map_or_else(|| Arc::clone(self).start(), Ok)?;
        inbox.send(Box::new(work)).map_err(|_| io::Error::other("a thread of the agent has ended"))
    }

    fn start(self: Arc<Self>) -> io::Result<Sender<Work>> {
        let (inbox, works) = channel::<Work>();
        let own = inbox.clone();
        std::thread::Builder::new().name("attempt".into()).spawn(move || {
            for work in works {
                work(Worker { workers: &self, inbox: &own });
            }
        })?;
        Ok(inbox)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Sender<Work>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::thread::{ThreadId, current};

    use super::*;

    #[test]
    fn a_thread_is_used_again_and_a_busy_one_is_not_waited_for() {
        let workers = Arc::new(Workers::default());
        let (sender, finished) = channel::<ThreadId>();
        let (release, held) = channel::<()>();
        let quick = |sender: Sender<ThreadId>| {
            move |worker: Worker<'_>| {
                worker.release();
                sender.send(current().id()).unwrap();
            }
        };
        workers.run(quick(sender.clone())).unwrap();
        let first = finished.recv().unwrap();
        workers.run(quick(sender.clone())).unwrap();
        assert_eq!(finished.recv().unwrap(), first);
        workers
            .run(move |worker| {
                held.recv().unwrap();
                worker.release();
            })
            .unwrap();
        workers.run(quick(sender)).unwrap();
        assert_ne!(finished.recv().unwrap(), first);
        release.send(()).unwrap();
    }
}
