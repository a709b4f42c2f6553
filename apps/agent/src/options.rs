//! The options of an agent. The only module that reads the process environment.

use std::ffi::OsString;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use processes::keeper::KEEPER_VARIABLE;

use crate::ec2::METADATA;
use crate::host::PASSED_ON;
use crate::runtime::ContainerOptions;

/// The arguments of `batchai agent`. With `--region` the agent is that of an EC2 instance; without, the token of
/// the node or of the launch is in `BATCHAI_NODE_TOKEN`.
pub const USAGE: &str = "(--endpoint URL | --endpoint-file FILE) --instance ID --address IP --root DIRECTORY \
    (--region REGION | --workspace UID --cluster-name NAME --cluster-uid UID (--node ID | --launch ID)) \
    [--unwanted-after SECONDS] [--disk-patience SECONDS] [--driver-patience SECONDS] [--devices DIRECTORY] \
    [--container-engine COMMAND] [--container-options OPTIONS] \
    [--login-port PORT] [--gpus IDS] [--gpu-check SECONDS] [--kernel-log FILE]";

/// Default of [`AgentOptions::unwanted_after`]. Longer than a control plane takes to restart or to fail over. An
/// eighth of it is longer than the agent waits between two tries, so that only pauses of the agent do not count.
pub const UNWANTED_AFTER: Duration = Duration::from_secs(60);

/// Default of [`AgentOptions::disk_patience`]. Less than the control plane grants a job beyond its wall-clock time.
pub const DISK_PATIENCE: Duration = Duration::from_secs(30);

/// Default of [`DriverCheck::patience`]. An image loads its drivers while it boots.
const DRIVER_PATIENCE: Duration = Duration::from_secs(60);

/// Default of [`DriverCheck::devices`].
const DEVICES: &str = "/sys/bus/pci/devices";

/// Default of [`DriverCheck::kernel_log`].
const KERNEL_LOG: &str = "/dev/kmsg";

/// Default of [`AgentOptions::gpu_check`]. A check takes the driver some tenths of a second.
const GPU_CHECK: Duration = Duration::from_secs(60);

/// The variable that the AWS SDKs have for another metadata service.
const METADATA_VARIABLE: &str = "AWS_EC2_METADATA_SERVICE_ENDPOINT";

/// Where the control plane is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EndpointSource {
    /// A base URL that does not change.
    Url(String),
    /// A file with the base URL on one line. It is read again after every failure, because a local control plane may
    /// be restarted on another port.
    File(PathBuf),
}

/// A cluster, as the paths of requests name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterName {
    pub workspace_uid: String,
    pub name: String,
    pub uid: String,
}

/// Which node the agent is of, and how it proves that.
#[derive(Clone)]
pub enum Identity {
    /// This node. Requests have the bearer token of the node; never logged, never passed on.
    Node { cluster: ClusterName, node: String, token: String },
    /// A node of this launch: the response to the sign-in names it. The sign-in has the bearer token of the launch.
    Launch { cluster: ClusterName, launch: String, token: String },
    /// The launch is in the tags of this EC2 instance. Requests are signed with its role.
    Instance {
        region: String,
        /// Base URL of the instance metadata service.
        metadata: String,
        drivers: DriverCheck,
    },
}

impl Identity {
    /// Only where the image is chosen for its GPUs: on a machine of the user, jobs decide what they need.
    pub fn driver_check(&self) -> Option<&DriverCheck> {
        match self {
            Self::Node { .. } | Self::Launch { .. } => None,
            Self::Instance { drivers, .. } => Some(drivers),
        }
    }
}

/// The check of GPU drivers, before a node is ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DriverCheck {
    /// The PCI devices of the machine, as in sysfs.
    pub devices: PathBuf,
    /// How long drivers may take to load.
    pub patience: Duration,
    /// Where the kernel reports errors of GPUs.
    pub kernel_log: PathBuf,
}

/// Everything that an agent needs to start.
#[derive(Clone)]
pub struct AgentOptions {
    pub endpoint: EndpointSource,
    pub identity: Identity,
    /// The machine: EC2 instance id, or the local provider's own id.
    pub instance: String,
    /// Address at which the other nodes of a job reach this one.
    pub address: String,
    /// The analogue of `/mnt/batch/tasks/shared/LS_root`.
    pub root: PathBuf,
    /// Process id of the keeper that started this agent, if one did.
    pub keeper: Option<i32>,
    /// How long every response must be `NodeNotFound` before the node leaves.
    pub unwanted_after: Duration,
    /// How long a disk that is full or fails is tried again before the node has failed.
    pub disk_patience: Duration,
    /// How jobs get containers.
    pub containers: ContainerOptions,
    /// The GPUs of this node, as `CUDA_VISIBLE_DEVICES` names them; all of the machine without this option.
    pub gpu_share: Option<Vec<String>>,
    /// How often the GPUs are checked.
    pub gpu_check: Duration,
    /// Where administrators log in with SSH; 0 for any free port.
    pub login_port: u16,
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
        let identity = match given.take("--region") {
            Some(region) => instance_identity(region, &mut given, variable)?,
            None => token_identity(&mut given, variable)?,
        };
        let unwanted_after = given.seconds("--unwanted-after")?.unwrap_or(UNWANTED_AFTER);
        let disk_patience = given.seconds("--disk-patience")?.unwrap_or(DISK_PATIENCE);
        let options = Self {
            endpoint,
            identity,
            instance: given.need("--instance")?,
            address: given.need("--address")?,
            root: given.need("--root")?.into(),
            keeper: variable(KEEPER_VARIABLE).and_then(|pid| pid.parse().ok()),
            unwanted_after,
            disk_patience,
            containers: containers(&mut given),
            gpu_share: given.take("--gpus").map(|ids| gpu_ids(&ids)),
            gpu_check: given.seconds("--gpu-check")?.unwrap_or(GPU_CHECK),
            login_port: given.number("--login-port")?.unwrap_or_default(),
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

/// Words are separated by blanks.
fn containers(given: &mut Given) -> ContainerOptions {
    let words = |text: String| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let mut containers = ContainerOptions::default();
    let engine = given.take("--container-engine").map(words);
    if let Some(engine) = engine.filter(|engine| !engine.is_empty()) {
        containers.engines = vec![engine];
    }
    containers.run = given.take("--container-options").map(words).unwrap_or_default();
    containers
}

/// Separated by commas; an empty text for none.
fn gpu_ids(text: &str) -> Vec<String> {
    text.split(',').filter(|id| !id.is_empty()).map(str::to_owned).collect()
}

fn instance_identity(
    region: String,
    given: &mut Given,
    variable: &dyn Fn(&str) -> Option<String>,
) -> Result<Identity, OptionsError> {
    let devices = given.take("--devices").unwrap_or_else(|| DEVICES.to_owned()).into();
    let patience = given.seconds("--driver-patience")?.unwrap_or(DRIVER_PATIENCE);
    let kernel_log = given.take("--kernel-log").unwrap_or_else(|| KERNEL_LOG.to_owned()).into();
    Ok(Identity::Instance {
        region,
        metadata: variable(METADATA_VARIABLE).unwrap_or_else(|| METADATA.to_owned()),
        drivers: DriverCheck { devices, patience, kernel_log },
    })
}

fn token_identity(
    given: &mut Given,
    variable: &dyn Fn(&str) -> Option<String>,
) -> Result<Identity, OptionsError> {
    let ids = (given.take("--node"), given.take("--launch"));
    let cluster = ClusterName {
        workspace_uid: given.need("--workspace")?,
        name: given.need("--cluster-name")?,
        uid: given.need("--cluster-uid")?,
    };
    let token = variable(protocol::TOKEN_VARIABLE)
        .ok_or(OptionsError::Missing("the variable BATCHAI_NODE_TOKEN"))?;
    match ids {
        (Some(node), None) if !node.is_empty() => Ok(Identity::Node { cluster, node, token }),
        (None, Some(launch)) if !launch.is_empty() => {
            Ok(Identity::Launch { cluster, launch, token })
        }
        _ => Err(OptionsError::Missing("one of --node and --launch")),
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
        Ok(self.number(name)?.map(Duration::from_secs))
    }

    fn number<T: FromStr>(&mut self, name: &'static str) -> Result<Option<T>, OptionsError> {
        let Some(value) = self.take(name) else { return Ok(None) };
        match value.parse() {
            Ok(number) => Ok(Some(number)),
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
        let Identity::Node { cluster, node, token } = &options.identity else { panic!("a node") };
        assert_eq!((node.as_str(), token.as_str()), ("n", "secret"));
        assert_eq!((cluster.workspace_uid.as_str(), cluster.name.as_str()), ("w", "c"));
        let anonymous = format!("--endpoint u {}", REST.replace("--node n", "--launch l"));
        let identity = parse(&anonymous).unwrap().identity;
        assert!(matches!(identity, Identity::Launch { launch, .. } if launch == "l"));
        assert_eq!(options.unwanted_after, UNWANTED_AFTER);
        assert_eq!(options.inherited, [("PATH".to_owned(), "/bin".to_owned())]);
    }

    #[test]
    fn a_container_engine_may_have_options() {
        let line = ["--endpoint", "u", "--node", "n", "--instance", "i", "--address", "a"];
        let rest = ["--workspace", "w", "--cluster-name", "c", "--cluster-uid", "u", "--root", "/"];
        let parse = |more: &[&str]| {
            let words = [&line[..], &rest, more].concat();
            let words = words.into_iter().map(OsString::from);
            AgentOptions::parse(words, &|_| Some("v".to_owned())).unwrap().containers
        };
        assert_eq!(parse(&[]), ContainerOptions::default());
        assert_eq!(parse(&["--container-engine", ""]), ContainerOptions::default());
        let own =
            parse(&["--container-engine", "podman --runtime x", "--container-options", "-a  b"]);
        assert_eq!(own.engines, [["podman", "--runtime", "x"]]);
        assert_eq!(own.run, ["-a", "b"]);
    }

    /// The arguments in `infra/user-data.sh`.
    #[test]
    fn the_command_line_of_user_data_is_understood() {
        let line = "--endpoint https://a --region r --instance i-1 --address 10.0.0.1 --root /r";
        let identity = parse(line).unwrap().identity;
        let Identity::Instance { region, metadata, drivers } = identity else { panic!("AWS") };
        assert_eq!((region.as_str(), metadata.as_str()), ("r", METADATA));
        assert_eq!(drivers.devices, PathBuf::from(DEVICES));
        let error = parse(&format!("{line} --node n")).err().unwrap();
        assert_eq!(error, "--node is not an argument of the agent");
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
