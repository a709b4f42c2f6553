//! Rules for single values that several requests share.

use crate::error::quoted;
use crate::patterns::{self, Pattern};
use crate::read::{Fields, Place};
use model::vm_size::check_cluster_size;
use model::{ResourceId, limits};
use serde_json::json;

/// The largest number of the contract, which has signed 32-bit integers.
pub(crate) const LARGEST_NUMBER: u32 = i32::MAX.unsigned_abs();

/// A text that can be passed to a process: without NUL bytes.
pub(crate) fn text(place: &Place<'_>) -> Option<String> {
    matching(place, &[])
}

pub(crate) fn non_empty(place: &Place<'_>) -> Option<String> {
    matching(place, &[&patterns::NOT_EMPTY])
}

/// A text that matches these patterns.
pub(crate) fn matching(place: &Place<'_>, patterns: &[&Pattern]) -> Option<String> {
    let text = place.matching(patterns)?;
    if text.contains('\0') {
        place.invalid("must not contain NUL characters");
        return None;
    }
    Some(text.to_owned())
}

pub(crate) fn command_line(place: &Place<'_>) -> Option<String> {
    short(place, non_empty)
}

/// The arguments of a command; may be empty.
pub(crate) fn arguments(place: &Place<'_>) -> Option<String> {
    short(place, text)
}

fn short(place: &Place<'_>, read: fn(&Place<'_>) -> Option<String>) -> Option<String> {
    place.describe(|| json!({ "maxLength": limits::MAX_COMMAND_LINE_BYTES }));
    let command = read(place)?;
    if command.len() > limits::MAX_COMMAND_LINE_BYTES {
        place.invalid(&format!(
            "must have at most {} bytes, but has {}; put the commands into a script file",
            limits::MAX_COMMAND_LINE_BYTES,
            command.len()
        ));
        return None;
    }
    Some(command)
}

/// The prefix of the directories that the service creates. It usually begins with
/// `$AZ_BATCHAI_MOUNT_ROOT` or `$AZ_BATCHAI_JOB_MOUNT_ROOT`, but the Batch AI service accepted any.
pub(crate) fn path_prefix(place: &Place<'_>) -> Option<String> {
    matching(place, &[&patterns::NOT_EMPTY, &patterns::NOT_UPWARDS])
}

/// A relative path that does not lead out of its directory.
pub(crate) fn relative_path(place: &Place<'_>) -> Option<String> {
    matching(place, &[&patterns::NOT_EMPTY, &patterns::NOT_UPWARDS, &patterns::RELATIVE])
}

/// A relative path that names a directory, so not only `.`.
pub(crate) fn directory(place: &Place<'_>) -> Option<String> {
    let patterns: [&Pattern; 4] = [
        &patterns::NOT_EMPTY,
        &patterns::NOT_UPWARDS,
        &patterns::RELATIVE,
        &patterns::NAMES_DIRECTORY,
    ];
    matching(place, &patterns)
}

/// The size of a machine, returned as it was sent: names of Azure (`STANDARD_NC6`) or of EC2
/// (`g5.xlarge`).
pub(crate) fn vm_size(place: &Place<'_>) -> Option<String> {
    matching(place, &[&patterns::VM_SIZE])
}

/// A machine size for a cluster.
pub(crate) fn cluster_vm_size(place: &Place<'_>) -> Option<String> {
    place.describe(|| json!({ "pattern": patterns::CLUSTER_VM_SIZE.source }));
    let size = place.text()?;
    let checked = check_cluster_size(size);
    checked.inspect_err(|problem| place.invalid(&problem.to_string())).ok()?;
    Some(size.to_owned())
}

/// A value of an enumeration, in any case.
pub(crate) fn one_of<T: Copy>(place: &Place<'_>, choices: &[(&str, T)]) -> Option<T> {
    let words = || choices.iter().map(|(choice, _)| *choice).collect::<Vec<&str>>();
    place.describe(|| json!({ "enum": words() }));
    let word = place.text()?;
    let found = choices.iter().find(|(choice, _)| choice.eq_ignore_ascii_case(word));
    if found.is_none() {
        place.invalid(&format!("must be one of {}, but is {}", words().join(", "), quoted(word)));
    }
    found.map(|(_, value)| *value)
}

/// What the parts of a volume's name make, or a violation of the field that has them.
pub(crate) fn of_volume<T>(
    place: &Place<'_>,
    parsed: Result<T, model::InvalidVolumeUrl>,
) -> Option<T> {
    parsed.inspect_err(|_| place.invalid("must not contain `..` or a name that is too long")).ok()
}

/// `{"id": ...}` of a resource of Azure, which is stored and returned but never resolved.
pub(crate) fn resource_id(place: &Place<'_>) -> Option<ResourceId> {
    let id = non_empty(&place.object()?.required("id")?)?;
    Some(ResourceId { id })
}

/// Requires exactly one of two alternative fields.
pub(crate) fn either(fields: &Fields<'_>, one: &str, other: &str) {
    match fields.exactly_one_of(&[one, other]).len() {
        0 => fields.invalid(&format!("must have {one} or {other}")),
        1 => {}
        _ => fields.invalid(&format!("must have either {one} or {other}, not both")),
    }
}

/// The valid items of a list of at most `most`, each with its place. Violations of
/// the other items are in the report.
pub(crate) fn list_of<'a, T>(
    list: &Place<'a>,
    most: usize,
    read: impl Fn(&Fields<'a>) -> Option<T>,
) -> Vec<(Place<'a>, T)> {
    let read = |place: Place<'a>| {
        let value = read(&place.object()?)?;
        Some((place, value))
    };
    list.items_up_to(most).into_iter().flatten().filter_map(read).collect()
}

/// A list of texts.
pub(crate) fn texts(
    list: &Place<'_>,
    most: usize,
    read: impl Fn(&Place<'_>) -> Option<String>,
) -> Option<Vec<String>> {
    let texts: Vec<Option<String>> = list.items_up_to(most)?.iter().map(read).collect();
    texts.into_iter().collect()
}
