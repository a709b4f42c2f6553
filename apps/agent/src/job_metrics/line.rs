//! One line with metrics: a JSON object such as `{"step": 10, "loss": 0.31}`.

use std::borrow::Cow;
use std::fmt;

use protocol::{MAX_METRIC_STEP, is_metric_name};
use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// The fields that are the step, the first one that a line has. None of them is a metric.
const STEPS: [&str; 3] = ["step", "epoch", "iteration"];

/// What counts in a line.
#[derive(Debug, PartialEq)]
pub struct Line {
    pub step: Option<u64>,
    /// The metrics, in the order of the line.
    pub values: Vec<(String, f64)>,
}

/// `None` for a line that is no JSON object, or has no metric.
pub fn parse(line: &[u8]) -> Option<Line> {
    let line = line.trim_ascii();
    if line.first() != Some(&b'{') {
        return None;
    }
    let Fields(fields) = serde_json::from_slice(&with_null(line)).ok()?;
    let field = |name: &&str| fields.iter().rev().find(|(key, _)| key == name);
    let step = STEPS.iter().filter_map(field).find_map(|(_, value)| step(*value));
    let is_metric = |name: &str| !STEPS.contains(&name) && is_metric_name(name);
    let values: Vec<_> = fields.into_iter().filter(|(name, _)| is_metric(name)).collect();
    (!values.is_empty()).then_some(Line { step, values })
}

/// A whole number, also one that is written as `10.0`.
fn step(value: f64) -> Option<u64> {
    let is_step = value.fract() == 0.0 && (0.0..=MAX_METRIC_STEP as f64).contains(&value);
    is_step.then_some(value as u64)
}

/// The line as JSON: Python writes `NaN` and `Infinity`, which JSON does not have.
fn with_null(line: &[u8]) -> Cow<'_, [u8]> {
    const TOKENS: [&[u8]; 3] = [b"NaN", b"-Infinity", b"Infinity"];
    let has = |token: &[u8]| line.windows(token.len()).any(|part| part == token);
    if !has(TOKENS[0]) && !has(TOKENS[2]) {
        return Cow::Borrowed(line);
    }
    let (mut json, mut rest, mut is_text) = (Vec::with_capacity(line.len()), line, false);
    while let Some((byte, after)) = rest.split_first() {
        let token = TOKENS.iter().find(|token| !is_text && rest.starts_with(token));
        if let Some(token) = token {
            json.extend_from_slice(b"null");
            rest = &rest[token.len()..];
            continue;
        }
        json.push(*byte);
        rest = after;
        match byte {
            b'"' => is_text = !is_text,
            b'\\' if is_text => {
                if let Some((escaped, after)) = rest.split_first() {
                    json.push(*escaped);
                    rest = after;
                }
            }
            _ => {}
        }
    }
    Cow::Owned(json)
}

/// The fields of an object that are numbers, in their order.
struct Fields(Vec<(String, f64)>);

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;

        impl<'de> Visitor<'de> for Object {
            type Value = Fields;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
                let mut fields = Vec::new();
                while let Some(name) = map.next_key::<String>()? {
                    if let Some(number) = map.next_value_seed(Number)? {
                        fields.push((name, number));
                    }
                }
                Ok(Fields(fields))
            }
        }

        deserializer.deserialize_map(Object)
    }
}

/// A value, if it is a number.
struct Number;

impl<'de> DeserializeSeed<'de> for Number {
    type Value = Option<f64>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Number {
    type Value = Option<f64>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a value")
    }

    fn visit_f64<E>(self, value: f64) -> Result<Self::Value, E> {
        Ok(value.is_finite().then_some(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Self::Value, E> {
        Ok(Some(value as f64))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Self::Value, E> {
        Ok(Some(value as f64))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(None)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Values = Vec<(String, f64)>;

    fn line(text: &str) -> Option<(Option<u64>, Values)> {
        parse(text.as_bytes()).map(|Line { step, values }| (step, values))
    }

    fn values(pairs: &[(&str, f64)]) -> Values {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect()
    }

    #[test]
    fn a_line_has_a_step_and_metrics_in_its_order() {
        let found = line(r#" {"step": 10, "loss": 0.31, "accuracy": 9e-1, "n": -3} "#);
        let expected = values(&[("loss", 0.31), ("accuracy", 0.9), ("n", -3.0)]);
        assert_eq!(found, Some((Some(10), expected)));
        let loss = || values(&[("loss", 1.0)]);
        assert_eq!(line(r#"{"loss":1,"epoch":3,"iteration":70}"#), Some((Some(3), loss())));
        assert_eq!(line(r#"{"loss":1,"iteration":70.0}"#), Some((Some(70), loss())));
        assert_eq!(line(r#"{"step":-1,"epoch":2,"loss":1}"#), Some((Some(2), loss())));
        assert_eq!(line(r#"{"loss":1,"step":"7"}"#), Some((None, loss())));
        for step in ["-1", "0.5", "1e300", "true", "null", "9007199254740993"] {
            let text = format!(r#"{{"loss":1,"step":{step}}}"#);
            let is_rounded = step.starts_with('9');
            assert_eq!(line(&text), Some((is_rounded.then_some(1 << 53), loss())), "{step}");
        }
    }

    #[test]
    fn what_is_no_finite_number_is_ignored() {
        let text = r#"{"step":1,"loss":NaN,"a":Infinity,"b":-Infinity,"c":true,"d":null,"e":"1","f":[1,{}],
            "g":{"x":[NaN]},"a b":1,"NaN":2,"say \"NaN\"":3,"h":0.5}"#;
        let expected = values(&[("NaN", 2.0), ("h", 0.5)]);
        assert_eq!(line(&text.replace('\n', "")), Some((Some(1), expected)));
        assert_eq!(line(r#"{"step":1,"loss":NaN}"#), None);
    }

    #[test]
    fn other_lines_are_none() {
        let deep = format!(r#"{{"step":1,"loss":{}"#, "[".repeat(3000));
        let others = ["", "{", "loss: 0.5", "[1]", r#"{"step":1}"#, r#"{"step":1,"epoch":2}"#];
        for text in others.into_iter().chain([r#"{"loss":1}{"#, r#"{"loss":1e999}"#, &deep]) {
            assert_eq!(line(text), None, "{text}");
        }
        assert_eq!(parse(b"{\"loss\xff\":1}"), None);
        assert_eq!(parse(b"{\"a\":\"\xff\",\"loss\":1}"), None);
    }
}
