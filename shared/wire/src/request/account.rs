//! `userAccountSettings`: the administrator of nodes and file servers.

use crate::read::Fields;
use crate::rules;
use model::UserAccount;
use serde_json::json;

/// Reads the required field `userAccountSettings`. The password is validated and discarded: responses
/// never contain it (docs/contract.md, "Clusters"), and nodes accept no password logins.
pub(super) fn user_account(fields: &Fields<'_>) -> Option<UserAccount> {
    let account = fields.required("userAccountSettings")?.object()?;
    let name = account.required("adminUserName").and_then(|place| rules::non_empty(&place));
    let given = account.some_of(&["adminUserSshPublicKey", "adminUserPassword"]);
    let key = account.optional("adminUserSshPublicKey");
    let password = account.optional("adminUserPassword");
    if given.is_empty() {
        account.invalid("must have adminUserSshPublicKey or adminUserPassword");
    }
    if let Some(place) = password {
        place.describe(|| json!({ "writeOnly": true }));
        rules::non_empty(&place);
    }
    let key = key.and_then(|place| rules::non_empty(&place));
    Some(UserAccount { admin_user_name: name?, admin_user_ssh_public_key: key })
}
