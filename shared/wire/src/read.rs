//! Reading a JSON body field by field: every reader knows the path of what it reads and tells what
//! is wrong with it in one report, so that a refused request is told about all its mistakes.
//!
//! The convention of this crate: a rule is a function that takes a [`Place`] and returns `None`
//! after it has told the report why. Fields that no rule asks for are ignored, as clients of other
//! API versions send them.

use crate::{Violation, Violations, codes};
use serde_json::{Map, Value};
use std::cell::RefCell;
use std::ops::RangeInclusive;

/// What is wrong so far.
#[derive(Debug, Default)]
pub(crate) struct Report(RefCell<Vec<Violation>>);

/// A value of the body, and where it stands.
#[derive(Clone, Debug)]
pub(crate) struct Place<'a> {
    value: &'a Value,
    pub path: String,
    report: &'a Report,
}

/// An object of the body.
#[derive(Clone, Debug)]
pub(crate) struct Fields<'a> {
    map: &'a Map<String, Value>,
    pub path: String,
    report: &'a Report,
}

/// Reads a whole body. `read` may return `None` only after it has told the report why.
pub(crate) fn body<T>(
    bytes: &[u8],
    read: impl FnOnce(&Fields<'_>) -> Option<T>,
) -> Result<T, Violations> {
    let value: Value = serde_json::from_slice(bytes).map_err(|error| {
        let predicate = format!("must be a JSON object, but cannot be read: {error}");
        Violation::new(codes::INVALID_REQUEST_CONTENT, "", &predicate)
    })?;
    let report = Report::default();
    let request = Place { value: &value, path: String::new(), report: &report }
        .object()
        .and_then(|fields| read(&fields));
    match (Violations::collected(report.0.into_inner()), request) {
        (None, Some(request)) => Ok(request),
        (Some(violations), _) => Err(violations),
        (None, None) => {
            let predicate = "is not a valid request";
            Err(Violation::new(codes::INVALID_REQUEST_CONTENT, "", predicate).into())
        }
    }
}

impl<'a> Place<'a> {
    pub fn refuse(&self, code: &'static str, predicate: &str) {
        self.report.add(Violation::new(code, self.path.clone(), predicate));
    }

    /// Against the general rules of the field.
    pub fn invalid(&self, predicate: &str) {
        self.refuse(codes::INVALID_PARAMETER, predicate);
    }

    pub fn object(&self) -> Option<Fields<'a>> {
        let Value::Object(map) = self.value else {
            return self.wrong_type("an object");
        };
        Some(Fields { map, path: self.path.clone(), report: self.report })
    }

    /// The items of a list; `None` if it is no list.
    pub fn items(&self) -> Option<Vec<Place<'a>>> {
        let Value::Array(items) = self.value else {
            return self.wrong_type("a list");
        };
        let place = |(index, value)| Place {
            value,
            path: format!("{}[{index}]", self.path),
            report: self.report,
        };
        Some(items.iter().enumerate().map(place).collect())
    }

    pub fn is_empty_list(&self) -> bool {
        self.value.as_array().is_some_and(Vec::is_empty)
    }

    pub fn text(&self) -> Option<&'a str> {
        match self.value {
            Value::String(text) => Some(text),
            _ => self.wrong_type("a string"),
        }
    }

    pub fn whole_number(&self, range: RangeInclusive<u32>) -> Option<u32> {
        let (least, most) = (range.start(), range.end());
        let Value::Number(number) = self.value else {
            return self.wrong_type(&format!("a whole number from {least} to {most}"));
        };
        let whole = number.as_u64().and_then(|number| u32::try_from(number).ok());
        let found = whole.filter(|whole| range.contains(whole));
        if found.is_none() {
            self.invalid(&format!(
                "must be a whole number from {least} to {most}, but is {number}"
            ));
        }
        found
    }

    fn wrong_type<T>(&self, expected: &str) -> Option<T> {
        let found = match self.value {
            Value::Null => "null",
            Value::Bool(_) => "true or false",
            Value::Number(_) => "a number",
            Value::String(_) => "a string",
            Value::Array(_) => "a list",
            Value::Object(_) => "an object",
        };
        // Never the value itself: it may be a secret.
        self.invalid(&format!("must be {expected}, but is {found}"));
        None
    }
}

impl<'a> Fields<'a> {
    /// A field that may be absent; `null` counts as absent, as some clients send it for that.
    pub fn optional(&self, name: &str) -> Option<Place<'a>> {
        let value = self.map.get(name).filter(|value| !value.is_null())?;
        Some(Place { value, path: self.path_of(name), report: self.report })
    }

    pub fn required(&self, name: &str) -> Option<Place<'a>> {
        let place = self.optional(name);
        if place.is_none() {
            let path = self.path_of(name);
            self.report.add(Violation::new(codes::INVALID_PARAMETER, path, "is required"));
        }
        place
    }

    pub fn has(&self, name: &str) -> bool {
        self.map.get(name).is_some_and(|value| !value.is_null())
    }

    /// Something is wrong with the object as a whole.
    pub fn invalid(&self, predicate: &str) {
        let violation = Violation::new(codes::INVALID_PARAMETER, self.path.clone(), predicate);
        self.report.add(violation);
    }

    /// All fields, for objects whose names the user chooses.
    pub fn all(&self) -> impl Iterator<Item = (&'a str, Place<'a>)> {
        let place = |name: &str, value: &'a Value| Place {
            value,
            path: format!("{}[{}]", self.path, crate::rules::quoted(name)),
            report: self.report,
        };
        self.map.iter().map(move |(name, value)| (name.as_str(), place(name, value)))
    }

    fn path_of(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }
}

impl Report {
    fn add(&self, violation: Violation) {
        self.0.borrow_mut().push(violation);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(bytes: &str) -> String {
        body(bytes.as_bytes(), |_| Some(())).expect_err("refused").to_string()
    }

    #[test]
    fn what_is_no_json_says_where() {
        assert_eq!(
            refusal("{\"properties\": {\n  \"nodeCount\": 1,,"),
            "The body must be a JSON object, but cannot be read: key must be a string at line 2 column 18"
        );
        assert_eq!(refusal("[]"), "The body must be an object, but is a list");
        assert_eq!(
            refusal(""),
            "The body must be a JSON object, but cannot be read: EOF while parsing a value at line 1 column 0"
        );
    }
}
