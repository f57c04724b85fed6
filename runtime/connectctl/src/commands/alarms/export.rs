//! `connectctl alarms export`

use connector_alarm::{Kind, Priority};

use super::{
    super::Context,
    document,
    pick::{Filter, named},
    replay::{Replay, tell_unread},
    state::Known,
    topics::Topics,
};
use crate::{
    error::Failure,
    output::{Format, Written as Output},
    yaml,
};

/// What `alarms export` takes.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    filter: Filter,

    /// Only what is said by these: active, registered or shelved; may be given several times. All of them without.
    #[arg(long, value_name = "WHAT", value_delimiter = ',', value_parser = kind)]
    only: Vec<Kind>,

    #[command(flatten)]
    topics: Topics,
}

fn kind(text: &str) -> Result<Kind, String> {
    let found = Kind::ALL.into_iter().find(|kind| kind.word() == text);
    found.ok_or_else(|| format!("{text} is none of active, registered, shelved"))
}

impl Args {
    fn of(&self, known: &Known) -> Known {
        let wants = |kind| self.only.is_empty() || self.only.contains(&kind);
        Known {
            active: known.active.clone().filter(|_| wants(Kind::Active)),
            shelf: known.shelf.clone().filter(|_| wants(Kind::Shelved)),
            registered: known.registered.clone().filter(|_| wants(Kind::Registered)),
        }
    }
}

pub(super) async fn run(args: &Args, context: &Context<'_>) -> Result<(), Failure> {
    let mut replay = Replay::new(context, &args.topics, &Kind::ALL).await?;
    let alarms = replay.read().await?;
    let fits = |known: &Known| {
        let left = args.of(known);
        args.filter.fits(known) && (left.active.is_some() || left.shelf.is_some() || left.registered.is_some())
    };
    let names = if args.filter.names.is_empty() {
        alarms.names(fits)
    } else {
        named(&args.filter.names, &alarms, fits).map_err(Failure::Failed)?
    };
    for name in &names {
        let Some(known) = alarms.get(name).filter(|known| fits(known)) else { continue };
        let document = document::of(name, &args.of(known));
        let text = match context.output.format {
            Format::Json => document.to_string(),
            Format::Name => name.clone(),
            Format::Table | Format::Wide | Format::Yaml => format!("---\n{}", yaml::to_string(&document)),
        };
        let line = if text.ends_with('\n') { text } else { format!("{text}\n") };
        if context.output.write(&line)? == Output::NobodyReads {
            return Ok(());
        }
    }
    if names.iter().any(String::is_empty) {
        context.output.problem("warning: the alarm without name, whose key is empty, cannot be imported");
    }
    for name in &names {
        let odd =
            alarms.get(name).filter(|known| args.of(known).active.is_some_and(|active| active.priority.is_none()));
        if let Some(written) = odd.and_then(Known::priority) {
            let known = Priority::ALL.map(Priority::name).join(", ");
            context.output.problem(&format!(
                "warning: {name}: {written} is none of the priorities {known}; import can write it where the topic's schema has \
                 it, or values are JSON"
            ));
        }
    }
    tell_unread(&alarms, context)
}
