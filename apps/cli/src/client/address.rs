//! Resource ids, which are also the paths of the resources.

use anyhow::{Result, bail};
use reqwest::Url;
use std::fmt;

/// The subscription, resource group, workspace and experiment from the options.
pub struct Scope {
    pub subscription: String,
    pub resource_group: String,
    pub workspace: Option<String>,
    pub experiment: Option<String>,
}

/// The path of a resource, a list of resources, or an action.
#[derive(Clone, Debug, PartialEq)]
pub struct Address(Vec<String>);

impl Scope {
    /// The workspaces of all resource groups of the subscription.
    pub fn all_workspaces(&self) -> Address {
        self.subscription().join(&["providers", "Microsoft.BatchAI", "workspaces"])
    }

    pub fn subscription(&self) -> Address {
        Address(vec!["subscriptions".to_owned(), self.subscription.clone()])
    }

    pub fn resource_groups(&self) -> Address {
        self.subscription().join(&["resourceGroups"])
    }

    pub fn usages(&self, location: &str) -> Address {
        self.subscription().join(&[
            "providers",
            "Microsoft.BatchAI",
            "locations",
            location,
            "usages",
        ])
    }

    pub fn role_definitions(&self) -> Address {
        self.subscription().join(&["providers", "Microsoft.Authorization", "roleDefinitions"])
    }

    /// Only `batchai local` has tokens as resources.
    pub fn tokens(&self) -> Address {
        Address(["local", "v1", "tokens"].map(str::to_owned).to_vec())
    }

    /// Only `batchai local` has links of the portal.
    pub fn portal_links(&self) -> Address {
        Address(["local", "v1", "portalLinks"].map(str::to_owned).to_vec())
    }

    pub fn workspaces(&self) -> Address {
        self.resource_groups().join(&[&self.resource_group]).join(&[
            "providers",
            "Microsoft.BatchAI",
            "workspaces",
        ])
    }

    pub fn clusters(&self) -> Result<Address> {
        Ok(self.workspace()?.join(&["clusters"]))
    }

    pub fn file_servers(&self) -> Result<Address> {
        Ok(self.workspace()?.join(&["fileServers"]))
    }

    pub fn experiments(&self) -> Result<Address> {
        Ok(self.workspace()?.join(&["experiments"]))
    }

    pub fn jobs(&self) -> Result<Address> {
        match &self.experiment {
            Some(experiment) => Ok(self.experiments()?.join(&[experiment, "jobs"])),
            None => bail!("no experiment given: set -e NAME or BATCHAI_EXPERIMENT=NAME"),
        }
    }

    fn workspace(&self) -> Result<Address> {
        match &self.workspace {
            Some(workspace) => Ok(self.workspaces().join(&[workspace])),
            None => bail!("no workspace given: set -w NAME or BATCHAI_WORKSPACE=NAME"),
        }
    }
}

impl Address {
    /// Of the id of a resource, as the service spells it.
    pub fn of_id(id: &str) -> Self {
        Self(id.split('/').filter(|part| !part.is_empty()).map(str::to_owned).collect())
    }

    /// The subscriptions that the caller sees.
    pub fn subscriptions() -> Self {
        Self(vec!["subscriptions".to_owned()])
    }

    /// Appends path segments.
    pub fn join(&self, segments: &[&str]) -> Self {
        let mut all = self.0.clone();
        all.extend(segments.iter().map(|segment| (*segment).to_owned()));
        Self(all)
    }

    /// Encodes each name as one path segment, whatever characters it has.
    pub fn url(&self, endpoint: &Url) -> Url {
        let mut url = endpoint.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(&self.0);
        }
        url
    }
}

/// The resource id, as request bodies refer to it.
impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|segment| write!(formatter, "/{segment}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope(workspace: Option<&str>, experiment: Option<&str>) -> Scope {
        Scope {
            subscription: "sub".to_owned(),
            resource_group: "group".to_owned(),
            workspace: workspace.map(str::to_owned),
            experiment: experiment.map(str::to_owned),
        }
    }

    #[test]
    fn ids_have_the_format_of_the_service() {
        let jobs = scope(Some("ws"), Some("exp")).jobs().unwrap();
        insta::assert_snapshot!(jobs.join(&["job"]), @"/subscriptions/sub/resourceGroups/group/providers/Microsoft.BatchAI/workspaces/ws/experiments/exp/jobs/job");
    }

    #[test]
    fn a_name_stays_one_path_segment() {
        let url = scope(Some("../a b?c#d/e"), None)
            .clusters()
            .unwrap()
            .url(&"http://127.0.0.1:1/".parse().unwrap());
        insta::assert_snapshot!(url, @"http://127.0.0.1:1/subscriptions/sub/resourceGroups/group/providers/Microsoft.BatchAI/workspaces/..%2Fa%20b%3Fc%23d%2Fe/clusters");
    }

    #[test]
    fn a_missing_option_is_named() {
        insta::assert_snapshot!(scope(None, Some("exp")).jobs().unwrap_err(), @"no workspace given: set -w NAME or BATCHAI_WORKSPACE=NAME");
        insta::assert_snapshot!(scope(Some("ws"), None).jobs().unwrap_err(), @"no experiment given: set -e NAME or BATCHAI_EXPERIMENT=NAME");
    }
}
