//! How `consume` and `tail` show records.

use std::path::PathBuf;

use connect_converters::BareAvro;
use connect_kafka::RawRecord;

use super::{
    super::Context,
    coding::SchemaPlace,
    payload::{As, Decoder},
    shown::{Forms, KeyFilter, Shown, print},
    stamps,
    template::{PLACES, Template},
};
use crate::{error::Failure, output::Written};

/// What both take.
#[derive(Debug, clap::Args)]
pub(crate) struct Showing {
    /// Only records of this key, or of keys that match /REGEX/.
    #[arg(long, value_name = "KEY|/REGEX/", value_parser = KeyFilter::parse)]
    pub(crate) key: Option<KeyFilter>,

    /// As what keys are read.
    #[arg(long, value_enum, value_name = "FORMAT", default_value = "auto")]
    key_format: As,

    /// As what values are read.
    #[arg(long, value_enum, value_name = "FORMAT", default_value = "auto")]
    value_format: As,

    /// Read keys as Avro of this schema, without an id in front: a file, an id of the registry, or subject:NAME[@VERSION].
    #[arg(long, value_name = "SCHEMA", value_parser = SchemaPlace::parse)]
    key_schema: Option<SchemaPlace>,

    /// As --key-schema, of values.
    #[arg(long, value_name = "SCHEMA", value_parser = SchemaPlace::parse)]
    value_schema: Option<SchemaPlace>,

    /// Show each record so.
    #[arg(
        long,
        value_name = "TEXT",
        long_help = format!(
            "Show each record so. In braces may stand {PLACES}; {{{{ is a brace, \\n and \\t are what they are elsewhere."
        ),
        value_parser = Template::parse
    )]
    template: Option<Template>,

    /// Leave this field of values out; may be given several times.
    #[arg(long, value_name = "FIELD")]
    without: Vec<String>,

    /// Write the files that values hold, as objects of fileName and stampData, into this folder.
    #[arg(long, value_name = "FOLDER")]
    stamps: Option<PathBuf>,
}

/// Shows records.
pub(crate) struct Shower<'a> {
    showing: &'a Showing,
    forms: Forms,
    decoder: Decoder<'a>,
    context: &'a Context<'a>,
    /// How many have been shown.
    pub(crate) shown: u64,
    /// How many of them could not be decoded.
    undecodable: u64,
    stamps: u64,
    /// Stamps that could not be written.
    lost: u64,
}

impl Showing {
    /// Gets ready, and the schemas with it.
    pub(crate) async fn shower<'a>(&'a self, context: &'a Context<'a>) -> Result<Shower<'a>, Failure> {
        let forms = Forms {
            key: self.key_format,
            value: self.value_format,
            key_schema: schema(self.key_schema.as_ref(), self.key_format, "key", context).await?,
            value_schema: schema(self.value_schema.as_ref(), self.value_format, "value", context).await?,
        };
        let decoder = Decoder::new(context)?;
        Ok(Shower { showing: self, forms, decoder, context, shown: 0, undecodable: 0, stamps: 0, lost: 0 })
    }
}

async fn schema(
    place: Option<&SchemaPlace>,
    form: As,
    what: &str,
    context: &Context<'_>,
) -> Result<Option<BareAvro>, Failure> {
    let Some(place) = place else { return Ok(None) };
    if !matches!(form, As::Auto | As::Avro) {
        return Err(Failure::Usage(format!("--{what}-schema goes with --{what}-format avro")));
    }
    let text = match place.text()? {
        Some(text) => text,
        None => place.found(context).await?.1,
    };
    let read = BareAvro::new(&text);
    read.map(Some).map_err(|e| Failure::Failed(format!("--{what}-schema: {}", e.one_line())))
}

impl Shower<'_> {
    /// Those of the records that are meant, decoded.
    pub(crate) async fn decode(&mut self, batch: Vec<RawRecord>) -> Vec<Shown> {
        let mut all = Vec::with_capacity(batch.len());
        for raw in batch {
            let record = Shown::new(raw, &self.forms, &mut self.decoder).await;
            if self.showing.key.as_ref().is_none_or(|key| key.matches(record.key.as_ref())) {
                all.push(record);
            }
        }
        all
    }

    /// Shows them and writes their stamps. Tells whether anybody reads on.
    pub(crate) fn show(&mut self, mut records: Vec<Shown>) -> Result<Written, Failure> {
        for record in &mut records {
            self.undecodable += u64::from(record.is_undecodable());
            if let (Some(folder), Some(value)) = (&self.showing.stamps, &record.value) {
                let saved = stamps::save(value.value(), folder);
                self.stamps += saved.written;
                // As with what cannot be decoded, the others are shown all the same.
                for e in saved.problems {
                    self.lost += 1;
                    self.context.output.problem(&format!("record {}:{}: {e}", record.partition, record.offset));
                }
            }
            if let Some(value) = &mut record.value {
                value.without(&self.showing.without);
            }
        }
        self.shown += records.len() as u64;
        match &self.showing.template {
            Some(template) => {
                let mut text = String::new();
                for record in &records {
                    for (what, problem) in record.problems() {
                        let (partition, offset) = (record.partition, record.offset);
                        self.context.output.problem(&format!("record {partition}:{offset}: {what}: {problem}"));
                    }
                    // A field of what has none would be null, which others really are.
                    if !template.wants_fields_of_undecodable(record) {
                        text.push_str(&template.fill(record));
                    }
                }
                self.context.output.foreign(&text)
            }
            None => print(&records, self.context.output),
        }
    }

    /// Says what was not as expected. Stamps that could not be written are a failure.
    pub(crate) fn end(&self) -> Result<(), Failure> {
        if let Some(folder) = self.showing.stamps.as_ref().filter(|_| self.lost > 0 || self.context.output.is_table()) {
            let stamps = if self.stamps == 1 { "stamp" } else { "stamps" };
            let lost = if self.lost > 0 { format!(", {} could not be written", self.lost) } else { String::new() };
            self.context.output.say(&format!("{} {stamps} written to {}{lost}", self.stamps, folder.display()));
        }
        if self.undecodable > 0 {
            let (n, all) = (self.undecodable, self.shown);
            self.context
                .output
                .say(&format!("warning: {n} of {all} records could not be read as what they were said to be"));
        }
        if self.lost > 0 { Err(Failure::Reported) } else { Ok(()) }
    }
}
