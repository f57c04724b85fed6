//! `connectctl schemas convert-sal`: what kafkaefd's `salschema convert` does, of files that are here.

use std::path::PathBuf;

use connector_sal::{Conversion, OnError, Topic, convert, convert::write};
use serde::Serialize;

use super::super::{Context, registry::upload::upload};
use crate::{
    consent::DryRun,
    error::Failure,
    output::View,
    table::{Column, Table},
};

/// What stands below the help.
pub(super) const EXAMPLES: &str = "\
Examples:
  git clone --depth 1 https://github.com/lsst-ts/ts_xml
  connectctl schemas convert-sal ts_xml/sal_interfaces/Dome               which topics there are
  connectctl schemas convert-sal ts_xml/sal_interfaces/Dome --write out   a file NAME.json each
  connectctl schemas convert-sal ts_xml --upload --dry-run                what the registry would say";

/// What `schemas convert-sal` takes.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Files of interfaces, or folders with some: of a folder all .xml files below its sal_interfaces, or below itself.
    #[arg(value_name = "FILE|FOLDER", required = true)]
    paths: Vec<PathBuf>,

    /// Write each schema as NAME.json into this folder, which is made if need be.
    #[arg(long, value_name = "FOLDER")]
    write: Option<PathBuf>,

    /// Print the schemas.
    #[arg(long)]
    print: bool,

    /// Register the schemas, each under lsst.sal.NAME.
    #[arg(long)]
    upload: bool,

    /// Stop at the first topic that cannot be converted; then nothing is written and uploaded.
    #[arg(long)]
    strict: bool,

    #[command(flatten)]
    dry_run: DryRun,
}

/// What became of a topic.
#[derive(Debug, Serialize)]
struct Made {
    topic: String,
    subject: String,
    fields: usize,
    /// Where the schema was written, or would be.
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<PathBuf>,
    /// `uploaded`, `unchanged` or `failed`.
    #[serde(skip_serializing_if = "Option::is_none")]
    upload: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    schema: Option<serde_json::Value>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    dry_run: bool,
}

impl Args {
    pub(super) async fn run(&self, context: &Context<'_>) -> Result<(), Failure> {
        let on_error = if self.strict { OnError::Stop } else { OnError::GoOn };
        let Conversion { topics, errors } = convert(&self.paths, on_error);
        let mut failed = !errors.is_empty();
        for e in &errors {
            context.output.problem(&line(e));
        }
        if failed && self.strict {
            return Err(Failure::Reported);
        }
        if topics.is_empty() && !failed {
            context.output.problem("there is no SALCommand, SALEvent or SALTelemetry in what was named");
            failed = true;
        }
        let registry = if self.upload { Some(context.registry().await?) } else { None };
        let mut all = Vec::new();
        for topic in &topics {
            let mut made = self.made(topic)?;
            if let Some(registry) = &registry {
                match upload(registry, &made.subject, &topic.text(), "AVRO", self.dry_run.dry_run).await {
                    Ok(done) => (made.upload, made.id) = (Some(done.result), done.id),
                    Err(e @ Failure::Unreachable(_)) => return Err(e),
                    Err(e) => {
                        context.output.problem(&e.to_string());
                        (made.upload, failed) = (Some("failed"), true);
                    }
                }
            }
            all.push(made);
        }
        let names = || all.iter().map(|made| made.topic.clone()).collect();
        context.output.result(&all, names, |view| text(&all, &topics, self.print, view))?;
        if failed { Err(Failure::Reported) } else { Ok(()) }
    }

    /// The topic's schema, written where that is asked for.
    fn made(&self, topic: &Topic) -> Result<Made, Failure> {
        let file = match &self.write {
            Some(folder) if self.dry_run.dry_run => Some(folder.join(format!("{}.json", topic.name))),
            Some(folder) => Some(write(topic, folder).map_err(|e| Failure::Failed(line(&e)))?),
            None => None,
        };
        Ok(Made {
            topic: topic.name.clone(),
            subject: topic.subject(),
            fields: topic.schema["fields"].as_array().map_or(0, Vec::len),
            file,
            upload: None,
            id: None,
            schema: self.print.then(|| topic.schema.clone()),
            dry_run: self.dry_run.dry_run,
        })
    }
}

/// An error with its causes.
fn line(e: &dyn std::error::Error) -> String {
    let mut text = e.to_string();
    let mut cause = e.source();
    while let Some(e) = cause {
        text.push_str(&format!(": {e}"));
        cause = e.source();
    }
    text
}

fn text(all: &[Made], topics: &[Topic], print: bool, view: View) -> String {
    if print {
        return topics.iter().map(Topic::text).collect();
    }
    if all.is_empty() {
        return String::new();
    }
    let (written, sent) = (all.iter().any(|m| m.file.is_some()), all.iter().any(|m| m.upload.is_some()));
    let mut columns = vec![Column::text("TOPIC"), Column::number("FIELDS")];
    columns.extend(sent.then(|| Column::text("REGISTRY")));
    columns.push(Column::text("SUBJECT").optional());
    columns.extend(written.then(|| Column::text("FILE").optional()));
    let mut table = Table::new(columns);
    for made in all {
        let mut cells = vec![made.topic.clone(), made.fields.to_string()];
        if sent {
            let would = if made.dry_run && made.upload == Some("uploaded") { "would be " } else { "" };
            let id = made.id.map(|id| format!(", id {id}")).unwrap_or_default();
            cells.push(format!("{would}{}{id}", made.upload.unwrap_or("-")));
        }
        cells.push(made.subject.clone());
        if written {
            cells.push(made.file.as_ref().map(|f| f.display().to_string()).unwrap_or_default());
        }
        table.row(cells);
    }
    table.render(view.width)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::paint::resolve;

    fn shown(made: Made, width: usize) -> String {
        resolve(&text(&[made], &[], false, View { width: Some(width), wide: false }), false)
    }

    fn made() -> Made {
        Made {
            topic: "Dome_wind".into(),
            subject: "lsst.sal.Dome_wind".into(),
            fields: 9,
            file: None,
            upload: Some("uploaded"),
            id: Some(3),
            schema: None,
            dry_run: false,
        }
    }

    #[test]
    fn topics_are_listed_with_what_became_of_them() {
        let expected = "\
TOPIC      FIELDS  REGISTRY        SUBJECT
Dome_wind       9  uploaded, id 3  lsst.sal.Dome_wind
";
        assert_eq!(shown(made(), 60), expected);
        assert_eq!(shown(made(), 200), expected);
        let written = Made { file: Some("out/Dome_wind.json".into()), dry_run: true, id: None, ..made() };
        let expected = "\
TOPIC      FIELDS  REGISTRY           SUBJECT             FILE
Dome_wind       9  would be uploaded  lsst.sal.Dome_wind  out/Dome_wind.json
";
        assert_eq!(shown(written, 200), expected);
        let listed = Made { upload: None, ..made() };
        assert_eq!(shown(listed, 60), "TOPIC      FIELDS  SUBJECT\nDome_wind       9  lsst.sal.Dome_wind\n");
    }
}
