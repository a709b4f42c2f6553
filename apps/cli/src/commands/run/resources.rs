//! What a run needs, and makes if it is missing.

use super::{Arguments, Priority, messages};
use crate::client::{Address, is_not_found};
use crate::commands::account::locked_account;
use crate::context::Context;
use anyhow::Result;
use serde_json::{Value, json};

/// The size of nodes without and with a GPU.
const CPU_SIZE: &str = "STANDARD_D2_V2";
const GPU_SIZE: &str = "STANDARD_NC6";

/// The maximum of a new cluster.
const NODES: u32 = 4;

pub struct Resources {
    pub cluster: String,
    pub file_server: String,
    location: String,
    vm_size: String,
    vm_priority: &'static str,
    max: u32,
}

impl Resources {
    pub fn of(arguments: &Arguments) -> Self {
        let kind = if arguments.gpu { "gpu" } else { "cpu" };
        let (suffix, vm_priority) = match arguments.vm_priority {
            Priority::LowPriority => ("", "lowpriority"),
            Priority::Dedicated => ("-dedicated", "dedicated"),
        };
        let size = if arguments.gpu { GPU_SIZE } else { CPU_SIZE };
        Self {
            cluster: arguments.cluster.clone().unwrap_or_else(|| format!("{kind}{suffix}")),
            file_server: arguments.file_server.clone(),
            location: arguments.location.clone(),
            vm_size: arguments.vm_size.clone().unwrap_or_else(|| size.to_owned()),
            vm_priority,
            max: arguments.max.unwrap_or(NODES.max(arguments.nodes)),
        }
    }

    /// Makes what is missing.
    pub async fn ensure(&self, context: &Context) -> Result<()> {
        let (workspace, rest) = self.wanted(context)?;
        workspace.ensure(context).await?;
        futures::future::try_join_all(rest.iter().map(|it| it.ensure(context))).await?;
        Ok(())
    }

    /// The names of what is missing.
    pub async fn missing(&self, context: &Context) -> Result<Vec<String>> {
        let (workspace, rest) = self.wanted(context)?;
        let mut missing = Vec::new();
        for wanted in std::iter::once(&workspace).chain(&rest) {
            if !wanted.exists(context).await? {
                missing.push(format!("{} {}", wanted.kind, wanted.name));
            }
        }
        Ok(missing)
    }

    fn wanted(&self, context: &Context) -> Result<(Wanted, [Wanted; 3])> {
        let scope = &context.scope;
        let name = |name: &Option<String>| name.clone().unwrap_or_default();
        let (workspace, experiment) = (name(&scope.workspace), name(&scope.experiment));
        let wanted = |kind, above: Address, name: &str, body| {
            let address = above.join(&[name]);
            Wanted { kind, name: name.to_owned(), address, body }
        };
        let account = locked_account()?;
        let server = json!({ "properties": {
            "vmSize": "STANDARD_DS1_V2",
            "sshConfiguration": { "userAccountSettings": account },
            "dataDisks": {
                "diskSizeInGB": 32, "diskCount": 1, "storageAccountType": "Standard_LRS" },
        }});
        let cluster = json!({ "properties": {
            "vmSize": self.vm_size,
            "vmPriority": self.vm_priority,
            "scaleSettings": { "autoScale": {
                "minimumNodeCount": 0, "maximumNodeCount": self.max } },
            "userAccountSettings": locked_account()?,
        }});
        let location = json!({ "location": self.location });
        Ok((
            wanted("workspace", scope.workspaces(), &workspace, location),
            [
                wanted("experiment", scope.experiments()?, &experiment, json!({})),
                wanted("file server", scope.file_servers()?, &self.file_server, server),
                wanted("cluster", scope.clusters()?, &self.cluster, cluster),
            ],
        ))
    }
}

/// A resource, and how it is made.
struct Wanted {
    kind: &'static str,
    name: String,
    address: Address,
    body: Value,
}

impl Wanted {
    async fn exists(&self, context: &Context) -> Result<bool> {
        match context.client.get(&self.address).await {
            Ok(_) => Ok(true),
            Err(error) if is_not_found(&error) => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn ensure(&self, context: &Context) -> Result<()> {
        if !self.exists(context).await? {
            context.client.put(&self.address, &self.body).await?;
            context.output.message(messages::made(self.kind, &self.name));
        }
        Ok(())
    }
}
