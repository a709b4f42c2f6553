//! Parts that many bodies share.

#![expect(missing_docs, reason = "fields of bodies are those of the contract's definitions")]

use model::{EnvironmentVariable, Lifecycle, ResourceError, SecretVariable, Timestamp};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Serialize, Serializer};

/// A resource with its id, name and type (docs/contract.md, "Names and ids").
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[schemars(rename = "{P}")]
pub struct Resource<P> {
    pub id: String,
    pub name: String,
    #[serde(rename = "type")]
    pub resource_type: &'static str,
    pub properties: P,
}

impl<P> Resource<P> {
    pub(super) fn child(
        id: String,
        name: &model::Name,
        resource_type: &'static str,
        properties: P,
    ) -> Self {
        let name = name.as_str().to_owned();
        Self { id, name, resource_type, properties }
    }
}

/// A page of a list. The link to the next page is absolute and has the `api-version`, as clients
/// request it as it is (docs/contract.md, "Lists and paging").
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "{T}ListResult")]
pub struct ListBody<T> {
    pub value: Vec<T>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_link: Option<String>,
}

/// The body of a page.
pub fn list<T>(value: Vec<T>, next_link: Option<String>) -> ListBody<T> {
    ListBody { value, next_link }
}

/// `BatchAIError` of the contract.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[schemars(rename = "BatchAIError")]
pub struct BatchAiError {
    pub code: String,
    pub message: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub details: Vec<NameValuePair>,
}

/// A detail of an error.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct NameValuePair {
    pub name: String,
    pub value: String,
}

impl From<&ResourceError> for BatchAiError {
    fn from(error: &ResourceError) -> Self {
        let pair = |(name, value): &(String, String)| NameValuePair {
            name: name.clone(),
            value: value.clone(),
        };
        Self {
            code: error.code.clone(),
            message: error.message.clone(),
            details: error.details.iter().map(pair).collect(),
        }
    }
}

/// A secret in a response: its name only. No other type of this crate is built from a stored secret.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[schemars(rename = "EnvironmentVariableWithSecretValue")]
pub struct SecretName {
    pub name: String,
}

pub(super) fn secret_names(secrets: &[SecretVariable]) -> Vec<SecretName> {
    secrets.iter().map(|secret| SecretName { name: secret.name.clone() }).collect()
}

/// `SetupTask` of the contract.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "SetupTask")]
pub struct SetupTaskBody {
    pub command_line: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub environment_variables: Vec<EnvironmentVariable>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<SecretName>,
    pub std_out_err_path_prefix: String,
    pub std_out_err_path_suffix: String,
}

/// `provisioningState` of a resource that exists as soon as it is recorded, and since when.
pub(super) fn provisioning(
    lifecycle: &Lifecycle,
    created_at: Timestamp,
) -> (&'static str, Timestamp) {
    match lifecycle {
        Lifecycle::Active => ("succeeded", created_at),
        Lifecycle::Deleting { since, .. } => ("deleting", *since),
    }
}

/// An instant in the text form of the contract; `model` stores it as a number.
pub(super) fn instant<S: Serializer>(
    instant: &Timestamp,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_str(instant)
}

/// The schema of an instant.
pub(super) fn date_time(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "format": "date-time" })
}

/// The same for instants that may be absent; such fields skip `None`.
pub(super) fn optional_instant<S: Serializer>(
    optional: &Option<Timestamp>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match optional {
        Some(value) => instant(value, serializer),
        None => serializer.serialize_none(),
    }
}
