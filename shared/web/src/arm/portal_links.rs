//! `/local/v1/portalLinks`: links with which a browser signs in to the portal.

use super::Call;
use crate::PortalSignIn;
use axum::response::Response;
use control::Error;
use wire::PortalLinkBody;

impl Call<'_> {
    /// A link that stands for the caller's token for a minute, once; or the page at which a person signs in at the issuer.
    pub(crate) fn create_portal_link(&self) -> Result<Response, Error> {
        let (path, expires_on) = match (&self.web.portal, &self.token) {
            (PortalSignIn::Links(links), Some(token)) => {
                let (code, end) = links.issue(token, self.web.control.context.now());
                (format!("/portal/sign-in?code={code}"), Some(end))
            }
            (PortalSignIn::Issuer(_), _) => (portal::HOME.to_owned(), None),
            (PortalSignIn::Links(_) | PortalSignIn::Closed, _) => {
                return Err(Error::invalid(
                    "PortalClosed",
                    "This service has no portal; on AWS, set the parameter PortalClientId of the stack",
                ));
            }
        };
        self.created(&PortalLinkBody { url: format!("{}{path}", self.base), expires_on })
    }
}
