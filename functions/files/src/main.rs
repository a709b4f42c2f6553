//! The Lambda function of output files, with streamed responses: wiring only.

use lambda_http::{Error, run_with_streaming_response};
use web::FilesWeb;

#[tokio::main]
async fn main() -> Result<(), Error> {
    aws::log(aws::required("STACK_NAME")?);
    let aws::Files { files, table, keys, clock, owner, copies } =
        aws::files(&aws::config().await).await?;
    let web = FilesWeb { files, table, keys, clock, service: owner, copies: Some(copies) };
    run_with_streaming_response(web::files_app(web)).await
}
