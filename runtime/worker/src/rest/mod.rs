//! Kafka Connect's REST API (rest.md): router, bodies, errors.
//!
//! - `connectors`, `plugins`, `admin`, `about`, `logs`, `metrics`, `trials`: the endpoints
//! - `paths`, `media`: what a request must be like; `body`, `offsets_body` over `jackson` and `tokens`: reading its JSON
//! - [`openapi`]: the description of all that
//! - `error`: the one mapping from refusals to answers
//! - `listeners`: where it is reached; `tls`, `basic_auth`, `browsers`: by whom
//! - `server`: connections

mod about;
mod admin;
pub(crate) mod basic_auth;
mod body;
pub(crate) mod browsers;
mod connectors;
mod error;
mod jackson;
mod listeners;
mod logs;
mod media;
mod metrics;
mod offsets_body;
pub mod openapi;
mod paths;
mod plugins;
mod server;
pub(crate) mod tls;
mod tokens;
mod trials;

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
use connect_rest_model::{Health, ServerInfo};
use tokio_util::sync::CancellationToken;

use crate::{controller::Controller, loggers::Loggers, stage};
use basic_auth::BasicAuth;
use error::ApiError;
pub use listeners::{Listener, Surface};
pub use server::Bound;

/// How long a request may take, as in Kafka Connect.
pub(crate) const LIMIT: Duration = Duration::from_secs(90);

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

    /// All endpoints of the main listeners.
    fn router(&self, surface: &Surface) -> Router {
        let json = |route| json(route, surface.auth.as_ref());
        let plain = |route| plain(route, surface.auth.as_ref());
        let opened = middleware::from_fn_with_state(self.controller.clone(), opened);
        let stored = |route: MethodRouter<Self>| json(route.route_layer(opened.clone()));
        let config = get(connectors::config).put(connectors::put_config).patch(connectors::patch_config);
        let offsets = get(connectors::offsets).patch(connectors::alter_offsets).delete(connectors::reset_offsets);
        let mut routes = Router::new()
            .route("/", plain(get(root)))
            .route("/health", plain(get(health)))
            .route("/worker", plain(get(about::worker)))
            .route("/openapi.json", plain(get(async || error::json(StatusCode::OK, &openapi::document()))))
            .route("/connectors", stored(get(connectors::list).post(connectors::create)))
            .route("/connectors/{name}", stored(get(connectors::info).delete(connectors::delete)))
            .route("/connectors/{name}/config", stored(config))
            .route("/connectors/{name}/status", stored(get(connectors::status)))
            .route("/connectors/{name}/tasks", stored(get(connectors::tasks)))
            .route("/connectors/{name}/tasks/{task}/status", stored(get(connectors::task_status)))
            .route("/connectors/{name}/tasks/{task}/restart", stored(post(connectors::restart_task)))
            .route("/connectors/{name}/restart", stored(post(connectors::restart)))
            .route("/connectors/{name}/offsets", stored(offsets))
            .route("/connectors/{name}/logs", stored(get(logs::lines)))
            .route("/connectors/{name}/topics", stored(get(connectors::topics)))
            .route("/connectors/{name}/topics/reset", stored(put(connectors::reset_topics)))
            .route("/connectors/{name}/test", stored(post(trials::connector)))
            .route("/connectors/{name}/pause", stored(put(connectors::pause)))
            .route("/connectors/{name}/resume", stored(put(connectors::resume)))
            .route("/connectors/{name}/stop", stored(put(connectors::stop)))
            .route("/connector-plugins", json(get(plugins::list)))
            .route("/connector-plugins/{plugin}/config", json(get(plugins::definition)))
            .route("/connector-plugins/{plugin}/config/validate", json(put(plugins::validate)))
            .route("/connector-plugins/{plugin}/config/test", json(put(trials::config)));
        routes = routes.merge(scraped(surface.auth.as_ref()));
        if surface.admin_on_main() {
            routes = routes.merge(log_levels(surface.auth.as_ref()));
        }
        let mut router = self.complete(routes);
        if !surface.headers.is_empty() {
            let rules = Arc::new(surface.headers.clone());
            router = router.layer(middleware::from_fn_with_state(rules, browsers::headers));
        }
        if let Some(cors) = surface.cors.clone() {
            router = router.layer(middleware::from_fn_with_state(Arc::new(cors), browsers::cors));
        }
        router
    }

    /// What applies to all requests, whatever the endpoint.
    fn complete(&self, routes: Router<Self>) -> Router {
        let routes = routes
            .fallback(|| async { ApiError::status(StatusCode::NOT_FOUND) })
            .method_not_allowed_fallback(|| async { ApiError::status(StatusCode::METHOD_NOT_ALLOWED) })
            .layer(DefaultBodyLimit::max(media::LARGEST_BODY))
            .with_state(self.clone());
        // These come before anything is routed.
        Router::new()
            .fallback_service(routes)
            .layer(middleware::from_fn(limited))
            .layer(middleware::from_fn(media::readable))
            .layer(middleware::from_fn(routed))
    }

    /// Serves on what was bound until it is told to stop; requests under way are finished.
    pub async fn serve(self, surface: Surface, main: Vec<Bound>, admin: Vec<Bound>, stop: CancellationToken) {
        let all = self.router(&surface);
        let levels = self.complete(log_levels(None).merge(scraped(None)));
        let main = main.into_iter().map(|bound| bound.serve(all.clone(), stop.clone()));
        let admin = admin.into_iter().map(|bound| bound.serve(levels.clone(), stop.clone()));
        futures_util::future::join_all(main.chain(admin)).await;
    }
}

/// Requests about connectors wait until the worker knows them.
async fn opened(State(controller): State<Arc<Controller>>, request: Request, next: Next) -> Response {
    stage::during("initializing and reading to the end of internal topics", controller.opened()).await;
    next.run(request).await
}

// An endpoint judges a request's types and credentials only once path and method have been found to be right.

fn plain(route: MethodRouter<Api>, auth: Option<&BasicAuth>) -> MethodRouter<Api> {
    authenticated(route.route_layer(middleware::from_fn(media::produces)), auth)
}

fn authenticated(route: MethodRouter<Api>, auth: Option<&BasicAuth>) -> MethodRouter<Api> {
    match auth {
        Some(auth) => route.route_layer(middleware::from_fn_with_state(auth.clone(), basic_auth::authenticate)),
        None => route,
    }
}

fn json(route: MethodRouter<Api>, auth: Option<&BasicAuth>) -> MethodRouter<Api> {
    plain(route.route_layer(middleware::from_fn(media::consumes)), auth)
}

fn log_levels(auth: Option<&BasicAuth>) -> Router<Api> {
    Router::new()
        .route("/admin/loggers", json(get(admin::list), auth))
        .route("/admin/loggers/{logger}", json(get(admin::get).put(admin::set), auth))
}

/// What Prometheus reads. It asks for media types of its own, and gets the one that there is.
fn scraped(auth: Option<&BasicAuth>) -> Router<Api> {
    Router::new().route("/metrics", authenticated(get(metrics::scrape), auth))
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

async fn limited(mut request: Request, next: Next) -> Response {
    // Work goes on when the client goes away; what only makes an answer can be given up then.
    let gone = CancellationToken::new();
    request.extensions_mut().insert(trials::Gone(gone.clone()));
    let _here = gone.drop_guard();
    // Kafka Connect builds the text in two places, of which one has no full stop.
    let validates = request.uri().path().ends_with("/config/validate");
    let late = |text: String| {
        let text = if validates { text.trim_end_matches('.') } else { &text };
        ApiError::internal(text).into_response()
    };
    stage::within(LIMIT, next.run(request)).await.unwrap_or_else(late)
}

fn options(refusal: Response) -> Response {
    let allowed = refusal.headers().get(header::ALLOW).and_then(|a| a.to_str().ok()).map(str::to_owned);
    let (StatusCode::METHOD_NOT_ALLOWED, Some(allowed)) = (refusal.status(), allowed) else { return refusal };
    let mut methods: Vec<&str> = allowed.split(',').map(str::trim).collect();
    methods.push("OPTIONS");
    let headers = [(header::ALLOW, methods.join(",")), (header::CONTENT_TYPE, "text/plain".to_owned())];
    (headers, methods.join(", ")).into_response()
}

/// Which build this is.
fn build() -> String {
    format!("tocsin-{}", env!("CARGO_PKG_VERSION"))
}

async fn root(State(api): State<Api>) -> Response {
    error::json(
        StatusCode::OK,
        &ServerInfo { version: API_VERSION.to_owned(), commit: build(), kafka_cluster_id: api.controller.cluster_id() },
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
