//! What a failed job leaves to read: the end of its stderr, and why it failed.

use super::{describe, node_output};
use crate::client::{Address, Client, Download};
use crate::context::Context;
use crate::log_tail::{STDOUTERR, download_link, last_lines, last_lines_offset, list_files};
use crate::stderr;
use anyhow::Result;
use resources::{File, Job};

/// How many lines of a file are shown.
const LINES: usize = 20;

/// How many files are shown: a job has one for each of its processes.
const FILES: usize = 3;

/// Of a file without line breaks.
const MAX_BYTES: u64 = 16 * 1024;

/// Prints on stderr the end of each file with the stderr of a process, except the file that was `shown`
/// already (output directory and path), and then the reason. Without readable files, the reason alone.
pub async fn print(context: &Context, address: &Address, job: &Job, shown: (&str, &str)) {
    if context.output.is_quiet() {
        return;
    }
    let entries = match list_files(&context.client, address, STDOUTERR, ".").await {
        Ok(entries) => entries,
        Err(error) => {
            if node_output::is_on_node(&error, STDOUTERR) {
                print_of_nodes(&context.client, address, shown.1).await;
            }
            Vec::new()
        }
    };
    let is_shown = |file: &File| shown == (STDOUTERR, file.name.as_str());
    for file in entries.iter().filter(|file| is_stderr(file) && !is_shown(file)).take(FILES) {
        // The reason is worth more than this part.
        if let Ok(text) = end_of(&context.client, file).await {
            stderr::message(format_args!("-- the end of {}:\n{}", file.name, text.trim_end()));
        }
    }
    stderr::message(format_args!("-- {}", describe(job)));
}

/// The same, of the output that nodes have reported.
async fn print_of_nodes(client: &Client, address: &Address, shown: &str) {
    let outputs = node_output::reported(client, address).await.unwrap_or_default();
    for output in outputs.iter().filter(|it| it.name.starts_with("stderr") && it.name != shown) {
        let text = output.text.trim_end();
        let start = last_lines(text.as_bytes(), LINES).unwrap_or(0);
        let (name, node) = (&output.name, &output.node_id);
        stderr::message(format_args!("-- the end of {name} of node {node}:\n{}", &text[start..]));
    }
}

/// Whether it is the stderr of a process, and not empty.
fn is_stderr(file: &File) -> bool {
    let name = file.name.as_str();
    let is_named_so = name.starts_with("stderr") && name.ends_with(".txt");
    is_named_so && !file.is_directory() && file.properties.content_length.unwrap_or(0) > 0
}

async fn end_of(client: &Client, file: &File) -> Result<String> {
    let link = download_link(file)?;
    let size = file.properties.content_length.unwrap_or(0);
    let offset = last_lines_offset(client, &link, size, LINES).await?;
    let offset = offset.max(size.saturating_sub(MAX_BYTES));
    match client.range(&link, offset, MAX_BYTES).await? {
        Download::Bytes(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        Download::NotFound => anyhow::bail!("the file was removed"),
    }
}
