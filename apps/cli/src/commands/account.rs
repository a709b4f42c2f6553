//! The administrator account of nodes and file servers. The API requires a key or a password.

use anyhow::{Context as _, Result};
use clap::Args;
use serde_json::{Value, json};
use std::path::PathBuf;

#[derive(Args)]
pub struct AccountArguments {
    /// Name of the administrator account [default: batchai]
    #[arg(short, long, value_name = "NAME")]
    pub user_name: Option<String>,
    /// File with the public SSH key of the administrator [default: none, logins are disabled]
    #[arg(long, value_name = "FILE")]
    pub ssh_key: Option<PathBuf>,
}

impl AccountArguments {
    /// Sets the fields of `userAccountSettings` from the options; fields without an option keep their
    /// values.
    pub fn fill(&self, settings: &mut Value) -> Result<()> {
        if let Some(name) = &self.user_name {
            settings["adminUserName"] = json!(name);
        } else if settings["adminUserName"].is_null() {
            settings["adminUserName"] = json!("batchai");
        }
        if let Some(file) = &self.ssh_key {
            let shown = file.display();
            let key = std::fs::read_to_string(file);
            let key = key.with_context(|| format!("cannot read the SSH key {shown}"))?;
            settings["adminUserSshPublicKey"] = json!(key.trim());
        }
        if settings.get("adminUserSshPublicKey").is_none_or(Value::is_null)
            && settings.get("adminUserPassword").is_none_or(Value::is_null)
        {
            settings["adminUserPassword"] = json!(random_password());
        }
        Ok(())
    }
}

/// Settings of an account with a random password that nobody knows.
pub fn locked_account() -> Result<Value> {
    let mut settings = json!({});
    AccountArguments { user_name: None, ssh_key: None }.fill(&mut settings)?;
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
        AccountArguments { user_name: None, ssh_key: None }.fill(&mut settings).unwrap();
        assert_eq!(settings, before);
    }

    #[test]
    fn an_account_without_a_key_has_a_random_password() {
        let (one, other) = (locked_account().unwrap(), locked_account().unwrap());
        assert_eq!(one["adminUserName"], "batchai");
        assert_eq!(one["adminUserPassword"].as_str().unwrap().len(), 48);
        assert_ne!(one["adminUserPassword"], other["adminUserPassword"]);
    }
}
