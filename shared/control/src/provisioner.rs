//! Provisioner: creates and removes the directories of file servers, and clears experiments, workspaces and
//! resource groups that are being deleted.

use crate::{Context, Error, deletion, file_servers};
use model::Target;

pub(crate) async fn reconcile(context: &Context, target: &Target) -> Result<(), Error> {
    match target {
        Target::Cluster { .. } => Ok(()),
        Target::FileServer { workspace, name, uid } => {
            file_servers::settle(context, workspace, name, uid).await
        }
        Target::RemovedFileServer { uid, not_before } => {
            file_servers::remove_again(context, uid, *not_before).await
        }
        Target::Experiment { workspace, name, uid } => {
            deletion::clear_experiment(context, workspace, name, uid).await
        }
        Target::Workspace { subscription, resource_group, name, uid } => {
            deletion::clear_workspace(context, subscription, resource_group, name, uid).await
        }
        Target::ResourceGroup { subscription, name, uid } => {
            deletion::clear_resource_group(context, subscription, name, uid).await
        }
    }
}
