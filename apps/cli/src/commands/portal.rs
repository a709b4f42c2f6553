//! `batchai portal`: signs a browser in to the portal.

use crate::client::{Client, Scope};
use crate::context::Context;
use crate::exit::Exit;
use crate::json::Json;
use crate::output::Format;
use anyhow::Result;
use clap::Args;
use serde::Deserialize;
use serde_json::json;
use std::process::{Command, Stdio};

/// Open the portal in the browser
///
/// Prints a link that signs a browser in with your token, and opens it. The link works once, for a
/// minute; the session lasts 12 hours, and ends with the token. A stack on AWS has a page that signs
/// you in at its issuer.
#[derive(Args)]
#[command(after_help = HELP)]
pub struct Arguments {
    /// Only print the link
    #[arg(long)]
    no_open: bool,
}

const HELP: &str = "\
Examples:
  batchai portal
  batchai portal --no-open -o name                 # only the link, to open it elsewhere
  ssh -L 8470:127.0.0.1:8470 gpu-box batchai portal --no-open    # from another machine";

/// A link that signs a browser in.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PortalLink {
    pub url: String,
    /// Of a link that works once.
    expires_on: Option<String>,
}

/// A new link for the token of the client.
pub async fn link(client: &Client, scope: &Scope) -> Result<PortalLink> {
    created(client, scope).await?.read()
}

async fn created(client: &Client, scope: &Scope) -> Result<Json> {
    client.post_json(&scope.portal_links(), &json!({})).await
}

pub async fn run(context: Context, arguments: Arguments) -> Result<Exit> {
    let created = created(&context.client, &context.scope).await?;
    let link: PortalLink = created.read()?;
    match context.output.format {
        Format::Json | Format::Yaml => context.output.value(&created)?,
        Format::Name | Format::Table | Format::Wide => context.output.print(&link.url)?,
    }
    let is_opened = !arguments.no_open && opened(&link.url);
    context.output.message(match (is_opened, link.expires_on) {
        (true, _) => "Opened in the browser.",
        (false, Some(_)) => "Open this link in a browser within a minute.",
        (false, None) => "Open this page in a browser and sign in there.",
    });
    Ok(Exit::SUCCESS)
}

/// Whether a browser was started. Machines without a screen have none.
fn opened(url: &str) -> bool {
    let program = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
    let started = Command::new(program)
        .arg(url)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    started.is_ok_and(|status| status.success())
}
