//! What goes wrong with test servers.

use std::error::Error as _;
use std::{fmt, io};

/// Result of everything that starts or asks a server.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a server could not be obtained, started or asked.
#[derive(thiserror::Error)]
pub enum Error {
    /// A program that must be installed is not there, or is too old.
    #[error("{what} is missing; get it with: {way}")]
    Missing {
        /// What is missing.
        what: String,
        /// A command that installs it.
        way: String,
    },
    /// The operating system refused something.
    #[error("{doing}")]
    Io {
        /// What was being done to what.
        doing: String,
        /// Why it failed.
        source: io::Error,
    },
    /// Another program failed or took too long.
    #[error("{doing}: {outcome}\n{output}")]
    Command {
        /// What was being done to what.
        doing: String,
        /// The exit status, or that the time was up.
        outcome: String,
        /// The end of what it printed.
        output: String,
    },
    /// A server did not start, stop or live as it should.
    #[error("{server} {why}; its log ends with:\n{log}")]
    Server {
        /// Which server.
        server: String,
        /// What it did.
        why: String,
        /// The last lines of its log.
        log: String,
    },
    /// A server gave an answer that does not fit the question.
    #[error("{doing}: {answer}")]
    Answer {
        /// What was being done to what.
        doing: String,
        /// The answer, or what is wrong with it.
        answer: String,
    },
}

impl Error {
    /// For `map_err` on input and output: `doing` says what was being done to what.
    pub(crate) fn io(doing: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let doing = doing.into();
        move |source| Self::Io { doing, source }
    }

    /// A prerequisite that is not installed.
    pub(crate) fn missing(what: impl Into<String>, way: impl Into<String>) -> Self {
        Self::Missing { what: what.into(), way: way.into() }
    }
}

// Tests say `expect`, which prints the debug form: make that one readable, log lines and causes included.
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")?;
        let mut cause = self.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}
