//! `connectctl doctor`: all that a plant needs, looked at once.
//!
//! - `finding`: what was found, and how it is shown; `nagios`: the same for monitoring
//! - `worker`, `kafka`, `connectors`, `lag`: what is looked at
//!
//! No check takes longer than `--timeout`, and those that need an answer which did not come are left out.

mod connectors;
mod finding;
mod kafka;
mod lag;
pub mod nagios;
mod worker;

use std::time::Duration;

use connect_api::time;
use connect_rest_model::StorageTopics;

use self::{
    connectors::Known,
    finding::{Check, Finding, Found, Level, Number, Report},
    worker::{Told, late},
};
use super::{Context, dlq::waiting::waiting, lag::Why};
use crate::{error::Failure, places::kafka::Kafka, shell};

/// What stands below the help.
pub const EXAMPLES: &str = "\
Examples:
  connectctl doctor                          the whole plant
  connectctl doctor --fail-on warn           exit code 4 also where something should be looked at
  connectctl doctor --quick --timeout 3      health check of a container
  connectctl doctor --nagios --timeout 5     plugin of a monitoring system
  connectctl --url http://jvm:8083 --bootstrap-servers kafka:9092 doctor \\
      --storage-topics connect-configs,connect-offsets,connect-status";

/// What `doctor` takes.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only ask the worker: no Kafka, no registry. For health checks of containers, every few seconds.
    #[arg(long, conflicts_with = "only")]
    quick: bool,

    /// Only these checks; several with commas.
    #[arg(long, value_enum, value_name = "CHECK", value_delimiter = ',')]
    only: Vec<Check>,

    /// Not these checks; several with commas.
    #[arg(long, value_enum, value_name = "CHECK", value_delimiter = ',')]
    skip: Vec<Check>,

    /// From which level on the exit code says so.
    #[arg(long, value_enum, value_name = "LEVEL", ignore_case = true, default_value = "fail")]
    fail_on: Threshold,

    /// Warn of sinks that are more records behind.
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    max_lag: u64,

    /// Warn of queues with more dead letters that have not been replayed.
    #[arg(long, value_name = "N", default_value_t = 0)]
    max_dead_letters: usize,

    /// Topics of a worker of Kafka Connect, which does not tell them: those of config.storage.topic, offset.storage.topic
    /// and status.storage.topic.
    #[arg(long, value_name = "CONFIG,OFFSET,STATUS", value_parser = storage_topics)]
    storage_topics: Option<StorageTopics>,

    /// One line and exit codes as plugins of Nagios and its kin have them, whatever --output says.
    #[arg(long, conflicts_with = "fail_on")]
    nagios: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Threshold {
    /// Also where somebody should look at something.
    Warn,
    /// Only where something does not work.
    Fail,
}

fn storage_topics(text: &str) -> Result<StorageTopics, String> {
    let names: Vec<&str> = text.split(',').map(str::trim).collect();
    match names.as_slice() {
        [config, offset, status] if names.iter().all(|n| !n.is_empty()) => Ok(StorageTopics {
            config: (*config).to_owned(),
            offset: (*offset).to_owned(),
            status: (*status).to_owned(),
        }),
        _ => {
            Err("expected three names with commas between them, such as connect-configs,connect-offsets,connect-status"
                .into())
        }
    }
}

impl Args {
    /// Whether a plugin's answer is wanted.
    pub fn is_nagios(&self) -> bool {
        self.nagios
    }

    fn wants(&self, check: Check) -> bool {
        let named = self.only.is_empty() || self.only.contains(&check);
        let asked =
            !self.quick || !matches!(check, Check::Kafka | Check::Topics | Check::Registry | Check::DeadLetters);
        named && asked && !self.skip.contains(&check)
    }

    fn wants_any(&self, checks: &[Check]) -> bool {
        checks.iter().any(|c| self.wants(*c))
    }
}

/// Looks at everything and says how it is.
pub async fn run(args: &Args, context: &Context<'_>) -> Result<(), Failure> {
    let mut found = look(args, context).await;
    found.retain(|check| args.wants(check));
    let report = Report::new(found);
    if args.nagios {
        let (line, code) = nagios::line(&report);
        context.output.script(&format!("{line}\n"))?;
        return if code == 0 { Ok(()) } else { Err(Failure::Judged(code)) };
    }
    context.output.result(&report, || report.troubled(), |view| report.text(view.width))?;
    let least = if args.fail_on == Threshold::Warn { Level::Warn } else { Level::Fail };
    if report.level >= least { Err(Failure::StateFound) } else { Ok(()) }
}

async fn look(args: &Args, context: &Context<'_>) -> Found {
    let limit = context.timeout;
    let (told, mut found) = match within(limit, worker::look(&context.client)).await {
        Some(answer) => answer,
        None => (Told::default(), late(Check::Worker, limit)),
    };
    let mut known = Vec::new();
    let asks = [Check::Connectors, Check::Lag, Check::DeadLetters];
    if told.server.is_none() || !told.ready {
        let why = if told.server.is_none() { "the worker does not answer" } else { "the worker is starting" };
        // One that starts has told of these.
        let of_worker = if told.server.is_none() { &[Check::Clock, Check::Disk][..] } else { &[] };
        asks.iter().chain(of_worker).for_each(|check| found.add(Finding::skipped(*check, why)));
    } else if args.wants_any(&asks) {
        match within(limit, connectors::all(&context.client)).await {
            Some(Ok(all)) => {
                found.join(connectors::judge(&all, told.worker.is_some(), time::now_ms()));
                known = all;
            }
            Some(Err(e)) => found.add(Finding::new(Check::Connectors, Level::Fail, e.to_string())),
            None => found.join(late(Check::Connectors, limit)),
        }
    }
    let (of_kafka, of_registry) =
        futures_util::future::join(with_kafka(args, context, &told, &known), registry(args, context, &told)).await;
    found.join(of_kafka);
    found.join(of_registry);
    found
}

/// What a check came to; none where it took too long. What it waits for has its own, shorter limits.
async fn within<T>(limit: Duration, check: impl Future<Output = T>) -> Option<T> {
    const SPARE: Duration = Duration::from_millis(500);
    tokio::time::timeout(limit + SPARE, check).await.ok()
}

/// Everything for which Kafka is asked.
async fn with_kafka(args: &Args, context: &Context<'_>, told: &Told, known: &[Known]) -> Found {
    let mut sinks = lag::told(known);
    let of_worker = |sinks: &[lag::Sink]| {
        let asked = told.server.is_some() && told.ready && args.wants(Check::Lag);
        if asked { lag::judge(sinks, args.max_lag) } else { Found::default() }
    };
    if !args.wants_any(&[Check::Kafka, Check::Topics, Check::DeadLetters]) && (args.quick || !args.wants(Check::Lag)) {
        lag::explain(&mut sinks, &Why::unasked("--quick does not ask Kafka"));
        return of_worker(&sinks);
    }
    let limit = context.timeout;
    let mut found = Found::default();
    let missing = |found: &mut Found, why: &str| {
        found.add(Finding::skipped(Check::Topics, why));
        if !known.is_empty() {
            found.add(Finding::skipped(Check::DeadLetters, why));
        }
    };
    // A worker that does not answer is not asked again where Kafka is.
    if told.server.is_none() && !context.places.name_kafka() {
        found.add(
            Finding::skipped(Check::Kafka, "it is not known where Kafka is: the worker does not answer")
                .remedy("name its brokers with --bootstrap-servers HOST:PORT to have it looked at all the same"),
        );
        missing(&mut found, "it is not known where Kafka is");
        return found;
    }
    let kafka = match within(limit, context.kafka()).await {
        Some(Ok(kafka)) => kafka,
        answer => {
            let why = match answer {
                Some(Err(e)) => e.to_string(),
                _ => format!("the worker did not say within {} s where Kafka is", limit.as_secs_f64()),
            };
            found.add(without_address(Check::Kafka, &why));
            missing(&mut found, "it is not known where Kafka is");
            let remedy = Some("name its brokers with --bootstrap-servers HOST:PORT".to_owned());
            lag::explain(&mut sinks, &Why { remedy, ..Why::unasked("it is not known where Kafka is") });
            found.join(of_worker(&sinks));
            return found;
        }
    };
    let mut theirs = true;
    let (admin, brokers) = match within(limit, kafka::look(&kafka, told, limit)).await {
        Some((admin, brokers, finding)) => {
            theirs = finding.level == Level::Ok;
            found.add(finding);
            (admin, brokers)
        }
        None => {
            found.join(late(Check::Kafka, limit));
            (None, 0)
        }
    };
    let Some(admin) = admin else {
        missing(&mut found, "Kafka does not answer");
        lag::forget(&mut sinks, &Why::failed("Kafka does not answer"));
        found.join(of_worker(&sinks));
        return found;
    };
    let topics = async {
        if !args.wants_any(&[Check::Topics, Check::Clock]) {
            return Found::default();
        }
        topics(args, told, &admin, &kafka, brokers, limit).await
    };
    let lags = async {
        if !args.wants(Check::Lag) {
            return Found::default();
        }
        if !theirs {
            lag::explain(&mut sinks, &Why::unasked("the Kafka that is asked is not the worker's"));
            return of_worker(&sinks);
        }
        match within(limit, lag::ask(&mut sinks, known, context)).await {
            Some(Ok(())) => of_worker(&sinks),
            Some(Err(e)) => {
                lag::explain(&mut sinks, &Why::failed(e.to_string()));
                of_worker(&sinks)
            }
            None => {
                lag::explain(&mut sinks, &Why::unasked("the answers did not come in time"));
                let mut found = of_worker(&sinks);
                found.join(late(Check::Lag, limit));
                found
            }
        }
    };
    let letters = async {
        if !args.wants(Check::DeadLetters) || known.is_empty() {
            return Found::default();
        }
        match within(limit, dead_letters(args, context, known)).await {
            Some(Ok(found)) => found,
            Some(Err(e)) => Finding::new(Check::DeadLetters, Level::Warn, e.to_string()).into(),
            None => late(Check::DeadLetters, limit),
        }
    };
    let (topics, lags, letters) = futures_util::future::join3(topics, lags, letters).await;
    for part in [topics, lags, letters] {
        found.join(part);
    }
    found
}

/// Nobody said where something is; behind the last semicolon stands how to.
fn without_address(check: Check, why: &str) -> Finding {
    match why.rsplit_once("; ") {
        Some((why, remedy)) => Finding::skipped(check, why).remedy(remedy),
        None => Finding::skipped(check, why),
    }
}

async fn topics(
    args: &Args,
    told: &Told,
    admin: &connect_kafka::Admin,
    kafka: &Kafka,
    brokers: usize,
    limit: Duration,
) -> Found {
    let of_worker = told.worker.as_ref();
    let names = args.storage_topics.as_ref().or_else(|| of_worker.and_then(|w| w.storage_topics.as_ref()));
    let Some(names) = names else {
        let text = match of_worker {
            Some(worker) => format!("the worker has none of its own: it is {}", worker.mode),
            None => "the worker does not tell its own topics".to_owned(),
        };
        let finding = Finding::skipped(Check::Topics, text);
        let named = "name them with --storage-topics CONFIG,OFFSET,STATUS if it is distributed";
        return if of_worker.is_some() { finding.into() } else { finding.remedy(named).into() };
    };
    match within(limit, kafka::topics(admin, kafka, brokers, names, limit)).await {
        Some(Ok(found)) => found,
        Some(Err(e)) => Finding::new(Check::Topics, Level::Warn, e.to_string()).into(),
        None => late(Check::Topics, limit),
    }
}

async fn dead_letters(args: &Args, context: &Context<'_>, known: &[Known]) -> Result<Found, Failure> {
    let mut found = Found::default();
    let mut queues: Vec<String> = known.iter().filter_map(Known::queue).map(str::to_owned).collect();
    queues.sort();
    queues.dedup();
    // Only the worker can resolve such a name.
    let (referred, queues): (Vec<String>, Vec<String>) = queues.into_iter().partition(|topic| topic.contains("${"));
    for topic in referred {
        found.add(Finding::skipped(Check::DeadLetters, format!("what topic {topic} is, only the worker knows")));
    }
    let all = waiting(&queues, context).await?;
    let mut sum = 0;
    for (topic, waiting) in queues.iter().zip(all) {
        let Some(waiting) = waiting else { continue };
        sum += waiting.letters;
        if waiting.letters <= args.max_dead_letters {
            continue;
        }
        let owners: Vec<&Known> = known.iter().filter(|k| k.queue() == Some(topic.as_str())).collect();
        let names = crate::consent::listed(&owners.iter().map(|k| k.name.clone()).collect::<Vec<_>>());
        let when = |at: Option<i64>| at.map_or_else(|| "no known time".into(), time::rfc3339);
        let text = format!(
            "{} in topic {topic} of {names}: the first is from {}, the newest from {}",
            connectors::counted(waiting.letters, "dead letter"),
            when(waiting.oldest),
            when(waiting.newest)
        );
        let name = owners.first().map(|k| shell::word(&k.name)).unwrap_or_default();
        let remedy = format!(
            "connectctl dlq show {name} says why; then connectctl dlq replay {name}, or connectctl dlq purge {name}"
        );
        found.add(Finding::new(Check::DeadLetters, Level::Warn, text).remedy(remedy));
    }
    found.number(Check::DeadLetters, "dead_letters", Number::count(sum));
    if found.findings.is_empty() {
        found.add(match (queues.len(), sum) {
            (0, _) => Finding::skipped(Check::DeadLetters, "no connector has a dead letter queue"),
            (_, 0) => Finding::ok(Check::DeadLetters, "none waits to be replayed"),
            (_, some) => {
                Finding::ok(Check::DeadLetters, format!("{some}, no more than --max-dead-letters in any queue"))
            }
        });
    }
    Ok(found)
}

async fn registry(args: &Args, context: &Context<'_>, told: &Told) -> Found {
    if !args.wants(Check::Registry) {
        return Found::default();
    }
    if told.server.is_none() && !context.places.name_registry() {
        let text = "it is not known where the schema registry is: the worker does not answer";
        return Finding::skipped(Check::Registry, text)
            .remedy("name it with --registry URL to have it looked at all the same")
            .into();
    }
    let limit = context.timeout;
    let registry = match within(limit, context.registry()).await {
        Some(Ok(registry)) => registry,
        Some(Err(e)) => return without_address(Check::Registry, &e.to_string()).into(),
        None => return late(Check::Registry, limit),
    };
    let asked = async {
        let level = registry.client.compatibility(None).await?;
        let mode = registry.client.mode().await?;
        // Old registries lack one or the other. What has none of both need not be a registry: Kafka Connect's workers
        // answer such requests as registries do.
        let listed =
            if level.is_none() && mode.is_none() { registry.client.subjects().await.map(drop) } else { Ok(()) };
        Ok::<_, connect_api::Error>((level, mode, listed))
    };
    match within(limit, asked).await {
        Some(Ok((level, mode, Ok(())))) => of_registry(&registry.url, level.as_deref(), mode.as_deref()).into(),
        Some(Ok((.., Err(e))) | Err(e)) => {
            let text = registry.failure(e).to_string();
            let finding = match text.split_once("; asked was ") {
                Some((what, asked)) => {
                    let (place, hint) = asked.rsplit_once("; ").unwrap_or((asked, "is it running?"));
                    Finding::new(Check::Registry, Level::Fail, format!("{what} ({place})")).remedy(hint)
                }
                None => {
                    let (what, hint) = text.rsplit_once("; ").map_or((&*text, None), |(what, hint)| (what, Some(hint)));
                    let place = format!("schema registry at {} (from {})", registry.url, registry.origin);
                    let what = if what.contains(&place) { what.to_owned() } else { format!("{what} ({place})") };
                    let remedy = hint.map(str::to_owned);
                    Finding { remedy, ..Finding::new(Check::Registry, Level::Fail, what) }
                }
            };
            finding.into()
        }
        None => late(Check::Registry, limit),
    }
}

fn of_registry(url: &str, level: Option<&str>, mode: Option<&str>) -> Finding {
    let mut text = url.to_owned();
    if let Some(mode) = mode {
        text.push_str(&format!(", mode {mode}"));
    }
    if let Some(level) = level {
        text.push_str(&format!(", compatibility {level}"));
    }
    match mode {
        Some(mode) if mode != "READWRITE" => {
            Finding::new(Check::Registry, Level::Warn, text + ": converters cannot register schemas")
                .remedy("somebody has set the mode; PUT /mode of the registry sets READWRITE again")
        }
        _ => Finding::ok(Check::Registry, text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registry_that_takes_no_schemas_is_warned_of() {
        let fine = of_registry("http://r", Some("BACKWARD"), Some("READWRITE"));
        assert_eq!((fine.level, fine.text.as_str()), (Level::Ok, "http://r, mode READWRITE, compatibility BACKWARD"));
        assert_eq!(of_registry("http://r", None, Some("READONLY")).level, Level::Warn);
        assert_eq!(of_registry("http://r", None, None).text, "http://r");
    }

    #[test]
    fn three_topics_are_named_together() {
        assert_eq!(storage_topics("a, b,c").map(|t| t.status).as_deref(), Ok("c"));
        for wrong in ["a,b", "a,,c", "a,b,c,d", ""] {
            assert!(storage_topics(wrong).is_err(), "{wrong}");
        }
    }
}
