//! From the lines of a file to records.

use std::{fmt::Display, io, sync::Arc};

use connect_api::{Bytes, Error, Headers, OffsetMap, Result, Schema, SourceRecord, Topic, Value, time};

use crate::{
    config::{Encoding, FileSourceConfig},
    follow::Followed,
    lines::Piece,
    place::Place,
};

/// A line that is no proper record, and why.
pub(crate) type Bad = (SourceRecord, Error);

/// How the lines of a file become records.
#[derive(Debug)]
pub(crate) struct Reading {
    config: Arc<FileSourceConfig>,
    topic: Topic,
    partition: Arc<OffsetMap>,
    file: String,
    headers: Headers,
}

impl Reading {
    /// Of the file with this path, whose offsets are of this partition.
    pub(crate) fn new(config: &Arc<FileSourceConfig>, partition: OffsetMap, file: impl Display) -> Self {
        let (topic, file) = (Topic::from(config.topic.as_str()), file.to_string());
        let mut headers = Headers::new();
        if let Some(name) = &config.header {
            headers.add_string(name.as_str(), file.as_str());
        }
        Self { config: config.clone(), topic, partition: Arc::new(partition), file, headers }
    }

    /// The complete lines of what was read, up to a batch or a bad line. Only the last one carries an offset: it
    /// covers the others, and an offset per line would cost more than the line.
    pub(crate) fn records(&self, followed: &mut Followed) -> (Vec<SourceRecord>, Option<Bad>) {
        let now = time::now_ms();
        let (mut records, mut bad) = (Vec::new(), None);
        let mut position = followed.position();
        while records.len() < self.config.batch_size() {
            let Some(piece) = followed.next_piece() else { break };
            let mut record = SourceRecord::new(self.topic.clone()).timestamp(now);
            record.record.headers = self.headers.clone();
            match value(&self.config, &piece, followed.slice(&piece)) {
                Ok((schema, value)) => records.push(record.value(Some(schema), value)),
                Err(why) => {
                    let bytes = Bytes::copy_from_slice(followed.slice(&piece));
                    let error = Error::data(format!("the line at byte {position} of {} {why}", self.file));
                    bad = Some((record.value(Some(Schema::bytes()), bytes), error));
                    break;
                }
            }
            position = followed.position();
        }
        if let Some(last) = records.last_mut() {
            let place = followed.place();
            // A bad line at the end is not behind that position.
            let ended = place.ended.filter(|_| place.position == position);
            last.source = Some((self.partition.clone(), Place { position, ended, ..place }.to_offset()));
        }
        (records, bad)
    }

    /// Reads on; whether there may be something to take, and what is wrong with the file.
    pub(crate) fn read_more(&self, followed: &mut Followed) -> Result<(bool, Option<Bad>)> {
        match followed.read_more() {
            Ok(is_more) => {
                if followed.is_newly_cut() {
                    tracing::warn!(
                        "file {} ends in the middle of its compressed data, at byte {} of its contents; it is read on when \
                         it grows",
                        self.file,
                        followed.position()
                    );
                }
                Ok((is_more, None))
            }
            Err(e) if e.kind() == io::ErrorKind::InvalidData => {
                let (file, position) = (&self.file, followed.position());
                let doing = format!(
                    "unpacking file {file}: its compressed data is damaged behind byte {position} of its contents, and the \
                     rest is passed over; mend it with gzip's tools and give it another name"
                );
                let mut record = SourceRecord::new(self.topic.clone()).timestamp(time::now_ms());
                record.record.headers = self.headers.clone();
                Ok((true, Some((record, Error::data(doing).caused_by(e)))))
            }
            Err(e) => Err(failed("reading", &self.file, e)),
        }
    }
}

/// The error of something that was done to a file, with the way out.
pub(crate) fn failed(what: &str, file: impl Display, e: io::Error) -> Error {
    let doing = format!("{what} file {file}");
    match e.kind() {
        io::ErrorKind::IsADirectory | io::ErrorKind::InvalidInput => {
            Error::fatal(format!("{doing}: set file to the path of a regular file")).caused_by(e)
        }
        io::ErrorKind::PermissionDenied => {
            Error::retriable(format!("{doing}: let the worker's user read it and its folders, or set file"))
                .caused_by(e)
        }
        _ => Error::retriable(doing).caused_by(e),
    }
}

/// The value of a line, or what is wrong with it and the way out.
fn value(config: &FileSourceConfig, piece: &Piece, bytes: &[u8]) -> Result<(Schema, Value), String> {
    if let Piece::TooLong(_) = piece {
        let limit = config.line_limit;
        return Err(format!("is longer than {limit} bytes: raise file.line.limit, or see whether it is text at all"));
    }
    let text = match config.encoding {
        Encoding::Utf8 => std::str::from_utf8(bytes).map_err(|e| {
            format!(
                "is not UTF-8 from its byte {} on: set file.encoding to what it is, to bytes, or to utf-8-lossy for \
                 replacement characters",
                e.valid_up_to()
            )
        })?,
        Encoding::Utf8Lossy => &String::from_utf8_lossy(bytes),
        Encoding::Latin1 => &bytes.iter().map(|b| char::from(*b)).collect::<String>(),
        Encoding::Bytes => return Ok((Schema::bytes(), Bytes::copy_from_slice(bytes).into())),
    };
    Ok((Schema::string(), text.into()))
}
