//! Reads a JSON body field by field. Each reader knows the path of its field and adds its violations to
//! one report, so a refused request lists all its violations.
//!
//! The same readers produce the schema of a request: without a body, every field counts as present,
//! nothing is refused, and the rules of each field are written into the schema. So the schema states
//! exactly the rules that are checked.
//!
//! The conventions of this crate: a rule is a function that takes a [`Place`] and returns `None` after
//! it has added a violation to the report. All fields of an object are read before the first `None` is
//! returned. Fields that no rule reads are ignored: clients of other API versions send them.

use crate::error::quoted;
use crate::patterns::Pattern;
use crate::{Violation, Violations, codes};
use serde_json::{Map, Value, json};
use std::cell::RefCell;
use std::ops::RangeInclusive;

/// Every whole number up to this one is exact as a floating-point number: 2^53.
const LARGEST_EXACT: f64 = 9_007_199_254_740_992.0;

/// The result of the readers: the violations of a body or, without a body, its schema.
#[derive(Debug, Default)]
pub(crate) struct Report {
    violations: RefCell<Vec<Violation>>,
    schema: RefCell<Value>,
}

/// A value of the body, and its path.
#[derive(Clone, Debug)]
pub(crate) struct Place<'a> {
    /// `None` while a schema is produced.
    value: Option<&'a Value>,
    /// The path in the body or, without a body, in the schema.
    pub path: String,
    report: &'a Report,
}

/// An object of the body.
#[derive(Clone, Debug)]
pub(crate) struct Fields<'a> {
    map: Option<&'a Map<String, Value>>,
    pub path: String,
    report: &'a Report,
}

/// Reads a whole body. `read` may return `None` only after it has added a violation to the report.
pub(crate) fn body<T>(
    bytes: &[u8],
    read: impl FnOnce(&Fields<'_>) -> Option<T>,
) -> Result<T, Violations> {
    let value: Value = serde_json::from_slice(bytes).map_err(|error| {
        let predicate = format!("must be a JSON object, but cannot be read: {error}");
        Violation::new(codes::INVALID_REQUEST_CONTENT, "", &predicate)
    })?;
    let report = Report::default();
    let request = Place { value: Some(&value), path: String::new(), report: &report }
        .object()
        .and_then(|fields| read(&fields));
    match (Violations::collected(report.violations.into_inner()), request) {
        (None, Some(request)) => Ok(request),
        (Some(violations), _) => Err(violations),
        (None, None) => {
            let predicate = "is not a valid request";
            Err(Violation::new(codes::INVALID_REQUEST_CONTENT, "", predicate).into())
        }
    }
}

/// The JSON Schema of the bodies that `read` reads.
pub(crate) fn schema<T>(read: impl FnOnce(&Fields<'_>) -> Option<T>) -> Value {
    let report = Report { schema: RefCell::new(json!({})), ..Report::default() };
    let body = Place { value: None, path: String::new(), report: &report };
    let _nothing_is_read = body.object().and_then(|fields| read(&fields));
    report.schema.into_inner()
}

impl<'a> Place<'a> {
    /// Reports a violation of the field.
    pub fn invalid(&self, predicate: &str) {
        if self.value.is_some() {
            let violation = Violation::new(codes::INVALID_PARAMETER, self.path.clone(), predicate);
            self.report.add(violation);
        }
    }

    /// Adds keywords to the schema.
    pub fn describe(&self, keywords: impl FnOnce() -> Value) {
        if self.value.is_none() {
            self.report.describe(&self.path, keywords());
        }
    }

    pub fn object(&self) -> Option<Fields<'a>> {
        self.describe(|| json!({ "type": "object" }));
        let map = match self.value {
            Some(Value::Object(map)) => Some(map),
            Some(found) => return self.wrong_type("an object", found),
            None => None,
        };
        Some(Fields { map, path: self.path.clone(), report: self.report })
    }

    /// The items of a list; `None` if it is no list.
    pub fn items(&self) -> Option<Vec<Place<'a>>> {
        self.describe(|| json!({ "type": "array", "items": {} }));
        let report = self.report;
        let items = match self.value {
            Some(Value::Array(items)) => items,
            Some(found) => return self.wrong_type("a list", found),
            None => {
                let path = format!("{}/items", self.path);
                return Some(vec![Place { value: None, path, report }]);
            }
        };
        let place = |(index, value)| Place {
            value: Some(value),
            path: format!("{}[{index}]", self.path),
            report,
        };
        Some(items.iter().enumerate().map(place).collect())
    }

    /// The items of a list of at most `most`; `None` if it is no list, or longer.
    pub fn items_up_to(&self, most: usize) -> Option<Vec<Place<'a>>> {
        self.describe(|| json!({ "maxItems": most }));
        let items = self.items()?;
        if items.len() > most {
            self.invalid(&format!("must have at most {most} entries, but has {}", items.len()));
            return None;
        }
        Some(items)
    }

    pub fn text(&self) -> Option<&'a str> {
        self.describe(|| json!({ "type": "string" }));
        match self.value? {
            Value::String(text) => Some(text),
            found => self.wrong_type("a string", found),
        }
    }

    /// A text that matches all patterns; the first one that it does not match is reported.
    pub fn matching(&self, patterns: &[&Pattern]) -> Option<&'a str> {
        for pattern in patterns {
            self.describe(|| json!({ "pattern": pattern.source }));
        }
        let text = self.text()?;
        let Some(broken) = patterns.iter().find(|pattern| !pattern.is_kept_by(text)) else {
            return Some(text);
        };
        match broken.shows_text {
            true => self.invalid(&format!("{}, but is {}", broken.predicate, quoted(text))),
            false => self.invalid(broken.predicate),
        }
        None
    }

    pub fn whole_number<N: Into<u64> + TryFrom<u64> + Copy>(
        &self,
        range: RangeInclusive<N>,
    ) -> Option<N> {
        let (least, most): (u64, u64) = ((*range.start()).into(), (*range.end()).into());
        self.describe(|| json!({ "type": "integer", "minimum": least, "maximum": most }));
        let number = match self.value? {
            Value::Number(number) => number,
            found => {
                let expected = format!("a whole number from {least} to {most}");
                return self.wrong_type(&expected, found);
            }
        };
        // 1.0 and 1e2 are integers too (JSON Schema, "integer").
        let float = |number: &f64| number.fract() == 0.0 && (0.0..=LARGEST_EXACT).contains(number);
        let whole = number
            .as_u64()
            .or_else(|| number.as_f64().filter(float).map(|number| number as u64))
            .filter(|whole| (least..=most).contains(whole));
        let found = whole.and_then(|whole| N::try_from(whole).ok());
        if found.is_none() {
            self.invalid(&format!(
                "must be a whole number from {least} to {most}, but is {number}"
            ));
        }
        found
    }

    /// True or false.
    pub fn boolean(&self) -> Option<bool> {
        self.describe(|| json!({ "type": "boolean" }));
        match self.value? {
            Value::Bool(value) => Some(*value),
            found => self.wrong_type("true or false", found),
        }
    }

    fn wrong_type<T>(&self, expected: &str, found: &Value) -> Option<T> {
        let found = match found {
            Value::Null => "null",
            Value::Bool(_) => "true or false",
            Value::Number(_) => "a number",
            Value::String(_) => "a string",
            Value::Array(_) => "a list",
            Value::Object(_) => "an object",
        };
        // The message does not contain the value: it may be a secret.
        self.invalid(&format!("must be {expected}, but is {found}"));
        None
    }
}

impl<'a> Fields<'a> {
    /// A field that may be absent. `null` is a violation: an absent field has the same meaning, and
    /// the official clients leave it out (docs/contract.md, "REST conventions").
    pub fn optional(&self, name: &str) -> Option<Place<'a>> {
        let (path, report) = (self.path_of(name), self.report);
        let Some(map) = self.map else {
            self.describe(|| json!({ "properties": { name: {} } }));
            return Some(Place { value: None, path, report });
        };
        let place = Place { value: Some(map.get(name)?), path, report };
        if place.value.is_some_and(Value::is_null) {
            place.invalid("must not be null; leave the field out instead");
            return None;
        }
        Some(place)
    }

    pub fn required(&self, name: &str) -> Option<Place<'a>> {
        self.describe(|| json!({ "required": [name] }));
        let place = self.optional(name);
        if place.is_none() && !self.has(name) {
            let path = self.path_of(name);
            self.report.add(Violation::new(codes::INVALID_PARAMETER, path, "is required"));
        }
        place
    }

    pub fn has(&self, name: &str) -> bool {
        self.map.is_none_or(|map| map.contains_key(name))
    }

    /// The present ones of these fields. The schema requires exactly one.
    pub fn exactly_one_of<'n>(&self, names: &[&'n str]) -> Vec<&'n str> {
        self.describe(|| json!({ "oneOf": each_required(names) }));
        names.iter().copied().filter(|name| self.has(name)).collect()
    }

    /// The present ones of these fields. The schema requires at least one.
    pub fn some_of<'n>(&self, names: &[&'n str]) -> Vec<&'n str> {
        self.describe(|| json!({ "anyOf": each_required(names) }));
        names.iter().copied().filter(|name| self.has(name)).collect()
    }

    /// Reports a violation of the object as a whole.
    pub fn invalid(&self, predicate: &str) {
        if self.map.is_some() {
            let violation = Violation::new(codes::INVALID_PARAMETER, self.path.clone(), predicate);
            self.report.add(violation);
        }
    }

    /// Adds keywords to the schema.
    pub fn describe(&self, keywords: impl FnOnce() -> Value) {
        if self.map.is_none() {
            self.report.describe(&self.path, keywords());
        }
    }

    /// All fields of an object whose field names the user chooses.
    pub fn all(&self) -> Vec<(&'a str, Place<'a>)> {
        let report = self.report;
        let Some(map) = self.map else {
            self.describe(|| json!({ "additionalProperties": {} }));
            let path = format!("{}/additionalProperties", self.path);
            return vec![("", Place { value: None, path, report })];
        };
        let place = |(name, value): (&'a String, &'a Value)| {
            let path = format!("{}[{}]", self.path, quoted(name));
            (name.as_str(), Place { value: Some(value), path, report })
        };
        map.iter().map(place).collect()
    }

    fn path_of(&self, name: &str) -> String {
        match (self.map, self.path.as_str()) {
            (None, path) => format!("{path}/properties/{name}"),
            (Some(_), "") => name.to_owned(),
            (Some(_), path) => format!("{path}.{name}"),
        }
    }
}

impl Report {
    fn add(&self, violation: Violation) {
        self.violations.borrow_mut().push(violation);
    }

    fn describe(&self, pointer: &str, keywords: Value) {
        let mut schema = self.schema.borrow_mut();
        let described = schema.pointer_mut(pointer).expect("a place is described before its parts");
        merge(described, keywords);
    }
}

/// Merges objects and appends to `required`. A keyword that exists with another value goes into
/// `allOf`, so that both apply.
fn merge(schema: &mut Value, keywords: Value) {
    let (Value::Object(schema), Value::Object(keywords)) = (schema, keywords) else { return };
    for (keyword, new) in keywords {
        match (schema.get_mut(&keyword), new) {
            (None, new) => {
                schema.insert(keyword, new);
            }
            (Some(Value::Object(_)), new @ Value::Object(_)) => merge(&mut schema[&keyword], new),
            (Some(Value::Array(known)), Value::Array(new)) if keyword == "required" => {
                known.extend(new);
            }
            (Some(known), new) if *known == new => {}
            (Some(_), new) => {
                let also = schema.entry("allOf").or_insert_with(|| json!([]));
                also.as_array_mut().expect("made here").push(json!({ keyword: new }));
            }
        }
    }
}

fn each_required(names: &[&str]) -> Vec<Value> {
    names.iter().map(|name| json!({ "required": [name] })).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::patterns;

    fn refusal(bytes: &str) -> String {
        body(bytes.as_bytes(), |_| Some(())).expect_err("refused").to_string()
    }

    #[test]
    fn a_syntax_error_has_its_position() {
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

    #[test]
    fn readers_produce_a_schema() {
        let schema = schema(|fields| {
            let name = fields
                .required("name")
                .and_then(|place| place.matching(&[&patterns::NOT_EMPTY, &patterns::IMAGE]));
            let counts = fields.optional("counts")?.items_up_to(3)?;
            let counts = counts.iter().filter_map(|place| place.whole_number(1..=9_u32)).count();
            let inner = fields.required("inner")?.object()?;
            inner.exactly_one_of(&["a", "b"]);
            let a = inner.optional("a").and_then(|place| place.text());
            let free = fields.optional("free")?.object()?.all().len();
            (name.is_some() || a.is_some()).then_some(counts + free)
        });
        insta::assert_snapshot!(serde_json::to_string_pretty(&schema).unwrap(), @r#"
        {
          "properties": {
            "counts": {
              "items": {
                "maximum": 9,
                "minimum": 1,
                "type": "integer"
              },
              "maxItems": 3,
              "type": "array"
            },
            "free": {
              "additionalProperties": {},
              "type": "object"
            },
            "inner": {
              "oneOf": [
                {
                  "required": [
                    "a"
                  ]
                },
                {
                  "required": [
                    "b"
                  ]
                }
              ],
              "properties": {
                "a": {
                  "type": "string"
                }
              },
              "type": "object"
            },
            "name": {
              "allOf": [
                {
                  "pattern": "^[^\\s]+$"
                }
              ],
              "pattern": "\\S",
              "type": "string"
            }
          },
          "required": [
            "name",
            "inner"
          ],
          "type": "object"
        }
        "#);
    }
}
