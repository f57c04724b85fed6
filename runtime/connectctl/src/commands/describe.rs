//! `connectctl describe`: everything about a connector.

use connect_api::time;
use connect_rest_model::{ConnectorInfo, ConnectorOffset};
use serde::Serialize;

use super::{
    Context,
    lag::Lags,
    status::{self, Shown},
};
use crate::{
    changes::SecretKeys,
    error::Failure,
    fail_on::FailOn,
    names::{Names, expand},
    output::View,
    page::Page,
    paint::{Tone, paint},
    watch::Watch,
};

/// What `describe` takes.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    names: Names,
    #[command(flatten)]
    fail_on: FailOn,
    #[command(flatten)]
    watch: Watch,
}

#[derive(Debug, Serialize)]
struct Description {
    name: String,
    /// Null when there is none yet.
    status: Option<Shown>,
    info: ConnectorInfo,
    /// Topics that it has used; null where the worker does not track them.
    topics: Option<Vec<String>>,
    /// Where it stands; null where that cannot be told.
    offsets: Option<Vec<ConnectorOffset>>,
    #[serde(skip)]
    secrets: SecretKeys,
    /// Whether the worker keeps log lines that tell more.
    #[serde(skip)]
    has_logs: bool,
}

/// Shows state, settings, topics and offsets of each connector.
pub async fn run(args: &Args, context: &Context<'_>) -> Result<(), Failure> {
    let lags = Lags::default();
    args.watch.run(context, async || look(args, &lags, context).await).await
}

async fn look(args: &Args, lags: &Lags, context: &Context<'_>) -> Result<(), Failure> {
    let mut all = Vec::new();
    for name in expand(&args.names.names, &context.client).await? {
        let info = match context.client.info(&name).await {
            Ok(info) => info,
            Err(e) => return Err(context.explain(&name, e).await),
        };
        let secrets = SecretKeys::of(&context.client, info.config.get("connector.class").map(String::as_str)).await;
        // Each of these may be refused without making the rest worthless.
        let status = context.client.status(&name).await.ok();
        all.push(Description {
            has_logs: status::advice::has_logs(status.iter(), context).await,
            status: status.map(|status| Shown { status, lag: None }),
            topics: context.client.topics(&name).await.ok(),
            offsets: context.client.offsets(&name).await.ok().map(|o| o.offsets),
            name,
            info,
            secrets,
        });
    }
    let statuses: Vec<_> = all.iter().filter_map(|d| Some(d.status.as_ref()?.status.clone())).collect();
    let infos = all.iter().map(|d| (d.name.clone(), d.info.clone())).collect();
    let known = lags.of(&statuses, &infos, context).await;
    for d in &mut all {
        d.status.iter_mut().for_each(|shown| shown.lag = known.get(&d.name).copied());
    }
    let names = || all.iter().map(|d| d.name.clone()).collect();
    context.output.result(&all, names, |view| all.iter().map(|d| text(d, view)).collect::<Vec<_>>().join("\n"))?;
    lags.explain(context);
    args.fail_on.judge(all.iter().filter_map(|d| Some(&d.status.as_ref()?.status)))
}

fn text(d: &Description, view: View) -> String {
    let mut page = Page::new(view.width);
    match &d.status {
        Some(found) => page.text = status::detail::text(found, Some(&d.info), d.has_logs, time::now_ms(), view.width),
        None => page.line(0, &format!("{} (no status yet)", paint(Tone::Strong, &d.name))),
    }
    page.heading("settings");
    let mut keys: Vec<&String> = d.info.config.keys().filter(|key| *key != "name").collect();
    keys.sort();
    for key in keys {
        page.line(2, &format!("{key}: {}", d.secrets.shown(key, &d.info.config[key])));
    }
    if let Some(topics) = d.topics.as_ref().filter(|t| !t.is_empty()) {
        page.heading("topics used");
        topics.iter().for_each(|topic| page.line(2, topic));
    }
    if let Some(offsets) = d.offsets.as_ref().filter(|o| !o.is_empty()) {
        page.heading("offsets");
        for one in offsets {
            page.line(2, &super::offsets::line(one));
        }
    }
    let traces = d.status.iter().map(|shown| &shown.status).flat_map(|s| {
        let own = s.connector.trace.iter().map(|t| ("connector".to_owned(), t));
        own.chain(s.tasks.iter().filter_map(|t| Some((format!("task {}", t.id), t.trace.as_ref()?))))
    });
    for (of, trace) in traces {
        page.heading(&format!("error of {of}"));
        for (depth, line) in status::trace::causes(trace).iter().enumerate() {
            page.line(2 + 2 * depth, line);
        }
    }
    page.text
}

impl Page {
    fn heading(&mut self, title: &str) {
        self.text.push('\n');
        self.line(0, &paint(Tone::Strong, title));
    }
}
