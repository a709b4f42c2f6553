//! Secrets at rest: sealed by this service, or kept in a key vault that only a reference names.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `{"id": ...}` of another resource, in the spelling of whoever sent it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ResourceId {
    pub id: String,
}

/// Where a secret stands in Azure Key Vault. Not a secret itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KeyVaultSecretReference {
    pub source_vault: ResourceId,
    pub secret_url: String,
}

/// A secret as the table keeps it: sealed under the service's key and opened only for the node
/// that needs it, or a reference. Its `Debug` shows no more than the table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum SecretValue {
    Sealed(String),
    Reference(KeyVaultSecretReference),
}

impl SecretValue {
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
    pub name: String,
    #[serde(flatten)]
    pub value: SecretValue,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_reference_may_be_shown() {
        let reference = KeyVaultSecretReference {
            source_vault: ResourceId { id: "/vault".into() },
            secret_url: "https://vault/secret".into(),
        };
        assert_eq!(SecretValue::Reference(reference.clone()).reference(), Some(&reference));
        assert_eq!(SecretValue::Sealed("x".into()).reference(), None);
    }
}
