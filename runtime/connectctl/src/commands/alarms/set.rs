//! `connectctl alarms set` and `unset`

use connect_api::time;
use connector_alarm::{
    Alarm, Change, Content, Kind, Policy, Priority,
    rules::{State, change},
};

use super::{
    super::{Context, Outcome, Outcomes},
    messages::{acknowledging, alarming},
    pick::{label, name, named, priority},
    replay::{Replay, warn_unread, warn_unread_of},
    state::{Active, Alarms, Known},
    topics::{Topics, Writes},
    write::{LeftOut, Writing},
};
use crate::{
    consent::{Consent, listed},
    error::Failure,
    names::is_pattern,
};

/// What `alarms set` takes.
#[derive(Debug, clap::Args)]
pub(super) struct SetArgs {
    /// Names of the alarms.
    #[arg(value_name = "NAME", add = crate::complete::alarms(), required = true, value_parser = clap::builder::NonEmptyStringValueParser::new())]
    names: Vec<String>,

    /// How much is at stake: P1_LIFE, P2_PROPERTY, P3_PRODUCTIVITY or P4_DIAGNOSTIC, or a part of that; needed for an alarm that
    /// is not active.
    #[arg(long, value_name = "PRIORITY", value_parser = priority)]
    priority: Option<Priority>,

    /// As one that is acknowledged already.
    #[arg(long)]
    ack: bool,

    /// Clear it instead.
    #[arg(long, conflicts_with_all = ["priority", "ack", "source", "severity", "status", "message", "value", "label"])]
    unset: bool,

    /// What raises the alarm.
    #[arg(long, value_name = "TEXT")]
    source: Option<String>,

    /// Severity in the words of the source, such as MAJOR.
    #[arg(long, alias = "sevr", value_name = "TEXT")]
    severity: Option<String>,

    /// Reason in the words of the source, such as HIHI.
    #[arg(long, alias = "stat", value_name = "TEXT")]
    status: Option<String>,

    /// What a person should read.
    #[arg(long, value_name = "TEXT")]
    message: Option<String>,

    /// The value that is out of bounds.
    #[arg(long, value_name = "TEXT")]
    value: Option<String>,

    /// Something to find the alarm by; may be given several times.
    #[arg(long, value_name = "KEY=VALUE", value_parser = label)]
    label: Vec<(String, String)>,

    #[command(flatten)]
    topics: Topics,
    #[command(flatten)]
    writes: Writes,
}

/// What `alarms unset` takes.
#[derive(Debug, clap::Args)]
pub(super) struct UnsetArgs {
    /// Names of the alarms; also patterns, of those that are active, which are cleared when that was confirmed.
    #[arg(value_name = "NAME", add = crate::complete::alarms(), required = true, value_parser = name)]
    names: Vec<String>,

    #[command(flatten)]
    consent: Consent,

    /// Also one that is registered as latching and has not been acknowledged, or whose record cannot be decoded.
    #[arg(long)]
    force: bool,

    #[command(flatten)]
    topics: Topics,
    #[command(flatten)]
    writes: Writes,
}

impl SetArgs {
    /// The alarm as it is to be, not acknowledged.
    fn over(&self, before: Option<&Alarm>, now: i64) -> Result<Alarm, Failure> {
        let mut alarm = match (before, self.priority) {
            (Some(before), _) => before.clone(),
            (None, Some(priority)) => Alarm { raised: Some(now), ..Alarm::new(priority) },
            (None, None) => {
                return Err(Failure::Usage(
                    "an alarm that is not active needs a priority; say --priority PRIORITY".into(),
                ));
            }
        };
        let set = |to: &mut String, text: &Option<String>| text.iter().for_each(|text| to.clone_from(text));
        alarm.priority = self.priority.unwrap_or(alarm.priority);
        set(&mut alarm.source, &self.source);
        set(&mut alarm.severity, &self.severity);
        set(&mut alarm.status, &self.status);
        set(&mut alarm.message, &self.message);
        if self.value.is_some() {
            alarm.value.clone_from(&self.value);
        }
        alarm.labels.extend(self.label.iter().cloned());
        (alarm.acknowledged, alarm.latched) = (false, false);
        Ok(alarm)
    }
}

/// Raises alarms.
pub(super) async fn set(args: &SetArgs, context: &Context<'_>) -> Result<(), Failure> {
    let mut replay = Replay::new(context, &args.topics, &Kind::ALL).await?;
    let alarms = replay.read().await?;
    let mut writing = Writing::new(&replay, &args.writes);
    let mut outcomes = Outcomes::default();
    for name in &args.names {
        let known = alarms.get(name);
        let outcome = if args.unset {
            clear(&mut writing, name, &alarms, false).await
        } else {
            raise(args, &mut writing, name, known, &alarms).await
        };
        if let Err(e @ Failure::Usage(_)) = outcome {
            return Err(e);
        }
        if !outcomes.add(context, name, outcome.map(|o| tell(o, context))) {
            break;
        }
    }
    outcomes.print(context)?;
    warn_unread(&alarms, context);
    Ok(())
}

/// An outcome, and what could not be written.
pub(super) type Told = (Outcome, Option<LeftOut>);

/// Warns of what could not be written.
pub(super) fn tell((outcome, left_out): Told, context: &Context<'_>) -> Outcome {
    if let Some(left_out) = left_out {
        context.output.problem(&format!("warning: {}: {left_out}", outcome.name));
    }
    outcome
}

async fn raise(
    args: &SetArgs,
    writing: &mut Writing<'_, '_>,
    name: &str,
    known: Option<&Known>,
    alarms: &Alarms,
) -> Result<Told, Failure> {
    alarms.readable(Kind::Active, name)?;
    let dry_run = writing.dry_run;
    let outcome = |result: &str| Outcome { dry_run, ..Outcome::new(name, result) };
    let current = known.and_then(|known| known.active.as_ref());
    let done = if current.is_some() { "changed" } else { "raised" };
    if current.is_some_and(|active| active.origin.part.is_some())
        || current.is_none() && writing.has_messages(alarms).await?
    {
        let text = |given: &Option<String>, of: fn(&Alarm) -> &String| {
            given.clone().or_else(|| current.map(|active| of(&active.alarm).clone())).unwrap_or_default()
        };
        let severity = text(&args.severity, |a| &a.severity);
        let (part, members) = alarming(&severity, &text(&args.status, |a| &a.status));
        let typed = args.over(Some(&Alarm::new(Priority::Diagnostic)), time::now_ms())?;
        let left_out = LeftOut::of_messages(&Content::active(&typed), args.priority.is_some());
        let content = Content::message(part, members);
        let encoded = writing.encode(Kind::Active, alarms, None, &|_| content.clone()).await?;
        let key = writing.key(name, Some(part)).await?;
        writing.send(Kind::Active, key, Some(encoded.bytes)).await?;
        if args.ack {
            super::ack::message(writing, name, acknowledging(part, &severity, None), alarms).await?;
        }
        return Ok((outcome(done), left_out));
    }
    let before = current.map(|active| &active.alarm);
    let alarm = args.over(before, time::now_ms())?;
    let policy = Policy { latching: known.is_some_and(Known::latching), message_updates: true };
    let alarm = match change(before, &State::Raised(alarm), policy) {
        Some(Change::Write(alarm)) => Alarm { acknowledged: alarm.acknowledged || args.ack, ..alarm },
        _ => match before {
            Some(before) if args.ack && !before.acknowledged => Alarm { acknowledged: true, ..before.clone() },
            _ => return Ok((outcome("unchanged"), None)),
        },
    };
    let asked = current.map(|active| Active { priority: args.priority.or(active.priority), ..active.clone() });
    let left_out = write(writing, name, asked.as_ref(), &alarm, alarms).await?;
    // When an alarm was raised nobody has typed.
    let is_new = before.is_none_or(|before| before.raised.is_none());
    Ok((outcome(done), left_out.and_then(|left_out| left_out.among(|name| name != "raised" || !is_new))))
}

/// Writes an alarm over what there is; what was left out.
pub(super) async fn write(
    writing: &mut Writing<'_, '_>,
    name: &str,
    current: Option<&Active>,
    alarm: &Alarm,
    alarms: &Alarms,
) -> Result<Option<LeftOut>, Failure> {
    let origin = current.map(|active| &active.origin);
    let make = |_: &connect_api::Schema| {
        let content = Content::active(alarm);
        // A priority that is none of ours is not made another, unless that is asked for.
        let kept = |active: &&Active| active.priority.is_none() && active.alarm.priority == alarm.priority;
        let content = match current.filter(kept) {
            Some(active) => content.with_priority_of(&active.origin.value),
            None => content,
        };
        match origin {
            Some(origin) => content.with_others(&origin.value),
            None => content,
        }
    };
    let encoded = writing.encode(Kind::Active, alarms, origin, &make).await?;
    let key = match origin.and_then(|origin| origin.raw.key.clone()) {
        Some(key) => key,
        None => writing.key(name, None).await?,
    };
    writing.send(Kind::Active, key, Some(encoded.bytes)).await?;
    Ok(encoded.left_out)
}

/// Clears alarms.
pub(super) async fn unset(args: &UnsetArgs, context: &Context<'_>) -> Result<(), Failure> {
    let mut replay = Replay::new(context, &args.topics, &Kind::ALL).await?;
    let alarms = replay.read().await?;
    let names = named(&args.names, &alarms, |known| known.active.is_some()).map_err(Failure::Failed)?;
    // Nobody has written these names down; one that only looks like a pattern is its own.
    if !args.writes.dry_run.dry_run && args.names.iter().any(|text| is_pattern(text) && !names.contains(text)) {
        let alarms = if names.len() == 1 { "the alarm" } else { "the alarms" };
        args.consent.ask(&format!("clear {alarms} {}", listed(&names)))?;
    }
    let mut writing = Writing::new(&replay, &args.writes);
    let mut outcomes = Outcomes::default();
    for name in &names {
        let outcome = clear(&mut writing, name, &alarms, args.force).await;
        if !outcomes.add(context, name, outcome.map(|o| tell(o, context))) {
            break;
        }
    }
    outcomes.print(context)?;
    warn_unread_of(&args.names, &alarms, context)
}

async fn clear(writing: &mut Writing<'_, '_>, name: &str, alarms: &Alarms, force: bool) -> Result<Told, Failure> {
    let dry_run = writing.dry_run;
    let outcome = |result: &str| Outcome { dry_run, ..Outcome::new(name, result) };
    if let Err(e) = alarms.readable(Kind::Active, name) {
        if !force {
            return Err(Failure::Failed(format!("{e}; --force clears it all the same")));
        }
        let keys = alarms.unread_keys(Kind::Active, name);
        if keys.is_empty() {
            return Err(Failure::Failed(format!("{e}; only retention of the topic removes a record without key")));
        }
        for key in keys {
            writing.send(Kind::Active, key, None).await?;
        }
        // What others of its records say, where an alarm has several.
        if let Some(active) = alarms.get(name).and_then(|known| known.active.as_ref()) {
            tombstone(writing, name, active).await?;
        }
        return Ok((outcome("cleared"), None));
    }
    let Some((known, active)) = alarms.get(name).and_then(|known| Some((known, known.active.as_ref()?))) else {
        let detail = Some("it is not active".into());
        return Ok((Outcome { detail, ..outcome("unchanged") }, None));
    };
    let policy =
        Policy { latching: known.latching() && !force && active.origin.part.is_none(), message_updates: false };
    match change(Some(&active.alarm), &State::Normal, policy) {
        Some(Change::Write(alarm)) => {
            let left_out = write(writing, name, Some(active), &alarm, alarms).await?;
            let detail = Some("it stays until it is acknowledged; --force clears it".into());
            Ok((Outcome { detail, ..outcome("latched") }, left_out))
        }
        Some(Change::Clear) => {
            tombstone(writing, name, active).await?;
            Ok((outcome("cleared"), None))
        }
        None => {
            let detail = Some("it is latched until it is acknowledged; --force clears it".into());
            Ok((Outcome { detail, ..outcome("unchanged") }, None))
        }
    }
}

/// Writes what removes an alarm, and its acknowledgement where that is a record of its own.
pub(super) async fn tombstone(writing: &mut Writing<'_, '_>, name: &str, active: &Active) -> Result<(), Failure> {
    for origin in [Some(&active.origin), active.ack.as_ref()].into_iter().flatten() {
        let key = origin.raw.key.clone().unwrap_or_else(|| name.as_bytes().to_vec().into());
        writing.send(Kind::Active, key, None).await?;
    }
    Ok(())
}
