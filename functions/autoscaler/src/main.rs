//! The autoscaler's Lambda function: wiring only.

use aws::events::{Trigger, handle};
use control::Function;
use lambda_runtime::{Error, LambdaEvent, run, service_fn};

#[tokio::main]
async fn main() -> Result<(), Error> {
    aws::log();
    let control = aws::control().await?;
    run(service_fn(async |event: LambdaEvent<Trigger>| {
        let handled = handle(&control, Function::Autoscaler, event.payload);
        Box::pin(handled).await.map_err(Error::from)
    }))
    .await
}
