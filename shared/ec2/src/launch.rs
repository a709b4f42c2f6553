//! Launches instances: one fleet, and where that is allowed a second one of on-demand instances.

use crate::describe::offering;
use crate::errors::{answer, is_refusal, port};
use crate::fleet::{self, Fleet};
use crate::templates::{Template, TemplateError};
use crate::{Ec2Machines, LaunchSettings, tags};
use aws_sdk_ec2::operation::create_fleet::CreateFleetOutput;
use aws_sdk_ec2::types::Instance;
use control::ports::{LaunchOutcome, LaunchRequest, PortError};
use model::{LaunchedInstance, Offering, VmPriority};
use std::collections::BTreeMap;

impl Ec2Machines {
    /// Launches the instances of a launch. A second fleet replaces missing spot instances; its size
    /// follows from the answer of the first one, which EC2 repeats under the same token.
    ///
    /// # Errors
    /// When it is unknown whether instances were launched.
    pub(crate) async fn launch_instances(
        &self,
        settings: &LaunchSettings,
        request: &LaunchRequest,
    ) -> Result<LaunchOutcome, PortError> {
        let wanted = request.nodes.len();
        let template = Template::of(&request.placement, &self.stack, &settings.launch_template);
        let updated =
            self.update_template(&template, &settings.launch_template, &request.placement).await;
        match updated {
            Ok(()) => {}
            Err(TemplateError::Failed(error)) => return Err(error),
            Err(TemplateError::Refused(code, message)) => {
                return self.refused(request, request.priority, &code, &message).await;
            }
        }
        let mut outcome = self.create_fleet(&template, request, request.priority, wanted).await?;
        let missing = wanted.saturating_sub(outcome.launched.len());
        let is_spot = request.priority == VmPriority::LowPriority;
        if missing > 0 && is_spot && settings.on_demand_fallback {
            let more =
                self.create_fleet(&template, request, VmPriority::Dedicated, missing).await?;
            outcome.launched.extend(more.launched);
            outcome.pools.extend(more.pools);
            outcome.refused = more.refused;
        }
        self.describe_launched(&mut outcome.launched).await;
        Ok(outcome)
    }

    async fn create_fleet(
        &self,
        launch_template: &Template,
        request: &LaunchRequest,
        market: VmPriority,
        count: usize,
    ) -> Result<LaunchOutcome, PortError> {
        let fleet = Fleet { stack: &self.stack, launch_template, request, market, count };
        match fleet.input().send_with(&self.client).await {
            Ok(answer) => Ok(read(request, market, count, &answer)),
            Err(error) => match answer(&error) {
                Some((code, message)) if is_refusal(&error) => {
                    self.refused(request, market, code, message).await
                }
                Some(_) | None => Err(port(error)),
            },
        }
    }

    /// EC2 refused the request. An earlier try may have launched instances; they are found by their tag.
    async fn refused(
        &self,
        request: &LaunchRequest,
        market: VmPriority,
        code: &str,
        message: &str,
    ) -> Result<LaunchOutcome, PortError> {
        let refused = Some(fleet::refused(request, market, code, message));
        let found = self.describe(vec![self.in_stack(), tags::in_launch(&request.launch)]).await?;
        let launched = found.iter().filter_map(|it| it.instance_id());
        let launched = launched.map(undescribed).collect();
        Ok(LaunchOutcome { launched, refused, pools: Vec::new() })
    }

    /// Adds the addresses and zones that EC2 knows already. The others are found later.
    async fn describe_launched(&self, launched: &mut [LaunchedInstance]) {
        if launched.is_empty() {
            return;
        }
        let ids = launched.iter().map(|it| it.id.clone());
        let found = match self.describe(vec![tags::filter("instance-id", ids)]).await {
            Ok(found) => found,
            Err(error) => {
                tracing::warn!(%error, "could not describe new instances");
                return;
            }
        };
        let found: BTreeMap<&str, &Instance> =
            found.iter().filter_map(|it| Some((it.instance_id()?, it))).collect();
        for it in launched {
            if let Some(instance) = found.get(it.id.as_str()) {
                it.address = instance.private_ip_address().map(str::to_owned);
                it.offering = offering(instance);
            }
        }
    }
}

fn read(
    request: &LaunchRequest,
    market: VmPriority,
    count: usize,
    answer: &CreateFleetOutput,
) -> LaunchOutcome {
    let ids = answer.instances().iter().flat_map(|it| it.instance_ids());
    let launched: Vec<LaunchedInstance> = ids.map(|id| undescribed(id)).collect();
    let errors = answer.errors();
    let is_short = launched.len() < count;
    let refused = is_short.then(|| fleet::explain(request, market, errors)).flatten();
    LaunchOutcome { launched, refused, pools: fleet::refusals(errors, market) }
}

fn undescribed(id: &str) -> LaunchedInstance {
    LaunchedInstance { id: id.to_owned(), address: None, node: None, offering: Offering::Unknown }
}
