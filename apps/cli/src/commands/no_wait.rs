//! `--no-wait`, as in the Azure CLI: returns when the service has accepted a request, before it has carried it out.

use crate::client::{Address, Client};
use crate::json::Json;
use anyhow::Result;
use clap::Args;
use serde::Serialize;

#[derive(Args, Clone, Copy, Debug)]
pub struct NoWait {
    /// Return when the service has accepted the request; do not wait until it is carried out
    #[arg(long)]
    no_wait: bool,
}

impl NoWait {
    pub async fn put(
        self,
        client: &Client,
        address: &Address,
        content: &impl Serialize,
    ) -> Result<Json> {
        match self.no_wait {
            true => client.begin_put(address, content).await,
            false => client.put(address, content).await,
        }
    }

    /// Returns what can be said about the resource afterwards.
    pub async fn delete(self, client: &Client, address: &Address) -> Result<&'static str> {
        match self.no_wait {
            true => client.begin_delete(address).await.map(|()| "The deletion is accepted."),
            false => client.delete(address).await.map(|()| "Deleted."),
        }
    }

    pub async fn post(self, client: &Client, address: &Address) -> Result<()> {
        match self.no_wait {
            true => client.begin_post(address).await,
            false => client.post(address).await,
        }
    }
}
