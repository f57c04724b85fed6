//! `connectctl info`: the worker, its cluster, and what it runs.

use connect_rest_model::{Health, ServerInfo, WorkerInfo};
use indexmap::IndexMap;
use serde::Serialize;

use super::Context;
use crate::{
    error::Failure,
    page::Page,
    paint::{Tone, paint},
    watch::Watch,
};

/// What `info` takes.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    watch: Watch,
}

#[derive(Debug, Serialize)]
struct Info {
    address: String,
    server: ServerInfo,
    /// Null for workers before Kafka 3.9.
    health: Option<Health>,
    /// Null for Kafka Connect's own workers.
    worker: Option<WorkerInfo>,
    /// Ids of the workers that connectors and tasks are on.
    workers: Vec<String>,
    /// How many connectors are in which state.
    connectors: IndexMap<String, usize>,
    /// How many tasks are in which state.
    tasks: IndexMap<String, usize>,
}

/// Shows which program answers, how it is, where it has its things, and how many connectors and tasks are in which state.
pub async fn run(args: &Args, context: &Context<'_>) -> Result<(), Failure> {
    args.watch.run(context, async || look(context).await).await
}

/// What only some workers answer.
fn optional<T>(answer: Result<T, Failure>) -> Result<Option<T>, Failure> {
    match answer {
        Ok(found) => Ok(Some(found)),
        Err(Failure::Refused { status: 404, .. }) => Ok(None),
        Err(e) => Err(e),
    }
}

async fn look(context: &Context<'_>) -> Result<(), Failure> {
    let client = &context.client;
    let mut info = Info {
        address: client.address(),
        server: client.server().await?,
        health: optional(client.health().await)?,
        worker: optional(client.worker().await)?,
        workers: Vec::new(),
        connectors: IndexMap::new(),
        tasks: IndexMap::new(),
    };
    let starting = info.health.as_ref().is_some_and(|h| h.status == "starting");
    let all = if starting { IndexMap::new() } else { client.expanded().await? };
    for status in all.into_values().filter_map(|found| found.status) {
        *info.connectors.entry(status.connector.state).or_default() += 1;
        info.workers.push(status.connector.worker_id);
        for task in status.tasks {
            *info.tasks.entry(task.state).or_default() += 1;
            info.workers.push(task.worker_id);
        }
    }
    info.workers.sort();
    info.workers.dedup();
    context.output.result(&info, || vec![info.address.clone()], |view| text(&info, view.width))
}

fn text(info: &Info, width: Option<usize>) -> String {
    let mut page = Page::new(width);
    page.line(0, &paint(Tone::Strong, &info.address));
    page.entry("version", &format!("{} ({})", info.server.version, info.server.commit));
    page.entry("cluster", info.server.kafka_cluster_id.as_deref().unwrap_or("not known yet"));
    if let Some(health) = &info.health {
        let tone = if health.status == "healthy" { Tone::Good } else { Tone::Bad };
        page.entry("health", &format!("{}: {}", paint(tone, &health.status), health.message));
    }
    if let Some(worker) = &info.worker {
        let group = worker.group_id.as_ref().map(|g| format!(", group {g}")).unwrap_or_default();
        page.entry("mode", &format!("{}{group}", worker.mode));
        page.entry("kafka", &format!("{} ({})", worker.bootstrap_servers, worker.security_protocol));
        if let Some(url) = &worker.schema_registry_url {
            page.entry("registry", url);
        }
        if let Some(topics) = &worker.storage_topics {
            page.entry("topics", &format!("{}, {}, {}", topics.config, topics.offset, topics.status));
        }
        if let Some(file) = &worker.offset_file {
            page.entry("offset file", file);
        }
    }
    page.entry("connectors", &counts(&info.connectors));
    page.entry("tasks", &counts(&info.tasks));
    if !info.workers.is_empty() {
        page.entry("workers", &info.workers.join(", "));
    }
    page.text
}

fn counts(all: &IndexMap<String, usize>) -> String {
    if all.is_empty() {
        return "none".into();
    }
    all.iter().map(|(state, n)| format!("{n} {}", crate::paint::state(state))).collect::<Vec<_>>().join(", ")
}
