//! A schema registry in memory, on 127.0.0.1.
//!
//! - here: requests and answers, with Confluent's paths, codes and texts
//! - `store`: subjects, versions and ids
//! - `compatibility`: whether one schema can read what another has written
//! - `canonical`: when two texts are the same schema

mod canonical;
mod compatibility;
mod store;

use std::sync::{Arc, Mutex, PoisonError};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{Method, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use connect_api::{Error, Result};
use serde_json::{Map, Value as Json, json};
use tokio::{net::TcpListener, task::JoinHandle};

use self::store::{Refusal, Store};

/// A running registry. Dropping it ends it.
#[derive(Debug)]
pub struct Registry {
    url: String,
    server: JoinHandle<()>,
}

impl Registry {
    /// Starts an empty registry on a port of 127.0.0.1; 0 takes a free one.
    pub async fn start(port: u16) -> Result<Self> {
        let failed = |e| Error::fatal(format!("listening on 127.0.0.1:{port} for the schema registry")).caused_by(e);
        let listener = TcpListener::bind(("127.0.0.1", port)).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let router = Router::new().fallback(answer).with_state(Arc::new(Mutex::new(Store::default())));
        let server = tokio::spawn(async move {
            if let Err(e) = axum::serve(listener, router).await {
                tracing::error!("the embedded schema registry has ended: {e}");
            }
        });
        Ok(Self { url: format!("http://{address}"), server })
    }

    /// The base URL.
    pub fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.server.abort();
    }
}

type Answer = Result<Json, Refusal>;

async fn answer(State(store): State<Arc<Mutex<Store>>>, method: Method, uri: Uri, body: Bytes) -> Response {
    let path: Vec<String> = uri.path().split('/').filter(|s| !s.is_empty()).map(percent_decode).collect();
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    let request = Request { path: &path, query: uri.query().unwrap_or_default(), body: &body };
    let made = {
        // A request that panicked has changed nothing by halves: all changes are the last step.
        let mut store = store.lock().unwrap_or_else(PoisonError::into_inner);
        route(&mut store, &method, &request)
    };
    let (status, body) = match made {
        Ok(body) => (StatusCode::OK, body),
        Err(refusal) => {
            let status = StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            (status, json!({"error_code": refusal.code, "message": refusal.message}))
        }
    };
    let headers = [(header::CONTENT_TYPE, "application/vnd.schemaregistry.v1+json")];
    (status, headers, body.to_string()).into_response()
}

struct Request<'a> {
    path: &'a [&'a str],
    query: &'a str,
    body: &'a [u8],
}

impl Request<'_> {
    fn flag(&self, name: &str) -> bool {
        self.parameter(name).is_some_and(|v| v == "true")
    }

    fn parameter(&self, name: &str) -> Option<String> {
        let mut pairs = self.query.split('&').filter_map(|p| p.split_once('='));
        pairs.find(|(k, _)| *k == name).map(|(_, v)| percent_decode(v))
    }

    fn object(&self) -> Result<Map<String, Json>, Refusal> {
        match serde_json::from_slice(self.body) {
            Ok(Json::Object(object)) => Ok(object),
            Ok(_) => Err(Refusal::new(400, 400, "the body has to be a JSON object")),
            Err(e) => Err(Refusal::new(400, 400, format!("the body is not JSON: {e}"))),
        }
    }

    // The text of the schema in the body.
    fn schema(&self) -> Result<String, Refusal> {
        let body = self.object()?;
        let kind = body.get("schemaType").and_then(Json::as_str).unwrap_or("AVRO");
        if kind != "AVRO" {
            return Err(Refusal::new(422, 42201, format!("Invalid schema type {kind}: only AVRO is supported here")));
        }
        if body.get("references").and_then(Json::as_array).is_some_and(|r| !r.is_empty()) {
            return Err(Refusal::new(422, 42201, "Invalid schema: references are not supported here"));
        }
        match body.get("schema").and_then(Json::as_str) {
            Some(schema) if !schema.is_empty() => Ok(schema.to_owned()),
            _ => Err(Refusal::new(422, 42201, "Empty schema")),
        }
    }
}

fn route(store: &mut Store, method: &Method, request: &Request<'_>) -> Answer {
    let deleted = request.flag("deleted");
    let read = *method == Method::GET || *method == Method::HEAD;
    match request.path {
        _ if read => read_only(store, request, deleted),
        ["subjects", subject, "versions"] if *method == Method::POST => {
            Ok(json!({ "id": store.register(subject, &request.schema()?)? }))
        }
        ["subjects", subject] if *method == Method::POST => Ok(store.lookup(subject, &request.schema()?, deleted)?),
        ["subjects", subject] if *method == Method::DELETE => {
            Ok(json!(store.delete_subject(subject, request.flag("permanent"))?))
        }
        ["subjects", subject, "versions", version] if *method == Method::DELETE => {
            Ok(json!(store.delete_version(subject, version, request.flag("permanent"))?))
        }
        ["compatibility", "subjects", subject, "versions", rest @ ..] if *method == Method::POST && rest.len() < 2 => {
            let problems = store.check(subject, rest.first().copied(), &request.schema()?)?;
            let mut body = json!({"is_compatible": problems.is_empty()});
            if request.flag("verbose") {
                body["messages"] = json!(problems);
            }
            Ok(body)
        }
        ["config", subject @ ..] if *method == Method::PUT && subject.len() < 2 => {
            let level = request.object()?.get("compatibility").and_then(Json::as_str).unwrap_or_default().to_owned();
            let level = store.set_level(subject.first().copied(), &level)?;
            Ok(json!({ "compatibility": level }))
        }
        ["config", subject] if *method == Method::DELETE => Ok(json!(store.remove_level(subject)?)),
        _ => Err(not_found()),
    }
}

fn read_only(store: &Store, request: &Request<'_>, deleted: bool) -> Answer {
    Ok(match request.path {
        [] => json!({}),
        ["subjects"] => {
            let prefix = request.parameter("subjectPrefix").unwrap_or_default();
            json!(store.subjects(deleted).filter(|s| s.starts_with(&prefix)).collect::<Vec<_>>())
        }
        ["subjects", subject, "versions"] => json!(store.versions(subject, deleted)?),
        ["subjects", subject, "versions", version] => store.version(subject, version, deleted)?,
        ["subjects", subject, "versions", version, "schema"] => {
            let text = store.version(subject, version, deleted)?;
            let text = text["schema"].as_str().unwrap_or_default();
            // The text itself was valid JSON when it was registered.
            serde_json::from_str(text).unwrap_or_default()
        }
        ["schemas", "types"] => json!(["AVRO"]),
        ["schemas", "ids", id] => json!({ "schema": store.schema(id)? }),
        ["schemas", "ids", id, "schema"] => serde_json::from_str(store.schema(id)?).unwrap_or_default(),
        ["schemas", "ids", id, "versions"] => {
            let uses = store.uses(id, deleted)?.into_iter();
            uses.map(|(subject, version)| json!({"subject": subject, "version": version})).collect()
        }
        ["schemas", "ids", id, "subjects"] => {
            let mut subjects: Vec<_> = store.uses(id, deleted)?.into_iter().map(|(subject, _)| subject).collect();
            subjects.dedup();
            json!(subjects)
        }
        ["config"] => json!({ "compatibilityLevel": store.level(None, true)? }),
        ["config", subject] => {
            json!({ "compatibilityLevel": store.level(Some(subject), request.flag("defaultToGlobal"))? })
        }
        ["mode"] => json!({"mode": "READWRITE"}),
        ["mode", _] if request.flag("defaultToGlobal") => json!({"mode": "READWRITE"}),
        ["mode", subject] => {
            let text = format!("Subject '{subject}' does not have subject-level mode configured");
            return Err(Refusal::new(404, 40409, text));
        }
        ["contexts"] => json!(["."]),
        _ => return Err(not_found()),
    })
}

fn not_found() -> Refusal {
    Refusal::new(404, 404, "HTTP 404 Not Found")
}

fn percent_decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut i = 0;
    while i < bytes.len() {
        let code = || u8::from_str_radix(text.get(i + 1..i + 3)?, 16).ok();
        match (bytes[i], if bytes[i] == b'%' { code() } else { None }) {
            (_, Some(byte)) => {
                out.push(byte);
                i += 2;
            }
            (byte, None) => out.push(byte),
        }
        i += 1;
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests;
