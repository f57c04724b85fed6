//! Failures of a command and their exit codes.

use std::process::ExitCode;

/// What the exit codes mean, for the help and the reference.
pub const CODES: &[(u8, &str)] = &[
    (0, "done"),
    (1, "the command failed: the worker refused it, something was not found, a file has problems, a test failed"),
    (2, "wrong usage; also: something that asks first was not confirmed, for want of a terminal or of --yes"),
    (3, "no Kafka Connect worker, Kafka broker or schema registry answered at the address"),
    (4, "--fail-on: something shown is in a state that was named; doctor: something fails"),
    (5, "--wait: the time was over before what was waited for came"),
    (6, "diff: something differs"),
    (130, "produce: interrupted with Ctrl-C; what is counted was acknowledged"),
];

/// As shells have it of what SIGINT ends.
pub const INTERRUPTED: u8 = 130;

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
    /// The command line asks for what cannot be; the text says why and what to write instead.
    #[error("{0}")]
    Usage(String),
    /// Nobody answered as what was looked for; the text says why and what to do.
    #[error("{0}")]
    Unreachable(String),
    /// The command failed and has said why.
    #[error("the command failed")]
    Reported,
    /// `--fail-on` found a state that it names, and the command has shown it.
    #[error("something is in a state of --fail-on")]
    StateFound,
    /// `--wait` took too long; the text says what is still missing.
    #[error("{0}")]
    TimedOut(String),
    /// Something differs, and the command has shown it.
    #[error("something differs")]
    Differs,
    /// The user had it end early.
    #[error("interrupted; nothing was sent but what is counted")]
    Interrupted,
    /// A monitoring plugin's exit code, whose line has been printed.
    #[error("the diagnosis is {0}")]
    Judged(u8),
}

impl Failure {
    /// The exit code.
    pub fn code(&self) -> ExitCode {
        ExitCode::from(self.number())
    }

    /// The exit code's number.
    pub fn number(&self) -> u8 {
        match self {
            Self::Refused { .. } | Self::Failed(_) | Self::Reported => 1,
            Self::Usage(_) => 2,
            Self::Unreachable(_) => 3,
            Self::StateFound => 4,
            Self::TimedOut(_) => 5,
            Self::Differs => 6,
            Self::Interrupted => INTERRUPTED,
            Self::Judged(code) => *code,
        }
    }

    /// Whether the user has been told already.
    pub fn is_reported(&self) -> bool {
        matches!(self, Self::Reported | Self::StateFound | Self::Differs | Self::Judged(_))
    }

    /// The failure with a name in front of its text, where it concerns one of several.
    pub fn of(self, name: &str) -> Self {
        match self {
            Self::Refused { status, message } => Self::Refused { status, message: format!("{name}: {message}") },
            Self::Failed(text) => Self::Failed(format!("{name}: {text}")),
            Self::TimedOut(text) => Self::TimedOut(format!("{name}: {text}")),
            other => other,
        }
    }
}

impl From<connect_api::Error> for Failure {
    /// What passes by itself is a server that does not answer; the rest is a refusal.
    fn from(e: connect_api::Error) -> Self {
        match e.class() {
            connect_api::ErrorClass::Retriable => Self::Unreachable(e.one_line()),
            _ => Self::Failed(e.one_line()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_exit_code_is_documented() {
        let all = [
            Failure::Reported,
            Failure::Usage(String::new()),
            Failure::Unreachable(String::new()),
            Failure::StateFound,
            Failure::TimedOut(String::new()),
            Failure::Differs,
            Failure::Interrupted,
        ];
        for failure in all {
            assert!(CODES.iter().any(|(code, _)| *code == failure.number()), "{failure:?}");
        }
    }
}
