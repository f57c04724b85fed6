//! Writes records to the files of their partitions.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, atomic::Ordering},
};

use connect_api::{
    Counter, Error, ErrorClass, PartitionOffset, Result, SinkContext, SinkRecord, SinkTask, Topic, TopicPartition,
    async_trait,
};

use tokio::time::Instant;

use super::{
    partition::{Partition, Place, Trouble},
    setup::Setup,
};

/// What a task has of a partition.
enum State {
    /// Nothing: its files are taken up with its next record.
    Closed,
    /// Its files.
    Open(Box<Partition>),
    /// Somebody removed some of it, so that it begins anew once the worker has been told at the next flush; until then
    /// records are passed over, as they come again.
    Lost(String),
}

/// A running task.
pub struct FilesTask {
    context: SinkContext,
    setup: Setup,
    partitions: BTreeMap<TopicPartition, State>,
    completed: Counter,
    line: Vec<u8>,
}

impl FilesTask {
    /// Makes the task ready.
    pub fn new(setup: Setup, context: SinkContext) -> Self {
        let completed = context.counter("tocsin_file_sink_files_total", "Files that are complete.", &[]);
        Self { context, setup, partitions: BTreeMap::new(), completed, line: Vec::new() }
    }

    /// Takes up a partition's files, unless that is done.
    fn load(&mut self, name: &TopicPartition, id: Option<&str>) -> Result<()> {
        if self.is_closed(name) {
            let partition = Partition::load(&self.setup, self.context.connector(), name, id)?;
            self.partitions.insert(name.clone(), State::Open(Box::new(partition)));
        }
        Ok(())
    }

    fn is_closed(&self, name: &TopicPartition) -> bool {
        matches!(self.partitions.get(name), None | Some(State::Closed))
    }

    async fn id(&self, topic: &Topic) -> Result<Option<Arc<str>>> {
        Ok(self.context.topic_ids(std::slice::from_ref(topic)).await?.remove(topic))
    }

    /// Whether the record is to be written. Makes the partition ready for it.
    async fn is_new(&mut self, name: &TopicPartition, record: &SinkRecord) -> Result<bool> {
        if self.is_closed(name) {
            let id = self.id(&name.topic).await?;
            tokio::task::block_in_place(|| self.load(name, id.as_deref()))?;
        }
        let mut asked = false;
        loop {
            let Some(State::Open(partition)) = self.partitions.get_mut(name) else { return Ok(false) };
            match partition.place(record, asked)? {
                Place::New => return Ok(true),
                Place::Written => {
                    partition.pass_over(record);
                    return Ok(false);
                }
                Place::Unsure => {}
            }
            let id = self.id(&name.topic).await?;
            asked = true;
            let Some(state) = self.partitions.get_mut(name) else { return Ok(false) };
            let State::Open(partition) = state else { return Ok(false) };
            if partition.is_of(id.as_deref()) {
                continue;
            }
            match tokio::task::block_in_place(|| partition.begin_anew(&self.setup, id.as_deref())) {
                Ok(completed) => self.completed.add(completed as u64),
                Err(Trouble::Failed(e)) => return Err(e),
                Err(Trouble::Lost(why)) => {
                    *state = State::Lost(why);
                    self.context.request_commit();
                }
            }
        }
    }

    /// Takes a record; nothing is written yet.
    async fn take(&mut self, name: &TopicPartition, record: &SinkRecord) -> Result<()> {
        if !self.is_new(name, record).await? {
            return Ok(());
        }
        let Self { context, setup, partitions, line, .. } = self;
        let Some(State::Open(partition)) = partitions.get_mut(name) else { return Ok(()) };
        line.clear();
        let made = setup.lines.write(record, line).and_then(|()| partition.series(setup, record));
        match made {
            Ok(series) => partition.add(setup, &series, record, line),
            Err(e) if e.class() == ErrorClass::Data => {
                context.report(record, e).await?;
                partition.pass(record);
            }
            Err(e) => return Err(e),
        }
        Ok(())
    }

    /// Writes what was taken of these partitions; those that lost something begin anew after the next flush.
    fn settle(&mut self, names: &BTreeSet<TopicPartition>) -> Result<()> {
        for name in names {
            let Some(state) = self.partitions.get_mut(name) else { continue };
            let State::Open(partition) = state else { continue };
            match partition.settle(&self.setup) {
                Ok(completed) => self.completed.add(completed as u64),
                Err(Trouble::Failed(e)) => return Err(e),
                Err(Trouble::Lost(why)) => {
                    *state = State::Lost(why);
                    self.context.request_commit();
                }
            }
        }
        self.close_unused()
    }

    fn close_unused(&mut self) -> Result<()> {
        let Some(beyond) = self.setup.open.load(Ordering::Relaxed).checked_sub(self.setup.open_limit) else {
            return Ok(());
        };
        let opened = self.partitions.values_mut().filter_map(|state| match state {
            State::Open(partition) => Some(partition),
            _ => None,
        });
        let mut files: Vec<_> = opened.flat_map(|partition| partition.open_files()).collect();
        files.sort_by_key(|open| open.used);
        files.into_iter().take(beyond).try_for_each(|open| open.close(&self.setup))
    }

    /// Makes what was put of a partition safe.
    fn checkpoint(&mut self, name: &TopicPartition) -> Result<()> {
        let Some(state) = self.partitions.get_mut(name) else { return Ok(()) };
        let why = match state {
            State::Closed => return Ok(()),
            State::Lost(why) => std::mem::take(why),
            State::Open(partition) => match partition.checkpoint(&self.setup) {
                Ok(completed) => {
                    self.completed.add(completed as u64);
                    return Ok(());
                }
                Err(Trouble::Failed(e)) => return Err(e),
                Err(Trouble::Lost(why)) => why,
            },
        };
        *state = State::Closed;
        Err(Error::retriable(why))
    }
}

#[async_trait]
impl SinkTask for FilesTask {
    async fn open(&mut self, partitions: &[TopicPartition]) -> Result<()> {
        // The next put tries it again and says so; a task that had the partition may be about to end.
        let later = |e: Error| {
            if e.class() == ErrorClass::Retriable {
                tracing::debug!("{}", e.one_line());
                Ok(())
            } else {
                Err(e)
            }
        };
        let topics: BTreeSet<Topic> = partitions.iter().map(|partition| partition.topic.clone()).collect();
        let ids = match self.context.topic_ids(&topics.into_iter().collect::<Vec<_>>()).await {
            Ok(ids) => ids,
            Err(e) => return later(e),
        };
        tokio::task::block_in_place(|| {
            partitions.iter().try_for_each(|partition| {
                self.load(partition, ids.get(&partition.topic).map(|id| &**id)).or_else(later)
            })
        })
    }

    async fn put(&mut self, records: &[SinkRecord]) -> Result<()> {
        let mut names = BTreeSet::new();
        for (name, state) in &mut self.partitions {
            if let State::Open(partition) = state {
                partition.end_overdue(&self.setup);
                names.insert(name.clone());
            }
        }
        for record in records {
            let origin = &record.origin;
            let name = TopicPartition { topic: origin.topic.clone(), partition: origin.partition };
            self.take(&name, record).await?;
            if !names.contains(&name) {
                names.insert(name);
            }
        }
        tokio::task::block_in_place(|| self.settle(&names))
    }

    // Files whose time is over become complete although no record comes.
    fn due(&self) -> Option<Instant> {
        let opened = self.partitions.values().filter_map(|state| match state {
            State::Open(partition) => partition.remaining(&self.setup),
            _ => None,
        });
        opened.min().map(|left| Instant::now() + left)
    }

    async fn flush(&mut self, offsets: &[PartitionOffset]) -> Result<Vec<PartitionOffset>> {
        tokio::task::block_in_place(|| {
            // A partition with trouble is no reason for others not to be safe.
            let results: Vec<_> = offsets.iter().map(|o| self.checkpoint(&o.partition)).collect();
            results.into_iter().collect::<Result<Vec<()>>>()
        })?;
        Ok(offsets.to_vec())
    }

    async fn close(&mut self, partitions: &[TopicPartition]) -> Result<()> {
        for partition in partitions {
            self.partitions.remove(partition);
        }
        Ok(())
    }

    async fn stop(&mut self) -> Result<()> {
        self.partitions.clear();
        Ok(())
    }
}
