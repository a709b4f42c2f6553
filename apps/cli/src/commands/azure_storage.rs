//! Azure storage in JSON files: the account and its key, which the published recipes leave out. The Azure CLI fills them in
//! from the same environment variables.
//!
//! A service on this machine keeps volumes as directories and needs neither, so it gets placeholders.

use anyhow::{Result, bail};
use serde_json::{Value, json};

/// In the recipes, where the name of the account is to be.
pub const PLACEHOLDER: &str = "<AZURE_BATCHAI_STORAGE_ACCOUNT>";

/// Account and key for a service that needs none.
const UNUSED: &str = "local";

/// The account that files refer to.
pub struct AzureStorage<'a> {
    /// Name of the storage account.
    pub account: Option<&'a str>,
    /// Key of the storage account.
    pub key: Option<&'a str>,
    /// Whether the service keeps volumes as directories.
    pub is_local: bool,
}

impl AzureStorage<'_> {
    /// Fills in what `mountVolumes` of a job or of `nodeSetup` leaves out.
    ///
    /// # Errors
    /// When an account or a key is needed and unknown.
    pub fn fill(&self, owner: &mut Value) -> Result<()> {
        let Some(volumes) = owner.get_mut("mountVolumes") else { return Ok(()) };
        for list in ["azureFileShares", "azureBlobFileSystems"] {
            let mounts = volumes.get_mut(list).and_then(Value::as_array_mut);
            for mount in mounts.into_iter().flatten().filter(|mount| mount.is_object()) {
                self.fill_mount(mount)?;
            }
        }
        Ok(())
    }

    fn fill_mount(&self, mount: &mut Value) -> Result<()> {
        for name in ["accountName", "azureFileUrl", "containerName"] {
            if let Some(text) = mount[name].as_str().filter(|text| text.contains(PLACEHOLDER)) {
                mount[name] = Value::from(text.replace(PLACEHOLDER, self.account()?));
            }
        }
        if mount["accountName"].is_null() {
            let of_url = |url: &str| Some(url.split_once("://")?.1.split_once('.')?.0.to_owned());
            let account = match mount["azureFileUrl"].as_str().and_then(of_url) {
                Some(account) => account,
                None => self.account()?.to_owned(),
            };
            mount["accountName"] = Value::from(account);
        }
        if mount["credentials"].is_null() {
            mount["credentials"] = json!({ "accountKey": self.key()? });
        }
        Ok(())
    }

    fn account(&self) -> Result<&str> {
        match self.account {
            Some(account) => Ok(account),
            None if self.is_local => Ok(UNUSED),
            None => bail!(
                "the file does not name its Azure storage account: add --storage-account-name NAME, or set AZURE_BATCHAI_STORAGE_ACCOUNT"
            ),
        }
    }

    fn key(&self) -> Result<&str> {
        match self.key {
            Some(key) => Ok(key),
            None if self.is_local => Ok(UNUSED),
            None => bail!(
                "the file has no credentials of its Azure storage account: set AZURE_BATCHAI_STORAGE_KEY to the key of the account"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recipe() -> Value {
        json!({ "mountVolumes": {
            "azureFileShares": [{
                "azureFileUrl": "https://<AZURE_BATCHAI_STORAGE_ACCOUNT>.file.core.windows.net/logs",
                "relativeMountPath": "logs",
            }],
            "azureBlobFileSystems": [{
                "accountName": "<AZURE_BATCHAI_STORAGE_ACCOUNT>",
                "containerName": "data",
                "relativeMountPath": "data",
            }],
        } })
    }

    fn filled(storage: &AzureStorage<'_>) -> Result<String> {
        let mut properties = recipe();
        storage.fill(&mut properties)?;
        Ok(properties["mountVolumes"].to_string())
    }

    #[test]
    fn a_recipe_gets_its_account_and_key() {
        let remote = AzureStorage { account: Some("lab"), key: Some("a2V5"), is_local: false };
        insta::assert_snapshot!(filled(&remote).unwrap(), @r#"{"azureBlobFileSystems":[{"accountName":"lab","containerName":"data","credentials":{"accountKey":"a2V5"},"relativeMountPath":"data"}],"azureFileShares":[{"accountName":"lab","azureFileUrl":"https://lab.file.core.windows.net/logs","credentials":{"accountKey":"a2V5"},"relativeMountPath":"logs"}]}"#);
        let text = filled(&AzureStorage { account: None, key: None, is_local: true }).unwrap();
        assert!(text.contains("https://local.file.core.windows.net/logs"), "{text}");
    }

    #[test]
    fn what_is_missing_is_named() {
        let missing = |account, key| {
            filled(&AzureStorage { account, key, is_local: false }).unwrap_err().to_string()
        };
        assert!(missing(None, Some("k")).contains("--storage-account-name"));
        assert!(missing(Some("lab"), None).contains("AZURE_BATCHAI_STORAGE_KEY"));
    }

    #[test]
    fn what_a_file_says_stays() {
        let own = json!({ "mountVolumes": { "azureFileShares": [{ "accountName": "own",
            "azureFileUrl": "https://other.file.core.windows.net/s", "relativeMountPath": "s",
            "credentials": { "accountKey": "k" } }] } });
        let mut filled = own.clone();
        AzureStorage { account: None, key: None, is_local: false }.fill(&mut filled).unwrap();
        assert_eq!(filled, own);
        // The service refuses a null.
        let mut none = json!({ "nodeCount": 1 });
        AzureStorage { account: None, key: None, is_local: false }.fill(&mut none).unwrap();
        assert_eq!(none, json!({ "nodeCount": 1 }));
    }
}
