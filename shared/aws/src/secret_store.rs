//! Secrets that jobs refer to: of Secrets Manager and of SSM Parameter Store, by their ARN. The role of the
//! function may read only what is tagged for the stack.

use crate::failures::port_error;
use async_trait::async_trait;
use aws_sdk_kms::error::{ProvideErrorMetadata, SdkError};
use control::ports::{SecretError, SecretStore};
use model::ResourceError;

/// The two stores of secrets.
pub struct AwsSecretStore {
    secrets_manager: aws_sdk_secretsmanager::Client,
    ssm: aws_sdk_ssm::Client,
}

impl AwsSecretStore {
    /// With these clients.
    pub fn new(secrets_manager: aws_sdk_secretsmanager::Client, ssm: aws_sdk_ssm::Client) -> Self {
        Self { secrets_manager, ssm }
    }
}

#[async_trait]
impl SecretStore for AwsSecretStore {
    async fn read(&self, reference: &str) -> Result<String, SecretError> {
        let value = match reference.split(':').nth(2) {
            Some("secretsmanager") => {
                let request = self.secrets_manager.get_secret_value().secret_id(reference);
                request.send().await.map_err(|error| refused(reference, error))?.secret_string
            }
            Some("ssm") => {
                let request = self.ssm.get_parameter().name(reference).with_decryption(true);
                let read = request.send().await.map_err(|error| refused(reference, error))?;
                read.parameter.and_then(|parameter| parameter.value)
            }
            Some(_) | None => None,
        };
        let without_text = || unreadable("SecretNotReadable", reference, "it has no text");
        value.ok_or_else(without_text)
    }
}

fn unreadable(code: &str, reference: &str, reason: &str) -> SecretError {
    let message = format!("The secret {reference} cannot be read: {reason}");
    SecretError::Unreadable(ResourceError::new(code, message))
}

/// Errors that a repetition would not change are failures of the job.
fn refused<E, R>(reference: &str, error: SdkError<E, R>) -> SecretError
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    R: std::fmt::Debug + Send + Sync + 'static,
{
    let refused = |reason| unreadable("SecretNotReadable", reference, reason);
    match error.code() {
        Some("ResourceNotFoundException" | "ParameterNotFound" | "ParameterVersionNotFound") => {
            unreadable(
                "SecretNotFound",
                reference,
                "there is none in the account and region of the service",
            )
        }
        Some("AccessDenied" | "AccessDeniedException") => refused(
            "the service is not permitted to; give it the tag batchai:stack with the name of the stack, and if it has an encryption key of its own, let the role of the function api use the key",
        ),
        Some("DecryptionFailure" | "InvalidKeyId") => {
            refused("it cannot be decrypted; check its encryption key")
        }
        Some("InvalidRequestException") => refused("it is scheduled for deletion"),
        Some("InvalidParameterException" | "ValidationException") => {
            refused("this is no ARN of a secret or parameter")
        }
        Some(_) | None => SecretError::Port(port_error(error)),
    }
}
