//! Usages (docs/contract.md, "Quotas and usages").

use super::Call;
use axum::response::Response;
use control::Error;

impl Call<'_> {
    pub(crate) async fn usages(&self) -> Result<Response, Error> {
        let subscription = self.route.subscription()?;
        let location = self.route.dotted_name("location")?;
        let usages = self.web.control.usages.list(&subscription, &location).await?;
        self.ok(&wire::list(usages.iter().map(wire::usage).collect(), None))
    }
}
