//! `connectctl dlq list`

use connect_api::{Topic, time};
use connect_kafka::Span;
use indexmap::IndexMap;
use serde::Serialize;

use super::{
    super::{Context, status},
    Place,
    ledger::{Ledger, LedgerArgs},
    letter::Letter,
    queue::{infos, queue_of, without_queue},
    reason::short,
};
use crate::{
    error::Failure,
    names::{expand, is_pattern},
    output::View,
    reading::Reading,
    table::{Column, Table},
    watch::Watch,
};

/// So many reasons are shown to people who do not ask for more.
const REASONS: usize = 3;

/// What `dlq list` takes.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Connectors whose queues are meant; also patterns such as '*-sink' and regular expressions such as '/^alarm-/'. All
    /// without any.
    #[arg(value_name = "CONNECTOR", value_parser = crate::names::name, add = crate::complete::connectors())]
    connectors: Vec<String>,

    /// This topic instead, whoever writes letters to it; then the worker need not be asked.
    #[arg(long, value_name = "TOPIC", add = crate::complete::topics(), conflicts_with = "connectors")]
    topic: Option<String>,

    /// Count reasons among so many of the newest letters of a queue.
    #[arg(long, value_name = "N", default_value = "1000", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    newest: u32,

    #[command(flatten)]
    ledger: LedgerArgs,
    #[command(flatten)]
    watch: Watch,
}

/// How many letters have something in common.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Count {
    /// What they have in common; of a reason the text of the newest letter.
    what: String,
    letters: usize,
}

#[derive(Debug, Serialize)]
struct Newest {
    letter: Place,
    /// Time stamp, which is that of the record that failed.
    time: Option<String>,
    reason: String,
}

#[derive(Debug, Serialize)]
struct Entry {
    /// Null where a topic was named.
    connector: Option<String>,
    topic: String,
    /// Letters in the topic, of whatever connector; null where there is no such topic.
    letters: Option<i64>,
    replayed: usize,
    newest: Option<Newest>,
    /// Among how many of the newest letters, which are the connector's, the rest was counted.
    counted: usize,
    reasons: Vec<Count>,
    stages: Vec<Count>,
    exceptions: Vec<Count>,
    connectors: Vec<Count>,
    tasks: Vec<Count>,
}

impl Args {
    pub(super) async fn run(&self, context: &Context<'_>) -> Result<(), Failure> {
        self.watch.run(context, async || self.look(context).await).await
    }

    async fn look(&self, context: &Context<'_>) -> Result<(), Failure> {
        let queues = self.queues(context).await?;
        if queues.is_empty() {
            context.output.say("no connector has a dead letter queue; errors.deadletterqueue.topic.name names one");
        }
        let mut entries = Vec::new();
        if !queues.is_empty() {
            let reading = Reading::new(context).await?;
            let topics = reading.topics().await?;
            let mut read: IndexMap<Topic, (Vec<Span>, Vec<Letter>, usize)> = IndexMap::new();
            for (connector, topic) in queues {
                let topic: Topic = topic.into();
                let Some(numbers) = topics.get(&*topic) else {
                    entries.push(Entry::new(connector, &topic, None, 0, &[]));
                    continue;
                };
                if !read.contains_key(&topic) {
                    let spans = reading.numbered(&topic, numbers).await?;
                    let newest = reading.newest_letters(&topic, self.newest as usize).await?;
                    let replayed = Ledger::read(&reading, &self.ledger, &topic).await?.count(&spans);
                    read.insert(topic.clone(), (spans, newest, replayed));
                }
                let (spans, newest, replayed) = &read[&topic];
                entries.push(Entry::new(connector, &topic, Some(spans), *replayed, newest));
            }
        }
        let names = || entries.iter().map(|e| e.connector.clone().unwrap_or_else(|| e.topic.clone())).collect();
        let show = |view| if entries.is_empty() { String::new() } else { table(&entries, view, time::now_ms()) };
        context.output.result(&entries, names, show)
    }

    /// Connectors and their queues.
    async fn queues(&self, context: &Context<'_>) -> Result<Vec<(Option<String>, String)>, Failure> {
        if let Some(topic) = &self.topic {
            return Ok(vec![(None, topic.clone())]);
        }
        let names = expand(&self.connectors, &context.client).await?;
        let mut queues = Vec::new();
        for (name, info) in infos(&names, context).await? {
            match queue_of(&info) {
                Some(topic) => queues.push((Some(name), topic.to_owned())),
                None if self.connectors.contains(&name) && !is_pattern(&name) => return Err(without_queue(&name)),
                None => {}
            }
        }
        Ok(queues)
    }
}

impl Entry {
    fn new(connector: Option<String>, topic: &Topic, spans: Option<&[Span]>, replayed: usize, read: &[Letter]) -> Self {
        let is_whose = |l: &&Letter| match (&connector, &l.reason.connector) {
            (Some(wanted), Some(found)) => wanted == found,
            _ => true,
        };
        let letters: Vec<&Letter> = read.iter().filter(is_whose).collect();
        let count = |what: &dyn Fn(&Letter) -> Option<String>| {
            counts(letters.iter().map(|l| what(l).unwrap_or_else(|| "not told".into())), |text| text.to_owned())
        };
        let task = |l: &Letter| Some(format!("{}-{}", l.reason.connector.as_ref()?, l.reason.task.as_ref()?));
        Self {
            topic: topic.to_string(),
            letters: spans.map(|spans| spans.iter().map(|s| s.end - s.first).sum()),
            replayed,
            newest: letters.last().map(|l| Newest {
                letter: l.place(),
                time: l.raw.timestamp.map(time::rfc3339),
                reason: l.reason.line(),
            }),
            counted: letters.len(),
            reasons: counts(letters.iter().map(|l| l.reason.line()), without_numbers),
            stages: count(&|l| l.reason.stage.clone()),
            exceptions: count(&|l| l.reason.exception.as_deref().map(short).map(str::to_owned)),
            connectors: count(&|l| l.reason.connector.clone()),
            tasks: count(&task),
            connector,
        }
    }
}

/// How often each comes, the most frequent first; those are the same for which `kind` is, and the last stands for all.
fn counts(texts: impl Iterator<Item = String>, kind: impl Fn(&str) -> String) -> Vec<Count> {
    let mut found: IndexMap<String, Count> = IndexMap::new();
    for what in texts {
        let count = found.entry(kind(&what)).or_insert_with(|| Count { what: String::new(), letters: 0 });
        (count.what, count.letters) = (what, count.letters + 1);
    }
    let mut all: Vec<Count> = found.into_values().collect();
    all.sort_by_key(|count| std::cmp::Reverse(count.letters));
    all
}

/// The text with each number as one character, for offsets and values would make each reason one of its own.
fn without_numbers(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c.is_ascii_digit() {
            true if out.ends_with('#') => {}
            true => out.push('#'),
            false => out.push(c),
        }
    }
    out
}

fn table(entries: &[Entry], view: View, now: i64) -> String {
    let columns = [
        Column::text("CONNECTOR"),
        Column::text("TOPIC"),
        Column::number("LETTERS"),
        Column::number("REPLAYED"),
        Column::text("NEWEST").optional(),
    ];
    let mut table = Table::new(columns);
    for e in entries {
        let newest = e.newest.as_ref().map(|n| match &n.time {
            Some(time) => format!("{} ({})", n.letter, status::age(time, now)),
            None => n.letter.to_string(),
        });
        let dash = || "-".to_owned();
        table.row([
            e.connector.clone().unwrap_or_else(dash),
            e.topic.clone(),
            e.letters.map_or_else(dash, |n| n.to_string()),
            e.replayed.to_string(),
            newest.unwrap_or_else(dash),
        ]);
        if e.letters.is_none() {
            table.note(2, "there is no such topic: the worker creates it when a task starts");
        }
        let most = if view.wide { usize::MAX } else { REASONS };
        e.reasons.iter().take(most).for_each(|c| table.note(2, format!("{} × {}", c.letters, c.what)));
        if let Some(more) = e.reasons.get(most..).filter(|more| !more.is_empty()) {
            let letters: usize = more.iter().map(|c| c.letters).sum();
            table.note(2, format!("{letters} × {} other reasons; -o wide shows them", more.len()));
        }
        if view.wide && e.counted > 0 {
            let all = [
                ("stages", &e.stages),
                ("exceptions", &e.exceptions),
                ("connectors", &e.connectors),
                ("tasks", &e.tasks),
            ];
            for (title, counts) in all {
                let counts: Vec<String> = counts.iter().map(|c| format!("{} {}", c.letters, c.what)).collect();
                table.note(2, format!("{title}: {}", counts.join(", ")));
            }
        }
    }
    table.render(view.width)
}

#[cfg(test)]
mod tests {
    use connect_api::TopicPartition;

    use super::{super::letter::tests::letter, *};
    use crate::paint::resolve;

    fn entries() -> Vec<Entry> {
        let span = Span { partition: TopicPartition { topic: "dead-alarms".into(), partition: 0 }, first: 2, end: 7 };
        let mut letters: Vec<Letter> = (3..7).map(letter).collect();
        letters[0].reason.trace = Some("a.b.DataException: field x at offset 12".into());
        letters[1].reason.trace = Some("a.b.DataException: field x at offset 345".into());
        letters[3].reason.connector = Some("other".into());
        let topic: Topic = "dead-alarms".into();
        vec![
            Entry::new(Some("influxdb-sink".into()), &topic, Some(&[span]), 1, &letters),
            Entry::new(Some("new".into()), &"dead-new".into(), None, 0, &[]),
        ]
    }

    #[test]
    fn letters_are_counted_by_what_they_have_in_common() {
        let all = entries();
        let counts = |all: &[Count]| all.iter().map(|c| (c.letters, c.what.clone())).collect::<Vec<_>>();
        assert_eq!((all[0].letters, all[0].counted), (Some(5), 3));
        assert_eq!(counts(&all[0].reasons)[0], (2, "DataException: field x at offset 345".into()));
        assert_eq!(counts(&all[0].stages), [(3, "VALUE_CONVERTER".into())]);
        assert_eq!(counts(&all[0].tasks), [(3, "influxdb-sink-0".into())]);
        assert_eq!(all[0].newest.as_ref().map(|n| n.letter.offset), Some(5));
    }

    #[test]
    fn the_table_says_how_many_and_why() {
        let mut all = entries();
        let long = all[0].reasons.pop().expect("two reasons");
        assert_eq!(long.letters, 1);
        let shown = |all: &[Entry], wide| resolve(&table(all, View { width: None, wide }, 1_700_000_060_000), false);
        let expected = "\
CONNECTOR      TOPIC        LETTERS  REPLAYED  NEWEST
influxdb-sink  dead-alarms        5         1  0:5 (60s)
  2 × DataException: field x at offset 345
new            dead-new           -         0  -
  there is no such topic: the worker creates it when a task starts
";
        assert_eq!(shown(&all, false), expected);
        let wide = shown(&all, true);
        assert!(wide.contains("\n  stages: 3 VALUE_CONVERTER\n  exceptions: 3 DataException\n"), "{wide}");
        let count = |n: usize| Count { what: format!("reason {n}"), letters: 10 - n };
        all[0].reasons = (0..5).map(count).collect();
        let text = shown(&all, false);
        assert!(text.contains("\n  8 × reason 2\n  13 × 2 other reasons; -o wide shows them\n"), "{text}");
        assert!(shown(&all, true).contains("\n  6 × reason 4\n"));
    }
}
