//! Creating file servers (section 3.4).

use super::account;
use crate::read::{self, Fields, Place};
use crate::{Violations, rules};
use model::{FileServer, FileServerSpec};

const CACHING: [(&str, &str); 3] =
    [("none", "none"), ("readonly", "readonly"), ("readwrite", "readwrite")];
const STORAGE: [(&str, &str); 2] =
    [("Standard_LRS", "Standard_LRS"), ("Premium_LRS", "Premium_LRS")];

/// The contract's numbers are 32-bit integers with a sign.
const LARGEST: u32 = i32::MAX.unsigned_abs();

/// Limit of the contract for `publicIPsToAllow` (section 4).
const MOST_IP_RANGES: usize = 400;

pub fn parse_file_server_create(body: &[u8]) -> Result<FileServerSpec, Violations> {
    read::body(body, |fields| file_server(&fields.required("properties")?.object()?))
}

/// Whether creating the file server again with this body changes nothing.
pub fn is_same_file_server(requested: &FileServerSpec, existing: &FileServer) -> bool {
    // A subnet that was not asked for may have been filled in.
    let subnet_id = requested.subnet_id.clone().or_else(|| existing.spec.subnet_id.clone());
    FileServerSpec { subnet_id, ..requested.clone() } == existing.spec
}

fn file_server(properties: &Fields<'_>) -> Option<FileServerSpec> {
    let vm_size = properties.required("vmSize").and_then(|place| rules::vm_size(&place));
    let ssh = properties.required("sshConfiguration").and_then(|place| place.object());
    let user_account = ssh.and_then(|ssh| {
        if let Some(place) = ssh.optional("publicIPsToAllow") {
            ip_ranges(&place);
        }
        account::user_account(&ssh)
    });
    let disks = properties.required("dataDisks").and_then(|place| data_disks(&place.object()?));
    let subnet_id = properties.optional("subnet").and_then(|place| rules::resource_id(&place));
    let disks = disks?;
    Some(FileServerSpec {
        vm_size: vm_size?,
        user_account: user_account?,
        disk_size_in_gb: disks.size_in_gb,
        disk_count: disks.count,
        caching_type: disks.caching_type,
        storage_account_type: disks.storage_account_type,
        subnet_id,
    })
}

/// Checked only: nobody can log in to a file server of this service, so there is nothing to allow.
fn ip_ranges(place: &Place<'_>) {
    let Some(ranges) = place.items() else { return };
    if ranges.len() > MOST_IP_RANGES {
        place.invalid(&format!(
            "must have at most {MOST_IP_RANGES} entries, but has {}",
            ranges.len()
        ));
    }
    for range in ranges {
        range.text();
    }
}

struct DataDisks {
    size_in_gb: u32,
    count: u32,
    caching_type: String,
    storage_account_type: String,
}

fn data_disks(disks: &Fields<'_>) -> Option<DataDisks> {
    let number =
        |name| disks.required(name).and_then(|place: Place<'_>| place.whole_number(1..=LARGEST));
    let (size, count) = (number("diskSizeInGB"), number("diskCount"));
    let caching = match disks.optional("cachingType") {
        Some(place) => rules::one_of(&place, &CACHING),
        None => Some("none"),
    };
    let storage =
        disks.required("storageAccountType").and_then(|place| rules::one_of(&place, &STORAGE));
    Some(DataDisks {
        size_in_gb: size?,
        count: count?,
        caching_type: caching?.to_owned(),
        storage_account_type: storage?.to_owned(),
    })
}
