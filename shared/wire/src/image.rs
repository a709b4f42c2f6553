//! `virtualMachineConfiguration.imageReference`: stored and returned. The default is that of the
//! Batch AI service (docs/contract.md, "Clusters").

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// `ImageReference` of the contract.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the fields are those of the contract")]
pub struct ImageReference {
    pub publisher: String,
    pub offer: String,
    pub sku: String,
    pub version: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub virtual_machine_image_id: Option<String>,
}

impl Default for ImageReference {
    fn default() -> Self {
        Self {
            publisher: "Canonical".to_owned(),
            offer: "UbuntuServer".to_owned(),
            sku: "16.04-LTS".to_owned(),
            version: Self::LATEST.to_owned(),
            virtual_machine_image_id: None,
        }
    }
}

impl ImageReference {
    pub(crate) const LATEST: &str = "latest";

    /// The stored form.
    pub(crate) fn to_stored(&self) -> Value {
        let mut map = Map::new();
        let mut put = |name: &str, value: &str| map.insert(name.to_owned(), value.into());
        put("publisher", &self.publisher);
        put("offer", &self.offer);
        put("sku", &self.sku);
        put("version", &self.version);
        if let Some(id) = &self.virtual_machine_image_id {
            put("virtualMachineImageId", id);
        }
        Value::Object(map)
    }

    /// Reads the stored form. A form of another version of the service is read as the default.
    pub fn from_stored(stored: &Value) -> Self {
        Self::deserialize(stored).unwrap_or_default()
    }
}
