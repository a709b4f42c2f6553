//! Metrics that the job on this node reports: as lines of `metrics.jsonl` in one of its output directories, or of the
//! standard output of its first process.
//!
//! They are read only when a report is sent anyway, by a thread of its own: the files may be on a file server that does
//! not answer. What is not read in time comes with the next report. When the command has ended, the thread of the
//! attempt reads the rest, and the report of the end has it.

mod curves;
mod line;
mod source;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use protocol::{JobMetric, MAX_JOB_METRICS};
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::clock::Uptime;
use crate::system::workers::Workers;
pub use source::Mark;
use source::{Kind, Source};

const FILE_NAME: &str = "metrics.jsonl";

/// How long a report waits for the files.
const PATIENCE: Duration = Duration::from_millis(200);

/// The shortest time between two readings, which bounds the bytes per second.
const INTERVAL: Duration = Duration::from_secs(1);

/// The metrics of one attempt.
#[derive(Debug, Default)]
pub struct JobMetrics {
    /// Locked while they are read, however long that takes.
    files: Mutex<Files>,
    is_watching: AtomicBool,
    /// Locked only for a moment.
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Files {
    sources: Vec<Source>,
    read_at: Option<Uptime>,
}

#[derive(Debug, Default)]
struct Known {
    metrics: Vec<JobMetric>,
    acknowledged: Vec<JobMetric>,
}

/// What earlier attempts have written in these output directories.
pub fn marks(outputs: &[PathBuf]) -> Vec<Option<Mark>> {
    outputs.iter().map(|output| Mark::of(&output.join(FILE_NAME))).collect()
}

impl JobMetrics {
    /// Begins to watch the files of a job. `marks`: as [`marks`] returned them when the attempt began.
    pub fn watch(&self, outputs: &[PathBuf], marks: &[Option<Mark>], stdout: Option<&Path>) {
        let mark = |index| marks.get(index).copied().flatten();
        let files = outputs
            .iter()
            .enumerate()
            .map(|(index, output)| Source::new(output.join(FILE_NAME), Kind::Metrics, mark(index)));
        let stdout = stdout.map(|path| Source::new(path.to_owned(), Kind::Output, None));
        lock(&self.files).sources = files.chain(stdout).collect();
        self.is_watching.store(true, Ordering::Release);
    }

    /// Reads what the job has reported since. Waits for it only for a moment.
    pub async fn refresh(self: &Arc<Self>, workers: &Arc<Workers>) {
        if !self.is_watching.load(Ordering::Acquire) {
            return;
        }
        let (done, finished) = oneshot::channel::<()>();
        let own = Arc::clone(self);
        let started = workers.run(move |worker| {
            own.read_new();
            worker.release();
            drop(done);
        });
        match started {
            // Either it is done, or the next report has it.
            Ok(()) => drop(timeout(PATIENCE, finished).await),
            Err(error) => tracing::warn!(%error, "the metrics of a job are not read"),
        }
    }

    fn read_new(&self) {
        // Another thread may still wait for a file server.
        let Ok(mut files) = self.files.try_lock() else { return };
        let now = Uptime::now();
        if files.read_at.is_some_and(|last| now.since(last) < INTERVAL) {
            return;
        }
        files.read_at = Some(now);
        self.read(&mut files.sources, false);
    }

    /// Reads the rest, when every process of the command has ended.
    pub fn read_rest(&self) {
        if !self.is_watching.load(Ordering::Acquire) {
            return;
        }
        match self.files.try_lock() {
            Ok(mut files) => self.read(&mut files.sources, true),
            // The file server did not answer for a while: what was read before is reported.
            Err(_) => tracing::warn!("the last metrics of a job are not read"),
        }
    }

    fn read(&self, sources: &mut [Source], is_over: bool) {
        let mut metrics: Vec<JobMetric> = Vec::new();
        for source in sources {
            if let Err(error) = source.read() {
                tracing::debug!(%error, "a file with metrics cannot be read");
            }
            if is_over {
                source.finish();
            }
            // A metric that is in several files counts in the first one: which that is does not depend on when they are
            // read.
            for metric in source.curves().metrics() {
                let is_new = metrics.iter().all(|known| known.name != metric.name);
                if is_new && metrics.len() < MAX_JOB_METRICS {
                    metrics.push(metric.clone());
                }
            }
        }
        lock(&self.known).metrics = metrics;
    }

    /// All metrics.
    pub fn all(&self) -> Vec<JobMetric> {
        lock(&self.known).metrics.clone()
    }

    /// All metrics, if the control plane does not have them yet.
    pub fn unacknowledged(&self) -> Vec<JobMetric> {
        let known = lock(&self.known);
        if known.metrics == known.acknowledged { Vec::new() } else { known.metrics.clone() }
    }

    /// The control plane has these.
    pub fn acknowledge(&self, metrics: &[JobMetric]) {
        if !metrics.is_empty() {
            lock(&self.known).acknowledged = metrics.to_vec();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn loss(metrics: &[JobMetric]) -> Vec<u64> {
        let loss = metrics.iter().find(|metric| metric.name == "loss");
        loss.map(|it| it.points.iter().map(|point| point.step).collect()).unwrap_or_default()
    }

    #[test]
    fn a_metric_counts_in_the_first_file_that_has_it() {
        let place = tempfile::tempdir().unwrap();
        let outputs = ["a", "b"].map(|name| place.path().join(name));
        outputs.iter().for_each(|path| fs::create_dir(path).unwrap());
        let stdout = place.path().join("stdout.txt");
        let metrics = JobMetrics::default();
        metrics.watch(&outputs, &marks(&outputs), Some(&stdout));
        fs::write(&stdout, "{\"step\":1,\"loss\":1,\"speed\":5}\n").unwrap();
        fs::write(outputs[1].join(FILE_NAME), "{\"step\":7,\"loss\":2}\n").unwrap();
        metrics.read_new();
        assert_eq!(loss(&metrics.all()), [7]);
        assert_eq!(metrics.all().len(), 2, "loss and speed");
        fs::write(outputs[0].join(FILE_NAME), "{\"step\":8,\"loss\":2}").unwrap();
        metrics.read_new();
        assert_eq!(loss(&metrics.all()), [7], "not more often than once a second");
        metrics.read_rest();
        assert_eq!(loss(&metrics.all()), [8], "the last line does not end");
    }

    #[test]
    fn what_was_acknowledged_is_not_sent_again() {
        let place = tempfile::tempdir().unwrap();
        let stdout = place.path().join("stdout.txt");
        let metrics = JobMetrics::default();
        metrics.read_rest();
        assert!(metrics.all().is_empty(), "nothing is watched");
        metrics.watch(&[], &[], Some(&stdout));
        fs::write(&stdout, "{\"step\":1,\"loss\":1}\n").unwrap();
        metrics.read_new();
        let sent = metrics.unacknowledged();
        assert_eq!(loss(&sent), [1]);
        metrics.acknowledge(&sent);
        assert!(metrics.unacknowledged().is_empty());
        fs::write(&stdout, "{\"step\":1,\"loss\":1}\n{\"step\":2,\"loss\":1}\n").unwrap();
        metrics.read_rest();
        assert_eq!(loss(&metrics.unacknowledged()), [1, 2]);
        metrics.acknowledge(&[]);
        assert_eq!(loss(&metrics.unacknowledged()), [1, 2]);
    }

    #[tokio::test]
    #[expect(clippy::await_holding_lock, reason = "the lock stands for a file that takes long")]
    async fn a_file_that_is_being_read_delays_neither_reports_nor_the_end() {
        let place = tempfile::tempdir().unwrap();
        let stdout = place.path().join("stdout.txt");
        fs::write(&stdout, "{\"step\":1,\"loss\":1}\n").unwrap();
        let (metrics, workers) = (Arc::new(JobMetrics::default()), Arc::new(Workers::default()));
        metrics.watch(&[], &[], Some(&stdout));
        {
            let _reading = lock(&metrics.files);
            metrics.refresh(&workers).await;
            metrics.read_rest();
            assert!(metrics.all().is_empty());
        }
        metrics.refresh(&workers).await;
        assert_eq!(loss(&metrics.all()), [1]);
    }
}
