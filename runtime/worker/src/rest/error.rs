//! The one mapping from refusals to answers, and JSON answers without a charset.

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use connect_rest_model::ErrorBody;
use serde::Serialize;

use crate::controller::Refusal;

/// An error answer: status and message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ApiError(pub StatusCode, pub String);

impl ApiError {
    /// The answer of the HTTP layer itself: `HTTP 404 Not Found`.
    pub(crate) fn status(status: StatusCode) -> Self {
        Self(status, format!("HTTP {} {}", status.as_u16(), status.canonical_reason().unwrap_or_default()))
    }

    pub(crate) fn internal(message: impl Into<String>) -> Self {
        Self(StatusCode::INTERNAL_SERVER_ERROR, message.into())
    }
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Bad(text) => Self(StatusCode::BAD_REQUEST, text),
            Refusal::NotFound(text) => Self(StatusCode::NOT_FOUND, text),
            Refusal::Conflict(text) => Self(StatusCode::CONFLICT, text),
            Refusal::Failed(text) => Self(StatusCode::INTERNAL_SERVER_ERROR, text),
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        json(self.0, &ErrorBody { error_code: self.0.as_u16(), message: Some(self.1) })
    }
}

/// A JSON answer.
pub(crate) fn json<T: Serialize>(status: StatusCode, body: &T) -> Response {
    match serde_json::to_vec(body) {
        Ok(bytes) => {
            let mut response = (status, bytes).into_response();
            response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
            response
        }
        // Bodies are plain data; this cannot fail, and if it does the client should know.
        Err(e) => (StatusCode::INTERNAL_SERVER_ERROR, e.to_string()).into_response(),
    }
}
