//! The REST API of Batch AI, version 2018-05-01, as Azure Resource Manager serves it.

mod clusters;
mod experiments;
mod file_servers;
mod files;
mod jobs;
mod long_running;
pub mod openapi;
pub mod operation;
mod page;
mod portal_links;
mod resource_manager;
mod roles;
mod route;
mod tokens;
mod usages;
mod workspaces;

use crate::{Failure, Web, access, response};
use axum::body::{Body, Bytes, HttpBody, to_bytes};
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use control::Error;
use http::header::{CONTENT_LENGTH, ETAG, HOST, HeaderValue, LAST_MODIFIED};
use http::{HeaderMap, Method, StatusCode};
use http_body_util::LengthLimitError;
use model::{Principal, Role, Scope, Timestamp, Uid, WorkspaceNames, limits};
use operation::{Operation, RequiredAccess};
use route::Route;
use serde::Serialize;
use std::error::Error as _;

/// A parsed request.
pub(crate) struct Call<'a> {
    pub web: &'a Web,
    pub route: Route<'a>,
    /// The authenticated caller.
    pub principal: Principal,
    /// Names and values, percent-decoded.
    pub query: Vec<(String, String)>,
    /// Scheme and host as the client wrote them; URLs in responses must be absolute.
    pub base: String,
    /// The token that the caller sent.
    pub token: Option<String>,
    /// The path without the query.
    pub path: &'a str,
    pub body: Bytes,
}

/// The code of Azure Resource Manager for a missing role.
const AUTHORIZATION_FAILED: &str = "AuthorizationFailed";

pub(crate) async fn handle(State(web): State<Web>, request: Request) -> Response {
    let is_head = request.method() == Method::HEAD;
    let response = response::respond(handle_or_fail(&web, request).await);
    if is_head { without_body(response) } else { response }
}

/// The response to HEAD: all headers of GET, `Content-Length` included.
fn without_body(response: Response) -> Response {
    let (mut parts, body) = response.into_parts();
    if let Some(length) = body.size_hint().exact() {
        parts.headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    Response::from_parts(parts, Body::empty())
}

async fn handle_or_fail(web: &Web, request: Request) -> Result<Response, Failure> {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path();
    let route = Route::find(&parts.method, path)?;
    let query: Vec<(String, String)> = axum::extract::Query::try_from_uri(&parts.uri)
        .map(|axum::extract::Query(pairs)| pairs)
        .map_err(|_| Error::invalid("InvalidQuery", "The query is not valid"))?;
    check_api_version(path, &query)?;
    let body = read_body(body).await?;
    let base = base_url(&parts.headers, web.behind_proxy);
    let token = access::bearer(&parts.headers).map(str::to_owned);
    let principal = parts.extensions.get::<Principal>().cloned();
    let principal = principal.ok_or(access::UNAUTHENTICATED)?;
    let call = Call { web, route, principal, query, base, token, path, body };
    call.check_role().await?;
    Ok(call.dispatch().await?)
}

async fn read_body(body: Body) -> Result<Bytes, Failure> {
    to_bytes(body, limits::MAX_BODY_BYTES).await.map_err(|error| {
        let too_large = error.source().is_some_and(|cause| cause.is::<LengthLimitError>());
        match too_large {
            true => Failure::BodyTooLarge,
            false => Error::invalid("InvalidRequestContent", "The body is incomplete").into(),
        }
    })
}

/// Scheme and host that the client used. Any client can send `X-Forwarded-Proto`, so it counts only
/// where a proxy of the deployment sets it (API Gateway).
pub(crate) fn base_url(headers: &HeaderMap, behind_proxy: bool) -> String {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let scheme = match text("x-forwarded-proto") {
        Some("https") if behind_proxy => "https",
        _ => "http",
    };
    format!("{scheme}://{}", text(HOST.as_str()).unwrap_or("127.0.0.1"))
}

/// Operations of Resource Manager have API versions of their own, which do not differ in what is
/// served here. Operations that the local service adds have none.
fn check_api_version(path: &str, query: &[(String, String)]) -> Result<(), Error> {
    let path = path.to_ascii_lowercase();
    if path.starts_with("/local/") {
        return Ok(());
    }
    let batch_ai = path.contains("/microsoft.batchai/")
        && !path.contains("/providers/microsoft.authorization/")
        && !path.ends_with("/microsoft.batchai/register");
    let given = query.iter().find(|(name, _)| name.eq_ignore_ascii_case("api-version"));
    match given {
        Some((_, version)) if version == wire::API_VERSION => Ok(()),
        Some((_, version)) if !batch_ai && is_api_version(version) => Ok(()),
        Some((_, version)) => Err(Error::invalid(
            "InvalidApiVersionParameter",
            format!(
                "The api-version '{}' is not supported; use {}",
                version.escape_debug(),
                wire::API_VERSION
            ),
        )),
        None => Err(Error::invalid(
            "MissingApiVersionParameter",
            format!("The query parameter api-version={} is required", wire::API_VERSION),
        )),
    }
}

/// `2022-09-01`, or `2020-08-01-preview`.
fn is_api_version(text: &str) -> bool {
    let date = text.strip_suffix("-preview").unwrap_or(text);
    let digits = |part: &str, length: usize| {
        part.len() == length && part.bytes().all(|byte| byte.is_ascii_digit())
    };
    let mut parts = date.split('-');
    parts.next().is_some_and(|year| digits(year, 4))
        && parts.next().is_some_and(|month| digits(month, 2))
        && parts.next().is_some_and(|day| digits(day, 2))
        && parts.next().is_none()
}

impl Call<'_> {
    async fn dispatch(&self) -> Result<Response, Error> {
        match self.route.row.operation {
            Operation::ProviderOperations => {
                self.ok(&wire::list(wire::provider_operations(), None))
            }
            Operation::UsagesList => self.usages().await,
            Operation::PollResult => self.operation_result().await,
            Operation::PollStatus => self.operation_status().await,

            Operation::WorkspacesList => self.workspaces(None).await,
            Operation::WorkspacesListByResourceGroup => {
                self.workspaces(Some(self.route.resource_group()?)).await
            }
            Operation::WorkspacesCreate => self.create_workspace().await,
            Operation::WorkspacesUpdate => self.update_workspace().await,
            Operation::WorkspacesDelete => self.delete_workspace().await,
            Operation::WorkspacesGet => self.workspace().await,

            Operation::ClustersList => self.clusters().await,
            Operation::ClustersCreate => self.create_cluster().await,
            Operation::ClustersUpdate => self.update_cluster().await,
            Operation::ClustersDelete => self.delete_cluster().await,
            Operation::ClustersGet => self.cluster().await,
            Operation::ClustersListRemoteLogin => self.cluster_logins().await,
            Operation::ClustersListNodes => self.cluster_nodes().await,
            Operation::ClustersListEndedNodes => self.ended_nodes().await,
            Operation::ClustersListQueuedJobs => self.queued_jobs().await,

            Operation::FileServersList => self.file_servers().await,
            Operation::FileServersCreate => self.create_file_server().await,
            Operation::FileServersDelete => self.delete_file_server().await,
            Operation::FileServersGet => self.file_server().await,
            Operation::FileServersListFiles => self.list_files().await,
            Operation::FileServersBeginUploads => self.begin_uploads().await,
            Operation::FileServersDeleteFile => self.delete_file().await,

            Operation::ExperimentsList => self.experiments().await,
            Operation::ExperimentsCreate => self.create_experiment().await,
            Operation::ExperimentsDelete => self.delete_experiment().await,
            Operation::ExperimentsGet => self.experiment().await,

            Operation::JobsList => self.jobs().await,
            Operation::JobsCreate => self.create_job().await,
            Operation::JobsDelete => self.delete_job().await,
            Operation::JobsGet => self.job().await,
            Operation::JobsListOutputFiles => self.job_files().await,
            Operation::JobsListLogTails => self.job_log_tails().await,
            Operation::JobsListRemoteLogin => self.job_logins().await,
            Operation::JobsTerminate => self.terminate_job().await,

            Operation::TenantsList => self.ok(&wire::list(vec![wire::tenant()], None)),
            Operation::SubscriptionsList => self.subscriptions().await,
            Operation::SubscriptionsGet => self.subscription().await,
            Operation::ProvidersList => self.ok(&wire::list(self.known_providers()?, None)),
            Operation::ProvidersGet | Operation::ProvidersRegister => self.provider(),
            Operation::GroupsList => self.resource_groups().await,
            Operation::GroupsCheck => self.check_resource_group().await,
            Operation::GroupsCreate => self.create_resource_group().await,
            Operation::GroupsUpdate => self.update_resource_group().await,
            Operation::GroupsDelete => self.delete_resource_group().await,
            Operation::GroupsGet => self.resource_group().await,
            Operation::GroupDeletion => self.resource_group_deletion().await,

            Operation::RoleDefinitionsOfSubscription => self.role_definitions(),
            Operation::RolesOfSubscriptionList
            | Operation::RolesOfGroupList
            | Operation::RolesOfWorkspaceList => self.role_assignments().await,
            Operation::RolesOfSubscriptionGet
            | Operation::RolesOfGroupGet
            | Operation::RolesOfWorkspaceGet => self.role_assignment().await,
            Operation::RolesOfSubscriptionCreate
            | Operation::RolesOfGroupCreate
            | Operation::RolesOfWorkspaceCreate => self.create_role_assignment().await,
            Operation::RolesOfSubscriptionDelete
            | Operation::RolesOfGroupDelete
            | Operation::RolesOfWorkspaceDelete => self.delete_role_assignment().await,
            Operation::PermissionsOfWorkspaceList => self.permissions().await,

            Operation::PortalLinksCreate => self.create_portal_link(),
            Operation::TokensList => self.tokens().await,
            Operation::TokensCreate => self.create_token().await,
            Operation::TokensRevoke => self.revoke_token().await,
        }
    }

    /// Checks the access that the table of operations requires.
    async fn check_role(&self) -> Result<(), Error> {
        let row = self.route.row;
        let (role, scope) = match row.requires {
            RequiredAccess::Token => return Ok(()),
            RequiredAccess::Service => match &self.principal {
                Principal::Service => return Ok(()),
                Principal::Known(_) => {
                    return Err(Error::denied(
                        AUTHORIZATION_FAILED,
                        format!("{} requires the service's own token", row.id),
                    ));
                }
            },
            RequiredAccess::Role(role) => (role, self.route.scope()?),
        };
        if self.web.control.roles.may(&self.principal, role, &scope).await? {
            return Ok(());
        }
        let message = format!(
            "{} requires the role {} at {} or a scope above it; an owner can assign it",
            row.id,
            role.name(),
            wire::ids::scope_id(&scope)
        );
        Err(Error::denied(AUTHORIZATION_FAILED, message))
    }

    /// A resource that a body refers to in another workspace requires the role Contributor there, as a
    /// request to its own path would. The role is checked before the resource is read, so a refusal
    /// does not tell whether it exists.
    async fn authorize_references<'b>(
        &self,
        workspaces: impl Iterator<Item = &'b WorkspaceNames>,
    ) -> Result<(), Error> {
        let own = self.route.workspace()?;
        for names in workspaces.filter(|names| **names != own) {
            let scope = Scope::from(names);
            if !self.web.control.roles.may(&self.principal, Role::Contributor, &scope).await? {
                let message = format!(
                    "The body refers to a resource in {}, which requires the role {} there",
                    wire::ids::scope_id(&scope),
                    Role::Contributor.name()
                );
                return Err(Error::denied("LinkedAuthorizationFailed", message));
            }
        }
        Ok(())
    }

    fn ok<T: Serialize>(&self, body: &T) -> Result<Response, Error> {
        Ok(response::json(StatusCode::OK, HeaderMap::new(), body))
    }

    /// 200 with a single resource and its entity tag.
    fn resource<T: Serialize>(
        &self,
        body: &T,
        etag: &Uid,
        modified_at: Timestamp,
    ) -> Result<Response, Error> {
        let mut headers = HeaderMap::new();
        if let Ok(etag) = HeaderValue::from_str(&wire::ids::etag(etag)) {
            headers.insert(ETAG, etag);
        }
        if let Ok(date) = HeaderValue::from_str(&modified_at.http_date()) {
            headers.insert(LAST_MODIFIED, date);
        }
        Ok(response::json(StatusCode::OK, headers, body))
    }

    fn created<T: Serialize>(&self, body: &T) -> Result<Response, Error> {
        Ok(response::json(StatusCode::CREATED, HeaderMap::new(), body))
    }

    fn no_content(&self) -> Result<Response, Error> {
        Ok(StatusCode::NO_CONTENT.into_response())
    }
}
