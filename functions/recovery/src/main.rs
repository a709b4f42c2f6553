//! The recovery's Lambda function: wiring only.

use control::trigger::Trigger;
use lambda_runtime::{Error, LambdaEvent, run, service_fn};

#[tokio::main]
async fn main() -> Result<(), Error> {
    aws::log();
    let control = aws::control().await?;
    run(service_fn(async |event: LambdaEvent<Trigger>| {
        Box::pin(control::recovery::handle(&control, event.payload)).await.map_err(Error::from)
    }))
    .await
}
