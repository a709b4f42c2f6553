//! `/local/v1/tokens`: tokens that the service issues. Only the service's own token may manage them.

use super::Call;
use axum::response::Response;
use control::Error;

impl Call<'_> {
    pub(crate) async fn tokens(&self) -> Result<Response, Error> {
        let tokens = self.web.control.tokens.list().await?;
        self.ok(&wire::list(tokens.iter().map(wire::token).collect(), None))
    }

    pub(crate) async fn create_token(&self) -> Result<Response, Error> {
        let request = wire::parse_token(&self.body)?;
        let control = &self.web.control;
        let (token, text) = control.tokens.create(&request.name, request.lifetime_seconds).await?;
        self.created(&wire::new_token(&token, text))
    }

    pub(crate) async fn revoke_token(&self) -> Result<Response, Error> {
        let name = self.route.dotted_name("tokenName")?;
        self.web.control.tokens.revoke(name.as_str()).await?;
        self.no_content()
    }
}
