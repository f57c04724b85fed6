//! `connectctl offsets set` and `reset`. A worker only changes offsets of a connector that is STOPPED; on request it is
//! stopped for that, and runs again afterwards.

use std::{
    io::Read,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use connect_api::{PartitionOffset, TopicPartition, time};
use connect_rest_model::{ConnectorInfo, ConnectorOffset, ConnectorOffsets, ConnectorType};
use serde::Deserialize;
use serde_json::Value as Json;

use super::{
    super::{Context, Outcome},
    kafka::{entry, partition},
    line,
};
use crate::{
    consent::{Consent, DryRun, listed},
    error::Failure,
    names::{Names, expand, name},
    reading::Reading,
    wait::{Goal, Wait},
};

/// What both take.
#[derive(Debug, clap::Args)]
struct Change {
    /// Stop a connector that is not STOPPED, and let it be as it was afterwards.
    #[arg(long)]
    stop: bool,
    /// Longest time to wait for it to be STOPPED.
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = crate::args::seconds)]
    wait_timeout: Duration,
    #[command(flatten)]
    consent: Consent,
    #[command(flatten)]
    dry_run: DryRun,
}

/// What `offsets set` takes.
#[derive(Debug, clap::Args)]
pub(super) struct SetArgs {
    /// Name of the connector.
    #[arg(value_name = "NAME", value_parser = name, add = crate::complete::connectors())]
    name: String,

    /// Offsets of a sink; nothing behind the = forgets that of the partition.
    #[arg(value_name = "TOPIC:PARTITION=OFFSET", value_parser = assignment, required_unless_present = "from")]
    offsets: Vec<(TopicPartition, Option<i64>)>,

    /// File with offsets of any connector, or - for standard input: JSON or YAML as offsets show prints them.
    #[arg(long, value_name = "FILE|-", conflicts_with = "offsets")]
    from: Option<PathBuf>,

    #[command(flatten)]
    change: Change,
}

/// What `offsets reset` takes.
#[derive(Debug, clap::Args)]
pub(super) struct ResetArgs {
    #[command(flatten)]
    names: Names,

    /// Go on with the first record that is not older: 2026-11-21T12:00:00Z, milliseconds since 1970, or 90s, 30m, 12h, 7d ago.
    #[arg(long, value_name = "TIME", value_parser = When::parse, conflicts_with_all = ["to_end", "to_beginning"])]
    to_time: Option<When>,

    /// Go on with what comes from now on.
    #[arg(long, conflicts_with = "to_beginning")]
    to_end: bool,

    /// Go on with the first record that Kafka has.
    #[arg(long)]
    to_beginning: bool,

    /// Only this topic; may be given several times. All that the sink reads without any.
    #[arg(long, value_name = "TOPIC", add = crate::complete::topics())]
    topic: Vec<String>,

    #[command(flatten)]
    change: Change,
}

/// A moment as people write it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct When {
    /// Milliseconds since 1970.
    pub ms: i64,
}

impl When {
    /// A time of RFC 3339, milliseconds since 1970, or a time ago such as `30m`.
    pub fn parse(text: &str) -> Result<Self, String> {
        Self::parse_at(text, time::now_ms())
    }

    fn parse_at(text: &str, now: i64) -> Result<Self, String> {
        let text = text.trim();
        let wrong = || {
            "expected a time as 2026-11-21T12:00:00Z, milliseconds since 1970, or 90s, 30m, 12h or 7d ago".to_owned()
        };
        if let Some(ms) = time::parse_rfc3339(text) {
            return Ok(Self { ms });
        }
        if text.len() > 3
            && let Ok(ms) = text.parse::<u64>()
        {
            return i64::try_from(ms).map(|ms| Self { ms }).map_err(|_| wrong());
        }
        let ago = text.strip_suffix(" ago").unwrap_or(text);
        let at = ago.char_indices().last().map_or(0, |(at, _)| at);
        let unit: i64 = match &ago[at..] {
            "s" => 1000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return Err(wrong()),
        };
        let number: u32 = ago[..at].parse().map_err(|_| wrong())?;
        Ok(Self { ms: now - i64::from(number) * unit })
    }
}

fn assignment(text: &str) -> Result<(TopicPartition, Option<i64>), String> {
    let wrong = || "expected TOPIC:PARTITION=OFFSET".to_owned();
    let (place, offset) = text.rsplit_once('=').ok_or_else(wrong)?;
    let (topic, number) = place.rsplit_once(':').filter(|(topic, _)| !topic.is_empty()).ok_or_else(wrong)?;
    let partition = number.parse().ok().filter(|n: &i32| *n >= 0).ok_or("the partition must be a number from 0 up")?;
    let offset = match offset {
        "" => None,
        number => Some(number.parse().ok().filter(|n: &i64| *n >= 0).ok_or("the offset must be a number from 0 up")?),
    };
    Ok((TopicPartition { topic: topic.into(), partition }, offset))
}

pub(super) async fn set(args: &SetArgs, context: &Context<'_>) -> Result<(), Failure> {
    let wanted = match &args.from {
        Some(file) => read(file, &args.name)?,
        None => args
            .offsets
            .iter()
            .map(|(partition, to)| match to {
                Some(offset) => entry(partition, *offset),
                None => ConnectorOffset { offset: None, ..entry(partition, 0) },
            })
            .collect(),
    };
    if wanted.is_empty() {
        return Err(Failure::Usage("there are no offsets to set; connectctl offsets reset forgets all".into()));
    }
    let names = expand(std::slice::from_ref(&args.name), &context.client).await?;
    for name in &names {
        match context.client.info(name).await {
            Ok(info) => check(&info, &wanted, context).await?,
            Err(e) => return Err(context.explain(name, e).await),
        }
    }
    let offsets = ConnectorOffsets { offsets: wanted };
    let act = async |name: &str| change(name, Some(&offsets), &args.change, context).await;
    if args.change.dry_run.dry_run {
        return context.each(&names, None, act).await.map(drop);
    }
    let what = |names: &[String]| format!("set {} offsets of {}", offsets.offsets.len(), listed(names));
    let check = async |name: &str| stoppable(name, &args.change, context).await.map(drop);
    context.each_asked(&names, args.change.consent, what, check, act).await
}

/// Looks into Kafka whether a sink can go on at these places. What a source makes of its own ones, only the worker knows.
async fn check(info: &ConnectorInfo, wanted: &[ConnectorOffset], context: &Context<'_>) -> Result<(), Failure> {
    // What is forgotten may be of a topic that is gone.
    let place = |one: &ConnectorOffset| {
        let offset = one.offset.as_ref()?.get("kafka_offset")?.as_i64()?;
        Some(PartitionOffset { partition: partition(one)?, offset })
    };
    let places: Vec<PartitionOffset> = wanted.iter().filter_map(place).collect();
    if info.kind == ConnectorType::Source || places.is_empty() {
        return Ok(());
    }
    let unchecked = |why: &str| context.output.say(&format!("whether Kafka has such offsets is not looked at: {why}"));
    let topics = match Reading::new(context).await {
        Ok(topics) => topics,
        Err(e @ Failure::Unreachable(_)) => return Err(e),
        Err(e) => {
            unchecked(&e.to_string());
            return Ok(());
        }
    };
    match topics.check(&places).await {
        // A worker may reach brokers that cannot be reached from here.
        Err(Failure::Unreachable(why)) => {
            unchecked(&why);
            Ok(())
        }
        checked => checked.map_err(|e| e.of(&info.name)),
    }
}

pub(super) async fn reset(args: &ResetArgs, context: &Context<'_>) -> Result<(), Failure> {
    let names = expand(&args.names.names, &context.client).await?;
    let anywhere = args.to_time.is_none() && !args.to_end && !args.to_beginning;
    if anywhere && !args.topic.is_empty() {
        return Err(Failure::Usage("--topic goes with --to-time, --to-end or --to-beginning".into()));
    }
    let topics = if anywhere { None } else { Some(Reading::new(context).await?) };
    let act = async |name: &str| {
        let offsets = match &topics {
            Some(topics) => Some(ConnectorOffsets { offsets: positions(args, name, topics, context).await? }),
            None => None,
        };
        change(name, offsets.as_ref(), &args.change, context).await
    };
    if args.change.dry_run.dry_run {
        return context.each(&names, None, act).await.map(drop);
    }
    let what = |names: &[String]| {
        let where_to = match args.to_time {
            Some(when) => format!(" to {}", time::rfc3339(when.ms)),
            None if args.to_end => " to the end".into(),
            None if args.to_beginning => " to the beginning".into(),
            None => String::new(),
        };
        format!("reset the offsets of {}{where_to}", listed(names))
    };
    let check = async |name: &str| stoppable(name, &args.change, context).await.map(drop);
    context.each_asked(&names, args.change.consent, what, check, act).await
}

/// Where a sink is to go on in each of its partitions.
async fn positions(
    args: &ResetArgs,
    name: &str,
    topics: &Reading,
    context: &Context<'_>,
) -> Result<Vec<ConnectorOffset>, Failure> {
    let info: ConnectorInfo = context.client.info(name).await?;
    if info.kind == ConnectorType::Source {
        let text =
            "it is a source, whose offsets are no places in Kafka; connectctl offsets set takes them from a file";
        return Err(Failure::Failed(format!("{name}: {text}")));
    }
    let partitions = topics.of_sink(&info, &args.topic).await?;
    if let Some(when) = args.to_time {
        let found = topics.at(&partitions, when.ms).await?;
        return Ok(found.iter().map(|p| entry(&p.partition, p.offset)).collect());
    }
    let spans = topics.spans(&partitions).await?;
    Ok(spans.iter().map(|s| entry(&s.partition, if args.to_end { s.end } else { s.first })).collect())
}

/// Offsets of a file, in any form that `offsets show` or the REST API prints.
fn read(file: &Path, name: &str) -> Result<Vec<ConnectorOffset>, Failure> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Written {
        One(ConnectorOffsets),
        Named(Vec<OfConnector>),
    }
    #[derive(Deserialize)]
    struct OfConnector {
        name: String,
        offsets: Vec<ConnectorOffset>,
    }
    let shown = if file.as_os_str() == "-" { "<stdin>".to_owned() } else { file.display().to_string() };
    let failed = |e: String| Failure::Failed(format!("{shown}: {e}"));
    let mut text = String::new();
    if file.as_os_str() == "-" {
        std::io::stdin().lock().read_to_string(&mut text).map_err(|e| failed(format!("cannot be read: {e}")))?;
    } else {
        text = std::fs::read_to_string(file).map_err(|e| failed(format!("cannot be read: {e}")))?;
    }
    let json: Json = match serde_json::from_str(&text) {
        Ok(json) => json,
        Err(_) => {
            let trees = connect_files::read_text(&shown, &text).map_err(|e| Failure::Failed(e.to_string()))?;
            trees.first().map_or(Json::Null, |tree| connect_files::flatten::json(tree, true))
        }
    };
    let form = "expected {\"offsets\": [{\"partition\": {…}, \"offset\": {…}}]}, or a list of such with names";
    match serde_json::from_value(json) {
        Ok(Written::One(found)) => Ok(found.offsets),
        Ok(Written::Named(all)) => match all.into_iter().find(|one| one.name == name) {
            Some(found) => Ok(found.offsets),
            None => Err(failed(format!("has no offsets of {name}"))),
        },
        Err(_) => Err(failed(form.to_owned())),
    }
}

/// Refuses what the worker would refuse when the connector has been stopped: offsets of a sink are those of its group.
async fn of_worker(name: &str, context: &Context<'_>) -> Result<(), Failure> {
    // Other workers do not tell how they keep offsets, and have no such broker.
    let is_embedded = context.client.worker().await.is_ok_and(|worker| worker.mode == "embedded");
    if is_embedded && context.client.info(name).await?.kind == ConnectorType::Sink {
        return Err(Failure::Failed(format!(
            "{name}: the worker's broker is the embedded one, which has no admin requests to change the offsets of a sink; create \
             the connector under another name to read from the beginning, or give connectd a real one with bootstrap.servers"
        )));
    }
    Ok(())
}

/// The state of a connector that is STOPPED, or may be stopped.
async fn stoppable(name: &str, args: &Change, context: &Context<'_>) -> Result<String, Failure> {
    let state = context.client.status(name).await?.connector.state;
    of_worker(name, context).await?;
    if state != "STOPPED" && !args.stop {
        return Err(Failure::Failed(format!(
            "{name} is {state}, and offsets are only changed while it is STOPPED; --stop stops it for that and lets it be as it \
             was afterwards"
        )));
    }
    Ok(state)
}

/// What the message of a worker says whose tasks still hold the group.
const NOT_YET: &str = "tasks haven't stopped completely yet";

/// Sets offsets, or forgets all, of a connector that is, or is made, STOPPED.
async fn change(
    name: &str,
    offsets: Option<&ConnectorOffsets>,
    args: &Change,
    context: &Context<'_>,
) -> Result<Outcome, Failure> {
    let result = if offsets.is_some() { "set" } else { "reset" };
    let places = offsets.map(|all| all.offsets.iter().map(line).collect::<Vec<_>>().join(", "));
    let dry_run = args.dry_run.dry_run;
    let done = Outcome { detail: places, dry_run, ..Outcome::new(name, result) };
    let before = stoppable(name, args, context).await?;
    if dry_run {
        return Ok(done);
    }
    if before != "STOPPED" {
        context.client.set_target(name, "stop").await?;
        let wait = Wait { wait: true, wait_timeout: args.wait_timeout };
        wait.until(&[(name.to_owned(), Goal::Stopped)], context).await?;
    }
    let deadline = Instant::now() + args.wait_timeout;
    let changed = loop {
        let answer = match offsets {
            Some(offsets) => context.client.alter_offsets(name, offsets).await,
            None => context.client.reset_offsets(name).await,
        };
        match answer {
            Err(Failure::Refused { message, .. }) if message.contains(NOT_YET) && Instant::now() < deadline => {
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
            other => break other,
        }
    };
    // Whatever became of the offsets, the connector is not to stay as it was not.
    let back = match before.as_str() {
        "STOPPED" => Ok(()),
        "PAUSED" => context.client.set_target(name, "pause").await,
        _ => context.client.set_target(name, "resume").await,
    };
    changed?;
    back.map(|()| done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_in_several_ways() {
        let now = time::parse_rfc3339("2026-11-21T12:00:00Z").expect("time");
        let at = |text: &str| When::parse_at(text, now).map(|w| time::rfc3339(w.ms));
        assert_eq!(at("2026-11-21T11:00:00Z").as_deref(), Ok("2026-11-21T11:00:00.000Z"));
        assert_eq!(at("90s").as_deref(), Ok("2026-11-21T11:58:30.000Z"));
        assert_eq!(at("2h ago").as_deref(), Ok("2026-11-21T10:00:00.000Z"));
        assert_eq!(When::parse_at("1763726400000", now), Ok(When { ms: 1_763_726_400_000 }));
        for wrong in ["", "x", "12", "-1h", "5y", "é"] {
            assert!(at(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn partitions_of_sinks_are_written_short() {
        assert_eq!(assignment("a.b:c:3=7"), Ok((TopicPartition { topic: "a.b:c".into(), partition: 3 }, Some(7))));
        assert_eq!(assignment("t:0=").map(|(_, to)| to), Ok(None));
        for wrong in ["t", "t:0", ":0=1", "t:x=1", "t:-1=1", "t:0=x", "t:0=-1"] {
            assert!(assignment(wrong).is_err(), "{wrong}");
        }
    }
}
