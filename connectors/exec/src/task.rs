//! From lines to batches of records, and from receipts to acknowledgements.

use std::{collections::VecDeque, sync::Arc};

use connect_api::{
    Bytes, Error, OffsetMap, Result, Schema, SourceBatch, SourceContext, SourceRecord, SourceTask, async_trait,
};
use serde_json::Value as Json;

use crate::{
    ExecConfig, message,
    program::{Program, Sent, Waiting},
};

/// The running task.
pub struct ExecTask {
    config: ExecConfig,
    context: SourceContext,
    partition: Arc<OffsetMap>,
    /// The position that was read last.
    position: Option<Json>,
    program: Option<Program>,
    /// Read, and not handed over yet.
    lines: VecDeque<Waiting>,
    /// Lines that were set aside since the last batch.
    aside: u64,
}

/// Most bytes of the lines of a batch, unless it is a single one.
const BATCH_BYTES: usize = 4 << 20;
/// Where dead letters of lines go that name no topic, as records must have one.
const NOWHERE: &str = "unknown";

impl ExecTask {
    /// Starts the program where it was.
    pub async fn start(config: ExecConfig, context: SourceContext) -> Result<Self> {
        let partition = Arc::new(message::partition());
        let position = context.offset(&partition).await?.as_ref().map(message::position).transpose()?;
        let program = Some(Program::start(&config, position.as_ref())?);
        Ok(Self { config, context, partition, position, program, lines: VecDeque::new(), aside: 0 })
    }

    /// The lines that are there as a batch, up to one that is no record.
    async fn batch(&mut self) -> Result<Option<SourceBatch>> {
        let mut records: Vec<SourceRecord> = Vec::new();
        let (mut read, mut bytes, mut offset) = (0u64, 0, None);
        while let Some(Waiting { line, .. }) = self.lines.front() {
            bytes += line.bytes.len();
            if bytes > BATCH_BYTES && !records.is_empty() {
                break;
            }
            let why = match message::read(self.config.format, self.config.topic.as_deref(), &line.bytes) {
                _ if line.too_long => format!("it is longer than exec.line.limit={} bytes", self.config.line_limit),
                Ok(mut found) => {
                    if let Some(position) = found.offset {
                        found.record.source = Some((self.partition.clone(), message::offset(&position)));
                        offset = Some(position);
                    }
                    records.push(found.record);
                    read += 1;
                    self.lines.pop_front();
                    continue;
                }
                Err(why) => why,
            };
            // What came before it is handed over first, so that it is safe whatever becomes of this one.
            if !records.is_empty() {
                break;
            }
            let topic = self.config.topic.as_deref().unwrap_or(NOWHERE);
            let record = SourceRecord::new(topic).value(Some(Schema::bytes()), Bytes::from(line.bytes.clone()));
            let error = Error::data(format!("a line of the program is no record: {why}"));
            self.context.report(record, error).await?;
            self.lines.pop_front();
            self.aside += 1;
        }
        if records.is_empty() {
            return Ok(None);
        }
        let mut batch = SourceBatch::default();
        let receipt = batch.push_with_receipt(records);
        let lines = read + std::mem::take(&mut self.aside);
        self.position = offset.clone().or(self.position.take());
        if let Some(program) = &self.program {
            // It ends with the first batch that Kafka has not got.
            let _ = program.sent.send(Sent { receipt, lines, offset });
        }
        Ok(Some(batch))
    }

    /// Reads lines, or runs the program again when it has ended and that is asked for.
    async fn read(&mut self) -> Result<()> {
        let most = usize::try_from(self.config.batch_size).unwrap_or(1);
        if let Some(program) = &mut self.program {
            let mut lines = Vec::new();
            if program.lines.recv_many(&mut lines, most).await > 0 {
                self.lines.extend(lines);
                return Ok(());
            }
            let ended = program.ended(&self.config).await;
            self.program = None;
            ended?;
            tracing::info!("the program has ended");
        }
        match &self.config.repeat {
            None => {
                self.context.note(Some("the program has ended; restart the task to run it again".into()));
                std::future::pending().await
            }
            Some(pause) => {
                tokio::time::sleep(pause.0).await;
                self.program = Some(Program::start(&self.config, self.position.as_ref())?);
                self.aside = 0;
                Ok(())
            }
        }
    }
}

#[async_trait]
impl SourceTask for ExecTask {
    async fn poll(&mut self) -> Result<SourceBatch> {
        loop {
            if let Some(batch) = self.batch().await? {
                return Ok(batch);
            }
            self.read().await?;
        }
    }

    async fn stop(&mut self) -> Result<()> {
        if let Some(mut program) = self.program.take() {
            program.stop().await;
        }
        Ok(())
    }
}
