//! Test calls: `POST /connectors/{name}/test` and `PUT /connector-plugins/{plugin}/config/test`.

use std::time::Duration;

use axum::{
    Extension,
    extract::{Path, RawQuery, State},
    http::StatusCode,
    response::Response,
};
use tokio_util::sync::CancellationToken;

use super::{
    Api, body,
    connectors::parameters,
    error::{ApiError, json},
    media::Sent,
    plugins::of_plugin,
};
use crate::trial::Limits;

/// Cancelled when the client of a request has gone away.
#[derive(Clone)]
pub(super) struct Gone(pub CancellationToken);

type Answer = Result<Response, ApiError>;

pub(super) async fn connector(
    State(api): State<Api>,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
    Extension(Gone(gone)): Extension<Gone>,
) -> Answer {
    let limits = limits(query.as_deref())?;
    Ok(json(StatusCode::OK, &api.controller.test_connector(&name, limits, gone).await?))
}

pub(super) async fn config(
    State(api): State<Api>,
    Path(plugin): Path<String>,
    RawQuery(query): RawQuery,
    Extension(Gone(gone)): Extension<Gone>,
    Sent(bytes): Sent,
) -> Answer {
    let limits = limits(query.as_deref())?;
    // Kafka Connect has no such request, so that nothing asks for its 500 here.
    let config = body::optional_texts(&bytes).map_err(|ApiError(_, text)| bad(text))?;
    let config = config.ok_or_else(|| bad("the request has no settings; send an object of them as its body".into()))?;
    of_plugin(&api, &plugin, &config)?;
    Ok(json(StatusCode::OK, &api.controller.test_config(&config, limits, gone).await?))
}

fn bad(text: String) -> ApiError {
    ApiError(StatusCode::BAD_REQUEST, text)
}

fn limits(query: Option<&str>) -> Result<Limits, ApiError> {
    let given = |name: &str| parameters(query, name).into_iter().next().filter(|text| !text.is_empty());
    let mut limits = Limits::DEFAULT;
    if let Some(text) = given("records") {
        let most = Limits::MOST.records;
        limits.records = text
            .parse()
            .ok()
            .filter(|n| *n <= most)
            .ok_or_else(|| bad(format!("records is {text}; it must be a whole number from 0 to {most}")))?;
    }
    if let Some(text) = given("timeout") {
        let most = Limits::MOST.timeout;
        let seconds = text.parse().ok().filter(|s| (1.0..=most.as_secs_f64()).contains(s));
        let seconds = seconds
            .ok_or_else(|| bad(format!("timeout is {text}; it must be seconds from 1 to {}", most.as_secs())))?;
        limits.timeout = Duration::from_secs_f64(seconds);
    }
    Ok(limits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_bounded() {
        let of = |query: &str| limits(Some(query)).map(|l| (l.records, l.timeout.as_millis())).map_err(|e| e.1);
        assert_eq!(of(""), Ok((5, 10_000)));
        assert_eq!(of("records=0&timeout=1.5"), Ok((0, 1500)));
        assert_eq!(of("records=100&timeout=60"), Ok((100, 60_000)));
        for wrong in ["records=101", "records=-1", "records=x", "timeout=0.5", "timeout=61", "timeout=NaN"] {
            let text = of(wrong).expect_err(wrong);
            assert!(text.contains(wrong.split('=').next().expect("name")) && text.contains("must be"), "{text}");
        }
    }
}
