//! Workspaces and experiments (docs/contract.md, "Workspaces" and "Experiments").

#![expect(missing_docs, reason = "fields of bodies are those of the contract's definitions")]

use super::parts::{self, Resource};
use crate::ids;
use model::{Experiment, Lifecycle, Timestamp, Workspace};
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::BTreeMap;

/// A workspace: the only resource with a location and tags.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[schemars(rename = "Workspace")]
pub struct WorkspaceBody {
    pub id: String,
    pub name: String,
    #[serde(rename = "type")]
    pub resource_type: &'static str,
    pub location: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tags: Option<BTreeMap<String, String>>,
    pub properties: ContainerProperties,
}

/// The properties of a resource that only contains others.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Experiment", inline)]
pub struct ContainerProperties {
    #[serde(serialize_with = "parts::instant")]
    #[schemars(schema_with = "parts::date_time")]
    pub creation_time: Timestamp,
    #[schemars(extend("enum" = ["creating", "succeeded", "failed", "deleting"]))]
    pub provisioning_state: &'static str,
    #[serde(serialize_with = "parts::instant")]
    #[schemars(schema_with = "parts::date_time")]
    pub provisioning_state_transition_time: Timestamp,
}

/// The body of a workspace.
pub fn workspace(workspace: &Workspace) -> WorkspaceBody {
    WorkspaceBody {
        id: ids::workspace_id(&workspace.names),
        name: workspace.names.workspace.as_str().to_owned(),
        resource_type: ids::WORKSPACE_TYPE,
        location: workspace.location.clone(),
        tags: workspace.tags.clone(),
        properties: properties(&workspace.lifecycle, workspace.created_at),
    }
}

/// The body of an experiment.
pub fn experiment(experiment: &Experiment) -> Resource<ContainerProperties> {
    Resource::child(
        ids::experiment_id(&experiment.names, &experiment.name),
        &experiment.name,
        ids::EXPERIMENT_TYPE,
        properties(&experiment.lifecycle, experiment.created_at),
    )
}

fn properties(lifecycle: &Lifecycle, created_at: Timestamp) -> ContainerProperties {
    let (provisioning_state, since) = parts::provisioning(lifecycle, created_at);
    ContainerProperties {
        creation_time: created_at,
        provisioning_state,
        provisioning_state_transition_time: since,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{at, names, pretty, uid};
    use model::Name;

    #[test]
    fn a_workspace_with_tags() {
        let body = workspace(&Workspace {
            names: names(),
            uid: uid(1),
            version: 1,
            location: "eastus".to_owned(),
            tags: Some(BTreeMap::from([("team".to_owned(), "vision".to_owned())])),
            created_at: at(0),
            etag: uid(2),
            modified_at: at(9),
            lifecycle: Lifecycle::Active,
        });
        insta::assert_snapshot!(pretty(&body), @r#"
        {
          "id": "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/demo_group/providers/Microsoft.BatchAI/workspaces/demo",
          "name": "demo",
          "type": "Microsoft.BatchAI/workspaces",
          "location": "eastus",
          "tags": {
            "team": "vision"
          },
          "properties": {
            "creationTime": "2018-06-06T20:46:53.03Z",
            "provisioningState": "succeeded",
            "provisioningStateTransitionTime": "2018-06-06T20:46:53.03Z"
          }
        }
        "#);
    }

    #[test]
    fn a_list_with_an_experiment_that_is_being_deleted() {
        let body = experiment(&Experiment {
            workspace: uid(1),
            names: names(),
            name: Name::new("first"),
            uid: uid(4),
            version: 2,
            created_at: at(0),
            etag: uid(2),
            modified_at: at(0),
            lifecycle: Lifecycle::Deleting { operation: uid(3), since: at(60) },
        });
        let next = "http://127.0.0.1:1/x?api-version=2018-05-01".to_owned();
        insta::assert_snapshot!(pretty(&parts::list(vec![body], Some(next))), @r#"
        {
          "value": [
            {
              "id": "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/demo_group/providers/Microsoft.BatchAI/workspaces/demo/experiments/first",
              "name": "first",
              "type": "Microsoft.BatchAI/workspaces/experiments",
              "properties": {
                "creationTime": "2018-06-06T20:46:53.03Z",
                "provisioningState": "deleting",
                "provisioningStateTransitionTime": "2018-06-06T20:47:53.03Z"
              }
            }
          ],
          "nextLink": "http://127.0.0.1:1/x?api-version=2018-05-01"
        }
        "#);
    }

    #[test]
    fn an_empty_list() {
        let body = parts::list(Vec::<Resource<ContainerProperties>>::new(), None);
        assert_eq!(serde_json::to_string(&body).unwrap(), r#"{"value":[]}"#);
    }
}
