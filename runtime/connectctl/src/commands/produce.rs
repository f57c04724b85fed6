//! `connectctl produce`: writes records to a topic, and says how many Kafka has acknowledged.

use std::{
    io::{self, IsTerminal},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use connect_api::Bytes;
use serde::Serialize;
use tokio::{select, signal, sync::watch, time::timeout};

use super::{
    Context,
    offsets::When,
    records::{
        coding::{Coding, Form, SchemaPlace},
        input::{Source, Text},
        send::{Record, Sender},
    },
};
use crate::{
    cluster::Asking,
    consent::DryRun,
    error::{Failure, INTERRUPTED},
    output::View,
    shell,
};

const EXAMPLES: &str = "\
Examples:
  connectctl produce mytopic --key hello world               one record
  connectctl produce mytopic --key-separator : --file f.txt  a record per line, KEY:VALUE
  seq 5 | connectctl produce numbers                         lines of standard input
  connectctl produce alarms --key pump-1 --tombstone         the value is null
  connectctl produce calls --value-format json '{\"n\": 1}' -H user=me
  connectctl produce active-alarms --key pump-1 --value-format avro '{\"priority\": \"P1_LIFE\"}'
  connectctl produce new --value-schema new.avsc --file records.jsonl";

/// What `produce` takes.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Name of the topic.
    #[arg(value_name = "TOPIC", add = crate::complete::topics())]
    topic: String,

    /// Values; lines of standard input without any.
    #[arg(value_name = "VALUE", conflicts_with = "file")]
    values: Vec<String>,

    /// File of values, one a line, or - for standard input; may be given several times. Empty lines are left out.
    #[arg(short, long, value_name = "FILE|-")]
    file: Vec<PathBuf>,

    /// Each file is one value.
    #[arg(long, requires = "file")]
    whole: bool,

    /// Key of all records.
    #[arg(short, long, value_name = "KEY")]
    key: Option<String>,

    /// What stands before this is the key, what stands behind it the value.
    #[arg(long, value_name = "TEXT", conflicts_with = "key", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    key_separator: Option<String>,

    /// A value that is this text becomes a tombstone: null.
    #[arg(long, value_name = "TEXT")]
    null: Option<String>,

    /// One record without value.
    #[arg(long, requires = "key", conflicts_with_all = ["values", "file"])]
    tombstone: bool,

    /// What keys are written as; avro if there is a schema, else string.
    #[arg(long, value_enum, value_name = "FORMAT")]
    key_format: Option<Form>,

    /// What values are written as; avro if there is a schema, else string.
    #[arg(long, value_enum, value_name = "FORMAT")]
    value_format: Option<Form>,

    /// Schema of keys: an id of the registry, subject:NAME[@VERSION], a file, or the schema itself. The latest of
    /// TOPIC-key without one. One that is given here is registered.
    #[arg(long, value_name = "SCHEMA", value_parser = SchemaPlace::parse)]
    key_schema: Option<SchemaPlace>,

    /// As --key-schema, of values, with TOPIC-value.
    #[arg(long, value_name = "SCHEMA", value_parser = SchemaPlace::parse)]
    value_schema: Option<SchemaPlace>,

    /// A header of all records; its value is null without the =. May be given several times.
    #[arg(short = 'H', long, value_name = "NAME=VALUE", value_parser = header)]
    header: Vec<(String, Option<String>)>,

    /// Partition of all records; else the key decides, as with Java's producers.
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(i32).range(0..))]
    partition: Option<i32>,

    /// Time of all records: 2026-11-21T12:00:00Z, milliseconds since 1970, or 90s, 30m, 12h, 7d ago. Now if nobody says.
    #[arg(long, value_name = "TIME", value_parser = When::parse)]
    timestamp: Option<When>,

    #[command(flatten)]
    dry_run: DryRun,
}

fn header(text: &str) -> Result<(String, Option<String>), String> {
    let (name, value) = text.split_once('=').map_or((text, None), |(name, value)| (name, Some(value.to_owned())));
    match name.trim() {
        "" => Err("the name is empty; expected NAME=VALUE".into()),
        name => Ok((name.to_owned(), value)),
    }
}

/// Where a record is.
#[derive(Debug, Clone, Copy, Serialize)]
struct Place {
    partition: i32,
    offset: i64,
}

#[derive(Debug, Serialize)]
struct Done {
    topic: String,
    /// How many records Kafka has, or in a dry run, would be sent.
    acknowledged: usize,
    /// Where they are, in the order in which they were sent.
    records: Vec<Place>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    dry_run: bool,
}

/// So many records are under way at most.
const WINDOW: usize = 10_000;
/// And so many bytes of keys and values, about.
const WINDOW_BYTES: usize = 16 << 20;
/// Who writes faster than this has what is written sent together.
const PAUSE: Duration = Duration::from_millis(2);

/// Sends all records, and fails if any of them was not acknowledged.
pub async fn run(args: &Args, context: &Context<'_>) -> Result<(), Failure> {
    let asking = Asking::new(context).await?;
    args.check_topic(&asking).await?;
    let dry_run = args.dry_run.dry_run;
    let coding = async |form, place: &Option<SchemaPlace>, suffix| {
        Coding::new(form, place.as_ref(), &args.topic, suffix, dry_run, context).await
    };
    let making = Making {
        args,
        key: coding(args.key_format, &args.key_schema, "-key").await?,
        value: coding(args.value_format, &args.value_schema, "-value").await?,
    };
    let sender = if dry_run { None } else { Some(Sender::new(&asking.kafka, asking.limit)?) };
    let mut done = Done { topic: args.topic.clone(), acknowledged: 0, records: Vec::new(), dry_run };
    let outcome = args.send(&making, sender.as_ref(), &mut done, interruption(), context).await;
    let names = || done.records.iter().map(|p| format!("{}:{}", p.partition, p.offset)).collect();
    context.output.result(&done, names, |view| text(&done, view))?;
    outcome
}

/// Becomes true with Ctrl-C. Whoever presses it again does not want to wait for what is under way.
fn interruption() -> watch::Receiver<bool> {
    let (sender, receiver) = watch::channel(false);
    tokio::spawn(async move {
        if signal::ctrl_c().await.is_ok() && sender.send(true).is_ok() && signal::ctrl_c().await.is_ok() {
            std::process::exit(INTERRUPTED.into());
        }
    });
    receiver
}

async fn interrupted(stop: &mut watch::Receiver<bool>) {
    // Nobody is left who could say so.
    if stop.wait_for(|stopped| *stopped).await.is_err() {
        std::future::pending::<()>().await;
    }
}

fn text(done: &Done, _view: View) -> String {
    let records = if done.acknowledged == 1 { "record" } else { "records" };
    let what = if done.dry_run { "would be sent" } else { "acknowledged" };
    let place = match done.records.as_slice() {
        [one] => format!(", at {}:{}", one.partition, one.offset),
        _ => String::new(),
    };
    format!("{}: {} {records} {what}{place}\n", done.topic, done.acknowledged)
}

impl Args {
    async fn check_topic(&self, asking: &Asking) -> Result<(), Failure> {
        let cluster = asking.cluster().await?;
        let Some(found) = cluster.topics.iter().find(|t| t.name == self.topic) else {
            // The embedded broker makes topics when they are written to.
            if asking.is_embedded() {
                return Ok(());
            }
            let known: Vec<String> = cluster.topics.iter().map(|t| t.name.clone()).collect();
            let text = asking.no_topic(&self.topic, &known);
            return Err(Failure::Failed(format!(
                "{text}; connectctl topics create {} would make it",
                shell::word(&self.topic)
            )));
        };
        let count = found.partitions.len();
        match self.partition.filter(|n| !found.partitions.iter().any(|p| p.number == *n)) {
            Some(missing) => {
                Err(Failure::Failed(format!("topic {} has no partition {missing}; it has {count}", self.topic)))
            }
            None => Ok(()),
        }
    }

    fn source(&self, context: &Context<'_>) -> Source {
        if !self.values.is_empty() {
            return Source::Given(self.values.clone());
        }
        if !self.file.is_empty() {
            return if self.whole { Source::Whole(self.file.clone()) } else { Source::Lines(self.file.clone()) };
        }
        if io::stdin().is_terminal() {
            context.output.say("a record per line; Ctrl-D ends");
        }
        Source::Lines(vec!["-".into()])
    }

    async fn send(
        &self,
        making: &Making<'_>,
        sender: Option<&Sender>,
        done: &mut Done,
        mut stop: watch::Receiver<bool>,
        context: &Context<'_>,
    ) -> Result<(), Failure> {
        if self.tombstone {
            let record = making.record(self.key.as_deref(), None).map_err(Failure::Failed)?;
            return acknowledged(vec![("the tombstone".into(), record)], sender, done).await;
        }
        let mut texts = self.source(context).texts()?;
        loop {
            let mut window = Vec::new();
            let (mut broken, mut bytes) = (None, 0);
            // What is there goes together; who types is not kept waiting.
            let mut next = select! {
                biased;
                () = interrupted(&mut stop) => return Err(Failure::Interrupted),
                text = texts.recv() => text,
            };
            while let Some(text) = next {
                match text.and_then(|t| making.of(&t).map(|r| (t.place.clone(), r)).map_err(|e| wrong(&t, &e))) {
                    Ok((place, record)) => {
                        bytes += record.size();
                        window.push((place, record));
                    }
                    Err(e) => {
                        broken = Some(e);
                        break;
                    }
                }
                if window.len() == WINDOW || bytes >= WINDOW_BYTES || *stop.borrow() {
                    break;
                }
                next = match texts.try_recv() {
                    Ok(text) => Some(text),
                    Err(_) => timeout(PAUSE, texts.recv()).await.ok().flatten(),
                };
            }
            let over = window.is_empty() && broken.is_none();
            // Those before one that is wrong are sent all the same.
            acknowledged(window, sender, done).await?;
            match broken {
                Some(e) => return Err(e),
                None if over => return Ok(()),
                None => {}
            }
        }
    }
}

fn wrong(text: &Text, problem: &str) -> Failure {
    Failure::Failed(format!("{}: {problem}; it was not sent, nor what stands behind it", text.place))
}

/// Sends records and waits until Kafka has said of each that it has it.
async fn acknowledged(all: Vec<(String, Record)>, sender: Option<&Sender>, done: &mut Done) -> Result<(), Failure> {
    let (places, records): (Vec<String>, Vec<Record>) = all.into_iter().unzip();
    let Some(sender) = sender else {
        done.acknowledged += records.len();
        return Ok(());
    };
    let mut failed = None;
    let (mut missing, mut behind) = (0, 0);
    for (place, outcome) in places.iter().zip(sender.send(&records, None).await) {
        match outcome {
            Ok((partition, offset)) => {
                done.acknowledged += 1;
                behind += usize::from(failed.is_some());
                done.records.push(Place { partition, offset });
            }
            Err(e) => {
                missing += 1;
                failed.get_or_insert((place, e));
            }
        }
    }
    let Some((place, e)) = failed else { return Ok(()) };
    let more = if missing > 1 { format!(" and {} more", missing - 1) } else { String::new() };
    // What was under way with it cannot be called back.
    let except = match behind {
        0 => String::new(),
        1 => " but for 1 record that went with it".to_owned(),
        n => format!(" but for {n} records that went with it"),
    };
    let text = format!("{place}{more} was not acknowledged, and what stands behind was not sent{except}");
    Err(sender.unreachable(Failure::from(e.context(text))))
}

/// Makes records of texts.
struct Making<'a> {
    args: &'a Args,
    key: Coding,
    value: Coding,
}

impl Making<'_> {
    fn of(&self, text: &Text) -> Result<Record, String> {
        let (key, value) = match &self.args.key_separator {
            None => (self.args.key.as_deref(), text.text.as_str()),
            Some(separator) => {
                let (key, value) = text
                    .text
                    .split_once(separator.as_str())
                    .ok_or_else(|| format!("there is no {separator:?} between key and value"))?;
                (Some(key), value)
            }
        };
        self.record(key, Some(value).filter(|value| self.args.null.as_deref() != Some(*value)))
    }

    fn record(&self, key: Option<&str>, value: Option<&str>) -> Result<Record, String> {
        let coded = |coding: &Coding, what: &str, text: Option<&str>| {
            text.map(|text| coding.bytes(text).map_err(|e| format!("{what}: {e}"))).transpose()
        };
        let bytes = |text: &String| Bytes::copy_from_slice(text.as_bytes());
        let headers = self.args.header.iter();
        Ok(Record {
            topic: self.args.topic.clone(),
            partition: self.args.partition,
            timestamp: self.args.timestamp.map(|when| when.ms),
            key: coded(&self.key, "key", key)?,
            value: coded(&self.value, "value", value)?,
            headers: headers.map(|(name, value)| (Arc::from(name.as_str()), value.as_ref().map(bytes))).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    fn record(line: &[&str], text: &str) -> Result<Record, String> {
        let args = Line::try_parse_from(["x"].iter().chain(line)).expect("arguments").args;
        let making = Making { args: &args, key: Coding::String, value: Coding::String };
        making.of(&Text { place: "line 1".into(), text: text.into() })
    }

    #[test]
    fn keys_values_and_headers_are_what_was_said() {
        let made = record(&["t", "--key", "k", "-H", "a=b=c", "-H", "n", "--timestamp", "5000", "-p", "2"], "v");
        let made = made.expect("record");
        assert_eq!((made.key.as_deref(), made.value.as_deref()), (Some(&b"k"[..]), Some(&b"v"[..])));
        assert_eq!((made.partition, made.timestamp), (Some(2), Some(5000)));
        let headers: Vec<_> = made.headers.iter().map(|(n, v)| (&**n, v.as_deref())).collect();
        assert_eq!(headers, [("a", Some(&b"b=c"[..])), ("n", None)]);
        let made = record(&["t", "--key-separator", ": ", "--null", "-"], "k: a: b").expect("record");
        assert_eq!((made.key.as_deref(), made.value.as_deref()), (Some(&b"k"[..]), Some(&b"a: b"[..])));
        let made = record(&["t", "--key-separator", ": ", "--null", "-"], "k: -").expect("record");
        assert_eq!(made.value, None);
        assert!(record(&["t", "--key-separator", ":"], "k").is_err_and(|e| e.contains("there is no \":\"")));
    }

    #[test]
    fn what_was_done_is_told() {
        let place = |offset| Place { partition: 0, offset };
        let done =
            |records: Vec<Place>, dry_run| Done { topic: "t".into(), acknowledged: records.len(), records, dry_run };
        let view = View { width: None, wide: false };
        assert_eq!(text(&done(vec![place(4)], false), view), "t: 1 record acknowledged, at 0:4\n");
        assert_eq!(text(&done(vec![place(4), place(5)], false), view), "t: 2 records acknowledged\n");
        assert_eq!(text(&Done { acknowledged: 3, ..done(Vec::new(), true) }, view), "t: 3 records would be sent\n");
    }
}
