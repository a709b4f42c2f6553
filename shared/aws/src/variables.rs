//! The environment variables of a Lambda function.

/// A setting that is missing or invalid; a variable and what it must be.
#[derive(Debug, thiserror::Error)]
pub enum EnvironmentError {
    /// A required variable is not set.
    #[error("the environment variable {0} is not set")]
    Missing(&'static str),
    /// A variable has an invalid value.
    #[error("the environment variable {0} must be {1}")]
    Invalid(&'static str, &'static str),
    /// What a variable names cannot be used.
    #[error("the environment variable {name} names {what}: {problem}")]
    Unusable {
        /// The variable.
        name: &'static str,
        /// What it names.
        what: String,
        /// Why it cannot be used, and what to do.
        problem: String,
    },
}

/// Variables by name. An empty one is not set.
pub struct Variables<'a>(&'a dyn Fn(&str) -> Option<String>);

impl<'a> Variables<'a> {
    /// The variables that `find` returns.
    pub fn new(find: &'a dyn Fn(&str) -> Option<String>) -> Self {
        Self(find)
    }

    /// The value of a variable; `None` if it is not set.
    pub fn optional(&self, name: &str) -> Option<String> {
        self.0(name).filter(|value| !value.is_empty())
    }

    /// The value of a variable.
    ///
    /// # Errors
    /// When it is not set.
    pub fn required(&self, name: &'static str) -> Result<String, EnvironmentError> {
        self.optional(name).ok_or(EnvironmentError::Missing(name))
    }

    /// A whole number; `default` if the variable is not set.
    ///
    /// # Errors
    /// When it is no whole number.
    pub fn number(&self, name: &'static str, default: u64) -> Result<u64, EnvironmentError> {
        let Some(text) = self.optional(name) else { return Ok(default) };
        text.parse().map_err(|_| EnvironmentError::Invalid(name, "a whole number"))
    }

    /// As [`Self::number`], up to 4,294,967,295.
    ///
    /// # Errors
    /// When it is no whole number, or larger.
    pub fn small_number(&self, name: &'static str, default: u32) -> Result<u32, EnvironmentError> {
        let found = self.number(name, default.into())?;
        found.try_into().map_err(|_| EnvironmentError::Invalid(name, "a small whole number"))
    }
}

/// The value of a variable of this process.
#[expect(clippy::disallowed_methods, reason = "the one place that reads a function's environment")]
pub(crate) fn of_process(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// The value of a variable of this process.
///
/// # Errors
/// When it is not set, or empty.
pub fn required(name: &'static str) -> Result<String, EnvironmentError> {
    Variables::new(&of_process).required(name)
}
