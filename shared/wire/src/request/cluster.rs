//! Creating and scaling clusters (docs/contract.md, "Clusters").

use super::account::PasswordInput;
use super::environment::{self, SecretVariableInput};
use super::mounts::{self, MountsRequest};
use super::secret::SecretInput;
use super::{account, container, extensions, scale};
use crate::read::{self, Fields};
use crate::{FileServerId, ImageReference, Violations, rules};
use model::{
    Cluster, ClusterExtensions, ClusterSpec, EnvironmentVariable, PerformanceCounters,
    ScaleSettings, SetupTask, Uid, UserAccount, VmPriority,
};

const VM_PRIORITY: [(&str, VmPriority); 2] =
    [("dedicated", VmPriority::Dedicated), ("lowpriority", VmPriority::LowPriority)];

/// `ClusterCreateParameters` of the contract: validated, with all defaults filled in.
#[expect(missing_docs, reason = "the fields are those of the contract")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterRequest {
    pub vm_size: String,
    pub vm_priority: VmPriority,
    pub scale: ScaleSettings,
    pub image: ImageReference,
    pub user_account: UserAccount,
    pub administrator_password: Option<PasswordInput>,
    pub setup_task: Option<SetupTaskRequest>,
    pub mounts: Option<MountsRequest>,
    pub performance_counters: Option<PerformanceCounters<SecretInput>>,
    pub subnet_id: Option<String>,
    pub extensions: ClusterExtensions,
}

/// `ClusterUpdateParameters` of the contract, and our extensions. Each present field replaces that of
/// the cluster as a whole. At least one is present.
#[expect(missing_docs, reason = "the fields are those of the contract")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterUpdate {
    pub scale: Option<ScaleSettings>,
    pub extensions: Option<ClusterExtensions>,
}

/// `nodeSetup.setupTask`.
#[expect(missing_docs, reason = "the fields are those of the contract")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetupTaskRequest {
    pub command_line: String,
    pub environment: Vec<EnvironmentVariable>,
    pub secrets: Vec<SecretVariableInput>,
    pub std_out_err_path_prefix: String,
}

/// Parses `ClusterCreateParameters`.
///
/// # Errors
/// All violations of the body.
pub fn parse_cluster_create(body: &[u8]) -> Result<ClusterRequest, Violations> {
    read::body(body, cluster)
}

/// Parses `ClusterUpdateParameters`.
///
/// # Errors
/// All violations of the body.
pub fn parse_cluster_update(body: &[u8]) -> Result<ClusterUpdate, Violations> {
    read::body(body, cluster_update)
}

pub(crate) fn cluster_update(body: &Fields<'_>) -> Option<ClusterUpdate> {
    let properties = body.required("properties")?.object()?;
    if properties.some_of(&["scaleSettings", "extensions"]).is_empty() {
        properties.invalid("must have scaleSettings or extensions");
    }
    let scale = properties.optional("scaleSettings").and_then(|place| scale::of_update(&place));
    let extensions =
        properties.optional("extensions").and_then(|place| extensions::of_cluster(&place));
    Some(ClusterUpdate { scale, extensions })
}

pub(crate) fn cluster(body: &Fields<'_>) -> Option<ClusterRequest> {
    let properties = &body.required("properties")?.object()?;
    let vm_size = properties.required("vmSize").and_then(|place| rules::cluster_vm_size(&place));
    let vm_priority = match properties.optional("vmPriority") {
        Some(place) => rules::one_of(&place, &VM_PRIORITY),
        None => Some(VmPriority::default()),
    };
    let scale = scale::of_new_cluster(properties);
    let image = image(properties);
    let user_account = account::user_account(properties);
    let setup = properties.optional("nodeSetup").and_then(|place| node_setup(&place.object()?));
    let setup = setup.unwrap_or_default();
    let subnet = properties.optional("subnet").and_then(|place| rules::resource_id(&place));
    let extensions =
        properties.optional("extensions").and_then(|place| extensions::of_cluster(&place));
    let (user_account, administrator_password) = user_account?;
    Some(ClusterRequest {
        vm_size: vm_size?,
        vm_priority: vm_priority?,
        scale: scale?,
        image: image?,
        user_account,
        administrator_password,
        setup_task: setup.task,
        mounts: setup.mounts,
        performance_counters: setup.performance_counters,
        subnet_id: subnet.map(|subnet| subnet.id),
        extensions: extensions.unwrap_or_default(),
    })
}

#[derive(Default)]
struct NodeSetup {
    task: Option<SetupTaskRequest>,
    mounts: Option<MountsRequest>,
    performance_counters: Option<PerformanceCounters<SecretInput>>,
}

fn node_setup(setup: &Fields<'_>) -> Option<NodeSetup> {
    let task = setup.optional("setupTask").and_then(|place| setup_task(&place.object()?));
    let mounts = mounts::mount_volumes(setup);
    let performance_counters = container::performance_counters(setup);
    Some(NodeSetup { task, mounts, performance_counters })
}

fn setup_task(task: &Fields<'_>) -> Option<SetupTaskRequest> {
    let command_line = task.required("commandLine").and_then(|place| rules::command_line(&place));
    let environment = environment::environment(task);
    let prefix = task.required("stdOutErrPathPrefix").and_then(|place| rules::path_prefix(&place));
    Some(SetupTaskRequest {
        command_line: command_line?,
        environment: environment.variables.unwrap_or_default(),
        secrets: environment.secrets.unwrap_or_default(),
        std_out_err_path_prefix: prefix?,
    })
}

fn image(properties: &Fields<'_>) -> Option<ImageReference> {
    let Some(place) = properties.optional("virtualMachineConfiguration") else {
        return Some(ImageReference::default());
    };
    let Some(place) = place.object()?.optional("imageReference") else {
        return Some(ImageReference::default());
    };
    let image = place.object()?;
    let required = |name| image.required(name).and_then(|place| rules::non_empty(&place));
    let optional = |name| image.optional(name).and_then(|place| rules::non_empty(&place));
    let (publisher, offer, sku) = (required("publisher"), required("offer"), required("sku"));
    let version = optional("version").unwrap_or_else(|| ImageReference::LATEST.to_owned());
    let virtual_machine_image_id = optional("virtualMachineImageId");
    Some(ImageReference {
        publisher: publisher?,
        offer: offer?,
        sku: sku?,
        version,
        virtual_machine_image_id,
    })
}

impl ClusterRequest {
    /// The file servers that must be read before [`Self::into_spec`].
    pub fn file_servers(&self) -> impl Iterator<Item = &FileServerId> {
        self.mounts.iter().flat_map(|mounts| &mounts.file_servers).map(|mount| &mount.server)
    }

    /// The stored form: secrets encrypted, file servers resolved.
    ///
    /// `seal` encrypts a secret, `administrator_password_hash` is that of the password, `resolve` returns the uid
    /// of a file server. The suffix is [`crate::ids::setup_output_path_suffix`]; it is used only with a set-up task.
    ///
    /// # Errors
    /// `FileServerNotFound` for each file server that `resolve` does not find.
    pub fn into_spec(
        self,
        mut seal: impl FnMut(&str) -> String,
        administrator_password_hash: Option<String>,
        resolve: impl Fn(&FileServerId) -> Option<Uid>,
        std_out_err_path_suffix: String,
    ) -> Result<(ClusterSpec, ScaleSettings), Violations> {
        let mounts = self.mounts.map(|mounts| mounts.resolved(&mut seal, &resolve)).transpose()?;
        let performance_counters = self
            .performance_counters
            .map(|counters| counters.map_key(|key| key.into_stored(&mut seal)));
        let setup_task = self.setup_task.map(|task| SetupTask {
            command_line: task.command_line,
            environment: task.environment,
            secrets: environment::stored(task.secrets, &mut seal),
            std_out_err_path_prefix: task.std_out_err_path_prefix,
            std_out_err_path_suffix,
        });
        let spec = ClusterSpec {
            vm_size: self.vm_size,
            vm_priority: self.vm_priority,
            image: self.image.to_stored(),
            user_account: self.user_account,
            administrator_password_hash,
            setup_task,
            mounts,
            performance_counters,
            subnet_id: self.subnet_id,
            extensions: self.extensions,
        };
        Ok((spec, self.scale))
    }

    /// Whether the cluster already is as requested, so that a repeated request changes nothing. Passwords
    /// and values of secrets cannot be compared; secrets are compared by name. Scale and extensions are
    /// compared with the present ones, which an update may have changed.
    pub fn is_same_as(&self, existing: &Cluster) -> bool {
        // Destructured, so that a new field cannot be forgotten.
        let Self {
            vm_size,
            vm_priority,
            scale,
            image,
            user_account,
            administrator_password: _,
            setup_task,
            mounts,
            performance_counters,
            subnet_id,
            extensions,
        } = self;
        let spec = &existing.spec;
        // A cluster that mounts a file server gets its subnet.
        let subnet_was_given = subnet_id.is_some() || self.file_servers().next().is_none();
        vm_size.eq_ignore_ascii_case(&spec.vm_size)
            && *vm_priority == spec.vm_priority
            && *scale == existing.scale
            && *image == ImageReference::from_stored(&spec.image)
            && *user_account == spec.user_account
            && same_setup_task(setup_task.as_ref(), spec.setup_task.as_ref())
            && mounts::same_mounts(mounts.as_ref(), spec.mounts.as_ref())
            && container::same_counters(
                performance_counters.as_ref(),
                spec.performance_counters.as_ref(),
            )
            && (!subnet_was_given || *subnet_id == spec.subnet_id)
            && *extensions == spec.extensions
    }
}

fn same_setup_task(requested: Option<&SetupTaskRequest>, stored: Option<&SetupTask>) -> bool {
    let (requested, stored) = match (requested, stored) {
        (None, None) => return true,
        (Some(requested), Some(stored)) => (requested, stored),
        (Some(_), None) | (None, Some(_)) => return false,
    };
    requested.command_line == stored.command_line
        && requested.environment == stored.environment
        && environment::same_secrets(&requested.secrets, &stored.secrets)
        && requested.std_out_err_path_prefix == stored.std_out_err_path_prefix
}
