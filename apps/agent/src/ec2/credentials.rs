//! The credentials of the role of an instance, renewed before they expire.

use serde::Deserialize;

use super::metadata::{Metadata, MetadataError, Value};
use crate::clock::Uptime;
use jiff::Timestamp;

const ROLES: &str = "iam/security-credentials/";
/// EC2 has new credentials at least five minutes before the old ones expire (EC2 User Guide,
/// "Retrieve security credentials from instance metadata").
const RENEW_BEFORE_SECONDS: u64 = 300;
/// Between two attempts to renew credentials that are still valid, or were refused.
const RENEW_PAUSE_SECONDS: u64 = 30;

/// Temporary credentials. No `Debug`: they are secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    pub access_key: String,
    pub secret_key: String,
    pub session_token: String,
}

/// The answer of the metadata service.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    code: String,
    access_key_id: String,
    secret_access_key: String,
    token: String,
    expiration: String,
}

/// The present credentials of an instance.
pub struct RoleCredentials {
    metadata: Metadata,
    held: Option<Held>,
}

struct Held {
    credentials: Credentials,
    renew_at: Uptime,
    expires_at: Uptime,
}

impl RoleCredentials {
    pub fn new(metadata: Metadata) -> Self {
        Self { metadata, held: None }
    }

    /// Valid credentials. Those that can no longer be renewed are used until they expire.
    pub async fn current(&mut self) -> Result<Credentials, MetadataError> {
        if let Some(held) = &self.held
            && !held.renew_at.remaining().is_zero()
        {
            return Ok(held.credentials.clone());
        }
        let renewed = self.read().await;
        match (renewed, &mut self.held) {
            (Ok(new), held) => Ok(held.insert(new).credentials.clone()),
            (Err(error), Some(held)) if !held.expires_at.remaining().is_zero() => {
                tracing::warn!(%error, "the credentials of the node cannot be renewed yet");
                held.renew_at = Uptime::now().after_seconds(RENEW_PAUSE_SECONDS);
                Ok(held.credentials.clone())
            }
            (Err(error), _) => Err(error),
        }
    }

    /// The credentials were refused: they are read again, unless that was just done.
    pub fn refused(&mut self) {
        let soon = Uptime::now().after_seconds(RENEW_PAUSE_SECONDS);
        if let Some(held) = &mut self.held {
            held.renew_at = held.renew_at.min(soon);
        }
    }

    async fn read(&mut self) -> Result<Held, MetadataError> {
        let no_role = MetadataError::Unusable("role: the instance has no instance profile");
        let role = self.metadata.get(ROLES).await?.ok_or(no_role)?.text;
        let path = format!("{ROLES}{}", role.lines().next().unwrap_or_default().trim());
        let value = self.metadata.get(&path).await?;
        let unusable = || MetadataError::Unusable("credentials");
        Held::parse(&value.ok_or_else(unusable)?).ok_or_else(unusable)
    }
}

impl Held {
    /// The lifetime is counted from the time of the metadata service, as the clock of the machine may
    /// be wrong.
    fn parse(value: &Value) -> Option<Self> {
        let answer: Answer = serde_json::from_str(&value.text).ok()?;
        if answer.code != "Success" {
            return None;
        }
        let expiration: Timestamp = answer.expiration.parse().ok()?;
        let lifetime = expiration.as_second() - value.read_at.as_second();
        let lifetime = u64::try_from(lifetime).ok().filter(|seconds| *seconds > 0)?;
        let renew_in = lifetime.saturating_sub(RENEW_BEFORE_SECONDS).max(RENEW_PAUSE_SECONDS);
        let now = Uptime::now();
        Some(Self {
            credentials: Credentials {
                access_key: answer.access_key_id,
                secret_key: answer.secret_access_key,
                session_token: answer.token,
            },
            renew_at: now.after_seconds(renew_in.min(lifetime)),
            expires_at: now.after_seconds(lifetime),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(code: &str, expiration: &str) -> Option<(u64, u64)> {
        let text = format!(
            r#"{{"Code":"{code}","LastUpdated":"2026-11-22T05:00:00Z","Type":"AWS-HMAC","AccessKeyId":"A",
            "SecretAccessKey":"S","Token":"T","Expiration":"{expiration}"}}"#
        );
        let read_at = "2026-11-22T06:00:00Z".parse().unwrap();
        let held = Held::parse(&Value { text, read_at })?;
        let seconds = |time: Uptime| time.remaining().as_secs_f64().round() as u64;
        Some((seconds(held.renew_at), seconds(held.expires_at)))
    }

    #[test]
    fn credentials_are_renewed_five_minutes_before_they_expire() {
        assert_eq!(parse("Success", "2026-11-22T12:00:00Z"), Some((6 * 3600 - 300, 6 * 3600)));
        assert_eq!(parse("Success", "2026-11-22T06:04:00Z"), Some((30, 240)), "soon again");
        assert_eq!(parse("Success", "2026-11-22T06:00:10Z"), Some((10, 10)));
        assert_eq!(parse("Success", "2026-11-22T05:59:59Z"), None, "expired");
        assert_eq!(parse("AssumeRoleUnauthorizedAccess", "2026-11-22T12:00:00Z"), None);
    }
}
