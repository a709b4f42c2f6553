//! The part of a file that a request asks for (RFC 9110, sections 13.1.5 and 14).

use control::Error;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Selection {
    Whole,
    /// From `start` up to, but not including, `end`; never empty.
    Part {
        start: u64,
        end: u64,
    },
    Nothing,
}

/// Parses a `Range` header of one range of bytes. Another unit, several ranges and an invalid range
/// are ignored (RFC 9110, sections 14.1.1 and 14.2). A valid range beyond the end of the file is not:
/// a client that follows a file would get the whole file again.
pub(super) fn parse_range(header: &str, total: u64) -> Selection {
    let Some((start, end)) = byte_range(header, total) else { return Selection::Whole };
    if start < end { Selection::Part { start, end } } else { Selection::Nothing }
}

/// From `start` up to, but not including, `end`; empty for a valid range beyond the end of the file.
fn byte_range(header: &str, total: u64) -> Option<(u64, u64)> {
    let (unit, ranges) = header.split_once('=')?;
    let (first, last) = ranges.trim().split_once('-')?;
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return None;
    }
    match (first, last) {
        ("", length) => Some((total.saturating_sub(position(length)?), total)),
        (first, "") => Some((position(first)?, total)),
        (first, last) => {
            let (first, last) = (position(first)?, position(last)?);
            (first <= last).then_some((first, last.saturating_add(1).min(total)))
        }
    }
}

/// Parses digits. A number that does not fit is a position beyond the end of every file.
fn position(digits: &str) -> Option<u64> {
    let valid = !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit());
    valid.then(|| digits.parse().unwrap_or(u64::MAX))
}

pub(super) fn is_text(path: &str) -> bool {
    path.ends_with(".txt") || path.ends_with(".log")
}

/// The number of bytes at the end that are the start of an incomplete UTF-8 character. Clients decode
/// each part separately and fail on half a character.
pub(super) fn incomplete_tail(mut file: &File, start: u64, end: u64) -> Result<u64, Error> {
    let mut tail = vec![0; usize::try_from((end - start).min(4)).unwrap_or(4)];
    file.seek(SeekFrom::Start(end - tail.len() as u64))?;
    file.read_exact(&mut tail)?;
    let start_byte = tail.iter().rposition(|byte| byte & 0b1100_0000 != 0b1000_0000);
    let Some(position) = start_byte else { return Ok(0) };
    let needs = match tail[position] {
        0b1100_0000..=0b1101_1111 => 2,
        0b1110_0000..=0b1110_1111 => 3,
        0b1111_0000..=0b1111_0111 => 4,
        _ => 1,
    };
    let has = tail.len() - position;
    // A part is never empty: half a character may be all that the file will ever have.
    let cut = has < needs && (has as u64) < end - start;
    Ok(if cut { has as u64 } else { 0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_of_the_protocol() {
        let part = |start, end| Selection::Part { start, end };
        for (header, total, expected) in [
            ("bytes=0-2", 3, part(0, 3)),
            ("bytes=0-", 3, part(0, 3)),
            ("bytes=1-1", 3, part(1, 2)),
            ("bytes=2-99", 3, part(2, 3)),
            ("bytes=-2", 3, part(1, 3)),
            ("bytes=3-", 3, Selection::Nothing),
            ("bytes=0-", 0, Selection::Nothing),
            ("bytes=-0", 3, Selection::Nothing),
            ("bytes=99999999999999999999-", 3, Selection::Nothing),
            ("bytes=1-99999999999999999999", 3, part(1, 3)),
            ("Bytes=0-2", 3, part(0, 3)),
            ("BYTES = 1-", 3, part(1, 3)),
            ("bytes=5-2", 9, Selection::Whole),
            ("bytes=0-0,2-2", 3, Selection::Whole),
            ("lines=0-2", 3, Selection::Whole),
            ("bytes=+1-2", 3, Selection::Whole),
            ("bytes=--1", 3, Selection::Whole),
            ("bytes=-", 3, Selection::Whole),
            ("bytes", 3, Selection::Whole),
            ("", 3, Selection::Whole),
            ("bytes=18446744073709551615-18446744073709551615", 3, Selection::Nothing),
        ] {
            assert_eq!(parse_range(header, total), expected, "{header} of {total}");
        }
    }
}
