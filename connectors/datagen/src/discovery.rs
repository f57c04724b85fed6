//! Which sequences there are, and which of them a task has.

use connect_api::{Error, Result, Settings};
use futures_util::{StreamExt, TryStreamExt, stream};

use crate::{
    DatagenConfig, avro,
    spec::{self, Spec, specs},
};

/// What the connector tells its tasks: the sequences that each has, as `topic#number`.
const ASSIGNED: &str = "datagen.task.sequences";

/// What the connector tells its tasks that have topics of the registry: these topics, as `topic#subject`.
const DISCOVERED: &str = "datagen.task.discovered";

/// How many schemas are looked at at a time.
const AT_ONCE: usize = 16;

/// A sequence of a topic.
#[derive(Debug, Clone)]
pub struct Assigned {
    /// What the topic gets.
    pub spec: Spec,
    /// Number of the sequence among those of its topic.
    pub number: u32,
}

/// Topics of the registry with their subjects: all whose schemas have `sal_topic_type`.
///
/// # Errors
///
/// If the registry does not answer, or has none.
pub async fn discover(config: &DatagenConfig) -> Result<Vec<(String, String)>> {
    if !spec::discovers(config) {
        return Ok(Vec::new());
    }
    let registry = config.registry()?;
    let mut subjects = registry.subjects().await?;
    subjects.sort();
    let looked = stream::iter(subjects.into_iter().map(|subject| {
        let registry = registry.clone();
        async move {
            let schema = registry.latest(&subject).await?.schema;
            Ok::<_, Error>(avro::attribute(&schema, "sal_topic_type").map(|_| subject))
        }
    }));
    let found: Vec<String> = looked.buffered(AT_ONCE).try_filter_map(|s| async { Ok(s) }).try_collect().await?;
    let most = config.max_topics.and_then(|n| usize::try_from(n).ok()).unwrap_or(usize::MAX);
    let topics: Vec<_> = found
        .into_iter()
        .map(|subject| (subject.strip_suffix("-value").unwrap_or(&subject).to_owned(), subject))
        .take(most)
        .collect();
    if topics.is_empty() {
        return Err(Error::fatal(
            "the registry has no schema with sal_topic_type: register some, or name topics and remove \
             schema.registry.url for those that need no registry",
        ));
    }
    Ok(topics)
}

/// The settings of each task.
///
/// # Errors
///
/// If the settings are wrong.
pub fn distribute(
    config: &DatagenConfig,
    settings: &Settings,
    discovered: &[(String, String)],
    max_tasks: usize,
) -> Result<Vec<Settings>> {
    let specs = specs(config, discovered).map_err(wrong)?;
    let own = if config.kafka_topic.is_some() { max_tasks } else { 1 };
    let each = config.sequences.and_then(|n| usize::try_from(n).ok()).unwrap_or(own);
    let all: Vec<(usize, usize)> = (0..each).flat_map(|number| (0..specs.len()).map(move |i| (i, number))).collect();
    let tasks = all.len().min(max_tasks);
    Ok((0..tasks)
        .map(|task| {
            let own: Vec<_> = all.iter().skip(task).step_by(tasks).collect();
            let names: Vec<_> = own.iter().map(|(i, number)| format!("{}#{number}", specs[*i].topic)).collect();
            let mut settings = settings.clone();
            settings.set(ASSIGNED, names.join(","));
            let topics: Vec<_> = discovered
                .iter()
                .enumerate()
                .filter(|(i, _)| own.iter().any(|(of, _)| of == i))
                .map(|(_, (topic, subject))| format!("{topic}#{subject}"))
                .collect();
            if !topics.is_empty() {
                settings.set(DISCOVERED, topics.join(","));
            }
            settings
        })
        .collect())
}

/// The sequences of a task: those that the connector gave it, or all in a test call, which has no connector.
///
/// # Errors
///
/// If the settings are wrong, or the registry does not answer.
pub async fn assigned(config: &DatagenConfig, settings: &Settings) -> Result<Vec<Assigned>> {
    let pairs = |key: &str| -> Option<Vec<(String, String)>> {
        let all = settings.get(key)?.split(',');
        Some(all.filter_map(|pair| pair.split_once('#')).map(|(a, b)| (a.to_owned(), b.to_owned())).collect())
    };
    let discovered = match pairs(DISCOVERED) {
        Some(discovered) => discovered,
        None if settings.contains(ASSIGNED) => Vec::new(),
        None => discover(config).await?,
    };
    let specs = specs(config, &discovered).map_err(wrong)?;
    let Some(names) = pairs(ASSIGNED) else {
        return Ok(specs.into_iter().map(|spec| Assigned { spec, number: 0 }).collect());
    };
    let found = names.into_iter().filter_map(|(topic, number)| {
        let spec = specs.iter().find(|spec| spec.topic == topic)?.clone();
        Some(Assigned { spec, number: number.parse().ok()? })
    });
    Ok(found.collect())
}

fn wrong(problems: Vec<(String, String)>) -> Error {
    Error::fatal(problems.into_iter().map(|(_, problem)| problem).collect::<Vec<_>>().join("; "))
}
