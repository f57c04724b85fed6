//! What came back over HTTP: an answer of Kafka Connect, or of something else at its address.
//!
//! Kafka Connect sends some error bodies without a content type, so bodies are judged by what they are.

use std::time::SystemTime;

use connect_rest_model::{ErrorBody, Health};
use reqwest::{Method, StatusCode};
use serde::de::DeserializeOwned;

use crate::error::Failure;

/// An answer.
#[derive(Debug, Clone)]
pub struct Answer {
    status: StatusCode,
    location: Option<String>,
    date: Option<SystemTime>,
    body: Vec<u8>,
    address: String,
    asked: String,
}

impl Answer {
    /// Reads the whole answer.
    pub(super) async fn read(response: reqwest::Response) -> reqwest::Result<Self> {
        let location = response.headers().get(reqwest::header::LOCATION);
        let location = location.and_then(|l| l.to_str().ok()).map(str::to_owned);
        let date = response.headers().get(reqwest::header::DATE);
        let date = date.and_then(|d| httpdate::parse_http_date(d.to_str().ok()?).ok());
        let status = response.status();
        let body = response.bytes().await?.to_vec();
        Ok(Self { status, location, date, body, address: String::new(), asked: String::new() })
    }

    /// Whether the body is empty.
    pub fn is_empty(&self) -> bool {
        self.body.trim_ascii().is_empty()
    }

    /// When the server sent it by its own clock, in whole seconds.
    pub(super) fn date(&self) -> Option<SystemTime> {
        self.date
    }

    /// The status.
    pub(super) fn status(&self) -> StatusCode {
        self.status
    }

    /// What the worker says about itself, if this is an answer to that question.
    pub(super) fn health(&self) -> Option<Health> {
        serde_json::from_slice(&self.body).ok()
    }

    /// Whether the worker refuses for the moment because of a rebalance.
    pub(super) fn is_rebalance(&self) -> bool {
        let message = || self.error().and_then(|e| e.message).unwrap_or_default();
        match self.status {
            StatusCode::CONFLICT => self.error().is_some() && !message().contains("already exists"),
            StatusCode::INTERNAL_SERVER_ERROR => message().contains("rebalance is expected"),
            _ => false,
        }
    }

    fn error(&self) -> Option<ErrorBody> {
        serde_json::from_slice(&self.body).ok()
    }

    /// The answer if the request was carried out.
    pub(super) fn accepted(mut self, address: &str, method: &Method, path: &str) -> Result<Self, Failure> {
        let path = path.split('?').next().unwrap_or_default();
        (self.address, self.asked) = (address.to_owned(), format!("{method} {path}"));
        if self.status.is_success() {
            return Ok(self);
        }
        let Some(error) = self.error() else { return Err(self.foreign()) };
        let message = error.message.unwrap_or_else(|| "the worker gave no reason".into());
        if self.status == StatusCode::NOT_FOUND && message == "HTTP 404 Not Found" && path.split('/').count() == 2 {
            return Err(
                self.not_connect("does not know", "; it is another service, or a worker that is still starting")
            );
        }
        Err(Failure::Refused { status: self.status.as_u16(), message })
    }

    /// The body as what it should be.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        serde_json::from_slice(&self.body).map_err(|e| {
            match serde_json::from_slice::<serde::de::IgnoredAny>(&self.body) {
                Ok(_) => self.not_connect("answered with unexpected JSON to", &format!(" ({e})")),
                Err(_) => self.not_connect("answered, but not with JSON, to", ""),
            }
        })
    }

    /// Nothing more was to be said than that it is done; what other servers say to everything is no such answer.
    pub fn done(&self) -> Result<(), Failure> {
        if self.body.iter().all(u8::is_ascii_whitespace) {
            return Ok(());
        }
        Err(self.not_connect("answered with a page to", ", which Kafka Connect answers without any"))
    }

    /// The body as text of Prometheus.
    pub fn metrics(&self) -> Result<String, Failure> {
        let text = String::from_utf8_lossy(&self.body);
        if text.trim().is_empty() || text.lines().any(|line| line.starts_with("# TYPE ")) {
            return Ok(text.into_owned());
        }
        Err(self.not_connect("answered, but not with metrics, to", ""))
    }

    fn not_connect(&self, what: &str, hint: &str) -> Failure {
        let (address, asked) = (&self.address, &self.asked);
        Failure::Unreachable(format!(
            "no Kafka Connect worker at {address}: the server {what} {asked}{hint}; set --url or CONNECT_URL"
        ))
    }

    /// Says what an error without Kafka Connect's error body is about.
    fn foreign(&self) -> Failure {
        let Self { status, address, asked, .. } = self;
        let text = String::from_utf8_lossy(&self.body);
        match status.as_u16() {
            401 | 403 => Failure::Refused {
                status: status.as_u16(),
                message: format!(
                    "{address} wants other credentials; name them with --auth-user and --auth-password env:NAME, in a context, or as --url https://USER:PASSWORD@HOST:PORT"
                ),
            },
            // The web server of JVM workers refuses such names before Kafka Connect sees them.
            400 if text.contains("Ambiguous URI") || ["%2F", "%25", "%5C"].iter().any(|e| asked.contains(e)) => {
                Failure::Refused {
                    status: 400,
                    message:
                        "this worker cannot address connectors whose name contains a slash, backslash or percent sign"
                            .into(),
                }
            }
            300..=399 => {
                let to = self.location.as_deref().unwrap_or("another address");
                self.not_connect("redirects", &format!(" to {to}"))
            }
            502..=504 => Failure::Unreachable(format!(
                "cannot reach a Kafka Connect worker at {address}: a proxy answered {status} to {asked}; is the worker behind it running?"
            )),
            _ => self.not_connect(&format!("answered {status} to"), ", but not as Kafka Connect does"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &str) -> Answer {
        Answer {
            status: StatusCode::from_u16(status).expect("status"),
            location: None,
            date: None,
            body: body.as_bytes().to_vec(),
            address: "http://h".into(),
            asked: String::new(),
        }
    }

    fn failure(status: u16, body: &str, path: &str) -> Failure {
        answer(status, body).accepted("http://h", &Method::GET, path).expect_err(body)
    }

    #[test]
    fn only_rebalances_are_worth_another_try() {
        let rebalance =
            r#"{"error_code":409,"message":"Cannot complete request momentarily due to stale configuration"}"#;
        assert!(answer(409, rebalance).is_rebalance());
        assert!(!answer(409, r#"{"error_code":409,"message":"Connector c already exists"}"#).is_rebalance());
        assert!(!answer(409, "<html>conflict</html>").is_rebalance());
        let expected = r#"{"error_code":500,"message":"Request cannot be completed because a rebalance is expected"}"#;
        assert!(answer(500, expected).is_rebalance());
        assert!(!answer(500, r#"{"error_code":500,"message":null}"#).is_rebalance());
    }

    #[test]
    fn refusals_keep_the_workers_message() {
        let e = failure(500, r#"{"error_code":500,"message":"no"}"#, "/connectors/c");
        assert_eq!(e, Failure::Refused { status: 500, message: "no".into() });
        let e = failure(500, r#"{"error_code":500,"message":null}"#, "/connectors/c");
        assert!(e.to_string().contains("no reason"));
    }

    #[test]
    fn other_servers_are_told_from_workers() {
        for (status, body, path, part) in [
            (404, "<html>Not Found</html>", "/connectors", "not as Kafka Connect does"),
            (404, r#"{"error_code":404,"message":"HTTP 404 Not Found"}"#, "/connectors?expand=info", "another service"),
            (404, r#"{"detail":"Not Found"}"#, "/connectors/c", "not as Kafka Connect does"),
            (502, "Bad Gateway", "/connectors", "a proxy answered 502 Bad Gateway"),
            (302, "", "/connectors", "redirects"),
        ] {
            let e = failure(status, body, path);
            assert!(matches!(e, Failure::Unreachable(_)) && e.to_string().contains(part), "{e}");
        }
        let jetty = failure(400, "<h1>Error 400 Ambiguous URI path separator</h1>", "/connectors/a%2Fb");
        assert!(jetty.to_string().contains("slash"), "{jetty}");
        // Answers to DELETE and POST lack the page.
        assert!(failure(400, "", "/connectors/a%2Fb").to_string().contains("slash"));
        assert!(failure(401, "User cannot access the resource.", "/connectors").to_string().contains("USER:PASSWORD"));
        assert!(answer(200, "<html>Please log in").done().is_err_and(|e| e.to_string().contains("with a page")));
        assert!(
            answer(200, "{\"status\":\"up\"}").metrics().is_err_and(|e| e.to_string().contains("not with metrics"))
        );
        assert_eq!(answer(204, "").done(), Ok(()));
        assert!(answer(200, "<html>").json::<Vec<String>>().is_err_and(|e| e.to_string().contains("not with JSON")));
    }
}
