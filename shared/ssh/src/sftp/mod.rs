//! The server of the SFTP subsystem (version 3 of the protocol, as OpenSSH speaks it): a process of its own, which the
//! kernel gives the rights of its user, and which sees the files of its container. So it needs no rules about paths.

mod attributes;
mod files;
mod handles;

use std::io;

use tokio::sync::oneshot;

/// Serves files on standard input and output until the input ends. Relative paths are relative to the working
/// directory.
///
/// # Errors
/// When the process can have no event loop.
pub fn serve() -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let (sender, ended) = oneshot::channel();
        let streams = tokio::io::join(tokio::io::stdin(), tokio::io::stdout());
        russh_sftp::server::run(streams, files::Files::new(sender)).await;
        // Resolved when the handler is dropped, at the end of the input.
        let _: Result<(), _> = ended.await;
    });
    Ok(())
}
