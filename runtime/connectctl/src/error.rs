//! Failures of a command and their exit codes.

use std::process::ExitCode;

/// Why a command did not do what it was asked to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The worker answered with an error.
    #[error("{message} (HTTP {status})")]
    Refused {
        /// HTTP status.
        status: u16,
        /// The worker's message.
        message: String,
    },
    /// Something else went wrong; the text says what.
    #[error("{0}")]
    Failed(String),
    /// No Kafka Connect worker answered; the text says why and what to do.
    #[error("{0}")]
    Unreachable(String),
    /// The command failed and has said why.
    #[error("the command failed")]
    Reported,
    /// `status --fail-on-failed` found something FAILED, and has shown it.
    #[error("something is FAILED")]
    SomethingFailed,
}

impl Failure {
    /// The exit code.
    pub fn code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Refused { .. } | Self::Failed(_) | Self::Reported => 1,
            Self::Unreachable(_) => 3,
            Self::SomethingFailed => 4,
        })
    }

    /// Whether the user has been told already.
    pub fn is_reported(&self) -> bool {
        matches!(self, Self::Reported | Self::SomethingFailed)
    }
}
