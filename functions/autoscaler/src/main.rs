//! The Lambda function of `control::autoscaler`: wiring only.

use control::Function;

#[tokio::main]
async fn main() -> Result<(), lambda_runtime::Error> {
    aws::serve(Function::Autoscaler, ec2::launching).await
}
