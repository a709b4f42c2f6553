//! The requests of the protocol, on the files of this system.

use std::collections::HashMap;
use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use russh_sftp::extensions::{FsyncExtension, HardlinkExtension, LimitsExtension};
use russh_sftp::protocol::{
    Attrs, Data, ExtendedReply, File, FileAttributes, Handle, Name, OpenFlags, Packet, Status,
    StatusCode, Version,
};
use russh_sftp::server::{Handler, StatusReply};
use tokio::sync::oneshot;

use crate::sftp::attributes::{attributes_of, mode_of, set_by_file, set_by_path};
use crate::sftp::handles::{Handles, OPEN_HANDLES, reply_of};

/// Bytes of the longest packet of a client, as the library limits it.
const PACKET_BYTES: u64 = 256 << 10;

/// Bytes that are read or written by one request.
const TRANSFER_BYTES: u32 = 128 << 10;

/// Entries of a directory in one answer. Each has at most some 700 bytes.
const ENTRIES: usize = 100;

const LIMITS: &str = "limits@openssh.com";
const POSIX_RENAME: &str = "posix-rename@openssh.com";
const HARD_LINK: &str = "hardlink@openssh.com";
const SYNC: &str = "fsync@openssh.com";

/// The files of this system.
pub struct Files {
    handles: Handles,
    _ended: oneshot::Sender<()>,
}

impl Files {
    /// `ended` is dropped with it.
    pub fn new(ended: oneshot::Sender<()>) -> Self {
        Self { handles: Handles::default(), _ended: ended }
    }

    fn extension(&self, id: u32, request: &str, data: Vec<u8>) -> Result<Packet, StatusReply> {
        let mut data = data.into();
        let malformed = |_| StatusReply::new(StatusCode::BadMessage);
        match request {
            LIMITS => {
                let limits = LimitsExtension {
                    max_packet_len: PACKET_BYTES,
                    max_read_len: TRANSFER_BYTES.into(),
                    max_write_len: TRANSFER_BYTES.into(),
                    max_open_handles: OPEN_HANDLES as u64,
                };
                let data = russh_sftp::ser::to_bytes(&limits).map_err(malformed)?.to_vec();
                return Ok(Packet::ExtendedReply(ExtendedReply { id, data }));
            }
            POSIX_RENAME | HARD_LINK => {
                let names: HardlinkExtension =
                    russh_sftp::de::from_bytes(&mut data).map_err(malformed)?;
                let (from, to) = (names.oldpath, names.newpath);
                let done = if request == HARD_LINK {
                    fs::hard_link(from, to)
                } else {
                    fs::rename(from, to)
                };
                done.map_err(|error| reply_of(&error))?;
            }
            SYNC => {
                let name: FsyncExtension =
                    russh_sftp::de::from_bytes(&mut data).map_err(malformed)?;
                let file = self.handles.file(&name.handle)?;
                file.sync_all().map_err(|error| reply_of(&error))?;
            }
            _ => return Err(self.unimplemented()),
        }
        Ok(Packet::Status(done(id)))
    }
}

impl Handler for Files {
    type Error = StatusReply;

    fn unimplemented(&self) -> StatusReply {
        StatusReply::new(StatusCode::OpUnsupported)
    }

    async fn init(
        &mut self,
        _version: u32,
        _extensions: HashMap<String, String>,
    ) -> Result<Version, StatusReply> {
        let mut version = Version::new();
        let known = [LIMITS, POSIX_RENAME, HARD_LINK, SYNC];
        version.extensions = known.map(|name| (name.to_owned(), "1".to_owned())).into();
        Ok(version)
    }

    async fn open(
        &mut self,
        id: u32,
        name: String,
        flags: OpenFlags,
        attributes: FileAttributes,
    ) -> Result<Handle, StatusReply> {
        let mut options: OpenOptions = flags.into();
        options.mode(mode_of(&attributes, 0o666));
        let file = options.open(name).map_err(|error| reply_of(&error))?;
        Ok(Handle { id, handle: self.handles.add_file(file)? })
    }

    async fn close(&mut self, id: u32, handle: String) -> Result<Status, StatusReply> {
        self.handles.close(&handle)?;
        Ok(done(id))
    }

    async fn read(
        &mut self,
        id: u32,
        handle: String,
        offset: u64,
        length: u32,
    ) -> Result<Data, StatusReply> {
        let file = self.handles.file(&handle)?;
        let mut data = vec![0; length.min(TRANSFER_BYTES) as usize];
        let length = file.read_at(&mut data, offset).map_err(|error| reply_of(&error))?;
        if length == 0 {
            return Err(StatusCode::Eof.into());
        }
        data.truncate(length);
        Ok(Data { id, data })
    }

    async fn write(
        &mut self,
        id: u32,
        handle: String,
        offset: u64,
        data: Vec<u8>,
    ) -> Result<Status, StatusReply> {
        let file = self.handles.file(&handle)?;
        answer(id, file.write_all_at(&data, offset))
    }

    async fn lstat(&mut self, id: u32, path: String) -> Result<Attrs, StatusReply> {
        attributes(id, fs::symlink_metadata(path))
    }

    async fn stat(&mut self, id: u32, path: String) -> Result<Attrs, StatusReply> {
        attributes(id, fs::metadata(path))
    }

    async fn fstat(&mut self, id: u32, handle: String) -> Result<Attrs, StatusReply> {
        attributes(id, self.handles.file(&handle)?.metadata())
    }

    async fn setstat(
        &mut self,
        id: u32,
        path: String,
        attributes: FileAttributes,
    ) -> Result<Status, StatusReply> {
        answer(id, set_by_path(Path::new(&path), &attributes))
    }

    async fn fsetstat(
        &mut self,
        id: u32,
        handle: String,
        attributes: FileAttributes,
    ) -> Result<Status, StatusReply> {
        answer(id, set_by_file(self.handles.file(&handle)?, &attributes))
    }

    async fn opendir(&mut self, id: u32, path: String) -> Result<Handle, StatusReply> {
        let entries = fs::read_dir(path).map_err(|error| reply_of(&error))?;
        Ok(Handle { id, handle: self.handles.add_directory(entries)? })
    }

    async fn readdir(&mut self, id: u32, handle: String) -> Result<Name, StatusReply> {
        let entries = self.handles.directory(&handle)?;
        let mut files = Vec::new();
        for entry in entries.by_ref().take(ENTRIES) {
            let entry = entry.map_err(|error| reply_of(&error))?;
            // An entry may have been removed in the meantime.
            let Ok(metadata) = entry.metadata() else { continue };
            // The library knows only names in UTF-8.
            let name = entry.file_name().to_string_lossy().into_owned();
            files.push(File::new(name, attributes_of(&metadata)));
        }
        if files.is_empty() {
            return Err(StatusCode::Eof.into());
        }
        Ok(Name { id, files })
    }

    async fn remove(&mut self, id: u32, path: String) -> Result<Status, StatusReply> {
        answer(id, fs::remove_file(path))
    }

    async fn mkdir(
        &mut self,
        id: u32,
        path: String,
        attributes: FileAttributes,
    ) -> Result<Status, StatusReply> {
        answer(id, fs::DirBuilder::new().mode(mode_of(&attributes, 0o777)).create(path))
    }

    async fn rmdir(&mut self, id: u32, path: String) -> Result<Status, StatusReply> {
        answer(id, fs::remove_dir(path))
    }

    async fn realpath(&mut self, id: u32, path: String) -> Result<Name, StatusReply> {
        let path = real_path(Path::new(&path)).map_err(|error| reply_of(&error))?;
        Ok(name(id, &path))
    }

    /// In version 3 a new file does not replace another one. [`POSIX_RENAME`] does.
    async fn rename(&mut self, id: u32, from: String, to: String) -> Result<Status, StatusReply> {
        if fs::symlink_metadata(&to).is_ok() {
            return Err(reply_of(&io::ErrorKind::AlreadyExists.into()));
        }
        answer(id, fs::rename(from, to))
    }

    async fn readlink(&mut self, id: u32, path: String) -> Result<Name, StatusReply> {
        let target = fs::read_link(path).map_err(|error| reply_of(&error))?;
        Ok(name(id, &target))
    }

    /// OpenSSH sends the two paths in another order than the draft of the protocol, and so do all others.
    async fn symlink(
        &mut self,
        id: u32,
        target: String,
        link: String,
    ) -> Result<Status, StatusReply> {
        answer(id, std::os::unix::fs::symlink(target, link))
    }

    async fn extended(
        &mut self,
        id: u32,
        request: String,
        data: Vec<u8>,
    ) -> Result<Packet, StatusReply> {
        self.extension(id, &request, data)
    }
}

fn answer(id: u32, outcome: io::Result<()>) -> Result<Status, StatusReply> {
    outcome.map(|()| done(id)).map_err(|error| reply_of(&error))
}

fn done(id: u32) -> Status {
    Status {
        id,
        status_code: StatusCode::Ok,
        error_message: "Ok".into(),
        language_tag: "en-US".into(),
    }
}

fn attributes(id: u32, metadata: io::Result<fs::Metadata>) -> Result<Attrs, StatusReply> {
    let metadata = metadata.map_err(|error| reply_of(&error))?;
    Ok(Attrs { id, attrs: attributes_of(&metadata) })
}

fn name(id: u32, path: &Path) -> Name {
    Name { id, files: vec![File::dummy(path.to_string_lossy())] }
}

/// Of a path whose last part need not exist: where a file is to be copied to.
fn real_path(path: &Path) -> io::Result<PathBuf> {
    if path.as_os_str().is_empty() {
        return fs::canonicalize(".");
    }
    match (fs::canonicalize(path), path.parent(), path.file_name()) {
        (Err(error), Some(parent), Some(name)) if error.kind() == io::ErrorKind::NotFound => {
            let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
            Ok(fs::canonicalize(parent)?.join(name))
        }
        (outcome, ..) => outcome,
    }
}
