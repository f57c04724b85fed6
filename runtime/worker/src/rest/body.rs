//! Reading requests: media types, and JSON as Kafka Connect's parser takes it.

use axum::{
    body::Bytes,
    extract::Request,
    http::{Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use connect_rest_model::ConfigMap;
use indexmap::IndexMap;
use serde_json::value::RawValue;

use super::error::ApiError;

/// Refuses other media types than JSON, in either direction (rest.md §1).
pub(crate) async fn media_types(request: Request, next: Next) -> Response {
    match refusal(&request) {
        Some(status) => ApiError::status(status).into_response(),
        None => next.run(request).await,
    }
}

fn refusal(request: &Request) -> Option<StatusCode> {
    let headers = request.headers();
    let text = |name: header::HeaderName| headers.get(name).and_then(|v| v.to_str().ok()).map(str::to_ascii_lowercase);
    if let Some(accept) = text(header::ACCEPT) {
        let takes_json = |range: &str| {
            let mut parts = range.split(';').map(str::trim);
            let kind = parts.next().unwrap_or_default();
            let refused = parts.any(|p| p.strip_prefix("q=").is_some_and(|q| q.parse::<f32>().is_ok_and(|q| q <= 0.0)));
            matches!(kind, "" | "*/*" | "application/*" | "application/json") && !refused
        };
        if !accept.split(',').any(takes_json) {
            return Some(StatusCode::NOT_ACCEPTABLE);
        }
    }
    let has_body =
        headers.contains_key(header::TRANSFER_ENCODING) || text(header::CONTENT_LENGTH).is_some_and(|l| l != "0");
    let below =
        |prefix: &str| request.uri().path() == prefix || request.uri().path().starts_with(&format!("{prefix}/"));
    let consumes = below("/connectors") || below("/connector-plugins") || below("/admin/loggers");
    if has_body && consumes && request.method() != Method::GET {
        let kind = text(header::CONTENT_TYPE).unwrap_or_default();
        if kind.split(';').next().map(str::trim) != Some("application/json") {
            return Some(StatusCode::UNSUPPORTED_MEDIA_TYPE);
        }
    }
    None
}

fn without_mark(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes)
}

fn parse<'a, T: serde::Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, ApiError> {
    let bytes = without_mark(bytes);
    serde_json::from_slice(bytes).map_err(|e| {
        let text = e.to_string();
        let place = format!("\n at [Source: REDACTED; line: {}, column: {}]", e.line(), e.column());
        let shown = if text.starts_with("unknown field") {
            text.replacen("unknown field `", "Unrecognized field \"", 1).replacen('`', "\"", 1)
        } else if text.starts_with("invalid type") {
            format!("Cannot deserialize value: {text}")
        } else {
            text
        };
        ApiError::internal(format!("{shown}{place}"))
    })
}

/// A scalar as the text that was written; null stays null.
fn scalar(key: &str, raw: &RawValue) -> Result<Option<String>, ApiError> {
    let text = raw.get();
    match text.as_bytes().first() {
        Some(b'"') => parse(text.as_bytes()).map(Some),
        Some(b'{' | b'[') => Err(ApiError::internal(format!(
            "Cannot deserialize value of type `java.lang.String` from {} value: the value of {key} must be a string, number or boolean",
            if text.starts_with('{') { "Object" } else { "Array" }
        ))),
        _ if text == "null" => Ok(None),
        _ => Ok(Some(text.to_owned())),
    }
}

fn config_of(members: IndexMap<String, &RawValue>) -> Result<ConfigMap, ApiError> {
    members.into_iter().map(|(k, raw)| Ok((k.clone(), scalar(&k, raw)?))).collect()
}

const NO_CONFIG: &str = "Cannot invoke \"java.util.Map.get(Object)\" because \"connectorConfig\" is null";

/// A flat configuration map.
pub(crate) fn config(bytes: &Bytes) -> Result<ConfigMap, ApiError> {
    if bytes.trim_ascii().is_empty() {
        return Err(ApiError::internal(NO_CONFIG));
    }
    match parse::<Option<IndexMap<String, &RawValue>>>(bytes)? {
        Some(members) => config_of(members),
        None => Err(ApiError::internal(NO_CONFIG)),
    }
}

/// The body of `POST /connectors`.
pub(crate) struct Create {
    pub name: String,
    pub config: ConfigMap,
    pub initial_state: Option<String>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct RawCreate<'a> {
    #[serde(borrow, default)]
    name: Option<&'a RawValue>,
    #[serde(borrow, default)]
    config: Option<IndexMap<String, &'a RawValue>>,
    #[serde(borrow, default)]
    initial_state: Option<&'a RawValue>,
}

/// Reads the body of `POST /connectors`.
pub(crate) fn create(bytes: &Bytes) -> Result<Create, ApiError> {
    if bytes.trim_ascii().is_empty() {
        return Err(ApiError::internal(
            "Cannot invoke \"CreateConnectorRequest.name()\" because \"createRequest\" is null",
        ));
    }
    // A list would be taken as the members in their order.
    if without_mark(bytes).trim_ascii_start().starts_with(b"[") {
        return Err(ApiError::internal(
            "Cannot deserialize value of type `CreateConnectorRequest` from Array value\n at [Source: REDACTED; line: 1, column: 1]",
        ));
    }
    let raw: RawCreate<'_> = parse(bytes)?;
    let text = |key: &str, raw: Option<&RawValue>| raw.map_or(Ok(None), |r| scalar(key, r));
    let name = text("name", raw.name)?.unwrap_or_default();
    let config = raw.config.ok_or_else(|| ApiError::internal(NO_CONFIG))?;
    Ok(Create {
        // Java's trim: everything up to the blank.
        name: name.trim_matches(|c| c <= ' ').to_owned(),
        config: config_of(config)?,
        initial_state: text("initial_state", raw.initial_state)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &'static str) -> Result<ConfigMap, ApiError> {
        config(&Bytes::from_static(text.as_bytes()))
    }

    #[test]
    fn scalars_keep_their_text() {
        let config =
            read(r#"{"a":1.50,"b":1e3,"c":true,"d":"x\n","e":null,"f":12345678901234567890}"#).expect("config");
        let texts: Vec<Option<&str>> = config.values().map(Option::as_deref).collect();
        assert_eq!(texts, [Some("1.50"), Some("1e3"), Some("true"), Some("x\n"), None, Some("12345678901234567890")]);
    }

    #[test]
    fn wrong_bodies_are_internal_errors_as_in_kafka_connect() {
        for (text, part) in [
            (r#"{"a":{}}"#, "Cannot deserialize value of type"),
            ("[]", "Cannot deserialize value"),
            ("null", "connectorConfig"),
            ("", "connectorConfig"),
            ("{", "EOF"),
        ] {
            let ApiError(status, message) = read(text).expect_err(text);
            assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
            assert!(message.contains(part), "{text}: {message}");
        }
        let e =
            create(&Bytes::from_static(br#"{"name":"a","config":{},"x":1}"#)).err().map(|e| e.1).unwrap_or_default();
        assert!(e.starts_with("Unrecognized field \"x\""), "{e}");
        let e = create(&Bytes::from_static(br#"["a",{}]"#)).err().map(|e| e.1).unwrap_or_default();
        assert!(e.starts_with("Cannot deserialize value"), "{e}");
    }

    #[test]
    fn names_of_new_connectors_are_trimmed() {
        let made = create(&Bytes::from_static(b"{\"name\":\" a \",\"config\":{\"n\":1}}")).ok();
        assert_eq!(made.map(|c| c.name).as_deref(), Some("a"));
    }
}
