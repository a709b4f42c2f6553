//! Error codes of refused requests. No recording has one of the Batch AI service, so these are ours,
//! in the style of Azure Resource Manager (docs/contract.md, "Errors").

/// The body is not JSON.
pub const INVALID_REQUEST_CONTENT: &str = "InvalidRequestContent";
/// A field is missing, of the wrong type, or breaks a rule.
pub const INVALID_PARAMETER: &str = "InvalidParameter";
/// A name in the path breaks the rules of names.
pub const INVALID_RESOURCE_NAME: &str = "InvalidResourceName";
/// The request has several violations with different codes; `details` has each with its own code.
pub const MULTIPLE_ERRORS: &str = "MultipleErrorsOccurred";

/// A body refers to a file server that does not exist.
pub const FILE_SERVER_NOT_FOUND: &str = "FileServerNotFound";
