//! `connectctl dlq show`

use std::collections::{BTreeMap, VecDeque};

use super::{
    super::Context,
    filter::{Filter, Which},
    ledger::{Ledger, LedgerArgs},
    letter::{Letter, Shown},
    payload::Decoder,
    queue::{Age, Queue, in_order},
};
use crate::{error::Failure, output::View, page::Page, reading::Reading};

/// What `dlq show` takes.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    filter: Filter,

    /// At most so many, the newest; the last one shown is the newest, as connectctl dlq list has it.
    #[arg(long, value_name = "N", default_value = "10", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    limit: u32,

    #[command(flatten)]
    ledger: LedgerArgs,
}

pub(super) async fn run(args: &Args, context: &Context<'_>) -> Result<(), Failure> {
    let queue = Queue::find(&args.which, context).await?;
    let reading = Reading::new(context).await?;
    let Found { letters, all } = find(args, &queue, &reading).await?;
    let ledger = Ledger::read(&reading, &args.ledger, &queue.topic).await?;
    let mut decoder = Decoder::new(context)?;
    let mut shown = Vec::with_capacity(letters.len());
    for letter in letters {
        let replayed = ledger.of(&letter).cloned();
        shown.push(Shown::new(letter, replayed, &mut decoder).await);
    }
    if shown.is_empty() {
        let such = if args.filter.is_empty() { "" } else { " such" };
        context.output.say(&format!("there are no{such} dead letters in topic {}", queue.topic));
    }
    let names = || shown.iter().map(Shown::place).collect();
    context.output.result(&shown, names, |view| text(&shown, view))?;
    if let Some(remark) = more(shown.len(), all, &args.filter) {
        context.output.say(&remark);
    }
    Ok(())
}

/// What to say where not all letters are shown.
fn more(shown: usize, all: usize, filter: &Filter) -> Option<String> {
    let such = if filter.is_empty() { "" } else { "such " };
    let text = || format!("{shown} of {all} {such}letters, the newest; --limit N shows more");
    (shown > 0 && all > shown).then(text)
}

/// Letters that are meant.
struct Found {
    /// Those that are to be shown, the newest last.
    letters: Vec<Letter>,
    /// How many there are; of a whole queue as [`connectctl dlq list`](super::list) counts them.
    all: usize,
}

/// The newest letters that are meant.
async fn find(args: &Args, queue: &Queue, reading: &Reading) -> Result<Found, Failure> {
    let all = reading.all_of(&queue.topic).await?;
    let limit = args.limit as usize;
    if args.filter.is_empty() && queue.others.is_empty() {
        let found = reading.newest_letters(&queue.topic, limit).await?;
        // Some may be of connectors that there are not any more; then others are behind them.
        if found.iter().all(|letter| args.filter.matches(letter, queue.connector.as_deref())) {
            let count: i64 = all.iter().map(|span| span.end - span.first).sum();
            // Offsets may have no letter, as those of transactions' ends.
            let all = if found.len() < limit { found.len() } else { usize::try_from(count).unwrap_or_default() };
            return Ok(Found { letters: found, all });
        }
    }
    let spans = reading.narrow(all, &args.filter).await?;
    let mut letters = reading.letters(&queue.topic, &spans)?;
    // The order is that of all letters, also of those that are not meant.
    let mut ages = Vec::new();
    let mut meant: BTreeMap<i32, VecDeque<Letter>> = BTreeMap::new();
    let mut count = 0;
    while let Some(batch) = letters.next().await? {
        ages.extend(batch.iter().map(|letter| Age::of(&letter.raw)));
        for letter in batch.into_iter().filter(|l| args.filter.matches(l, queue.connector.as_deref())) {
            count += 1;
            let of_partition = meant.entry(letter.raw.partition).or_default();
            if of_partition.len() == limit {
                of_partition.pop_front();
            }
            of_partition.push_back(letter);
        }
    }
    let mut found = VecDeque::new();
    for age in in_order(ages, |age| *age).iter().rev() {
        let of_partition = meant.get_mut(&age.place.partition);
        let of_partition = of_partition.filter(|all| all.back().is_some_and(|last| last.place() == age.place));
        found.extend(of_partition.and_then(VecDeque::pop_back));
        if found.len() == limit {
            break;
        }
    }
    found.make_contiguous().reverse();
    Ok(Found { letters: found.into(), all: count })
}

fn text(shown: &[Shown], view: View) -> String {
    let mut page = Page::new(view.width);
    for (index, letter) in shown.iter().enumerate() {
        if index > 0 {
            page.text.push('\n');
        }
        letter.write(&mut page, view.wide);
    }
    page.text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn that_there_are_more_letters_is_said() {
        let some = Filter { stage: vec!["TASK_PUT".into()], ..Filter::default() };
        let text = "10 of 13 letters, the newest; --limit N shows more";
        assert_eq!(more(10, 13, &Filter::default()).as_deref(), Some(text));
        let text = "1 of 2 such letters, the newest; --limit N shows more";
        assert_eq!(more(1, 2, &some).as_deref(), Some(text));
        assert_eq!((more(10, 10, &some), more(0, 0, &some)), (None, None));
    }
}
