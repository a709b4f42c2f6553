//! Rules for single values that several requests share.

use crate::paths;
use crate::read::{Fields, Place};
use model::limits;

/// Text that came from a user, safe to show in a message: quoted, escaped and cut short. All of it
/// is ASCII, as an error's message may also become the reason phrase of HTTP (section 1).
pub(crate) fn quoted(text: &str) -> String {
    const LONGEST: usize = 64;
    let shown: String = text.chars().take(LONGEST).collect();
    let ellipsis = if shown.len() < text.len() { "..." } else { "" };
    format!("\"{}{ellipsis}\"", shown.escape_default())
}

/// Text that can be given to a process: no system call takes NUL bytes.
pub(crate) fn text(place: &Place<'_>) -> Option<String> {
    let text = place.text()?;
    if text.contains('\0') {
        place.invalid("must not contain NUL characters");
        return None;
    }
    Some(text.to_owned())
}

pub(crate) fn non_empty(place: &Place<'_>) -> Option<String> {
    let text = text(place)?;
    if text.trim().is_empty() {
        place.invalid("must not be empty");
        return None;
    }
    Some(text)
}

pub(crate) fn command_line(place: &Place<'_>) -> Option<String> {
    let command = non_empty(place)?;
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

/// The start of a path, below which the service creates directories. It usually begins with
/// `$AZ_BATCHAI_MOUNT_ROOT` or `$AZ_BATCHAI_JOB_MOUNT_ROOT`, but the service took any other too.
pub(crate) fn path_prefix(place: &Place<'_>) -> Option<String> {
    let path = non_empty(place)?;
    if paths::leads_upwards(&path) {
        place.invalid("must not contain `..`");
        return None;
    }
    Some(path)
}

/// A path below something; it cannot leave it.
pub(crate) fn relative_path(place: &Place<'_>) -> Option<String> {
    let path = path_prefix(place)?;
    if path.starts_with('/') {
        place.invalid("must be a relative path, without `/` at its start");
        return None;
    }
    Some(path)
}

/// `vmSize`, echoed as it was sent: names of Azure (`STANDARD_NC6`) or of EC2 (`g5.xlarge`).
pub(crate) fn vm_size(place: &Place<'_>) -> Option<String> {
    let size = place.text()?;
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    if size.is_empty() || size.len() > 64 || !size.chars().all(plain) {
        place.invalid(&format!(
            "must be the name of a machine size, such as STANDARD_NC6, but is {}",
            quoted(size)
        ));
        return None;
    }
    Some(size.to_owned())
}

/// A word out of an enumeration, without regard to case.
pub(crate) fn one_of<T: Copy>(place: &Place<'_>, choices: &[(&str, T)]) -> Option<T> {
    let word = place.text()?;
    let found = choices.iter().find(|(choice, _)| choice.eq_ignore_ascii_case(word));
    if found.is_none() {
        let words: Vec<&str> = choices.iter().map(|(choice, _)| *choice).collect();
        place.invalid(&format!("must be one of {}, but is {}", words.join(", "), quoted(word)));
    }
    found.map(|(_, value)| *value)
}

/// `{"id": ...}` of a resource that belongs to Azure and is only echoed.
pub(crate) fn resource_id(place: &Place<'_>) -> Option<String> {
    non_empty(&place.object()?.required("id")?)
}

/// The items of a list that `read` can read, each with its place; the others have been told to the
/// report. At most [`limits::MAX_DIRECTORIES`].
pub(crate) fn list_of<'a, T>(
    list: &Place<'a>,
    read: impl Fn(&Fields<'a>) -> Option<T>,
) -> Vec<(Place<'a>, T)> {
    let items = list.items().unwrap_or_default();
    if items.len() > limits::MAX_DIRECTORIES {
        list.invalid(&format!(
            "must have at most {} entries, but has {}",
            limits::MAX_DIRECTORIES,
            items.len()
        ));
        return Vec::new();
    }
    let read = |place: Place<'a>| {
        let value = read(&place.object()?)?;
        Some((place, value))
    };
    items.into_iter().filter_map(read).collect()
}
