//! What a node knows about the end of an attempt, beside how it ended.

use serde::{Deserialize, Serialize};

/// Reported with `Progress::Ended`, and repeated with it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EndDetails {
    /// What the node had run out of when a command of the job failed. Absent without evidence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shortage: Option<Shortage>,
    /// The ends of the output files. Empty without [`crate::Assignment::output_tail_bytes`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub output: Vec<OutputTail>,
}

/// A resource that had run out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Shortage {
    /// Which resource.
    pub resource: ScarceResource,
    /// For people: what was observed, and where.
    pub evidence: String,
}

/// A resource of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ScarceResource {
    /// Space, inodes or quota of a file system that the job writes to.
    Disk,
    /// Memory: the kernel killed a process for the lack of it.
    Memory,
    /// One that a later release reports.
    #[serde(other)]
    Other,
}

/// The end of an output file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OutputTail {
    /// The name of the file in `$AZ_BATCHAI_STDOUTERR_DIR`.
    pub name: String,
    /// Its last lines. What is no UTF-8 is replaced.
    pub text: String,
    /// The length of the whole file in bytes.
    pub length: u64,
}

/// The end of a text that takes at most this many bytes in JSON: whole lines, or the end of the last line if that alone
/// is longer.
pub fn last_lines(text: &str, bytes: usize) -> &str {
    let mut room = bytes;
    let mut start = text.len();
    for (index, character) in text.char_indices().rev() {
        let Some(left) = room.checked_sub(json_bytes(character)) else { break };
        (room, start) = (left, index);
    }
    let is_whole = start == 0 || text[..start].ends_with('\n');
    let end = &text[start..];
    match end.find('\n') {
        Some(line_break) if !is_whole && line_break + 1 < end.len() => &end[line_break + 1..],
        Some(_) | None => end,
    }
}

/// As `serde_json` writes it.
fn json_bytes(character: char) -> usize {
    match character {
        '"' | '\\' | '\u{8}' | '\u{c}' | '\n' | '\r' | '\t' => 2,
        '\0'..='\u{1f}' => 6,
        other => other.len_utf8(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_text_is_whole_lines() {
        let cases = [
            ("", 5, ""),
            ("a\nb\n", 0, ""),
            ("a\nb\n", 6, "a\nb\n"),
            ("a\nb\n", 5, "b\n"),
            ("a\nb\n", 3, "b\n"),
            // The last line alone is too long.
            ("abc\n", 3, "c\n"),
            ("ab\ncdef", 3, "def"),
            ("ab\ncdef", 5, "cdef"),
            // Neither in the middle of a character, nor longer than allowed in JSON.
            ("a€", 3, "€"),
            ("a€", 2, ""),
            ("\u{1b}[0m", 8, "[0m"),
            ("\u{1b}[0m", 9, "\u{1b}[0m"),
        ];
        for (text, bytes, expected) in cases {
            let end = last_lines(text, bytes);
            assert_eq!(end, expected, "{text:?} {bytes}");
            assert!(serde_json::to_string(end).unwrap().len() <= bytes + 2, "{text:?} {bytes}");
        }
    }

    #[test]
    fn a_resource_of_a_later_release_is_read() {
        let read: Shortage =
            serde_json::from_str(r#"{"resource":"gpuMemory","evidence":"e"}"#).unwrap();
        assert_eq!(read.resource, ScarceResource::Other);
    }
}
