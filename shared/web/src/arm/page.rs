//! Paging of lists. The continuation token is opaque and signed, so it continues only the list that it
//! came from.

use super::Call;
use crate::files::UNRESERVED;
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use control::Error;
use percent_encoding::{AsciiSet, PercentEncode, utf8_percent_encode};
use serde::Serialize;

const SKIP_TOKEN: &str = "$skiptoken";

impl Call<'_> {
    /// Entries per page (`maxresults`).
    pub(crate) fn page_size(&self) -> Result<usize, Error> {
        Ok(wire::parse_max_results(&self.query)? as usize)
    }

    /// The position after which the page starts.
    pub(crate) fn page_start(&self) -> Result<Option<String>, Error> {
        let given = self.query.iter().find(|(name, _)| name.eq_ignore_ascii_case(SKIP_TOKEN));
        let Some((_, token)) = given else { return Ok(None) };
        let invalid = || {
            Error::invalid(
                "InvalidSkipToken",
                "The continuation token does not belong to this list; start the list again",
            )
        };
        let (position, signature) = token.split_once('.').ok_or_else(invalid)?;
        let position = URL_SAFE_NO_PAD.decode(position).map_err(|_| invalid())?;
        let position = String::from_utf8(position).map_err(|_| invalid())?;
        let signed = self.web.control.context.keys.sign_page(&self.list_name(), &position);
        control::keys::constant_time_eq(&signed, signature)
            .then_some(Some(position))
            .ok_or_else(invalid)
    }

    pub(crate) fn page<T: Serialize>(
        &self,
        items: Vec<T>,
        next: Option<String>,
    ) -> Result<Response, Error> {
        let next_link = next.map(|position| {
            let signature = self.web.control.context.keys.sign_page(&self.list_name(), &position);
            let mut query = vec![("api-version".to_owned(), wire::API_VERSION.to_owned())];
            let kept = self.query.iter().filter(|(name, _)| {
                !name.eq_ignore_ascii_case(SKIP_TOKEN) && !name.eq_ignore_ascii_case("api-version")
            });
            query.extend(kept.cloned());
            let token = format!("{}.{signature}", URL_SAFE_NO_PAD.encode(position));
            query.push((SKIP_TOKEN.to_owned(), token));
            let pairs: Vec<String> = query
                .iter()
                .map(|(name, value)| format!("{}={}", encoded(name), encoded(value)))
                .collect();
            format!("{}{}?{}", self.base, self.path, pairs.join("&"))
        });
        self.ok(&wire::list(items, next_link))
    }

    fn list_name(&self) -> String {
        self.path.trim_end_matches('/').to_ascii_lowercase()
    }
}

/// The characters that have a meaning in a query, except the `$` in the name of the token.
const QUERY: &AsciiSet = &UNRESERVED.remove(b'$');

fn encoded(text: &str) -> PercentEncode<'_> {
    utf8_percent_encode(text, QUERY)
}
