//! `/connector-plugins`.

use axum::{
    extract::{Path, RawQuery, State},
    http::StatusCode,
    response::Response,
};
use connect_api::{PluginInfo, config::ConfigDef};
use connect_rest_model as model;

use super::{
    Api, body,
    connectors::{flag, parameters},
    error::{ApiError, json},
    media::Sent,
};
use crate::{controller::Refusal, framework, registry::Direction, validation, versions};

type Answer = Result<Response, ApiError>;

pub(super) async fn list(State(api): State<Api>, RawQuery(query): RawQuery) -> Answer {
    let plugins = &api.controller.services().plugins;
    let mut kinds: Vec<(&str, Vec<PluginInfo>)> = Vec::new();
    for (direction, kind) in [(Direction::Sink, "sink"), (Direction::Source, "source")] {
        let of = plugins.connectors.all().iter().filter(|p| p.direction() == direction);
        kinds.push((kind, of.map(|p| p.info).collect()));
    }
    if !flag(query.as_deref(), "connectorsOnly", true) {
        kinds.push(("transformation", plugins.transforms.all().iter().map(|p| p.info).collect()));
        kinds.push(("predicate", plugins.predicates.all().iter().map(|p| p.info).collect()));
        kinds
            .push(("converter", plugins.converters.all().iter().filter(|p| !p.headers_only).map(|p| p.info).collect()));
        kinds.push(("header_converter", plugins.converters.all().iter().map(|p| p.info).collect()));
    }
    let mut answer = Vec::new();
    for (kind, infos) in kinds {
        let mut of: Vec<model::PluginInfo> = infos
            .iter()
            .map(|i| model::PluginInfo {
                class: i.class().to_owned(),
                kind: kind.to_owned(),
                version: Some(i.version.to_owned()),
            })
            .collect();
        of.sort_by(|a, b| a.class.cmp(&b.class));
        answer.extend(of);
    }
    Ok(json(StatusCode::OK, &answer))
}

pub(super) async fn definition(
    State(api): State<Api>,
    Path(plugin): Path<String>,
    RawQuery(query): RawQuery,
) -> Answer {
    let plugins = &api.controller.services().plugins;
    let (info, definition) = if let Ok(p) = plugins.connectors.find(&plugin) {
        // The plugin's own keys first, then the framework's that it does not redefine.
        let mut own = p.definition.clone();
        for key in framework::definition(p.direction()).keys() {
            if own.key(&key.name).is_none() {
                own.push(key.clone());
            }
        }
        (p.info, own)
    } else if let Ok(p) = plugins.converters.find(&plugin) {
        let mut all = ConfigDef::default();
        for key in framework::converter_keys(&p) {
            all.push(key);
        }
        (p.info, all)
    } else if let Ok(p) = plugins.transforms.find(&plugin) {
        (p.info, p.definition.clone())
    } else if let Ok(p) = plugins.predicates.find(&plugin) {
        (p.info, p.definition.clone())
    } else {
        return Err(ApiError(StatusCode::NOT_FOUND, format!("Unknown plugin {plugin}.")));
    };
    if let Some(wanted) = parameters(query.as_deref(), "version").first() {
        versions::check(&info, wanted).map_err(|text| ApiError(StatusCode::BAD_REQUEST, text))?;
    }
    Ok(json(StatusCode::OK, &definition.keys().iter().map(validation::key_info).collect::<Vec<_>>()))
}

pub(super) async fn validate(State(api): State<Api>, Path(plugin): Path<String>, Sent(bytes): Sent) -> Answer {
    let config = body::config(&bytes)?;
    of_plugin(&api, &plugin, &config)?;
    let infos = api.controller.validate(&config).await.map_err(|refusal| {
        let exception = match &refusal {
            // A config provider could not read what it was asked for.
            Refusal::Failed(_) => "org.apache.kafka.common.config.ConfigException",
            _ => "org.apache.kafka.connect.runtime.rest.errors.BadRequestException",
        };
        let ApiError(_, text) = refusal.into();
        ApiError::internal(format!("{exception}: {text}"))
    })?;
    Ok(json(StatusCode::OK, &infos))
}

/// Refuses a configuration that names another plugin than the request does.
pub(super) fn of_plugin(api: &Api, plugin: &str, config: &model::ConfigMap) -> Result<(), ApiError> {
    let Some(class) = config.get("connector.class").and_then(Option::as_deref) else { return Ok(()) };
    let cut = |s: &str| s.strip_suffix("Connector").filter(|c| !c.is_empty()).unwrap_or(s).to_owned();
    let plugins = &api.controller.services().plugins.connectors;
    // Kafka Connect compares texts; here any two names of one plugin match as well.
    let same = matches!((plugins.find(class), plugins.find(plugin)), (Ok(a), Ok(b)) if a.info.name == b.info.name);
    if same || cut(class).ends_with(&cut(plugin)) {
        return Ok(());
    }
    let text = format!("Included connector type {class} does not match request type {plugin}");
    Err(ApiError(StatusCode::BAD_REQUEST, text))
}
