//! The files and directories that a client has opened, by the names that it got for them.

use std::collections::HashMap;
use std::fs::{File, ReadDir};
use std::io;

use russh_sftp::protocol::StatusCode;
use russh_sftp::server::StatusReply;

/// Open files and directories. A process may have about as many.
pub const OPEN_HANDLES: usize = 512;

/// What is open.
#[derive(Debug, Default)]
pub struct Handles {
    open: HashMap<String, Handle>,
    last: u64,
}

#[derive(Debug)]
enum Handle {
    File(File),
    Directory(ReadDir),
}

impl Handles {
    /// The name of a file that was opened.
    pub fn add_file(&mut self, file: File) -> Result<String, StatusReply> {
        self.add(Handle::File(file))
    }

    /// The name of a directory that was opened.
    pub fn add_directory(&mut self, entries: ReadDir) -> Result<String, StatusReply> {
        self.add(Handle::Directory(entries))
    }

    /// The file of this name.
    pub fn file(&self, name: &str) -> Result<&File, StatusReply> {
        match self.open.get(name) {
            Some(Handle::File(file)) => Ok(file),
            Some(Handle::Directory(_)) | None => Err(unknown()),
        }
    }

    /// The rest of the entries of the directory of this name.
    pub fn directory(&mut self, name: &str) -> Result<&mut ReadDir, StatusReply> {
        match self.open.get_mut(name) {
            Some(Handle::Directory(entries)) => Ok(entries),
            Some(Handle::File(_)) | None => Err(unknown()),
        }
    }

    /// Closes what has this name.
    pub fn close(&mut self, name: &str) -> Result<(), StatusReply> {
        self.open.remove(name).map(drop).ok_or_else(unknown)
    }

    fn add(&mut self, handle: Handle) -> Result<String, StatusReply> {
        if self.open.len() == OPEN_HANDLES {
            return Err(reply_of(&io::Error::other("too many open files")));
        }
        self.last += 1;
        let name = self.last.to_string();
        self.open.insert(name.clone(), handle);
        Ok(name)
    }
}

fn unknown() -> StatusReply {
    StatusCode::Failure.with_message("nothing is open under this name")
}

/// An error as a client gets it.
pub fn reply_of(error: &io::Error) -> StatusReply {
    let code = match error.kind() {
        io::ErrorKind::NotFound => StatusCode::NoSuchFile,
        io::ErrorKind::PermissionDenied => StatusCode::PermissionDenied,
        io::ErrorKind::Unsupported => StatusCode::OpUnsupported,
        _ => StatusCode::Failure,
    };
    code.with_message(error.to_string())
}
