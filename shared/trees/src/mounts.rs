//! What the kernel has mounted in a tree.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

/// The kernel writes the table anew for each read: one should do.
const USUAL_SIZE: usize = 64 * 1024;

/// The mount points at or below `path`, the deepest first. The path must be absolute and without symbolic links.
///
/// # Errors
/// When the table of the kernel cannot be read.
pub fn mounted_at_or_below(path: &Path) -> io::Result<Vec<PathBuf>> {
    let mut table = Vec::with_capacity(USUAL_SIZE);
    File::open("/proc/self/mountinfo")?.read_to_end(&mut table)?;
    let mut points = points(&table);
    points.retain(|point| point.starts_with(path));
    points.sort_by_key(|point| std::cmp::Reverse(point.components().count()));
    Ok(points)
}

/// The fifth field of each line, with its octal escapes undone.
fn points(table: &[u8]) -> Vec<PathBuf> {
    table
        .split(|byte| *byte == b'\n')
        .filter_map(|line| line.split(|byte| *byte == b' ').nth(4))
        .map(|field| PathBuf::from(OsString::from_vec(unescape(field))))
        .collect()
}

fn unescape(field: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((first, after)) = rest.split_first() {
        let escape = (*first == b'\\').then(|| after.get(..3)).flatten();
        let value = escape
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 8).ok());
        plain.push(value.unwrap_or(*first));
        rest = if value.is_some() { &after[3..] } else { after };
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mount_points_are_read_with_their_odd_characters() {
        let table = b"22 1 0:21 / /proc rw - proc proc rw\n\
            30 1 8:1 /x /a\\040b\\134c rw shared:1 - ext4 /dev/sda rw\n";
        assert_eq!(points(table), [PathBuf::from("/proc"), PathBuf::from("/a b\\c")]);
    }

    #[test]
    fn the_table_of_this_machine_can_be_read() {
        let all = mounted_at_or_below(Path::new("/")).unwrap();
        assert!(all.contains(&PathBuf::from("/proc")));
        let none = mounted_at_or_below(Path::new("/no/such/place")).unwrap();
        assert_eq!(none, Vec::<PathBuf>::new());
    }
}
