//! Copies of the template of the stack, which launches with security groups or a capacity reservation use.

use super::*;

const COPY: &str = "stack-nodes-";

fn reserved(priority: VmPriority) -> LaunchRequest {
    let mut request = LaunchRequest { priority, ..request(1) };
    request.placement.security_groups = vec!["sg-1".to_owned(), "sg-2".to_owned()];
    request.placement.capacity_reservation = match priority {
        VmPriority::Dedicated => Some("cr-1".to_owned()),
        VmPriority::LowPriority => None,
    };
    request
}

fn template(number: usize, description: &str, data: &str) -> String {
    format!(
        "<DescribeLaunchTemplateVersionsResponse><requestId>r</requestId><launchTemplateVersionSet><item><versionNumber>{number}</versionNumber><versionDescription>{description}</versionDescription><launchTemplateData>{data}</launchTemplateData></item></launchTemplateVersionSet></DescribeLaunchTemplateVersionsResponse>"
    )
}

fn of_stack(number: usize) -> String {
    let disk = "<blockDeviceMappingSet><item><deviceName>/dev/sda1</deviceName><ebs><encrypted>true</encrypted><deleteOnTermination>true</deleteOnTermination><volumeSize>100</volumeSize><volumeType>gp3</volumeType></ebs></item></blockDeviceMappingSet>";
    let metadata = "<metadataOptions><httpEndpoint>enabled</httpEndpoint><httpTokens>required</httpTokens><httpPutResponseHopLimit>1</httpPutResponseHopLimit><instanceMetadataTags>enabled</instanceMetadataTags></metadataOptions>";
    let tags = "<tagSpecificationSet><item><resourceType>volume</resourceType><tagSet><item><key>Name</key><value>stack node</value></item></tagSet></item></tagSpecificationSet>";
    let others = "<iamInstanceProfile><arn>arn:profile</arn></iamInstanceProfile><userData>IyE=</userData><securityGroupIdSet><item>sg-stack</item><item>sg-2</item></securityGroupIdSet>";
    template(number, "", &format!("{disk}{metadata}{tags}{others}"))
}

const MISSING: (u16, &str) = (400, "InvalidLaunchTemplateName.NotFoundException");

#[tokio::test]
async fn a_copy_is_made_before_its_first_launch() {
    let stub = Stub::start().await;
    stub.answer(of_stack(7));
    stub.fail(MISSING.0, MISSING.1, "no such template");
    stub.answer(
        "<CreateLaunchTemplateResponse><requestId>r</requestId></CreateLaunchTemplateResponse>",
    );
    stub.answer(fleet(&[], &[]));
    let launched = stub.machines(false).launch(&reserved(VmPriority::Dedicated)).await.unwrap();
    assert_eq!(launched.refused, None);
    let requests = stub.requests();
    assert_eq!(requests[0]["LaunchTemplateId"], "lt-1");
    assert_eq!(requests[0]["LaunchTemplateVersion.1"], "$Latest");
    let name = requests[1]["LaunchTemplateName"].clone();
    assert!(name.starts_with(COPY) && name.len() == COPY.len() + 32, "{name}");
    assert_eq!(
        lines(&requests[2], &["Action", "ClientToken", "Version="]),
        [
            "LaunchTemplateData.BlockDeviceMapping.1.DeviceName=/dev/sda1",
            "LaunchTemplateData.BlockDeviceMapping.1.Ebs.DeleteOnTermination=true",
            "LaunchTemplateData.BlockDeviceMapping.1.Ebs.Encrypted=true",
            "LaunchTemplateData.BlockDeviceMapping.1.Ebs.VolumeSize=100",
            "LaunchTemplateData.BlockDeviceMapping.1.Ebs.VolumeType=gp3",
            "LaunchTemplateData.CapacityReservationSpecification.CapacityReservationTarget.CapacityReservationId=cr-1",
            "LaunchTemplateData.IamInstanceProfile.Arn=arn:profile",
            "LaunchTemplateData.MetadataOptions.HttpEndpoint=enabled",
            "LaunchTemplateData.MetadataOptions.HttpPutResponseHopLimit=1",
            "LaunchTemplateData.MetadataOptions.HttpTokens=required",
            "LaunchTemplateData.MetadataOptions.InstanceMetadataTags=enabled",
            "LaunchTemplateData.SecurityGroupId.1=sg-stack",
            "LaunchTemplateData.SecurityGroupId.2=sg-2",
            "LaunchTemplateData.SecurityGroupId.3=sg-1",
            "LaunchTemplateData.TagSpecification.1.ResourceType=volume",
            "LaunchTemplateData.TagSpecification.1.Tag.1.Key=Name",
            "LaunchTemplateData.TagSpecification.1.Tag.1.Value=stack node",
            "LaunchTemplateData.UserData=IyE=",
            &format!("LaunchTemplateName={name}"),
            "TagSpecification.1.ResourceType=launch-template",
            "TagSpecification.1.Tag.1.Key=batchai:stack",
            "TagSpecification.1.Tag.1.Value=stack",
            "Version=2016-11-15",
            "VersionDescription=copy of lt-1 version 7",
        ]
    );
    let specification = "LaunchTemplateConfigs.1.LaunchTemplateSpecification";
    let fleet = &requests[3];
    assert_eq!(fleet[&format!("{specification}.LaunchTemplateName")], name);
    assert_eq!(fleet[&format!("{specification}.Version")], "$Latest");
    assert!(!fleet.contains_key(&format!("{specification}.LaunchTemplateId")));
    let strategy = "OnDemandOptions.CapacityReservationOptions.UsageStrategy";
    assert_eq!(fleet[strategy], "use-capacity-reservations-first");
}

#[tokio::test]
async fn a_copy_follows_the_template_of_the_stack() {
    let stub = Stub::start().await;
    let request = reserved(VmPriority::LowPriority);
    stub.answer(of_stack(7));
    stub.answer(template(1, "copy of lt-1 version 7", ""));
    stub.answer(fleet(&[], &[]));
    stub.machines(false).launch(&request).await.unwrap();
    let actions = |requests: &[Form]| -> Vec<String> {
        requests.iter().map(|it| it["Action"].clone()).collect()
    };
    let describe = "DescribeLaunchTemplateVersions";
    let first = stub.requests();
    assert_eq!(actions(&first), [describe, describe, "CreateFleet"], "it is up to date");

    stub.answer(of_stack(8));
    stub.answer(template(1, "copy of lt-1 version 7", ""));
    stub.answer("<CreateLaunchTemplateVersionResponse><requestId>r</requestId></CreateLaunchTemplateVersionResponse>");
    stub.answer(fleet(&[], &[]));
    stub.machines(false).launch(&request).await.unwrap();
    let second = stub.requests();
    let update = "CreateLaunchTemplateVersion";
    assert_eq!(actions(&second), [describe, describe, update, "CreateFleet"]);
    assert_eq!(second[2]["VersionDescription"], "copy of lt-1 version 8");
    assert_eq!(second[2]["LaunchTemplateName"], second[1]["LaunchTemplateName"]);
    assert_eq!(first[2], second[3], "a repeated launch is the same request after a deployment");
}

/// Each choice has a copy of its own, and the same choice the same one.
#[tokio::test]
async fn the_name_of_a_copy_follows_from_the_choice() {
    let stub = Stub::start().await;
    let mut names = std::collections::BTreeSet::new();
    let reserved = reserved(VmPriority::Dedicated);
    let mut others = [reserved.clone(), reserved.clone(), reserved.clone()];
    others[1].placement.security_groups.pop();
    others[2].placement.capacity_reservation = Some("arn:aws:resource-groups:x".to_owned());
    for request in [&reserved, &others[0], &others[1], &others[2]] {
        stub.answer(of_stack(7));
        stub.answer(template(1, "copy of lt-1 version 7", ""));
        stub.answer(fleet(&[], &[]));
        stub.machines(false).launch(request).await.unwrap();
        names.insert(stub.requests()[1]["LaunchTemplateName"].clone());
    }
    assert_eq!(names.len(), 3, "{names:?}");
}

#[tokio::test]
async fn without_a_copy_nothing_is_launched() {
    let stub = Stub::start().await;
    let request = reserved(VmPriority::LowPriority);
    stub.answer(of_stack(7));
    stub.fail(400, "UnauthorizedOperation", "no");
    stub.answer(described(&[], None));
    let refused = stub.machines(false).launch(&request).await.unwrap().refused.unwrap();
    assert_eq!(refused.code, "UnauthorizedOperation");
    stub.fail(503, "Unavailable", "later");
    assert!(stub.machines(false).launch(&request).await.is_err(), "it is repeated");
    assert!(stub.requests().iter().all(|it| it["Action"] != "CreateFleet"));
}

/// Two launches may find that there is no copy.
#[tokio::test]
async fn a_copy_that_another_launch_made_is_used() {
    let stub = Stub::start().await;
    stub.answer(of_stack(7));
    stub.fail(MISSING.0, MISSING.1, "no such template");
    stub.fail(400, "InvalidLaunchTemplateName.AlreadyExistsException", "it exists");
    stub.answer(fleet(&["i-1"], &[]));
    stub.answer(described(&[("i-1", "pending", "10.0.0.1")], None));
    let outcome = stub.machines(false).launch(&reserved(VmPriority::LowPriority)).await.unwrap();
    assert_eq!(outcome.launched.len(), 1);
}
