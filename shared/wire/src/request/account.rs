//! `userAccountSettings`: the administrator of nodes and file servers.

use crate::read::Fields;
use crate::rules;
use model::UserAccount;
use serde_json::json;
use std::fmt;

/// A password as it was sent. Its `Debug` shows nothing of it.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordInput(pub String);

impl fmt::Debug for PasswordInput {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("PasswordInput")
    }
}

/// Reads the required field `userAccountSettings`: the account, and the password, which responses never
/// contain (docs/contract.md, "Clusters").
pub(super) fn user_account(fields: &Fields<'_>) -> Option<(UserAccount, Option<PasswordInput>)> {
    let account = fields.required("userAccountSettings")?.object()?;
    let name = account.required("adminUserName").and_then(|place| rules::non_empty(&place));
    let given = account.some_of(&["adminUserSshPublicKey", "adminUserPassword"]);
    let key = account.optional("adminUserSshPublicKey");
    let password = account.optional("adminUserPassword");
    if given.is_empty() {
        account.invalid("must have adminUserSshPublicKey or adminUserPassword");
    }
    let password = password.and_then(|place| {
        place.describe(|| json!({ "writeOnly": true }));
        rules::non_empty(&place).map(PasswordInput)
    });
    let key = key.and_then(|place| rules::non_empty(&place));
    Some((UserAccount { admin_user_name: name?, admin_user_ssh_public_key: key }, password))
}
