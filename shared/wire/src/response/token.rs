//! Tokens that the service gives out itself. Ours, not the contract's.

use super::parts;
use model::{AccessToken, Timestamp, Uid};
use schemars::JsonSchema;
use serde::Serialize;

#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Token")]
pub struct TokenBody {
    pub name: String,
    /// Whom roles are assigned to.
    pub principal_id: Uid,
    #[serde(serialize_with = "parts::instant")]
    #[schemars(schema_with = "parts::date_time")]
    pub created_on: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "parts::optional_instant")]
    #[schemars(schema_with = "parts::date_time")]
    pub expires_on: Option<Timestamp>,
}

/// The only body with the token itself.
#[derive(Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "NewToken")]
pub struct NewTokenBody {
    #[serde(flatten)]
    pub known: TokenBody,
    pub token: String,
}

pub fn token(token: &AccessToken) -> TokenBody {
    TokenBody {
        name: token.name.clone(),
        principal_id: token.principal.clone(),
        created_on: token.created_at,
        expires_on: token.expires_at,
    }
}

pub fn new_token(record: &AccessToken, text: String) -> NewTokenBody {
    NewTokenBody { known: token(record), token: text }
}
