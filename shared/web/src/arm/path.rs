//! Paths of the API, matched without regard to the case of literal segments (section 1.2).

use super::not_found;
use control::Error;
use control::jobs::ExperimentPath;
use model::{Name, Uid, WorkspaceNames};
use wire::names::{resource_group_name, resource_name, subscription_id};

/// What a path names.
#[derive(Debug)]
pub(crate) enum Target {
    Workspaces { subscription: Name, group: Option<Name> },
    Workspace(WorkspaceNames),
    Clusters(WorkspaceNames),
    Cluster(WorkspaceNames, Name),
    ClusterLogins(WorkspaceNames, Name),
    FileServers(WorkspaceNames),
    FileServer(WorkspaceNames, Name),
    Experiments(WorkspaceNames),
    Experiment(WorkspaceNames, Name),
    Jobs(ExperimentPath),
    Job(ExperimentPath, Name),
    JobTermination(ExperimentPath, Name),
    JobFiles(ExperimentPath, Name),
    JobLogins(ExperimentPath, Name),
    OperationResult(Uid),
    OperationStatus(Uid),
}

impl Target {
    /// # Errors
    /// 404 for a path that the API does not have, 400 for a name that cannot be one.
    pub(crate) fn parse(path: &str) -> Result<Self, Error> {
        let segments: Vec<&str> = path.trim_matches('/').split('/').collect();
        let lower: Vec<String> = segments.iter().map(|it| it.to_ascii_lowercase()).collect();
        let lower: Vec<&str> = lower.iter().map(String::as_str).collect();
        match lower.as_slice() {
            ["subscriptions", _, "providers", "microsoft.batchai", "workspaces"] => {
                let subscription = violations(subscription_id(segments[1]))?;
                Ok(Self::Workspaces { subscription, group: None })
            }
            ["subscriptions", _, "providers", "microsoft.batchai", "locations", _, kind, id] => {
                let id = Uid::parse(id).ok_or_else(|| not_found(path))?;
                match *kind {
                    "operationresults" => Ok(Self::OperationResult(id)),
                    "operationstatuses" => Ok(Self::OperationStatus(id)),
                    _ => Err(not_found(path)),
                }
            }
            [
                "subscriptions",
                _,
                "resourcegroups",
                _,
                "providers",
                "microsoft.batchai",
                "workspaces",
                rest @ ..,
            ] => {
                let subscription = violations(subscription_id(segments[1]))?;
                let group = violations(resource_group_name(segments[3]))?;
                match (segments.get(7), rest.split_first()) {
                    (Some(workspace), Some((_, rest))) => {
                        let workspace = name("workspaceName", workspace)?;
                        let names =
                            WorkspaceNames { subscription, resource_group: group, workspace };
                        Self::in_workspace(path, names, rest, &segments[8..])
                    }
                    _ => Ok(Self::Workspaces { subscription, group: Some(group) }),
                }
            }
            _ => Err(not_found(path)),
        }
    }

    /// `rest` is lower case, `spelled` the same as the client wrote it.
    fn in_workspace(
        path: &str,
        names: WorkspaceNames,
        rest: &[&str],
        spelled: &[&str],
    ) -> Result<Self, Error> {
        match rest {
            [] => Ok(Self::Workspace(names)),
            ["clusters"] => Ok(Self::Clusters(names)),
            ["clusters", _] => Ok(Self::Cluster(names, name("clusterName", spelled[1])?)),
            ["clusters", _, "listremotelogininformation"] => {
                Ok(Self::ClusterLogins(names, name("clusterName", spelled[1])?))
            }
            ["fileservers"] => Ok(Self::FileServers(names)),
            ["fileservers", _] => Ok(Self::FileServer(names, name("fileServerName", spelled[1])?)),
            ["experiments"] => Ok(Self::Experiments(names)),
            ["experiments", _] => Ok(Self::Experiment(names, name("experimentName", spelled[1])?)),
            ["experiments", _, "jobs", rest @ ..] => {
                let experiment = name("experimentName", spelled[1])?;
                let experiment = ExperimentPath { workspace: names, experiment };
                Self::in_experiment(path, experiment, rest, &spelled[3..])
            }
            _ => Err(not_found(path)),
        }
    }

    fn in_experiment(
        path: &str,
        experiment: ExperimentPath,
        rest: &[&str],
        spelled: &[&str],
    ) -> Result<Self, Error> {
        let Some(job) = spelled.first() else { return Ok(Self::Jobs(experiment)) };
        let job = name("jobName", job)?;
        match rest {
            [_] => Ok(Self::Job(experiment, job)),
            [_, "terminate"] => Ok(Self::JobTermination(experiment, job)),
            [_, "listoutputfiles"] => Ok(Self::JobFiles(experiment, job)),
            [_, "listremotelogininformation"] => Ok(Self::JobLogins(experiment, job)),
            _ => Err(not_found(path)),
        }
    }
}

fn name(target: &str, text: &str) -> Result<Name, Error> {
    violations(resource_name(target, text))
}

fn violations<T>(outcome: Result<T, wire::Violation>) -> Result<T, Error> {
    outcome.map_err(|violation| wire::Violations::from(violation).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(path: &str, expected: &str) {
        let target = Target::parse(path);
        let variant = target.as_ref().map_or_else(
            |error| match error {
                Error::Api(told) => told.code().to_owned(),
                other => panic!("{other}"),
            },
            |target| {
                let text = format!("{target:?}");
                text.split([' ', '(']).next().unwrap_or_default().to_owned()
            },
        );
        assert_eq!(variant, expected, "{path}");
    }

    #[test]
    fn every_path_of_the_contract_that_is_served() {
        let workspace =
            "/subscriptions/S/resourcegroups/G/providers/microsoft.batchai/Workspaces/W";
        check("/subscriptions/S/providers/Microsoft.BatchAI/workspaces", "Workspaces");
        check(
            "/subscriptions/S/resourceGroups/G/providers/Microsoft.BatchAI/workspaces",
            "Workspaces",
        );
        for (rest, expected) in [
            ("", "Workspace"),
            ("/clusters", "Clusters"),
            ("/clusters/C", "Cluster"),
            ("/clusters/C/listRemoteLoginInformation", "ClusterLogins"),
            ("/fileServers", "FileServers"),
            ("/fileservers/F", "FileServer"),
            ("/experiments", "Experiments"),
            ("/experiments/E", "Experiment"),
            ("/experiments/E/jobs", "Jobs"),
            ("/experiments/E/jobs/J", "Job"),
            ("/experiments/E/jobs/J/terminate", "JobTermination"),
            ("/experiments/E/jobs/J/listOutputFiles", "JobFiles"),
            ("/experiments/E/jobs/J/listRemoteLoginInformation", "JobLogins"),
            ("/experiments/E/jobs/J/else", "ResourceNotFound"),
            ("/clusters/C%20D", "InvalidResourceName"),
        ] {
            check(&format!("{workspace}{rest}"), expected);
        }
        let operation = "00000000-0000-4000-8000-000000000000";
        let locations = "/subscriptions/S/providers/Microsoft.BatchAI/locations/eastus";
        check(&format!("{locations}/operationresults/{operation}"), "OperationResult");
        check(&format!("{locations}/operationstatuses/{operation}"), "OperationStatus");
        check("/", "ResourceNotFound");
    }
}
