//! The port for instances, on EC2.

use crate::prices::Cache;
use crate::{LaunchSettings, Subnet};
use async_trait::async_trait;
use aws_sdk_ec2::Client;
use control::ports::{LaunchOutcome, LaunchRequest, Machines, PortError, Termination};
use model::{Cluster, ClusterRef, Offering, Placement, Price, ResourceError, Timestamp, ec2};
use scheduler::recovery::FoundInstance;

/// The instances of a stack.
#[derive(Clone, Debug)]
pub struct Ec2Machines {
    pub(crate) client: Client,
    pub(crate) stack: String,
    launches: Option<LaunchSettings>,
    pub(crate) prices: Cache,
}

impl Ec2Machines {
    /// The instances of this stack. Without settings for launches it launches none.
    pub fn new(client: Client, stack: String, launches: Option<LaunchSettings>) -> Self {
        Self { client, stack, launches, prices: Cache::default() }
    }

    /// The subnets of the stack; with a zone, those in it.
    fn subnets(&self, zone: Option<&str>) -> Result<Vec<String>, ResourceError> {
        let own = self.launches.iter().flat_map(|it| &it.subnets);
        let is_in = |subnet: &&Subnet| zone.is_none_or(|zone| subnet.zone == zone);
        let ids: Vec<String> = own.filter(is_in).map(|subnet| subnet.id.clone()).collect();
        match zone {
            Some(zone) if ids.is_empty() && self.launches.is_some() => {
                let message =
                    format!("The stack has no subnet in {zone}, where the nodes of a job are");
                Err(ResourceError::new("ZoneNotServed", message))
            }
            Some(_) | None => Ok(ids),
        }
    }
}

#[async_trait]
impl Machines for Ec2Machines {
    fn placement(&self, cluster: &Cluster, zone: Option<&str>) -> Result<Placement, ResourceError> {
        ec2::check(&cluster.spec)?;
        let subnets = match ec2::subnet(&cluster.spec)? {
            Some(subnet) => vec![subnet],
            None => self.subnets(zone)?,
        };
        let zones = zone.map(str::to_owned).into_iter().collect();
        let image = ec2::image(&cluster.spec)?;
        Ok(Placement {
            zones,
            subnets,
            image,
            security_groups: cluster.spec.extensions.security_groups.clone().unwrap_or_default(),
            capacity_reservation: ec2::capacity_reservation(&cluster.spec)?,
            ..Placement::default()
        })
    }

    async fn launch(&self, request: &LaunchRequest) -> Result<LaunchOutcome, PortError> {
        match &self.launches {
            Some(settings) => self.launch_instances(settings, request).await,
            None => Err(PortError::other("this function launches no instances")),
        }
    }

    async fn find(&self, cluster: &ClusterRef) -> Result<Vec<FoundInstance>, PortError> {
        self.of_cluster(cluster).await
    }

    async fn clusters(&self) -> Result<Vec<ClusterRef>, PortError> {
        self.clusters_of_stack().await
    }

    async fn prices(&self, offerings: &[Offering], now: Timestamp) -> Vec<Price> {
        self.prices_of(offerings, now).await
    }

    async fn terminate(
        &self,
        _cluster: &ClusterRef,
        instances: &[String],
    ) -> Result<Vec<Result<Termination, PortError>>, PortError> {
        let mut outcomes = self.terminate_instances(instances).await;
        self.describe_ending(instances, &mut outcomes).await;
        Ok(outcomes)
    }
}
