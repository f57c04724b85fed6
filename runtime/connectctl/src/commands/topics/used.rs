//! Topics that connectors have used (KIP-558).

use indexmap::{IndexMap, IndexSet};

use super::super::{Context, Outcome, there};
use crate::{
    consent::{Consent, DryRun, listed},
    error::Failure,
    names::{Names, SomeNames, expand},
    table::{Column, Table},
    watch::Watch,
};

/// What `topics used` takes.
#[derive(Debug, clap::Args)]
pub(super) struct UsedArgs {
    #[command(flatten)]
    names: SomeNames,
    #[command(flatten)]
    watch: Watch,
}

/// What `topics forget` takes.
#[derive(Debug, clap::Args)]
pub(super) struct ForgetArgs {
    #[command(flatten)]
    names: Names,
    #[command(flatten)]
    consent: Consent,
    #[command(flatten)]
    dry_run: DryRun,
}

/// Shows them by connector.
pub(super) async fn show(args: &UsedArgs, context: &Context<'_>) -> Result<(), Failure> {
    args.watch.run(context, async || look(args, context).await).await
}

async fn look(args: &UsedArgs, context: &Context<'_>) -> Result<(), Failure> {
    let known = context.client.names().await?;
    let written = &args.names.names;
    let names = if written.is_empty() { known.clone() } else { expand(written, &context.client).await? };
    let mut all: IndexMap<String, Vec<String>> = IndexMap::new();
    for name in names {
        // Workers answer for connectors that there are not, too.
        there(&name, &known)?;
        let topics = context.client.topics(&name).await?;
        all.insert(name, topics);
    }
    let topics = || all.values().flatten().cloned().collect::<IndexSet<_>>().into_iter().collect();
    context.output.result(&all, topics, |view| {
        let mut table = Table::new([Column::text("NAME").whole(), Column::text("TOPIC").whole()]);
        for (name, topics) in &all {
            topics.iter().for_each(|topic| table.row([name.clone(), topic.clone()]));
        }
        table.render(view.width)
    })
}

/// Forgets them.
pub(super) async fn forget(args: &ForgetArgs, context: &Context<'_>) -> Result<(), Failure> {
    let names = expand(&args.names.names, &context.client).await?;
    let act = async |name: &str| {
        context.client.reset_topics(name).await?;
        Ok(Outcome { detail: Some("topics".into()), ..Outcome::new(name, "forgotten") })
    };
    if args.dry_run.dry_run {
        return context.each(&names, Some("forgotten"), act).await.map(drop);
    }
    // Workers answer for connectors that there are not, too.
    let known = context.client.names().await?;
    let what = |names: &[String]| format!("forget the topics of {}", listed(names));
    context.each_asked(&names, args.consent, what, async |name: &str| there(name, &known), act).await
}
