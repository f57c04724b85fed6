//! `--wait`: until connectors are where a command sent them.

use std::time::{Duration, Instant};

use connect_rest_model::ConnectorStatus;

use crate::{
    args::seconds,
    commands::{Context, running, status::trace::one_line},
    error::Failure,
    shell,
};

/// What commands take that send connectors somewhere.
#[derive(Debug, Clone, Copy, clap::Args)]
pub struct Wait {
    /// Wait until it has come to pass; how far it has come is said on standard error.
    #[arg(long)]
    pub wait: bool,

    /// Longest time to wait; then the exit code is 5.
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = seconds)]
    pub wait_timeout: Duration,
}

/// Where a connector is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Goal {
    /// Running with all of its tasks.
    Running,
    /// Resting with all of its tasks.
    Paused,
    /// Without tasks.
    Stopped,
    /// No longer there.
    Gone,
    /// Whatever its state is meant to be, nothing of it is on its way there.
    Settled,
}

/// How long a state that may pass must last to be the end: workers show for a moment what was before.
const LASTS: Duration = Duration::from_secs(3);
const EVERY: Duration = Duration::from_millis(300);

/// How a connector stands to its goal.
#[derive(Debug, PartialEq, Eq)]
enum Standing {
    There,
    OnItsWay,
    /// It will not get there by itself, if it stays so.
    Stuck,
    /// It is there, if it stays so.
    Perhaps,
}

struct Waited<'a> {
    name: &'a str,
    goal: Goal,
    said: String,
    /// What has FAILED of it, in one line.
    error: Option<String>,
    doubtful: Option<(Standing, Instant)>,
}

impl Wait {
    /// Waits for all of them, if waiting was asked for.
    pub async fn until(&self, goals: &[(String, Goal)], context: &Context<'_>) -> Result<(), Failure> {
        if !self.wait {
            return Ok(());
        }
        let deadline = Instant::now() + self.wait_timeout;
        let waited = |(name, goal): &'_ (String, Goal)| (name.clone(), *goal);
        let goals: Vec<(String, Goal)> = goals.iter().map(waited).collect();
        let mut open: Vec<Waited<'_>> = goals
            .iter()
            .map(|(name, goal)| Waited { name, goal: *goal, said: String::new(), error: None, doubtful: None })
            .collect();
        let mut stuck = Vec::new();
        loop {
            let mut left = Vec::new();
            for mut one in open {
                match one.look(context).await? {
                    Standing::There => {}
                    Standing::Stuck => stuck.push(one),
                    _ => left.push(one),
                }
            }
            open = left;
            if open.is_empty() {
                break;
            }
            if Instant::now() >= deadline {
                let rest: Vec<String> = open.iter().map(Waited::stands).collect();
                let failed: String = stuck.iter().map(|one| format!("; {}", one.failed())).collect();
                return Err(Failure::TimedOut(format!(
                    "after {} s {}{failed}; connectctl status says more, --wait-timeout waits longer",
                    self.wait_timeout.as_secs_f64(),
                    rest.join(", ")
                )));
            }
            tokio::time::sleep(EVERY).await;
        }
        match stuck.as_slice() {
            [] => Ok(()),
            some => Err(Failure::Failed(format!(
                "{}; connectctl status {} says more",
                some.iter().map(Waited::failed).collect::<Vec<_>>().join("; "),
                shell::words(some.iter().map(|one| one.name))
            ))),
        }
    }
}

impl Waited<'_> {
    /// That it has FAILED, and why.
    fn failed(&self) -> String {
        format!("{} FAILED{}", self.name, self.why())
    }

    /// Where it is, and what has failed of it.
    fn stands(&self) -> String {
        format!("{} is {}{}", self.name, self.said, self.why())
    }

    fn why(&self) -> String {
        self.error.as_ref().map_or_else(String::new, |error| format!(": {error}"))
    }

    async fn look(&mut self, context: &Context<'_>) -> Result<Standing, Failure> {
        self.error = None;
        let (standing, text) = match context.client.status(self.name).await {
            Ok(status) => {
                self.error = error(&status);
                (stands(self.goal, &status), describe(&status))
            }
            Err(Failure::Refused { status: 404, .. }) if self.goal == Goal::Gone => {
                (Standing::There, "gone".to_owned())
            }
            Err(Failure::Refused { status: 404, .. }) => (Standing::OnItsWay, "without status yet".to_owned()),
            Err(e) => return Err(e),
        };
        if self.said != text {
            context.output.say(&format!("{}: {text}", self.name));
            self.said = text;
        }
        if !matches!(standing, Standing::Stuck | Standing::Perhaps) {
            self.doubtful = None;
            return Ok(standing);
        }
        match &self.doubtful {
            Some((before, since)) if *before == standing => {
                let last = since.elapsed() >= LASTS;
                Ok(match standing {
                    Standing::Perhaps if last => Standing::There,
                    Standing::Stuck if last => Standing::Stuck,
                    _ => Standing::OnItsWay,
                })
            }
            _ => {
                self.doubtful = Some((standing, Instant::now()));
                Ok(Standing::OnItsWay)
            }
        }
    }
}

fn describe(status: &ConnectorStatus) -> String {
    let tasks = match status.tasks.len() {
        0 => "no tasks".to_owned(),
        n => format!("{} of {n} tasks running", running(&status.tasks)),
    };
    format!("{}, {tasks}", status.connector.state)
}

/// The error of the connector, or else of the first task that has FAILED.
fn error(status: &ConnectorStatus) -> Option<String> {
    let own = status.connector.trace.as_deref().filter(|_| status.connector.state == "FAILED");
    let of_task = || status.tasks.iter().find(|t| t.state == "FAILED")?.trace.as_deref();
    own.or_else(of_task).map(one_line).filter(|line| !line.is_empty())
}

fn stands(goal: Goal, status: &ConnectorStatus) -> Standing {
    let own = status.connector.state.as_str();
    let all = |state: &str| status.tasks.iter().all(|t| t.state == state);
    let failed = own == "FAILED" || status.tasks.iter().any(|t| t.state == "FAILED");
    match goal {
        Goal::Running | Goal::Settled if failed => Standing::Stuck,
        Goal::Running if own == "RUNNING" && status.tasks.is_empty() => Standing::Perhaps,
        Goal::Running if own == "RUNNING" && all("RUNNING") => Standing::There,
        Goal::Paused if own == "PAUSED" && all("PAUSED") => Standing::There,
        // A task that has failed stays so while its connector rests.
        Goal::Paused if own == "PAUSED" && failed => Standing::Perhaps,
        Goal::Stopped if own == "STOPPED" && status.tasks.is_empty() => Standing::There,
        // What was there before is shown for a moment after a change.
        Goal::Settled if matches!(own, "RUNNING" | "PAUSED" | "STOPPED") && all(own) => Standing::Perhaps,
        _ => Standing::OnItsWay,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(own: &str, tasks: &[&str]) -> ConnectorStatus {
        let tasks: Vec<_> = tasks
            .iter()
            .enumerate()
            .map(|(id, state)| serde_json::json!({ "id": id, "state": state, "worker_id": "w" }))
            .collect();
        let connector = serde_json::json!({ "state": own, "worker_id": "w" });
        let status = serde_json::json!({ "name": "c", "type": "sink", "connector": connector, "tasks": tasks });
        serde_json::from_value(status).expect("status")
    }

    #[test]
    fn each_goal_knows_when_it_is_reached() {
        use Goal::{Paused, Running, Settled, Stopped};
        use Standing::{OnItsWay, Perhaps, Stuck, There};
        for (goal, own, tasks, expected) in [
            (Running, "RUNNING", &["RUNNING", "RUNNING"][..], There),
            (Running, "RUNNING", &["RUNNING", "UNASSIGNED"], OnItsWay),
            (Running, "RUNNING", &["RUNNING", "FAILED"], Stuck),
            (Running, "RUNNING", &[], Perhaps),
            (Running, "PAUSED", &["PAUSED"], OnItsWay),
            (Paused, "PAUSED", &["PAUSED"], There),
            (Paused, "PAUSED", &["RUNNING"], OnItsWay),
            (Paused, "PAUSED", &["FAILED"], Perhaps),
            (Stopped, "STOPPED", &[], There),
            (Stopped, "STOPPED", &["RUNNING"], OnItsWay),
            (Settled, "PAUSED", &[], Perhaps),
            (Settled, "STOPPED", &[], Perhaps),
            (Settled, "RUNNING", &["RUNNING"], Perhaps),
            (Settled, "RUNNING", &["RESTARTING"], OnItsWay),
        ] {
            assert_eq!(stands(goal, &status(own, tasks)), expected, "{goal:?} {own} {tasks:?}");
        }
    }
}
