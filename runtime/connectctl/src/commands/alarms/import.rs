//! `connectctl alarms import`

use std::{io::Read, path::Path, path::PathBuf};

use connect_api::{Schema, Value};
use connector_alarm::{Alarm, Content, Kind, content::others};

use super::{
    super::{Context, Outcome, Outcomes},
    document::{self, Active, Document, has_all},
    messages::{acknowledging, alarming},
    register,
    replay::{Replay, warn_unread},
    set::{Told, tell},
    shelve,
    state::{self, Alarms, written_priority},
    topics::{Topics, Writes},
    write::{LeftOut, Writing},
};
use crate::error::Failure;

/// Records of so many alarms are sent together.
const TOGETHER: usize = 500;

/// What `alarms import` takes.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A file of alarms, or - for standard input: YAML or lines of JSON as alarms export writes them, or definitions
    /// NAME|PV|LOCATION|CATEGORY|DOCURL|EDMPATH.
    #[arg(short = 'f', long, value_name = "FILE|-", required = true)]
    file: PathBuf,

    #[command(flatten)]
    topics: Topics,
    #[command(flatten)]
    writes: Writes,
}

pub(super) async fn run(args: &Args, context: &Context<'_>) -> Result<(), Failure> {
    from_file(&args.file, &args.topics, &args.writes, context).await
}

/// Writes what a file says and is not so yet.
pub(super) async fn from_file(
    file: &Path,
    topics: &Topics,
    writes: &Writes,
    context: &Context<'_>,
) -> Result<(), Failure> {
    let documents = documents(file)?;
    let mut replay = Replay::new(context, topics, &Kind::ALL).await?;
    let alarms = replay.read().await?;
    let wrong = mistakes(&documents, &replay, writes, &alarms).await?;
    if !wrong.is_empty() {
        wrong.iter().for_each(|mistake| context.output.problem(mistake));
        let (wrong, all) = (wrong.len(), documents.len());
        return Err(Failure::Failed(format!("{wrong} of {all} alarms cannot be written, so none was")));
    }
    let mut writing = Writing::new(&replay, writes);
    let mut outcomes = Outcomes::default();
    writing.gather();
    'all: for some in documents.chunks(TOGETHER) {
        let mut told = Vec::with_capacity(some.len());
        for document in some {
            let first = writing.waiting();
            let outcome = take(&mut writing, document, &alarms, Some(context)).await;
            told.push((document, outcome, first..writing.waiting()));
        }
        let sent = writing.flush().await;
        for (document, outcome, records) in told {
            let failure = match &sent {
                Ok(sent) => sent[records].iter().find_map(|one| one.clone().err()),
                Err(e) => (!records.is_empty()).then(|| e.clone()),
            };
            if !outcomes.add(context, &document.name, failure.map_or(outcome, Err)) {
                break 'all;
            }
        }
    }
    outcomes.print(context)?;
    warn_unread(&alarms, context);
    Ok(())
}

fn documents(file: &Path) -> Result<Vec<Document>, Failure> {
    let shown = if file.as_os_str() == "-" { "<stdin>".to_owned() } else { file.display().to_string() };
    let mut text = String::new();
    let read = if file.as_os_str() == "-" {
        std::io::stdin().lock().read_to_string(&mut text).map(drop)
    } else {
        std::fs::read_to_string(file).map(|read| text = read)
    };
    read.map_err(|e| Failure::Failed(format!("{shown}: cannot be read: {e}")))?;
    let documents = document::read(&shown, &text).map_err(|mistakes| Failure::Failed(mistakes.join("\n")))?;
    if documents.is_empty() {
        // As an export leaves it behind that failed.
        let text = format!("{shown}: there are no alarms in it; has the command failed that was to write it?");
        return Err(Failure::Failed(text));
    }
    Ok(documents)
}

/// Which of them cannot be written, and why: all of a file is tried before any of it is written.
async fn mistakes(
    documents: &[Document],
    replay: &Replay<'_>,
    writes: &Writes,
    alarms: &Alarms,
) -> Result<Vec<String>, Failure> {
    let mut trial = Writing::new(replay, writes);
    trial.dry_run = true;
    let mut found = Vec::new();
    for document in documents {
        match take(&mut trial, document, alarms, None).await {
            Ok(_) => {}
            Err(e @ Failure::Unreachable(_)) => return Err(e),
            Err(e) => found.push(format!("{}: {}: {e}", document.place, document.name)),
        }
    }
    Ok(found)
}

/// Writes what differs; the outcome names what did. Remarks are said where there is a context.
async fn take(
    writing: &mut Writing<'_, '_>,
    document: &Document,
    alarms: &Alarms,
    context: Option<&Context<'_>>,
) -> Result<Outcome, Failure> {
    let (name, dry_run) = (document.name.as_str(), writing.dry_run);
    let mut done: Vec<String> = Vec::new();
    let mut note = |what: Kind, told: Told| {
        let outcome = match context {
            Some(context) => tell(told, context),
            None => told.0,
        };
        if outcome.result != "unchanged" {
            done.push(what.word().to_owned());
        }
    };
    if let Some(said) = &document.registered {
        note(Kind::Registered, register::put(writing, name, said, alarms).await?);
    }
    if let Some(said) = &document.active {
        note(Kind::Active, active(writing, name, said, alarms).await?);
    }
    if let Some(said) = &document.shelved {
        note(Kind::Shelved, shelve::carry(writing, name, said, alarms).await?);
    }
    let known = alarms.get(name).is_some();
    let result = match (done.is_empty(), known) {
        (true, _) => "unchanged",
        (false, true) => "changed",
        (false, false) => "created",
    };
    Ok(Outcome { keys: done, dry_run, ..Outcome::new(name, result) })
}

async fn active(writing: &mut Writing<'_, '_>, name: &str, said: &Active, alarms: &Alarms) -> Result<Told, Failure> {
    alarms.readable(Kind::Active, name)?;
    let dry_run = writing.dry_run;
    let outcome = |result: &str| Outcome { dry_run, ..Outcome::new(name, result) };
    let current = alarms.get(name).and_then(|known| known.active.as_ref());
    if current.is_some_and(|active| is_said(active, said)) {
        return Ok((outcome("unchanged"), None));
    }
    if current.is_some_and(|active| active.origin.part.is_some())
        || current.is_none() && writing.has_messages(alarms).await?
    {
        return message(writing, name, said, current, alarms).await;
    }
    let origin = current.map(|active| &active.origin);
    let make = |_: &Schema| {
        let content = Content::active(&said.alarm).with_members(&said.others);
        let content = match &said.priority {
            Some(written) => content.with_priority(written),
            None => content,
        };
        match origin {
            Some(origin) => content.with_others(&origin.value),
            None => content,
        }
    };
    let encoded = writing.encode(Kind::Active, alarms, origin, &make).await?;
    // What has no place in the schema is no difference.
    if origin.is_some_and(|origin| says_the_same(&origin.value, &encoded.value, said)) {
        return Ok((outcome("unchanged"), encoded.left_out));
    }
    let key = match origin.and_then(|origin| origin.raw.key.clone()) {
        Some(key) => key,
        None => writing.key(name, None).await?,
    };
    writing.send(Kind::Active, key, Some(encoded.bytes)).await?;
    Ok((outcome("changed"), encoded.left_out))
}

/// Whether an alarm is as a document says it.
fn is_said(active: &state::Active, said: &Active) -> bool {
    let value = &active.origin.value;
    active.alarm == said.alarm
        && said.priority.as_deref().is_none_or(|written| written_priority(value) == Some(written))
        && has_all(Kind::Active, value, &said.others)
}

/// Whether two values say the same of an alarm, as far as the document does.
fn says_the_same(one: &Value, other: &Value, said: &Active) -> bool {
    Alarm::from_value(one) == Alarm::from_value(other)
        && (said.priority.is_none() || written_priority(one) == written_priority(other))
        && others(Kind::Active, one) == others(Kind::Active, other)
}

/// Writes an alarm as messages of JLab's last generation.
async fn message(
    writing: &mut Writing<'_, '_>,
    name: &str,
    said: &Active,
    current: Option<&state::Active>,
    alarms: &Alarms,
) -> Result<Told, Failure> {
    let dry_run = writing.dry_run;
    let outcome = |result: &str| Outcome { dry_run, ..Outcome::new(name, result) };
    let alarm = &said.alarm;
    let left_out = LeftOut::of_messages(&Content::active(alarm).with_members(&said.others), said.priority.is_some());
    let (part, members) = alarming(&alarm.severity, &alarm.status);
    let before = current.map(|active| alarming(&active.alarm.severity, &active.alarm.status));
    let is_raised = before.is_some_and(|before| before == (part, members.clone()));
    let is_acknowledged = current.is_some_and(|active| active.alarm.acknowledged);
    if is_raised && is_acknowledged == alarm.acknowledged {
        return Ok((outcome("unchanged"), left_out));
    }
    // What is raised anew is not acknowledged.
    if !is_raised || is_acknowledged {
        let content = Content::message(part, members);
        let encoded = writing.encode(Kind::Active, alarms, None, &|_| content.clone()).await?;
        let key = writing.key(name, Some(part)).await?;
        writing.send(Kind::Active, key, Some(encoded.bytes)).await?;
    }
    if alarm.acknowledged {
        let of = said.ack.as_deref();
        super::ack::message(writing, name, acknowledging(part, &alarm.severity, of), alarms).await?;
    }
    Ok((outcome("changed"), left_out))
}
