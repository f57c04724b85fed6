//! Settings of topics as they were given, those of the connector or of an entry of `datagen.streams`.

use std::time::Duration;

use connect_api::{
    config::topic_name,
    template::{Escape, Template},
};
use connect_files::{flatten::json, read_text};
use serde_json::{Map as JsonMap, Value as Json};

use crate::{
    DatagenConfig,
    avro::Style,
    config::Preset,
    preset::{quickstart, salmock},
    spec::{KeySpec, Pace, Source, Spec, Wrong, interval, rate},
};

/// Settings of one topic as they were given.
#[derive(Clone)]
pub(crate) struct Given {
    pub(crate) sources: Vec<Source>,
    pub(crate) rate: Option<f64>,
    pub(crate) interval: Option<i64>,
    pub(crate) iterations: Option<i64>,
    pub(crate) keyfield: Option<String>,
    pub(crate) key_template: Option<Template>,
    pub(crate) preset: Option<Preset>,
}

/// All sources that are set, of which there may be one. An empty text is none.
pub(crate) fn sources(get: &dyn Fn(&str) -> Option<String>) -> Vec<Source> {
    let given = |name: &str| get(name).filter(|text| !text.is_empty());
    let name = given("model.name");
    [
        given("schema.string").map(|text| Source::Schema(text, Style::Random)),
        given("schema.filename").map(Source::SchemaFile),
        given("schema.subject").map(|subject| Source::Subject(subject, Style::Random)),
        given("quickstart").map(Source::Quickstart),
        given("model").map(|text| Source::Model(text, name.clone())),
        given("model.filename").map(|file| Source::ModelFile(file, name.clone())),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Adds what a topic gets, or what is wrong with it under the key of its setting.
pub(crate) fn push(
    specs: &mut Vec<Spec>,
    wrong: &mut Wrong,
    key: &str,
    topic: String,
    given: &Given,
    config: &DatagenConfig,
) {
    let mut fail = |key: &str, problem: String| wrong.push((key.to_owned(), problem));
    let mut topic = topic;
    let mut keyfield = given.keyfield.clone();
    let source = match (given.sources.as_slice(), given.preset) {
        ([], Some(Preset::Calls)) if given.keyfield.is_some() || given.key_template.is_some() => {
            return fail(
                "schema.keyfield",
                "the keys of calls are as calls.form says; remove the other setting".into(),
            );
        }
        ([], Some(Preset::Calls)) => Source::Calls,
        ([], Some(Preset::Salmock)) => {
            topic = salmock::topic(&topic);
            match salmock::schema(&topic) {
                _ if config.has_registry() => Source::Subject(format!("{topic}-value"), Style::Sal),
                Some(schema) => Source::Schema(schema, Style::Sal),
                None => {
                    return fail(
                        key,
                        format!(
                            "salmock has no schema of its own for {topic}: set schema.registry.url, where {topic}-value is"
                        ),
                    );
                }
            }
        }
        ([], None) => {
            return fail(
                key,
                format!(
                    "nothing says what the values of {topic} are: set datagen.model, datagen.model.filename, \
                     schema.string, schema.filename, datagen.schema.subject, quickstart or datagen.preset"
                ),
            );
        }
        ([Source::Quickstart(name)], _) => match quickstart::find(name) {
            Some((_, field)) => {
                keyfield = keyfield.or_else(|| Some(field.to_owned()));
                Source::Quickstart(name.clone())
            }
            None => {
                return fail(
                    "quickstart",
                    format!(
                        "there is no quickstart {name} here, there are {}; others of Confluent's run with their file as \
                         schema.filename",
                        quickstart::names().join(", ")
                    ),
                );
            }
        },
        ([Source::Subject(subject, style)], _) => Source::Subject(subject.replace("{topic}", &topic), *style),
        ([one], _) => one.clone(),
        _ => {
            return fail(
                key,
                format!(
                    "more than one setting says what the values of {topic} are: keep one of datagen.model, \
                     datagen.model.filename, schema.string, schema.filename, datagen.schema.subject and quickstart"
                ),
            );
        }
    };
    let pace = match (given.rate, given.interval) {
        (Some(given), _) => match rate(given) {
            Ok(pace) => pace,
            Err(why) => return fail(key, format!("the rate {given} of {topic} cannot be used: {why}")),
        },
        (None, Some(ms)) => interval(ms),
        (None, None) if matches!(source, Source::Calls) => match config.calls_pause.0 {
            Duration::ZERO => Pace::Unlimited,
            pause => Pace::Steady(pause),
        },
        (None, None) => Pace::Steady(Duration::from_secs(1)),
    };
    let key = match (keyfield, &given.key_template) {
        (_, Some(template)) => Some(KeySpec::Template(template.clone())),
        (Some(field), None) => Some(KeySpec::Field(field.split('.').map(str::to_owned).collect())),
        (None, None) => None,
    };
    let limit = given.iterations.and_then(|n| u64::try_from(n).ok()).filter(|n| *n > 0);
    specs.push(Spec { topic, source, pace, limit, key });
}

/// The topics of `datagen.streams`.
pub(crate) fn entries(text: &str, usual: &Given, wrong: &mut Wrong) -> Vec<(String, Given)> {
    let mut fail = |problem: String| wrong.push(("datagen.streams".to_owned(), problem));
    let list = match read_text("datagen.streams", text) {
        Ok(documents) => documents.first().map(|tree| json(tree, false)),
        Err(e) => {
            fail(e.to_string());
            return Vec::new();
        }
    };
    let Some(Json::Array(list)) = list.filter(|list| list.as_array().is_some_and(|list| !list.is_empty())) else {
        fail("datagen.streams has to be a list of mappings, each with a topic".into());
        return Vec::new();
    };
    let mut found = Vec::new();
    for (i, entry) in list.iter().enumerate() {
        let object = entry.as_object();
        let topic = object.and_then(|o| o.get("topic")).and_then(Json::as_str);
        let (Some(object), Some(topic)) = (object, topic) else {
            fail(format!("entry {} of datagen.streams has no topic", i + 1));
            continue;
        };
        if let Err(why) = topic_name(topic) {
            fail(why);
        }
        match stream(topic, object, usual) {
            Ok(given) => found.push((topic.to_owned(), given)),
            Err(problems) => problems.into_iter().for_each(&mut fail),
        }
    }
    found
}

const ENTRY: &[&str] = &[
    "topic",
    "rate",
    "max.interval",
    "iterations",
    "schema.string",
    "schema.filename",
    "schema.subject",
    "quickstart",
    "model",
    "model.filename",
    "model.name",
    "keyfield",
    "key.template",
];

fn stream(topic: &str, object: &JsonMap<String, Json>, usual: &Given) -> Result<Given, Vec<String>> {
    let mut problems = Vec::new();
    for key in object.keys().filter(|key| !ENTRY.contains(&key.as_str())) {
        problems.push(format!("datagen.streams has {key} of {topic}, which is none of {}", ENTRY.join(", ")));
    }
    let text =
        |name: &str| object.get(name).map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned));
    let mut number = |name: &str| {
        let value = object.get(name)?;
        if value.as_f64().is_none() {
            problems.push(format!("datagen.streams has {name} of {topic} that is no number"));
        }
        value.as_f64()
    };
    let mut given = usual.clone();
    let (rate, interval, iterations) = (number("rate"), number("max.interval"), number("iterations"));
    if rate.is_some() || interval.is_some() {
        (given.rate, given.interval) = (rate, interval.map(|ms| ms as i64));
    }
    if rate.is_some() && interval.is_some() {
        problems.push(format!("datagen.streams has both rate and max.interval of {topic}"));
    }
    given.iterations = iterations.map(|n| n as i64).or(given.iterations);
    let own = sources(&text);
    if !own.is_empty() {
        given.sources = own;
    }
    if let Some(field) = text("keyfield") {
        (given.keyfield, given.key_template) = (Some(field), None);
    }
    match text("key.template").map(|template| Template::parse(&template, Escape::None)) {
        Some(Ok(template)) => given.key_template = Some(template),
        Some(Err(e)) => problems.push(e.to_string()),
        None => {}
    }
    if problems.is_empty() { Ok(given) } else { Err(problems) }
}
