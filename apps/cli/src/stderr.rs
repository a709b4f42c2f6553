//! Messages to the user, on stderr: stdout carries only data.

use std::fmt::Display;
use std::io::Write as _;

/// Prints one line. A closed stderr does not stop the command.
pub fn message(line: impl Display) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}
