//! The AWS CLI: the program `aws`, with the region and the credentials of its own configuration.

use serde_json::Value;
use std::io::ErrorKind;
use std::process::Stdio;
use std::time::Duration;
use tokio::process::Command;
use tokio::sync::Semaphore;

/// It starts an interpreter for each call: more at once would only compete.
const CALLS_AT_ONCE: usize = 4;

const TIMEOUT: Duration = Duration::from_secs(60);

/// Longer messages are cut.
const MESSAGE_CHARACTERS: usize = 300;

pub struct Aws {
    calls: Semaphore,
}

/// Why a call has no result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AwsError {
    /// There is no program `aws`.
    NotInstalled,
    /// The credentials do not allow the call.
    Denied(String),
    Failed(String),
}

impl Aws {
    pub fn new() -> Self {
        Self { calls: Semaphore::new(CALLS_AT_ONCE) }
    }

    /// Runs one command, such as `["sts", "get-caller-identity"]`, and reads what it prints.
    pub async fn call(&self, arguments: &[&str]) -> Result<Value, AwsError> {
        let _permit = self.calls.acquire().await.map_err(|error| failed(&error))?;
        tracing::debug!(?arguments, "aws");
        let output = Command::new("aws")
            .args(arguments)
            .args(["--output", "json"])
            // A pager would wait for a key.
            .env("AWS_PAGER", "")
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output();
        let output = match tokio::time::timeout(TIMEOUT, output).await {
            Ok(Ok(output)) => output,
            Ok(Err(error)) if error.kind() == ErrorKind::NotFound => {
                return Err(AwsError::NotInstalled);
            }
            Ok(Err(error)) => return Err(failed(&error)),
            Err(_) => return Err(failed(&format!("no answer within {} s", TIMEOUT.as_secs()))),
        };
        if !output.status.success() {
            return Err(refusal(&String::from_utf8_lossy(&output.stderr)));
        }
        // Some commands print nothing where there is nothing.
        match output.stdout.iter().all(u8::is_ascii_whitespace) {
            true => Ok(Value::Null),
            false => serde_json::from_slice(&output.stdout).map_err(|error| failed(&error)),
        }
    }
}

fn failed(error: &impl ToString) -> AwsError {
    AwsError::Failed(error.to_string())
}

fn refusal(text: &str) -> AwsError {
    const DENIED: [&str; 4] = ["AccessDenied", "UnauthorizedOperation", "not authorized", "(403)"];
    // After an empty line, or after the usage of the program.
    let last = text.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or_default();
    let message = last.chars().take(MESSAGE_CHARACTERS).collect();
    match DENIED.iter().any(|mark| text.contains(mark)) {
        true => AwsError::Denied(message),
        false => AwsError::Failed(message),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_permission_is_distinguished() {
        let text = "\nAn error occurred (AccessDenied) when calling the DescribeAlarms operation: \
                    User x is not authorized\n";
        assert!(
            matches!(refusal(text), AwsError::Denied(message) if message.starts_with("An error"))
        );
        let text = "\nYou must specify a region. You can also configure your region\n\n";
        assert!(
            matches!(refusal(text), AwsError::Failed(message) if message.starts_with("You must"))
        );
    }
}
