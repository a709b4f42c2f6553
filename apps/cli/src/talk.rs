//! What is said to the person at the terminal, on stderr: stdout is for data.

use std::fmt::Display;
use std::io::Write as _;

/// One line. A closed stderr is no reason to stop.
pub fn say(line: impl Display) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}
