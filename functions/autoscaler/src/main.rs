//! The Lambda function of `control::autoscaler`: wiring only.

use control::Function;

#[tokio::main]
async fn main() -> Result<(), lambda_runtime::Error> {
    aws::serve(Function::Autoscaler, aws::NoMachines::for_any).await
}
