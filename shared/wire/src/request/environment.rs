//! `environmentVariables` and `secrets` of set-up tasks and jobs.

use super::secret::{self, SecretInput};
use crate::read::{Fields, Place};
use crate::{patterns, rules};
use model::{EnvironmentVariable, SecretVariable, limits};
use std::collections::HashSet;

/// An environment variable whose value is secret, as it was sent. Its `Debug` shows no value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretVariableInput {
    /// The name of the variable.
    pub name: String,
    /// Its value, or a reference to it.
    pub value: SecretInput,
}

/// The two lists; `None` for one that the body does not have.
pub(super) struct Environment {
    pub variables: Option<Vec<EnvironmentVariable>>,
    pub secrets: Option<Vec<SecretVariableInput>>,
}

/// Reads both lists of a set-up task or a job. They share one set of names and one limit of size, as
/// both become the environment of one process.
pub(super) fn environment(owner: &Fields<'_>) -> Environment {
    let variables = entries(owner, "environmentVariables", variable);
    let secrets = entries(owner, "secrets", secret);

    let mut names = HashSet::new();
    let mut bytes = 0;
    let mut add = |place: &Place<'_>, name: &str, value_bytes: usize| {
        bytes += name.len() + value_bytes;
        if !names.insert(name.to_owned()) {
            place.invalid(&format!("must not set {name} a second time"));
        }
    };
    for (place, variable) in variables.iter().flatten() {
        add(place, &variable.name, variable.value.len());
    }
    for (place, secret) in secrets.iter().flatten() {
        match &secret.value {
            SecretInput::Value(value) => add(place, &secret.name, value.len()),
            SecretInput::Reference(_) => add(place, &secret.name, 0),
        }
    }
    if bytes > limits::MAX_ENVIRONMENT_BYTES {
        owner.invalid(&format!(
            "must not have more than {} bytes of environmentVariables and secrets, but has {bytes}",
            limits::MAX_ENVIRONMENT_BYTES
        ));
    }
    Environment { variables: variables.map(without_places), secrets: secrets.map(without_places) }
}

fn without_places<T>(entries: Vec<(Place<'_>, T)>) -> Vec<T> {
    entries.into_iter().map(|(_, entry)| entry).collect()
}

/// The valid entries of a list; violations of the others are in the report.
fn entries<'a, T>(
    owner: &Fields<'a>,
    list: &str,
    read: impl Fn(&Fields<'a>) -> Option<T>,
) -> Option<Vec<(Place<'a>, T)>> {
    let items = owner.optional(list)?.items()?;
    let entry = |place: Place<'a>| {
        let entry = read(&place.object()?)?;
        Some((place, entry))
    };
    Some(items.into_iter().filter_map(entry).collect())
}

fn variable(fields: &Fields<'_>) -> Option<EnvironmentVariable> {
    let name = variable_name(fields);
    let value = fields.required("value").and_then(|place| rules::text(&place));
    Some(EnvironmentVariable { name: name?, value: value? })
}

fn secret(fields: &Fields<'_>) -> Option<SecretVariableInput> {
    let name = variable_name(fields);
    let value = secret::either(fields, "value", "valueSecretReference", rules::text);
    Some(SecretVariableInput { name: name?, value: value? })
}

fn variable_name(fields: &Fields<'_>) -> Option<String> {
    rules::matching(&fields.required("name")?, &[&patterns::VARIABLE])
}

pub(super) fn stored(
    secrets: Vec<SecretVariableInput>,
    seal: &mut impl FnMut(&str) -> String,
) -> Vec<SecretVariable> {
    let kept = |secret: SecretVariableInput| SecretVariable {
        value: secret.value.into_stored(seal),
        name: secret.name,
    };
    secrets.into_iter().map(kept).collect()
}

/// Whether a stored list has the same secrets. Names and references are compared; encrypted values
/// cannot be.
pub(super) fn same_secrets(requested: &[SecretVariableInput], stored: &[SecretVariable]) -> bool {
    let same = |(requested, stored): (&SecretVariableInput, &SecretVariable)| {
        requested.name == stored.name && requested.value.is_same_as(&stored.value)
    };
    requested.len() == stored.len() && requested.iter().zip(stored).all(same)
}
