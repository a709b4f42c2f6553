//! A job of the sweep: its record and what its log shows.

use super::deployment::Deployment;
use super::sweep::JobPlan;
use super::training_log::TrainingLog;
use crate::log_tail::{LogTail, OutputFile, Progress, STDOUTERR};
use anyhow::Result;
use resources::Job;

pub struct TrackedJob {
    tail: LogTail,
    epochs: u32,
    done: bool,
    log: TrainingLog,
}

impl TrackedJob {
    pub async fn read(deployment: &Deployment, plan: &JobPlan) -> Result<Self> {
        let address = deployment.jobs.join(&[&plan.name]);
        let job: Job = deployment.client.get(&address).await?.read()?;
        let tail = LogTail::new(address, OutputFile::new(STDOUTERR, "stdout.txt"), job);
        Ok(Self { tail, epochs: plan.epochs, done: false, log: TrainingLog::default() })
    }

    pub fn name(&self) -> &str {
        &self.tail.job().name
    }

    /// The number of epochs that the job trains.
    pub fn epochs(&self) -> u32 {
        self.epochs
    }

    pub fn record(&self) -> &Job {
        self.tail.job()
    }

    pub fn log(&self) -> &TrainingLog {
        &self.log
    }

    /// Whether the job has ended and its whole log was read.
    pub fn is_done(&self) -> bool {
        self.done
    }

    /// Reads the record and the new part of the log.
    pub async fn update(&mut self, deployment: &Deployment) -> Result<()> {
        while !self.done {
            let (pieces, progress) = self.tail.advance(&deployment.client).await?;
            pieces.into_iter().for_each(|piece| self.log.read(piece));
            match progress {
                Progress::More => {}
                Progress::CaughtUp | Progress::AwaitingMove => break,
                Progress::Done => self.done = true,
            }
        }
        Ok(())
    }
}
