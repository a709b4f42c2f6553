//! The Lambda function of `control::provisioner`: wiring only.

use control::Function;

#[tokio::main]
async fn main() -> Result<(), lambda_runtime::Error> {
    aws::serve(Function::Provisioner, aws::NoMachines::for_any).await
}
