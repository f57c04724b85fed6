//! `connectctl status`: a table of all or several connectors, or one in full.

pub(crate) mod advice;
pub(super) mod detail;
pub(super) mod overview;
pub(crate) mod trace;

use connect_api::time;
use connect_rest_model::{ConnectorInfo, ConnectorState, ConnectorStatus, ConnectorType};
use indexmap::IndexMap;
use serde::Serialize;

use super::{Context, lag::Lags};
use crate::{
    error::Failure,
    fail_on::FailOn,
    names::{SomeNames, expand, is_pattern},
    output::View,
    watch::Watch,
};

/// What `status` takes.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    names: SomeNames,
    #[command(flatten)]
    fail_on: FailOn,
    #[command(flatten)]
    watch: Watch,
}

impl Args {
    /// One connector, again and again.
    pub(super) fn watching(name: &str, every: std::time::Duration) -> Self {
        Self {
            names: SomeNames { names: vec![name.to_owned()] },
            fail_on: FailOn::default(),
            watch: Watch { watch: Some(every) },
        }
    }

    /// Whether one connector is asked for, which is shown in full.
    fn is_one(&self) -> bool {
        matches!(self.names.names.as_slice(), [one] if !is_pattern(one))
    }
}

/// A state, and what the worker's answer does not say of it.
#[derive(Debug, Serialize)]
pub(super) struct Shown {
    #[serde(flatten)]
    pub(super) status: ConnectorStatus,
    /// Of a sink, where that is known: how many records Kafka has that it has not written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) lag: Option<u64>,
}

/// Shows states. JSON and YAML are always a list.
pub async fn run(args: &Args, context: &Context<'_>) -> Result<(), Failure> {
    let lags = Lags::default();
    args.watch.run(context, async || look(args, &lags, context).await).await
}

async fn look(args: &Args, lags: &Lags, context: &Context<'_>) -> Result<(), Failure> {
    let mut failure = None;
    let mut infos = IndexMap::new();
    let mut has_logs = false;
    let statuses = if args.names.names.is_empty() {
        all(&mut infos, context).await?
    } else {
        let mut found = Vec::new();
        for name in &expand(&args.names.names, &context.client).await? {
            match context.client.status(name).await {
                Ok(status) => found.push(status),
                Err(e) => match context.explain(name, e).await {
                    e @ Failure::Unreachable(_) => return Err(e),
                    e => {
                        context.output.problem(&e.to_string());
                        failure = Some(Failure::Reported);
                    }
                },
            }
        }
        if args.is_one() && context.output.is_table() {
            has_logs = advice::has_logs(found.iter(), context).await;
            // What the configuration adds to the picture is not worth a failure.
            infos.extend(context.client.info(&args.names.names[0]).await.ok().map(|info| (info.name.clone(), info)));
        }
        found
    };
    let known = lags.of(&statuses, &infos, context).await;
    let shown = |status: ConnectorStatus| Shown { lag: known.get(&status.name).copied(), status };
    let shown: Vec<Shown> = statuses.into_iter().map(shown).collect();
    let names = || shown.iter().map(|s| s.status.name.clone()).collect();
    let info = infos.values().next();
    context.output.result(&shown, names, |view| text(args, &shown, info, has_logs, view))?;
    lags.explain(context);
    failure.map_or(Ok(()), Err)?;
    args.fail_on.judge(shown.iter().map(|s| &s.status))
}

fn text(args: &Args, shown: &[Shown], info: Option<&ConnectorInfo>, has_logs: bool, view: View) -> String {
    match shown {
        [] => String::new(),
        [one] if args.is_one() => detail::text(one, info, has_logs, time::now_ms(), view.width),
        _ => overview::text(shown, time::now_ms(), view),
    }
}

/// All connectors and their settings; one that has no status yet is shown without one.
async fn all(
    infos: &mut IndexMap<String, ConnectorInfo>,
    context: &Context<'_>,
) -> Result<Vec<ConnectorStatus>, Failure> {
    let names = context.client.names().await?;
    if names.is_empty() {
        say_empty(context);
        return Ok(Vec::new());
    }
    let mut found = context.client.expanded().await?;
    let status = |name: String| {
        let found = found.swap_remove(&name);
        infos.extend(found.as_ref().and_then(|e| e.info.clone()).map(|info| (name.clone(), info)));
        let known = found.and_then(|e| e.status);
        known.unwrap_or_else(|| ConnectorStatus {
            connector: ConnectorState {
                state: "UNKNOWN".into(),
                worker_id: "-".into(),
                version: None,
                trace: None,
                detail: None,
            },
            tasks: Vec::new(),
            kind: ConnectorType::Unknown,
            name,
        })
    };
    Ok(names.into_iter().map(status).collect())
}

/// Says that there is nothing to show, and how to change that.
pub(super) fn say_empty(context: &Context<'_>) {
    let address = context.client.address();
    context.output.say(&format!("no connectors at {address}; connectctl apply -f FILE creates some"));
}

/// How long ago an RFC 3339 time was; a time ahead is a clock that goes wrong by little.
pub(super) fn age(text: &str, now: i64) -> String {
    time::parse_rfc3339(text).map_or_else(|| text.to_owned(), |then| span(now - then))
}

/// How often it was restarted in a row, and when it will be next.
fn restarts(count: u32, next: Option<&str>, now: i64) -> Option<String> {
    let next = next.and_then(time::parse_rfc3339).map(|at| span(at - now));
    let times = |n: u32| if n == 1 { "once".to_owned() } else { format!("{n} times") };
    match (count, next) {
        (0, _) => None,
        // The one that is planned is counted.
        (1, Some(pause)) => Some(format!("is restarted in {pause}")),
        (_, Some(pause)) => Some(format!("restarted {} in a row, again in {pause}", times(count - 1))),
        (_, None) => Some(format!("restarted {} in a row", times(count))),
    }
}

/// How long it is until a time; none when it is over.
fn until(text: &str, now: i64) -> Option<String> {
    time::parse_rfc3339(text).filter(|at| *at > now).map(|at| span(at - now))
}

/// How long something is, short.
pub(super) fn span(ms: i64) -> String {
    let seconds = ms.max(0) / 1000;
    match seconds {
        0..=119 => format!("{seconds}s"),
        120..=7199 => format!("{}m", seconds / 60),
        7200..=172_799 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_short() {
        let now = time::parse_rfc3339("2026-11-21T12:00:00Z").expect("time");
        for (then, expected) in [
            ("2026-11-21T12:00:05Z", "0s"),
            ("2026-11-21T11:58:30Z", "90s"),
            ("2026-11-21T11:30:00.5Z", "29m"),
            ("2026-11-20T12:00:00Z", "24h"),
            ("2026-11-01T12:00:00Z", "20d"),
            ("what", "what"),
        ] {
            assert_eq!(age(then, now), expected, "{then}");
        }
    }
}
