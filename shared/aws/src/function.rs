//! The pattern of the Lambda functions that reconcile.

use crate::events::{Trigger, handle};
use control::Function;
use lambda_runtime::{Error, LambdaEvent, run, service_fn};

/// Runs a Lambda function that reconciles as `function`.
///
/// # Errors
/// When its environment is invalid, or the Lambda runtime fails.
pub async fn serve(function: Function) -> Result<(), Error> {
    crate::log();
    let control = crate::control().await?;
    run(service_fn(async |event: LambdaEvent<Trigger>| {
        Box::pin(handle(&control, function, event.payload)).await.map_err(Error::from)
    }))
    .await
}
