//! Secrets as they are stored: encrypted by this service, or a reference to a key vault.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `{"id": ...}` of another resource, in the spelling of the request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ResourceId {
    /// The ARM id.
    pub id: String,
}

/// A reference to a secret in Azure Key Vault. The reference itself is not secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KeyVaultSecretReference {
    /// The key vault.
    pub source_vault: ResourceId,
    /// URL of the secret in it.
    pub secret_url: String,
}

/// A stored secret: encrypted with the service's key and decrypted only for the node that needs it,
/// or a reference. `Debug` shows only what the table holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum SecretValue {
    /// The encrypted value, as text.
    Sealed(String),
    /// A reference to a key vault.
    Reference(KeyVaultSecretReference),
}

impl SecretValue {
    /// The reference, if the secret is one.
    pub fn reference(&self) -> Option<&KeyVaultSecretReference> {
        match self {
            Self::Sealed(_) => None,
            Self::Reference(reference) => Some(reference),
        }
    }
}

/// An environment variable whose value is secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretVariable {
    /// Name of the variable.
    pub name: String,
    /// The secret value.
    #[serde(flatten)]
    pub value: SecretValue,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_reference_is_readable() {
        let reference = KeyVaultSecretReference {
            source_vault: ResourceId { id: "/vault".into() },
            secret_url: "https://vault/secret".into(),
        };
        assert_eq!(SecretValue::Reference(reference.clone()).reference(), Some(&reference));
        assert_eq!(SecretValue::Sealed("x".into()).reference(), None);
    }
}
