//! One round: from files to batches of records. Everything here blocks.

use std::{
    fs::File,
    io::BufReader,
    path::{Path, PathBuf},
    sync::Arc,
    vec,
};

use apache_avro::{Reader, Schema as Avro, types::Value as Packet};
use connect_api::{Error, OffsetMap, Result, Schema, SourceRecord, Topic};

use crate::{AlertStreamConfig, config::Encoding, packet, playlist::Position, schema_file};

/// What a round has for the task.
#[derive(Debug)]
pub(crate) enum Played {
    /// Records.
    Batch(Vec<SourceRecord>),
    /// A packet, or the rest of a file, that cannot be sent: a stand-in for the record, and why.
    Broken(Box<SourceRecord>, Error),
}

/// What records are to be like.
#[derive(Debug)]
pub(crate) struct Target {
    topic: Topic,
    partition: Arc<OffsetMap>,
    batch_size: usize,
    encoding: Encoding,
    key_field: Option<String>,
    stamps: bool,
    /// The schema to write packets with, if it is not the files'.
    schema: Option<Avro>,
}

impl Target {
    pub(crate) fn new(config: &AlertStreamConfig, partition: OffsetMap) -> Result<Arc<Target>> {
        Ok(Arc::new(Target {
            topic: config.topic.as_str().into(),
            partition: Arc::new(partition),
            batch_size: steady(usize::try_from(config.batch_size).unwrap_or(1), config.rate),
            encoding: config.encoding,
            key_field: config.key_field.clone(),
            stamps: config.stamps,
            schema: schema_file::read(&config.schema_files)?,
        }))
    }
}

/// The size of batches, small enough for some of them a second.
fn steady(batch_size: usize, rate: f64) -> usize {
    if rate > 0.0 { batch_size.min((rate / 10.0).ceil() as usize) } else { batch_size }
}

/// A round on its way through the files.
pub(crate) struct Round {
    target: Arc<Target>,
    number: i64,
    files: vec::IntoIter<(PathBuf, u64)>,
    open: Option<Container>,
    /// Found while there were records to be returned first.
    broken: Option<Played>,
    /// Files have the same schema, as a rule; converters know a schema again by its address.
    last_schema: Option<(Avro, Schema)>,
}

struct Container {
    path: String,
    reader: Reader<'static, BufReader<File>>,
    /// The schema of structs, if they are wanted.
    schema: Option<Schema>,
    /// The number of the next packet.
    next: u64,
}

impl Round {
    /// A round through these files, each from that packet on.
    pub(crate) fn new(target: Arc<Target>, number: i64, files: Vec<(PathBuf, u64)>) -> Round {
        Round { target, number, files: files.into_iter(), open: None, broken: None, last_schema: None }
    }

    /// The next batch, or what cannot be sent; `None` at the end of the round.
    pub(crate) fn next(&mut self) -> Option<Played> {
        if let Some(broken) = self.broken.take() {
            return Some(broken);
        }
        let mut records = Vec::new();
        while records.len() < self.target.batch_size {
            match self.record() {
                Some(Ok(record)) => records.push(record),
                Some(Err((path, error))) => {
                    let stand_in = SourceRecord::new(self.target.topic.clone()).key(Some(Schema::string()), path);
                    self.broken = Some(Played::Broken(Box::new(stand_in), error));
                    break;
                }
                None => break,
            }
        }
        if records.is_empty() { self.broken.take() } else { Some(Played::Batch(records)) }
    }

    fn record(&mut self) -> Option<Result<SourceRecord, (String, Error)>> {
        loop {
            if self.open.is_none() {
                let (path, skip) = self.files.next()?;
                match self.container(&path, skip) {
                    Ok(container) => self.open = Some(container),
                    Err(error) => return Some(Err((path.to_string_lossy().into_owned(), error))),
                }
            }
            let container = self.open.as_mut()?;
            match container.reader.next() {
                Some(Ok(packet)) => {
                    let made = container.record(&self.target, self.number, packet);
                    return Some(made.map_err(|e| (container.path.clone(), e)));
                }
                Some(Err(e)) => {
                    let path = container.path.clone();
                    let text =
                        format!("reading alert packet {} of {path}: the file is broken from there on", container.next);
                    let error = Error::data(text).caused_by(e);
                    self.open = None;
                    return Some(Err((path, error)));
                }
                None => self.open = None,
            }
        }
    }

    fn container(&mut self, path: &Path, skip: u64) -> Result<Container> {
        let shown = path.to_string_lossy().into_owned();
        let failed = || Error::data(format!("opening {shown}"));
        let file = File::open(path).map_err(|e| failed().caused_by(e))?;
        let mut reader = Reader::new(BufReader::new(file)).map_err(|e| {
            let text = format!("opening {shown}: expected an Avro object container file, as Avro tools write it");
            Error::data(text).caused_by(e)
        })?;
        let schema = match self.target.encoding {
            Encoding::Avro => None,
            Encoding::Struct | Encoding::Json => {
                let avro = self.target.schema.clone();
                let avro = avro.as_ref().unwrap_or_else(|| reader.writer_schema());
                Some(self.schema(avro).map_err(|e| failed().caused_by(e))?)
            }
        };
        for _ in 0..skip {
            // What cannot be read ends the file, and was reported when it was met.
            if !matches!(reader.next(), Some(Ok(_))) {
                break;
            }
        }
        Ok(Container { path: shown, reader, schema, next: skip })
    }

    fn schema(&mut self, avro: &Avro) -> Result<Schema> {
        if let Some((_, schema)) = self.last_schema.as_ref().filter(|(known, _)| known == avro) {
            return Ok(schema.clone());
        }
        let schema = packet::connect_schema(avro)?;
        self.last_schema = Some((avro.clone(), schema.clone()));
        Ok(schema)
    }
}

impl Container {
    fn record(&mut self, target: &Target, round: i64, packet: Packet) -> Result<SourceRecord> {
        let position = Position { round, file: self.path.clone(), record: self.next };
        self.next += 1;
        let packet = if target.stamps { packet } else { packet::without_stamps(packet)? };
        let packet = match &target.schema {
            Some(schema) => packet.resolve(schema).map_err(|e| {
                let Position { record, file, .. } = &position;
                Error::data(format!("packet {record} of {file} is not of the schema of alert.stream.schema.files"))
                    .caused_by(e)
            })?,
            None => packet,
        };
        let mut record = SourceRecord::new(target.topic.clone()).at(&target.partition, position.to_offset());
        if let Some(field) = &target.key_field {
            let key = packet::field_text(&packet, field).ok_or_else(|| {
                let Position { record, file, .. } = &position;
                Error::data(format!("packet {record} of {file} has no text or whole number in field {field}"))
            })?;
            record = record.key(Some(Schema::string()), key);
        }
        Ok(match &self.schema {
            Some(schema) if target.encoding == Encoding::Json => {
                let value = packet::to_value(schema, packet)?;
                record.value(Some(Schema::string()), connect_api::json::to_json(&value).to_string())
            }
            Some(schema) => record.value(Some(schema.clone()), packet::to_value(schema, packet)?),
            None => {
                let schema = target.schema.as_ref().unwrap_or_else(|| self.reader.writer_schema());
                record.value(Some(Schema::bytes()), packet::to_bytes(schema, packet)?)
            }
        })
    }
}
