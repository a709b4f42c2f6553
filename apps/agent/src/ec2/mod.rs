//! What an agent on an EC2 instance takes from the instance: its cluster and launch, the credentials
//! of its role, and the notice of an interruption. Without an SDK: a node needs two requests.

mod credentials;
mod metadata;
mod signature;
mod signer;
mod spot;
mod tags;

pub use metadata::Metadata;
pub use signer::{Signer, SigningError};
pub use spot::watch;
pub use tags::{Membership, membership};

/// Where the metadata service of an instance is (EC2 User Guide, "Access instance metadata").
pub const METADATA: &str = "http://169.254.169.254";
