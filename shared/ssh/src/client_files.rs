//! The files that let `ssh 10.0.0.5 true` work in a job as it is, without a password or a question: a key, a
//! configuration of the OpenSSH client, and programs of the names `ssh`, `scp` and `sftp` that use it.
//!
//! Nothing in the home directory is changed, and the user's own configuration still applies to everything that this
//! one does not set. A job finds the programs since their directory is the first of its `PATH`; so does
//! `mpirun`, which starts the `ssh` of the `PATH` unless `plm_rsh_agent` names another program.
//!
//! An image may have no OpenSSH client. Then `ssh` runs the program [`STAND_IN`], where the caller has put one.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use crate::keys::{KeyError, KeyPair};

/// The clients that get a program of their name. All of them take the option `-F`.
const CLIENTS: &[&str] = &["ssh", "scp", "sftp"];

/// The name of a program beside the configuration that takes the place of a missing OpenSSH client, with the same
/// arguments: one that calls [`crate::client::run`].
pub const STAND_IN: &str = "stand-in";

/// How often a node is tried, once a second: the server of another node may start later than the job on this one.
const ATTEMPTS: u32 = 30;

/// A node that the job connects to.
#[derive(Clone, Debug)]
pub struct ClientHost {
    /// The names that it is connected to by, its address for one.
    pub names: Vec<String>,
    /// Where its server listens.
    pub address: SocketAddr,
}

/// A file to be written.
#[derive(Clone, PartialEq, Eq)]
pub struct ClientFile {
    /// Its absolute path.
    pub path: PathBuf,
    /// Its mode. The client refuses a key that others may read.
    pub mode: u32,
    /// What it contains.
    pub text: String,
}

/// The directory that comes first in the `PATH` of a job whose files are in `directory`.
pub fn client_programs(directory: &Path) -> PathBuf {
    directory.join("bin")
}

/// The files of an attempt, all below `directory`, which is absolute and without quotes and line breaks. They belong to
/// the user of the job, as does the directory: the client adds the file `known_hosts`.
///
/// # Errors
/// When the key cannot be encoded, see [`KeyPair::private_key`].
pub fn client_files(
    directory: &Path,
    hosts: &[ClientHost],
    key: &KeyPair,
) -> Result<Vec<ClientFile>, KeyError> {
    let file = |name: &str, mode, text| ClientFile { path: directory.join(name), mode, text };
    let programs = client_programs(directory);
    let mut files = vec![
        file("id_ed25519", 0o600, key.private_key()?),
        file("config", 0o600, configuration(directory, hosts)),
    ];
    files.extend(CLIENTS.iter().map(|client| ClientFile {
        path: programs.join(client),
        mode: 0o755,
        text: program(client, directory, &programs),
    }));
    Ok(files)
}

/// The first value of an option counts, so the user's configuration comes last. Images of 2018 have clients that do not
/// know `Include`.
fn configuration(directory: &Path, hosts: &[ClientHost]) -> String {
    let mut text =
        String::from("# The nodes of this attempt, and then what is configured otherwise.\n");
    for host in hosts {
        let (names, address) = (host.names.join(" "), host.address);
        // Writing to a string does not fail.
        let _ =
            write!(text, "Host {names}\n  HostName {}\n  Port {}\n", address.ip(), address.port());
    }
    let names: Vec<&str> = hosts.iter().flat_map(|host| &host.names).map(String::as_str).collect();
    let path = |name| directory.join(name).display().to_string().replace('%', "%%");
    let _ = write!(
        text,
        "Host {names}
  BatchMode yes
  ConnectionAttempts {ATTEMPTS}
  GlobalKnownHostsFile /dev/null
  IdentitiesOnly yes
  IdentityAgent none
  IdentityFile \"{key}\"
  PreferredAuthentications publickey
  StrictHostKeyChecking no
  UserKnownHostsFile \"{known}\"
Match all
  IgnoreUnknown Include,UseKeychain
  Include ~/.ssh/config
  Include /etc/ssh/ssh_config
",
        names = names.join(" "),
        key = path("id_ed25519"),
        known = path("known_hosts"),
    );
    text
}

/// Finds the client behind this program in the `PATH`, as that may differ between host and container.
fn program(client: &str, directory: &Path, programs: &Path) -> String {
    let (own, configuration) = (quoted(programs), quoted(&directory.join("config")));
    let stand_in = quoted(&directory.join(STAND_IN));
    let otherwise = if client == "ssh" {
        format!("[ ! -x {stand_in} ] || exec {stand_in} -F {configuration} \"$@\"\n")
    } else {
        String::new()
    };
    format!(
        "#!/bin/sh
# {client}, with the key of this attempt.
IFS=:
for directory in $PATH; do
    if [ \"$directory\" != {own} ] && [ -x \"$directory/{client}\" ]; then
        exec \"$directory/{client}\" -F {configuration} \"$@\"
    fi
done
{otherwise}echo '{client}: the OpenSSH client is not installed' >&2
exit 127
"
    )
}

/// One word of a shell.
fn quoted(path: &Path) -> String {
    format!("'{}'", path.display().to_string().replace('\'', r"'\''"))
}
