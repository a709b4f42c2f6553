//! The port for instances of a function that launches and terminates none.

use crate::EnvironmentError;
use async_trait::async_trait;
use aws_config::SdkConfig;
use control::ports::{LaunchOutcome, LaunchRequest, Machines, PortError, Termination};
use model::{ClusterRef, ResourceError};
use scheduler::recovery::FoundInstance;
use std::sync::Arc;

/// Refuses every launch.
#[derive(Debug)]
pub struct NoMachines;

impl NoMachines {
    /// The port, for every configuration.
    ///
    /// # Errors
    /// Never.
    pub fn for_any(_config: &SdkConfig) -> Result<Arc<dyn Machines>, EnvironmentError> {
        Ok(Arc::new(Self))
    }
}

#[async_trait]
impl Machines for NoMachines {
    async fn launch(&self, _request: &LaunchRequest) -> Result<LaunchOutcome, PortError> {
        let refused = ResourceError::new(
            "NoMachineProvider",
            "This deployment has no provider of machines; nodes cannot be launched",
        );
        Ok(LaunchOutcome { refused: Some(refused), ..LaunchOutcome::default() })
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
    ) -> Result<Vec<Result<Termination, PortError>>, PortError> {
        Ok(instances.iter().map(|_| Ok(Termination::Unknown)).collect())
    }
}
