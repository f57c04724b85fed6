//! The one mapping from answers and transport failures to errors.

use std::{
    error::Error as StdError,
    time::{Duration, SystemTime},
};

use connect_api::{Error, ErrorClass, time};
use reqwest::{
    StatusCode, Url,
    header::{AsHeaderName, HeaderMap, LOCATION, RETRY_AFTER},
};

use crate::{
    certificates::CertificateTrouble,
    client::{Body, Keys, shown_url},
};

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
    /// Whether the connection failed before the end of the body.
    pub broken: bool,
    /// Whether the body is longer than what was read of it.
    pub cut: bool,
    headers: HeaderMap,
    keys: Keys,
}

impl Answer {
    pub(crate) fn new(status: StatusCode, headers: HeaderMap, text: String, keys: Keys) -> Self {
        let header = headers.get(RETRY_AFTER).and_then(|v| v.to_str().ok());
        let retry_after = header.and_then(|text| parse_retry_after(text, SystemTime::now()));
        Self { status, retry_after, text, broken: false, cut: false, headers, keys }
    }

    /// The text of a header.
    pub fn header(&self, name: impl AsHeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    pub(crate) fn read(self, body: &Body) -> Self {
        Self { broken: body.broken, cut: body.cut, ..self }
    }

    /// Whether the status is 2xx.
    pub fn is_success(&self) -> bool {
        self.status.is_success()
    }

    /// The error for an answer that is a page for people: of a proxy that asks for a login, of another server. Its status
    /// may say that all is well, but the receiver has seen nothing. For receivers that never answer so.
    pub fn page_error(&self, doing: impl Into<String>) -> Option<Error> {
        let start: String = self.text.trim_start().chars().take(14).collect::<String>().to_lowercase();
        let is_page = start.starts_with("<!doctype html") || start.starts_with("<html");
        let text = || format!("{}: correct {}, or see who answers there with a web page", doing.into(), self.keys.url);
        is_page.then(|| self.error_as(ErrorClass::Fatal, text()))
    }

    /// How the server wants to be spoken to, if it says that it was not.
    fn wanted(&self) -> Option<String> {
        let says = |words: &[&str]| words.iter().any(|words| self.text.contains(words));
        // The words of Go's servers, of nginx and of Apache.
        let tls =
            ["HTTP request to an HTTPS server", "HTTP request was sent to HTTPS port", "speaking plain HTTP to an SSL"];
        match self.status {
            StatusCode::BAD_REQUEST if says(&tls) => Some(format!("begin {} with https", self.keys.url)),
            StatusCode::BAD_REQUEST if says(&["No required SSL certificate was sent"]) => {
                Some("set http.tls.certificate.file and http.tls.key.file".into())
            }
            _ => None,
        }
    }

    /// The error if the status says that no request gets to the server at all, as when a proxy refuses it.
    pub fn unreached(&self, doing: impl Into<String>) -> Option<Error> {
        let far = matches!(self.status.as_u16(), 407 | 502..=504);
        (far || self.wanted().is_some()).then(|| self.error(doing))
    }

    /// The error that the status stands for, with the way out; `doing` says what was being done to what.
    pub fn error(&self, doing: impl Into<String>) -> Error {
        let (doing, Keys { url, credentials }) = (doing.into(), self.keys);
        if let Some(way_out) = self.wanted() {
            return self.error_as(ErrorClass::Fatal, format!("{doing}: {way_out}"));
        }
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
            let url = self.header(LOCATION).and_then(|text| Url::parse(text).ok());
            let place = url.map_or_else(|| "another place".into(), |url| shown_url(&url));
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
        Some(CertificateTrouble::OtherName) => Error::fatal(format!(
            "{doing}: write the URL with a name that the server's certificate has; a test call tells which it has"
        )),
        Some(CertificateTrouble::Expired) => {
            Error::fatal(format!("{doing}: the server's certificate has to be renewed"))
        }
        Some(CertificateTrouble::UnknownAuthority) => {
            Error::fatal(format!("{doing}: set http.tls.ca.file to the certificate of the server's authority"))
        }
        Some(CertificateTrouble::OursRefused) => Error::fatal(format!(
            "{doing}: the server wants another certificate of ours, or one at all: see http.tls.certificate.file and \
             http.tls.key.file"
        )),
        None if e.is_builder() || e.is_redirect() => Error::fatal(doing),
        None => Error::retriable(doing),
    };
    error.caused_by(e)
}

fn refused_certificate(e: &dyn StdError) -> Option<CertificateTrouble> {
    let mut cause = Some(e);
    while let Some(e) = cause {
        if let Some(trouble) = CertificateTrouble::of(&e.to_string()) {
            return Some(trouble);
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
        Answer::new(StatusCode::from_u16(code).expect("code"), headers, text.to_owned(), keys)
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
    fn a_port_that_wants_tls_is_no_matter_of_the_data() {
        let e = answer(400, ("x", "y"), "Client sent an HTTP request to an HTTPS server.\n").error("posting");
        assert_eq!((e.class(), e.message()), (ErrorClass::Fatal, "posting: begin x.url with https"));
    }

    #[test]
    fn redirects_say_where_to_without_secrets() {
        let e = answer(302, ("location", "https://u:p@h/login?token=x"), "").error("posting");
        assert_eq!(e.class(), ErrorClass::Fatal);
        assert!(e.report().contains("https://h/login;"), "{}", e.report());
    }
}
