//! The image of nodes as the Azure CLI takes it: an alias, or `publisher:offer:sku:version`.

use serde_json::{Value, json};

/// Fields of `imageReference`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    publisher: String,
    offer: String,
    sku: String,
    version: Option<String>,
}

/// The aliases of the Azure CLI: name, publisher, offer, sku.
const ALIASES: [(&str, &str, &str, &str); 2] = [
    ("UbuntuLTS", "Canonical", "UbuntuServer", "16.04-LTS"),
    ("UbuntuDSVM", "microsoft-ads", "linux-data-science-vm-ubuntu", "linuxdsvmubuntu"),
];

/// Parses an alias or the four parts of an image; the version may be empty.
///
/// # Errors
/// Names the forms.
pub fn parse(text: &str) -> Result<Image, String> {
    let alias = ALIASES.iter().find(|(alias, ..)| alias.eq_ignore_ascii_case(text));
    if let Some((_, publisher, offer, sku)) = alias {
        return Ok(image(publisher, offer, sku, ""));
    }
    match text.split(':').collect::<Vec<_>>().as_slice() {
        [publisher, offer, sku, version]
            if ![publisher, offer, sku].iter().any(|part| part.is_empty()) =>
        {
            Ok(image(publisher, offer, sku, version))
        }
        _ => Err("use UbuntuLTS, UbuntuDSVM or publisher:offer:sku:version".to_owned()),
    }
}

fn image(publisher: &str, offer: &str, sku: &str, version: &str) -> Image {
    Image {
        publisher: publisher.to_owned(),
        offer: offer.to_owned(),
        sku: sku.to_owned(),
        version: Some(version.to_owned()).filter(|version| !version.is_empty()),
    }
}

impl Image {
    /// `imageReference` of the API.
    pub fn body(&self) -> Value {
        let mut body = json!({ "publisher": self.publisher, "offer": self.offer, "sku": self.sku });
        if let Some(version) = &self.version {
            body["version"] = json!(version);
        }
        body
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_an_alias_or_has_four_parts() {
        insta::assert_snapshot!(parse("ubuntults").unwrap().body(), @r#"{"offer":"UbuntuServer","publisher":"Canonical","sku":"16.04-LTS"}"#);
        insta::assert_snapshot!(parse("a:b:c:1.0").unwrap().body(), @r#"{"offer":"b","publisher":"a","sku":"c","version":"1.0"}"#);
        assert_eq!(parse("a:b:c:").unwrap().version, None);
        for text in ["", "ubuntu", "a:b:c", "a::c:d", "a:b:c:d:e"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
