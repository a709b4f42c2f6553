//! What forms that create resources share. The API validates what was typed; a form that it refuses is shown again as it was.

use crate::failure::Failure;
use crate::shell::{Shell, Visit};
use askama::Template;
use axum::response::Response;
use http::{Method, StatusCode};
use serde_json::{Value, json};

/// The administrator's name unless another one is typed, as of the command line.
pub(crate) const ADMINISTRATOR: &str = "batchai";

/// Creates a resource. The service would answer a repeated request for an existing one as if that were new, so this is
/// refused here.
pub(crate) async fn create(
    visit: &Visit,
    target: &str,
    (kind, name): (&str, &str),
    body: Value,
) -> Result<(), Failure> {
    if name.is_empty() {
        return Err(Failure::invalid(format!("Give the {kind} a name")));
    }
    match visit.api.get::<Value>(target).await {
        Err(failure) if failure.status == StatusCode::NOT_FOUND => {}
        Err(failure) => return Err(failure),
        Ok(_) => {
            let message = format!("A {kind} named {name} exists already; choose another name");
            return Err(Failure::invalid(message));
        }
    }
    visit.api.send(Method::PUT, target, Some(body)).await?;
    Ok(())
}

/// The page of a form. One that was refused has the status of the refusal and is not live: what was typed stays.
pub(crate) fn shown(
    shell: &Shell,
    visit: &Visit,
    content: &impl Template,
    problem: Option<StatusCode>,
) -> Response {
    let Some(status) = problem else { return shell.respond(visit, content) };
    let mut response = shell.whole(content);
    *response.status_mut() = status;
    response
}

/// A whole number that was typed.
pub(crate) fn number(text: &str, what: &str) -> Result<u32, Failure> {
    let number = text.trim().parse();
    number.map_err(|_| Failure::invalid(format!("{what} must be a whole number, not {text:?}")))
}

/// The settings of an administrator's account. Without a key and a password, nobody can log in: the API needs one of them,
/// so it gets a random password that nobody knows.
pub(crate) fn account(user: &str, key: &str, password: &str) -> Value {
    let mut settings = json!({ "adminUserName": user.trim() });
    if !key.trim().is_empty() {
        settings["adminUserSshPublicKey"] = json!(key.trim());
    }
    if !password.is_empty() {
        settings["adminUserPassword"] = json!(password);
    }
    if key.trim().is_empty() && password.is_empty() {
        settings["adminUserPassword"] = json!(hex::encode(rand::random::<[u8; 24]>()));
    }
    settings
}

/// The options of a command for such an account. Passwords are not shown.
pub(crate) fn account_options(user: &str, key: &str) -> String {
    let mut options = String::new();
    if user != ADMINISTRATOR {
        options += &format!(" --user-name {}", crate::links::quoted(user));
    }
    if !key.is_empty() {
        options += &format!(" --ssh-key {}", crate::links::quoted(key));
    }
    options
}

/// The name of a resource, or a placeholder.
pub(crate) fn name_or_placeholder(name: &str) -> String {
    if name.is_empty() { "NAME".to_owned() } else { crate::links::quoted(name) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_without_key_and_password_is_locked() {
        let [one, other] = [account("me", " ", ""), account("me", "", "")];
        assert_eq!(one["adminUserPassword"].as_str().unwrap().len(), 48);
        assert_ne!(one, other);
        assert_eq!(
            account(" me ", "ssh-ed25519 A\n", ""),
            json!({ "adminUserName": "me", "adminUserSshPublicKey": "ssh-ed25519 A" })
        );
        assert_eq!(account("me", "", "p")["adminUserPassword"], "p");
    }

    #[test]
    fn a_number_is_refused_with_what_was_typed() {
        assert_eq!(number(" 4 ", "The maximum").unwrap(), 4);
        insta::assert_snapshot!(number("four", "The maximum").unwrap_err().message, @r#"The maximum must be a whole number, not "four""#);
        assert!(number("-1", "x").is_err() && number("", "x").is_err());
    }
}
