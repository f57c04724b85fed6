//! `connectctl alarms watch`

use std::time::Duration;

use connect_api::time;
use connector_alarm::Kind;

use super::{
    super::Context,
    entry::{Entry, Written},
    list::{Sort, sort},
    pick::{Filter, is_meant, named},
    replay::Replay,
    said::{Said, who},
    state::{Alarms, Known},
    topics::Topics,
};
use crate::{
    error::Failure,
    output::{Format, Written as Output},
    paint, yaml,
};

/// How often Kafka is asked for news.
const EVERY: Duration = Duration::from_millis(300);

/// What `alarms watch` takes.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    filter: Filter,

    /// Begin with the alarms that are active by now.
    #[arg(long)]
    initial: bool,

    /// End after so many changes.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,

    #[command(flatten)]
    topics: Topics,
}

pub(super) async fn run(args: &Args, context: &Context<'_>) -> Result<(), Failure> {
    let mut replay = Replay::new(context, &args.topics, &Kind::ALL).await?;
    let mut alarms = replay.read().await?;
    for (_, unread) in std::mem::take(&mut alarms.unread) {
        context.output.problem(&unread.to_string());
    }
    if args.initial && initial(args, &alarms, context)? == Output::NobodyReads {
        return Ok(());
    }
    let mut shown = 0;
    loop {
        let news = match replay.news().await {
            Ok(news) => news,
            Err(e @ Failure::Unreachable(_)) => {
                context.output.problem(&e.to_string());
                Vec::new()
            }
            Err(e) => return Err(e),
        };
        for (kind, raw) in news {
            let entry = match replay.decode(raw).await? {
                Ok(entry) => entry,
                Err(unread) => {
                    context.output.problem(&unread.to_string());
                    continue;
                }
            };
            // The end of an alarm is news if the alarm was.
            let before = alarms.get(&entry.name).is_some_and(|known| args.filter.fits(known));
            alarms.apply(kind, entry.clone());
            let known = alarms.get(&entry.name);
            let fits =
                before || known.map_or_else(|| args.filter.fits(&Known::default()), |known| args.filter.fits(known));
            if !fits || !is_named(&args.filter.names, &entry.name) {
                continue;
            }
            if print(kind, &entry, context)? == Output::NobodyReads {
                return Ok(());
            }
            shown += 1;
            if args.count == Some(shown) {
                return Ok(());
            }
        }
        tokio::time::sleep(EVERY).await;
    }
}

fn is_named(written: &[String], name: &str) -> bool {
    written.is_empty() || written.iter().any(|text| is_meant(text, name))
}

fn initial(args: &Args, alarms: &Alarms, context: &Context<'_>) -> Result<Output, Failure> {
    let now = time::now_ms();
    let active = |known: &Known| known.active.is_some() && args.filter.fits(known);
    let names = if args.filter.names.is_empty() {
        alarms.names(active)
    } else {
        named(&args.filter.names, alarms, active).unwrap_or_default()
    };
    let mut rows: Vec<(&str, &Known)> =
        names.iter().filter_map(|n| Some((n.as_str(), alarms.get(n).filter(|k| active(k))?))).collect();
    sort(&mut rows, Sort::Raised, now);
    for (name, known) in rows.iter().rev() {
        let Some(active) = &known.active else { continue };
        let entry = Entry {
            name: (*name).into(),
            part: active.origin.part.clone(),
            value: Some((active.origin.value.clone(), active.origin.form)),
            raw: active.origin.raw.clone(),
        };
        if print(Kind::Active, &entry, context)? == Output::NobodyReads {
            return Ok(Output::NobodyReads);
        }
    }
    Ok(Output::All)
}

/// One line, or one document.
fn print(kind: Kind, entry: &Entry, context: &Context<'_>) -> Result<Output, Failure> {
    let said = Said::of(kind, entry);
    let text = match context.output.format {
        Format::Json => said.to_json(kind, entry).to_string(),
        Format::Yaml => format!("---\n{}", yaml::to_string(&said.to_json(kind, entry))),
        Format::Name => entry.name.to_string(),
        Format::Table | Format::Wide => {
            let written = Written::of(&entry.raw);
            let time = written.time.clone().unwrap_or_else(|| "-".into());
            let more = if said.more.is_empty() { String::new() } else { format!(" {}", said.more) };
            format!("{time}  {}  {}{more}  ({})", entry.name, paint::state(said.word), who(&written))
        }
    };
    context.output.write(&text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_patterns_say_what_is_watched() {
        let written = |texts: &[&str]| texts.iter().map(|t| (*t).to_owned()).collect::<Vec<_>>();
        assert!(
            is_named(&[], "pump") && is_named(&written(&["x", "p*"]), "pump") && is_named(&written(&["pump"]), "pump")
        );
        assert!(!is_named(&written(&["pumps", "/^x/"]), "pump"));
    }
}
