//! The variables that a client may set. Neither the loader's nor the shell's: a variable that changes what is
//! executed is none of them.

use std::collections::BTreeMap;

use crate::limits;

/// Names that are accepted as they are.
const NAMES: &[&str] = &["COLORTERM", "LANG", "LANGUAGE", "NO_COLOR", "TZ"];

/// Beginnings of names that are accepted: the language, the variables of jobs, and the settings of what
/// runs across nodes.
const PREFIXES: &[&str] =
    &["AZ_BATCHAI_", "HOROVOD_", "LC_", "NCCL_", "OMPI_", "OMP_", "PMIX_", "PRTE_"];

/// Whether a client may set the variable `name`. What the session has already, it keeps.
pub fn is_accepted(name: &str) -> bool {
    let is_plain = |it: u8| it == b'_' || it.is_ascii_alphanumeric();
    name.bytes().all(is_plain)
        && (NAMES.contains(&name) || PREFIXES.iter().any(|prefix| name.starts_with(prefix)))
}

/// The variables that the client of one session has set.
#[derive(Debug, Default)]
pub struct Variables {
    variables: BTreeMap<String, String>,
    bytes: usize,
}

impl Variables {
    /// False when the variable is not accepted, or there are too many.
    pub fn set(&mut self, name: &str, value: &str) -> bool {
        let bytes = self.bytes + name.len() + value.len();
        let is_accepted = is_accepted(name)
            && !value.contains('\0')
            && bytes <= limits::VARIABLES_BYTES
            && self.variables.len() < limits::VARIABLES;
        if is_accepted {
            self.bytes = bytes;
            self.variables.insert(name.to_owned(), value.to_owned());
        }
        is_accepted
    }

    /// What was set.
    pub fn into_map(self) -> BTreeMap<String, String> {
        self.variables
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_that_change_what_is_executed_are_refused() {
        for name in ["LANG", "LC_ALL", "TZ", "AZ_BATCHAI_TASK_INDEX", "OMPI_MCA_btl"] {
            assert!(is_accepted(name), "{name}");
        }
        for name in
            ["PATH", "LD_PRELOAD", "BASH_ENV", "HOME", "IFS", "", "LC_ALL=x", "BATCHAI_ATTEMPT"]
        {
            assert!(!is_accepted(name), "{name}");
        }
    }

    #[test]
    fn their_number_and_size_are_limited() {
        let mut variables = Variables::default();
        assert!(!variables.set("LANG", "a\0b"));
        assert!(!variables.set("LANG", &"x".repeat(limits::VARIABLES_BYTES)));
        for index in 0..limits::VARIABLES {
            assert!(variables.set(&format!("LC_{index}"), "C"));
        }
        assert!(!variables.set("LANG", "C"));
        assert_eq!(variables.into_map().len(), limits::VARIABLES);
    }
}
