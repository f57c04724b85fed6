//! Kafka Connect's REST API (rest.md): router, bodies, errors.
//!
//! - `body`: reading requests as Jackson would; `error`: the one mapping from refusals to answers
//! - `connectors`, `plugins`: the endpoints

mod body;
mod connectors;
mod error;
mod plugins;

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use axum::{
    Router,
    extract::State,
    http::{Method, StatusCode, Uri, header},
    middleware,
    response::{IntoResponse, Response},
    routing::{get, post, put},
};
use connect_api::{Error, Result};
use connect_rest_model::{Health, ServerInfo};
use tokio::net::TcpListener;

use crate::controller::Controller;
use error::ApiError;

/// What handlers share.
#[derive(Clone)]
pub struct Api {
    /// The connectors.
    pub controller: Arc<Controller>,
    ready: Arc<AtomicBool>,
}

/// The version of Kafka Connect whose API this is: clients decide by it what they may ask for.
pub const API_VERSION: &str = "4.1.0";

impl Api {
    /// The API of these connectors; not ready yet.
    pub fn new(controller: Arc<Controller>) -> Self {
        Self { controller, ready: Arc::default() }
    }

    /// Says that all connectors given at start have been created.
    pub fn set_ready(&self) {
        self.ready.store(true, Ordering::Release);
    }

    /// All endpoints.
    pub fn router(&self) -> Router {
        let routes = Router::new()
            .route("/", get(root))
            .route("/health", get(health))
            .route("/connectors", get(connectors::list).post(connectors::create))
            .route("/connectors/{name}", get(connectors::info).delete(connectors::delete))
            .route(
                "/connectors/{name}/config",
                get(connectors::config).put(connectors::put_config).patch(connectors::patch_config),
            )
            .route("/connectors/{name}/status", get(connectors::status))
            .route("/connectors/{name}/tasks", get(connectors::tasks))
            .route("/connectors/{name}/tasks/{task}/status", get(connectors::task_status))
            .route("/connectors/{name}/tasks/{task}/restart", post(connectors::restart_task))
            .route("/connectors/{name}/restart", post(connectors::restart))
            .route("/connectors/{name}/pause", put(connectors::pause))
            .route("/connectors/{name}/resume", put(connectors::resume))
            .route("/connectors/{name}/stop", put(connectors::stop))
            .route("/connector-plugins", get(plugins::list))
            .route("/connector-plugins/{plugin}/config", get(plugins::definition))
            .route("/connector-plugins/{plugin}/config/validate", put(plugins::validate));
        routes
            .fallback(|| async { ApiError::status(StatusCode::NOT_FOUND) })
            .method_not_allowed_fallback(|| async { ApiError::status(StatusCode::METHOD_NOT_ALLOWED) })
            .layer(middleware::from_fn(body::media_types))
            .layer(axum::extract::DefaultBodyLimit::max(16 << 20))
            .with_state(self.clone())
    }

    /// Serves on a bound listener until the future resolves; requests under way are finished.
    pub async fn serve(self, listener: TcpListener, stop: impl Future<Output = ()> + Send + 'static) -> Result<()> {
        // A trailing slash is accepted everywhere, so paths are trimmed before they are routed.
        let service = tower_trim(self.router());
        axum::serve(listener, service)
            .with_graceful_shutdown(stop)
            .await
            .map_err(|e| Error::fatal("serving the REST API").caused_by(e))
    }
}

/// Binds the first listener of the worker. Several are not supported, which is said.
pub async fn bind(listeners: &[String]) -> Result<(TcpListener, SocketAddr)> {
    let [text] = listeners else {
        return Err(Error::fatal(format!("listeners names {} addresses; one is supported", listeners.len())));
    };
    let (host, port) = crate::worker_config::listener(text).map_err(Error::fatal)?;
    let host = if host.is_empty() { "0.0.0.0".to_owned() } else { host };
    let bound = TcpListener::bind((host.as_str(), port)).await;
    let listener = bound.map_err(|e| {
        Error::fatal(format!(
            "binding the REST API to {host}:{port} (is another worker running? set listeners to another port)"
        ))
        .caused_by(e)
    })?;
    let address = listener.local_addr().map_err(|e| Error::fatal("asking for the REST API's address").caused_by(e))?;
    Ok((listener, address))
}

/// What applies to every request before it is routed: a trailing slash is accepted, `OPTIONS` answered.
fn tower_trim(router: Router) -> Router {
    Router::new().fallback_service(router).layer(middleware::from_fn(
        |mut request: axum::extract::Request, next: middleware::Next| async move {
            if let Some(uri) = without_slash(request.uri()) {
                *request.uri_mut() = uri;
            }
            if request.method() != Method::OPTIONS {
                return next.run(request).await;
            }
            // The router knows which methods a path has: it names them when it refuses one.
            *request.method_mut() = Method::TRACE;
            *request.body_mut() = axum::body::Body::empty();
            options(next.run(request).await)
        },
    ))
}

fn without_slash(uri: &Uri) -> Option<Uri> {
    let path = uri.path();
    if path.len() < 2 || !path.ends_with('/') || path.ends_with("//") {
        return None;
    }
    let query = uri.query().map(|q| format!("?{q}")).unwrap_or_default();
    format!("{}{query}", path.trim_end_matches('/')).parse().ok()
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
