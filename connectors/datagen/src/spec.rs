//! What each topic gets: from settings, entries of `datagen.streams` and presets to one specification per topic.

use std::time::Duration;

use connect_api::{
    Error, Result,
    config::Problems,
    template::{Escape, Template},
};
use connect_converters::SchemaRegistry;

use crate::{
    DatagenConfig,
    avro::{self, Style},
    config::Preset,
    given::{Given, entries, push, sources},
    model,
    plan::{Form, Plan},
    preset::{quickstart, salmock},
};

/// What a topic gets.
#[derive(Debug, Clone)]
pub struct Spec {
    /// Topic.
    pub topic: String,
    /// Where its values come from.
    pub source: Source,
    /// When.
    pub pace: Pace,
    /// How many; none for no end.
    pub limit: Option<u64>,
    /// Key of its records.
    pub key: Option<KeySpec>,
}

/// Where values come from.
#[derive(Debug, Clone)]
pub enum Source {
    /// An Avro schema as text.
    Schema(String, Style),
    /// A ready schema by its name.
    Quickstart(String),
    /// A file with an Avro schema.
    SchemaFile(String),
    /// A subject of the registry.
    Subject(String, Style),
    /// A model, and the name of its record.
    Model(String, Option<String>),
    /// A file with a model, and the name of its record.
    ModelFile(String, Option<String>),
    /// Simulated calls.
    Calls,
}

/// When the records of a topic come.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Pace {
    /// One after each such time.
    Steady(Duration),
    /// After a time by chance, at most this.
    UpTo(Duration),
    /// As fast as they can.
    Unlimited,
}

/// What keys are made of.
#[derive(Debug, Clone)]
pub enum KeySpec {
    /// A field of the value.
    Field(Vec<String>),
    /// A text.
    Template(Template),
}

/// A rate as a pace. The error says what is wrong with it.
pub fn rate(rate: f64) -> Result<Pace, String> {
    match rate {
        0.0 => Ok(Pace::Unlimited),
        rate if (1e-6..=1e6).contains(&rate) => Ok(Pace::Steady(Duration::from_secs_f64(1.0 / rate))),
        _ => Err("Value must be 0, or at least 0.000001 and at most 1000000".into()),
    }
}

/// Pauses by chance of at most so many milliseconds.
pub(crate) fn interval(ms: i64) -> Pace {
    match u64::try_from(ms) {
        Ok(0) | Err(_) => Pace::Unlimited,
        Ok(ms) => Pace::UpTo(Duration::from_millis(ms)),
    }
}

/// Confluent's connector pauses so long, and ends after so many records.
const CONFLUENT: (i64, i64) = (500, 1_000_000);

/// Whether the topics are those that the registry has schemas for.
pub fn discovers(config: &DatagenConfig) -> bool {
    config.preset == Some(Preset::Salmock)
        && config.topics.is_empty()
        && config.kafka_topic.is_none()
        && config.streams.is_none()
        && config.has_registry()
}

/// Checks all that can be checked without looking at files and registries.
pub fn validate(config: &DatagenConfig, problems: &mut Problems) {
    for (key, problem) in match specs(config, &[]) {
        Ok(specs) => specs.iter().flat_map(|spec| check(config, spec)).collect(),
        Err(found) => found,
    } {
        problems.add(key, problem);
    }
}

/// Settings with what is wrong with them.
pub(crate) type Wrong = Vec<(String, String)>;

fn check(config: &DatagenConfig, spec: &Spec) -> Wrong {
    let named = |key: &str, found: Vec<String>| {
        found.into_iter().map(|problem| (key.to_owned(), format!("{key}: {problem}"))).collect()
    };
    let (key, plan) = match &spec.source {
        Source::Schema(text, style) => ("schema.string", avro::plan(text, *style, config.form)),
        Source::Model(text, name) => ("datagen.model", model::plan(text, name.as_deref(), config.form)),
        Source::Subject(subject, _) if !config.has_registry() => {
            let problem = format!("the subject {subject} needs schema.registry.url, the registry's base URL");
            return vec![("datagen.schema.subject".into(), problem)];
        }
        _ => return Vec::new(),
    };
    let key = if config.streams.is_some() { "datagen.streams" } else { key };
    match plan {
        Ok(plan) => match &spec.key {
            Some(KeySpec::Field(path)) if !plan.has(path) => {
                vec![("schema.keyfield".into(), format!("schema.keyfield: there is no field {}", path.join(".")))]
            }
            _ => Vec::new(),
        },
        Err(found) => named(key, found),
    }
}

/// What each topic gets. `discovered` are the topics that the registry has schemas for.
///
/// # Errors
///
/// Settings with what is wrong with them.
pub fn specs(config: &DatagenConfig, discovered: &[(String, String)]) -> Result<Vec<Spec>, Wrong> {
    let mut wrong = Wrong::new();
    let confluent = config.kafka_topic.is_some();
    let key_template = match config.key_template.as_deref().map(|t| Template::parse(t, Escape::None)) {
        Some(Err(e)) => {
            wrong.push(("datagen.key.template".into(), e.to_string()));
            None
        }
        other => other.and_then(Result::ok),
    };
    let given = Given {
        sources: sources(&|name| match name {
            "schema.string" => config.schema_string.clone(),
            "schema.filename" => config.schema_filename.clone(),
            "schema.subject" => config.schema_subject.clone(),
            "quickstart" => config.quickstart.clone(),
            "model" => config.model.clone(),
            "model.filename" => config.model_filename.clone(),
            "model.name" => config.model_name.clone(),
            _ => None,
        }),
        rate: config.rate,
        interval: config.max_interval.or((confluent && config.rate.is_none()).then_some(CONFLUENT.0)),
        iterations: config.iterations.or(confluent.then_some(CONFLUENT.1)),
        keyfield: config.keyfield.clone().filter(|k| !k.is_empty()),
        key_template,
        preset: config.preset,
    };
    if config.rate.is_some() && config.max_interval.is_some() {
        wrong.push(("max.interval".into(), "datagen.rate and max.interval cannot both be set".into()));
    }
    if config.preset.is_some() && !given.sources.is_empty() {
        wrong.push(("datagen.preset".into(), "datagen.preset and a schema or model cannot both be set".into()));
    }
    let mut topics: Vec<String> = config.topics.iter().chain(&config.kafka_topic).cloned().collect();
    let mut specs = Vec::new();
    if config.streams.is_some() && !topics.is_empty() {
        wrong.push(("topics".into(), "topics stand in datagen.streams or in topics, not in both".into()));
    }
    if let Some(text) = &config.streams {
        topics.clear();
        for (topic, given) in entries(text, &given, &mut wrong) {
            push(&mut specs, &mut wrong, "datagen.streams", topic, &given, config);
        }
    } else {
        match config.preset {
            Some(Preset::Calls) if topics.is_empty() => topics.push("calls".into()),
            Some(Preset::Salmock) if topics.is_empty() && !config.has_registry() => {
                topics = salmock::topics().map(str::to_owned).collect();
            }
            _ => {}
        }
        if topics.is_empty() && !discovers(config) {
            wrong.push((
                "topics".into(),
                "topics must name at least one topic, or datagen.streams or datagen.preset be set".into(),
            ));
        }
    }
    for topic in topics {
        push(&mut specs, &mut wrong, "topics", topic, &given, config);
    }
    for (topic, subject) in discovered {
        push(&mut specs, &mut wrong, "topics", topic.clone(), &given, config);
        if let Some(spec) = specs.last_mut() {
            spec.source = Source::Subject(subject.clone(), Style::Sal);
        }
    }
    let mut seen = std::collections::HashSet::new();
    for spec in specs.iter().filter(|spec| !seen.insert(spec.topic.clone())) {
        wrong.push(("topics".into(), format!("the topic {} is named twice", spec.topic)));
    }
    if wrong.is_empty() { Ok(specs) } else { Err(wrong) }
}

impl Source {
    /// Reads what is to be read, and puts the makers of the values together.
    ///
    /// # Errors
    ///
    /// If it cannot be read, or has something wrong in it.
    pub async fn plan(&self, form: Form, registry: Option<&SchemaRegistry>) -> Result<Option<Plan>> {
        let read = |file: &String| {
            let (file, name) = (file.clone(), file.clone());
            async move {
                let text = tokio::task::spawn_blocking(move || std::fs::read_to_string(file)).await;
                let failed = |e: Box<dyn std::error::Error + Send + Sync>| {
                    Error::fatal(format!("reading {name}: the worker has to be able to read it")).caused_by(e)
                };
                text.map_err(|e| failed(e.into()))?.map_err(|e| failed(e.into()))
            }
        };
        let (what, made) = match self {
            Self::Calls => return Ok(None),
            Self::Quickstart(name) => {
                let schema = quickstart::find(name).map(|(schema, _)| schema).unwrap_or_default();
                (format!("quickstart {name}"), avro::plan(schema, Style::Random, form))
            }
            Self::Schema(text, style) => ("schema.string".to_owned(), avro::plan(text, *style, form)),
            Self::Model(text, name) => ("datagen.model".to_owned(), model::plan(text, name.as_deref(), form)),
            Self::SchemaFile(file) => (file.clone(), avro::plan(&read(file).await?, Style::Random, form)),
            Self::ModelFile(file, name) => (file.clone(), model::plan(&read(file).await?, name.as_deref(), form)),
            Self::Subject(subject, style) => {
                let registry =
                    registry.ok_or_else(|| Error::fatal(format!("no registry for the subject {subject}")))?;
                let schema = registry.latest(subject).await?.schema;
                (format!("subject {subject}"), avro::plan(&schema, *style, form))
            }
        };
        made.map(Some).map_err(|problems| Error::fatal(format!("{what}: {}", problems.join("; "))))
    }
}
