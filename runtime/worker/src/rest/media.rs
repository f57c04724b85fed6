//! Media types of requests, judged as Jersey does (rest.md §1), and bodies of bounded size.

use axum::{
    body::Bytes,
    extract::{FromRequest, Request},
    http::{HeaderMap, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};

use super::error::ApiError;

/// The largest body that is read. A JVM worker reads any; no configuration comes near this.
pub(crate) const LARGEST_BODY: usize = 16 << 20;

/// The body of a request.
pub(crate) struct Sent(pub Bytes);

impl<S: Send + Sync> FromRequest<S> for Sent {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        Bytes::from_request(request, state).await.map(Sent).map_err(|e| {
            let status = e.status();
            if status == StatusCode::PAYLOAD_TOO_LARGE {
                ApiError(status, format!("the body is larger than {} MB", LARGEST_BODY >> 20))
            } else {
                ApiError(status, e.body_text())
            }
        })
    }
}

/// Refuses headers that cannot be read, whatever the path: 400 without a body.
pub(crate) async fn readable(request: Request, next: Next) -> Response {
    let kind = value(request.headers(), header::CONTENT_TYPE);
    let accept = value(request.headers(), header::ACCEPT);
    if kind.is_some_and(|k| !is_media_type(&k)) || accept.is_some_and(|a| !a.split(',').all(weight_is_right)) {
        return StatusCode::BAD_REQUEST.into_response();
    }
    next.run(request).await
}

/// For endpoints that answer with JSON: refuses requests that want something else.
pub(crate) async fn produces(request: Request, next: Next) -> Response {
    let takes_json = |range: &str| {
        let kind = range.split(';').next().unwrap_or_default().trim();
        // The weight is of no account: even 0 gets the only type there is.
        matches!(kind, "" | "*" | "*/*" | "*/json" | "application/*" | "application/json")
    };
    match value(request.headers(), header::ACCEPT) {
        Some(accept) if !accept.split(',').any(takes_json) => {
            ApiError::status(StatusCode::NOT_ACCEPTABLE).into_response()
        }
        _ => next.run(request).await,
    }
}

/// For endpoints that take JSON, those that ignore their body included: refuses other types.
pub(crate) async fn consumes(request: Request, next: Next) -> Response {
    let headers = request.headers();
    let has_body = headers.contains_key(header::TRANSFER_ENCODING)
        || value(headers, header::CONTENT_LENGTH).is_some_and(|length| length != "0");
    let json = match value(headers, header::CONTENT_TYPE) {
        Some(kind) => matches!(kind.split(';').next().map(str::trim), Some("application/json" | "*/json")),
        None => !has_body || request.method() == Method::GET,
    };
    if json { next.run(request).await } else { ApiError::status(StatusCode::UNSUPPORTED_MEDIA_TYPE).into_response() }
}

/// The header in lower case; one that is no text is shown as a text that nothing takes.
fn value(headers: &HeaderMap, name: header::HeaderName) -> Option<String> {
    headers.get(name).map(|v| v.to_str().map_or_else(|_| "\u{fffd}".to_owned(), str::to_ascii_lowercase))
}

fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

/// `type/subtype` with parameters, whose values may be quoted; a semicolon at the end is allowed.
fn is_media_type(text: &str) -> bool {
    let (kind, parameters) = text.split_once(';').unwrap_or((text, ""));
    let named = kind.trim().split_once('/').is_some_and(|(a, b)| is_token(a) && is_token(b));
    named && parameters_are_right(parameters)
}

fn parameters_are_right(text: &str) -> bool {
    let text = text.trim();
    if text.is_empty() {
        return true;
    }
    let Some((name, rest)) = text.split_once('=') else { return false };
    let rest = rest.trim_start();
    let (value, behind) = if let Some(quoted) = rest.strip_prefix('"') {
        let Some((_, behind)) = quoted.split_once('"') else { return false };
        (true, behind.trim_start())
    } else {
        let end = rest.find(';').unwrap_or(rest.len());
        (is_token(rest[..end].trim()), &rest[end..])
    };
    let next = behind.strip_prefix(';');
    is_token(name.trim()) && value && (behind.is_empty() || next.is_some_and(parameters_are_right))
}

/// Whether the weight of a range of `Accept` is a number from 0 to 1, if it has one, and all of it is ASCII.
fn weight_is_right(range: &str) -> bool {
    let mut weights = range.split(';').skip(1).filter_map(|p| p.trim().strip_prefix("q="));
    range.is_ascii() && weights.all(|q| q.parse::<f32>().is_ok_and(|q| (0.0..=1.0).contains(&q)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn media_types_are_told_from_other_text_as_jersey_does() {
        for right in [
            "application/json",
            "application/json;",
            "application/json; charset=utf-8",
            "application/json;a=\"b;c\";d=e",
            "*/*",
            "application/*+json",
        ] {
            assert!(is_media_type(right), "{right}");
        }
        for wrong in [
            "",
            "/",
            "garbage",
            "application/",
            "app lication/json",
            "application/json/x",
            ";",
            "application/json; x",
            "application/json;charset=",
            "application/json, text/plain",
            "application/json;a=\"b",
            "\u{fffd}",
        ] {
            assert!(!is_media_type(wrong), "{wrong}");
        }
    }

    #[test]
    fn weights_are_numbers_from_0_to_1() {
        for right in ["*/*", "application/json;q=0", "text/html;level=1;q=0.5", ""] {
            assert!(weight_is_right(right), "{right}");
        }
        for wrong in ["application/json;q=x", "application/json;q=2", "\u{fffd}"] {
            assert!(!weight_is_right(wrong), "{wrong}");
        }
    }
}
