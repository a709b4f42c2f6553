//! Long-running operations, as clients poll them (docs/contract.md, "Long-running operations").

#![expect(missing_docs, reason = "fields of bodies are those of the contract's definitions")]

use super::parts;
use model::{Operation, OperationState, Timestamp};
use schemars::JsonSchema;
use serde::Serialize;

/// The status of a long-running operation.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "OperationResult")]
pub struct OperationBody {
    pub id: String,
    pub name: String,
    #[schemars(extend("enum" = ["InProgress", "Succeeded", "Failed"]))]
    pub status: &'static str,
    #[serde(serialize_with = "parts::instant")]
    #[schemars(schema_with = "parts::date_time")]
    pub start_time: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "parts::optional_instant")]
    #[schemars(schema_with = "parts::date_time")]
    pub end_time: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub properties: Option<OperationProperties>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<OperationError>,
}

/// The resource of an operation.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OperationProperties {
    /// Not an ARM id: the names joined with `$`.
    pub resource_id: String,
}

/// Why an operation failed.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct OperationError {
    pub code: String,
    pub message: String,
}

/// The body of an operation. `id_url` is the absolute URL that is polled, without its query.
pub fn operation(operation: &Operation, id_url: &str) -> OperationBody {
    let mut body = OperationBody {
        id: id_url.to_owned(),
        name: operation.id.to_string(),
        status: "InProgress",
        start_time: operation.started_at,
        end_time: None,
        properties: None,
        error: None,
    };
    match &operation.state {
        OperationState::InProgress => {}
        OperationState::Succeeded { ended_at } => {
            body.status = "Succeeded";
            body.end_time = Some(*ended_at);
            body.properties = Some(OperationProperties { resource_id: operation.resource.clone() });
        }
        OperationState::Failed { ended_at, error } => {
            body.status = "Failed";
            body.end_time = Some(*ended_at);
            body.error =
                Some(OperationError { code: error.code.clone(), message: error.message.clone() });
        }
    }
    body
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{at, names, pretty, uid};
    use model::{Name, ResourceError};

    const URL: &str = "http://127.0.0.1:1/subscriptions/0/operationresults/x";

    fn started() -> Operation {
        let resource = names().child_operation_key(&Name::new("gpus"));
        Operation::started(uid(1), resource, at(0))
    }

    #[test]
    fn in_progress() {
        insta::assert_snapshot!(pretty(&operation(&started(), URL)), @r#"
        {
          "id": "http://127.0.0.1:1/subscriptions/0/operationresults/x",
          "name": "01010101-0101-4101-8101-010101010101",
          "status": "InProgress",
          "startTime": "2018-06-06T20:46:53.03Z"
        }
        "#);
    }

    #[test]
    fn succeeded() {
        insta::assert_snapshot!(pretty(&operation(&started().succeeded(at(2)), URL)), @r#"
        {
          "id": "http://127.0.0.1:1/subscriptions/0/operationresults/x",
          "name": "01010101-0101-4101-8101-010101010101",
          "status": "Succeeded",
          "startTime": "2018-06-06T20:46:53.03Z",
          "endTime": "2018-06-06T20:46:55.03Z",
          "properties": {
            "resourceId": "00000000-0000-0000-0000-000000000000$demo_group$demo$gpus"
          }
        }
        "#);
    }

    #[test]
    fn failed() {
        let error = ResourceError::new(
            "FileServerProvisioningFailed",
            "File Server provisioning has failed",
        );
        let state = OperationState::Failed { ended_at: at(2), error };
        let failed = Operation { state, ..started() };
        insta::assert_snapshot!(pretty(&operation(&failed, URL)), @r#"
        {
          "id": "http://127.0.0.1:1/subscriptions/0/operationresults/x",
          "name": "01010101-0101-4101-8101-010101010101",
          "status": "Failed",
          "startTime": "2018-06-06T20:46:53.03Z",
          "endTime": "2018-06-06T20:46:55.03Z",
          "error": {
            "code": "FileServerProvisioningFailed",
            "message": "File Server provisioning has failed"
          }
        }
        "#);
    }
}
