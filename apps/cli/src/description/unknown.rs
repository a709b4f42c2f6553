//! Fields of a description that the service does not know. It ignores them, as clients of other versions
//! send them; in a file of a person they are typing errors.

use serde_json::Value;
use std::collections::BTreeMap;

/// A field that is in no schema.
#[derive(Debug, PartialEq, Eq)]
pub struct UnknownField {
    /// As in the messages of the service: `properties.nodeCont`.
    pub path: String,
    /// The known field with the most similar name.
    pub similar: Option<String>,
}

/// How similar names must be: `nodeCont` and `nodeCount` have 0.98, `image` and `vmSize` 0.45.
const SIMILAR: f64 = 0.8;

/// The schemas of one kind of resource.
pub struct Schemas {
    pub request: Value,
    pub response: Value,
    /// What references in `response` name.
    pub definitions: BTreeMap<String, Value>,
}

impl Schemas {
    /// All unknown fields of `properties`. Fields of answers are known: files are made of answers too,
    /// and the service ignores what it sets itself.
    pub fn unknown_fields(&self, properties: &Value) -> Vec<UnknownField> {
        let mut found = Vec::new();
        let response = self.resolved(Some(&self.response));
        self.check(properties, &self.request, response, "properties", &mut found);
        found
    }

    /// The field of `properties` that is meant by a field beside it.
    pub fn is_property(&self, name: &str) -> bool {
        self.request["properties"].get(name).is_some()
    }

    fn check(
        &self,
        value: &Value,
        request: &Value,
        response: Option<&Value>,
        path: &str,
        found: &mut Vec<UnknownField>,
    ) {
        match value {
            Value::Object(fields) => {
                let known = request.get("properties").and_then(Value::as_object);
                let other_names = request.get("additionalProperties");
                for (name, value) in fields {
                    let inner = format!("{path}.{name}");
                    let answered = response.and_then(|it| it["properties"].get(name));
                    let answered = self.resolved(answered);
                    match (known.and_then(|known| known.get(name)), other_names, known) {
                        (Some(schema), _, _) | (None, Some(schema), _) => {
                            self.check(value, schema, answered, &inner, found);
                        }
                        (None, None, Some(known)) if answered.is_none() => {
                            let similar = most_similar(name, known.keys());
                            found.push(UnknownField { path: inner, similar });
                        }
                        (None, None, Some(_) | None) => {}
                    }
                }
            }
            Value::Array(items) => {
                let Some(schema) = request.get("items") else { return };
                let answered = self.resolved(response.and_then(|it| it.get("items")));
                for (index, item) in items.iter().enumerate() {
                    self.check(item, schema, answered, &format!("{path}[{index}]"), found);
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    /// The schema itself, behind a reference.
    fn resolved<'a>(&'a self, schema: Option<&'a Value>) -> Option<&'a Value> {
        let schema = schema?;
        let Some(reference) = schema["$ref"].as_str() else { return Some(schema) };
        self.definitions.get(reference.rsplit('/').next()?)
    }
}

/// The most similar one of `known`, if any is similar.
pub fn most_similar<'a>(name: &str, known: impl Iterator<Item = &'a String>) -> Option<String> {
    let name = name.to_lowercase();
    let similarity = |known: &&'a String| strsim::jaro_winkler(&name, &known.to_lowercase());
    known
        .filter(|known| similarity(known) >= SIMILAR)
        .max_by(|one, other| similarity(one).total_cmp(&similarity(other)))
        .cloned()
}
