//! The port for instances where no provider is configured: launches are refused with a reason, which the
//! cluster shows.

use async_trait::async_trait;
use control::ports::{LaunchOutcome, LaunchRequest, Machines, PortError};
use model::{ClusterRef, ResourceError};
use scheduler::recovery::FoundInstance;

/// Refuses every launch.
#[derive(Debug)]
pub struct NoMachines;

#[async_trait]
impl Machines for NoMachines {
    async fn launch(&self, _request: &LaunchRequest) -> Result<LaunchOutcome, PortError> {
        let refused = ResourceError::new(
            "NoMachineProvider",
            "This deployment has no provider of machines; nodes cannot be launched",
        );
        Ok(LaunchOutcome { launched: Vec::new(), refused: Some(refused) })
    }

    async fn find(&self, _cluster: &ClusterRef) -> Result<Vec<FoundInstance>, PortError> {
        Ok(Vec::new())
    }

    async fn clusters(&self) -> Result<Vec<ClusterRef>, PortError> {
        Ok(Vec::new())
    }

    async fn terminate(
        &self,
        _cluster: &ClusterRef,
        instances: &[String],
    ) -> Result<Vec<String>, PortError> {
        Ok(instances.to_vec())
    }
}
