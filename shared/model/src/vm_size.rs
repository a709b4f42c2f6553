//! VM sizes: the number of cores and GPUs of each name.
//!
//! Quotas count cores per family (docs/contract.md, "Quotas and usages"); the number of TensorFlow
//! workers is limited by GPUs (docs/contract.md, "Toolkits"). Azure names have the form
//! `STANDARD_{family}{cores}{features}[_v{n}]`; EC2 names have the form `{family}.{multiple}xlarge`
//! with four cores for each multiple.

mod names;

pub use names::{InvalidVmSize, check_cluster_size};

use serde::{Deserialize, Serialize};

/// Families with a quota of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum VmFamily {
    /// D series.
    D,
    /// D series, version 2.
    Dv2,
    /// NC series (NVIDIA K80).
    NC,
    /// NC series, version 2 (NVIDIA P100).
    NCv2,
    /// NC series, version 3 (NVIDIA V100).
    NCv3,
    /// ND series (NVIDIA P40).
    ND,
    /// NV series (NVIDIA M60).
    NV,
}

impl VmFamily {
    /// All families, in the order in which the service lists them.
    pub const ALL: [Self; 7] =
        [Self::D, Self::Dv2, Self::NC, Self::NCv2, Self::NCv3, Self::ND, Self::NV];

    /// The name of the family as the service lists it.
    pub fn name(self) -> &'static str {
        match self {
            Self::D => "D",
            Self::Dv2 => "Dv2",
            Self::NC => "NC",
            Self::NCv2 => "NCv2",
            Self::NCv3 => "NCv3",
            Self::ND => "ND",
            Self::NV => "NV",
        }
    }
}

/// The resources of a VM size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VmSize {
    /// Family with a quota of its own, if any.
    pub family: Option<VmFamily>,
    /// Cores, at least 1.
    pub cores: u32,
    /// GPUs.
    pub gpus: u32,
}

impl VmSize {
    /// Upper bound for the cores and GPUs of any name. The sum over the largest gang does not
    /// overflow `u32`.
    pub const MOST_CORES: u32 = 100_000;

    /// The resources that a size's name stands for. An unknown name counts as one core.
    pub fn of(name: &str) -> Self {
        let name = name.to_ascii_uppercase();
        let unknown = Self { family: None, cores: 1, gpus: 0 };
        let known = match name.strip_prefix("STANDARD_") {
            Some(size) => azure(size).unwrap_or(unknown),
            None => ec2(&name).unwrap_or(unknown),
        };
        let (cores, gpus) =
            (known.cores.clamp(1, Self::MOST_CORES), known.gpus.min(Self::MOST_CORES));
        Self { cores, gpus, ..known }
    }
}

fn azure(size: &str) -> Option<VmSize> {
    let (size, version) = match size.rsplit_once("_V") {
        Some((size, version)) => (size, version.parse().ok()?),
        None => (size, 1),
    };
    let digits = size.find(|c: char| c.is_ascii_digit())?;
    let (letters, rest) = size.split_at(digits);
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let number: u32 = rest[..end].parse().ok()?;
    // Sizes with one GPU for every six cores.
    let gpus = number / 6;
    let (family, cores, gpus) = match (letters, version) {
        ("NC", 1) => (Some(VmFamily::NC), number, gpus),
        ("NC", 2) => (Some(VmFamily::NCv2), number, gpus),
        ("NC", 3) => (Some(VmFamily::NCv3), number, gpus),
        ("ND", 1) => (Some(VmFamily::ND), number, gpus),
        ("NV", 1) => (Some(VmFamily::NV), number, gpus),
        // Not a family with a quota of its own.
        ("NV", 2) => (None, number, gpus),
        ("D" | "DS", 1) => (Some(VmFamily::D), d_cores(number)?, 0),
        ("D" | "DS", 2) => (Some(VmFamily::Dv2), d_cores(number)?, 0),
        _ => (None, number, 0),
    };
    Some(VmSize { family, cores, gpus })
}

/// The D series numbers its sizes, not their cores. Sizes from 11 on have more memory.
fn d_cores(number: u32) -> Option<u32> {
    match number {
        1..=5 => Some(1 << (number - 1)),
        11..=15 => Some(1 << (number - 10)).map(|cores: u32| if number == 15 { 20 } else { cores }),
        _ => None,
    }
}

fn ec2(name: &str) -> Option<VmSize> {
    let (family, size) = name.split_once('.')?;
    let cores = match size {
        "NANO" | "MICRO" | "SMALL" | "MEDIUM" | "LARGE" => 2,
        "XLARGE" => 4,
        _ => size.strip_suffix("XLARGE")?.parse::<u32>().ok()?.checked_mul(4)?,
    };
    Some(VmSize { family: None, cores, gpus: ec2_gpus(family, cores) })
}

/// GPUs of the EC2 families for training (AWS, "Accelerated computing instances").
fn ec2_gpus(family: &str, cores: u32) -> u32 {
    match (family, cores) {
        ("P3", 8) | ("P5", 16) => 1,
        ("P3", 32) => 4,
        ("P3", 64) | ("P3DN" | "P4D" | "P4DE", 96) | ("P5" | "P5E" | "P5EN", 192) => 8,
        ("G4DN", 48) | ("G5" | "G6" | "G6E", 48 | 96) => 4,
        ("G4DN", 96) | ("G5" | "G6" | "G6E", 192) => 8,
        ("G4DN" | "G5" | "G6" | "G6E", _) => 1,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, family: Option<VmFamily>, cores: u32, gpus: u32) {
        assert_eq!(VmSize::of(name), VmSize { family, cores, gpus }, "{name}");
    }

    #[test]
    fn sizes_of_azure() {
        check("STANDARD_D1", Some(VmFamily::D), 1, 0);
        check("Standard_D4", Some(VmFamily::D), 8, 0);
        check("STANDARD_D14", Some(VmFamily::D), 16, 0);
        check("STANDARD_D5_V2", Some(VmFamily::Dv2), 16, 0);
        check("STANDARD_D15_V2", Some(VmFamily::Dv2), 20, 0);
        check("STANDARD_NC6", Some(VmFamily::NC), 6, 1);
        check("Standard_NC24r", Some(VmFamily::NC), 24, 4);
        check("STANDARD_NC6s_v2", Some(VmFamily::NCv2), 6, 1);
        check("STANDARD_NC12S_V3", Some(VmFamily::NCv3), 12, 2);
        check("STANDARD_ND24rs", Some(VmFamily::ND), 24, 4);
        check("STANDARD_NV6", Some(VmFamily::NV), 6, 1);
        check("STANDARD_NV24s_v2", None, 24, 4);
        check("STANDARD_D4_V3", None, 4, 0);
        check("STANDARD_H16R", None, 16, 0);
    }

    #[test]
    fn sizes_of_ec2() {
        check("c7i.large", None, 2, 0);
        check("g5.xlarge", None, 4, 1);
        check("g5.48xlarge", None, 192, 8);
        check("p3.8xlarge", None, 32, 4);
        check("p5.48xlarge", None, 192, 8);
    }

    #[test]
    fn every_size_of_the_d_series() {
        let cores = |size: u32| VmSize::of(&format!("STANDARD_D{size}")).cores;
        assert_eq!([1, 2, 3, 4, 5].map(cores), [1, 2, 4, 8, 16]);
        assert_eq!([11, 12, 13, 14, 15].map(cores), [2, 4, 8, 16, 20]);
        let names = VmFamily::ALL.map(VmFamily::name);
        assert_eq!(names, ["D", "Dv2", "NC", "NCv2", "NCv3", "ND", "NV"]);
    }

    #[test]
    fn gpus_of_ec2() {
        for (name, gpus) in [
            ("p3.2xlarge", 1),
            ("p3.16xlarge", 8),
            ("p4d.24xlarge", 8),
            ("p5.4xlarge", 1),
            ("g4dn.xlarge", 1),
            ("g4dn.12xlarge", 4),
            ("g4dn.24xlarge", 8),
            ("g5.12xlarge", 4),
            ("g6.24xlarge", 4),
            ("c7i.48xlarge", 0),
        ] {
            assert_eq!(VmSize::of(name).gpus, gpus, "{name}");
        }
    }

    /// Division by cores and multiplication of cores are always safe.
    #[test]
    fn cores_are_at_least_one_and_bounded() {
        check("a.0xlarge", None, 1, 0);
        check("STANDARD_NC0", Some(VmFamily::NC), 1, 0);
        check("STANDARD_H4000000000", None, VmSize::MOST_CORES, 0);
        check("a.1000000000xlarge", None, VmSize::MOST_CORES, 0);
        assert_eq!(VmSize::of("STANDARD_NC4000000000").gpus, VmSize::MOST_CORES);
    }

    #[test]
    fn an_unknown_name_is_one_core() {
        for name in ["", "STANDARD_", "metal", "c7i.metal", "STANDARD_D99"] {
            check(name, None, 1, 0);
        }
    }
}
