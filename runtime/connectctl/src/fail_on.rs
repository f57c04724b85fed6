//! `--fail-on`: states that are an exit code.

use connect_rest_model::{ConnectorStatus, TaskState};

use crate::error::Failure;

/// What commands take that show states.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct FailOn {
    /// Exit with code 4 when a connector or task shown is in this state; several with commas.
    #[arg(long, value_enum, value_name = "STATE", value_delimiter = ',', ignore_case = true)]
    pub fail_on: Vec<Condition>,
}

/// A state, or what makes a task worse than its state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
#[value(rename_all = "UPPER")]
pub enum Condition {
    /// Failed.
    Failed,
    /// Paused.
    Paused,
    /// Stopped.
    Stopped,
    /// Not given to any worker.
    Unassigned,
    /// Being restarted.
    Restarting,
    /// Without any status.
    Unknown,
    /// Running without getting on.
    Stalled,
    /// Trying again what did not succeed.
    Retrying,
}

impl Condition {
    fn name(self) -> &'static str {
        match self {
            Self::Failed => "FAILED",
            Self::Paused => "PAUSED",
            Self::Stopped => "STOPPED",
            Self::Unassigned => "UNASSIGNED",
            Self::Restarting => "RESTARTING",
            Self::Unknown => "UNKNOWN",
            Self::Stalled => "STALLED",
            Self::Retrying => "RETRYING",
        }
    }

    fn holds(self, status: &ConnectorStatus) -> bool {
        let of_task = |task: &TaskState| match self {
            Self::Stalled => task.detail.as_ref().is_some_and(|d| d.stalled.is_some()),
            Self::Retrying => task.detail.as_ref().is_some_and(|d| d.retrying.is_some()),
            _ => task.state == self.name(),
        };
        status.connector.state == self.name() || status.tasks.iter().any(of_task)
    }
}

impl FailOn {
    /// Fails where one of these is in a state that was named.
    pub fn judge<'a>(&self, statuses: impl IntoIterator<Item = &'a ConnectorStatus>) -> Result<(), Failure> {
        let found = statuses.into_iter().any(|status| self.fail_on.iter().any(|c| c.holds(status)));
        if found { Err(Failure::StateFound) } else { Ok(()) }
    }
}
