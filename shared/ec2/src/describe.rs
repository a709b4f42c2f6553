//! Finds instances by their tags.

use crate::errors::port;
use crate::{Ec2Machines, tags};
use aws_sdk_ec2::types::{Filter, Instance, InstanceLifecycleType, InstanceStateName};
use control::ports::PortError;
use model::{ClusterRef, Offering, Uid, VmPriority};
use scheduler::recovery::{FoundInstance, InstanceState};
use std::collections::BTreeSet;

/// The states of instances that exist.
const EXISTING: [&str; 5] = ["pending", "running", "shutting-down", "stopping", "stopped"];

impl Ec2Machines {
    pub(crate) fn in_stack(&self) -> Filter {
        tags::in_stack(&self.stack)
    }

    /// The instances of a cluster, those included that have ended in the last hour.
    pub(crate) async fn of_cluster(
        &self,
        cluster: &ClusterRef,
    ) -> Result<Vec<FoundInstance>, PortError> {
        let instances = self.describe(vec![self.in_stack(), tags::in_cluster(cluster)]).await?;
        Ok(instances.iter().filter_map(found).collect())
    }

    /// The clusters of which instances exist.
    pub(crate) async fn clusters_of_stack(&self) -> Result<Vec<ClusterRef>, PortError> {
        let exists = tags::filter("instance-state-name", EXISTING.map(str::to_owned));
        let instances = self.describe(vec![self.in_stack(), exists]).await?;
        let mut clusters = BTreeSet::new();
        for instance in &instances {
            match tags::cluster(instance) {
                Some(cluster) => {
                    clusters.insert(cluster);
                }
                None => tracing::warn!(
                    instance = instance.instance_id(),
                    "an instance of the stack has no tag of a cluster"
                ),
            }
        }
        Ok(clusters.into_iter().collect())
    }

    /// All instances that pass the filters, page by page.
    pub(crate) async fn describe(&self, filters: Vec<Filter>) -> Result<Vec<Instance>, PortError> {
        let request = self.client.describe_instances().set_filters(Some(filters));
        let mut pages = request.into_paginator().page_size(1000).send();
        let mut instances = Vec::new();
        while let Some(page) = pages.next().await {
            for reservation in page.map_err(port)?.reservations.unwrap_or_default() {
                instances.extend(reservation.instances.unwrap_or_default());
            }
        }
        Ok(instances)
    }
}

fn found(instance: &Instance) -> Option<FoundInstance> {
    Some(FoundInstance {
        id: instance.instance_id()?.to_owned(),
        // One without the tag belongs to no launch, so it is a stray.
        launch: tags::launch(instance).unwrap_or_else(|| Uid::from_bytes([0; 16])),
        state: state(instance.state().and_then(|it| it.name())),
        address: instance.private_ip_address().map(str::to_owned),
        node: None,
        offering: offering(instance),
    })
}

/// What an instance is, and where.
pub(crate) fn offering(instance: &Instance) -> Offering {
    let zone = instance.placement().and_then(|it| it.availability_zone());
    let (Some(zone), Some(vm_size)) = (zone, instance.instance_type()) else {
        return Offering::Unknown;
    };
    let priority = match instance.instance_lifecycle() {
        Some(InstanceLifecycleType::Spot) => VmPriority::LowPriority,
        _ => VmPriority::Dedicated,
    };
    let (zone, vm_size) = (zone.to_owned(), vm_size.as_str().to_owned());
    Offering::Described { zone, vm_size, priority }
}

/// The state of an instance. In a state that is not known its processes may run.
pub(crate) fn state(name: Option<&InstanceStateName>) -> InstanceState {
    match name {
        Some(InstanceStateName::Terminated) => InstanceState::Ended,
        Some(InstanceStateName::Stopped) => InstanceState::Stopped,
        _ => InstanceState::Running,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_terminated_instance_has_ended() {
        for (name, expected) in [
            ("pending", InstanceState::Running),
            ("running", InstanceState::Running),
            ("shutting-down", InstanceState::Running),
            ("stopping", InstanceState::Running),
            ("stopped", InstanceState::Stopped),
            ("terminated", InstanceState::Ended),
            ("new-in-2030", InstanceState::Running),
        ] {
            assert_eq!(state(Some(&InstanceStateName::from(name))), expected, "{name}");
        }
        assert_eq!(state(None), InstanceState::Running);
    }
}
