//! Sizes, images and subnets on EC2: each name with its meaning.

use super::*;
use crate::{ClusterExtensions, UserAccount, VmPriority, VmSize};
use serde_json::{Value, json};

fn spec(vm_size: &str, image: Value, subnet_id: Option<&str>) -> ClusterSpec {
    ClusterSpec {
        vm_size: vm_size.into(),
        vm_priority: VmPriority::Dedicated,
        image,
        user_account: UserAccount { admin_user_name: "u".into(), admin_user_ssh_public_key: None },
        administrator_password_hash: None,
        setup_task: None,
        mounts: None,
        performance_counters: None,
        subnet_id: subnet_id.map(str::to_owned),
        extensions: ClusterExtensions::default(),
    }
}

fn code<T>(outcome: Result<T, ResourceError>) -> String {
    outcome.map_or_else(|error| error.code, |_| "ok".to_owned())
}

#[test]
fn sizes_of_azure_and_types_of_ec2() {
    for (size, expected) in [
        ("STANDARD_NC6", Some("g4dn.2xlarge")),
        ("Standard_nc24r", Some("g4dn.12xlarge")),
        ("Standard_NC6s_v3", Some("g5.2xlarge")),
        ("STANDARD_D1", Some("m6i.large")),
        ("STANDARD_DS3_V2", Some("m6i.xlarge")),
        ("Standard_D2s_v3", Some("m6i.large")),
        ("Standard_F4s", Some("c6i.xlarge")),
        ("g5.xlarge", Some("g5.xlarge")),
        ("P5.48xlarge", Some("p5.48xlarge")),
        ("u-6tb1.metal", Some("u-6tb1.metal")),
        ("STANDARD_M128", None),
        ("g5", None),
        ("g5.", None),
        (".xlarge", None),
        ("5.xlarge", None),
        ("g5.x large", None),
        ("large", None),
    ] {
        assert_eq!(instance_type(size).as_deref(), expected, "{size}");
    }
}

/// A job that fits a size fits its type.
#[test]
fn a_type_has_the_cores_and_gpus_of_its_size() {
    for (size, instance_type) in SIZES {
        let (azure, ec2) = (VmSize::of(&format!("STANDARD_{size}")), VmSize::of(instance_type));
        // An EC2 type counts hyper-threads; the smallest types have two.
        assert!(ec2.cores >= azure.cores, "{size}: {azure:?} {ec2:?}");
        assert!(ec2.gpus >= azure.gpus, "{size}: {azure:?} {ec2:?}");
    }
}

/// `docs/vm-sizes.md` has this table.
#[test]
fn the_table_is_documented() {
    let mut table = String::from("| size | cores | GPUs | type | its cores | its GPUs |\n");
    table += "| --- | --- | --- | --- | --- | --- |\n";
    for (size, name) in SIZES {
        let (azure, ec2) = (VmSize::of(&format!("STANDARD_{size}")), VmSize::of(name));
        table += &format!(
            "| STANDARD_{size} | {} | {} | {name} | {} | {} |\n",
            azure.cores, azure.gpus, ec2.cores, ec2.gpus
        );
    }
    let page = include_str!("../../../../docs/vm-sizes.md");
    assert!(page.contains(&table), "docs/vm-sizes.md should have this table:\n{table}");
    for image in GPU_IMAGES.iter().chain(&IMAGES) {
        assert!(page.contains(image), "docs/vm-sizes.md should name {image}");
    }
}

#[test]
fn images_fit_the_type() {
    for (name, gpu, arm) in [
        ("g4dn.2xlarge", true, false),
        ("p5.48xlarge", true, false),
        ("g5g.xlarge", true, true),
        ("g4ad.xlarge", false, false),
        ("m6i.large", false, false),
        ("m7g.large", false, true),
        ("c6gn.large", false, true),
        ("a1.large", false, true),
        ("inf2.xlarge", false, false),
    ] {
        let images = if gpu { GPU_IMAGES } else { IMAGES };
        assert_eq!(
            public_image(name),
            format!("resolve:ssm:{}", images[usize::from(arm)]),
            "{name}"
        );
    }
}

#[test]
fn an_image_is_an_ami_or_a_published_one() {
    let of = |image: Value| image_of(&spec("g5.xlarge", image, None));
    let ami = "ami-0123456789abcdef0";
    assert_eq!(of(json!({"virtualMachineImageId": ami})), Ok(Some(ami.to_owned())));
    let canonical = json!({"publisher": "Canonical", "offer": "UbuntuServer", "sku": "16.04-LTS"});
    assert_eq!(of(canonical), Ok(None));
    assert_eq!(
        of(json!({"publisher": "microsoft-ads", "offer": "linux-data-science-vm-ubuntu"})),
        Ok(None)
    );
    assert_eq!(of(Value::Null), Ok(None));
    assert_eq!(code(of(json!({"publisher": "OpenLogic"}))), "ImageNotProvided");
    assert_eq!(code(of(json!({"virtualMachineImageId": "/subscriptions/s"}))), "ImageNotProvided");
    assert_eq!(code(of(json!({"virtualMachineImageId": "ami-"}))), "ImageNotProvided");
}

fn image_of(spec: &ClusterSpec) -> Result<Option<String>, ResourceError> {
    image(spec)
}

#[test]
fn a_subnet_is_one_of_ec2() {
    let of = |id| subnet(&spec("g5.xlarge", Value::Null, Some(id)));
    let id = "subnet-0123456789abcdef0";
    assert_eq!(of(id), Ok(Some(id.to_owned())));
    assert_eq!(of("/subscriptions/s/resourceGroups/fileserverrg-1/subnets/Subnet-1"), Ok(None));
    assert_eq!(code(of("/subscriptions/s/subnets/a")), "SubnetNotProvided");
    assert_eq!(code(of("subnet-0123456789abcdef0,")), "SubnetNotProvided");
    assert_eq!(subnet(&spec("g5.xlarge", Value::Null, None)), Ok(None));
}

#[test]
fn every_size_of_a_cluster_is_checked() {
    let mut spec = spec("STANDARD_NC6", Value::Null, None);
    assert_eq!(check(&spec), Ok(()));
    spec.extensions.alternate_vm_sizes = Some(vec!["g5.xlarge".into(), "STANDARD_X1".into()]);
    let error = check(&spec).unwrap_err();
    assert_eq!(error.code, "VmSizeNotProvided");
    assert!(error.message.contains("STANDARD_X1"), "{}", error.message);
    spec.vm_size = "STANDARD_X2".into();
    assert!(check(&spec).unwrap_err().message.contains("STANDARD_X2"));
    spec.extensions.alternate_vm_sizes = None;
    spec.vm_size = "g5.xlarge".into();
    spec.subnet_id = Some("x".into());
    assert_eq!(code(check(&spec)), "SubnetNotProvided");
    spec.image = json!({"publisher": "x"});
    assert_eq!(code(check(&spec)), "ImageNotProvided");
}

#[test]
fn spot_instances_use_no_capacity_reservation() {
    let mut spec = spec("g5.xlarge", Value::Null, None);
    assert_eq!(capacity_reservation(&spec), Ok(None));
    let reservation = Some("cr-0123456789abcdef0".to_owned());
    spec.extensions.capacity_reservation = reservation.clone();
    spec.vm_priority = VmPriority::Dedicated;
    assert_eq!(capacity_reservation(&spec), Ok(reservation));
    assert_eq!(check(&spec), Ok(()));
    spec.vm_priority = VmPriority::LowPriority;
    assert_eq!(code(check(&spec)), "CapacityReservationNotUsable");
}
