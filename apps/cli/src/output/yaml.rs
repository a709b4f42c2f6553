//! YAML 1.2 of the service's JSON, with the fields in the same order.

use crate::json::Json;

/// The document, without a line break at its end.
pub fn document(value: &Json) -> String {
    let mut text = String::new();
    match value {
        Json::Array(items) if !items.is_empty() => write_items(items, 0, &mut text),
        Json::Object(fields) if !fields.is_empty() => write_fields(fields, 0, &mut text),
        other => text.push_str(&scalar(other)),
    }
    text.truncate(text.trim_end_matches('\n').len());
    text
}

fn write_fields(fields: &[(String, Json)], indent: usize, text: &mut String) {
    for (index, (name, value)) in fields.iter().enumerate() {
        // The first field of an item of a list is on the line of its hyphen.
        if index > 0 || text.is_empty() || text.ends_with('\n') {
            text.push_str(&" ".repeat(indent));
        }
        text.push_str(&string(name));
        text.push(':');
        match value {
            Json::Object(inner) if !inner.is_empty() => {
                text.push('\n');
                write_fields(inner, indent + 2, text);
            }
            Json::Array(items) if !items.is_empty() => {
                text.push('\n');
                write_items(items, indent, text);
            }
            other => {
                text.push(' ');
                text.push_str(&scalar(other));
                text.push('\n');
            }
        }
    }
}

fn write_items(items: &[Json], indent: usize, text: &mut String) {
    for item in items {
        text.push_str(&" ".repeat(indent));
        text.push_str("- ");
        match item {
            Json::Object(fields) if !fields.is_empty() => write_fields(fields, indent + 2, text),
            Json::Array(inner) if !inner.is_empty() => {
                // A list in a list starts on its own line.
                text.truncate(text.len() - 1);
                text.push('\n');
                write_items(inner, indent + 2, text);
            }
            other => {
                text.push_str(&scalar(other));
                text.push('\n');
            }
        }
    }
}

/// A value on one line.
fn scalar(value: &Json) -> String {
    match value {
        Json::Null => "null".to_owned(),
        Json::Bool(value) => value.to_string(),
        Json::Number(number) => number.to_string(),
        Json::Text(text) => string(text),
        Json::Array(_) => "[]".to_owned(),
        Json::Object(_) => "{}".to_owned(),
    }
}

/// Without quotes only if no reader can take it for anything else. A JSON string is a YAML string.
fn string(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./ ()".contains(c);
    let word = text.to_ascii_lowercase();
    let reserved = ["null", "true", "false", "yes", "no", "on", "off", "y", "n"];
    let is_plain = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/')
        && !text.ends_with(' ')
        && text.chars().all(plain)
        && !reserved.contains(&word.as_str());
    if is_plain {
        text.to_owned()
    } else {
        serde_json::to_string(text).expect("text can be written as JSON")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_keep_their_order_and_texts_their_type() {
        let json = Json::parse(
            r#"[{"name":"first","properties":{"nodeCount":1,"tags":{},"list":[],"none":null,
                "words":["a b","no","1","é: x","-","/subscriptions/s",true,[1,[2]],{"z":1.5,"a":[{"b":"x"}]}]}},
                {"name":"2026-01-01T00:00:00Z"}]"#,
        )
        .unwrap();
        insta::assert_snapshot!(document(&json), @r#"
        - name: first
          properties:
            nodeCount: 1
            tags: {}
            list: []
            none: null
            words:
            - a b
            - "no"
            - "1"
            - "é: x"
            - "-"
            - /subscriptions/s
            - true
            -
              - 1
              -
                - 2
            - z: 1.5
              a:
              - b: x
        - name: "2026-01-01T00:00:00Z"
        "#);
        assert_eq!(document(&Json::Array(Vec::new())), "[]");
        assert_eq!(document(&Json::Text("a\nb".to_owned())), r#""a\nb""#);
    }
}
