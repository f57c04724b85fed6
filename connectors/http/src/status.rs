//! The one mapping from answers and transport failures to errors.

use std::{
    error::Error as StdError,
    time::{Duration, SystemTime},
};

use connect_api::{Error, ErrorClass, time};
use reqwest::{
    StatusCode, Url,
    header::{HeaderMap, LOCATION, RETRY_AFTER},
};

use crate::client::{Keys, shown_url};

/// The most of a server's text that an error shows.
const TEXT_LIMIT: usize = 500;
/// No server may hold a task longer than that.
const LONGEST_DELAY: Duration = Duration::from_secs(3600);

/// What a server answered.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// How long to wait before the next request, if the server said so.
    pub retry_after: Option<Duration>,
    /// The body, of a long one the beginning, with secrets hidden.
    pub text: String,
    location: Option<String>,
    keys: Keys,
}

impl Answer {
    pub(crate) fn new(status: StatusCode, headers: &HeaderMap, text: String, keys: Keys) -> Self {
        let header = |name| headers.get(name).and_then(|v| v.to_str().ok());
        let retry_after = header(RETRY_AFTER).and_then(|text| parse_retry_after(text, SystemTime::now()));
        let shown = |text: &str| Url::parse(text).map_or_else(|_| "another place".into(), |url| shown_url(&url));
        Self { status, retry_after, text, location: header(LOCATION).map(shown), keys }
    }

    /// Whether the status is 2xx.
    pub fn is_success(&self) -> bool {
        self.status.is_success()
    }

    /// The error that the status stands for, with the way out; `doing` says what was being done to what.
    pub fn error(&self, doing: impl Into<String>) -> Error {
        let (doing, Keys { url, credentials }) = (doing.into(), self.keys);
        let doing = match self.status.as_u16() {
            401 => format!("{doing}: correct {credentials}"),
            403 => format!("{doing}: allow it to whom {credentials} stands for, or correct that"),
            404 | 410 => format!("{doing}: correct {url}, with its path"),
            405 => format!("{doing}: correct the path of {url}, or the method if that is a setting"),
            407 => format!("{doing}: correct http.proxy.username and http.proxy.password"),
            _ => doing,
        };
        self.error_as(class(self.status), doing)
    }

    /// The error for a server whose text tells more than the status; `doing` has the way out.
    pub fn error_as(&self, class: ErrorClass, doing: impl Into<String>) -> Error {
        let doing = doing.into();
        let error = match class {
            ErrorClass::Retriable => Error::retriable(doing),
            ErrorClass::Data => Error::data(doing),
            ErrorClass::Fatal => Error::fatal(doing),
        };
        let error = if matches!(self.status.as_u16(), 401 | 403 | 407) { error.denied() } else { error };
        match self.retry_after.filter(|_| class == ErrorClass::Retriable) {
            Some(delay) => error.caused_by(self.describe(Some(delay))).retry_after(delay),
            None => error.caused_by(self.describe(None)),
        }
    }

    /// Status and text in a bounded sentence.
    fn describe(&self, delay: Option<Duration>) -> String {
        let mut said = format!("the server answered {}", self.status);
        if let Some(delay) = delay {
            let at = time::now_ms().saturating_add(i64::try_from(delay.as_millis()).unwrap_or(i64::MAX));
            said.push_str(&format!(", next try at {}", time::rfc3339(at)));
        }
        if self.status.is_redirection() {
            let place = self.location.as_deref().unwrap_or("another place");
            said.push_str(&format!(", a redirect to {place}; redirects are not followed: set the final URL"));
        }
        let text = bounded(self.text.trim(), TEXT_LIMIT);
        if text.is_empty() { said } else { format!("{said}: {text}") }
    }
}

/// What the worker must do about a status that is not 2xx.
pub fn class(status: StatusCode) -> ErrorClass {
    match status.as_u16() {
        408 | 425 | 429 | 500.. => ErrorClass::Retriable,
        // The record is wrong, too large, or in conflict with what the server has.
        400 | 409 | 413 | 414 | 422 | 431 => ErrorClass::Data,
        // Credentials, URL, method, redirects: the next record would fare no better.
        _ => ErrorClass::Fatal,
    }
}

/// The error for a request that got no answer.
pub fn transport_error(doing: String, e: reqwest::Error) -> Error {
    // The URL may hold secrets; the caller has said where it goes.
    let e = e.without_url();
    let error = match refused_certificate(&e) {
        Some(text) if text.contains("mismatch") => Error::fatal(format!(
            "{doing}: write the URL with a name that the server's certificate has; a test call tells which it has"
        )),
        Some(text) if text.contains("expired") => {
            Error::fatal(format!("{doing}: the server's certificate has to be renewed"))
        }
        Some(_) => Error::fatal(format!("{doing}: set http.tls.ca.file to the certificate of the server's authority")),
        None if e.is_builder() || e.is_redirect() => Error::fatal(doing),
        None => Error::retriable(doing),
    };
    error.caused_by(e)
}

// A wrong certificate does not get right by trying again. The TLS library tells it by its text only.
fn refused_certificate(e: &dyn StdError) -> Option<String> {
    let mut cause = Some(e);
    while let Some(e) = cause {
        let text = e.to_string();
        if text.contains("certificate verify failed") {
            return Some(text);
        }
        cause = e.source();
    }
    None
}

/// The delay of a `Retry-After` header: seconds or an HTTP date, at most an hour. `None` if it is neither.
pub fn parse_retry_after(text: &str, now: SystemTime) -> Option<Duration> {
    let text = text.trim();
    let delay = match text.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        // A date that has passed means now.
        Err(_) => httpdate::parse_http_date(text).ok()?.duration_since(now).unwrap_or_default(),
    };
    Some(delay.min(LONGEST_DELAY))
}

/// The beginning of a text, at most so many characters, control characters as blanks.
pub fn bounded(text: &str, limit: usize) -> String {
    let mut out: String = text.chars().take(limit).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.chars().nth(limit).is_some() {
        out.push('…');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_classified() {
        let expected = [
            (ErrorClass::Retriable, vec![408, 425, 429, 500, 501, 502, 503, 504, 599]),
            (ErrorClass::Data, vec![400, 409, 413, 414, 422, 431]),
            (ErrorClass::Fatal, vec![301, 302, 304, 307, 401, 402, 403, 404, 405, 406, 407, 410, 415, 451]),
        ];
        for (expected, codes) in expected {
            for code in codes {
                assert_eq!(class(StatusCode::from_u16(code).expect("code")), expected, "{code}");
            }
        }
    }

    #[test]
    fn retry_after_is_seconds_or_a_date_and_bounded() {
        let now = httpdate::parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT").expect("date");
        let at = |text| parse_retry_after(text, now);
        assert_eq!(at("7"), Some(Duration::from_secs(7)));
        assert_eq!(at(" 0 "), Some(Duration::ZERO));
        assert_eq!(at("Sun, 06 Nov 1994 08:50:07 GMT"), Some(Duration::from_secs(30)));
        assert_eq!(at("Sunday, 06-Nov-94 08:50:07 GMT"), Some(Duration::from_secs(30)));
        assert_eq!(at("Sun, 06 Nov 1994 08:00:00 GMT"), Some(Duration::ZERO));
        assert_eq!(at("99999999999"), Some(LONGEST_DELAY));
        assert_eq!(at("soon"), None);
        assert_eq!(at("-1"), None);
    }

    fn answer(code: u16, header: (&'static str, &'static str), text: &str) -> Answer {
        let mut headers = HeaderMap::new();
        headers.insert(header.0, header.1.parse().expect("value"));
        let keys = Keys { url: "x.url", credentials: "x.token" };
        Answer::new(StatusCode::from_u16(code).expect("code"), &headers, text.to_owned(), keys)
    }

    #[test]
    fn what_a_person_must_correct_is_named() {
        for (code, message) in [
            (401, "posting: correct x.token"),
            (403, "posting: allow it to whom x.token stands for, or correct that"),
            (404, "posting: correct x.url, with its path"),
            (407, "posting: correct http.proxy.username and http.proxy.password"),
            (500, "posting"),
        ] {
            assert_eq!(answer(code, ("x", "y"), "no").error("posting").message(), message);
        }
    }

    #[test]
    fn errors_carry_the_delay_and_a_bounded_text() {
        let e = answer(503, ("retry-after", "3"), "  busy\n").error("posting");
        assert_eq!((e.class(), e.delay()), (ErrorClass::Retriable, Some(Duration::from_secs(3))));
        let (before, after) =
            e.one_line().split_once(", next try at ").map(|(b, a)| (b.to_owned(), a.to_owned())).expect("a time");
        assert_eq!(before, "posting: the server answered 503 Service Unavailable");
        let (at, text) = after.split_once(": ").expect("a text");
        assert_eq!((at.len(), text), ("1994-11-06T08:49:37.000Z".len(), "busy"), "{at}");
        let e = answer(400, ("retry-after", "3"), &"é".repeat(2000)).error("posting");
        assert_eq!((e.class(), e.delay()), (ErrorClass::Data, None));
        assert!(e.report().chars().count() < 600, "{}", e.report().len());
    }

    #[test]
    fn redirects_say_where_to_without_secrets() {
        let e = answer(302, ("location", "https://u:p@h/login?token=x"), "").error("posting");
        assert_eq!(e.class(), ErrorClass::Fatal);
        assert!(e.report().contains("https://h/login;"), "{}", e.report());
    }
}
