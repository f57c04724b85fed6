//! The one error type of the plugin interface, classified by what the worker must do next.

use std::{borrow::Cow, error::Error as StdError, fmt, sync::Arc, time::Duration};

/// Result of everything that a plugin or the worker does with records.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What the worker does about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorClass {
    /// The same records are tried again, after a back-off or the delay that the server asked for.
    Retriable,
    /// These records can never pass: `errors.tolerance` and the dead letter queue decide.
    Data,
    /// The task becomes FAILED; a person or the restart policy decides.
    Fatal,
}

/// An error with its class, its message and the chain of its causes.
///
/// Messages are lower case, without a full stop, and say what was being done to what:
/// `writing 500 points to database alarms`. The cause goes into [`Error::caused_by`], never into the
/// message, so that it is printed once. Cloning is cheap.
#[derive(Clone)]
pub struct Error(Arc<Inner>);

#[derive(Clone)]
struct Inner {
    class: ErrorClass,
    message: Cow<'static, str>,
    exception: Option<&'static str>,
    retry_after: Option<Duration>,
    denied: bool,
    advanced: bool,
    source: Option<Arc<dyn StdError + Send + Sync + 'static>>,
}

impl Error {
    fn new(class: ErrorClass, message: impl Into<Cow<'static, str>>) -> Self {
        let message = message.into();
        Self(Arc::new(Inner {
            class,
            message,
            exception: None,
            retry_after: None,
            denied: false,
            advanced: false,
            source: None,
        }))
    }

    /// An error that passes by itself: a server that does not answer, a request limit.
    pub fn retriable(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorClass::Retriable, message)
    }

    /// An error of the data: the same records would fail again.
    pub fn data(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorClass::Data, message)
    }

    /// An error that needs a person: wrong credentials, wrong settings, a bug.
    pub fn fatal(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorClass::Fatal, message)
    }

    fn edit(mut self, change: impl FnOnce(&mut Inner)) -> Self {
        change(Arc::make_mut(&mut self.0));
        self
    }

    /// Attaches the cause.
    pub fn caused_by(self, source: impl Into<Box<dyn StdError + Send + Sync + 'static>>) -> Self {
        let source: Box<dyn StdError + Send + Sync> = source.into();
        self.edit(|e| e.source = Some(Arc::from(source)))
    }

    /// Sets how long to wait before the next try, as the server asked for (`Retry-After`).
    pub fn retry_after(self, delay: Duration) -> Self {
        self.edit(|e| e.retry_after = Some(delay))
    }

    /// Says that credentials were refused: new ones may pass, so the worker looks whether there are some.
    pub fn denied(self) -> Self {
        self.edit(|e| e.denied = true)
    }

    /// Says that a part of what was tried got through and is not tried again: the worker's pauses between tries begin
    /// anew.
    pub fn advanced(self) -> Self {
        self.edit(|e| e.advanced = true)
    }

    /// Names the Java exception that Kafka Connect would show, for dead letter headers.
    pub fn exception(self, class: &'static str) -> Self {
        self.edit(|e| e.exception = Some(class))
    }

    /// Puts what was being done in front: the error itself becomes the cause, its class stays.
    pub fn context(self, message: impl Into<Cow<'static, str>>) -> Self {
        let Inner { class, retry_after, exception, denied, advanced, .. } = *self.0;
        let (message, source) = (message.into(), Some(Arc::new(self) as _));
        Self(Arc::new(Inner { class, message, exception, retry_after, denied, advanced, source }))
    }

    /// The class, which decides what the worker does.
    pub fn class(&self) -> ErrorClass {
        self.0.class
    }

    /// The message without its causes.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// How long the server asked to wait.
    pub fn delay(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// Whether it says that credentials were refused.
    pub fn is_denied(&self) -> bool {
        self.0.denied
    }

    /// Whether it says that a part of what was tried got through.
    pub fn has_advanced(&self) -> bool {
        self.0.advanced
    }

    /// The Java exception class that stands for this error in traces and dead letter headers.
    pub fn exception_class(&self) -> &'static str {
        self.0.exception.unwrap_or(match self.0.class {
            ErrorClass::Retriable => "org.apache.kafka.connect.errors.RetriableException",
            ErrorClass::Data => "org.apache.kafka.connect.errors.DataException",
            ErrorClass::Fatal => "org.apache.kafka.connect.errors.ConnectException",
        })
    }

    /// The message and below it the chain of causes, one line each.
    pub fn report(&self) -> String {
        let mut text = self.message().to_owned();
        let mut cause = self.source();
        while let Some(e) = cause {
            cause = e.source();
            let said = e.to_string();
            // Others tell their cause themselves.
            if !said.is_empty() && text.ends_with(&said) {
                continue;
            }
            // Some of Kafka's messages end as if the cause followed.
            text.truncate(text.trim_end_matches([':', ' ']).len());
            text.push_str("\nCaused by: ");
            text.push_str(&said);
        }
        text
    }

    /// As [`Error::report`], with the classes that Java would show and without a line for each call: what a status has as
    /// `trace`, where tools look for the first line and for causes as Kafka Connect writes them. A cause that is no
    /// [`Error`] has no class.
    pub fn trace(&self) -> String {
        let mut text = self.with_class();
        let mut cause = self.source();
        while let Some(e) = cause {
            text.push_str("\nCaused by: ");
            text.push_str(&e.downcast_ref::<Self>().map_or_else(|| e.to_string(), Self::with_class));
            cause = e.source();
        }
        text
    }

    fn with_class(&self) -> String {
        match self.message() {
            "" => self.exception_class().to_owned(),
            message => format!("{}: {message}", self.exception_class()),
        }
    }

    /// The message and its causes on one line, joined by `: `.
    pub fn one_line(&self) -> String {
        self.report().replace("\nCaused by: ", ": ").replace('\n', " ")
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.class(), self.one_line())
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|e| e as &(dyn StdError + 'static))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn report_prints_each_cause_once_and_context_keeps_the_class() {
        let io = std::io::Error::new(std::io::ErrorKind::ConnectionRefused, "connection refused");
        let e = Error::retriable("posting to http://x").caused_by(io).context("writing 2 points");
        assert_eq!(e.class(), ErrorClass::Retriable);
        assert_eq!(e.report(), "writing 2 points\nCaused by: posting to http://x\nCaused by: connection refused");
        assert_eq!(e.one_line(), "writing 2 points: posting to http://x: connection refused");
        let kafkas = Error::data("serialization error: ").caused_by(Error::data("eof"));
        assert_eq!(
            (kafkas.message(), kafkas.one_line().as_str()),
            ("serialization error: ", "serialization error: eof")
        );
        let told = Error::data("fetching: eof").caused_by(Error::data("eof").caused_by(Error::data("no more bytes")));
        assert_eq!(told.one_line(), "fetching: eof: no more bytes");
    }

    #[test]
    fn a_trace_is_as_java_prints_exceptions() {
        let io = std::io::Error::new(std::io::ErrorKind::ConnectionRefused, "connection refused");
        let e = Error::data("posting to http://x").caused_by(io).context("writing 2 points").exception("a.B");
        assert_eq!(
            e.trace(),
            "a.B: writing 2 points\nCaused by: org.apache.kafka.connect.errors.DataException: posting to http://x\n\
             Caused by: connection refused"
        );
        assert_eq!(Error::fatal("").trace(), "org.apache.kafka.connect.errors.ConnectException");
    }
}
