//! The administrator account of nodes and file servers. The API requires a key or a password.

use anyhow::{Context as _, Result, bail};
use clap::Args;
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

#[derive(Args, Default)]
#[command(next_help_heading = "Administrator account")]
pub struct AccountArguments {
    /// Name of the administrator account [default: batchai]
    #[arg(short, long, value_name = "NAME")]
    pub user_name: Option<String>,
    /// Public SSH key of the administrator, or the file with it [default: none, logins are disabled]
    #[arg(short = 'k', long, value_name = "KEY OR FILE")]
    pub ssh_key: Option<String>,
    /// Use the SSH key in ~/.ssh, and make one if there is none
    #[arg(long, conflicts_with = "ssh_key")]
    pub generate_ssh_keys: bool,
    /// Password of the administrator; process lists show it, so a key is better
    #[arg(short, long, value_name = "PASSWORD")]
    pub password: Option<String>,
}

/// The public keys in `~/.ssh` that are used, best first.
const PUBLIC_KEYS: [&str; 3] = ["id_ed25519.pub", "id_ecdsa.pub", "id_rsa.pub"];

impl AccountArguments {
    /// Sets the fields of `userAccountSettings` from the options; fields without an option keep their
    /// values.
    ///
    /// # Errors
    /// When the key cannot be read or made.
    pub fn fill(&self, settings: &mut Value) -> Result<()> {
        if let Some(name) = &self.user_name {
            settings["adminUserName"] = json!(name);
        } else if settings["adminUserName"].is_null() {
            settings["adminUserName"] = json!("batchai");
        }
        if let Some(key) = &self.ssh_key {
            settings["adminUserSshPublicKey"] = json!(public_key(key)?);
        } else if self.generate_ssh_keys {
            let home = std::env::home_dir().context("no home directory: add --ssh-key FILE")?;
            settings["adminUserSshPublicKey"] = json!(own_key(&home.join(".ssh"))?);
        }
        if let Some(password) = &self.password {
            settings["adminUserPassword"] = json!(password);
        }
        if settings.get("adminUserSshPublicKey").is_none_or(Value::is_null)
            && settings.get("adminUserPassword").is_none_or(Value::is_null)
        {
            settings["adminUserPassword"] = json!(random_password());
        }
        Ok(())
    }
}

/// The key itself, or the content of the file.
fn public_key(text: &str) -> Result<String> {
    let is_key = ["ssh-", "ecdsa-", "sk-"].iter().any(|kind| text.starts_with(kind));
    if is_key && text.contains(' ') {
        return Ok(text.trim().to_owned());
    }
    let key =
        fs::read_to_string(text).with_context(|| format!("cannot read the SSH key {text}"))?;
    Ok(key.trim().to_owned())
}

/// The first public key of a directory; makes one if there is none.
fn own_key(directory: &Path) -> Result<String> {
    let find = || PUBLIC_KEYS.iter().map(|name| directory.join(name)).find(|path| path.exists());
    let path: PathBuf = match find() {
        Some(path) => path,
        None => make_key(directory)?,
    };
    public_key(&path.to_string_lossy())
}

/// Makes a key without a passphrase, as the Azure CLI does; returns the path of its public half.
fn make_key(directory: &Path) -> Result<PathBuf> {
    let shown = directory.display();
    fs::create_dir_all(directory).with_context(|| format!("cannot create {shown}"))?;
    let private = directory.join("id_ed25519");
    let mut keygen = Command::new("ssh-keygen");
    keygen.args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&private);
    let status = keygen.status().context("cannot start ssh-keygen: install the OpenSSH client")?;
    if !status.success() {
        bail!("ssh-keygen failed ({status})");
    }
    Ok(private.with_extension("pub"))
}

/// Settings of an account with a random password that nobody knows.
pub fn locked_account() -> Result<Value> {
    let mut settings = json!({});
    AccountArguments::default().fill(&mut settings)?;
    Ok(settings)
}

/// Generated for one request and never shown.
fn random_password() -> String {
    hex::encode(rand::random::<[u8; 24]>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn existing_fields_are_kept() {
        let mut settings =
            json!({ "adminUserName": "alice", "adminUserSshPublicKey": "ssh-rsa A" });
        let before = settings.clone();
        AccountArguments::default().fill(&mut settings).unwrap();
        assert_eq!(settings, before);
    }

    #[test]
    fn an_account_without_a_key_has_a_random_password() {
        let (one, other) = (locked_account().unwrap(), locked_account().unwrap());
        assert_eq!(one["adminUserName"], "batchai");
        assert_eq!(one["adminUserPassword"].as_str().unwrap().len(), 48);
        assert_ne!(one["adminUserPassword"], other["adminUserPassword"]);
    }

    #[test]
    fn a_key_is_a_text_or_a_file() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("id_rsa.pub");
        fs::write(&file, "ssh-rsa AAAA me\n").unwrap();
        assert_eq!(public_key(file.to_str().unwrap()).unwrap(), "ssh-rsa AAAA me");
        assert_eq!(public_key(" ssh-rsa AAAA".trim()).unwrap(), "ssh-rsa AAAA");
        assert!(public_key("/nothing").unwrap_err().to_string().contains("/nothing"));
        assert_eq!(own_key(directory.path()).unwrap(), "ssh-rsa AAAA me");
    }

    #[test]
    fn a_missing_key_is_made_once() {
        let directory = tempfile::tempdir().unwrap();
        let home = directory.path().join(".ssh");
        let key = own_key(&home).unwrap();
        assert!(key.starts_with("ssh-ed25519 "), "{key}");
        assert_eq!(own_key(&home).unwrap(), key);
    }
}
