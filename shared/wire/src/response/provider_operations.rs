//! The operations of the resource provider as the swagger's example lists them, spelling mistakes
//! included (docs/contract.md, "Provider operations"). They name permissions that this service does
//! not check: its roles are in the table of operations of the crate `web`.

#![expect(missing_docs, reason = "fields of bodies are those of the contract's definitions")]

use schemars::JsonSchema;
use serde::Serialize;

/// `Operation` of the contract.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[schemars(rename = "Operation")]
pub struct OperationEntry {
    pub name: String,
    pub display: OperationDisplay,
    pub origin: &'static str,
}

/// `OperationDisplay` of the contract.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct OperationDisplay {
    pub provider: &'static str,
    pub resource: String,
    pub operation: &'static str,
    pub description: &'static str,
}

/// All operations of the provider.
pub fn provider_operations() -> Vec<OperationEntry> {
    let entry =
        |(name, resource, operation, description): &(&str, &str, &'static str, &'static str)| {
            OperationEntry {
                name: format!("Microsoft.BatchAI/{name}"),
                display: OperationDisplay {
                    provider: "Microsoft Batch AI",
                    resource: format!("Batch AI {resource}"),
                    operation,
                    description,
                },
                origin: "user,system",
            }
        };
    OPERATIONS.iter().map(entry).collect()
}

/// Name and resource (without their common prefix), operation and description.
const OPERATIONS: [(&str, &str, &str, &str); 26] = [
    (
        "workspaces/read",
        "Workspaces",
        "List or get Batch AI workspaces",
        "Lists Batch AI workspaces or gets the properties of a Batch AI workspace",
    ),
    (
        "workspaces/write",
        "Workspaces",
        "Create or update Batch AI workspace",
        "Creates a new Batch AI workspace or updates an existing Batch AI workspace",
    ),
    ("workspaces/delete", "Clusters", "Delete Batch AI workspace", "Deletes a Batch AI workspace"),
    (
        "workspaces/experiments/read",
        "Experiments",
        "List or get Batch AI experiements",
        "Lists Batch AI experiments or gets the properties of a Batch AI experiment",
    ),
    (
        "workspaces/experiments/write",
        "Experiments",
        "Create or update Batch AI experiement",
        "Creates a new Batch AI experiment or updates an existing Batch AI experiment",
    ),
    (
        "workspaces/experiments/delete",
        "Experiments",
        "Delete Batch AI experiment",
        "Deletes a Batch AI experiment",
    ),
    (
        "clusters/read",
        "Clusters",
        "List or get Batch AI clusters",
        "Lists Batch AI clusters or gets the properties of a Batch AI cluster",
    ),
    (
        "workspaces/clusters/read",
        "Clusters",
        "List or get Batch AI clusters",
        "Lists Batch AI clusters or gets the properties of a Batch AI cluster",
    ),
    (
        "workspaces/clusters/write",
        "Clusters",
        "Create or update Batch AI cluster",
        "Creates a new Batch AI cluster or updates an existing Batch AI cluster",
    ),
    (
        "workspaces/clusters/delete",
        "Clusters",
        "Delete Batch AI cluster",
        "Deletes a Batch AI cluster",
    ),
    (
        "workspaces/clusters/remoteLoginInformation/action",
        "Clusters",
        "List Batch AI cluster remote-login information",
        "Lists remote-login information for a Batch AI cluster",
    ),
    (
        "workspaces/experiments/jobs/read",
        "Jobs",
        "List or get Batch AI jobs",
        "Lists Batch AI jobs or gets the properties of a Batch AI job",
    ),
    (
        "workspaces/experiments/jobs/write",
        "Jobs",
        "Create or update Batch AI job",
        "Creates a new Batch AI job or updates an existing Batch AI job",
    ),
    ("workspaces/experiments/jobs/delete", "Jobs", "Delete Batch AI job", "Deletes a Batch AI job"),
    (
        "workspaces/experiments/jobs/terminate/action",
        "Jobs",
        "Terminate Batch AI job",
        "Terminates a Batch AI job",
    ),
    (
        "workspaces/experiments/jobs/remoteLoginInformation/action",
        "Jobs",
        "List Batch AI job remote-login information",
        "Lists remote-login information for a Batch AI job",
    ),
    (
        "workspaces/experiments/jobs/listoutputfiles/action",
        "Jobs",
        "List Batch AI job output files",
        "Lists output files for a Batch AI job",
    ),
    (
        "fileservers/read",
        "Fileservers",
        "List or get Batch AI fileservers",
        "Lists Batch AI fileservers or gets the properties of a Batch AI fileserver",
    ),
    (
        "workspaces/fileservers/read",
        "Fileservers",
        "List or get Batch AI fileservers",
        "Lists Batch AI fileservers or gets the properties of a Batch AI fileserver",
    ),
    (
        "workspaces/fileservers/write",
        "Fileservers",
        "Create or update Batch AI fileserver",
        "Creates a new Batch AI fileserver or updates an existing Batch AI fileserver",
    ),
    (
        "workspaces/fileservers/delete",
        "Fileservers",
        "Delete Batch AI filserver",
        "Deletes a Batch AI fileserver",
    ),
    (
        "locations/usages/read",
        "Usages",
        "Get Batch AI Usages",
        "Gets Batch AI usages of the specified subscription at the specified Azure region",
    ),
    (
        "register/action",
        "Resource Provider",
        "Register the Batch AI Resource Provider",
        "Registers the subscription for the Batch AI Resource Provider and enables the creation of Batch AI resources",
    ),
    (
        "unregister/action",
        "Resource Provider",
        "Unregister the Batch AI Resource Provider",
        "Unregisters the subscription for the Batch AI Resource Provider preventing the creation of Batch AI resources",
    ),
    (
        "locations/operationresults/read",
        "Operation Results",
        "Get Batch AI Opreation Result",
        "Gets Batch AI async operation result at the specified Azure region",
    ),
    (
        "locations/operationstatuses/read",
        "Operation Statuses",
        "Get Batch AI Opreation Status",
        "Gets Batch AI async operation status at the specified Azure region",
    ),
];
