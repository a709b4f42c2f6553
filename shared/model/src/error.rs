//! Errors that users see on a resource, and the error of a refused transition.

use serde::{Deserialize, Serialize};

/// An entry of `errors` on a cluster or a job (`BatchAIError` of the contract).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResourceError {
    /// Machine-readable code, such as `JobFailed`.
    pub code: String,
    /// Text for people: what happened and what to do.
    pub message: String,
    /// Name and value pairs, in the order in which they are shown.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub details: Vec<(String, String)>,
}

const ERROR_FRAME_BYTES: usize = r#"{"code":"","message":"","details":[]}"#.len();
const DETAIL_FRAME_BYTES: usize = r#"["",""],"#.len();

impl ResourceError {
    /// An error without details.
    pub fn new(code: &str, message: impl Into<String>) -> Self {
        Self { code: code.to_owned(), message: message.into(), details: Vec::new() }
    }

    /// The error with one more detail.
    pub fn with_detail(mut self, name: &str, value: impl Into<String>) -> Self {
        self.details.push((name.to_owned(), value.into()));
        self
    }

    /// The error in at most this many bytes of JSON: a text that is too long is cut, and details
    /// that do not fit are left out.
    pub fn within(mut self, bytes: usize) -> Self {
        let mut room = bytes.saturating_sub(ERROR_FRAME_BYTES);
        for text in [&mut self.code, &mut self.message] {
            *text = shortened(text, room);
            room -= json_bytes(text);
        }
        self.details.retain_mut(|(name, value)| {
            let least = ELLIPSIS.len().min(json_bytes(value));
            let rest = room.checked_sub(DETAIL_FRAME_BYTES + json_bytes(name));
            let Some(rest) = rest.filter(|rest| *rest >= least) else { return false };
            *value = shortened(value, rest);
            room = rest - json_bytes(value);
            true
        });
        self
    }
}

const ELLIPSIS: &str = "…";

/// The start of a text, cut so that it takes at most this many bytes in JSON.
pub fn shortened(text: &str, bytes: usize) -> String {
    if json_bytes(text) <= bytes {
        return text.to_owned();
    }
    let Some(mut room) = bytes.checked_sub(ELLIPSIS.len()) else { return String::new() };
    let fits = |c: &char| {
        let rest = room.checked_sub(json_char_bytes(*c));
        room = rest.unwrap_or_default();
        rest.is_some()
    };
    text.chars().take_while(fits).chain(ELLIPSIS.chars()).collect()
}

fn json_bytes(text: &str) -> usize {
    text.chars().map(json_char_bytes).sum()
}

/// Bytes of a character in the JSON that `serde_json` writes.
fn json_char_bytes(c: char) -> usize {
    match c {
        '"' | '\\' | '\u{8}' | '\u{c}' | '\n' | '\r' | '\t' => 2,
        '\0'..='\u{1f}' => 6,
        _ => c.len_utf8(),
    }
}

/// The current state of a record does not allow a transition. The caller read an outdated record
/// and has to plan again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a {what} that is {state} cannot {transition}")]
pub struct InvalidTransition {
    /// Kind of the record, such as `job`.
    pub what: &'static str,
    /// Name of its current state.
    pub state: &'static str,
    /// The refused transition, as a verb phrase.
    pub transition: &'static str,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn details_are_added() {
        let error = ResourceError::new("C", "m").with_detail("a", "1").with_detail("b", "2");
        let details: Vec<String> = error.details.iter().map(|(k, v)| format!("{k}={v}")).collect();
        assert_eq!((error.code.as_str(), error.message.as_str()), ("C", "m"));
        assert_eq!(details, ["a=1", "b=2"]);
    }

    fn size(it: &impl Serialize) -> usize {
        serde_json::to_string(it).unwrap().len()
    }

    #[test]
    fn a_text_is_cut_to_what_its_json_takes() {
        let all: String = ('\0'..='\u{ff}').chain(['€', '𝄞']).collect();
        assert_eq!(json_bytes(&all), size(&all) - 2);
        for bytes in 0..=json_bytes(&all) {
            let cut = shortened(&all, bytes);
            assert!(size(&cut) <= bytes + 2, "{bytes}");
            assert_eq!(shortened(&cut, bytes), cut, "once is enough");
        }
        assert_eq!(shortened(&all, json_bytes(&all)), all);
        let cases = [(8, "abc\"def"), (7, "abc…"), (6, "abc…"), (3, "…"), (2, ""), (0, "")];
        assert_eq!(cases.map(|(bytes, _)| shortened("abc\"def", bytes)), cases.map(|(_, cut)| cut));
    }

    #[test]
    fn an_error_is_cut_from_its_end() {
        let error = ResourceError::new("Code", "m".repeat(10))
            .with_detail("a", "1\n".repeat(10))
            .with_detail("b", "2");
        let whole = size(&error);
        assert_eq!(error.clone().within(whole + 1), error);
        for bytes in 60..=whole {
            let cut = error.clone().within(bytes);
            assert!(size(&cut) <= bytes, "{bytes} {cut:?}");
            assert_eq!(cut.clone().within(bytes), cut, "once is enough");
        }
        let cut = |bytes| {
            let ResourceError { code, message, details } = error.clone().within(bytes);
            format!("{code} {message} {details:?}")
        };
        assert_eq!(cut(80), r#"Code mmmmmmmmmm [("a", "1\n1\n1\n1\n1\n1…")]"#);
        assert_eq!(cut(60), "Code mmmmmmmmmm []");
        assert_eq!(cut(50), "Code mmmmmm… []");
        assert_eq!(cut(0), "  []");
    }
}
