//! Creating and scaling clusters (section 3.3).

use super::environment::{self, PlainSecret};
use super::mounts::{self, MountsRequest};
use super::{account, scale};
use crate::read::{self, Fields};
use crate::{FileServerId, ImageReference, Violations, codes, rules};
use model::{
    Cluster, ClusterSpec, EnvironmentVariable, ScaleSettings, SetupTask, Uid, UserAccount,
    VmPriority,
};

const VM_PRIORITY: [(&str, VmPriority); 2] =
    [("dedicated", VmPriority::Dedicated), ("lowpriority", VmPriority::LowPriority)];

/// `ClusterCreateParameters` of the contract, with all rules kept and all defaults filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterRequest {
    pub vm_size: String,
    pub vm_priority: VmPriority,
    pub scale: ScaleSettings,
    pub image: ImageReference,
    pub user_account: UserAccount,
    pub setup_task: Option<SetupTaskRequest>,
    pub mounts: Option<MountsRequest>,
    pub subnet_id: Option<String>,
}

/// `nodeSetup.setupTask`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetupTaskRequest {
    pub command_line: String,
    pub environment: Vec<EnvironmentVariable>,
    pub secrets: Vec<PlainSecret>,
    pub std_out_err_path_prefix: String,
}

pub fn parse_cluster_create(body: &[u8]) -> Result<ClusterRequest, Violations> {
    read::body(body, |fields| cluster(&fields.required("properties")?.object()?))
}

/// The scale settings that replace the present ones.
pub fn parse_cluster_update(body: &[u8]) -> Result<ScaleSettings, Violations> {
    read::body(body, |fields| scale::of_update(&fields.required("properties")?.object()?))
}

fn cluster(properties: &Fields<'_>) -> Option<ClusterRequest> {
    let vm_size = properties.required("vmSize").and_then(|place| rules::vm_size(&place));
    let vm_priority = match properties.optional("vmPriority") {
        Some(place) => rules::one_of(&place, &VM_PRIORITY),
        None => Some(VmPriority::default()),
    };
    let scale = scale::of_new_cluster(properties);
    let image = image(properties);
    let user_account = account::user_account(properties);
    let setup = properties.optional("nodeSetup").and_then(|place| place.object());
    let (setup_task, mounts) = match &setup {
        Some(setup) => node_setup(setup),
        None => (None, None),
    };
    let subnet_id = properties.optional("subnet").and_then(|place| rules::resource_id(&place));
    Some(ClusterRequest {
        vm_size: vm_size?,
        vm_priority: vm_priority?,
        scale: scale?,
        image: image?,
        user_account: user_account?,
        setup_task,
        mounts,
        subnet_id,
    })
}

fn node_setup(setup: &Fields<'_>) -> (Option<SetupTaskRequest>, Option<MountsRequest>) {
    if let Some(place) = setup.optional("performanceCountersSettings") {
        place.refuse(
            codes::PERFORMANCE_COUNTERS_NOT_SUPPORTED,
            "is not supported: nodes cannot report to Azure Application Insights; leave it out",
        );
    }
    let task = setup.optional("setupTask").and_then(|place| setup_task(&place.object()?));
    (task, mounts::mount_volumes(setup))
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
    /// The file servers that have to be looked up before [`Self::into_spec`].
    pub fn file_servers(&self) -> impl Iterator<Item = &FileServerId> {
        self.mounts.iter().flat_map(|mounts| &mounts.file_servers).map(|mount| &mount.server)
    }

    /// What the service keeps: secrets sealed, file servers found.
    ///
    /// `seal` encrypts the value of a secret; `resolve` finds the uid of a file server, and each
    /// one that it does not find is a violation `FileServerNotFound`. The suffix is
    /// [`crate::ids::setup_output_path_suffix`]; it is used only with a setup task.
    pub fn into_spec(
        self,
        mut seal: impl FnMut(&str) -> String,
        resolve: impl Fn(&FileServerId) -> Option<Uid>,
        std_out_err_path_suffix: String,
    ) -> Result<(ClusterSpec, ScaleSettings), Violations> {
        let mounts = self.mounts.map(|mounts| mounts.resolved(&resolve)).transpose()?;
        let setup_task = self.setup_task.map(|task| SetupTask {
            command_line: task.command_line,
            environment: task.environment,
            secrets: environment::sealed(task.secrets, &mut seal),
            std_out_err_path_prefix: task.std_out_err_path_prefix,
            std_out_err_path_suffix,
        });
        let spec = ClusterSpec {
            vm_size: self.vm_size,
            vm_priority: self.vm_priority,
            image: self.image.to_stored(),
            user_account: self.user_account,
            setup_task,
            mounts,
            subnet_id: self.subnet_id,
        };
        Ok((spec, self.scale))
    }

    /// Whether this asks for what the cluster already is, so that creating it again changes
    /// nothing. Passwords and values of secrets cannot be compared; secrets count as the same by
    /// name. The scale is compared with the present one, which an update may have changed.
    pub fn is_same_as(&self, existing: &Cluster) -> bool {
        // Taken apart, so that a field that is added here cannot be forgotten.
        let Self {
            vm_size,
            vm_priority,
            scale,
            image,
            user_account,
            setup_task,
            mounts,
            subnet_id,
        } = self;
        let spec = &existing.spec;
        // A cluster that mounts a file server takes over its subnet.
        let subnet_was_given = subnet_id.is_some() || self.file_servers().next().is_none();
        vm_size.eq_ignore_ascii_case(&spec.vm_size)
            && *vm_priority == spec.vm_priority
            && *scale == existing.scale
            && *image == ImageReference::from_stored(&spec.image)
            && *user_account == spec.user_account
            && same_setup_task(setup_task.as_ref(), spec.setup_task.as_ref())
            && mounts::same_mounts(mounts.as_ref(), spec.mounts.as_ref())
            && (!subnet_was_given || *subnet_id == spec.subnet_id)
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
        && environment::same_names(&requested.secrets, &stored.secrets)
        && requested.std_out_err_path_prefix == stored.std_out_err_path_prefix
}
