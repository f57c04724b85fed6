//! `connectctl alarms ack`

use std::sync::Arc;

use connect_api::Bytes;
use connect_kafka::{RawRecord, Span};
use connector_alarm::{Change, Content, Kind, acknowledge};
use serde_json::Value as Json;

use super::{
    super::{Context, Outcome, Outcomes},
    entry::Decoder,
    messages::acknowledging,
    pick::{name, named, not_there},
    replay::{Replay, warn_unread_of},
    set::{Told, tell, tombstone},
    state::{Active, Alarms},
    topics::{Topics, Writes},
    write::Writing,
};
use crate::error::Failure;

/// What `alarms ack` takes.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Names of the alarms; also patterns, of those that are active and not acknowledged.
    #[arg(value_name = "NAME", add = crate::complete::alarms(), required = true, value_parser = name)]
    names: Vec<String>,

    #[command(flatten)]
    topics: Topics,
    #[command(flatten)]
    writes: Writes,
}

pub(super) async fn run(args: &Args, context: &Context<'_>) -> Result<(), Failure> {
    let mut replay = Replay::new(context, &args.topics, &Kind::ALL).await?;
    let alarms = replay.read().await?;
    let names = named(&args.names, &alarms, |known| known.active.as_ref().is_some_and(|a| !a.alarm.acknowledged));
    let names = names.map_err(Failure::Failed)?;
    let mut writing = Writing::new(&replay, &args.writes);
    let mut outcomes = Outcomes::default();
    for name in &names {
        let outcome = one(&mut writing, &replay, name, &alarms).await;
        if !outcomes.add(context, name, outcome.map(|o| tell(o, context))) {
            break;
        }
    }
    outcomes.print(context)?;
    warn_unread_of(&args.names, &alarms, context)
}

/// Acknowledges one that is active.
pub(super) async fn one(
    writing: &mut Writing<'_, '_>,
    replay: &Replay<'_>,
    name: &str,
    alarms: &Alarms,
) -> Result<Told, Failure> {
    alarms.readable(Kind::Active, name)?;
    let Some(active) = alarms.get(name).and_then(|known| known.active.as_ref()) else {
        return Err(Failure::Failed(not_there("active", name, alarms, |known| known.active.is_some())));
    };
    let dry_run = writing.dry_run;
    let outcome = |result: &str| Outcome { dry_run, ..Outcome::new(name, result) };
    let key = active.origin.raw.key.clone().unwrap_or_default();
    if let Some(part) = active.origin.part.clone().filter(|_| !active.alarm.acknowledged) {
        let sent = message(writing, name, acknowledging(&part, &active.alarm.severity, None), alarms).await?;
        if let Some(sent) = sent
            && let Some(raw) = between(replay, &key, sent, &[]).await?
        {
            seen(name, active, &decoded(replay, raw).await?)?;
        }
        return Ok((outcome("acknowledged"), None));
    }
    let mut current = active.clone();
    let mut own = Vec::new();
    loop {
        let alarm = match acknowledge(Some(&current.alarm)) {
            Some(Change::Write(alarm)) => alarm,
            Some(Change::Clear) => {
                tombstone(writing, name, &current).await?;
                return Ok((outcome("cleared"), None));
            }
            None => {
                // Another has acknowledged it in this moment, and said more than what was written over it.
                if !own.is_empty() {
                    writing.send(Kind::Active, key, current.origin.raw.value.clone()).await?;
                }
                return Ok((outcome("unchanged"), None));
            }
        };
        let content = |_: &connect_api::Schema| {
            Content::active(&alarm).with_priority_of(&current.origin.value).with_others(&current.origin.value)
        };
        let encoded = writing.encode(Kind::Active, alarms, Some(&current.origin), &content).await?;
        let sent = writing.send(Kind::Active, key.clone(), Some(encoded.bytes)).await?;
        let done = (outcome("acknowledged"), encoded.left_out);
        let Some(sent) = sent else { return Ok(done) };
        own.push(sent.1);
        let Some(raw) = between(replay, &key, sent, &own).await?.filter(|raw| raw.offset > current.origin.raw.offset)
        else {
            return Ok(done);
        };
        // What another wrote in this moment is not what was acknowledged.
        let value = raw.value.clone();
        let now = match decoded(replay, raw).await?.get(name).and_then(|known| known.active.clone()) {
            Some(now) if !now.alarm.priority.is_above(current.alarm.priority) => now,
            other => {
                writing.send(Kind::Active, key, value).await?;
                let what = match other {
                    Some(now) => format!("went to {}", now.alarm.priority),
                    None => "was cleared".to_owned(),
                };
                return Err(Failure::Failed(format!("alarm {name} {what} in this moment, and stays so")));
            }
        };
        current = now;
    }
}

/// Whether a message that came in this moment leaves the acknowledgement as it was meant.
fn seen(name: &str, acknowledged: &Active, now: &Alarms) -> Result<(), Failure> {
    match now.get(name).and_then(|known| known.active.as_ref()) {
        None => Err(Failure::Failed(format!("alarm {name} was cleared in this moment, and stays so"))),
        Some(now) if acknowledged.alarm.severity == "MINOR" && now.alarm.severity != "MINOR" => Err(Failure::Failed(
            format!("alarm {name} went to {} in this moment, and is not acknowledged", now.alarm.severity),
        )),
        Some(_) => Ok(()),
    }
}

/// What one record says.
async fn decoded(replay: &Replay<'_>, raw: RawRecord) -> Result<Alarms, Failure> {
    let mut alarms = Alarms::default();
    if let Ok(entry) = Decoder::new(replay.context).decode(Arc::new(raw)).await? {
        alarms.apply(Kind::Active, entry);
    }
    Ok(alarms)
}

/// What another wrote last about the alarm between what was read and what was sent.
async fn between(
    replay: &Replay<'_>,
    key: &Bytes,
    (partition, offset): (i32, i64),
    own: &[i64],
) -> Result<Option<RawRecord>, Failure> {
    let book = replay.book(Kind::Active);
    let Some(book) = book else { return Ok(None) };
    let Some(span) = book.spans.iter().find(|s| s.partition.partition == partition) else { return Ok(None) };
    if span.end >= offset {
        return Ok(None);
    }
    let span = Span { first: span.end, end: offset, partition: span.partition.clone() };
    let mut batches = replay.reading.records(&book.topic, &[span])?;
    let mut last = None;
    while let Some(batch) = batches.recv().await {
        let of_another = |raw: &RawRecord| raw.key.as_ref() == Some(key) && !own.contains(&raw.offset);
        last = replay.reading.answer(batch)?.into_iter().rfind(of_another).or(last);
    }
    Ok(last)
}

/// Writes a message that acknowledges, of JLab's last generation; where it is.
pub(super) async fn message(
    writing: &mut Writing<'_, '_>,
    name: &str,
    (part, members): (&'static str, Json),
    alarms: &Alarms,
) -> Result<Option<(i32, i64)>, Failure> {
    let content = Content::message(part, members);
    let encoded = writing.encode(Kind::Active, alarms, None, &|_| content.clone()).await?;
    let key = writing.key(name, Some(part)).await?;
    writing.send(Kind::Active, key, Some(encoded.bytes)).await
}
