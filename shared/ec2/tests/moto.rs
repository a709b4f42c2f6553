//! The contract of the port for instances, on EC2 as moto emulates it.
//!
//! moto ignores the token of CreateFleet, so a repeated launch is not checked here; it uses only the first
//! override and has no capacity errors, so neither are pools; and it has no limit of instances. These
//! are checked on the fake fleet (`tests/tests/contracts/machines.rs`) and on the wire (`wire.rs`).

#![expect(clippy::unwrap_used, reason = "a panic with the error fails the test")]
#![expect(dead_code, reason = "modules of other tests, of which a part is used")]

#[path = "../../../tests/src/fleet/contract.rs"]
mod contract;
#[path = "../../../tests/src/moto.rs"]
mod moto;
#[path = "../../../tests/src/python.rs"]
mod python;
mod support;

use async_trait::async_trait;
use aws_sdk_ec2::Client;
use aws_sdk_ec2::types::LaunchTemplateTagSpecificationRequest;
use aws_sdk_ec2::types::{RequestLaunchTemplateData, ResourceType, Tag};
use contract::Cloud;
use control::ports::Machines;
use ec2::{Ec2Machines, LaunchSettings, Subnet};
use model::Placement;

struct Emulated {
    client: Client,
    machines: Ec2Machines,
    subnets: Vec<Subnet>,
}

#[async_trait]
impl Cloud for Emulated {
    fn machines(&self) -> &dyn Machines {
        &self.machines
    }

    fn repeats_launches(&self) -> bool {
        false
    }

    fn is_limited(&self) -> bool {
        false
    }

    /// Instances of moto have no processes.
    fn runs(&self, _instance: &str) -> bool {
        true
    }

    fn is_gone(&self, _instance: &str) -> bool {
        true
    }

    async fn lose(&self, instance: &str) {
        self.client.terminate_instances().instance_ids(instance).send().await.unwrap();
    }

    fn placement(&self) -> Placement {
        self.placement_in(&self.subnets)
    }

    fn zones(&self) -> Vec<(String, Placement)> {
        let placement = |it: &Subnet| self.placement_in(std::slice::from_ref(it));
        self.subnets.iter().map(|it| (it.zone.clone(), placement(it))).collect()
    }
}

impl Emulated {
    fn placement_in(&self, subnets: &[Subnet]) -> Placement {
        let subnets = subnets.iter().map(|it| it.id.clone()).collect();
        Placement { subnets, ..Placement::default() }
    }
}

/// A VPC with two subnets, and the launch template of a stack.
async fn stack(client: Client) -> Emulated {
    let vpc = client.create_vpc().cidr_block("10.0.0.0/16").send().await.unwrap();
    let vpc = vpc.vpc.unwrap().vpc_id.unwrap();
    let mut subnets = Vec::new();
    for (zone, cidr) in [("eu-west-1a", "10.0.0.0/24"), ("eu-west-1b", "10.0.1.0/24")] {
        let subnet = client.create_subnet().vpc_id(&vpc).availability_zone(zone).cidr_block(cidr);
        let id = subnet.send().await.unwrap().subnet.unwrap().subnet_id.unwrap();
        subnets.push(Subnet { zone: zone.to_owned(), id });
    }
    let name = Tag::builder().key("Name").value("stack node").build();
    let tags = LaunchTemplateTagSpecificationRequest::builder()
        .resource_type(ResourceType::Instance)
        .tags(name)
        .build();
    let data = RequestLaunchTemplateData::builder().tag_specifications(tags).build();
    let template =
        client.create_launch_template().launch_template_name("t").launch_template_data(data);
    let template = template.send().await.unwrap().launch_template.unwrap();
    let settings = LaunchSettings {
        launch_template: template.launch_template_id.unwrap(),
        subnets: subnets.clone(),
        on_demand_fallback: false,
    };
    let machines = Ec2Machines::new(client.clone(), "stack".to_owned(), Some(settings));
    Emulated { client, machines, subnets }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_contract_of_instances() {
    let moto = tokio::task::spawn_blocking(moto::Moto::start).await.unwrap();
    contract::check(&stack(support::client(moto.endpoint())).await).await;
}

/// The instances of other stacks, and others in the account, are not ours.
#[tokio::test(flavor = "multi_thread")]
async fn only_instances_of_the_stack_are_found() {
    let moto = tokio::task::spawn_blocking(moto::Moto::start).await.unwrap();
    let ours = stack(support::client(moto.endpoint())).await;
    let cluster = contract::cluster();
    let launched = contract::launch(&ours, &contract::request(&ours, &cluster, 2)).await;
    assert_eq!(launched.launched.len(), 2);
    let other = Ec2Machines::new(ours.client.clone(), "other".to_owned(), None);
    assert!(other.find(&cluster).await.unwrap().is_empty());
    assert!(other.clusters().await.unwrap().is_empty());
    assert_eq!(ours.machines.clusters().await.unwrap(), [cluster]);
}

/// One copy of the template for both launches. moto gives instances no security groups of a template, so they are
/// looked up in the copy.
#[tokio::test(flavor = "multi_thread")]
async fn launches_with_a_security_group_use_a_copy_of_the_template() {
    let moto = tokio::task::spawn_blocking(moto::Moto::start).await.unwrap();
    let cloud = stack(support::client(moto.endpoint())).await;
    for launch in 1..3 {
        let mut request = support::request(1);
        request.launch = model::Uid::from_bytes([launch; 16]);
        request.placement = cloud.placement();
        request.placement.security_groups = vec!["sg-01234567".to_owned()];
        let outcome = cloud.machines.launch(&request).await.unwrap();
        assert_eq!((outcome.launched.len(), outcome.refused), (1, None));
        let id = &outcome.launched[0].id;
        let described = cloud.client.describe_instances().instance_ids(id).send().await.unwrap();
        let instance = &described.reservations()[0].instances()[0];
        assert!(instance.tags().iter().any(|it| it.value() == Some("stack node")), "{instance:?}");
    }
    let templates = cloud.client.describe_launch_templates().send().await.unwrap();
    let mut templates = templates.launch_templates().iter();
    let copy = templates.find(|it| it.launch_template_name() != Some("t")).unwrap();
    assert!(templates.all(|it| it.launch_template_name() == Some("t")), "one copy");
    let versions = cloud.client.describe_launch_template_versions();
    let versions = versions.launch_template_id(copy.launch_template_id().unwrap());
    let versions = versions.send().await.unwrap();
    assert_eq!(versions.launch_template_versions().len(), 1);
    let data = versions.launch_template_versions()[0].launch_template_data().unwrap();
    assert_eq!(data.security_group_ids(), ["sg-01234567"]);
}
