//! `/connectors` and below.

use axum::{
    Extension,
    extract::{Path, RawQuery, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use connect_rest_model::{ActiveTopics, ConnectorInfo, Message, TopicNames};

use super::{
    Api,
    body::{self, InitialState},
    error::{ApiError, json},
    media::Sent,
    offsets_body,
    server::Scheme,
};
use crate::{controller::Until, storage::Target};

type Answer = Result<Response, ApiError>;

/// Values of a query parameter, decoded; one without value is empty.
pub(super) fn parameters(query: Option<&str>, name: &str) -> Vec<String> {
    let pairs = form_urlencoded::parse(query.unwrap_or_default().as_bytes());
    pairs.filter(|(k, _)| k == name).map(|(_, v)| v.into_owned()).collect()
}

/// Java's `Boolean.valueOf`: an absent or empty value is the default, anything but `true` false.
pub(super) fn flag(query: Option<&str>, name: &str, default: bool) -> bool {
    match parameters(query, name).first().map(String::as_str) {
        None | Some("") => default,
        Some(text) => text.eq_ignore_ascii_case("true"),
    }
}

/// Java's `Integer.valueOf`; anything else is no task at all.
fn task_id(text: &str) -> Result<i32, ApiError> {
    text.parse().map_err(|_| ApiError::status(StatusCode::NOT_FOUND))
}

pub(super) async fn list(State(api): State<Api>, RawQuery(query): RawQuery) -> Answer {
    let query = query.as_deref();
    let wanted = parameters(query, "expand");
    if wanted.is_empty() {
        return Ok(json(StatusCode::OK, &api.controller.names().await));
    }
    let all = api.controller.expanded(wanted.iter().any(|w| w == "status"), wanted.iter().any(|w| w == "info")).await;
    Ok(json(StatusCode::OK, &all))
}

pub(super) async fn create(
    State(api): State<Api>,
    Extension(scheme): Extension<Scheme>,
    headers: HeaderMap,
    Sent(bytes): Sent,
) -> Answer {
    let request = body::create(&bytes)?;
    let target = request.initial_state.map(|state| match state {
        InitialState::Running => Target::Started,
        InitialState::Paused => Target::Paused,
        InitialState::Stopped => Target::Stopped,
    });
    let info = api.controller.create(&request.name, request.config, target, Until::Kafkas).await?;
    Ok(created(&info, scheme, &headers))
}

/// 201 with the connector's place.
fn created(info: &ConnectorInfo, Scheme(scheme): Scheme, headers: &HeaderMap) -> Response {
    let mut response = json(StatusCode::CREATED, info);
    let host = headers.get(header::HOST).and_then(|h| h.to_str().ok()).unwrap_or("localhost");
    let location = format!("{scheme}://{host}/connectors/{}", connect_api::template::percent_encode(&info.name));
    if let Ok(value) = HeaderValue::from_str(&location) {
        response.headers_mut().insert(header::LOCATION, value);
    }
    response
}

pub(super) async fn info(State(api): State<Api>, Path(name): Path<String>) -> Answer {
    Ok(json(StatusCode::OK, &api.controller.info(&name).await?))
}

pub(super) async fn config(State(api): State<Api>, Path(name): Path<String>) -> Answer {
    Ok(json(StatusCode::OK, &api.controller.info(&name).await?.config))
}

pub(super) async fn put_config(
    State(api): State<Api>,
    Path(name): Path<String>,
    Extension(scheme): Extension<Scheme>,
    headers: HeaderMap,
    Sent(bytes): Sent,
) -> Answer {
    let (info, new) = api.controller.put_config(&name, body::config(&bytes)?, Until::Kafkas).await?;
    Ok(if new { created(&info, scheme, &headers) } else { json(StatusCode::OK, &info) })
}

pub(super) async fn patch_config(State(api): State<Api>, Path(name): Path<String>, Sent(bytes): Sent) -> Answer {
    // An unknown connector is 404 whatever the body is.
    api.controller.info(&name).await?;
    Ok(json(StatusCode::OK, &api.controller.patch_config(&name, body::patch(&bytes)?).await?))
}

pub(super) async fn status(State(api): State<Api>, Path(name): Path<String>) -> Answer {
    Ok(json(StatusCode::OK, &api.controller.status(&name)?))
}

pub(super) async fn tasks(State(api): State<Api>, Path(name): Path<String>) -> Answer {
    Ok(json(StatusCode::OK, &api.controller.tasks(&name).await?))
}

pub(super) async fn task_status(State(api): State<Api>, Path((name, task)): Path<(String, String)>) -> Answer {
    Ok(json(StatusCode::OK, &api.controller.task_status(&name, task_id(&task)?)?))
}

pub(super) async fn restart_task(State(api): State<Api>, Path((name, task)): Path<(String, String)>) -> Answer {
    api.controller.restart_task(&name, task_id(&task)?).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

pub(super) async fn restart(State(api): State<Api>, Path(name): Path<String>, RawQuery(query): RawQuery) -> Answer {
    let (tasks, only_failed) =
        (flag(query.as_deref(), "includeTasks", false), flag(query.as_deref(), "onlyFailed", false));
    if !tasks && !only_failed {
        api.controller.restart_connector(&name).await?;
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    Ok(json(StatusCode::ACCEPTED, &api.controller.restart_plan(&name, tasks, only_failed).await?))
}

pub(super) async fn pause(State(api): State<Api>, Path(name): Path<String>) -> Answer {
    api.controller.set_target(&name, Target::Paused).await?;
    Ok(StatusCode::ACCEPTED.into_response())
}

pub(super) async fn resume(State(api): State<Api>, Path(name): Path<String>) -> Answer {
    api.controller.set_target(&name, Target::Started).await?;
    Ok(StatusCode::ACCEPTED.into_response())
}

pub(super) async fn stop(State(api): State<Api>, Path(name): Path<String>) -> Answer {
    api.controller.set_target(&name, Target::Stopped).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

pub(super) async fn delete(State(api): State<Api>, Path(name): Path<String>) -> Answer {
    api.controller.delete(&name).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

pub(super) async fn offsets(State(api): State<Api>, Path(name): Path<String>) -> Answer {
    Ok(json(StatusCode::OK, &api.controller.offsets(&name).await?))
}

pub(super) async fn alter_offsets(State(api): State<Api>, Path(name): Path<String>, Sent(bytes): Sent) -> Answer {
    let message = api.controller.alter_offsets(&name, offsets_body::offsets(&bytes)?).await?;
    Ok(json(StatusCode::OK, &Message { message }))
}

pub(super) async fn reset_offsets(State(api): State<Api>, Path(name): Path<String>) -> Answer {
    let message = api.controller.reset_offsets(&name).await?;
    Ok(json(StatusCode::OK, &Message { message }))
}

fn forbidden(what: &str) -> ApiError {
    ApiError(StatusCode::FORBIDDEN, format!("{what} is disabled."))
}

pub(super) async fn topics(State(api): State<Api>, Path(name): Path<String>) -> Answer {
    let topics = &api.controller.services().topics;
    if !topics.tracked() {
        return Err(forbidden("Topic tracking"));
    }
    let names = TopicNames { topics: topics.of(&name) };
    Ok(json(StatusCode::OK, &ActiveTopics::from([(name, names)])))
}

pub(super) async fn reset_topics(State(api): State<Api>, Path(name): Path<String>) -> Answer {
    let topics = &api.controller.services().topics;
    if !topics.tracked() {
        return Err(forbidden("Topic tracking"));
    }
    if !topics.resettable() {
        return Err(forbidden("Topic tracking reset"));
    }
    topics.reset(&name);
    Ok(StatusCode::ACCEPTED.into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_read_as_java_reads_them() {
        assert!(flag(Some("includeTasks=TRUE"), "includeTasks", false));
        assert!(!flag(Some("includeTasks=1"), "includeTasks", false));
        assert!(flag(Some("connectorsOnly="), "connectorsOnly", true));
        assert!(flag(None, "connectorsOnly", true));
        assert_eq!(parameters(Some("expand=info&expand=status&expand"), "expand"), ["info", "status", ""]);
        assert_eq!(parameters(Some("exp%61nd=inf%6F+x&a=%zz"), "expand"), ["info x"]);
    }
}
