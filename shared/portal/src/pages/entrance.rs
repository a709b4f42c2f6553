//! The page after signing in.

use crate::assets;
use askama::Template;

#[derive(Template)]
#[template(path = "entrance.html")]
struct Entrance<'a> {
    to: &'a str,
    icon: String,
}

pub(crate) fn page(to: &str) -> String {
    let page = Entrance { to, icon: assets::path("icon.svg") };
    page.render().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_to_go_to_cannot_leave_its_attribute() {
        let page = page("/portal/a?b=1\"><script>&c");
        assert!(!page.contains("<script") && page.contains("/portal/a?b=1&#34;"), "{page}");
    }
}
