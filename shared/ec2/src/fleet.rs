//! What is requested from EC2 Fleet for a launch, pure: its pools, the request, and what its errors mean.

use crate::errors::problem;
use crate::tags;
use crate::templates::Template;
use aws_sdk_ec2::operation::create_fleet::CreateFleetInput;
use aws_sdk_ec2::operation::create_fleet::builders::CreateFleetInputBuilder;
use aws_sdk_ec2::types::{
    CapacityReservationOptionsRequest, CreateFleetError, DefaultTargetCapacityType,
    FleetCapacityReservationUsageStrategy, FleetLaunchTemplateConfigRequest,
    FleetLaunchTemplateOverridesRequest, FleetOnDemandAllocationStrategy, FleetType, InstanceType,
    OnDemandOptionsRequest, ResourceType, SpotAllocationStrategy, SpotInstanceInterruptionBehavior,
    SpotOptionsRequest, TagSpecification, TargetCapacitySpecificationRequest,
};
use model::{LaunchRequest, Pool, PoolProblem, PoolRefusal, ResourceError, VmPriority, ec2};

/// One call of CreateFleet. It is a function of the launch and the market, so a repetition is equal.
pub(crate) struct Fleet<'a> {
    pub(crate) stack: &'a str,
    pub(crate) launch_template: &'a Template,
    pub(crate) request: &'a LaunchRequest,
    pub(crate) market: VmPriority,
    /// Number of instances.
    pub(crate) count: usize,
}

/// The pools of a launch on a market, in the order of preference. Those that refused an earlier launch
/// are used only where no others are left.
pub(crate) fn pools(request: &LaunchRequest, market: VmPriority) -> Vec<Pool> {
    let sizes = std::iter::once(&request.vm_size).chain(&request.alternate_vm_sizes);
    let mut all: Vec<Pool> = Vec::new();
    for vm_size in sizes.filter_map(|size| ec2::instance_type(size)) {
        for subnet in &request.placement.subnets {
            let (vm_size, subnet) = (vm_size.clone(), subnet.clone());
            let pool = Pool { vm_size, subnet, priority: market };
            if !all.contains(&pool) {
                all.push(pool);
            }
        }
    }
    let is_open = |pool: &&Pool| !request.placement.avoid.contains(pool);
    let open: Vec<Pool> = all.iter().filter(is_open).cloned().collect();
    if open.is_empty() { all } else { open }
}

impl Fleet<'_> {
    /// The idempotency token: the id of the launch. The instances that replace missing spot instances are
    /// a fleet of their own.
    fn token(&self) -> String {
        match self.market == self.request.priority {
            true => self.request.launch.to_string(),
            false => format!("{}.ondemand", self.request.launch),
        }
    }

    /// The request.
    pub(crate) fn input(&self) -> CreateFleetInputBuilder {
        let count = i32::try_from(self.count).expect("limited by limits::MAX_NODES_PER_LAUNCH");
        let template = FleetLaunchTemplateConfigRequest::builder()
            .launch_template_specification(self.launch_template.specification())
            .set_overrides(Some(self.overrides()))
            .build();
        let target = TargetCapacitySpecificationRequest::builder().total_target_capacity(count);
        let input = CreateFleetInput::builder()
            .client_token(self.token())
            .r#type(FleetType::Instant)
            .launch_template_configs(template)
            .tag_specifications(self.tags(ResourceType::Fleet))
            .tag_specifications(self.tags(ResourceType::Instance));
        let gang = self.request.is_gang.then_some(true);
        let whole = self.request.is_gang.then_some(count);
        match self.market {
            VmPriority::LowPriority => {
                let options = SpotOptionsRequest::builder()
                    .allocation_strategy(SpotAllocationStrategy::PriceCapacityOptimized)
                    .instance_interruption_behavior(SpotInstanceInterruptionBehavior::Terminate)
                    .set_single_availability_zone(gang)
                    .set_single_instance_type(gang)
                    .set_min_target_capacity(whole);
                let target = target.default_target_capacity_type(DefaultTargetCapacityType::Spot);
                input.spot_options(options.build()).target_capacity_specification(target.build())
            }
            VmPriority::Dedicated => {
                let has_reservation = self.request.placement.capacity_reservation.is_some();
                let options = OnDemandOptionsRequest::builder()
                    .set_capacity_reservation_options(has_reservation.then(reservations_first))
                    .allocation_strategy(FleetOnDemandAllocationStrategy::Prioritized)
                    .set_single_availability_zone(gang)
                    .set_single_instance_type(gang)
                    .set_min_target_capacity(whole);
                let target =
                    target.default_target_capacity_type(DefaultTargetCapacityType::OnDemand);
                input
                    .on_demand_options(options.build())
                    .target_capacity_specification(target.build())
            }
        }
    }

    fn overrides(&self) -> Vec<FleetLaunchTemplateOverridesRequest> {
        let mut types: Vec<String> = Vec::new();
        let mut overrides = Vec::new();
        for Pool { vm_size, subnet, .. } in pools(self.request, self.market) {
            if !types.contains(&vm_size) {
                types.push(vm_size.clone());
            }
            // Spot instances are chosen by price and capacity.
            let rank = (types.len() - 1) as f64;
            let priority = (self.market == VmPriority::Dedicated).then_some(rank);
            let image = self.request.placement.image.clone();
            let image = image.unwrap_or_else(|| ec2::public_image(&vm_size));
            overrides.push(
                FleetLaunchTemplateOverridesRequest::builder()
                    .instance_type(InstanceType::from(vm_size.as_str()))
                    .subnet_id(subnet)
                    .image_id(image)
                    .set_priority(priority)
                    .build(),
            );
        }
        overrides
    }

    fn tags(&self, resource: ResourceType) -> TagSpecification {
        let tags = tags::of_launch(self.stack, self.request);
        TagSpecification::builder().resource_type(resource).set_tags(Some(tags)).build()
    }
}

/// Without it, a fleet does not count the free places of reservations.
fn reservations_first() -> CapacityReservationOptionsRequest {
    CapacityReservationOptionsRequest::builder()
        .usage_strategy(FleetCapacityReservationUsageStrategy::UseCapacityReservationsFirst)
        .build()
}

/// The pools that gave no instance.
pub(crate) fn refusals(errors: &[CreateFleetError], market: VmPriority) -> Vec<PoolRefusal> {
    let mut refusals: Vec<PoolRefusal> = Vec::new();
    for error in errors {
        let used = error.launch_template_and_overrides().and_then(|it| it.overrides());
        let Some(used) = used else { continue };
        let (Some(vm_size), Some(subnet)) = (used.instance_type(), used.subnet_id()) else {
            continue;
        };
        let Some(problem) = error.error_code().and_then(problem) else { continue };
        let (vm_size, subnet) = (vm_size.as_str().to_owned(), subnet.to_owned());
        let pool = Pool { vm_size, subnet, priority: market };
        if !refusals.iter().any(|it| it.pool == pool) {
            refusals.push(PoolRefusal { pool, problem });
        }
    }
    refusals
}

/// Why there are fewer instances than requested, and what can be done about it.
pub(crate) fn explain(
    request: &LaunchRequest,
    market: VmPriority,
    errors: &[CreateFleetError],
) -> Option<ResourceError> {
    let error =
        errors.iter().find(|it| it.error_code().is_some_and(|code| problem(code).is_none()));
    let error = error.or_else(|| errors.first())?;
    let code = error.error_code().unwrap_or("UnfulfillableCapacity");
    Some(refused(request, market, code, error.error_message().unwrap_or_default()))
}

/// The error that the cluster shows for a code of EC2.
pub(crate) fn refused(
    request: &LaunchRequest,
    market: VmPriority,
    code: &str,
    message: &str,
) -> ResourceError {
    let pools = pools(request, market);
    let mut types: Vec<&str> = pools.iter().map(|pool| pool.vm_size.as_str()).collect();
    types.dedup();
    let types = types.join(", ");
    let market = match market {
        VmPriority::Dedicated => "on-demand",
        VmPriority::LowPriority => "spot",
    };
    let advice = match problem(code) {
        Some(PoolProblem::NoCapacity) => format!(
            "EC2 has no {market} capacity for {types} at the moment. The launch is tried again. More sizes in extensions.alternateVmSizes make it more likely to succeed"
        ),
        Some(PoolProblem::LimitReached) => format!(
            "The account has reached its limit of {market} instances. Request an increase of the limit for {types} in Service Quotas"
        ),
        Some(PoolProblem::NotOffered) => format!(
            "EC2 does not offer {types} in these zones. Create a cluster with another vmSize"
        ),
        None => "EC2 refused the launch".to_owned(),
    };
    ResourceError::new(code, format!("{advice} ({code}: {message})"))
}
