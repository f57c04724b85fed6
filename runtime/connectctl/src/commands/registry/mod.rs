//! `connectctl registry`: schemas by subject, and what may follow them.
//!
//! - `list`, `show`: what is there
//! - `upload`: a schema from a file, tested or registered
//! - `delete`, `compat`: the rest of what changes something

mod compat;
mod delete;
mod list;
mod show;
pub(super) mod upload;

use super::Context;
use crate::{error::Failure, names::not_found, places::registry::Registry};

/// What `registry` takes.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// List subjects, with versions and compatibility levels if they are asked for.
    List(list::Args),
    /// Show a schema: the latest of a subject, another version, or the one with an id.
    Show(show::Args),
    /// Say whether a schema could be registered under a subject, and why not; exit code 1 if it could not.
    Test(upload::TestArgs),
    /// Register a schema under a subject, unless it is there already.
    Upload(upload::UploadArgs),
    /// Delete subjects, or a version of one.
    ///
    /// What is deleted keeps its ids, so that records can still be read, and can be registered again. With --permanent it is
    /// gone for good: records that were written with it can never be read again.
    Delete(delete::Args),
    /// Show or set which schemas may follow each other: for all subjects, or for one.
    Compat(compat::Args),
}

/// Runs the action.
pub async fn run(args: &Args, context: &Context<'_>) -> Result<(), Failure> {
    let registry = context.registry().await?;
    match &args.action {
        Action::List(args) => args.run(&registry, context).await,
        Action::Show(args) => args.run(&registry, context).await,
        Action::Test(args) => args.run(&registry, context).await,
        Action::Upload(args) => args.run(&registry, context).await,
        Action::Delete(args) => args.run(&registry, context).await,
        Action::Compat(args) => args.run(&registry, context).await,
    }
}

impl Registry {
    /// What the registry answered.
    pub(in super::super) fn answer<T>(&self, answer: connect_api::Result<T>) -> Result<T, Failure> {
        answer.map_err(|e| self.failure(e))
    }

    /// What to say of a subject that is not there.
    async fn missing(&self, subject: &str) -> Failure {
        match self.client.subjects().await {
            Ok(known) => Failure::Failed(not_found("subject", subject, &known, LIST)),
            Err(e) => self.failure(e),
        }
    }
}

/// How to see what there is.
const LIST: &str = "connectctl registry list shows those that exist";
