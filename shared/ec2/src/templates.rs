//! The launch template of a launch. That of the stack serves most clusters. Overrides of a fleet have neither
//! security groups nor a capacity reservation, so each choice of them gets a template of its own: a copy of
//! that of the stack, whose name follows from the choice. A repeated launch names the same one.
//!
//! A copy is brought up to date before each launch. It is never deleted: there are as many as choices, and
//! they cost nothing.

use crate::errors::{CallError, answer, is_refusal, port};
use crate::{Ec2Machines, tags};
use aws_sdk_ec2::error::ProvideErrorMetadata;
use aws_sdk_ec2::types::{
    CapacityReservationTarget, FleetLaunchTemplateSpecificationRequest,
    LaunchTemplateBlockDeviceMapping, LaunchTemplateBlockDeviceMappingRequest,
    LaunchTemplateCapacityReservationSpecificationRequest as ReservationSpecification,
    LaunchTemplateEbsBlockDeviceRequest, LaunchTemplateIamInstanceProfileSpecificationRequest,
    LaunchTemplateInstanceMetadataOptions, LaunchTemplateInstanceMetadataOptionsRequest,
    LaunchTemplateTagSpecification, LaunchTemplateTagSpecificationRequest, LaunchTemplateVersion,
    RequestLaunchTemplateData, ResourceType, ResponseLaunchTemplateData, TagSpecification,
};
use control::ports::PortError;
use model::Placement;
use sha2::{Digest, Sha256};
use std::fmt::Write;

/// The version that a launch uses. A fleet resolves it, so a repeated request is equal after a deployment.
const LATEST: &str = "$Latest";

/// A launch template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Template {
    /// That of the stack: its id.
    OfStack(String),
    /// A copy for a choice of security groups and capacity reservation: its name.
    Copy(String),
}

/// Why a copy could not be brought up to date.
pub(crate) enum TemplateError {
    /// EC2 refused: code and message.
    Refused(String, String),
    /// The call may succeed when it is repeated.
    Failed(PortError),
}

impl Template {
    /// The template of a placement. `of_stack`: the id of the template of the stack.
    pub(crate) fn of(placement: &Placement, stack: &str, of_stack: &str) -> Self {
        let Placement { security_groups, capacity_reservation, .. } = placement;
        if security_groups.is_empty() && capacity_reservation.is_none() {
            return Self::OfStack(of_stack.to_owned());
        }
        let reservation = capacity_reservation.as_deref().unwrap_or_default();
        let choice = format!("{of_stack} {} {reservation}", security_groups.join(","));
        let mut name = format!("{stack}-nodes-");
        for byte in &Sha256::digest(choice)[..16] {
            write!(name, "{byte:02x}").expect("a text grows");
        }
        Self::Copy(name)
    }

    /// The template in a request for a fleet.
    pub(crate) fn specification(&self) -> FleetLaunchTemplateSpecificationRequest {
        let specification = FleetLaunchTemplateSpecificationRequest::builder().version(LATEST);
        match self {
            Self::OfStack(id) => specification.launch_template_id(id).build(),
            Self::Copy(name) => specification.launch_template_name(name).build(),
        }
    }
}

impl Ec2Machines {
    /// Creates the copy of the template of the stack, or a new version of it if that of the stack has changed.
    pub(crate) async fn update_template(
        &self,
        template: &Template,
        of_stack: &str,
        placement: &Placement,
    ) -> Result<(), TemplateError> {
        let Template::Copy(name) = template else { return Ok(()) };
        let stack = Template::OfStack(of_stack.to_owned());
        let Some(original) = self.latest_version(&stack).await? else {
            let message = format!("EC2 does not know the launch template {of_stack}");
            return Err(TemplateError::Failed(PortError::other(message)));
        };
        let number = original.version_number().unwrap_or_default();
        let source = format!("copy of {of_stack} version {number}");
        let copy = self.latest_version(template).await?;
        if copy.as_ref().and_then(|it| it.version_description()) == Some(&source) {
            return Ok(());
        }
        let empty = || ResponseLaunchTemplateData::builder().build();
        let data = data(original.launch_template_data.unwrap_or_else(empty), placement);
        match copy {
            Some(_) => self.create_version(name, &source, data).await,
            None => self.create_copy(name, &source, data).await,
        }
    }

    /// The latest version of a template, if there is one.
    async fn latest_version(
        &self,
        template: &Template,
    ) -> Result<Option<LaunchTemplateVersion>, TemplateError> {
        let call = self.client.describe_launch_template_versions().versions(LATEST);
        let call = match template {
            Template::OfStack(id) => call.launch_template_id(id),
            Template::Copy(name) => call.launch_template_name(name),
        };
        match call.send().await {
            Ok(answer) => Ok(answer.launch_template_versions.unwrap_or_default().pop()),
            Err(error) if has_code(&error, "NotFound") => Ok(None),
            Err(error) => Err(failure(error)),
        }
    }

    async fn create_version(
        &self,
        name: &str,
        source: &str,
        data: RequestLaunchTemplateData,
    ) -> Result<(), TemplateError> {
        let call = self.client.create_launch_template_version().launch_template_name(name);
        let call = call.version_description(source).launch_template_data(data);
        call.send().await.map(drop).map_err(failure)
    }

    async fn create_copy(
        &self,
        name: &str,
        source: &str,
        data: RequestLaunchTemplateData,
    ) -> Result<(), TemplateError> {
        let tags = TagSpecification::builder()
            .resource_type(ResourceType::LaunchTemplate)
            .tags(tags::of_stack(&self.stack))
            .build();
        let call = self.client.create_launch_template().launch_template_name(name);
        let call = call.version_description(source).launch_template_data(data);
        match call.tag_specifications(tags).send().await {
            Ok(_) => Ok(()),
            // Another launch has created it meanwhile.
            Err(error) if has_code(&error, "AlreadyExists") => Ok(()),
            Err(error) => Err(failure(error)),
        }
    }
}

/// Codes are like `InvalidLaunchTemplateName.NotFoundException`.
fn has_code<E: ProvideErrorMetadata>(error: &CallError<E>, part: &str) -> bool {
    let is_it = |code: &str| code.starts_with("InvalidLaunchTemplate") && code.contains(part);
    error.code().is_some_and(is_it)
}

fn failure<E>(error: CallError<E>) -> TemplateError
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    match answer(&error) {
        Some((code, message)) if is_refusal(&error) => {
            TemplateError::Refused(code.to_owned(), message.to_owned())
        }
        Some(_) | None => TemplateError::Failed(port(error)),
    }
}

/// The parameters of a copy. What is copied is what the template of the stack has, which a test of the
/// template checks (`tests/python/template_check_resources.py`).
fn data(original: ResponseLaunchTemplateData, placement: &Placement) -> RequestLaunchTemplateData {
    let mut groups = original.security_group_ids.unwrap_or_default();
    for group in &placement.security_groups {
        if !groups.contains(group) {
            groups.push(group.clone());
        }
    }
    let profile = original.iam_instance_profile.map(|it| {
        LaunchTemplateIamInstanceProfileSpecificationRequest::builder()
            .set_arn(it.arn)
            .set_name(it.name)
            .build()
    });
    let disks = original.block_device_mappings.unwrap_or_default();
    let tags = original.tag_specifications.unwrap_or_default();
    RequestLaunchTemplateData::builder()
        .set_iam_instance_profile(profile)
        .set_security_group_ids(Some(groups))
        .set_metadata_options(original.metadata_options.map(metadata_options))
        .set_block_device_mappings(Some(disks.into_iter().map(disk).collect()))
        .set_tag_specifications(Some(tags.into_iter().map(tag_specification).collect()))
        .set_user_data(original.user_data)
        .set_capacity_reservation_specification(
            placement.capacity_reservation.as_deref().map(reservation),
        )
        .build()
}

fn metadata_options(
    options: LaunchTemplateInstanceMetadataOptions,
) -> LaunchTemplateInstanceMetadataOptionsRequest {
    LaunchTemplateInstanceMetadataOptionsRequest::builder()
        .set_http_endpoint(options.http_endpoint)
        .set_http_tokens(options.http_tokens)
        .set_http_put_response_hop_limit(options.http_put_response_hop_limit)
        .set_instance_metadata_tags(options.instance_metadata_tags)
        .build()
}

fn disk(disk: LaunchTemplateBlockDeviceMapping) -> LaunchTemplateBlockDeviceMappingRequest {
    let volume = disk.ebs.map(|it| {
        LaunchTemplateEbsBlockDeviceRequest::builder()
            .set_volume_type(it.volume_type)
            .set_volume_size(it.volume_size)
            .set_encrypted(it.encrypted)
            .set_delete_on_termination(it.delete_on_termination)
            .build()
    });
    LaunchTemplateBlockDeviceMappingRequest::builder()
        .set_device_name(disk.device_name)
        .set_ebs(volume)
        .build()
}

fn tag_specification(
    tags: LaunchTemplateTagSpecification,
) -> LaunchTemplateTagSpecificationRequest {
    LaunchTemplateTagSpecificationRequest::builder()
        .set_resource_type(tags.resource_type)
        .set_tags(tags.tags)
        .build()
}

/// The reservation is targeted: an open one, which the instances would match anyway, is not needed.
fn reservation(name: &str) -> ReservationSpecification {
    let target = match name.starts_with("cr-") {
        true => CapacityReservationTarget::builder().capacity_reservation_id(name),
        false => CapacityReservationTarget::builder().capacity_reservation_resource_group_arn(name),
    };
    ReservationSpecification::builder().capacity_reservation_target(target.build()).build()
}
