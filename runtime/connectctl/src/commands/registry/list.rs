//! `connectctl registry list`

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde::Serialize;

use super::{super::Context, LIST};
use crate::{
    error::Failure,
    names::matching,
    output::{Format, View},
    places::registry::Registry,
    table::{Column, Table},
    watch::Watch,
};

/// What `registry list` takes.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Subjects that are meant; also patterns such as 'lsst.sal.*' and regular expressions such as '/-value$/'. All without
    /// any.
    #[arg(value_name = "SUBJECT", value_parser = crate::names::name, add = crate::complete::subjects())]
    subjects: Vec<String>,

    /// With the numbers of versions; also with -o wide.
    #[arg(short, long)]
    versions: bool,

    /// With the compatibility level of each; also with -o wide.
    #[arg(short, long)]
    compatibility: bool,

    /// Also those that were deleted, but not for good.
    #[arg(long)]
    deleted: bool,

    #[command(flatten)]
    watch: Watch,
}

#[derive(Debug, Serialize)]
struct Entry {
    subject: String,
    /// Absent where it was not asked for, or where the subject is deleted.
    #[serde(skip_serializing_if = "Option::is_none")]
    versions: Option<Vec<i32>>,
    /// Its own; `default` where it follows that of all.
    #[serde(skip_serializing_if = "Option::is_none")]
    compatibility: Option<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    deleted: bool,
}

/// Requests at the same time.
const MANY: usize = 8;

impl Args {
    pub(super) async fn run(&self, registry: &Registry, context: &Context<'_>) -> Result<(), Failure> {
        self.watch.run(context, async || self.look(registry, context).await).await
    }

    async fn look(&self, registry: &Registry, context: &Context<'_>) -> Result<(), Failure> {
        let alive = registry.answer(registry.client.subjects().await)?;
        let mut known =
            if self.deleted { registry.answer(registry.client.subjects_with_deleted().await)? } else { alive.clone() };
        known.sort();
        let names = if self.subjects.is_empty() {
            known.clone()
        } else {
            matching(&self.subjects, &known, "subject", LIST).map_err(Failure::Failed)?
        };
        if let Some(name) = names.iter().find(|name| !known.contains(name)) {
            return Err(Failure::Failed(crate::names::not_found("subject", name, &known, LIST)));
        }
        let wide = context.output.format == Format::Wide;
        let (versions, levels) = (self.versions || wide, self.compatibility || wide);
        let entry = async |subject: String| {
            let deleted = !alive.contains(&subject);
            let versions = if versions && !deleted {
                Some(registry.answer(registry.client.versions(&subject).await)?)
            } else {
                None
            };
            let compatibility = if levels {
                let own = registry.answer(registry.client.compatibility(Some(&subject)).await)?;
                Some(own.unwrap_or_else(|| "default".into()))
            } else {
                None
            };
            Ok::<_, Failure>(Entry { subject, versions, compatibility, deleted })
        };
        let entries: Vec<Entry> = stream::iter(names).map(entry).buffered(MANY).try_collect().await?;
        if entries.is_empty() {
            context
                .output
                .say(&format!("no subjects at {}; connectctl registry upload SUBJECT FILE makes one", registry.url));
        }
        let default = match levels {
            true => registry.answer(registry.client.compatibility(None).await)?,
            false => None,
        };
        let names = || entries.iter().map(|e| e.subject.clone()).collect();
        context.output.result(&entries, names, |view| text(&entries, default.as_deref(), view))
    }
}

fn text(entries: &[Entry], default: Option<&str>, view: View) -> String {
    if entries.is_empty() {
        return String::new();
    }
    let mut columns = vec![Column::text("SUBJECT").whole()];
    let versions = entries.iter().any(|e| e.versions.is_some());
    let levels = entries.iter().any(|e| e.compatibility.is_some());
    let deleted = entries.iter().any(|e| e.deleted);
    columns.extend(versions.then(|| Column::text("VERSIONS").whole()));
    columns.extend(levels.then(|| Column::text("COMPATIBILITY")));
    columns.extend(deleted.then(|| Column::text("DELETED")));
    let mut table = Table::new(columns);
    for entry in entries {
        let mut cells = vec![entry.subject.clone()];
        if versions {
            let numbers = |all: &Vec<i32>| all.iter().map(i32::to_string).collect::<Vec<_>>().join(", ");
            cells.push(entry.versions.as_ref().map_or_else(|| "-".into(), numbers));
        }
        if levels {
            cells.push(match (entry.compatibility.as_deref(), default) {
                (Some("default"), Some(default)) => format!("default ({default})"),
                (Some(own), _) => own.to_owned(),
                (None, _) => "-".into(),
            });
        }
        if deleted {
            cells.push(if entry.deleted { "yes" } else { "" }.into());
        }
        table.row(cells);
    }
    table.render(view.width)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::paint::resolve;

    fn shown(width: Option<usize>) -> String {
        let entry = |subject: &str, own: &str| Entry {
            subject: subject.into(),
            versions: Some(vec![1, 2, 4]),
            compatibility: Some(own.into()),
            deleted: false,
        };
        let all = [
            entry("active-alarms-value", "default"),
            entry("lsst.sal.Dome_logevent_a_rather_long_name_of_a_to", "FULL"),
            Entry { deleted: true, versions: None, ..entry("old", "default") },
        ];
        resolve(&text(&all, Some("BACKWARD"), View { width, wide: false }), false)
    }

    #[test]
    fn subjects_fit_every_terminal() {
        let expected = "\
SUBJECT                                            VERSIONS  COMPATIBILITY       DELETED
active-alarms-value                                1, 2, 4   default (BACKWARD)
lsst.sal.Dome_logevent_a_rather_long_name_of_a_to  1, 2, 4   FULL
old                                                -         default (BACKWARD)  yes
";
        assert_eq!(shown(Some(200)), expected);
        let narrow = shown(Some(60));
        assert!(narrow.lines().all(|l| l.chars().count() <= 60), "{narrow}");
    }
}
