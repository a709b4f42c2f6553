//! Profiles: named services with the way to sign in to them. They are in one file in the user's
//! configuration directory, which holds tokens and so is readable by its owner only.

mod selection;
mod store;

pub use selection::{LOCAL, ProfileChoice, Selected, refuse_foreign_endpoint, select};
pub use store::Profiles;

use crate::secret::Secret;
use anyhow::{Result, bail};
use clap::ValueEnum;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The content of the file.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct ProfileFile {
    /// The profile that commands use unless told otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<String>,
    #[serde(default)]
    pub profiles: BTreeMap<String, Profile>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Profile {
    pub endpoint: String,
    #[serde(default)]
    pub scope: ScopeDefaults,
    pub sign_in: SignIn,
}

/// Values of the global options that are not given.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ScopeDefaults {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subscription: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource_group: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workspace: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub experiment: Option<String>,
}

/// How to get a token.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "kind")]
pub enum SignIn {
    /// A session with an OpenID Connect issuer.
    Oidc(OidcSession),
    /// A shell command that prints a token.
    TokenCommand { command: String },
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OidcSession {
    #[serde(flatten)]
    pub client: OidcClient,
    pub token_type: TokenType,
    /// None after `batchai logout`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<Tokens>,
}

/// What the issuer knows this program as, and what it is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OidcClient {
    pub issuer: String,
    pub client_id: String,
    /// Few issuers want one for the device flow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_secret: Option<Secret>,
    /// Separated by spaces. None: what the issuer needs for an ID token and a refresh token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audience: Option<String>,
}

/// Which token of the issuer is sent to the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum TokenType {
    /// The access token, whose audience the issuer decides
    Access,
    /// The ID token, whose audience is the client id
    Id,
}

/// The tokens of a session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Tokens {
    /// The token that is sent to the service.
    pub current: Secret,
    /// When `current` expires, in seconds since 1970. None if the issuer does not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at_seconds: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh: Option<Secret>,
}

/// A token is renewed this long before it expires: longer than a request takes, and than the clocks of
/// two machines usually differ.
const RENEW_BEFORE_SECONDS: i64 = 60;

impl Tokens {
    /// Whether `current` can be used without renewing it.
    pub fn is_fresh(&self, now: Timestamp) -> bool {
        self.expires_at_seconds.is_none_or(|end| now.as_second() + RENEW_BEFORE_SECONDS < end)
    }

    /// Whether the service still accepts `current`.
    pub fn is_valid(&self, now: Timestamp) -> bool {
        self.expires_at_seconds.is_none_or(|end| now.as_second() < end)
    }
}

impl ProfileFile {
    /// The profile `name`, or an error that lists those that exist.
    pub fn get(&self, name: &str) -> Result<&Profile> {
        match self.profiles.get(name) {
            Some(profile) => Ok(profile),
            None if self.profiles.is_empty() => bail!(
                "there is no profile {name:?}, nor any other. To create one, run: batchai login \
                 --profile {name} --endpoint URL --issuer URL --client-id ID"
            ),
            None => bail!("there is no profile {name:?}. Known profiles: {}", self.names()),
        }
    }

    fn names(&self) -> String {
        self.profiles.keys().map(String::as_str).collect::<Vec<_>>().join(", ")
    }
}

/// The name of a profile, for the command line.
///
/// # Errors
/// Says which names are allowed.
pub fn profile_name(text: &str) -> Result<String, String> {
    crate::names::resource_name(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_renewed_before_they_expire() {
        let tokens =
            |end| Tokens { current: Secret::new("t"), expires_at_seconds: end, refresh: None };
        let now = Timestamp::from_second(1000).unwrap();
        assert!(tokens(None).is_fresh(now) && tokens(Some(1061)).is_fresh(now));
        assert!(!tokens(Some(1060)).is_fresh(now) && tokens(Some(1060)).is_valid(now));
        assert!(!tokens(Some(1000)).is_valid(now));
    }

    #[test]
    fn the_file_has_a_stable_format() {
        let text = r#"{
  "default": "aws",
  "profiles": {
    "aws": {
      "endpoint": "https://api.example",
      "scope": {
        "workspace": "lab"
      },
      "signIn": {
        "kind": "oidc",
        "issuer": "https://issuer.example",
        "clientId": "c",
        "tokenType": "id",
        "tokens": {
          "current": "t",
          "expiresAtSeconds": 5,
          "refresh": "r"
        }
      }
    },
    "robot": {
      "endpoint": "https://api.example",
      "scope": {},
      "signIn": {
        "kind": "tokenCommand",
        "command": "cat token"
      }
    }
  }
}"#;
        let file: ProfileFile = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string_pretty(&file).unwrap(), text);
        let error = file.get("b").unwrap_err();
        insta::assert_snapshot!(error, @r#"there is no profile "b". Known profiles: aws, robot"#);
    }
}
