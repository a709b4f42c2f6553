//! The end of an output file, as it is reported.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use protocol::{OutputTail, last_lines};

/// Read for each byte that is reported: what is replaced may get shorter.
const READ_FACTOR: usize = 4;

/// Shorter values are words that a text may contain anyway; to replace them would spoil it.
const SHORTEST_SECRET: usize = 6;

const REPLACEMENT: &str = "***";

/// Values that no report contains.
pub struct Secrets<'a>(Vec<&'a str>);

impl<'a> Secrets<'a> {
    pub fn new(values: &'a [String]) -> Self {
        let values = values.iter().map(|it| it.trim());
        let mut values: Vec<&str> = values.filter(|it| it.len() >= SHORTEST_SECRET).collect();
        // One may contain another.
        values.sort_by_key(|it| std::cmp::Reverse(it.len()));
        Self(values)
    }

    fn replace(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, value| text.replace(value, REPLACEMENT))
    }
}

/// At most `bytes` of JSON. `None` if there is nothing to read.
pub fn read(path: &Path, bytes: usize, secrets: &Secrets<'_>) -> Option<OutputTail> {
    let name = path.file_name()?.to_string_lossy().into_owned();
    let (data, length) = end_of(path, (bytes * READ_FACTOR) as u64)
        .inspect_err(|error| tracing::debug!(%error, name, "an output file cannot be read"))
        .ok()?;
    let is_cut = (data.len() as u64) < length;
    let text = String::from_utf8_lossy(&data);
    let whole = if is_cut { without_first_line(&text) } else { &text };
    let text = secrets.replace(whole);
    let text = last_lines(&text, bytes).to_owned();
    (length > 0).then_some(OutputTail { name, text, length })
}

/// The beginning may be in the middle of a character, or of a secret.
fn without_first_line(text: &str) -> &str {
    match text.split_once('\n') {
        Some((_, rest)) if !rest.is_empty() => rest,
        Some(_) | None => text,
    }
}

fn end_of(path: &Path, bytes: u64) -> io::Result<(Vec<u8>, u64)> {
    // To open a pipe that the job has left there would block.
    if !path.symlink_metadata()?.is_file() {
        return Err(io::Error::other("it is no file"));
    }
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(bytes)))?;
    let mut data = Vec::new();
    file.take(bytes).read_to_end(&mut data)?;
    Ok((data, length))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tail(content: &[u8], bytes: usize, secrets: &[&str]) -> Option<(String, u64)> {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("stdout.txt");
        std::fs::write(&path, content).unwrap();
        let secrets: Vec<String> = secrets.iter().map(|it| (*it).to_owned()).collect();
        let tail = read(&path, bytes, &Secrets::new(&secrets))?;
        assert_eq!(tail.name, "stdout.txt");
        Some((tail.text, tail.length))
    }

    #[test]
    fn the_last_lines_are_reported() {
        assert_eq!(tail(b"", 100, &[]), None);
        assert_eq!(tail(b"one\ntwo\n", 100, &[]), Some(("one\ntwo\n".into(), 8)));
        assert_eq!(tail(b"one\ntwo\n", 7, &[]), Some(("two\n".into(), 8)));
        let long = "line\n".repeat(100_000);
        let (text, length) = tail(long.as_bytes(), 16 * 1024, &[]).unwrap();
        assert_eq!(length, 500_000);
        assert!(text.starts_with("line\n") && text.len() > 13_000, "{}", text.len());
        let (text, _) = tail(&[0xff, b'a', 0xc3], 100, &[]).unwrap();
        assert_eq!(text, "\u{fffd}a\u{fffd}");
    }

    #[test]
    fn the_values_of_secrets_are_replaced() {
        let secrets = ["hunter2", "hunter2-and-more\n", "on"];
        let text = tail(b"on hunter2-and-more, hunter2\n", 100, &secrets).unwrap().0;
        assert_eq!(text, "on ***, ***\n");
        // A value that begins before what is read.
        let cut = [b"x".repeat(30).as_slice(), b"hunter2\nnext\n"].concat();
        assert_eq!(tail(&cut, 4, &secrets).unwrap().0, "xt\n");
    }

    #[test]
    fn what_is_no_file_is_not_read() {
        let place = tempfile::tempdir().unwrap();
        let none = Secrets::new(&[]);
        assert_eq!(read(&place.path().join("missing"), 10, &none), None);
        assert_eq!(read(place.path(), 10, &none), None);
        let link = place.path().join("link");
        std::os::unix::fs::symlink("/etc/passwd", &link).unwrap();
        assert_eq!(read(&link, 10, &none), None);
    }
}
