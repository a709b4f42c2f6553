//! `environmentVariables` and `secrets` of setup tasks and jobs.

use crate::codes;
use crate::read::{Fields, Place};
use crate::rules;
use model::{EnvironmentVariable, SealedSecret, limits};
use std::collections::HashSet;
use std::fmt;

/// A secret as it was sent. Its `Debug` shows no value.
#[derive(Clone, PartialEq, Eq)]
pub struct PlainSecret {
    pub name: String,
    pub value: String,
}

impl fmt::Debug for PlainSecret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("PlainSecret").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Both lists; `None` where the body has no such list.
pub(super) struct Environment {
    pub variables: Option<Vec<EnvironmentVariable>>,
    pub secrets: Option<Vec<PlainSecret>>,
}

/// A name and its value, as both lists have them, and where the entry stands.
struct Entry<'a> {
    place: Place<'a>,
    name: String,
    value: String,
}

/// Reads both lists of a setup task or a job. They share one set of names and one limit of size,
/// because a process gets them together.
pub(super) fn environment(owner: &Fields<'_>) -> Environment {
    let variables = entries(owner, "environmentVariables", variable);
    let secrets = entries(owner, "secrets", secret);
    let all = || variables.iter().chain(&secrets).flatten();

    let mut names = HashSet::new();
    for entry in all() {
        if !names.insert(entry.name.as_str()) {
            entry.place.invalid(&format!("must not set {} a second time", entry.name));
        }
    }
    let bytes: usize = all().map(|entry| entry.name.len() + entry.value.len()).sum();
    if bytes > limits::MAX_ENVIRONMENT_BYTES {
        owner.invalid(&format!(
            "must not have more than {} bytes of environmentVariables and secrets, but has {bytes}",
            limits::MAX_ENVIRONMENT_BYTES
        ));
    }

    let variable = |Entry { name, value, .. }| EnvironmentVariable { name, value };
    let secret = |Entry { name, value, .. }| PlainSecret { name, value };
    Environment {
        variables: variables.map(|entries| entries.into_iter().map(variable).collect()),
        secrets: secrets.map(|entries| entries.into_iter().map(secret).collect()),
    }
}

/// The entries of a list that are readable; the others have been told to the report.
fn entries<'a>(
    owner: &Fields<'a>,
    list: &str,
    read: impl Fn(&Fields<'a>) -> Option<(String, String)>,
) -> Option<Vec<Entry<'a>>> {
    let items = owner.optional(list)?.items()?;
    let entry = |place: Place<'a>| {
        let (name, value) = read(&place.object()?)?;
        Some(Entry { place, name, value })
    };
    Some(items.into_iter().filter_map(entry).collect())
}

fn variable(fields: &Fields<'_>) -> Option<(String, String)> {
    let name = variable_name(fields);
    let value = fields.required("value").and_then(|place| rules::text(&place));
    Some((name?, value?))
}

fn secret(fields: &Fields<'_>) -> Option<(String, String)> {
    let name = variable_name(fields);
    let value = match fields.optional("valueSecretReference") {
        Some(reference) => {
            reference.refuse(
                codes::SECRET_REFERENCE_NOT_SUPPORTED,
                "is not supported in this version: give the secret itself as value; it is kept encrypted and never shown",
            );
            None
        }
        None => fields.required("value").and_then(|place| rules::text(&place)),
    };
    Some((name?, value?))
}

fn variable_name(fields: &Fields<'_>) -> Option<String> {
    let place = fields.required("name")?;
    let name = place.text()?;
    let mut letters = name.chars();
    let begins = letters.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
    if !begins || !letters.all(|c| c.is_ascii_alphanumeric() || c == '_') {
        place.invalid(&format!(
            "must be letters, digits and underscores, not beginning with a digit, but is {}",
            rules::quoted(name)
        ));
        return None;
    }
    Some(name.to_owned())
}

pub(super) fn sealed(
    secrets: Vec<PlainSecret>,
    seal: &mut impl FnMut(&str) -> String,
) -> Vec<SealedSecret> {
    let seal =
        |secret: PlainSecret| SealedSecret { sealed: seal(&secret.value), name: secret.name };
    secrets.into_iter().map(seal).collect()
}

/// Whether a stored list has the same secrets by name. Their values cannot be compared: what is
/// stored is sealed.
pub(super) fn same_names(requested: &[PlainSecret], stored: &[SealedSecret]) -> bool {
    requested.iter().map(|secret| &secret.name).eq(stored.iter().map(|secret| &secret.name))
}
