//! `batchai logout`: removes the tokens of a profile.

use crate::context;
use crate::environment::Environment;
use crate::exit::Exit;
use crate::options::GlobalOptions;
use crate::profiles::{self, OidcSession, SignIn};
use crate::sign_in;
use anyhow::{Result, bail};
use clap::Args;

/// Sign out: remove the tokens of a profile
///
/// Ends the session at the issuer where the issuer supports that. The settings of the profile stay;
/// `batchai profile remove` removes them too.
#[derive(Args)]
pub struct Arguments {}

pub async fn run(global: GlobalOptions, environment: Environment, _: Arguments) -> Result<Exit> {
    let output = context::output(&global, &environment);
    let profiles = context::profiles(&environment);
    let selected = profiles::select(&profiles.read()?, &global.profile_choice(), None)?;
    let Some(selected) = selected else {
        bail!("no profile is selected: set --profile NAME; `batchai profile list` shows the names");
    };
    let name = selected.name.clone();
    let removed = tokio::task::spawn_blocking(move || -> Result<Option<OidcSession>> {
        let mut locked = profiles.lock()?;
        let profile = locked.content.profiles.get_mut(&selected.name);
        let Some(SignIn::Oidc(session)) = profile.map(|it| &mut it.sign_in) else {
            return Ok(None);
        };
        let removed = session.clone();
        session.tokens = None;
        locked.write()?;
        Ok(Some(removed))
    });
    match removed.await?? {
        None => output.message(format_args!(
            "Profile {name} stores no token: its command prints one when it is needed."
        )),
        Some(session) => {
            revoke(&session).await;
            output.message(format_args!("Signed out of profile {name}."));
        }
    }
    Ok(Exit::SUCCESS)
}

/// The tokens are removed here whether or not the issuer can be reached.
async fn revoke(session: &OidcSession) {
    let Some(refresh) = session.tokens.as_ref().and_then(|it| it.refresh.as_ref()) else { return };
    let revoked = async {
        let issuer = sign_in::discover(&session.client.issuer).await?;
        sign_in::revoke(&issuer, &session.client, refresh).await
    };
    if let Err(error) = revoked.await {
        crate::stderr::message(format_args!(
            "The session at the issuer was not ended: {error:#}. It ends by itself."
        ));
    }
}
