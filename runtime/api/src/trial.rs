//! Test calls: what a connector would do, found out without doing it.
//!
//! Nothing may change by a test call: nothing is written, acknowledged, committed, created or bound. A connector that
//! does not say how that goes ([`crate::SourceConnector::start_trial`], [`crate::SinkConnector::start_trial`]) is not
//! started for one at all.

use async_trait::async_trait;

use crate::{Result, SinkRecord, SourceTask};

/// What is known of the other side after a look at it. That it is not there, or refuses the credentials, is an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Check {
    /// It is there and would take what is asked of it.
    Passed(String),
    /// It is there; the text says what could not be found out.
    Partly(String),
    /// It was not looked at; the text says why.
    NotChecked(String),
}

/// A source connector in a test call.
pub struct SourceTrial {
    /// What was found.
    pub check: Check,
    /// What gives records. Its receipts are answered as failed and its offsets forgotten.
    pub reading: Reading,
}

/// Whether a source can be read without consequences.
pub enum Reading {
    /// A task that is polled until there are enough records, and then stopped.
    Task(Box<dyn SourceTask>),
    /// It cannot; a sentence that says why, and how a person sees records all the same.
    Impossible(String),
}

/// A sink connector in a test call: nothing is put into it.
#[async_trait]
pub trait SinkTrial: Send {
    /// Looks whether the other side is there and would take records, without any effect there.
    async fn check(&mut self) -> Result<Check>;

    /// What would be sent for a record alone.
    fn render(&mut self, record: &SinkRecord) -> Result<Rendering>;
}

/// What a sink would do with a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rendering {
    /// It would send this.
    Sent(Rendered),
    /// It would send nothing; the text says why.
    Nothing(String),
}

/// Something that would be sent. No part of it may show secrets.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rendered {
    /// What is done to what: `POST http://127.0.0.1:8086/write`, `append to /var/log/alarms`.
    pub to: String,
    /// Headers that are settings of the connector, values that are secrets as `[hidden]`.
    pub headers: Vec<(String, String)>,
    /// The text; none where there is no body.
    pub body: Option<String>,
}
