//! `connectctl groups`: groups of consumers, of any program, and of what else Kafka coordinates.
//!
//! - `others`: groups that are none of consumers, such as those of Kafka Connect's workers
//! - `lag`: a group with what it has committed and how far it is behind; `list`, `describe`: showing it
//! - `reset`, `delete`: the commands that change something

mod delete;
mod describe;
mod lag;
mod list;
mod others;
mod reset;

use connect_kafka::OtherGroup;

use super::Context;
use crate::{
    cluster::Asking,
    error::Failure,
    names::{is_pattern, matching, not_found},
    shell,
};

const EXAMPLES: &str = "\
Examples:
  connectctl groups list
  connectctl groups describe influx                  members, and how far behind they are
  connectctl groups reset influx --to-time 2h --dry-run
  connectctl groups reset influx --to-earliest --topic alarms --yes
  connectctl groups delete 'test-*'";

/// What `groups` takes.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// List consumer groups with their states and how many members they have.
    List(list::Args),
    /// Show groups with their members, and per partition what was committed and how far that is from the end.
    Describe(describe::Args),
    /// Have a group go on elsewhere: at the beginning, the end, or a time.
    ///
    /// The group must have no members; stop what reads first. Of a sink connector, whose group is connect-NAME, connectctl
    /// offsets reset does both.
    Reset(reset::Args),
    /// Delete groups with all that they have committed; they must have no members.
    Delete(delete::Args),
}

/// Runs the action.
pub async fn run(args: &Args, context: &Context<'_>) -> Result<(), Failure> {
    match &args.action {
        Action::List(args) => args.run(context).await,
        Action::Describe(args) => args.run(context).await,
        Action::Reset(args) => args.run(context).await,
        Action::Delete(args) => args.run(context).await,
    }
}

/// Names of groups, at least one.
#[derive(Debug, Clone, clap::Args)]
struct Groups {
    /// Names of groups; also patterns such as 'connect-*' and regular expressions such as '/^connect-/'.
    #[arg(value_name = "GROUP", required = true, value_parser = crate::names::name, add = crate::complete::groups())]
    groups: Vec<String>,
}

/// The names of all groups.
async fn known(asking: &Asking) -> Result<Vec<String>, Failure> {
    asking.answer(asking.admin.groups(asking.limit).await)
}

/// The groups that are none of consumers. One that Kafka does not tell of is no reason not to show the rest.
async fn others(asking: &Asking, context: &Context<'_>) -> Vec<OtherGroup> {
    match asking.admin.other_groups(asking.limit).await {
        Ok(found) => found,
        Err(e) => {
            context.output.say(&format!("groups that are none of consumers are not shown: {}", e.one_line()));
            Vec::new()
        }
    }
}

/// As [`meant`], of consumers only: the others have no offsets.
async fn meant_consumers(written: &[String], asking: &Asking, context: &Context<'_>) -> Result<Vec<String>, Failure> {
    let known = known(asking).await?;
    let missing = |name: &String| !known.contains(name) && !is_pattern(name);
    if written.iter().any(missing)
        && let Some(other) = others(asking, context).await.into_iter().find(|o| written.contains(&o.name))
    {
        return Err(Failure::Failed(format!(
            "{}: the group is none of consumers, but of type {}, and has no offsets to change or delete",
            other.name, other.kind
        )));
    }
    meant(written, &known, asking)
}

/// The groups that are meant, each once. A name that there is not is a failure with the nearest one.
fn meant(written: &[String], known: &[String], asking: &Asking) -> Result<Vec<String>, Failure> {
    if let Some(missing) = written.iter().find(|name| !known.contains(name) && !is_pattern(name)) {
        let hint = format!("connectctl groups list shows those of Kafka at {}", asking.kafka.brokers());
        return Err(Failure::Failed(not_found("group", missing, known, &hint)));
    }
    matching(written, known, "group", "connectctl groups list shows those that exist").map_err(Failure::Failed)
}

/// What to say of a group that cannot be changed because of its members.
fn has_members(name: &str, count: usize) -> Failure {
    let who = match name.strip_prefix("connect-") {
        Some(connector) => {
            format!("; if it is that of connector {connector}, connectctl stop {} ends them", shell::word(connector))
        }
        None => "; stop what reads".to_owned(),
    };
    let members = if count == 1 { "1 member".to_owned() } else { format!("{count} members") };
    Failure::Failed(format!("{name}: the group has {members}, which alone may change it{who}"))
}
