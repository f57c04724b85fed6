//! `connectctl dlq purge`

use connect_api::{PartitionOffset, time};
use connect_kafka::{Admin, Role, Span};
use serde::Serialize;

use super::{
    super::Context,
    filter::Which,
    ledger::{Ledger, LedgerArgs},
    letter::{Letter, counted},
    queue::Queue,
    send::Sender,
};
use crate::{
    cluster::no_admin_requests,
    commands::offsets::When,
    consent::{Consent, DryRun, listed},
    error::Failure,
    output::View,
    reading::Reading,
    table::{Column, Table},
};

/// What `dlq purge` takes.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    what: What,
    #[command(flatten)]
    ledger: LedgerArgs,
    #[command(flatten)]
    consent: Consent,
    #[command(flatten)]
    dry_run: DryRun,
}

/// What is to go.
#[derive(Debug, Clone, Copy, clap::Args)]
#[group(required = true, multiple = false)]
struct What {
    /// Letters of records that are older: 2026-11-21T12:00:00Z, milliseconds since 1970, or 90s, 30m, 12h, 7d ago.
    #[arg(long, value_name = "TIME", value_parser = When::parse)]
    before: Option<When>,

    /// All letters that there are now.
    #[arg(long)]
    all: bool,

    /// Letters that have been replayed.
    #[arg(long)]
    replayed: bool,
}

/// What becomes of a partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Cut {
    partition: i32,
    /// Letters that go, counted as offsets.
    deleted: i64,
    /// Letters that stay.
    stays: i64,
    /// Those of them that should go but lie behind one that does not.
    stays_behind: usize,
    /// Offset of the first letter that stays.
    up_to: i64,
}

#[derive(Debug, Serialize)]
struct Done {
    topic: String,
    dry_run: bool,
    partitions: Vec<Cut>,
}

pub(super) async fn run(args: &Args, context: &Context<'_>) -> Result<(), Failure> {
    let queue = Queue::find(&args.which, context).await?;
    let topic = &queue.topic;
    if !queue.others.is_empty() {
        return Err(Failure::Usage(format!(
            "topic {topic} is also the dead letter queue of {}, and Kafka deletes the letters of all; if that is meant, name it \
             with --topic",
            listed(&queue.others)
        )));
    }
    let reading = Reading::new(context).await?;
    if reading.is_embedded().await? {
        return Err(no_admin_requests("deleting dead letters", &reading.kafka));
    }
    let spans = reading.all_of(topic).await?;
    let mut ledger = Ledger::read(&reading, &args.ledger, topic).await?;
    let cuts = cuts(args.what, &queue, &spans, &reading, &ledger).await?;
    let done = Done { topic: topic.to_string(), dry_run: args.dry_run.dry_run, partitions: cuts };
    let deleted: i64 = done.partitions.iter().map(|cut| cut.deleted).sum();
    if deleted > 0 && !done.dry_run {
        args.consent
            .ask(&format!("delete {} of topic {topic}", counted(usize::try_from(deleted).unwrap_or(usize::MAX))))?;
        let place = |cut: &Cut| {
            let span = spans.iter().find(|s| s.partition.partition == cut.partition)?;
            Some(PartitionOffset { partition: span.partition.clone(), offset: cut.up_to })
        };
        let before: Vec<PartitionOffset> = done.partitions.iter().filter(|c| c.deleted > 0).filter_map(place).collect();
        let admin = Admin::new(&reading.kafka.client(Role::Admin)?)?;
        reading.answer(admin.delete_records(&before).await)?;
        let left = spans.iter().zip(&done.partitions).map(|(s, cut)| Span { first: cut.up_to, ..s.clone() });
        ledger.tidy(&Sender::new(&reading.kafka, reading.limit)?, &left.collect::<Vec<_>>()).await?;
    }
    let names = || vec![done.topic.clone()];
    context.output.result(&done, names, |view| text(&done, args.what, view))
}

/// Up to where each partition can be deleted, in the order of the spans.
async fn cuts(
    what: What,
    queue: &Queue,
    spans: &[Span],
    reading: &Reading,
    ledger: &Ledger,
) -> Result<Vec<Cut>, Failure> {
    let mut cuts: Vec<Cut> = spans.iter().map(Cut::of_all).collect();
    if what.all {
        return Ok(cuts);
    }
    let goes = |letter: &Letter| match what.before {
        Some(before) => letter.raw.timestamp.is_some_and(|t| t < before.ms),
        None => ledger.of(letter).is_some(),
    };
    let mut stopped = vec![false; cuts.len()];
    let mut letters = reading.letters(&queue.topic, spans)?;
    while let Some(batch) = letters.next().await? {
        for letter in &batch {
            let Some(index) = cuts.iter().position(|c| c.partition == letter.raw.partition) else { continue };
            match (goes(letter), stopped[index]) {
                (true, true) => cuts[index].stays_behind += 1,
                (false, false) => {
                    stopped[index] = true;
                    cuts[index] = cuts[index].stopping_at(letter.raw.offset);
                }
                _ => {}
            }
        }
    }
    Ok(cuts)
}

impl Cut {
    fn of_all(span: &Span) -> Self {
        let partition = span.partition.partition;
        Self { partition, deleted: (span.end - span.first).max(0), stays: 0, stays_behind: 0, up_to: span.end }
    }

    fn stopping_at(&self, offset: i64) -> Self {
        let stays = self.up_to - offset;
        Self { deleted: self.deleted - stays, stays, up_to: offset, ..self.clone() }
    }
}

fn text(done: &Done, what: What, view: View) -> String {
    let columns = [
        Column::text("TOPIC"),
        Column::number("PARTITION"),
        Column::number(if done.dry_run { "WOULD GO" } else { "DELETED" }),
        Column::number("STAYS"),
        Column::number("FROM"),
    ];
    let mut table = Table::new(columns);
    for cut in &done.partitions {
        let numbers = [i64::from(cut.partition), cut.deleted, cut.stays, cut.up_to].map(|n| n.to_string());
        table.row([done.topic.clone()].into_iter().chain(numbers));
        if cut.stays_behind > 0 {
            let which = match what.before {
                Some(before) => format!("older than {}", time::rfc3339(before.ms)),
                None => "replayed".to_owned(),
            };
            table.note(
                2,
                format!(
                    "{} that are {which} stay: they lie behind letter {}:{}",
                    cut.stays_behind, cut.partition, cut.up_to
                ),
            );
        }
    }
    table.render(view.width)
}

#[cfg(test)]
mod tests {
    use connect_api::TopicPartition;

    use super::*;
    use crate::paint::resolve;

    #[test]
    fn what_goes_and_what_stays_is_shown() {
        let span =
            |partition, first, end| Span { partition: TopicPartition { topic: "d".into(), partition }, first, end };
        let all = Cut::of_all(&span(0, 10, 30));
        assert_eq!((all.deleted, all.stays, all.up_to), (20, 0, 30));
        let cut = Cut { stays_behind: 3, ..all.stopping_at(12) };
        assert_eq!((cut.deleted, cut.stays, cut.up_to), (2, 18, 12));
        let done = Done { topic: "d".into(), dry_run: false, partitions: vec![cut, Cut::of_all(&span(1, 0, 0))] };
        let what = What { before: Some(When { ms: 0 }), all: false, replayed: false };
        let shown = |done: &Done, what| resolve(&text(done, what, View { width: None, wide: false }), false);
        let expected = "\
TOPIC  PARTITION  DELETED  STAYS  FROM
d              0        2     18    12
  3 that are older than 1970-01-01T00:00:00.000Z stay: they lie behind letter 0:12
d              1        0      0     0
";
        assert_eq!(shown(&done, what), expected);
        let trial = Done { dry_run: true, ..done };
        let replayed = shown(&trial, What { before: None, all: false, replayed: true });
        assert!(replayed.contains("WOULD GO") && replayed.contains("3 that are replayed stay"), "{replayed}");
    }
}
