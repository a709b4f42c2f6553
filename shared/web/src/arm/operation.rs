//! The table of operations: the id, method and path of each, and the role that it requires.
//!
//! Routing, authorization and the OpenAPI document read this table, so an operation without a row
//! cannot be called. Ids and paths are those of the contract's swagger, where it has them.

use http::Method;
use model::Role;

/// The access that an operation requires.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequiredAccess {
    /// This role, in a scope that covers that of the path.
    Role(Role),
    /// Any valid token: the response contains no resources, or only those that the caller may see, or
    /// its path has an id that cannot be guessed.
    Token,
    /// The service's own token.
    Service,
}

/// An operation of the table.
#[derive(Debug)]
pub struct OperationRow {
    /// Its identity in code.
    pub operation: Operation,
    /// The `operationId` of the swagger.
    pub id: &'static str,
    /// The method of HTTP.
    pub method: Method,
    /// The template of the path, with parameters in braces.
    pub path: &'static str,
    /// The access that it requires.
    pub requires: RequiredAccess,
    /// The component of the OpenAPI document that describes the body of the request.
    pub request: Option<&'static str>,
    /// The statuses of success, each with the component that describes the body of the response.
    pub responses: &'static [(u16, Option<&'static str>)],
    /// Whether the response is a list with pages.
    pub paged: bool,
}

const READ: RequiredAccess = RequiredAccess::Role(Role::Reader);
const WRITE: RequiredAccess = RequiredAccess::Role(Role::Contributor);
const GRANT: RequiredAccess = RequiredAccess::Role(Role::Owner);

macro_rules! operations {
    ($($operation:ident $id:literal $method:ident $path:expr, $needs:expr,
       $request:expr => [$(($status:literal, $body:expr)),*] $($paged:ident)?;)*) => {
        /// Every operation of the API.
        #[expect(missing_docs, reason = "the table says what each operation is")]
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Operation { $($operation),* }

        /// The table of operations.
        pub static OPERATIONS: &[OperationRow] = &[$(OperationRow {
            operation: Operation::$operation,
            id: $id,
            method: Method::$method,
            path: $path,
            requires: $needs,
            request: $request,
            responses: &[$(($status, $body)),*],
            paged: operations!(@paged $($paged)?),
        }),*];
    };
    (@paged) => { false };
    (@paged paged) => { true };
}

macro_rules! subscription {
    ($rest:literal) => {
        concat!("/subscriptions/{subscriptionId}", $rest)
    };
}

macro_rules! group {
    ($rest:literal) => {
        concat!("/subscriptions/{subscriptionId}/resourceGroups/{resourceGroupName}", $rest)
    };
}

macro_rules! workspace {
    ($rest:literal) => {
        concat!(
            "/subscriptions/{subscriptionId}/resourceGroups/{resourceGroupName}",
            "/providers/Microsoft.BatchAI/workspaces/{workspaceName}",
            $rest
        )
    };
}

operations! {
    ProviderOperations "Operations_List" GET "/providers/Microsoft.BatchAI/operations", RequiredAccess::Token,
        None => [(200, Some("OperationListResult"))];
    UsagesList "Usages_List"
        GET subscription!("/providers/Microsoft.BatchAI/locations/{location}/usages"), READ,
        None => [(200, Some("UsageListResult"))];
    PollResult "OperationResults_Get"
        GET subscription!("/providers/Microsoft.BatchAI/locations/{location}/operationresults/{operationId}"),
        RequiredAccess::Token, None => [(200, Some("OperationResult"))];
    PollStatus "OperationStatuses_Get"
        GET subscription!("/providers/Microsoft.BatchAI/locations/{location}/operationstatuses/{operationId}"),
        RequiredAccess::Token, None => [(202, None), (204, None)];

    WorkspacesList "Workspaces_List"
        GET subscription!("/providers/Microsoft.BatchAI/workspaces"), READ,
        None => [(200, Some("WorkspaceListResult"))] paged;
    WorkspacesListByResourceGroup "Workspaces_ListByResourceGroup"
        GET group!("/providers/Microsoft.BatchAI/workspaces"), READ,
        None => [(200, Some("WorkspaceListResult"))] paged;
    WorkspacesCreate "Workspaces_Create" PUT workspace!(""), WRITE,
        Some("WorkspaceCreateParameters") => [(200, Some("Workspace"))];
    WorkspacesUpdate "Workspaces_Update" PATCH workspace!(""), WRITE,
        Some("WorkspaceUpdateParameters") => [(200, Some("Workspace"))];
    WorkspacesDelete "Workspaces_Delete" DELETE workspace!(""), WRITE,
        None => [(202, None), (204, None)];
    WorkspacesGet "Workspaces_Get" GET workspace!(""), READ,
        None => [(200, Some("Workspace"))];

    ClustersList "Clusters_ListByWorkspace" GET workspace!("/clusters"), READ,
        None => [(200, Some("ClusterListResult"))] paged;
    ClustersCreate "Clusters_Create" PUT workspace!("/clusters/{clusterName}"), WRITE,
        Some("ClusterCreateParameters") => [(200, Some("Cluster")), (202, None)];
    ClustersUpdate "Clusters_Update" PATCH workspace!("/clusters/{clusterName}"), WRITE,
        Some("ClusterUpdateParameters") => [(200, Some("Cluster"))];
    ClustersDelete "Clusters_Delete" DELETE workspace!("/clusters/{clusterName}"), WRITE,
        None => [(202, None), (204, None)];
    ClustersGet "Clusters_Get" GET workspace!("/clusters/{clusterName}"), READ,
        None => [(200, Some("Cluster"))];
    ClustersListRemoteLogin "Clusters_ListRemoteLoginInformation"
        POST workspace!("/clusters/{clusterName}/listRemoteLoginInformation"), WRITE,
        None => [(200, Some("RemoteLoginInformationListResult"))];
    ClustersListNodes "Clusters_ListNodes" GET workspace!("/clusters/{clusterName}/nodes"), READ,
        None => [(200, Some("ClusterNodeListResult"))];
    ClustersListEndedNodes "Clusters_ListEndedNodes"
        GET workspace!("/clusters/{clusterName}/endedNodes"), READ,
        None => [(200, Some("EndedNodesListResult"))] paged;
    ClustersListQueuedJobs "Clusters_ListQueuedJobs"
        GET workspace!("/clusters/{clusterName}/queuedJobs"), READ,
        None => [(200, Some("JobListResult"))] paged;

    FileServersList "FileServers_ListByWorkspace" GET workspace!("/fileServers"), READ,
        None => [(200, Some("FileServerListResult"))] paged;
    FileServersCreate "FileServers_Create" PUT workspace!("/fileServers/{fileServerName}"), WRITE,
        Some("FileServerCreateParameters") => [(200, Some("FileServer")), (202, None)];
    FileServersDelete "FileServers_Delete"
        DELETE workspace!("/fileServers/{fileServerName}"), WRITE,
        None => [(202, None), (204, None)];
    FileServersGet "FileServers_Get" GET workspace!("/fileServers/{fileServerName}"), READ,
        None => [(200, Some("FileServer"))];

    FileServersListFiles "FileServers_ListFiles"
        POST workspace!("/fileServers/{fileServerName}/listFiles"), WRITE,
        None => [(200, Some("FileListResult"))] paged;
    FileServersBeginUploads "FileServers_BeginUploads"
        POST workspace!("/fileServers/{fileServerName}/beginUploads"), WRITE,
        Some("FileUploadParameters") => [(200, Some("FileUploadListResult"))];
    FileServersDeleteFile "FileServers_DeleteFile"
        DELETE workspace!("/fileServers/{fileServerName}/files"), WRITE,
        None => [(204, None)];

    ExperimentsList "Experiments_ListByWorkspace" GET workspace!("/experiments"), READ,
        None => [(200, Some("ExperimentListResult"))] paged;
    ExperimentsCreate "Experiments_Create" PUT workspace!("/experiments/{experimentName}"), WRITE,
        None => [(200, Some("Experiment"))];
    ExperimentsDelete "Experiments_Delete"
        DELETE workspace!("/experiments/{experimentName}"), WRITE,
        None => [(202, None), (204, None)];
    ExperimentsGet "Experiments_Get" GET workspace!("/experiments/{experimentName}"), READ,
        None => [(200, Some("Experiment"))];

    JobsList "Jobs_ListByExperiment"
        GET workspace!("/experiments/{experimentName}/jobs"), READ,
        None => [(200, Some("JobListResult"))] paged;
    JobsCreate "Jobs_Create"
        PUT workspace!("/experiments/{experimentName}/jobs/{jobName}"), WRITE,
        Some("JobCreateParameters") => [(200, Some("Job")), (202, None)];
    JobsDelete "Jobs_Delete"
        DELETE workspace!("/experiments/{experimentName}/jobs/{jobName}"), WRITE,
        None => [(202, None), (204, None)];
    JobsGet "Jobs_Get" GET workspace!("/experiments/{experimentName}/jobs/{jobName}"), READ,
        None => [(200, Some("Job"))];
    JobsListOutputFiles "Jobs_ListOutputFiles"
        POST workspace!("/experiments/{experimentName}/jobs/{jobName}/listOutputFiles"), WRITE,
        None => [(200, Some("FileListResult"))] paged;
    JobsListLogTails "Jobs_ListLogTails"
        GET workspace!("/experiments/{experimentName}/jobs/{jobName}/logTails"), READ,
        None => [(200, Some("LogTailListResult"))];
    JobsListRemoteLogin "Jobs_ListRemoteLoginInformation"
        POST workspace!("/experiments/{experimentName}/jobs/{jobName}/listRemoteLoginInformation"),
        WRITE, None => [(200, Some("RemoteLoginInformationListResult"))];
    JobsTerminate "Jobs_Terminate"
        POST workspace!("/experiments/{experimentName}/jobs/{jobName}/terminate"), WRITE,
        None => [(200, None), (202, None)];

    TenantsList "Tenants_List" GET "/tenants", RequiredAccess::Token,
        None => [(200, Some("TenantIdDescriptionListResult"))];
    SubscriptionsList "Subscriptions_List" GET "/subscriptions", RequiredAccess::Token,
        None => [(200, Some("SubscriptionListResult"))];
    SubscriptionsGet "Subscriptions_Get" GET subscription!(""), RequiredAccess::Token,
        None => [(200, Some("Subscription"))];
    ProvidersList "Providers_List" GET subscription!("/providers"), RequiredAccess::Token,
        None => [(200, Some("ProviderListResult"))];
    ProvidersGet "Providers_Get" GET subscription!("/providers/{providerNamespace}"), RequiredAccess::Token,
        None => [(200, Some("Provider"))];
    ProvidersRegister "Providers_Register"
        POST subscription!("/providers/{providerNamespace}/register"), RequiredAccess::Token,
        None => [(200, Some("Provider"))];
    GroupsList "ResourceGroups_List" GET subscription!("/resourceGroups"), READ,
        None => [(200, Some("ResourceGroupListResult"))] paged;
    GroupsCheck "ResourceGroups_CheckExistence" HEAD group!(""), READ,
        None => [(204, None)];
    GroupsCreate "ResourceGroups_CreateOrUpdate" PUT group!(""), WRITE,
        Some("ResourceGroupParameters") => [(200, Some("ResourceGroup")), (201, Some("ResourceGroup"))];
    GroupsUpdate "ResourceGroups_Update" PATCH group!(""), WRITE,
        Some("ResourceGroupPatchable") => [(200, Some("ResourceGroup"))];
    GroupsDelete "ResourceGroups_Delete" DELETE group!(""), WRITE,
        None => [(200, None), (202, None)];
    GroupsGet "ResourceGroups_Get" GET group!(""), READ,
        None => [(200, Some("ResourceGroup"))];
    GroupDeletion "ResourceGroups_DeletionStatus"
        GET subscription!("/operationresults/{operationId}"), RequiredAccess::Token,
        None => [(200, None), (202, None)];

    RoleDefinitionsOfSubscription "RoleDefinitions_List"
        GET subscription!("/providers/Microsoft.Authorization/roleDefinitions"), READ,
        None => [(200, Some("RoleDefinitionListResult"))];
    RolesOfSubscriptionList "RoleAssignments_ListForSubscription"
        GET subscription!("/providers/Microsoft.Authorization/roleAssignments"), READ,
        None => [(200, Some("RoleAssignmentListResult"))];
    RolesOfSubscriptionGet "RoleAssignments_GetForSubscription"
        GET subscription!("/providers/Microsoft.Authorization/roleAssignments/{roleAssignmentName}"),
        READ, None => [(200, Some("RoleAssignment"))];
    RolesOfSubscriptionCreate "RoleAssignments_CreateForSubscription"
        PUT subscription!("/providers/Microsoft.Authorization/roleAssignments/{roleAssignmentName}"),
        GRANT, Some("RoleAssignmentCreateParameters") =>
            [(201, Some("RoleAssignment"))];
    RolesOfSubscriptionDelete "RoleAssignments_DeleteForSubscription"
        DELETE subscription!("/providers/Microsoft.Authorization/roleAssignments/{roleAssignmentName}"),
        GRANT, None => [(200, Some("RoleAssignment")), (204, None)];
    RolesOfGroupList "RoleAssignments_ListForResourceGroup"
        GET group!("/providers/Microsoft.Authorization/roleAssignments"), READ,
        None => [(200, Some("RoleAssignmentListResult"))];
    RolesOfGroupGet "RoleAssignments_GetForResourceGroup"
        GET group!("/providers/Microsoft.Authorization/roleAssignments/{roleAssignmentName}"), READ,
        None => [(200, Some("RoleAssignment"))];
    RolesOfGroupCreate "RoleAssignments_CreateForResourceGroup"
        PUT group!("/providers/Microsoft.Authorization/roleAssignments/{roleAssignmentName}"),
        GRANT, Some("RoleAssignmentCreateParameters") =>
            [(201, Some("RoleAssignment"))];
    RolesOfGroupDelete "RoleAssignments_DeleteForResourceGroup"
        DELETE group!("/providers/Microsoft.Authorization/roleAssignments/{roleAssignmentName}"),
        GRANT, None => [(200, Some("RoleAssignment")), (204, None)];
    RolesOfWorkspaceList "RoleAssignments_ListForWorkspace"
        GET workspace!("/providers/Microsoft.Authorization/roleAssignments"), READ,
        None => [(200, Some("RoleAssignmentListResult"))];
    RolesOfWorkspaceGet "RoleAssignments_GetForWorkspace"
        GET workspace!("/providers/Microsoft.Authorization/roleAssignments/{roleAssignmentName}"),
        READ, None => [(200, Some("RoleAssignment"))];
    RolesOfWorkspaceCreate "RoleAssignments_CreateForWorkspace"
        PUT workspace!("/providers/Microsoft.Authorization/roleAssignments/{roleAssignmentName}"),
        GRANT, Some("RoleAssignmentCreateParameters") =>
            [(201, Some("RoleAssignment"))];
    RolesOfWorkspaceDelete "RoleAssignments_DeleteForWorkspace"
        DELETE workspace!("/providers/Microsoft.Authorization/roleAssignments/{roleAssignmentName}"),
        GRANT, None => [(200, Some("RoleAssignment")), (204, None)];
    PermissionsOfWorkspaceList "Permissions_ListForWorkspace"
        GET workspace!("/providers/Microsoft.Authorization/permissions"), RequiredAccess::Token,
        None => [(200, Some("PermissionListResult"))];

    PortalLinksCreate "PortalLinks_Create" POST "/local/v1/portalLinks", RequiredAccess::Token,
        None => [(201, Some("PortalLink"))];
    TokensList "Tokens_List" GET "/local/v1/tokens", RequiredAccess::Service,
        None => [(200, Some("TokenListResult"))];
    TokensCreate "Tokens_Create" POST "/local/v1/tokens", RequiredAccess::Service,
        Some("TokenCreateParameters") => [(201, Some("NewToken"))];
    TokensRevoke "Tokens_Revoke" DELETE "/local/v1/tokens/{tokenName}", RequiredAccess::Service,
        None => [(204, None)];
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn no_two_rows_are_the_same() {
        let mut ids = HashSet::new();
        let mut places = HashSet::new();
        for row in OPERATIONS {
            assert!(ids.insert(row.id), "{}", row.id);
            let place = format!("{} {}", row.method, row.path.to_ascii_lowercase());
            assert!(places.insert(place), "{} {}", row.method, row.path);
            assert!(!row.responses.is_empty(), "{}", row.id);
        }
    }

    /// Reading requires a lower role than writing.
    #[test]
    fn writing_requires_a_higher_role_than_reading() {
        for row in OPERATIONS {
            let reads = row.method == Method::GET || row.method == Method::HEAD;
            match row.requires {
                RequiredAccess::Role(role) => assert_eq!(reads, role == Role::Reader, "{}", row.id),
                RequiredAccess::Token => {
                    // A link of the portal stands for the token with which it was requested.
                    let changes_nothing =
                        [Operation::ProvidersRegister, Operation::PortalLinksCreate];
                    assert!(reads || changes_nothing.contains(&row.operation), "{}", row.id);
                }
                RequiredAccess::Service => {}
            }
        }
    }
}
