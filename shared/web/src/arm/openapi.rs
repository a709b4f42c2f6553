//! `/openapi.json`: the API as an OpenAPI 3.1 document, built from the table of operations and from
//! the schemas that `wire` derives from its parsers and bodies.

use super::operation::{OPERATIONS, Operation, OperationRow, RequiredAccess};
use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;
use model::{Name, Role, limits};
use serde_json::{Map, Value, json};
use std::sync::LazyLock;

/// The error responses of every operation.
const REFUSALS: [(u16, &str); 7] = [
    (400, "The request is invalid; the error lists every violation"),
    (401, "The token is missing, unknown or expired"),
    (403, "The roles of the token do not allow the operation"),
    (404, "The resource does not exist"),
    (409, "The state of the resource does not allow the operation, or a quota is reached"),
    (413, "The body exceeds the size limit"),
    (503, "The service is busy; retry in a moment"),
];

pub(crate) async fn document() -> Response {
    static TEXT: LazyLock<String> = LazyLock::new(|| openapi().to_string());
    ([(CONTENT_TYPE, "application/json; charset=utf-8")], TEXT.as_str()).into_response()
}

/// The whole document.
pub fn openapi() -> Value {
    let mut paths = Map::new();
    for row in OPERATIONS {
        let path = paths.entry(row.path).or_insert_with(|| {
            let parameters: Vec<Value> = path_parameters(row.path).map(path_parameter).collect();
            if parameters.is_empty() { json!({}) } else { json!({ "parameters": parameters }) }
        });
        path[row.method.as_str().to_ascii_lowercase()] = operation(row);
    }
    let mut schemas: Map<String, Value> = wire::schema::responses().into_iter().collect();
    for (name, schema) in wire::schema::requests() {
        schemas.insert(name.to_owned(), schema);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Batch AI",
            "version": wire::API_VERSION,
            "description": "The REST API of Azure Batch AI, version 2018-05-01, with the parts of Azure Resource Manager that its clients call. Additions are under properties.extensions and /local/v1.",
        },
        "security": [{ "token": [] }],
        "paths": paths,
        "components": {
            "securitySchemes": { "token": { "type": "http", "scheme": "bearer" } },
            "schemas": schemas,
        },
    })
}

fn operation(row: &OperationRow) -> Value {
    let mut operation = json!({
        "operationId": row.id,
        "description": required_access(row),
        "parameters": query_parameters(row),
        "responses": responses(row),
    });
    if let Some(name) = row.request {
        let mut content = json!({ "schema": reference(name) });
        if let Some(example) = example(name) {
            content["example"] = example;
        }
        operation["requestBody"] =
            json!({ "required": true, "content": { "application/json": content } });
    }
    operation
}

/// An example of a request body.
fn example(request: &str) -> Option<Value> {
    let workspace = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/batchai/providers/Microsoft.BatchAI/workspaces/lab";
    let account = json!({ "adminUserName": "demo", "adminUserSshPublicKey": "ssh-rsa AAAA" });
    Some(match request {
        "WorkspaceCreateParameters" | "ResourceGroupParameters" => {
            json!({ "location": "eastus", "tags": { "team": "vision" } })
        }
        "WorkspaceUpdateParameters" | "ResourceGroupPatchable" => {
            json!({ "tags": { "team": "speech" } })
        }
        "FileServerCreateParameters" => json!({ "properties": {
            "vmSize": "STANDARD_D2_V2",
            "sshConfiguration": { "userAccountSettings": account },
            "dataDisks": { "diskSizeInGB": 10, "diskCount": 2, "storageAccountType": "Standard_LRS" },
        } }),
        "ClusterCreateParameters" => json!({ "properties": {
            "vmSize": "STANDARD_NC6",
            "vmPriority": "lowpriority",
            "scaleSettings": { "autoScale": { "minimumNodeCount": 0, "maximumNodeCount": 4 } },
            "userAccountSettings": account,
            "nodeSetup": { "mountVolumes": { "fileServers": [{
                "fileServer": { "id": format!("{workspace}/fileservers/nfs") },
                "relativeMountPath": "nfs",
            }] } },
        } }),
        "ClusterUpdateParameters" => json!({ "properties": {
            "scaleSettings": { "manual": { "targetNodeCount": 1 } },
        } }),
        "JobCreateParameters" => json!({ "properties": {
            "cluster": { "id": format!("{workspace}/clusters/spot") },
            "nodeCount": 1,
            "customToolkitSettings": { "commandLine": "python train.py" },
            "stdOutErrPathPrefix": "$AZ_BATCHAI_MOUNT_ROOT/nfs",
            "outputDirectories": [{ "id": "MODEL", "pathPrefix": "$AZ_BATCHAI_MOUNT_ROOT/nfs" }],
            "constraints": { "maxWallClockTime": "PT1H" },
        } }),
        "RoleAssignmentCreateParameters" => json!({ "properties": {
            "roleDefinitionId": wire::ids::role_definition_id(&Name::new("s"), Role::Reader),
            "principalId": "02020202-0202-4202-8202-020202020202",
        } }),
        "TokenCreateParameters" => json!({ "name": "alice" }),
        "FileUploadParameters" => json!({ "files": [{
            "path": "scripts/train.py",
            "length": 5,
            "sha256": "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824",
            "executable": false,
        }] }),
        _ => return None,
    })
}

fn required_access(row: &OperationRow) -> String {
    match row.requires {
        RequiredAccess::Role(role) => format!("Requires the role {}.", role.name()),
        RequiredAccess::Token => "Requires any valid token.".to_owned(),
        RequiredAccess::Service => "Requires the service's own token.".to_owned(),
    }
}

fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

fn path_parameters(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter_map(|it| it.strip_prefix('{')?.strip_suffix('}'))
}

fn path_parameter(name: &str) -> Value {
    let schema = match name {
        "operationId" | "roleAssignmentName" => json!({ "type": "string", "format": "uuid" }),
        "resourceGroupName" | "location" | "providerNamespace" | "tokenName" => {
            json!({ "type": "string", "pattern": "^[-A-Za-z0-9_.]{1,90}$" })
        }
        _ => json!({ "type": "string", "pattern": "^[-A-Za-z0-9_]{1,64}$" }),
    };
    json!({ "name": name, "in": "path", "required": true, "schema": schema })
}

fn query_parameters(row: &OperationRow) -> Vec<Value> {
    let optional =
        |name: &str, schema: Value| json!({ "name": name, "in": "query", "schema": schema });
    let text = || json!({ "type": "string" });
    let mut parameters = Vec::new();
    if !row.path.starts_with("/local/") {
        parameters.push(json!({
            "name": "api-version",
            "in": "query",
            "required": true,
            "schema": { "type": "string", "enum": [wire::API_VERSION] },
        }));
    }
    if row.paged {
        let most = limits::MAX_PAGE;
        let size = json!({ "type": "integer", "minimum": 1, "maximum": most, "default": most });
        parameters.push(optional("maxresults", size));
        parameters.push(optional("$skiptoken", text()));
    }
    let required = |name: &str| {
        let schema = json!({ "type": "string", "minLength": 1 });
        json!({ "name": name, "in": "query", "required": true, "schema": schema })
    };
    let expiry = || {
        let (least, most, usual) = limits::LINK_MINUTES;
        json!({ "type": "integer", "minimum": least, "maximum": most, "default": usual })
    };
    match row.operation {
        Operation::JobsListOutputFiles => {
            parameters.push(required("outputdirectoryid"));
            parameters.push(optional("directory", text()));
            parameters.push(optional("linkexpiryinminutes", expiry()));
        }
        Operation::FileServersListFiles => {
            parameters.push(optional("directory", text()));
            parameters.push(optional("linkexpiryinminutes", expiry()));
        }
        Operation::FileServersDeleteFile => {
            parameters.push(required("path"));
            parameters.push(optional("recursive", json!({ "type": "boolean", "default": false })));
        }
        Operation::RoleDefinitionsOfSubscription => parameters.push(optional("$filter", text())),
        Operation::RolesOfSubscriptionList
        | Operation::RolesOfGroupList
        | Operation::RolesOfWorkspaceList => {
            let filter = r"principalId eq '[^']*'|assignedTo\('[^']*'|atScope\(\)";
            parameters.push(optional("$filter", json!({ "type": "string", "pattern": filter })));
        }
        _ => {}
    }
    parameters
}

fn responses(row: &OperationRow) -> Value {
    let mut responses = Map::new();
    for (status, body) in row.responses {
        let mut response = json!({ "description": success(*status) });
        if let Some(name) = body {
            response["content"] = json!({ "application/json": { "schema": reference(name) } });
        }
        if *status == 202 && row.request.is_some() {
            let url = || json!({ "schema": { "type": "string", "format": "uri" } });
            response["headers"] = json!({
                "Azure-AsyncOperation": url(),
                "Location": url(),
                "Retry-After": { "schema": { "type": "integer" } },
            });
        }
        responses.insert(status.to_string(), response);
    }
    for (status, description) in REFUSALS {
        let content = json!({ "application/json": { "schema": reference("CloudError") } });
        let body = json!({ "description": description, "content": content });
        responses.insert(status.to_string(), body);
    }
    Value::Object(responses)
}

fn success(status: u16) -> &'static str {
    match status {
        201 => "Created",
        202 => "Accepted; the headers have the URLs to poll",
        204 => "Done, or nothing to do",
        _ => "Done",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn references(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(fields) => {
                for (name, value) in fields {
                    match value.as_str() {
                        Some(target) if name == "$ref" => found.push(target.to_owned()),
                        _ => references(value, found),
                    }
                }
            }
            Value::Array(items) => items.iter().for_each(|item| references(item, found)),
            _ => {}
        }
    }

    #[test]
    fn every_reference_leads_somewhere() {
        let document = openapi();
        let mut found = Vec::new();
        references(&document, &mut found);
        assert!(found.len() > OPERATIONS.len());
        for target in found {
            let pointer = target.strip_prefix('#').expect("all are local");
            assert!(document.pointer(pointer).is_some(), "{target}");
        }
    }

    #[test]
    fn every_example_is_accepted() {
        for row in OPERATIONS {
            let Some(request) = row.request else { continue };
            let body = example(request).expect(request).to_string().into_bytes();
            let refused = match request {
                "WorkspaceCreateParameters" => wire::parse_workspace_create(&body).err(),
                "WorkspaceUpdateParameters" => wire::parse_workspace_update(&body).err(),
                "FileServerCreateParameters" => wire::parse_file_server_create(&body).err(),
                "ClusterCreateParameters" => wire::parse_cluster_create(&body).err(),
                "ClusterUpdateParameters" => wire::parse_cluster_update(&body).err(),
                "JobCreateParameters" => wire::parse_job_create(&body).err(),
                "ResourceGroupParameters" => wire::parse_resource_group(&body).err(),
                "ResourceGroupPatchable" => wire::parse_resource_group_update(&body).err(),
                "RoleAssignmentCreateParameters" => wire::parse_role_assignment(&body).err(),
                "TokenCreateParameters" => wire::parse_token(&body).err(),
                "FileUploadParameters" => wire::parse_file_uploads(&body).err(),
                other => panic!("no parser for {other}"),
            };
            assert!(refused.is_none(), "{request}: {refused:?}");
        }
    }

    #[test]
    fn every_operation_is_in_it() {
        let document = openapi();
        for row in OPERATIONS {
            let method = row.method.as_str().to_ascii_lowercase();
            assert_eq!(document["paths"][row.path][method]["operationId"], row.id);
        }
    }
}
