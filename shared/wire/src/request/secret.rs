//! Secrets in requests: a value, or a reference to a key vault.

use crate::read::{Fields, Place};
use crate::{patterns, rules};
use model::{KeyVaultSecretReference, SecretValue};
use serde_json::json;
use std::fmt;

/// A secret as it was sent. Its `Debug` shows no value.
#[derive(Clone, PartialEq, Eq)]
pub enum SecretInput {
    /// The secret itself.
    Value(String),
    /// A reference to a key vault.
    Reference(KeyVaultSecretReference),
}

impl fmt::Debug for SecretInput {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Value(_) => formatter.write_str("Value"),
            Self::Reference(reference) => fmt::Debug::fmt(reference, formatter),
        }
    }
}

impl SecretInput {
    /// The stored form. `seal` encrypts a value.
    pub(super) fn into_stored(self, seal: &mut impl FnMut(&str) -> String) -> SecretValue {
        match self {
            Self::Value(value) => SecretValue::Sealed(seal(&value)),
            Self::Reference(reference) => SecretValue::Reference(reference),
        }
    }

    /// Whether a stored secret is of the same form. References are compared; values cannot be, as stored
    /// ones are encrypted.
    pub(super) fn is_same_as(&self, stored: &SecretValue) -> bool {
        match (self, stored) {
            (Self::Value(_), SecretValue::Sealed(_)) => true,
            (Self::Reference(requested), SecretValue::Reference(stored)) => requested == stored,
            (Self::Value(_), SecretValue::Reference(_))
            | (Self::Reference(_), SecretValue::Sealed(_)) => false,
        }
    }
}

/// Reads exactly one of two fields: `value`, with `read`, or `reference`.
pub(super) fn either(
    owner: &Fields<'_>,
    value: &str,
    reference: &str,
    read: impl Fn(&Place<'_>) -> Option<String>,
) -> Option<SecretInput> {
    rules::either(owner, value, reference);
    let value = owner.optional(value).map(|place| {
        place.describe(|| json!({ "writeOnly": true }));
        read(&place).map(SecretInput::Value)
    });
    let reference = owner.optional(reference).map(|place| key_vault(&place));
    match reference {
        Some(reference) => reference.map(SecretInput::Reference),
        None => value?,
    }
}

fn key_vault(place: &Place<'_>) -> Option<KeyVaultSecretReference> {
    let reference = place.object()?;
    let vault = reference.required("sourceVault").and_then(|place| rules::resource_id(&place));
    let url = reference
        .required("secretUrl")
        .and_then(|place| rules::matching(&place, &[&patterns::SECRET_URL]));
    Some(KeyVaultSecretReference { source_vault: vault?, secret_url: url? })
}
