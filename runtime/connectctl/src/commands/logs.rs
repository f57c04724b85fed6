//! `connectctl logs`

use std::{collections::BTreeSet, time::Duration};

use connect_rest_model::{LogLine, LogLines};
use serde::Serialize;

use super::Context;
use crate::{
    error::Failure,
    names::{Names, expand},
    output::{Format, Written},
    paint::{Tone, paint},
    shell,
};

/// How long to wait before asking for new lines.
const EVERY: Duration = Duration::from_secs(1);

/// What `logs` takes.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    names: Names,

    /// Go on with lines as they come, until interrupted. With --output json each is an object a line.
    #[arg(short, long)]
    follow: bool,

    /// How many of the latest lines to show; the worker keeps about a thousand.
    #[arg(short = 'n', long, value_name = "N", default_value_t = 100)]
    lines: usize,

    /// Only lines of this level and more severe ones.
    #[arg(long, value_enum, ignore_case = true)]
    level: Option<Level>,

    /// Only lines of this task. Those of one that is no more are shown as long as the worker keeps them.
    #[arg(long, value_name = "N", add = crate::complete::tasks())]
    task: Option<u32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Level {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

/// A line, with its connector where there are several.
#[derive(Debug, Serialize)]
struct Line {
    #[serde(skip_serializing_if = "Option::is_none")]
    connector: Option<String>,
    #[serde(flatten)]
    line: LogLine,
}

/// Shows the lines, the oldest first; those of several connectors by time.
pub async fn run(args: &Args, context: &Context<'_>) -> Result<(), Failure> {
    let names = expand(&args.names.names, &context.client).await?;
    let mut places: Vec<String> = vec![format!("limit={}", args.lines); names.len()];
    let mut rounds = 0_u64;
    // What was said of a worker that does not answer, until it answers again.
    let mut said = None;
    loop {
        let mut lines = Vec::new();
        let mut failure = None;
        for (name, place) in names.iter().zip(&mut places) {
            let known = match ask(args, name, place, context).await {
                Ok(known) => known,
                Err(e) => {
                    failure = Some(e);
                    break;
                }
            };
            if known.missed {
                context.output.say("lines between these are gone: the worker keeps the latest ones only");
            }
            *place = format!("since={}", known.last);
            let connector = (names.len() > 1).then(|| name.clone());
            lines.extend(known.lines.into_iter().map(|line| Line { connector: connector.clone(), line }));
        }
        match failure {
            None => said = None,
            // A worker that has answered before is waited for, as --watch does.
            Some(Failure::Unreachable(text)) if args.follow && rounds > 0 => {
                if said.as_ref() != Some(&text) {
                    context.output.problem(&text);
                }
                said = Some(text);
            }
            Some(e) => return Err(e),
        }
        if rounds == 0 && lines.is_empty() {
            has_task(args, &names, context).await?;
        }
        rounds += 1;
        // Numbers grow with time, too, and tell lines of one moment apart.
        lines.sort_by(|a, b| (&a.line.time, a.line.number).cmp(&(&b.line.time, b.line.number)));
        if !args.follow {
            lines.drain(..lines.len().saturating_sub(args.lines));
            let text = |_| lines.iter().map(text).collect();
            return context.output.result(&lines, || loggers(&lines), text);
        }
        if show(&lines, context)? == Written::NobodyReads {
            return Ok(());
        }
        tokio::time::sleep(EVERY).await;
    }
}

/// Fails where the lines of a task were asked for that none of the connectors has.
async fn has_task(args: &Args, names: &[String], context: &Context<'_>) -> Result<(), Failure> {
    let Some(task) = args.task else { return Ok(()) };
    let mut missing = None;
    for name in names {
        match context.client.status(name).await {
            Ok(status) => match super::missing_task(&status, task) {
                None => return Ok(()),
                Some(text) => missing = missing.or(Some(text)),
            },
            // One that was just made has no status.
            Err(Failure::Refused { status: 404, .. }) => return Ok(()),
            Err(e) => return Err(e),
        }
    }
    missing.map_or(Ok(()), |text| Err(Failure::Failed(text)))
}

async fn ask(args: &Args, name: &str, place: &str, context: &Context<'_>) -> Result<LogLines, Failure> {
    let mut query = format!("?{place}");
    if let Some(level) = args.level {
        query += &format!("&level={}", format!("{level:?}").to_uppercase());
    }
    if let Some(task) = args.task {
        query += &format!("&task={task}");
    }
    match context.client.logs(name, &query).await {
        // Kafka Connect's own workers have no such endpoint.
        Err(Failure::Refused { status: 404, message }) if message.starts_with("HTTP 404") => {
            let address = context.client.address();
            Err(Failure::Failed(format!(
                "the worker at {address} keeps no log lines of connectors; look into its log file, of which connectctl loggers set \
                 says how much is in it; connectctl describe {} has the errors of its tasks",
                shell::word(name)
            )))
        }
        Err(e) => Err(context.explain(name, e).await),
        lines => lines,
    }
}

/// Writes lines one by one, so that whoever reads them gets each when it comes.
fn show(lines: &[Line], context: &Context<'_>) -> Result<Written, Failure> {
    let failed = |e: serde_json::Error| Failure::Failed(format!("writing a line as JSON: {e}"));
    let text = match context.output.format {
        Format::Table | Format::Wide => lines.iter().map(text).collect(),
        Format::Json => {
            let each = lines.iter().map(|l| serde_json::to_string(l).map(|text| text + "\n"));
            each.collect::<Result<String, _>>().map_err(failed)?
        }
        Format::Name => loggers(lines).iter().map(|name| format!("{name}\n")).collect(),
        Format::Yaml if lines.is_empty() => String::new(),
        Format::Yaml => crate::yaml::to_string(&serde_json::to_value(lines).map_err(failed)?),
    };
    context.output.write(&text)
}

/// Names of lines are those of their loggers, each once.
fn loggers(lines: &[Line]) -> Vec<String> {
    lines.iter().map(|l| l.line.logger.clone()).collect::<BTreeSet<_>>().into_iter().collect()
}

fn text(l: &Line) -> String {
    let Line { connector, line } = l;
    let of = connector.iter().cloned().chain(line.task.map(|task| format!("task {task}"))).collect::<Vec<_>>();
    let of = if of.is_empty() { String::new() } else { format!("{}: ", of.join(" ")) };
    let level = match line.level.as_str() {
        "ERROR" => paint(Tone::Bad, "ERROR"),
        "WARN" => paint(Tone::Notice, "WARN "),
        level => format!("{level:<5}"),
    };
    format!("{} {level} {of}{}\n", line.time, line.message)
}
