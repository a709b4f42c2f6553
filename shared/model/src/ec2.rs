//! What a cluster's sizes, image and subnet mean on EC2: instance types, images of AWS, subnet ids.
//!
//! The table of sizes is documented in `docs/vm-sizes.md`, and a test compares the two.

use crate::{ClusterSpec, ResourceError, VmPriority, limits};

/// The sizes of Azure that have an instance type, without `STANDARD_` and in capitals. A type has at least
/// the cores and GPUs of its size.
pub const SIZES: [(&str, &str); 57] = [
    ("D1", "m6i.large"),
    ("D2", "m6i.large"),
    ("D3", "m6i.xlarge"),
    ("D4", "m6i.2xlarge"),
    ("D11", "r6i.large"),
    ("D12", "r6i.xlarge"),
    ("D13", "r6i.2xlarge"),
    ("D14", "r6i.4xlarge"),
    ("D1_V2", "m6i.large"),
    ("D2_V2", "m6i.large"),
    ("D3_V2", "m6i.xlarge"),
    ("D4_V2", "m6i.2xlarge"),
    ("D5_V2", "m6i.4xlarge"),
    ("D11_V2", "r6i.large"),
    ("D12_V2", "r6i.xlarge"),
    ("D13_V2", "r6i.2xlarge"),
    ("D14_V2", "r6i.4xlarge"),
    ("D15_V2", "r6i.8xlarge"),
    ("D2_V3", "m6i.large"),
    ("D4_V3", "m6i.xlarge"),
    ("D8_V3", "m6i.2xlarge"),
    ("D16_V3", "m6i.4xlarge"),
    ("D32_V3", "m6i.8xlarge"),
    ("D64_V3", "m6i.16xlarge"),
    ("F1", "c6i.large"),
    ("F2", "c6i.large"),
    ("F4", "c6i.xlarge"),
    ("F8", "c6i.2xlarge"),
    ("F16", "c6i.4xlarge"),
    ("H8", "r6i.2xlarge"),
    ("H8M", "r6i.4xlarge"),
    ("H16", "r6i.4xlarge"),
    ("H16R", "r6i.4xlarge"),
    ("H16M", "r6i.8xlarge"),
    ("H16MR", "r6i.8xlarge"),
    ("NC6", "g4dn.2xlarge"),
    ("NC12", "g4dn.12xlarge"),
    ("NC24", "g4dn.12xlarge"),
    ("NC24R", "g4dn.12xlarge"),
    ("NC6S_V2", "g5.2xlarge"),
    ("NC12S_V2", "g5.12xlarge"),
    ("NC24S_V2", "g5.12xlarge"),
    ("NC24RS_V2", "g5.12xlarge"),
    ("NC6S_V3", "g5.2xlarge"),
    ("NC12S_V3", "g5.12xlarge"),
    ("NC24S_V3", "g5.12xlarge"),
    ("NC24RS_V3", "g5.12xlarge"),
    ("ND6S", "g5.2xlarge"),
    ("ND12S", "g5.12xlarge"),
    ("ND24S", "g5.12xlarge"),
    ("ND24RS", "g5.12xlarge"),
    ("NV6", "g4dn.2xlarge"),
    ("NV12", "g4dn.12xlarge"),
    ("NV24", "g4dn.12xlarge"),
    ("NV6S_V2", "g4dn.2xlarge"),
    ("NV12S_V2", "g4dn.12xlarge"),
    ("NV24S_V2", "g4dn.12xlarge"),
];

/// Images of AWS for types with GPUs of NVIDIA, by architecture: drivers, CUDA and Docker on Ubuntu.
const GPU_IMAGES: [&str; 2] = [
    "/aws/service/deeplearning/ami/x86_64/base-oss-nvidia-driver-gpu-ubuntu-22.04/latest/ami-id",
    "/aws/service/deeplearning/ami/arm64/base-oss-nvidia-driver-gpu-ubuntu-22.04/latest/ami-id",
];

/// Images of Canonical for other types, by architecture.
const IMAGES: [&str; 2] = [
    "/aws/service/canonical/ubuntu/server/22.04/stable/current/amd64/hvm/ebs-gp2/ami-id",
    "/aws/service/canonical/ubuntu/server/22.04/stable/current/arm64/hvm/ebs-gp2/ami-id",
];

/// The instance type of a VM size: that of the table, or the size itself if it has the form of an
/// instance type. `None` for another size of Azure.
pub fn instance_type(vm_size: &str) -> Option<String> {
    let name = vm_size.to_ascii_uppercase();
    let Some(size) = name.strip_prefix("STANDARD_") else {
        let name = vm_size.to_ascii_lowercase();
        return Type::parse(&name).is_some().then_some(name);
    };
    of_azure(size).map(str::to_owned)
}

/// The instance type in the table. Sizes with fast disks are the same otherwise: `DS2_V2`, `D2S_V3`, `F2S`.
pub(crate) fn of_azure(size: &str) -> Option<&'static str> {
    let of = |name: &str| SIZES.iter().find(|(size, _)| *size == name).map(|(_, it)| *it);
    of(size).or_else(|| of(&size.replacen('S', "", 1)))
}

/// Whether a name in lower case is that of an instance type, as far as its form tells: types come every year.
pub(crate) fn is_type(name: &str) -> bool {
    const SIZES: [&str; 7] = ["nano", "micro", "small", "medium", "large", "xlarge", "metal"];
    let is_number =
        |text: &str| (1..=3).contains(&text.len()) && text.bytes().all(|it| it.is_ascii_digit());
    let size = name.split_once('.').map_or("", |(_, size)| size);
    let multiple = size.strip_suffix("xlarge");
    let metal = size.strip_prefix("metal-").and_then(|it| it.strip_suffix("xl"));
    let is_size = SIZES.contains(&size) || multiple.or(metal).is_some_and(is_number);
    is_size && Type::parse(name).is_some()
}

/// The parts of the name of an instance type, such as `g4dn.xlarge`.
struct Type<'a> {
    /// `g`
    series: &'a str,
    /// `dn`
    attributes: &'a str,
}

impl<'a> Type<'a> {
    fn parse(name: &'a str) -> Option<Self> {
        let (family, size) = name.split_once('.')?;
        let plain = |text: &str| {
            !text.is_empty() && text.bytes().all(|it| it.is_ascii_alphanumeric() || it == b'-')
        };
        let generation = family.find(|it: char| it.is_ascii_digit())?;
        let (series, rest) = family.split_at(generation);
        let attributes = rest.trim_start_matches(|it: char| it.is_ascii_digit());
        let is_valid = plain(family) && plain(size) && !series.is_empty();
        (is_valid && name.len() <= limits::MAX_VM_SIZE_BYTES).then_some(Self { series, attributes })
    }

    /// Processors of AWS or NVIDIA: the family has a `g` behind its generation. `a1` came first.
    fn is_arm(&self) -> bool {
        self.attributes.contains('g') || self.series == "a"
    }

    /// The GPUs of `g4ad` are from AMD.
    fn has_nvidia_gpus(&self) -> bool {
        matches!(self.series, "g" | "p") && !self.attributes.starts_with("ad")
    }
}

/// The image for an instance type, as EC2 Fleet takes it: the newest one that AWS publishes.
pub fn public_image(instance_type: &str) -> String {
    let parsed = Type::parse(instance_type);
    let images = match parsed.as_ref().is_some_and(Type::has_nvidia_gpus) {
        true => GPU_IMAGES,
        false => IMAGES,
    };
    let image = images[usize::from(parsed.as_ref().is_some_and(Type::is_arm))];
    format!("resolve:ssm:{image}")
}

/// The id of the image that a cluster names with `virtualMachineImageId`; `None` for the published one.
/// All references to Canonical's Ubuntu and to the Data Science Virtual Machine mean that.
///
/// # Errors
/// When the reference means nothing on EC2.
pub fn image(spec: &ClusterSpec) -> Result<Option<String>, ResourceError> {
    let text = |name: &str| spec.image.get(name).and_then(serde_json::Value::as_str);
    if let Some(id) = text("virtualMachineImageId") {
        return match is_id(id, "ami-") {
            true => Ok(Some(id.to_owned())),
            false => Err(ResourceError::new(
                "ImageNotProvided",
                format!(
                    "virtualMachineImageId must be the id of an AMI, such as ami-0123456789abcdef0, not {id}"
                ),
            )),
        };
    }
    let publisher = text("publisher").unwrap_or("Canonical").to_ascii_lowercase();
    match publisher.as_str() {
        "canonical" | "microsoft-ads" | "microsoft-dsvm" => Ok(None),
        _ => Err(ResourceError::new(
            "ImageNotProvided",
            format!(
                "There is no image of the publisher {publisher} on EC2: use Canonical or microsoft-ads, or an AMI as virtualMachineImageId"
            ),
        )),
    }
}

/// The subnet that a cluster names; `None` for those of the stack.
///
/// # Errors
/// When it is not a subnet of EC2.
pub fn subnet(spec: &ClusterSpec) -> Result<Option<String>, ResourceError> {
    match &spec.subnet_id {
        None => Ok(None),
        Some(id) if is_id(id, "subnet-") => Ok(Some(id.clone())),
        // The service itself fills in the subnet of a file server that the cluster mounts.
        Some(id) if id.contains("/fileserverrg-") => Ok(None),
        Some(id) => Err(ResourceError::new(
            "SubnetNotProvided",
            format!(
                "subnet.id must be the id of an EC2 subnet in the VPC of the stack, such as subnet-0123456789abcdef0, not {id}"
            ),
        )),
    }
}

/// The capacity reservation that a cluster names.
///
/// # Errors
/// When the cluster has spot instances, which use none.
pub fn capacity_reservation(spec: &ClusterSpec) -> Result<Option<String>, ResourceError> {
    match (&spec.extensions.capacity_reservation, spec.vm_priority) {
        (Some(_), VmPriority::LowPriority) => Err(ResourceError::new(
            "CapacityReservationNotUsable",
            "extensions.capacityReservation needs a cluster with vmPriority dedicated: spot instances use no capacity reservation",
        )),
        (reservation, VmPriority::LowPriority | VmPriority::Dedicated) => Ok(reservation.clone()),
    }
}

fn is_id(text: &str, prefix: &str) -> bool {
    let is_number =
        |it: &str| (8..=17).contains(&it.len()) && it.bytes().all(|b| b.is_ascii_hexdigit());
    text.strip_prefix(prefix).is_some_and(is_number)
}

/// Checks that EC2 can provide nodes for a cluster.
///
/// # Errors
/// What the user has to change.
pub fn check(spec: &ClusterSpec) -> Result<(), ResourceError> {
    let alternates = spec.extensions.alternate_vm_sizes.iter().flatten();
    if let Some(size) =
        std::iter::once(&spec.vm_size).chain(alternates).find(|size| instance_type(size).is_none())
    {
        return Err(ResourceError::new(
            "VmSizeNotProvided",
            format!(
                "There is no EC2 instance type for the VM size {size}: use an instance type such as g5.xlarge, or a size of the table in docs/vm-sizes.md"
            ),
        ));
    }
    image(spec)?;
    subnet(spec)?;
    capacity_reservation(spec)?;
    Ok(())
}

#[cfg(test)]
mod tests;
