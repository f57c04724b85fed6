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
    let letters = find(args, &queue, &reading).await?;
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
    context.output.result(&shown, names, |view| text(&shown, view))
}

/// The newest letters that are meant, the newest last.
async fn find(args: &Args, queue: &Queue, reading: &Reading) -> Result<Vec<Letter>, Failure> {
    let all = reading.all_of(&queue.topic).await?;
    let limit = args.limit as usize;
    if args.filter.is_empty() && queue.others.is_empty() {
        let found = reading.newest_letters(&queue.topic, limit).await?;
        // Some may be of connectors that there are not any more; then others are behind them.
        if found.iter().all(|letter| args.filter.matches(letter, queue.connector.as_deref())) {
            return Ok(found);
        }
    }
    let spans = reading.narrow(all, &args.filter).await?;
    let mut letters = reading.letters(&queue.topic, &spans)?;
    // The order is that of all letters, also of those that are not meant.
    let mut ages = Vec::new();
    let mut meant: BTreeMap<i32, VecDeque<Letter>> = BTreeMap::new();
    while let Some(batch) = letters.next().await? {
        ages.extend(batch.iter().map(|letter| Age::of(&letter.raw)));
        for letter in batch.into_iter().filter(|l| args.filter.matches(l, queue.connector.as_deref())) {
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
    Ok(found.into())
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
