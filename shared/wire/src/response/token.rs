//! Tokens that the service issues itself, which are not in the contract.

#![expect(missing_docs, reason = "fields of bodies are those of the contract's definitions")]

use super::parts;
use model::{AccessToken, Timestamp, Uid};
use schemars::JsonSchema;
use serde::Serialize;

/// An issued token, without the token itself.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Token")]
pub struct TokenBody {
    pub name: String,
    /// The id to which roles are assigned.
    pub principal_id: Uid,
    #[serde(serialize_with = "parts::instant")]
    #[schemars(schema_with = "parts::date_time")]
    pub created_on: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "parts::optional_instant")]
    #[schemars(schema_with = "parts::date_time")]
    pub expires_on: Option<Timestamp>,
}

/// The only body that contains the token itself.
#[derive(Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "NewToken")]
pub struct NewTokenBody {
    #[serde(flatten)]
    pub known: TokenBody,
    pub token: String,
}

/// A link with which a browser signs in to the portal.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "PortalLink")]
pub struct PortalLinkBody {
    pub url: String,
    /// Of a link that works once. Absent where a person signs in at an issuer.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "parts::optional_instant")]
    #[schemars(schema_with = "parts::date_time")]
    pub expires_on: Option<Timestamp>,
}

/// The body of an issued token.
pub fn token(token: &AccessToken) -> TokenBody {
    TokenBody {
        name: token.name.clone(),
        principal_id: token.principal.clone(),
        created_on: token.created_at,
        expires_on: token.expires_at,
    }
}

/// The body of a token that was just issued, with the token itself.
pub fn new_token(record: &AccessToken, text: String) -> NewTokenBody {
    NewTokenBody { known: token(record), token: text }
}
