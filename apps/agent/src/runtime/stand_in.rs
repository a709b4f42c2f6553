//! An `ssh` for images that have none, as `mpirun` needs one: this program, in the container at a path of its own,
//! with the loader and the libraries of the node, as those of the image may be older.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::binds::Bind;

/// Nothing else in an image has this path.
const DIRECTORY: &str = "/run/batchai";

/// Writes the program at `path`, and returns what it needs in the container.
pub fn make(path: &Path) -> io::Result<Vec<Bind>> {
    let program = fs::canonicalize("/proc/self/exe")?;
    // The loader runs instead of the program, and lists what it would load.
    let listed = Command::new("/proc/self/exe")
        .env_clear()
        .env("LD_TRACE_LOADED_OBJECTS", "1")
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()?;
    let Loaded { loader, libraries } = loaded(&String::from_utf8_lossy(&listed.stdout));
    fs::write(path, script(loader.as_deref()))?;
    fs::set_permissions(path, PermissionsExt::from_mode(0o755))?;
    let own = Bind { source: program, target: own_program(), is_read_only: true };
    Ok(libraries.into_iter().chain(loader).filter_map(in_directory).chain([own]).collect())
}

fn own_program() -> PathBuf {
    Path::new(DIRECTORY).join("batchai")
}

/// Under the name by which it is loaded, also where that is a link.
fn in_directory(source: PathBuf) -> Option<Bind> {
    let target = Path::new(DIRECTORY).join(source.file_name()?);
    Some(Bind { source, target, is_read_only: true })
}

/// What a program consists of, besides itself.
#[derive(Debug, Default, PartialEq, Eq)]
struct Loaded {
    /// None: the program is linked statically.
    loader: Option<PathBuf>,
    libraries: Vec<PathBuf>,
}

/// Reads lines such as `libc.so.6 => /lib/libc.so.6 (0x1)` and `/lib64/ld.so (0x2)`.
fn loaded(list: &str) -> Loaded {
    let mut loaded = Loaded::default();
    for line in list.lines().map(str::trim) {
        match line.split_once(" => ") {
            Some((_, path)) => loaded.libraries.extend(path_of(path)),
            None => loaded.loader = path_of(line).or(loaded.loader),
        }
    }
    loaded
}

fn path_of(text: &str) -> Option<PathBuf> {
    let (path, _) = text.rsplit_once(" (")?;
    path.starts_with('/').then(|| path.into())
}

fn script(loader: Option<&Path>) -> String {
    let program = own_program();
    let program = program.display();
    let client = crate::SSH_CLIENT;
    let command = match loader.and_then(Path::file_name) {
        Some(loader) => {
            let loader = Path::new(DIRECTORY).join(loader);
            format!("{} --library-path {DIRECTORY} {program}", loader.display())
        }
        None => program.to_string(),
    };
    // Libraries of the image that are to be loaded first do not fit the loader of the node.
    format!("#!/bin/sh\nunset LD_PRELOAD\nexec {command} {client} \"$@\"\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_of_the_loader_is_read() {
        let list = "\tlinux-vdso.so.1 (0x00007ffd)\n\tlibc.so.6 => /lib/x/libc.so.6 (0x00007f)\n\t/lib64/ld-linux.so.2 (0x0000)\n";
        let files = loaded(list);
        assert_eq!(files.loader, Some("/lib64/ld-linux.so.2".into()));
        assert_eq!(files.libraries, [PathBuf::from("/lib/x/libc.so.6")]);
        assert_eq!(loaded("\tstatically linked\n"), Loaded::default());
    }

    #[test]
    fn the_program_runs_below_its_own_loader() {
        assert_eq!(
            script(Some(Path::new("/lib64/ld-linux.so.2"))),
            "#!/bin/sh\nunset LD_PRELOAD\nexec /run/batchai/ld-linux.so.2 --library-path /run/batchai /run/batchai/batchai ssh-client \"$@\"\n"
        );
        assert!(script(None).contains("exec /run/batchai/batchai ssh-client"));
    }
}
