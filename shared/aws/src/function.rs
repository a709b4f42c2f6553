//! The pattern of the Lambda functions that reconcile.

use crate::EnvironmentError;
use crate::events::{Trigger, handle};
use aws_config::SdkConfig;
use control::Function;
use control::ports::Machines;
use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use model::Timestamp;
use std::sync::Arc;

/// Nothing new is started so shortly before the timeout: long enough for one action, which is a commit
/// or a call to EC2 with its retries.
const RESERVE_MILLIS: i64 = 10_000;

/// Runs a Lambda function that reconciles as `function`, with the instances of `machines`.
///
/// # Errors
/// When its environment is invalid, or the Lambda runtime fails.
pub async fn serve(
    function: Function,
    machines: impl FnOnce(&SdkConfig) -> Result<Arc<dyn Machines>, EnvironmentError>,
) -> Result<(), Error> {
    crate::log(crate::required("STACK_NAME")?);
    let config = crate::config().await;
    let control = crate::control(&config, function, machines(&config)?)?;
    run(service_fn(async |event: LambdaEvent<Trigger>| {
        let end = Timestamp(i64::try_from(event.context.deadline)? - RESERVE_MILLIS);
        Box::pin(handle(&control, function, event.payload, end)).await.map_err(Error::from)
    }))
    .await
}
