//! `connectctl registry delete`

use serde::Serialize;

use super::{super::Context, LIST, show::version};
use crate::{
    consent::{Consent, DryRun, listed},
    error::Failure,
    names::{matching, not_found},
    places::registry::Registry,
};

/// What `registry delete` takes.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Subjects; also patterns such as 'test.*' and regular expressions such as '/^test/'.
    #[arg(value_name = "SUBJECT", required = true, value_parser = crate::names::name, add = crate::complete::subjects())]
    subjects: Vec<String>,

    /// Only this version, of one subject.
    #[arg(short, long, value_name = "N|latest", value_parser = version)]
    version: Option<String>,

    /// For good, also what was deleted before; records that were written with it can never be read again.
    #[arg(long)]
    permanent: bool,

    #[command(flatten)]
    consent: Consent,
    #[command(flatten)]
    dry_run: DryRun,
}

#[derive(Debug, Serialize)]
struct Deleted {
    subject: String,
    versions: Vec<i32>,
    permanent: bool,
    dry_run: bool,
}

impl Args {
    pub(super) async fn run(&self, registry: &Registry, context: &Context<'_>) -> Result<(), Failure> {
        let client = &registry.client;
        let known = match self.permanent {
            true => registry.answer(client.subjects_with_deleted().await)?,
            false => registry.answer(client.subjects().await)?,
        };
        let names = matching(&self.subjects, &known, "subject", LIST).map_err(Failure::Failed)?;
        if let Some(name) = names.iter().find(|name| !known.contains(name)) {
            return Err(Failure::Failed(not_found("subject", name, &known, LIST)));
        }
        if self.version.is_some() && names.len() > 1 {
            return Err(Failure::Usage("--version is for one subject; name one, or leave it out".into()));
        }
        let (dry_run, permanent) = (self.dry_run.dry_run, self.permanent);
        // What was deleted before can still be deleted for good.
        if let (Some(version), [subject], false) = (&self.version, names.as_slice(), permanent)
            && registry.answer(client.any_version(subject, version).await)?.is_none()
        {
            return Err(missing(subject, version));
        }
        if !dry_run {
            let what = self.version.as_ref().map(|v| format!("version {v} of ")).unwrap_or_default();
            let end = if permanent { " for good" } else { "" };
            self.consent.ask(&format!("delete {what}{}{end}", listed(&names)))?;
        }
        let mut done = Vec::new();
        let mut failure = None;
        for subject in names {
            match self.one(registry, &subject).await {
                Ok(versions) => done.push(Deleted { subject, versions, permanent, dry_run }),
                Err(e @ Failure::Unreachable(_)) => return Err(e),
                Err(e) => {
                    context.output.problem(&e.to_string());
                    failure = Some(Failure::Reported);
                }
            }
        }
        let names = || done.iter().map(|d| d.subject.clone()).collect();
        context.output.result(&done, names, |_| done.iter().map(Deleted::line).collect())?;
        failure.map_or(Ok(()), Err)
    }

    /// Deletes one, and answers which versions.
    async fn one(&self, registry: &Registry, subject: &str) -> Result<Vec<i32>, Failure> {
        let client = &registry.client;
        let Some(version) = &self.version else {
            if self.dry_run.dry_run {
                // One that is deleted already has none.
                return Ok(client.versions(subject).await.unwrap_or_default());
            }
            let softly = registry.answer(client.delete_subject(subject, false).await)?;
            if !self.permanent {
                return Ok(softly.unwrap_or_default());
            }
            let gone = registry.answer(client.delete_subject(subject, true).await)?;
            return Ok(gone.or(softly).unwrap_or_default());
        };
        // The latest is another one once it is deleted.
        let number = match registry.answer(client.any_version(subject, version).await)?.and_then(|v| v.version) {
            Some(number) => number,
            None => version.parse().map_err(|_| missing(subject, version))?,
        };
        if self.dry_run.dry_run {
            return Ok(vec![number]);
        }
        let text = number.to_string();
        let softly = registry.answer(client.delete_version(subject, &text, false).await)?;
        let gone = if self.permanent {
            registry.answer(client.delete_version(subject, &text, true).await)?.or(softly)
        } else {
            softly
        };
        gone.map(|number| vec![number]).ok_or_else(|| missing(subject, version))
    }
}

fn missing(subject: &str, version: &str) -> Failure {
    Failure::Failed(format!("subject {subject} has no version {version}"))
}

impl Deleted {
    fn line(&self) -> String {
        let would = if self.dry_run { "would be " } else { "" };
        let end = if self.permanent { " for good" } else { "" };
        let numbers: Vec<String> = self.versions.iter().map(i32::to_string).collect();
        let versions = match numbers.as_slice() {
            [] => String::new(),
            [one] => format!(": version {one}"),
            several => format!(": versions {}", several.join(", ")),
        };
        format!("{} {would}deleted{end}{versions}\n", self.subject)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_deleted_is_told_with_its_versions() {
        let one = Deleted { subject: "s".into(), versions: vec![1, 3], permanent: false, dry_run: false };
        assert_eq!(one.line(), "s deleted: versions 1, 3\n");
        let one = Deleted { versions: vec![3], permanent: true, dry_run: true, ..one };
        assert_eq!(one.line(), "s would be deleted for good: version 3\n");
    }
}
