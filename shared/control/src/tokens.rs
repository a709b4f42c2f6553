//! Bearer tokens that the service issues itself, for deployments without an identity provider.
//!
//! A token is 32 random bytes. The table stores only its digest, so a token is shown once.

use crate::context::replan;
use crate::roles::Roles;
use crate::{ApiError, ApiErrorKind, Context, Error};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use lifecycle::grants::issue_token;
use model::{AccessToken, Uid};
use rand::RngCore;
use sha2::{Digest, Sha256};
use table::Writes;

/// Distinguishes tokens of this service from others, also for tools that scan for leaked secrets.
const PREFIX: &str = "bai_";
const RANDOM_BYTES: usize = 32;

/// The issued tokens.
#[derive(Clone)]
pub struct Tokens {
    context: Context,
}

impl Tokens {
    pub(crate) fn new(context: &Context) -> Self {
        Self { context: context.clone() }
    }

    /// Issues a token. Returns its record and the token itself, which cannot be shown again.
    ///
    /// # Errors
    /// 409 when the name is taken, or there are too many tokens.
    pub async fn create(
        &self,
        name: &str,
        lifetime_seconds: Option<u64>,
    ) -> Result<(AccessToken, String), Error> {
        let known = self.context.table.tokens().await?;
        let mut random = [0; RANDOM_BYTES];
        rand::rng().fill_bytes(&mut random);
        let text = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(random));
        let now = self.context.now();
        let token = AccessToken {
            digest: digest(&text),
            principal: self.context.new_uid(),
            name: name.to_owned(),
            created_at: now,
            expires_at: lifetime_seconds.map(|seconds| now.plus_seconds(seconds)),
        };
        let mut draft = self.context.draft();
        issue_token(&mut draft, &known, &token)?;
        self.context.commit(draft).await?;
        tracing::info!(name, principal = %token.principal, "token issued");
        Ok((token, text))
    }

    /// All tokens, by name.
    ///
    /// # Errors
    /// What the table reports.
    pub async fn list(&self) -> Result<Vec<AccessToken>, Error> {
        let mut tokens = self.context.table.tokens().await?;
        tokens.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(tokens)
    }

    /// Revokes a token immediately, with all role assignments of its principal.
    ///
    /// # Errors
    /// 404 when there is no token of this name.
    pub async fn revoke(&self, name: &str) -> Result<(), Error> {
        replan(|| async {
            let tokens = self.context.table.tokens().await?;
            let missing = || {
                let message = format!("There is no token named {}", name.escape_debug());
                ApiError::new(ApiErrorKind::NotFound, "TokenNotFound", message)
            };
            let token = tokens.iter().find(|token| token.name == name).ok_or_else(missing)?;
            Roles::new(&self.context).revoke_all_of(&token.principal).await?;
            let mut writes = Writes::default();
            writes.remove_token(token);
            Ok(self.context.table.commit(writes).await?)
        })
        .await?;
        tracing::info!(name, "token revoked");
        Ok(())
    }

    /// The principal of a token; `None` if it is unknown or has expired.
    ///
    /// # Errors
    /// What the table reports.
    pub async fn principal_of(&self, text: &str) -> Result<Option<Uid>, Error> {
        if !text.starts_with(PREFIX) {
            return Ok(None);
        }
        let found = self.context.table.token(&digest(text)).await?;
        let now = self.context.now();
        let valid = found.filter(|token| token.expires_at.is_none_or(|end| now < end));
        Ok(valid.map(|token| token.principal))
    }
}

fn digest(text: &str) -> String {
    hex::encode(Sha256::digest(text.as_bytes()))
}
