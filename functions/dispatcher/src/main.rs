//! The Lambda function of `control::dispatcher`: wiring only.

use control::Function;

#[tokio::main]
async fn main() -> Result<(), lambda_runtime::Error> {
    aws::serve(Function::Dispatcher, aws::NoMachines::for_any).await
}
