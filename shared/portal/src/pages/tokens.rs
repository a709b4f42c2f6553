//! Tokens of the local service: only its own token may manage them.

use crate::failure::Failure;
use crate::links::{WorkspacePath, quoted, segment};
use crate::shell::{Shell, Tab, Visit};
use askama::Template;
use axum::Form;
use axum::extract::Path;
use axum::response::{Redirect, Response};
use http::Method;
use resources::Token;
use serde::Deserialize;
use serde_json::json;

/// So many are shown. The API answers all at once.
const LISTED: usize = 500;

const SECONDS_PER_DAY: u64 = 24 * 3600;

const TOKENS: &str = "/local/v1/tokens";

/// None if the viewer may not manage tokens, or the service has none.
pub(crate) async fn list(visit: &Visit) -> Option<Vec<Token>> {
    visit.api.list::<Token>(TOKENS, LISTED).await.ok().map(|found| found.items)
}

/// A new token. Its secret is in this one answer.
#[derive(Template)]
#[template(path = "new_token.html")]
struct NewToken {
    path: WorkspacePath,
    name: String,
    secret: String,
}

#[derive(Deserialize)]
pub(crate) struct Create {
    name: String,
    /// Empty for a token that does not expire.
    #[serde(default)]
    days: String,
}

pub(crate) async fn create(
    visit: Visit,
    Path(path): Path<WorkspacePath>,
    Form(form): Form<Create>,
) -> Result<Response, Failure> {
    let mut body = json!({ "name": form.name.trim() });
    if !form.days.trim().is_empty() {
        body["lifetimeSeconds"] = json!(lifetime_seconds(&form.days)?);
    }
    let token: Token = visit.api.post(TOKENS, Some(body)).await?;
    let content =
        NewToken { name: token.name, secret: token.token.unwrap_or_default(), path: path.clone() };
    let shell = Shell::of("New token", &path, Tab::Access).below("Access", path.page(&["access"]));
    Ok(shell.whole(&content))
}

fn lifetime_seconds(days: &str) -> Result<u64, Failure> {
    let days = days.trim().parse::<u64>().ok().and_then(|days| days.checked_mul(SECONDS_PER_DAY));
    days.ok_or_else(|| Failure::invalid("The days until the token expires must be a whole number"))
}

#[derive(Deserialize)]
pub(crate) struct TokenPath {
    #[serde(flatten)]
    workspace: WorkspacePath,
    token: String,
}

pub(crate) async fn revoke(
    visit: Visit,
    Path(TokenPath { workspace, token }): Path<TokenPath>,
) -> Result<Redirect, Failure> {
    let target = format!("{TOKENS}/{}", segment(&token));
    visit.api.send(Method::DELETE, &target, None).await?;
    Ok(Redirect::to(&workspace.page(&["access"])))
}

impl NewToken {
    fn assign_command(&self) -> String {
        let name = quoted(&self.name);
        format!("batchai role assign reader --to {name} {}", self.path.options())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_seconds() {
        assert_eq!(lifetime_seconds(" 2 ").unwrap(), 172_800);
        assert!(
            lifetime_seconds("-1").is_err() && lifetime_seconds("99999999999999999999").is_err()
        );
        assert!(lifetime_seconds(&u64::MAX.to_string()).is_err());
    }
}
