//! `connectctl dlq replay`

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use connect_api::{Bytes, ErrorClass, time};
use indexmap::IndexMap;
use serde::Serialize;

use super::{
    super::Context,
    Place,
    filter::{Filter, Which},
    ledger::{Ledger, LedgerArgs, Replayed},
    letter::{Letter, counted},
    queue::Queue,
    reason::{Origin, REPLAY, is_own},
    send::{Pace, Record, Sender, who},
};
use crate::{
    consent::{DryRun, listed},
    error::Failure,
    output::{Output, View},
    page::Page,
    reading::{Reading, Topics},
};

/// So many letters are under way at most.
const WINDOW: usize = 200;
/// And so many bytes, if it is more than one letter.
const BYTES: usize = 4 * 1024 * 1024;

/// How often it is said how far a long replay has come.
const PROGRESS: Duration = Duration::from_secs(5);

/// What `dlq replay` takes.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    filter: Filter,

    /// At most so many, in the order of the queue.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,

    /// Send all to this topic instead.
    #[arg(long, value_name = "TOPIC", add = crate::complete::topics())]
    to: Option<String>,

    /// Send each to the partition where its record was; else its key decides, as with producers.
    #[arg(long)]
    same_partition: bool,

    /// Send letters again that have been replayed.
    #[arg(long)]
    again: bool,

    /// So many letters a second at most: 5, 5/s or 0.5/s.
    #[arg(long, value_name = "N/s", value_parser = rate)]
    rate: Option<f64>,

    #[command(flatten)]
    ledger: LedgerArgs,
    #[command(flatten)]
    dry_run: DryRun,
}

fn rate(text: &str) -> Result<f64, String> {
    let number = text.trim().strip_suffix("/s").unwrap_or(text).trim();
    match number.parse::<f64>() {
        Ok(n) if (0.001..=1e6).contains(&n) => Ok(n),
        _ => Err("expected letters a second, from 0.001 to 1000000, such as 5/s".into()),
    }
}

#[derive(Debug, Serialize)]
struct Sent {
    /// The letter.
    letter: Place,
    /// Where the record is, or would go.
    to: Origin,
}

#[derive(Debug, Serialize)]
struct Refused {
    letter: Place,
    reason: String,
}

/// What was done.
#[derive(Debug, Default, Serialize)]
struct Done {
    topic: String,
    dry_run: bool,
    replayed: Vec<Sent>,
    /// How many were left out because they had been replayed before.
    replayed_before: usize,
    /// Letters whose values have been cut.
    cut: Vec<Place>,
    /// Letters that do not say where they come from, or not from which partition.
    without_origin: Vec<Place>,
    /// Letters that Kafka does not take for what they are.
    refused: Vec<Refused>,
}

pub(super) async fn run(args: &Args, context: &Context<'_>) -> Result<(), Failure> {
    let queue = Queue::find(&args.which, context).await?;
    if args.to.as_deref() == Some(&*queue.topic) {
        return Err(Failure::Usage(format!("--to {} is the dead letter queue itself", queue.topic)));
    }
    let reading = Reading::new(context).await?;
    let dry_run = args.dry_run.dry_run;
    let mut done = Done { topic: queue.topic.to_string(), dry_run, ..Done::default() };
    let outcome = replay(args, &queue, &reading, &mut done, context.output).await;
    let names = || done.replayed.iter().map(|s| s.letter.to_string()).collect();
    context.output.result(&done, names, |view| text(&done, view))?;
    outcome.map_err(|e| stopped(e, &done))?;
    left_out(&done).map_or(Ok(()), |text| Err(Failure::Failed(text)))
}

/// The failure, and what that means for the next replay.
fn stopped(failure: Failure, done: &Done) -> Failure {
    let hint = |text: String| match done.replayed.len() {
        0 => text,
        _ if done.dry_run => text,
        n => format!("{text}; what was replayed is recorded ({}), the next replay skips it", counted(n)),
    };
    match failure {
        Failure::Failed(text) => Failure::Failed(hint(text)),
        Failure::Unreachable(text) => Failure::Unreachable(hint(text)),
        other => other,
    }
}

async fn replay(
    args: &Args,
    queue: &Queue,
    reading: &Reading,
    done: &mut Done,
    output: &Output,
) -> Result<(), Failure> {
    let all = reading.all_of(&queue.topic).await?;
    let topics = reading.topics().await?;
    let mut ledger = Ledger::read(reading, &args.ledger, &queue.topic).await?;
    let sender = if done.dry_run { None } else { Some(Sender::new(&reading.kafka, reading.limit)?) };
    if let Some(sender) = &sender {
        ledger.prepare(reading).await?;
        ledger.tidy(sender, &all).await?;
    }
    let spans = reading.narrow(all, &args.filter).await?;
    let mut window = Window::new(args, topics, sender);
    let mut left = args.limit.unwrap_or(u64::MAX);
    let mut told = Instant::now();
    let mut letters = reading.letters(&queue.topic, &spans)?;
    'reading: while let Some(batch) = letters.next().await? {
        for letter in batch {
            if !args.filter.matches(&letter, queue.connector.as_deref()) {
                continue;
            }
            if !args.again && ledger.of(&letter).is_some() {
                done.replayed_before += 1;
                continue;
            }
            let record = match destination(&letter, args) {
                Ok((topic, partition)) => record(&letter, topic, partition, &window.by),
                Err(Unsendable::Cut) => {
                    done.cut.push(letter.place());
                    continue;
                }
                Err(Unsendable::WithoutOrigin) => {
                    done.without_origin.push(letter.place());
                    continue;
                }
            };
            if let Err(e) = window.add(&letter, record, &queue.topic) {
                window.send(&mut ledger, done).await?;
                return Err(e);
            }
            left -= 1;
            if window.is_full() {
                window.send(&mut ledger, done).await?;
                if told.elapsed() >= PROGRESS && !done.dry_run {
                    told = Instant::now();
                    output.say(&format!("{} replayed so far", counted(done.replayed.len())));
                }
            }
            if left == 0 {
                break 'reading;
            }
        }
    }
    window.send(&mut ledger, done).await
}

#[derive(Debug, PartialEq, Eq)]
enum Unsendable {
    Cut,
    WithoutOrigin,
}

/// The topic and the partition that a letter goes to.
fn destination(letter: &Letter, args: &Args) -> Result<(String, Option<i32>), Unsendable> {
    if letter.reason.cut_from.is_some() {
        return Err(Unsendable::Cut);
    }
    let origin = letter.reason.origin.as_ref();
    let topic = args.to.clone().or_else(|| Some(origin?.topic.clone())).ok_or(Unsendable::WithoutOrigin)?;
    let partition = match args.same_partition {
        true => Some(origin.and_then(|o| o.partition).ok_or(Unsendable::WithoutOrigin)?),
        false => None,
    };
    Ok((topic, partition))
}

/// The record as it was, with headers that say where it comes from.
fn record(letter: &Letter, topic: String, partition: Option<i32>, by: &str) -> Record {
    let raw = &letter.raw;
    let own = raw.headers.iter().filter(|(name, _)| is_own(name)).cloned();
    let mut headers: Vec<(Arc<str>, Option<Bytes>)> = own.collect();
    headers.extend(
        [
            ("topic", raw.topic.to_string()),
            ("partition", raw.partition.to_string()),
            ("offset", raw.offset.to_string()),
            ("time", time::rfc3339(time::now_ms())),
            ("by", by.to_owned()),
        ]
        .map(|(name, value)| (Arc::from(format!("{REPLAY}{name}")), Some(Bytes::from(value)))),
    );
    Record { topic, partition, timestamp: raw.timestamp, key: raw.key.clone(), value: raw.value.clone(), headers }
}

/// Letters that are sent together.
struct Window {
    topics: Topics,
    sender: Option<Sender>,
    pace: Option<Pace>,
    most: usize,
    by: String,
    letters: Vec<(Place, Option<i64>)>,
    records: Vec<Record>,
    bytes: usize,
}

impl Window {
    fn new(args: &Args, topics: Topics, sender: Option<Sender>) -> Self {
        // At a slow pace what was sent is recorded about every second.
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is between 1 and 200")]
        let most = args.rate.map_or(WINDOW, |rate| rate.ceil().clamp(1.0, WINDOW as f64) as usize);
        Self {
            topics,
            sender,
            pace: args.rate.map(Pace::new),
            most,
            by: who(),
            letters: Vec::new(),
            records: Vec::new(),
            bytes: 0,
        }
    }

    /// Adds a letter if there is the topic and the partition that it goes to.
    fn add(&mut self, letter: &Letter, record: Record, queue: &str) -> Result<(), Failure> {
        let (topic, place) = (&record.topic, letter.place());
        if topic == queue {
            let text = format!("letter {place} comes from its own queue {topic}; name another topic with --to");
            return Err(Failure::Failed(text));
        }
        let Some(numbers) = self.topics.get(topic) else {
            let text = format!("letter {place} cannot be replayed: there is no topic {topic}; create it, or use --to");
            return Err(Failure::Failed(text));
        };
        if let Some(number) = record.partition.filter(|number| !numbers.contains(number)) {
            return Err(Failure::Failed(format!(
                "letter {place} cannot be replayed: topic {topic} has no partition {number}; leave --same-partition out"
            )));
        }
        self.bytes += record.size();
        self.letters.push((place, letter.raw.timestamp));
        self.records.push(record);
        Ok(())
    }

    fn is_full(&self) -> bool {
        self.records.len() >= self.most || self.bytes >= BYTES
    }

    /// Sends what there is, waits for every acknowledgement, and records what Kafka has. A dry run only notes it.
    async fn send(&mut self, ledger: &mut Ledger, done: &mut Done) -> Result<(), Failure> {
        let (letters, records) = (std::mem::take(&mut self.letters), std::mem::take(&mut self.records));
        self.bytes = 0;
        let Some(sender) = &self.sender else {
            done.replayed.extend(letters.iter().zip(records).map(|((letter, _), record)| Sent {
                letter: *letter,
                to: Origin { topic: record.topic, partition: record.partition, offset: None },
            }));
            return Ok(());
        };
        let mut acknowledged = Vec::new();
        let mut failed = None;
        let mut missing = 0;
        let outcomes = sender.send(&records, self.pace.as_mut()).await;
        for (((place, time), record), outcome) in letters.iter().zip(records).zip(outcomes) {
            match outcome {
                Ok((partition, offset)) => {
                    let to = Origin { topic: record.topic, partition: Some(partition), offset: Some(offset) };
                    let replayed =
                        Replayed { to: to.clone(), time: time::rfc3339(time::now_ms()), by: self.by.clone() };
                    acknowledged.push((*place, *time, replayed));
                    done.replayed.push(Sent { letter: *place, to });
                }
                // It would keep all behind it from their turn.
                Err(e) if e.class() == ErrorClass::Data => {
                    done.refused.push(Refused { letter: *place, reason: e.one_line() });
                }
                Err(e) => {
                    missing += 1;
                    failed.get_or_insert((*place, e));
                }
            }
        }
        let recorded = ledger.record(sender, &acknowledged).await;
        let Some((place, e)) = failed else { return recorded };
        if let Err(not_recorded) = recorded {
            let n = acknowledged.len();
            return Err(Failure::Failed(format!(
                "{not_recorded}; the next replay will send again what was replayed last ({})",
                counted(n)
            )));
        }
        let more = if missing > 1 { format!(" and {} more", missing - 1) } else { String::new() };
        // Kafka may have it where only its answer is missing.
        let perhaps = if e.class() == ErrorClass::Retriable { ", as far as is known" } else { "" };
        Err(sender.unreachable(Failure::from(e.context(format!("letter {place}{more} was not replayed{perhaps}")))))
    }
}

/// What to say of letters that could not be sent.
fn left_out(done: &Done) -> Option<String> {
    let places = |all: &[Place]| listed(&all.iter().map(ToString::to_string).collect::<Vec<_>>());
    let mut all = Vec::new();
    if !done.cut.is_empty() {
        let places = places(&done.cut);
        all.push(format!(
            "{places}: the letter has only the beginning of the value; connectctl dlq show says where the whole one is"
        ));
    }
    if !done.without_origin.is_empty() {
        let places = places(&done.without_origin);
        all.push(format!(
            "{places}: the letter does not say where it comes from, for want of errors.deadletterqueue.context.headers.enable; \
             name a topic with --to, and leave --same-partition out"
        ));
    }
    if !done.refused.is_empty() {
        let each: Vec<String> = done.refused.iter().map(|r| format!("{}: {}", r.letter, r.reason)).collect();
        all.push(listed(&each));
    }
    let count = done.cut.len() + done.without_origin.len() + done.refused.len();
    let what = if done.dry_run { "cannot be replayed" } else { "not replayed" };
    (count > 0).then(|| format!("{} {what}: {}", counted(count), all.join("; ")))
}

fn text(done: &Done, view: View) -> String {
    let mut page = Page::new(view.width);
    let mut by_topic: IndexMap<&str, usize> = IndexMap::new();
    done.replayed.iter().for_each(|sent| *by_topic.entry(&sent.to.topic).or_default() += 1);
    let where_to: Vec<String> = by_topic.iter().map(|(topic, n)| format!("{n} to {topic}")).collect();
    let would = if done.dry_run { "would be replayed" } else { "replayed" };
    let rest = if where_to.is_empty() { String::new() } else { format!(": {}", where_to.join(", ")) };
    page.line(0, &format!("{} of {} {would}{rest}", counted(done.replayed.len()), done.topic));
    if done.replayed_before > 0 {
        page.line(0, &format!("{} skipped: replayed before; --again sends them again", done.replayed_before));
    }
    if view.wide {
        done.replayed.iter().for_each(|sent| page.line(2, &format!("{} to {}", sent.letter, sent.to)));
    }
    page.text
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::{super::letter::tests::letter, *};

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    fn args(words: &[&str]) -> Args {
        Line::try_parse_from(["replay", "--topic", "dead-alarms"].iter().chain(words)).expect("arguments").args
    }

    #[test]
    fn a_letter_goes_back_without_its_error() {
        let letter = letter(3);
        let (topic, partition) = destination(&letter, &args(&[])).expect("a way");
        assert_eq!((topic.as_str(), partition), ("alarms", None));
        let record = record(&letter, topic, partition, "me@desk");
        assert_eq!((record.key, record.value), (letter.raw.key.clone(), letter.raw.value.clone()));
        assert_eq!(record.timestamp, letter.raw.timestamp);
        let text = |(name, value): &(Arc<str>, Option<Bytes>)| {
            format!("{name}={}", String::from_utf8_lossy(value.as_deref().unwrap_or_default()))
        };
        let mut headers: Vec<String> = record.headers.iter().map(text).collect();
        let when = headers.remove(4);
        assert!(when.starts_with("__connectctl.replay.time=2"), "{when}");
        assert_eq!(
            headers,
            [
                "user=me",
                "__connectctl.replay.topic=dead-alarms",
                "__connectctl.replay.partition=0",
                "__connectctl.replay.offset=3",
                "__connectctl.replay.by=me@desk",
            ]
        );
    }

    #[test]
    fn where_a_letter_goes_can_be_said() {
        assert_eq!(destination(&letter(3), &args(&["--same-partition"])), Ok(("alarms".into(), Some(2))));
        assert_eq!(destination(&letter(3), &args(&["--to", "x"])), Ok(("x".into(), None)));
        let mut bare = letter(3);
        bare.reason = super::super::reason::Reason::default();
        assert_eq!(destination(&bare, &args(&[])), Err(Unsendable::WithoutOrigin));
        assert_eq!(destination(&bare, &args(&["--to", "x"])), Ok(("x".into(), None)));
        assert_eq!(destination(&bare, &args(&["--to", "x", "--same-partition"])), Err(Unsendable::WithoutOrigin));
        bare.reason.cut_from = Some(2_000_000);
        assert_eq!(destination(&bare, &args(&["--to", "x"])), Err(Unsendable::Cut));
    }

    #[test]
    fn what_cannot_be_sent_is_found_out_before() {
        let topics = Topics::from([("alarms".to_owned(), vec![0, 1]), ("dead-alarms".to_owned(), vec![0])]);
        let mut window = Window::new(&args(&["--rate", "2/s"]), topics, None);
        assert_eq!(window.most, 2);
        let mut add = |topic: &str, partition| {
            let record = record(&letter(3), topic.into(), partition, "me");
            window.add(&letter(3), record, "dead-alarms").map_err(|e| e.to_string())
        };
        assert_eq!(add("alarms", Some(1)), Ok(()));
        for (topic, partition, part) in [
            ("alarms", Some(2), "has no partition 2"),
            ("alarm", None, "there is no topic alarm"),
            ("dead-alarms", None, "its own queue"),
        ] {
            assert!(add(topic, partition).is_err_and(|e| e.contains(part) && e.contains("0:3")), "{topic}");
        }
        assert!(!window.is_full());
    }

    #[test]
    fn the_result_says_what_was_done_and_what_could_not_be() {
        let to = |topic: &str| Origin { topic: topic.into(), partition: Some(0), offset: Some(7) };
        let mut done = Done {
            topic: "dead".into(),
            replayed: vec![
                Sent { letter: Place { partition: 0, offset: 3 }, to: to("a") },
                Sent { letter: Place { partition: 0, offset: 4 }, to: to("b") },
                Sent { letter: Place { partition: 0, offset: 5 }, to: to("a") },
            ],
            replayed_before: 2,
            ..Done::default()
        };
        let expected =
            "3 letters of dead replayed: 2 to a, 1 to b\n2 skipped: replayed before; --again sends them again\n";
        assert_eq!(text(&done, View { width: None, wide: false }), expected);
        assert_eq!(
            text(&done, View { width: None, wide: true }),
            format!("{expected}  0:3 to a:0:7\n  0:4 to b:0:7\n  0:5 to a:0:7\n")
        );
        assert_eq!(left_out(&done), None);
        let failure = stopped(Failure::Failed("letter 0:6 was not replayed: no".into()), &done).to_string();
        assert!(
            failure.ends_with("; what was replayed is recorded (3 letters), the next replay skips it"),
            "{failure}"
        );
        done.cut.push(Place { partition: 0, offset: 9 });
        let said = left_out(&done).expect("something");
        assert!(said.starts_with("1 letter not replayed: 0:9: the letter has only the beginning"), "{said}");
        done.refused.push(Refused { letter: Place { partition: 0, offset: 12 }, reason: "too large".into() });
        let said = left_out(&done).expect("something");
        assert!(said.starts_with("2 letters not replayed: ") && said.ends_with("; 0:12: too large"), "{said}");
        (done.replayed, done.dry_run) = (Vec::new(), true);
        assert!(text(&done, View { width: None, wide: false }).starts_with("0 letters of dead would be replayed\n"));
    }

    #[test]
    fn rates_are_positive_numbers() {
        assert_eq!((rate("5/s"), rate(" 0.5 ")), (Ok(5.0), Ok(0.5)));
        for wrong in ["0", "-1", "x", "5/m", "inf", "NaN", ""] {
            assert!(rate(wrong).is_err(), "{wrong}");
        }
    }
}
