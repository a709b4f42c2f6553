//! The administrator of nodes and file servers: the contract demands one with a key or a password.

use anyhow::{Context as _, Result};
use clap::Args;
use serde_json::{Value, json};
use std::path::PathBuf;

#[derive(Args)]
pub struct AccountArguments {
    /// Name of the administrator [default: batchai]
    #[arg(short, long, value_name = "NAME")]
    pub user_name: Option<String>,
    /// File with the administrator's public SSH key [default: nobody can log in]
    #[arg(long, value_name = "FILE")]
    pub ssh_key: Option<PathBuf>,
}

impl AccountArguments {
    /// Fills `userAccountSettings`; what is there already and not told otherwise stays.
    pub fn fill(&self, settings: &mut Value) -> Result<()> {
        if let Some(name) = &self.user_name {
            settings["adminUserName"] = json!(name);
        } else if settings["adminUserName"].is_null() {
            settings["adminUserName"] = json!("batchai");
        }
        if let Some(file) = &self.ssh_key {
            let shown = file.display();
            let key = std::fs::read_to_string(file);
            let key = key.with_context(|| format!("cannot read the key {shown}"))?;
            settings["adminUserSshPublicKey"] = json!(key.trim());
        }
        if settings.get("adminUserSshPublicKey").is_none_or(Value::is_null)
            && settings.get("adminUserPassword").is_none_or(Value::is_null)
        {
            settings["adminUserPassword"] = json!(unknown_password());
        }
        Ok(())
    }
}

/// Settings for an account that nobody can use.
pub fn closed_account() -> Result<Value> {
    let mut settings = json!({});
    AccountArguments { user_name: None, ssh_key: None }.fill(&mut settings)?;
    Ok(settings)
}

/// Made for one request, and never shown to anybody.
fn unknown_password() -> String {
    hex::encode(rand::random::<[u8; 24]>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_stays() {
        let mut settings =
            json!({ "adminUserName": "alice", "adminUserSshPublicKey": "ssh-rsa A" });
        let before = settings.clone();
        AccountArguments { user_name: None, ssh_key: None }.fill(&mut settings).unwrap();
        assert_eq!(settings, before);
    }

    #[test]
    fn an_account_without_a_key_is_closed_by_a_password_of_its_own() {
        let (one, other) = (closed_account().unwrap(), closed_account().unwrap());
        assert_eq!(one["adminUserName"], "batchai");
        assert_eq!(one["adminUserPassword"].as_str().unwrap().len(), 48);
        assert_ne!(one["adminUserPassword"], other["adminUserPassword"]);
    }
}
