//! News for the view: what cannot be asked or decoded at the moment waits, and keeps nothing else from being shown.

use std::{
    collections::{HashSet, VecDeque},
    time::Duration,
};

use connect_api::Bytes;
use connect_kafka::RawRecord;
use connector_alarm::Kind;

use super::super::{replay::Replay, state::Alarms};
use crate::error::Failure;

/// What needs longer is asked for again; meanwhile the rest is shown.
const PATIENCE: Duration = Duration::from_secs(5);

/// What has been read and not been shown yet.
#[derive(Debug, Default)]
pub(super) struct Feed {
    waiting: VecDeque<(Kind, RawRecord)>,
}

impl Feed {
    /// Reads what has been written since. It may be dropped while it waits.
    pub(super) async fn read(&mut self, replay: &mut Replay<'_>) -> Result<(), Failure> {
        let news = replay.news().await?;
        self.waiting.extend(news);
        Ok(())
    }

    /// Takes what has been read, in order for each alarm. Where the registry does not tell a schema, what has that one waits,
    /// with all that comes later about the same alarm, and why is answered. It may be dropped while it waits.
    pub(super) async fn take(&mut self, replay: &mut Replay<'_>, alarms: &mut Alarms) -> Result<(), Failure> {
        let mut held = Held::default();
        let mut problem = Ok(());
        let mut place = 0;
        while let Some((kind, raw)) = self.waiting.get(place) {
            if held.holds(*kind, raw) {
                place += 1;
                continue;
            }
            // What is dropped here is still waiting.
            let taken = tokio::time::timeout(PATIENCE, replay.take(alarms, *kind, raw.clone())).await;
            match taken.unwrap_or_else(|_| Err(silent())) {
                Ok(()) => drop(self.waiting.remove(place)),
                Err(e) => {
                    held.hold(*kind, raw);
                    problem = Err(e);
                    place += 1;
                }
            }
        }
        problem
    }
}

fn silent() -> Failure {
    Failure::Unreachable(format!("the schema registry has not answered within {} s", PATIENCE.as_secs()))
}

/// What has to wait.
#[derive(Debug, Default)]
struct Held {
    keys: HashSet<(Kind, Option<Bytes>)>,
    schemas: HashSet<[u8; 4]>,
}

impl Held {
    fn hold(&mut self, kind: Kind, raw: &RawRecord) {
        self.keys.insert((kind, raw.key.clone()));
        self.schemas.extend(schemas(raw));
    }

    fn holds(&mut self, kind: Kind, raw: &RawRecord) -> bool {
        let held = self.keys.contains(&(kind, raw.key.clone())) || schemas(raw).any(|id| self.schemas.contains(&id));
        if held {
            self.keys.insert((kind, raw.key.clone()));
        }
        held
    }
}

/// The ids of the schemas of key and value, where they are of Avro.
fn schemas(raw: &RawRecord) -> impl Iterator<Item = [u8; 4]> {
    let id = |bytes: &Bytes| bytes.get(1..5).filter(|_| bytes[0] == 0).and_then(|id| id.try_into().ok());
    [&raw.key, &raw.value].into_iter().flatten().filter_map(id).collect::<Vec<_>>().into_iter()
}

#[cfg(test)]
mod tests {
    use connect_api::TimestampType;

    use super::*;

    #[test]
    fn what_has_an_unknown_schema_waits_with_what_comes_later_about_its_alarm() {
        let raw = |key: &'static str, value: Option<&'static [u8]>| RawRecord {
            topic: "t".into(),
            partition: 0,
            offset: 0,
            timestamp: None,
            timestamp_type: TimestampType::CreateTime,
            key: Some(Bytes::from_static(key.as_bytes())),
            value: value.map(Bytes::from_static),
            headers: Vec::new(),
        };
        let mut held = Held::default();
        held.hold(Kind::Active, &raw("pump", Some(b"\0\0\0\0\x07x")));
        for (key, value, waits) in [
            ("door", Some(&b"\0\0\0\0\x06x"[..]), false),
            ("door", None, false),
            ("pump", Some(b"{}"), true),
            ("pump", None, true),
            ("fan", Some(b"\0\0\0\0\x07y"), true),
            ("fan", None, true),
            ("valve", Some(b""), false),
        ] {
            assert_eq!(held.holds(Kind::Active, &raw(key, value)), waits, "{key} {value:?}");
        }
        assert!(!held.holds(Kind::Shelved, &raw("pump", None)), "it is another topic's");
    }
}
