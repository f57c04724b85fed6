//! `connectctl alarms import`

use std::{io::Read, path::Path, path::PathBuf};

use connector_alarm::{Kind, ShelvedAlarm};

use super::{
    super::{Context, Outcome, Outcomes},
    document::{self, Document},
    messages::alarming,
    register,
    replay::{Replay, warn_unread},
    set::{Told, tell},
    shelve,
    state::Alarms,
    topics::{Topics, Writes},
    write::Writing,
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
    document::read(&shown, &text).map_err(|mistakes| Failure::Failed(mistakes.join("\n")))
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
    if let Some((alarm, details)) = &document.registered {
        note(Kind::Registered, register::put(writing, name, alarm, details, alarms).await?);
    }
    if document.active.is_some() {
        note(Kind::Active, active(writing, document, alarms).await?);
    }
    if let Some(shelf) = &document.shelved {
        note(Kind::Shelved, shelved(writing, name, shelf, alarms).await?);
    }
    let known = alarms.get(name).is_some();
    let result = match (done.is_empty(), known) {
        (true, _) => "unchanged",
        (false, true) => "changed",
        (false, false) => "created",
    };
    Ok(Outcome { keys: done, dry_run, ..Outcome::new(name, result) })
}

async fn active(writing: &mut Writing<'_, '_>, document: &Document, alarms: &Alarms) -> Result<Told, Failure> {
    let (name, Some(alarm)) = (document.name.as_str(), &document.active) else {
        return Ok((Outcome::new(&document.name, "unchanged"), None));
    };
    alarms.readable(Kind::Active, name)?;
    let current = alarms.get(name).and_then(|known| known.active.as_ref());
    if current.is_some_and(|active| active.alarm == *alarm) {
        return Ok((Outcome::new(name, "unchanged"), None));
    }
    if current.is_some_and(|active| active.origin.part.is_some())
        || current.is_none() && writing.has_messages(alarms).await?
    {
        let (part, members) = alarming(&alarm.severity, &alarm.status);
        let content = connector_alarm::Content::message(part, members);
        let encoded = writing.encode(Kind::Active, alarms, None, &|_| content.clone()).await?;
        let key = writing.key(name, Some(part)).await?;
        writing.send(Kind::Active, key, Some(encoded.bytes)).await?;
        if alarm.acknowledged {
            super::ack::message(writing, name, part, &alarm.severity, alarms).await?;
        }
        return Ok((Outcome::new(name, "changed"), None));
    }
    let left_out = super::set::write(writing, name, current, alarm, alarms).await?;
    Ok((Outcome::new(name, "changed"), left_out))
}

async fn shelved(
    writing: &mut Writing<'_, '_>,
    name: &str,
    shelf: &ShelvedAlarm,
    alarms: &Alarms,
) -> Result<Told, Failure> {
    let before = alarms.get(name).and_then(|known| known.shelf.as_ref());
    if before.is_some_and(|(known, _)| known == shelf) {
        return Ok((Outcome::new(name, "unchanged"), None));
    }
    shelve::put(writing, name, shelf, alarms).await
}
