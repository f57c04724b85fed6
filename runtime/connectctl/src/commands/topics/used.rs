//! Topics that connectors have used (KIP-558).

use indexmap::{IndexMap, IndexSet};

use super::super::{Context, Outcome};
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
        if !known.contains(&name) {
            return Err(Failure::Failed(super::super::missing(&name, &known)));
        }
        let topics = context.client.topics(&name).await?;
        all.insert(name, topics);
    }
    let topics = || all.values().flatten().cloned().collect::<IndexSet<_>>().into_iter().collect();
    context.output.result(&all, topics, |view| {
        let mut table = Table::new([Column::text("NAME"), Column::text("TOPIC")]);
        for (name, topics) in &all {
            topics.iter().for_each(|topic| table.row([name.clone(), topic.clone()]));
        }
        table.render(view.width)
    })
}

/// Forgets them.
pub(super) async fn forget(args: &ForgetArgs, context: &Context<'_>) -> Result<(), Failure> {
    let names = expand(&args.names.names, &context.client).await?;
    let dry_run = args.dry_run.dry_run.then_some("forgotten");
    if dry_run.is_none() {
        args.consent.ask(&format!("forget the topics of {}", listed(&names)))?;
    }
    let known = context.client.names().await?;
    let act = async |name: &str| {
        if !known.iter().any(|k| k == name) {
            return Err(Failure::Failed(super::super::missing(name, &known)));
        }
        context.client.reset_topics(name).await?;
        Ok(Outcome { detail: Some("topics".into()), ..Outcome::new(name, "forgotten") })
    };
    context.each(&names, dry_run, act).await.map(drop)
}
