//! Polls the jobs and the cluster until every job has ended and the cluster has no nodes.

use super::deployment::Deployment;
use super::interruption::Interruption;
use super::screen::Screen;
use super::tracked_job::TrackedJob;
use anyhow::Result;
use resources::Cluster;
use std::time::Duration;

const PAUSE: Duration = Duration::from_millis(300);

pub struct Monitor {
    pub jobs: Vec<TrackedJob>,
    pub cluster: Cluster,
    pub interruption: Interruption,
}

impl Monitor {
    pub async fn start(deployment: &Deployment) -> Result<Self> {
        let mut jobs = Vec::new();
        for plan in &deployment.plans {
            jobs.push(TrackedJob::read(deployment, plan).await?);
        }
        let cluster = deployment.client.get(&deployment.cluster).await?.read()?;
        Ok(Self { jobs, cluster, interruption: Interruption::START })
    }

    pub async fn run_until_empty(
        &mut self,
        deployment: &Deployment,
        screen: &Screen,
    ) -> Result<()> {
        let mut reported_end = false;
        loop {
            for job in &mut self.jobs {
                job.update(deployment).await?;
            }
            self.interruption.advance(deployment, &self.jobs, screen).await?;
            self.cluster = deployment.client.get(&deployment.cluster).await?.read()?;
            screen.draw(&self.jobs, &self.cluster);
            if self.jobs.iter().all(TrackedJob::is_done) {
                if self.cluster.properties.current_node_count == 0 {
                    return Ok(());
                }
                if !reported_end {
                    screen.event("All jobs have ended; the cluster scales to zero");
                    reported_end = true;
                }
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}
