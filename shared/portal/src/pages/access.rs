//! Who may do what in a workspace: roles that apply to it, and the tokens of the local service.

use crate::failure::Failure;
use crate::links::{WorkspacePath, quoted};
use crate::pages::tokens;
use crate::shell::{Shell, Tab, Visit};
use crate::text as filters;
use askama::Template;
use axum::Form;
use axum::extract::Path;
use axum::response::{Redirect, Response};
use http::Method;
use resources::{RoleAssignment, Token, role};
use serde::Deserialize;
use serde_json::json;
use sha2::{Digest as _, Sha256};

#[derive(Template)]
#[template(path = "access.html")]
struct Access {
    path: WorkspacePath,
    rows: Vec<Row>,
    more: bool,
    may_grant: bool,
    /// None if the viewer may not list them, or the service has none.
    tokens: Option<Vec<Token>>,
}

struct Row {
    /// The name of a token, or the id of a principal.
    who: String,
    /// The id, if `who` is a name.
    principal: Option<String>,
    role: String,
    scope: String,
    /// The name of the assignment if it is on the workspace itself, so that it can be removed here.
    removable: Option<String>,
}

/// So many assignments are shown. The API answers all at once.
const LISTED: usize = 500;

const AUTHORIZATION: &str = "Microsoft.Authorization";

pub(crate) async fn page(
    visit: Visit,
    Path(path): Path<WorkspacePath>,
) -> Result<Response, Failure> {
    let assignments = path.api(&["providers", AUTHORIZATION, "roleAssignments"]);
    let assignments = format!("{assignments}?$filter=atScope()");
    let found = visit.api.list::<RoleAssignment>(&assignments, LISTED).await?;
    let tokens = tokens::list(&visit).await;
    let names = tokens.as_deref().unwrap_or_default();
    let rows = found.items.into_iter().map(|it| Row::of(it, &path, names)).collect();
    let may_grant = visit.may_grant(&path).await;
    let json = path.json(&["providers", AUTHORIZATION, "roleAssignments"]);
    let shell = Shell::of("Access", &path, Tab::Access)
        .command(format!("batchai role list {}", path.options()))
        .json(format!("{json}?$filter=atScope()"))
        .live(5);
    let content = Access { path, rows, more: found.more, may_grant, tokens };
    Ok(shell.respond(&visit, &content))
}

/// The form of a new assignment.
#[derive(Deserialize)]
pub(crate) struct Assignment {
    principal: String,
    role: String,
}

pub(crate) async fn assign(
    visit: Visit,
    Path(path): Path<WorkspacePath>,
    Form(Assignment { principal, role }): Form<Assignment>,
) -> Result<Redirect, Failure> {
    let Some(definition) = role::definition(&role) else {
        return Err(Failure::invalid("The role must be reader, contributor or owner"));
    };
    let principal = principal_id(&visit, principal.trim()).await?;
    let id = assignment_id(&[&path.api(&[]).to_ascii_lowercase(), &principal, definition]);
    let subscription = crate::links::segment(&path.subscription);
    let definition = format!(
        "/subscriptions/{subscription}/providers/{AUTHORIZATION}/roleDefinitions/{definition}"
    );
    let body =
        json!({ "properties": { "roleDefinitionId": definition, "principalId": principal } });
    let target = path.api(&["providers", AUTHORIZATION, "roleAssignments", &id]);
    visit.api.send(Method::PUT, &target, Some(body)).await?;
    Ok(Redirect::to(&path.page(&["access"])))
}

#[derive(Deserialize)]
pub(crate) struct AssignmentPath {
    #[serde(flatten)]
    workspace: WorkspacePath,
    assignment: String,
}

pub(crate) async fn remove(
    visit: Visit,
    Path(AssignmentPath { workspace, assignment }): Path<AssignmentPath>,
) -> Result<Redirect, Failure> {
    let target = workspace.api(&["providers", AUTHORIZATION, "roleAssignments", &assignment]);
    visit.api.send(Method::DELETE, &target, None).await?;
    Ok(Redirect::to(&workspace.page(&["access"])))
}

/// The id of a principal, by that id or by the name of its token.
async fn principal_id(visit: &Visit, name: &str) -> Result<String, Failure> {
    let found = tokens::list(visit).await.unwrap_or_default().into_iter();
    match found.into_iter().find(|it| it.name == name) {
        Some(token) => Ok(token.principal_id),
        None if is_uuid(name) => Ok(name.to_owned()),
        None => Err(Failure::invalid(format!(
            "No token named {name}. Give the name of a token, or the id of a principal: `batchai login` and `batchai doctor` show it"
        ))),
    }
}

fn is_uuid(text: &str) -> bool {
    let lengths = text.split('-').map(str::len);
    lengths.eq([8, 4, 4, 4, 12]) && text.bytes().all(|it| it == b'-' || it.is_ascii_hexdigit())
}

/// The id of an assignment, by what it assigns (RFC 9562, section 5.8): the same form, sent twice, is one assignment.
fn assignment_id(parts: &[&str]) -> String {
    let digest: [u8; 32] = Sha256::digest(parts.join("\n")).into();
    let mut bytes = digest;
    bytes[6] = bytes[6] & 0x0f | 0x80;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let text = hex::encode(&bytes[..16]);
    format!("{}-{}-{}-{}-{}", &text[..8], &text[8..12], &text[12..16], &text[16..20], &text[20..])
}

impl Row {
    fn of(assignment: RoleAssignment, path: &WorkspacePath, tokens: &[Token]) -> Self {
        let RoleAssignment { name, properties } = assignment;
        let token = tokens.iter().find(|it| it.principal_id == properties.principal_id);
        let (who, principal) = match token {
            Some(token) => (token.name.clone(), Some(properties.principal_id)),
            None => (properties.principal_id, None),
        };
        let (scope, is_here) = scope(&properties.scope, path);
        let role = role::name(&properties.role_definition_id).to_owned();
        Self { who, principal, role, scope, removable: is_here.then_some(name) }
    }
}

/// A scope in words, and whether it is the workspace itself.
fn scope(id: &str, path: &WorkspacePath) -> (String, bool) {
    let count = id.trim_matches('/').split('/').count();
    match count {
        0..=2 => (format!("inherited from the subscription {}", path.subscription), false),
        3..=4 => (format!("inherited from the resource group {}", path.group), false),
        _ => ("this workspace".to_owned(), true),
    }
}

impl Access {
    fn assign_command(&self) -> String {
        format!("batchai role assign contributor --to NAME {}", self.path.options())
    }

    fn remove_page(&self, assignment: &str) -> String {
        self.path.page(&["access", assignment, "remove"])
    }

    fn remove_command(&self, assignment: &str) -> String {
        format!("batchai role delete {} {}", quoted(assignment), self.path.options())
    }

    fn remove_explained(&self, row: &Row) -> String {
        format!("Remove the role {} of {} in this workspace?", row.role, row.who)
    }

    fn revoke_page(&self, token: &str) -> String {
        self.path.page(&["access", "tokens", token, "revoke"])
    }

    fn revoke_command(&self, token: &str) -> String {
        format!("batchai token revoke {}", quoted(token))
    }

    fn revoke_explained(&self, token: &str) -> String {
        format!(
            "Revoke the token {token} and delete its roles in all workspaces? This cannot be undone."
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path() -> WorkspacePath {
        WorkspacePath { subscription: "s".into(), group: "g".into(), workspace: "w".into() }
    }

    #[test]
    fn scopes_in_words() {
        let group = "/subscriptions/s/resourceGroups/g";
        let workspace = format!("{group}/providers/Microsoft.BatchAI/workspaces/w");
        let shown = ["/subscriptions/s", group, &workspace].map(|id| scope(id, &path()));
        assert_eq!(shown.each_ref().map(|(_, is_here)| *is_here), [false, false, true]);
        let words = shown.map(|(words, _)| words).join("; ");
        insta::assert_snapshot!(words, @"inherited from the subscription s; inherited from the resource group g; this workspace");
    }

    #[test]
    fn an_assignment_has_the_same_id_each_time() {
        let id = assignment_id(&["/w", "p", "r"]);
        assert!(is_uuid(&id), "{id}");
        assert_eq!(id, assignment_id(&["/w", "p", "r"]));
        assert_ne!(id, assignment_id(&["/w", "p", "s"]));
        assert!(!is_uuid("alice") && !is_uuid("0123456g-0000-0000-0000-000000000000"));
    }
}
