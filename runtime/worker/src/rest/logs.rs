//! `/connectors/C/logs`, which Kafka Connect does not have.

use std::str::FromStr;

use axum::{
    extract::{Path, RawQuery, State},
    http::StatusCode,
    response::Response,
};

use super::{
    Api,
    connectors::parameters,
    error::{ApiError, json},
};
use crate::log_book::{LEVELS, Wanted};

pub(super) async fn lines(
    State(api): State<Api>,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let wanted = wanted(query.as_deref())?;
    // An unknown connector has no lines, whatever was logged about it.
    api.controller.info(&name).await?;
    Ok(json(StatusCode::OK, &api.controller.services().statuses.logs().lines(&name, &wanted)))
}

fn wanted(query: Option<&str>) -> Result<Wanted, ApiError> {
    Ok(Wanted {
        since: number(query, "since")?,
        limit: number(query, "limit")?,
        task: number(query, "task")?,
        level: value(query, "level").map(|text| level(&text)).transpose()?,
    })
}

fn value(query: Option<&str>, name: &str) -> Option<String> {
    parameters(query, name).into_iter().next().filter(|text| !text.is_empty())
}

fn number<T: FromStr>(query: Option<&str>, name: &str) -> Result<Option<T>, ApiError> {
    let parse = |text: String| text.parse().map_err(|_| refused(format!("{name}={text} is no number from 0")));
    value(query, name).map(parse).transpose()
}

fn level(text: &str) -> Result<usize, ApiError> {
    let found = LEVELS.iter().position(|level| level.eq_ignore_ascii_case(text));
    found.ok_or_else(|| refused(format!("level={text} is none of {}", LEVELS.join(", "))))
}

fn refused(text: String) -> ApiError {
    ApiError(StatusCode::BAD_REQUEST, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wanted_is_read_and_what_is_no_answer_to_it_is_refused() {
        let all = Wanted { since: Some(7), limit: Some(2), level: Some(1), task: Some(0) };
        assert_eq!(wanted(Some("since=7&limit=2&level=warn&task=0")), Ok(all));
        assert_eq!(wanted(Some("since=&x=y")), Ok(Wanted::default()));
        for (query, text) in [
            ("limit=-1", "limit=-1 is no number from 0"),
            ("task=x", "task=x is no number from 0"),
            ("level=loud", "level=loud is none of ERROR, WARN, INFO, DEBUG, TRACE"),
        ] {
            assert_eq!(wanted(Some(query)), Err(refused(text.into())));
        }
    }
}
