//! Creating file servers (docs/contract.md, "File servers").

use super::account;
use crate::read::{self, Fields, Place};
use crate::{Violations, patterns, rules};
use model::{DataRetention, FileServer, FileServerSpec, limits};

const CACHING: [(&str, &str); 3] =
    [("none", "none"), ("readonly", "readonly"), ("readwrite", "readwrite")];
const STORAGE: [(&str, &str); 2] =
    [("Standard_LRS", "Standard_LRS"), ("Premium_LRS", "Premium_LRS")];
const RETENTION: [(&str, DataRetention); 2] =
    [("delete", DataRetention::Delete), ("keep", DataRetention::Keep)];

/// Parses `FileServerCreateParameters`.
///
/// # Errors
/// All violations of the body.
pub fn parse_file_server_create(body: &[u8]) -> Result<FileServerSpec, Violations> {
    read::body(body, file_server)
}

/// Whether the file server already is as requested, so that a repeated request changes nothing.
pub fn is_same_file_server(requested: &FileServerSpec, existing: &FileServer) -> bool {
    // The service fills in a subnet where the request has none.
    let subnet_id = requested.subnet_id.clone().or_else(|| existing.spec.subnet_id.clone());
    FileServerSpec { subnet_id, ..requested.clone() } == existing.spec
}

pub(crate) fn file_server(body: &Fields<'_>) -> Option<FileServerSpec> {
    let properties = body.required("properties")?.object()?;
    let vm_size = properties.required("vmSize").and_then(|place| rules::vm_size(&place));
    let ssh = properties.required("sshConfiguration").and_then(|place| place.object());
    let public_ips_to_allow =
        ssh.as_ref().and_then(|ssh| ip_ranges(&ssh.optional("publicIPsToAllow")?));
    let user_account = ssh.as_ref().and_then(account::user_account);
    let disks = properties.required("dataDisks").and_then(|place| data_disks(&place.object()?));
    let subnet = properties.optional("subnet").and_then(|place| rules::resource_id(&place));
    let data_retention = properties
        .optional("extensions")
        .and_then(|place| place.object()?.optional("dataRetention"))
        .and_then(|place| rules::one_of(&place, &RETENTION));
    let disks = disks?;
    // The password is only checked: nobody logs in to a file server.
    let (user_account, _) = user_account?;
    Some(FileServerSpec {
        vm_size: vm_size?,
        public_ips_to_allow,
        user_account,
        disk_size_in_gb: disks.size_in_gb,
        disk_count: disks.count,
        caching_type: disks.caching_type,
        storage_account_type: disks.storage_account_type,
        subnet_id: subnet.map(|subnet| subnet.id),
        data_retention: data_retention.unwrap_or_default(),
    })
}

fn ip_ranges(place: &Place<'_>) -> Option<Vec<String>> {
    let range = |place: &Place<'_>| rules::matching(place, &[&patterns::IP_RANGE]);
    rules::texts(place, limits::MAX_IP_RANGES, range)
}

struct DataDisks {
    size_in_gb: u32,
    count: u32,
    caching_type: String,
    storage_account_type: String,
}

fn data_disks(disks: &Fields<'_>) -> Option<DataDisks> {
    let number = |name| {
        disks
            .required(name)
            .and_then(|place: Place<'_>| place.whole_number(1..=rules::LARGEST_NUMBER))
    };
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
