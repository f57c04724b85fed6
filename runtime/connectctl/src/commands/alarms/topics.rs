//! Where the alarm topics are, and who writes to them.

use connector_alarm::{Audit, Generation, Kind, generations};

/// The topics.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Topics {
    /// Topic of active alarms.
    #[arg(long, value_name = "TOPIC", default_value = "active-alarms", add = crate::complete::topics())]
    pub(super) active_topic: String,

    /// Topic of shelved alarms.
    #[arg(long, value_name = "TOPIC", default_value = "shelved-alarms", add = crate::complete::topics())]
    pub(super) shelved_topic: String,

    /// Topic of registrations; without it alarms, or registered-alarms where only that exists.
    #[arg(long, value_name = "TOPIC", add = crate::complete::topics())]
    pub(super) registered_topic: Option<String>,
}

impl Topics {
    /// The topic of that kind, given which there are.
    pub(super) fn of(&self, kind: Kind, exists: impl Fn(&str) -> bool) -> String {
        let default = |generation| generations::topic(Kind::Registered, generation);
        match kind {
            Kind::Active => self.active_topic.clone(),
            Kind::Shelved => self.shelved_topic.clone(),
            Kind::Registered => self.registered_topic.clone().unwrap_or_else(|| {
                let (ours, later) = (default(Generation::Generic), default(Generation::Second));
                if !exists(ours) && exists(later) { later.into() } else { ours.into() }
            }),
        }
    }
}

/// Whose schemas are written where a subject has none yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Profile {
    /// Ours, which have room for everything.
    Generic,
    /// Those of JLab's first generation, which its scripts need; what they have no room for, such as messages, is left out, with a
    /// warning.
    Jlab,
    /// Those of JLab's second generation, in the same way.
    #[value(name = "jlab-2")]
    Jlab2,
    /// Those of JLab's last generation; those of its active alarms have to be registered already.
    #[value(name = "jlab-3")]
    Jlab3,
}

impl Profile {
    pub(super) fn generation(self) -> Generation {
        match self {
            Self::Generic => Generation::Generic,
            Self::Jlab => Generation::First,
            Self::Jlab2 => Generation::Second,
            Self::Jlab3 => Generation::Third,
        }
    }
}

/// What commands take that write.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Writes {
    /// Whose schemas to register where the registry has none for the topic; those that are there are followed.
    #[arg(long, value_enum, value_name = "PROFILE", default_value_t = Profile::Generic)]
    pub(super) profile: Profile,

    /// Who writes, for the header user; without it the account.
    #[arg(long, value_name = "NAME")]
    pub(super) user: Option<String>,

    #[command(flatten)]
    pub(super) dry_run: crate::consent::DryRun,
}

impl Writes {
    /// What the headers say.
    pub(super) fn audit(&self) -> Audit {
        Audit::of_process("connectctl".into(), self.user.as_deref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registrations_are_where_they_are() {
        let topics = |named: Option<&str>| Topics {
            active_topic: "a".into(),
            shelved_topic: "s".into(),
            registered_topic: named.map(str::to_owned),
        };
        assert_eq!(topics(None).of(Kind::Registered, |_| false), "alarms");
        assert_eq!(topics(None).of(Kind::Registered, |_| true), "alarms");
        assert_eq!(topics(None).of(Kind::Registered, |t| t == "registered-alarms"), "registered-alarms");
        assert_eq!(topics(Some("x")).of(Kind::Registered, |t| t == "alarms"), "x");
        assert_eq!(
            (topics(None).of(Kind::Active, |_| true), topics(None).of(Kind::Shelved, |_| true)),
            ("a".into(), "s".into())
        );
    }
}
