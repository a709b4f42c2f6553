//! Watches the jobs and the cluster until every job has ended and no node is left.

use super::interruption::Interruption;
use super::screen::Screen;
use super::setup::Stage;
use super::training_log::TrainingLog;
use crate::log_tail::{LogTail, Place, Progress, STDOUTERR};
use crate::resources::{Cluster, Job};
use anyhow::Result;
use std::time::Duration;

const PAUSE: Duration = Duration::from_millis(300);

pub struct Watch {
    pub jobs: Vec<Watched>,
    pub cluster: Cluster,
    pub interruption: Interruption,
}

/// A job, and what it says of itself.
pub struct Watched {
    tail: LogTail,
    epochs: u32,
    done: bool,
    pub log: TrainingLog,
}

impl Watch {
    pub async fn begin(stage: &Stage) -> Result<Self> {
        let mut jobs = Vec::new();
        for plan in &stage.plans {
            let address = stage.jobs.join(&[&plan.name]);
            let job: Job = stage.client.get(&address).await?.read()?;
            let tail = LogTail::new(address, Place::new(STDOUTERR, "stdout.txt"), job);
            let log = TrainingLog::default();
            jobs.push(Watched { tail, epochs: plan.epochs, done: false, log });
        }
        let cluster = stage.client.get(&stage.cluster).await?.read()?;
        Ok(Self { jobs, cluster, interruption: Interruption::awaited() })
    }

    pub async fn until_empty(&mut self, stage: &Stage, screen: &Screen) -> Result<()> {
        let mut told_of_the_end = false;
        loop {
            for job in &mut self.jobs {
                job.advance(stage).await?;
            }
            self.interruption.advance(stage, &self.jobs, screen).await?;
            self.cluster = stage.client.get(&stage.cluster).await?.read()?;
            screen.draw(stage, self);
            if self.jobs.iter().all(|job| job.done) {
                if self.cluster.properties.current_node_count == 0 {
                    return Ok(());
                }
                if !told_of_the_end {
                    screen.tell("Every job has ended; the cluster gives its nodes back");
                    told_of_the_end = true;
                }
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}

impl Watched {
    pub fn name(&self) -> &str {
        &self.tail.job().name
    }

    pub fn epochs(&self) -> u32 {
        self.epochs
    }

    pub fn record(&self) -> &Job {
        self.tail.job()
    }

    async fn advance(&mut self, stage: &Stage) -> Result<()> {
        while !self.done {
            let (pieces, progress) = self.tail.advance(&stage.client).await?;
            pieces.into_iter().for_each(|piece| self.log.read(piece));
            match progress {
                Progress::More => {}
                Progress::CaughtUp | Progress::Moving => break,
                Progress::Done => self.done = true,
            }
        }
        Ok(())
    }
}
