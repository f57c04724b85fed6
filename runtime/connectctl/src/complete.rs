//! What the shell completes: names that the worker or Kafka know, asked for while the user types.
//!
//! A server that does not answer within moments completes nothing.

use std::{ffi::OsStr, time::Duration};

use clap::{CommandFactory, FromArgMatches, Parser};
use clap_complete::engine::{ArgValueCompleter, CompletionCandidate};

use crate::{
    args::without_empty_variables, client::Client, error::Failure, places::Places, places::contexts::Contexts,
};

const LIMIT: Duration = Duration::from_secs(2);

/// Names of connectors.
pub fn connectors() -> ArgValueCompleter {
    ArgValueCompleter::new(|typed: &OsStr| complete(typed, async |client: &Client, _: &Places| client.names().await))
}

/// Numbers of tasks of the connectors that stand on the command line.
pub fn tasks() -> ArgValueCompleter {
    ArgValueCompleter::new(|typed: &OsStr| {
        complete(typed, async |client: &Client, _: &Places| {
            let written: Vec<String> = words();
            let mut numbers = Vec::new();
            for (name, found) in client.expanded().await? {
                if written.contains(&name) {
                    numbers.extend(found.status.into_iter().flat_map(|s| s.tasks).map(|t| t.id.to_string()));
                }
            }
            Ok(numbers)
        })
    })
}

/// Classes of connectors.
pub fn plugins() -> ArgValueCompleter {
    ArgValueCompleter::new(|typed: &OsStr| {
        complete(typed, async |client: &Client, _: &Places| {
            Ok(client.plugins(false).await?.into_iter().map(|p| p.class).collect())
        })
    })
}

/// Names of loggers.
pub fn loggers() -> ArgValueCompleter {
    ArgValueCompleter::new(|typed: &OsStr| {
        complete(typed, async |client: &Client, _: &Places| Ok(client.loggers().await?.into_keys().collect()))
    })
}

/// Names of topics.
pub fn topics() -> ArgValueCompleter {
    ArgValueCompleter::new(|typed: &OsStr| {
        complete(typed, async |client: &Client, places: &Places| {
            let kafka = places.kafka(client).await?;
            let admin = connect_kafka::Admin::new(&kafka.client(connect_kafka::Role::Admin)?)?;
            Ok(admin.topics(LIMIT).await?)
        })
    })
}

/// Names of consumer groups.
pub fn groups() -> ArgValueCompleter {
    ArgValueCompleter::new(|typed: &OsStr| {
        complete(typed, async |client: &Client, places: &Places| {
            let kafka = places.kafka(client).await?;
            let admin = connect_kafka::Admin::new(&kafka.client(connect_kafka::Role::Admin)?)?;
            Ok(admin.groups(LIMIT).await?)
        })
    })
}

/// Subjects of the schema registry.
pub fn subjects() -> ArgValueCompleter {
    ArgValueCompleter::new(|typed: &OsStr| {
        complete(typed, async |client: &Client, places: &Places| {
            let registry = places.registry(client, LIMIT).await?;
            registry.client.subjects().await.map_err(|e| registry.failure(e))
        })
    })
}

/// Names of alarms.
pub fn alarms() -> ArgValueCompleter {
    ArgValueCompleter::new(|typed: &OsStr| {
        complete(typed, async |client: &Client, places: &Places| {
            crate::commands::alarms::names(client, places, LIMIT).await
        })
    })
}

/// Names of contexts.
pub fn contexts() -> ArgValueCompleter {
    ArgValueCompleter::new(|typed: &OsStr| {
        let all = Contexts::read().map(|contexts| contexts.all.into_keys().collect());
        fitting(typed, all.unwrap_or_default())
    })
}

/// Where to look, as the words say that stand on the command line so far.
#[derive(Parser)]
#[command(disable_help_flag = true)]
struct Reach {
    #[command(flatten)]
    given: crate::places::Given,
}

/// The words of the command line that is being completed: those behind the program's own `--`.
fn words() -> Vec<String> {
    let own = std::env::args().skip_while(|word| word != "--");
    own.skip(1).collect()
}

fn complete(
    typed: &OsStr,
    names: impl AsyncFn(&Client, &Places) -> Result<Vec<String>, Failure>,
) -> Vec<CompletionCandidate> {
    let found = || {
        let mut given = vec!["connectctl".to_owned()];
        let words = words();
        for pair in words.windows(2) {
            match pair[0].as_str() {
                "--url" | "--context" | "--bootstrap-servers" | "--command-config" | "--registry" => {
                    given.extend_from_slice(pair)
                }
                _ => {}
            }
        }
        given.extend(words.into_iter().filter(|w| {
            ["--url=", "--context=", "--bootstrap-servers=", "--registry="].iter().any(|f| w.starts_with(f))
        }));
        let reach = without_empty_variables(Reach::command()).try_get_matches_from(given).ok()?;
        let places = Places::find(Reach::from_arg_matches(&reach).ok()?.given).ok()?;
        let client = Client::new(places.url.clone(), LIMIT, &places.access).ok()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
        let found = runtime.block_on(async { tokio::time::timeout(LIMIT, names(&client, &places)).await });
        // Threads that still ask must not hold up the shell.
        runtime.shutdown_background();
        found.ok()?.ok()
    };
    fitting(typed, found().unwrap_or_default())
}

fn fitting(typed: &OsStr, all: Vec<String>) -> Vec<CompletionCandidate> {
    let typed = typed.to_string_lossy();
    all.into_iter().filter(|name| name.starts_with(&*typed)).map(CompletionCandidate::new).collect()
}
