//! The Lambda function of `control::recovery`: wiring only.

use control::Function;

#[tokio::main]
async fn main() -> Result<(), lambda_runtime::Error> {
    aws::serve(Function::Recovery, ec2::terminating).await
}
