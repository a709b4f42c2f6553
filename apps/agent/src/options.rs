//! The options of an agent. The only module that reads the process environment.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use processes::keeper::KEEPER_VARIABLE;

use crate::host::PASSED_ON;

/// The arguments of `batchai agent`; the token of the node or of the launch is in `BATCHAI_NODE_TOKEN`.
pub const USAGE: &str = "(--endpoint URL | --endpoint-file FILE) --workspace UID \
    --cluster-name NAME --cluster-uid UID (--node ID | --launch ID) --instance ID --address IP --root DIRECTORY \
    [--unwanted-after SECONDS] [--disk-patience SECONDS]";

/// Default of [`AgentOptions::unwanted_after`]. Longer than a control plane takes to restart or to fail over. An
/// eighth of it is longer than the agent waits between two tries, so that only pauses of the agent do not count.
pub const UNWANTED_AFTER: Duration = Duration::from_secs(60);

/// Default of [`AgentOptions::disk_patience`]. Less than the control plane grants a job beyond its wall-clock time.
pub const DISK_PATIENCE: Duration = Duration::from_secs(30);

/// Where the control plane is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EndpointSource {
    /// A base URL that does not change.
    Url(String),
    /// A file with the base URL on one line. It is read again after every failure, because a local control plane may
    /// be restarted on another port.
    File(PathBuf),
}

/// The node that the agent is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NodeName {
    /// The node with this id.
    Known(String),
    /// One of this launch: the response to the sign-in names it.
    BySignIn {
        /// Id of the launch.
        launch: String,
    },
}

/// Everything that an agent needs to start.
#[derive(Clone)]
pub struct AgentOptions {
    pub endpoint: EndpointSource,
    pub workspace_uid: String,
    pub cluster_name: String,
    pub cluster_uid: String,
    pub node: NodeName,
    /// The machine: EC2 instance id, or the local provider's own id.
    pub instance: String,
    /// Address at which the other nodes of a job reach this one.
    pub address: String,
    /// The bearer token of the node, or of the launch for signing in; never logged, never passed on.
    pub token: String,
    /// The analogue of `/mnt/batch/tasks/shared/LS_root`.
    pub root: PathBuf,
    /// Process id of the keeper that started this agent, if one did.
    pub keeper: Option<i32>,
    /// How long every response must be `NodeNotFound` before the node leaves.
    pub unwanted_after: Duration,
    /// How long a disk that is full or fails is tried again before the node has failed.
    pub disk_patience: Duration,
    /// What jobs inherit from the agent's own environment: `PATH`, `HOME` and the like.
    pub inherited: Vec<(String, String)>,
}

#[derive(Debug, thiserror::Error)]
pub enum OptionsError {
    #[error("{0} is not an argument of the agent")]
    Unknown(String),
    #[error("{0} needs a value")]
    NoValue(String),
    #[error("{0} is missing")]
    Missing(&'static str),
    #[error("{name} does not take '{value}'")]
    Invalid { name: &'static str, value: String },
}

impl AgentOptions {
    /// Reads `--name value` pairs and the token's variable. By hand, because a node that starts in a
    /// millisecond should not spend two on a command-line parser.
    pub fn from_arguments_and_environment(
        arguments: impl IntoIterator<Item = OsString>,
    ) -> Result<Self, OptionsError> {
        Self::parse(arguments, &|name| from_environment(name))
    }

    fn parse(
        arguments: impl IntoIterator<Item = OsString>,
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, OptionsError> {
        let mut given = Given::read(arguments)?;
        let endpoint = match (given.take("--endpoint"), given.take("--endpoint-file")) {
            (Some(url), None) => EndpointSource::Url(url),
            (None, Some(file)) => EndpointSource::File(file.into()),
            _ => return Err(OptionsError::Missing("one of --endpoint and --endpoint-file")),
        };
        let node = match (given.take("--node"), given.take("--launch")) {
            (Some(id), None) if !id.is_empty() => NodeName::Known(id),
            (None, Some(launch)) if !launch.is_empty() => NodeName::BySignIn { launch },
            _ => return Err(OptionsError::Missing("one of --node and --launch")),
        };
        let unwanted_after = given.seconds("--unwanted-after")?.unwrap_or(UNWANTED_AFTER);
        let disk_patience = given.seconds("--disk-patience")?.unwrap_or(DISK_PATIENCE);
        let options = Self {
            endpoint,
            workspace_uid: given.need("--workspace")?,
            cluster_name: given.need("--cluster-name")?,
            cluster_uid: given.need("--cluster-uid")?,
            node,
            instance: given.need("--instance")?,
            address: given.need("--address")?,
            token: variable(protocol::TOKEN_VARIABLE)
                .ok_or(OptionsError::Missing("the variable BATCHAI_NODE_TOKEN"))?,
            root: given.need("--root")?.into(),
            keeper: variable(KEEPER_VARIABLE).and_then(|pid| pid.parse().ok()),
            unwanted_after,
            disk_patience,
            inherited: PASSED_ON
                .iter()
                .filter_map(|name| Some(((*name).to_owned(), variable(name)?)))
                .collect(),
        };
        match given.0.pop() {
            Some((name, _)) => Err(OptionsError::Unknown(name)),
            None => Ok(options),
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the edge at which the environment is read")]
fn from_environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// The pairs that are not used yet.
struct Given(Vec<(String, String)>);

impl Given {
    fn read(arguments: impl IntoIterator<Item = OsString>) -> Result<Self, OptionsError> {
        let mut pairs = Vec::new();
        let mut arguments = arguments.into_iter().map(|word| word.to_string_lossy().into_owned());
        while let Some(name) = arguments.next() {
            if !name.starts_with("--") {
                return Err(OptionsError::Unknown(name));
            }
            match arguments.next() {
                Some(value) => pairs.push((name, value)),
                None => return Err(OptionsError::NoValue(name)),
            }
        }
        Ok(Self(pairs))
    }

    fn take(&mut self, name: &str) -> Option<String> {
        let position = self.0.iter().position(|(given, _)| given == name)?;
        Some(self.0.remove(position).1)
    }

    fn seconds(&mut self, name: &'static str) -> Result<Option<Duration>, OptionsError> {
        let Some(value) = self.take(name) else { return Ok(None) };
        match value.parse() {
            Ok(seconds) => Ok(Some(Duration::from_secs(seconds))),
            Err(_) => Err(OptionsError::Invalid { name, value }),
        }
    }

    fn need(&mut self, name: &'static str) -> Result<String, OptionsError> {
        self.take(name).filter(|value| !value.is_empty()).ok_or(OptionsError::Missing(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<AgentOptions, String> {
        let variable = |name: &str| match name {
            "BATCHAI_NODE_TOKEN" => Some("secret".to_owned()),
            "PATH" => Some("/bin".to_owned()),
            _ => None,
        };
        AgentOptions::parse(line.split_whitespace().map(OsString::from), &variable)
            .map_err(|error| error.to_string())
    }

    const REST: &str = "--workspace w --cluster-name c --cluster-uid u --node n --instance i \
        --address 127.0.1.1 --root /r";

    #[test]
    fn the_provider_s_command_line_is_understood() {
        let options = parse(&format!("--endpoint-file /e {REST}")).unwrap();
        assert_eq!(options.endpoint, EndpointSource::File("/e".into()));
        assert_eq!(options.root, PathBuf::from("/r"));
        assert_eq!(options.token, "secret");
        assert_eq!(options.node, NodeName::Known("n".into()));
        let anonymous = format!("--endpoint u {}", REST.replace("--node n", "--launch l"));
        let launch = "l".to_owned();
        assert_eq!(parse(&anonymous).unwrap().node, NodeName::BySignIn { launch });
        assert_eq!(options.unwanted_after, UNWANTED_AFTER);
        assert_eq!(options.inherited, [("PATH".to_owned(), "/bin".to_owned())]);
    }

    #[test]
    fn what_is_wrong_is_named() {
        let error = |line: &str| parse(line).err().unwrap();
        assert_eq!(error("--endpoint http://x --node n --root /r"), "--workspace is missing");
        assert_eq!(error(REST), "one of --endpoint and --endpoint-file is missing");
        assert_eq!(
            error(&format!("--endpoint u {REST} --frob 1")),
            "--frob is not an argument of the agent"
        );
        let missing = "one of --node and --launch is missing";
        assert_eq!(error(&format!("--endpoint u {REST} --launch l")), missing);
        assert_eq!(error(&format!("--endpoint u {}", REST.replace("--node n", ""))), missing);
        assert_eq!(error("--endpoint"), "--endpoint needs a value");
        let odd = format!("--endpoint u {REST} --unwanted-after soon");
        assert_eq!(error(&odd), "--unwanted-after does not take 'soon'");
    }
}
