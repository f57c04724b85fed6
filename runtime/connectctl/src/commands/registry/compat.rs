//! `connectctl registry compat`

use serde::Serialize;

use super::super::Context;
use crate::{consent::DryRun, error::Failure, places::registry::Registry};

/// What `registry compat` takes.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The subject; without one the level that all follow which have none of their own.
    #[arg(value_name = "SUBJECT", add = crate::complete::subjects())]
    subject: Option<String>,

    /// Level from now on.
    #[arg(long, value_enum, value_name = "LEVEL", ignore_case = true)]
    set: Option<Level>,

    /// Have the subject follow the level of all again.
    #[arg(long, requires = "subject", conflicts_with = "set")]
    unset: bool,

    #[command(flatten)]
    dry_run: DryRun,
}

/// Which schemas may follow each other; those that are transitive look at all versions, not at the latest only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
#[value(rename_all = "SCREAMING_SNAKE_CASE")]
enum Level {
    /// Any.
    None,
    /// The new one reads what was written with the one before.
    Backward,
    /// With all before.
    BackwardTransitive,
    /// The one before reads what is written with the new one.
    Forward,
    /// All before do.
    ForwardTransitive,
    /// Both.
    Full,
    /// Both, with all before.
    FullTransitive,
}

impl Level {
    fn name(self) -> &'static str {
        match self {
            Self::None => "NONE",
            Self::Backward => "BACKWARD",
            Self::BackwardTransitive => "BACKWARD_TRANSITIVE",
            Self::Forward => "FORWARD",
            Self::ForwardTransitive => "FORWARD_TRANSITIVE",
            Self::Full => "FULL",
            Self::FullTransitive => "FULL_TRANSITIVE",
        }
    }
}

#[derive(Debug, Serialize)]
struct Answer {
    /// Null for that of all.
    subject: Option<String>,
    level: String,
    /// Whether it is the subject's own.
    own: bool,
    /// What it was, where it was changed, or would be.
    #[serde(skip_serializing_if = "Option::is_none")]
    before: Option<String>,
    dry_run: bool,
}

impl Args {
    pub(super) async fn run(&self, registry: &Registry, context: &Context<'_>) -> Result<(), Failure> {
        let client = &registry.client;
        let subject = self.subject.as_deref();
        let own = registry.answer(client.compatibility(subject).await)?;
        // A level can be set before there is a subject, but a name that is only spelled wrong has none.
        if let Some(subject) = subject.filter(|_| own.is_none() && self.set.is_none())
            && !registry.answer(client.subjects().await)?.iter().any(|known| known == subject)
        {
            return Err(registry.missing(subject).await);
        }
        let of_all = match subject {
            Some(_) => registry.answer(client.compatibility(None).await)?,
            None => own.clone(),
        };
        let Some(of_all) = of_all else {
            // It may be no registry.
            registry.answer(client.subjects().await)?;
            return Err(Failure::Failed(format!("{} has no compatibility levels", registry.url)));
        };
        let now = own.clone().unwrap_or_else(|| of_all.clone());
        let dry_run = self.dry_run.dry_run;
        let answer = |level: &str, own, before| Answer {
            subject: self.subject.clone(),
            level: level.to_owned(),
            own,
            before,
            dry_run,
        };
        let answer = match (self.set.map(Level::name), self.unset) {
            (Some(level), _) => {
                if !dry_run {
                    registry.answer(client.set_compatibility(subject, level).await)?;
                }
                answer(level, subject.is_some(), Some(now))
            }
            (None, true) => {
                if let Some(subject) = subject.filter(|_| !dry_run && own.is_some()) {
                    registry.answer(client.reset_compatibility(subject).await)?;
                }
                answer(&of_all, false, Some(now))
            }
            (None, false) => answer(&now, subject.is_some() && own.is_some(), None),
        };
        let name = || vec![answer.level.clone()];
        context.output.result(&answer, name, |_| answer.line())
    }
}

impl Answer {
    fn line(&self) -> String {
        let subject = self.subject.as_deref().unwrap_or("default");
        let level = match (&self.subject, self.own) {
            (Some(_), false) => format!("{} (default)", self.level),
            _ => self.level.clone(),
        };
        match &self.before {
            Some(before) if self.dry_run => format!("{subject} would be set to {level}, and is {before}\n"),
            Some(before) => format!("{subject} set to {level}, and was {before}\n"),
            None => format!("{subject} {level}\n"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whose_level_it_is_and_what_it_was_is_told() {
        let of = |subject: Option<&str>, own, before: Option<&str>| Answer {
            subject: subject.map(str::to_owned),
            level: "FULL".into(),
            own,
            before: before.map(str::to_owned),
            dry_run: false,
        };
        assert_eq!(of(None, false, None).line(), "default FULL\n");
        assert_eq!(of(Some("s"), true, None).line(), "s FULL\n");
        assert_eq!(of(Some("s"), false, None).line(), "s FULL (default)\n");
        assert_eq!(of(Some("s"), true, Some("NONE")).line(), "s set to FULL, and was NONE\n");
        let tried = Answer { dry_run: true, ..of(None, false, Some("NONE")) };
        assert_eq!(tried.line(), "default would be set to FULL, and is NONE\n");
    }
}
