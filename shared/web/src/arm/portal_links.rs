//! `/local/v1/portalLinks`: links with which a browser signs in to the portal.

use super::Call;
use axum::response::Response;
use control::Error;
use wire::PortalLinkBody;

impl Call<'_> {
    /// A link that stands for the caller's token for a minute, once.
    pub(crate) fn create_portal_link(&self) -> Result<Response, Error> {
        let (Some(links), Some(token)) = (&self.web.portal_links, &self.token) else {
            return Err(Error::invalid(
                "PortalLinkNotSupported",
                "Links are for the local service; open /portal/ of the endpoint in a browser and sign in there",
            ));
        };
        let (code, expires_on) = links.issue(token, self.web.control.context.now());
        self.created(&PortalLinkBody {
            url: format!("{}/portal/sign-in?code={code}", self.base),
            expires_on,
        })
    }
}
