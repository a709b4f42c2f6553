//! The pattern of the Lambda functions that reconcile.

use crate::EnvironmentError;
use crate::events::{Trigger, handle};
use aws_config::SdkConfig;
use control::Function;
use control::ports::Machines;
use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use std::sync::Arc;

/// Runs a Lambda function that reconciles as `function`, with the instances of `machines`.
///
/// # Errors
/// When its environment is invalid, or the Lambda runtime fails.
pub async fn serve(
    function: Function,
    machines: impl FnOnce(&SdkConfig) -> Result<Arc<dyn Machines>, EnvironmentError>,
) -> Result<(), Error> {
    crate::log();
    let config = crate::config().await;
    let control = crate::control(&config, function, machines(&config)?)?;
    run(service_fn(async |event: LambdaEvent<Trigger>| {
        Box::pin(handle(&control, function, event.payload)).await.map_err(Error::from)
    }))
    .await
}
