//! `/metrics` for Prometheus, which Kafka Connect leaves to the JMX exporter.

use axum::{
    extract::State,
    http::header,
    response::{IntoResponse, Response},
};

use super::{API_VERSION, Api, build};
use crate::metrics::page;

pub(super) async fn scrape(State(api): State<Api>) -> Response {
    let page = page::page(&api.controller.services().statuses, API_VERSION, &build());
    ([(header::CONTENT_TYPE, page::MEDIA_TYPE)], page).into_response()
}
