//! Kafka Connect's REST API (rest.md): router, bodies, errors.
//!
//! - `connectors`, `plugins`, `admin`: the endpoints
//! - `paths`, `media`: what a request must be like; `body` over `jackson`: reading its JSON
//! - `error`: the one mapping from refusals to answers
//! - `server`: connections

mod admin;
mod body;
mod connectors;
mod error;
mod jackson;
mod media;
mod paths;
mod plugins;
mod server;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    extract::{DefaultBodyLimit, Request, State},
    http::{Method, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{MethodRouter, get, post, put},
};
use connect_api::{Error, Result};
use connect_rest_model::{Health, ServerInfo};
use tokio_util::sync::CancellationToken;

use crate::{controller::Controller, loggers::Loggers, stage};
use error::ApiError;
pub use server::Bound;

/// How long a request may take, as in Kafka Connect.
const LIMIT: Duration = Duration::from_secs(90);

/// What handlers share.
#[derive(Clone)]
pub struct Api {
    /// The connectors.
    pub controller: Arc<Controller>,
    loggers: Arc<Loggers>,
    ready: Arc<AtomicBool>,
}

/// The version of Kafka Connect whose API this is: clients decide by it what they may ask for.
pub const API_VERSION: &str = "4.1.0";

impl Api {
    /// The API of these connectors; not ready yet.
    pub fn new(controller: Arc<Controller>, loggers: Arc<Loggers>) -> Self {
        Self { controller, loggers, ready: Arc::default() }
    }

    /// Says that all connectors given at start have been created.
    pub fn set_ready(&self) {
        self.ready.store(true, Ordering::Release);
    }

    /// All endpoints.
    pub fn router(&self) -> Router {
        // An endpoint judges a request's types only once path and method have been found to be right.
        let plain = |route: MethodRouter<Self>| route.route_layer(middleware::from_fn(media::produces));
        let json = |route| plain(route).route_layer(middleware::from_fn(media::consumes));
        let config = get(connectors::config).put(connectors::put_config).patch(connectors::patch_config);
        let routes = Router::new()
            .route("/", plain(get(root)))
            .route("/health", plain(get(health)))
            .route("/connectors", json(get(connectors::list).post(connectors::create)))
            .route("/connectors/{name}", json(get(connectors::info).delete(connectors::delete)))
            .route("/connectors/{name}/config", json(config))
            .route("/connectors/{name}/status", json(get(connectors::status)))
            .route("/connectors/{name}/tasks", json(get(connectors::tasks)))
            .route("/connectors/{name}/tasks/{task}/status", json(get(connectors::task_status)))
            .route("/connectors/{name}/tasks/{task}/restart", json(post(connectors::restart_task)))
            .route("/connectors/{name}/restart", json(post(connectors::restart)))
            .route("/connectors/{name}/pause", json(put(connectors::pause)))
            .route("/connectors/{name}/resume", json(put(connectors::resume)))
            .route("/connectors/{name}/stop", json(put(connectors::stop)))
            .route("/admin/loggers", json(get(admin::list)))
            .route("/admin/loggers/{logger}", json(get(admin::get).put(admin::set)))
            .route("/connector-plugins", json(get(plugins::list)))
            .route("/connector-plugins/{plugin}/config", json(get(plugins::definition)))
            .route("/connector-plugins/{plugin}/config/validate", json(put(plugins::validate)));
        let routes = routes
            .fallback(|| async { ApiError::status(StatusCode::NOT_FOUND) })
            .method_not_allowed_fallback(|| async { ApiError::status(StatusCode::METHOD_NOT_ALLOWED) })
            .layer(DefaultBodyLimit::max(media::LARGEST_BODY))
            .with_state(self.clone());
        // What applies before anything is routed.
        Router::new()
            .fallback_service(routes)
            .layer(middleware::from_fn(limited))
            .layer(middleware::from_fn(media::readable))
            .layer(middleware::from_fn(routed))
    }

    /// Serves on a bound listener until it is told to stop; requests under way are finished.
    pub async fn serve(self, bound: Bound, stop: CancellationToken) {
        bound.serve(self.router(), stop).await;
    }
}

/// Binds the first listener of the worker. Several are not supported, which is said.
pub async fn bind(listeners: &[String]) -> Result<Bound> {
    let [text] = listeners else {
        return Err(Error::fatal(format!("listeners names {} addresses; one is supported", listeners.len())));
    };
    let (host, port) = crate::worker_config::listener(text).map_err(Error::fatal)?;
    Bound::bind(&host, port).await
}

async fn routed(mut request: Request, next: Next) -> Response {
    match paths::routed(request.uri()) {
        Ok(uri) => *request.uri_mut() = uri,
        Err(refusal) => return refusal.into_response(),
    }
    if request.method() != Method::OPTIONS {
        return next.run(request).await;
    }
    // The router knows which methods a path has: it names them when it refuses one.
    *request.method_mut() = Method::TRACE;
    *request.body_mut() = axum::body::Body::empty();
    options(next.run(request).await)
}

async fn limited(request: Request, next: Next) -> Response {
    stage::within(LIMIT, next.run(request)).await.unwrap_or_else(|text| ApiError::internal(text).into_response())
}

fn options(refusal: Response) -> Response {
    let allowed = refusal.headers().get(header::ALLOW).and_then(|a| a.to_str().ok()).map(str::to_owned);
    let (StatusCode::METHOD_NOT_ALLOWED, Some(allowed)) = (refusal.status(), allowed) else { return refusal };
    let mut methods: Vec<&str> = allowed.split(',').map(str::trim).collect();
    methods.push("OPTIONS");
    let headers = [(header::ALLOW, methods.join(",")), (header::CONTENT_TYPE, "text/plain".to_owned())];
    (headers, methods.join(", ")).into_response()
}

async fn root(State(api): State<Api>) -> Response {
    error::json(
        StatusCode::OK,
        &ServerInfo {
            version: API_VERSION.to_owned(),
            commit: format!("tocsin-{}", env!("CARGO_PKG_VERSION")),
            kafka_cluster_id: api.controller.cluster_id(),
        },
    )
}

async fn health(State(api): State<Api>, _method: Method) -> Response {
    let (status, word, message) = if api.ready.load(Ordering::Acquire) {
        (StatusCode::OK, "healthy", "Worker has completed startup and is ready to handle requests.")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "starting", "Worker is still starting up.")
    };
    error::json(status, &Health { status: word.to_owned(), message: message.to_owned() }).into_response()
}
