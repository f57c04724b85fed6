//! `/admin/loggers` (KIP-495, KIP-976).

use axum::{
    extract::{Path, RawQuery, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};

use super::{
    Api, body,
    connectors::parameters,
    error::{ApiError, json},
    media::Sent,
};

type Answer = Result<Response, ApiError>;

fn unknown(name: &str) -> ApiError {
    ApiError(StatusCode::NOT_FOUND, format!("Logger {name} not found."))
}

pub(super) async fn list(State(api): State<Api>) -> Answer {
    Ok(json(StatusCode::OK, &api.loggers.all()))
}

pub(super) async fn get(State(api): State<Api>, Path(name): Path<String>) -> Answer {
    Ok(json(StatusCode::OK, &api.loggers.get(&name).ok_or_else(|| unknown(&name))?))
}

pub(super) async fn set(
    State(api): State<Api>,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
    Sent(bytes): Sent,
) -> Answer {
    let body = body::optional_texts(&bytes)?.ok_or_else(|| {
        ApiError::internal("Cannot invoke \"java.util.Map.get(Object)\" because \"levelMap\" is null")
    })?;
    let Some(level) = body.get("level").and_then(Option::as_deref) else {
        let text = "Desired 'level' parameter was not specified in request.";
        return Err(ApiError(StatusCode::BAD_REQUEST, text.into()));
    };
    let changed = api.loggers.set(&name, level).map_err(|text| ApiError(StatusCode::NOT_FOUND, text))?;
    match parameters(query.as_deref(), "scope").first().map(|s| s.to_ascii_lowercase()).as_deref() {
        // One worker is the whole cluster.
        Some("cluster") => return Ok(StatusCode::NO_CONTENT.into_response()),
        None | Some("worker" | "") => {}
        Some(other) => tracing::warn!("scope {other} of a change of log levels is unknown; it is taken as worker"),
    }
    Ok(json(StatusCode::OK, &changed))
}
