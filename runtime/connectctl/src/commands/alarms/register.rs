//! `connectctl alarms register`

use std::path::PathBuf;

use connect_api::Value;
use connector_alarm::{Content, Details, Kind, RegisteredAlarm, content::others};
use serde_json::Map;

use super::{
    super::{Context, Outcome, Outcomes},
    document::{Registered, has_all},
    pick::label,
    replay::{Replay, warn_unread},
    set::{Told, tell},
    state::{Alarms, Known},
    topics::{Topics, Writes},
    write::Writing,
};
use crate::error::Failure;

/// What `alarms register` takes.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Names of the alarms.
    #[arg(value_name = "NAME", add = crate::complete::alarms(), required_unless_present = "file", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    names: Vec<String>,

    /// Registrations in a file, or - for standard input: lines of NAME|PV|LOCATION|CATEGORY|DOCURL|EDMPATH, or what alarms
    /// export writes.
    #[arg(long, value_name = "FILE|-", conflicts_with_all = ["names", "unset", "source", "producerjar"])]
    file: Option<PathBuf>,

    /// Remove the registration instead.
    #[arg(long, conflicts_with_all = ["source", "producerjar", "location", "category", "latching", "description",
        "documentation", "edmpath", "maxshelvedduration", "label"])]
    unset: bool,

    /// What raises the alarm, such as the channel.
    #[arg(long, visible_alias = "producerpv", value_name = "TEXT", conflicts_with = "producerjar")]
    source: Option<String>,

    /// The archive of rules that raises the alarm.
    #[arg(long, value_name = "TEXT")]
    producerjar: Option<String>,

    /// Where it is.
    #[arg(long, value_name = "TEXT")]
    location: Option<String>,

    /// The kind of equipment or trade.
    #[arg(long, value_name = "TEXT")]
    category: Option<String>,

    /// Whether the alarm stays until it is acknowledged.
    #[arg(long, value_name = "BOOLEAN", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    latching: Option<bool>,

    /// What the alarm means.
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,

    /// Where to read what to do.
    #[arg(long, visible_alias = "docurl", value_name = "URL")]
    documentation: Option<String>,

    /// The screen that shows it.
    #[arg(long, value_name = "PATH")]
    edmpath: Option<String>,

    /// How many seconds it may be on the shelf; 0 is never.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(i32).range(0..))]
    maxshelvedduration: Option<i32>,

    /// Something to find the alarm by; may be given several times.
    #[arg(long, value_name = "KEY=VALUE", value_parser = label)]
    label: Vec<(String, String)>,

    #[command(flatten)]
    topics: Topics,
    #[command(flatten)]
    writes: Writes,
}

impl Args {
    /// The registration as it is to be: what is not named stays.
    fn over(&self, known: Option<&Known>) -> Registered {
        let before = known.and_then(|known| known.registered.as_ref());
        let mut alarm = before.map(|(alarm, _)| alarm.clone()).unwrap_or_default();
        let mut details = before.map(|(_, origin)| Details::from_value(&origin.value)).unwrap_or_default();
        let set = |to: &mut String, text: &Option<String>| text.iter().for_each(|text| to.clone_from(text));
        set(&mut alarm.source, &self.source);
        set(&mut alarm.source, &self.producerjar);
        set(&mut alarm.location, &self.location);
        set(&mut alarm.category, &self.category);
        set(&mut alarm.description, &self.description);
        set(&mut alarm.documentation, &self.documentation);
        alarm.latching = self.latching.unwrap_or(alarm.latching);
        alarm.labels.extend(self.label.iter().cloned());
        if self.source.is_some() || self.producerjar.is_some() {
            details.jar.clone_from(&self.producerjar);
        }
        details.screen = self.edmpath.clone().or(details.screen);
        details.longest_shelved = self.maxshelvedduration.or(details.longest_shelved);
        Registered { alarm, details, others: Map::new() }
    }
}

pub(super) async fn run(args: &Args, context: &Context<'_>) -> Result<(), Failure> {
    if let Some(file) = &args.file {
        return super::import::from_file(file, &args.topics, &args.writes, context).await;
    }
    let mut replay = Replay::new(context, &args.topics, &Kind::ALL).await?;
    let alarms = replay.read().await?;
    let mut writing = Writing::new(&replay, &args.writes);
    let mut outcomes = Outcomes::default();
    for name in &args.names {
        let known = alarms.get(name);
        let outcome = if args.unset {
            remove(&mut writing, name, known).await
        } else {
            put(&mut writing, name, &args.over(known), &alarms).await
        };
        if !outcomes.add(context, name, outcome.map(|o| tell(o, context))) {
            break;
        }
    }
    outcomes.print(context)?;
    warn_unread(&alarms, context);
    Ok(())
}

/// Writes a registration if it differs from what there is.
pub(super) async fn put(
    writing: &mut Writing<'_, '_>,
    name: &str,
    said: &Registered,
    alarms: &Alarms,
) -> Result<Told, Failure> {
    let Registered { alarm, details, others } = said;
    alarms.readable(Kind::Registered, name)?;
    let dry_run = writing.dry_run;
    let outcome = |result: &str| Outcome { dry_run, ..Outcome::new(name, result) };
    let before = alarms.get(name).and_then(|known| known.registered.as_ref());
    if let Some((known, origin)) = before
        && known == alarm
        && Details::from_value(&origin.value) == *details
        && has_all(Kind::Registered, &origin.value, others)
    {
        return Ok((outcome("unchanged"), None));
    }
    let make = |schema: &connect_api::Schema| {
        let content = Content::registered(alarm, details, schema).with_members(others);
        match before {
            Some((_, origin)) => content.with_others(&origin.value),
            None => content,
        }
    };
    let encoded = writing.encode(Kind::Registered, alarms, before.map(|(_, origin)| origin), &make).await?;
    // What has another place in the schema, or none, is no difference.
    if before.is_some_and(|(_, origin)| says_the_same(&origin.value, &encoded.value)) {
        return Ok((outcome("unchanged"), encoded.left_out));
    }
    let key = match before.and_then(|(_, origin)| origin.raw.key.clone()) {
        Some(key) => key,
        None => writing.key(name, None).await?,
    };
    writing.send(Kind::Registered, key, Some(encoded.bytes)).await?;
    Ok((outcome(if before.is_some() { "changed" } else { "registered" }), encoded.left_out))
}

/// Whether two values register the same, whatever their schemas are.
fn says_the_same(one: &Value, other: &Value) -> bool {
    RegisteredAlarm::from_value(one) == RegisteredAlarm::from_value(other)
        && Details::from_value(one) == Details::from_value(other)
        && others(Kind::Registered, one) == others(Kind::Registered, other)
}

async fn remove(writing: &mut Writing<'_, '_>, name: &str, known: Option<&Known>) -> Result<Told, Failure> {
    let dry_run = writing.dry_run;
    let outcome = |result: &str| Outcome { dry_run, ..Outcome::new(name, result) };
    let Some((_, origin)) = known.and_then(|known| known.registered.as_ref()) else {
        return Ok((Outcome { detail: Some("it is not registered".into()), ..outcome("unchanged") }, None));
    };
    writing.send(Kind::Registered, origin.raw.key.clone().unwrap_or_default(), None).await?;
    Ok((outcome("unregistered"), None))
}

#[cfg(test)]
mod tests {
    use connect_api::Schema;
    use connect_converters::connect_schema_from_avro;
    use connector_alarm::{Generation, generations::schema_text};

    use super::*;

    #[test]
    fn a_definition_that_is_fitted_again_says_the_same() {
        let alarm = RegisteredAlarm {
            source: "T:ai0".into(),
            location: "NL".into(),
            category: "RF".into(),
            documentation: "http://docs".into(),
            ..Default::default()
        };
        for screen in ["/x.edl", ""] {
            let details = Details { screen: Some(screen.into()), ..Default::default() };
            for generation in Generation::ALL {
                let schema: Schema =
                    connect_schema_from_avro(schema_text(Kind::Registered, generation).expect("text")).expect("schema");
                let fit = |alarm: &RegisteredAlarm| Content::registered(alarm, &details, &schema).fit(&schema);
                let (written, again) = (fit(&alarm).expect("it fits"), fit(&alarm).expect("it fits"));
                assert!(says_the_same(&written, &again), "{generation:?}");
                let other = RegisteredAlarm { location: "INJ".into(), ..alarm.clone() };
                assert!(!says_the_same(&written, &fit(&other).expect("it fits")), "{generation:?}");
                let read = RegisteredAlarm::from_value(&written);
                assert_eq!(read == alarm, generation != Generation::Generic || screen.is_empty(), "{generation:?}");
            }
        }
    }
}
