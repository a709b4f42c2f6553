//! The portal of the stack, in a browser that signs in at the issuer.

use crate::region::Region;
use crate::sweep::{LONG_JOB, SUBSCRIPTION};
use std::time::Duration;
use tests::browser;

/// As long as the experiment may take.
const TIMEOUT: Duration = Duration::from_secs(600);

/// Signs the first owner in, and follows the experiment to its end.
pub fn follows(region: &Region) -> impl Future<Output = ()> + Send + 'static {
    region.issuer.facts().subject = region.owner().to_owned();
    let endpoint = region.endpoint.clone();
    let directory = region.machines.root.path().to_owned();
    async move {
        let Some(browser) = browser::installed() else {
            eprintln!("skipped in part: no Chromium is installed");
            return;
        };
        let workspace = format!("{endpoint}/portal/workspaces/{SUBSCRIPTION}/g/w");
        let variables =
            [("BATCHAI_TEST_WORKSPACE", workspace), ("BATCHAI_TEST_JOB", LONG_JOB.to_owned())];
        browser::run(browser, "portal_aws.py", &variables, &directory, TIMEOUT).await;
    }
}
