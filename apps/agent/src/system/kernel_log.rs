//! The log of the kernel (`/dev/kmsg`).

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use rustix::fs::{Mode, OFlags};

/// Of the kernel log that is read, in bytes. Its buffer is smaller.
const MAX_LOG: u64 = 16 << 20;

/// All records that are in the log now. The device gives one for each read, and blocks after the last one otherwise.
pub fn read(path: &Path) -> io::Result<String> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let mut log = File::from(rustix::fs::open(path, flags, Mode::empty())?);
    let mut text = Vec::new();
    let mut record = vec![0; 8192];
    while (text.len() as u64) < MAX_LOG {
        match log.read(&mut record) {
            Ok(0) => break,
            Ok(count) => text.extend_from_slice(&record[..count]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            // Records were overwritten meanwhile: the next read gives the oldest one that is left.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(String::from_utf8_lossy(&text).into_owned())
}
