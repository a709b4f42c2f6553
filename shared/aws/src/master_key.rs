//! The master key of a stack: a data key of KMS, encrypted in the table.
//!
//! The first function that starts creates it, if it may; the record is written once. Every cold start
//! decrypts it. The encryption context is the name of the stack.

use crate::settings::KeySettings;
use crate::variables::EnvironmentError;
use aws_sdk_kms::Client;
use aws_sdk_kms::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use aws_sdk_kms::primitives::Blob;
use aws_sdk_kms::types::DataKeySpec;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use table::{ServiceKey, Table, Writes};

/// Whether a function creates the key if there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MissingKey {
    /// It is created.
    Create,
    /// The function cannot start: its role does not allow to create it.
    Fail,
}

/// The key of the encryption context.
const CONTEXT: &str = "batchai:stack";

/// Reads the master key of the stack.
///
/// # Errors
/// When the table or the key cannot be used.
pub async fn master_key(
    kms: &Client,
    table: &Table,
    settings: &KeySettings,
    missing: MissingKey,
) -> Result<[u8; 32], EnvironmentError> {
    let source = Source { kms, table, settings };
    if let Some(stored) = source.stored().await? {
        return source.decrypt(&stored).await;
    }
    match missing {
        MissingKey::Create => source.create().await,
        MissingKey::Fail => Err(source.unusable(
            "the stack has no data key of it yet; send a request to the API, whose function creates it",
        )),
    }
}

struct Source<'a> {
    kms: &'a Client,
    table: &'a Table,
    settings: &'a KeySettings,
}

impl Source<'_> {
    async fn stored(&self) -> Result<Option<ServiceKey>, EnvironmentError> {
        self.table.service_key().await.map_err(|error| table_error(&error))
    }

    async fn create(&self) -> Result<[u8; 32], EnvironmentError> {
        let generated = self
            .kms
            .generate_data_key()
            .key_id(&self.settings.arn)
            .key_spec(DataKeySpec::Aes256)
            .encryption_context(CONTEXT, &self.settings.stack)
            .send()
            .await
            .map_err(|error| self.refused("kms:GenerateDataKey", &error))?;
        let encrypted =
            generated.ciphertext_blob.map(|blob| STANDARD.encode(blob)).unwrap_or_default();
        let key = self.key(generated.plaintext)?;
        let mut writes = Writes::default();
        writes.create(&ServiceKey { encrypted });
        match self.table.commit(writes).await {
            Ok(()) => Ok(key),
            // Another function was first, or the answer to a write of this one was lost.
            Err(error) if error.is_conflict() => match self.stored().await? {
                Some(stored) => self.decrypt(&stored).await,
                None => Err(table_error(&error)),
            },
            Err(error) => Err(table_error(&error)),
        }
    }

    async fn decrypt(&self, stored: &ServiceKey) -> Result<[u8; 32], EnvironmentError> {
        let encrypted = STANDARD.decode(&stored.encrypted);
        let encrypted =
            encrypted.map_err(|_| self.unusable("its data key in the table is damaged"))?;
        let decrypted = self
            .kms
            .decrypt()
            .key_id(&self.settings.arn)
            .ciphertext_blob(Blob::new(encrypted))
            .encryption_context(CONTEXT, &self.settings.stack)
            .send()
            .await
            .map_err(|error| self.refused("kms:Decrypt", &error))?;
        self.key(decrypted.plaintext)
    }

    fn key(&self, plain: Option<Blob>) -> Result<[u8; 32], EnvironmentError> {
        let plain = plain.map(Blob::into_inner).unwrap_or_default();
        plain.try_into().map_err(|_| self.unusable("KMS returned a data key of another length"))
    }

    fn refused<E, R>(&self, action: &str, error: &SdkError<E, R>) -> EnvironmentError
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
        R: std::fmt::Debug,
    {
        let advice = match error.code() {
            Some("AccessDeniedException") => "the role of this function lacks the permission",
            Some("NotFoundException") => "there is no such key in this region",
            Some("DisabledException" | "KMSInvalidStateException") => "enable the key",
            Some("InvalidCiphertextException" | "IncorrectKeyException") => {
                "the data key in the table was made with another key, or for a stack of another name (STACK_NAME)"
            }
            Some(_) | None => "KMS could not be used",
        };
        self.unusable(&format!("{action}: {advice}: {}", DisplayErrorContext(error)))
    }

    fn unusable(&self, problem: &str) -> EnvironmentError {
        EnvironmentError::Unusable {
            name: "KMS_KEY_ARN",
            what: self.settings.arn.clone(),
            problem: problem.to_owned(),
        }
    }
}

fn table_error(error: &table::Error) -> EnvironmentError {
    let problem = DisplayErrorContext(error).to_string();
    EnvironmentError::Unusable { name: "TABLE_NAME", what: "the table".to_owned(), problem }
}
