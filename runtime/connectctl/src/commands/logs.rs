//! `connectctl logs`

use std::time::Duration;

use connect_rest_model::{LogLine, LogLines};

use super::Context;
use crate::{
    error::Failure,
    output::{Format, Written},
};

/// How long to wait before asking for new lines.
const EVERY: Duration = Duration::from_secs(1);

/// What `logs` takes.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Name of the connector.
    #[arg(value_name = "NAME", value_parser = crate::args::name)]
    name: String,

    /// Go on with lines as they come, until interrupted. With --output json each is an object a line.
    #[arg(short, long)]
    follow: bool,

    /// How many of the latest lines to show; the worker keeps about a thousand.
    #[arg(short = 'n', long, value_name = "N", default_value_t = 100)]
    lines: usize,

    /// Only lines of this level and more severe ones.
    #[arg(long, value_enum, ignore_case = true)]
    level: Option<Level>,

    /// Only lines of this task.
    #[arg(long, value_name = "N")]
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

/// Shows the lines, the oldest first.
pub async fn run(args: &Args, context: &Context<'_>) -> Result<(), Failure> {
    let mut known = ask(args, &format!("limit={}", args.lines), context).await?;
    if !args.follow {
        return context.output.result(&known.lines, |_| known.lines.iter().map(line).collect());
    }
    loop {
        if known.missed {
            context.output.say("lines between these are gone: the worker keeps the latest ones only");
        }
        if show(&known.lines, context)? == Written::NobodyReads {
            return Ok(());
        }
        tokio::time::sleep(EVERY).await;
        known = ask(args, &format!("since={}", known.last), context).await?;
    }
}

async fn ask(args: &Args, place: &str, context: &Context<'_>) -> Result<LogLines, Failure> {
    let mut query = format!("?{place}");
    if let Some(level) = args.level {
        query += &format!("&level={}", format!("{level:?}").to_uppercase());
    }
    if let Some(task) = args.task {
        query += &format!("&task={task}");
    }
    match context.client.logs(&args.name, &query).await {
        // Kafka Connect's own workers have no such endpoint.
        Err(Failure::Refused { status: 404, message }) if message.starts_with("HTTP 404") => {
            Err(Failure::Failed(format!("the worker at {} keeps no log lines of connectors", context.client.address())))
        }
        Err(e) => Err(context.explain(&args.name, e).await),
        lines => lines,
    }
}

/// Writes lines one by one, so that whoever reads them gets each when it comes.
fn show(lines: &[LogLine], context: &Context<'_>) -> Result<Written, Failure> {
    let failed = |e: serde_json::Error| Failure::Failed(format!("writing a line as JSON: {e}"));
    let text = match context.output.format {
        Format::Table => lines.iter().map(line).collect(),
        Format::Json => {
            let each = lines.iter().map(|l| serde_json::to_string(l).map(|text| text + "\n"));
            each.collect::<Result<String, _>>().map_err(failed)?
        }
        Format::Yaml if lines.is_empty() => String::new(),
        Format::Yaml => crate::yaml::to_string(&serde_json::to_value(lines).map_err(failed)?),
    };
    context.output.write(&text)
}

fn line(l: &LogLine) -> String {
    let task = l.task.map(|task| format!("task {task}: ")).unwrap_or_default();
    format!("{} {:<5} {task}{}\n", l.time, l.level, l.message)
}
