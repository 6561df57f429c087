//! Why a command failed, and its exit code.

use crate::api::types::ErrorBody;

/// A command's failure. Its text is printed to standard error as it is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The input is at fault: exit code 1.
    #[error("{0}")]
    Input(String),
    /// The command line is: exit code 2.
    #[error("{0}")]
    Usage(String),
    /// No daemon answers: exit code 3.
    #[error("{0}")]
    NoDaemon(String),
    /// The daemon, or this host, refuses: exit code 4.
    #[error("{0}")]
    Refused(String),
}

impl Failure {
    /// The exit code of the process.
    pub const fn code(&self) -> u8 {
        match self {
            Self::Input(_) => 1,
            Self::Usage(_) => 2,
            Self::NoDaemon(_) => 3,
            Self::Refused(_) => 4,
        }
    }
}

impl From<ErrorBody> for Failure {
    fn from(body: ErrorBody) -> Self {
        match body.code.as_str() {
            "ambiguous" | "bad_request" => Self::Usage(body.message),
            "not_found" => Self::Input(body.message),
            "invalid" if !body.details.is_empty() => Self::Input(body.details.join("\n")),
            "invalid" => Self::Input(body.message),
            _ => Self::Refused(body.message),
        }
    }
}
