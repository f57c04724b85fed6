//! The rules over time: what the topic says now, and what is on its way there.
//!
//! The table of `active-alarms` lags behind what this writer has sent. Until it has caught up, the writer's own last
//! change counts, together with what other writers visibly did: an acknowledgement, or an alarm that is back.

use std::{collections::HashMap, sync::Arc};

use connect_api::{Result, Table, TaskContext};

use crate::{
    Alarm, AlarmConfig, RegisteredAlarm,
    rules::{self, Change, Policy, State},
};

/// How long a tombstone may take to show in the table. An alarm that is there for longer is really there.
const SETTLED_AFTER_MS: i64 = 30_000;
/// From this size on, entries that have served their time are removed.
const SWEEP_AT: usize = 1024;

/// Decides what to write about alarms; one per task.
#[derive(Debug)]
pub struct Engine {
    alarms: Table,
    registered: Option<Table>,
    message_updates: bool,
    /// What this writer has last written or found, per alarm.
    own: HashMap<Arc<str>, Own>,
    sweep_at: usize,
}

#[derive(Debug)]
struct Own {
    /// The state after the last change; none after a tombstone.
    state: Option<Alarm>,
    /// What the table said when that was decided: seeing it again is no news.
    before: Option<Alarm>,
    /// The last alarm that was written, which a late table may still show.
    last: Option<Alarm>,
    /// When the change was decided, milliseconds since 1970.
    at: i64,
}

/// The change of one alarm.
#[derive(Debug, Clone, PartialEq)]
pub struct NamedChange {
    /// Name of the alarm.
    pub name: Arc<str>,
    /// What to write.
    pub change: Change,
    /// The alarm as it was.
    pub before: Option<Alarm>,
}

impl Engine {
    /// Follows the topics of the settings. What they hold at this moment has been read when this returns.
    pub async fn start(config: &AlarmConfig, context: &TaskContext) -> Result<Engine> {
        let alarms = context.table(&config.topic).await?;
        let registered = match &*config.registered_topic {
            "" => None,
            topic => Some(context.table(topic).await?),
        };
        Ok(Engine::new(alarms, registered, config.message_updates))
    }

    /// An engine over tables that are followed already; without registered alarms none is latching.
    pub fn new(alarms: Table, registered: Option<Table>, message_updates: bool) -> Engine {
        Engine { alarms, registered, message_updates, own: HashMap::new(), sweep_at: SWEEP_AT }
    }

    /// What to write when something was seen; `None` if that is no news. The change counts as written.
    ///
    /// An alarm that somebody removed stays away while what is seen stays the same.
    pub fn observe(&mut self, name: &Arc<str>, seen: &State, now_ms: i64) -> Option<NamedChange> {
        let row = self.row(name);
        let current = self.current(name, row.as_ref(), now_ms);
        match rules::change(current.as_ref(), seen, self.policy(name)) {
            Some(change) => {
                self.remember(name, &change, row, now_ms);
                Some(NamedChange { name: name.clone(), change, before: current })
            }
            None => {
                // What was found instead of written is remembered, too.
                if let Some(found) = current.filter(|_| !self.own.contains_key(name)) {
                    self.own.insert(
                        name.clone(),
                        Own { state: Some(found.clone()), before: row, last: Some(found), at: now_ms },
                    );
                }
                None
            }
        }
    }

    /// Tombstones for the alarms of `source` that it does not watch any more, by a look at the whole table.
    pub fn vanished(&mut self, source: &str, is_watched: impl Fn(&str) -> bool, now_ms: i64) -> Vec<NamedChange> {
        let rows = self.alarms.snapshot().into_iter();
        let alarms = rows.filter_map(|(name, row)| Some((name, Alarm::active(&row.value)?)));
        let gone: Vec<_> = alarms.filter(|(name, alarm)| alarm.source == source && !is_watched(name)).collect();
        let clear = |(name, alarm): (Arc<str>, Alarm)| {
            self.remember(&name, &Change::Clear, Some(alarm.clone()), now_ms);
            NamedChange { name, change: Change::Clear, before: Some(alarm) }
        };
        gone.into_iter().map(clear).collect()
    }

    /// What to write after others have changed the table: alarms that are latched and now acknowledged, and alarms of
    /// `source` that are back though all is well, as after an acknowledgement that came too late.
    pub fn review(&mut self, source: &str, is_normal: impl Fn(&str) -> bool, now_ms: i64) -> Vec<NamedChange> {
        let mut changes = Vec::new();
        for (name, row) in self.alarms.snapshot() {
            if !is_normal(&name) {
                continue;
            }
            let Some(alarm) = Alarm::active(&row.value) else { continue };
            // An alarm that somebody else raised by hand is left to them.
            if (alarm.acknowledged || alarm.source == source)
                && let Some(change) = self.observe(&name, &State::Normal, now_ms)
            {
                changes.push(change);
            }
        }
        changes
    }

    /// Waits until the table has changed; cancel-safe. Never resolves once nothing follows the topic any more.
    pub async fn changed(&mut self) {
        if !self.alarms.changed().await {
            std::future::pending::<()>().await;
        }
    }

    fn row(&self, name: &str) -> Option<Alarm> {
        self.alarms.get(name).and_then(|row| Alarm::active(&row.value))
    }

    fn policy(&self, name: &str) -> Policy {
        let row = self.registered.as_ref().and_then(|table| table.get(name));
        let latching = row.is_some_and(|row| RegisteredAlarm::from_value(&row.value).latching);
        Policy { latching, message_updates: self.message_updates }
    }

    /// The state of the alarm once everything that was written has arrived.
    fn current(&self, name: &str, row: Option<&Alarm>, now_ms: i64) -> Option<Alarm> {
        let Some(own) = self.own.get(name) else { return row.cloned() };
        let is_news = row != own.before.as_ref();
        match (&own.state, row) {
            (Some(state), Some(row)) if is_news && row.priority == state.priority => {
                Some(Alarm { acknowledged: row.acknowledged, ..state.clone() })
            }
            (Some(state), _) => Some(state.clone()),
            (None, Some(row)) => {
                let settled = now_ms - own.at > SETTLED_AFTER_MS;
                (settled || is_news && own.last.as_ref() != Some(row)).then(|| row.clone())
            }
            (None, None) => None,
        }
    }

    fn remember(&mut self, name: &Arc<str>, change: &Change, before: Option<Alarm>, now_ms: i64) {
        let state = match change {
            Change::Write(alarm) => Some(alarm.clone()),
            Change::Clear => None,
        };
        let last = state.clone().or_else(|| self.own.remove(name.as_ref()).and_then(|own| own.last));
        self.own.insert(name.clone(), Own { state, before, last, at: now_ms });
        if self.own.len() >= self.sweep_at {
            self.own.retain(|_, own| own.state.is_some() || now_ms - own.at <= SETTLED_AFTER_MS);
            self.sweep_at = SWEEP_AT.max(self.own.len() * 2);
        }
    }
}

#[cfg(test)]
mod tests {
    use connect_api::{Headers, Row, TableWriter};

    use super::*;
    use crate::Priority;

    /// An engine with a topic whose records arrive when the test says so.
    struct Stage {
        engine: Engine,
        alarms: TableWriter,
        registered: TableWriter,
        clock: i64,
    }

    fn row(value: connect_api::Value) -> Option<Row> {
        Some(Row { schema: None, value, headers: Headers::new(), timestamp: None })
    }

    impl Stage {
        fn new() -> Stage {
            let ((table, alarms), (others, registered)) = (Table::new(), Table::new());
            Stage { engine: Engine::new(table, Some(others), false), alarms, registered, clock: 0 }
        }

        fn see(&mut self, state: &State) -> Option<Change> {
            self.clock += 1;
            self.engine.observe(&"a".into(), state, self.clock).map(|c| c.change)
        }

        fn raise(&mut self, priority: Priority) -> Option<Change> {
            self.see(&State::Raised(alarm(priority)))
        }

        fn clear(&mut self) -> Option<Change> {
            self.see(&State::Normal)
        }

        fn arrives(&self, name: &str, alarm: Option<&Alarm>) {
            self.alarms.put(name, alarm.and_then(|a| row(a.to_value())));
        }

        fn review(&mut self) -> Vec<Change> {
            self.clock += 1;
            self.engine.review("s", |_| true, self.clock).into_iter().map(|c| c.change).collect()
        }

        /// A restarted task: the same topic, nothing remembered.
        fn restarted(self) -> Stage {
            let engine = Engine::new(self.engine.alarms, self.engine.registered, false);
            Stage { engine, ..self }
        }
    }

    fn alarm(priority: Priority) -> Alarm {
        Alarm { source: "s".into(), raised: Some(1), ..Alarm::new(priority) }
    }

    fn acked(priority: Priority) -> Alarm {
        Alarm { acknowledged: true, ..alarm(priority) }
    }

    fn written(alarm: Alarm) -> Option<Change> {
        Some(Change::Write(alarm))
    }

    const P2: Priority = Priority::Property;
    const P3: Priority = Priority::Productivity;

    #[test]
    fn changes_are_written_once_before_and_after_they_arrive() {
        let mut stage = Stage::new();
        assert_eq!(stage.clear(), None);
        assert_eq!(stage.raise(P3), written(alarm(P3)));
        assert_eq!(stage.raise(P3), None, "it is on its way");
        stage.arrives("a", Some(&alarm(P3)));
        assert_eq!(stage.raise(P3), None);
        assert_eq!(stage.clear(), Some(Change::Clear));
        assert_eq!(stage.clear(), None, "the table still shows the alarm");
        assert_eq!(stage.review(), []);
        stage.arrives("a", None);
        assert_eq!(stage.clear(), None);
    }

    #[test]
    fn flapping_faster_than_the_topic_loses_nothing() {
        let mut stage = Stage::new();
        for _ in 0..3 {
            assert_eq!(stage.raise(P3), written(alarm(P3)));
            assert_eq!(stage.clear(), Some(Change::Clear));
        }
        assert_eq!(stage.raise(P3), written(alarm(P3)));
        // The first three rounds show only now: old news about an alarm that is raised.
        stage.arrives("a", Some(&alarm(P3)));
        assert_eq!(stage.raise(P3), None);
        stage.arrives("a", None);
        assert_eq!(stage.raise(P3), None);
        assert_eq!(stage.clear(), Some(Change::Clear), "whatever the table shows, the raise is in the topic");
    }

    #[test]
    fn an_acknowledgement_is_kept_until_escalation() {
        let mut stage = Stage::new();
        stage.raise(P3);
        stage.arrives("a", Some(&alarm(P3)));
        stage.arrives("a", Some(&acked(P3)));
        assert_eq!(stage.raise(P3), None);
        let low = State::Raised(Alarm { status: "LOW".into(), ..alarm(P3) });
        assert_eq!(stage.see(&low), written(Alarm { status: "LOW".into(), ..acked(P3) }));
        assert_eq!(stage.raise(P2), written(alarm(P2)));
        assert_eq!(stage.raise(P3), written(alarm(P3)), "the table still has the acknowledged one");
    }

    #[test]
    fn an_acknowledgement_that_overtakes_the_view_of_our_own_record_is_kept() {
        let mut stage = Stage::new();
        stage.raise(P3);
        // JLab's script knows priority and acknowledged only.
        stage.arrives("a", Some(&Alarm { acknowledged: true, ..Alarm::new(P3) }));
        let low = State::Raised(Alarm { status: "LOW".into(), ..alarm(P3) });
        assert_eq!(stage.see(&low), written(Alarm { status: "LOW".into(), ..acked(P3) }));
    }

    #[test]
    fn what_somebody_removed_stays_away_until_the_next_change() {
        let mut stage = Stage::new();
        stage.raise(P3);
        stage.arrives("a", Some(&alarm(P3)));
        stage.arrives("a", None);
        assert_eq!(stage.raise(P3), None);
        assert_eq!(stage.raise(P2), written(alarm(P2)));
    }

    #[test]
    fn an_acknowledgement_after_the_tombstone_is_cleared_again() {
        let mut stage = Stage::new();
        stage.raise(P3);
        stage.arrives("a", Some(&alarm(P3)));
        stage.clear();
        assert_eq!(stage.review(), []);
        stage.arrives("a", None);
        stage.arrives("a", Some(&acked(P3)));
        assert_eq!(stage.review(), [Change::Clear]);
        assert_eq!(stage.review(), [], "the tombstone is on its way");
    }

    #[test]
    fn an_alarm_raised_by_hand_is_left_alone() {
        let mut stage = Stage::new();
        stage.arrives("a", Some(&Alarm::new(P2)));
        stage.arrives("other", Some(&Alarm { source: "t".into(), ..alarm(P2) }));
        assert_eq!(stage.review(), []);
    }

    #[test]
    fn a_tombstone_that_was_lost_is_written_again() {
        let mut stage = Stage::new();
        stage.arrives("a", Some(&alarm(P3)));
        assert_eq!(stage.clear(), Some(Change::Clear));
        stage.clock += SETTLED_AFTER_MS;
        assert_eq!(stage.clear(), Some(Change::Clear));
    }

    #[test]
    fn a_restart_writes_only_differences() {
        let stage = Stage::new();
        stage.arrives("a", Some(&acked(P3)));
        let mut stage = stage.restarted();
        assert_eq!(stage.raise(P3), None, "nothing has changed, the acknowledgement stays");
        let mut stage = stage.restarted();
        assert_eq!(stage.raise(P2), written(alarm(P2)), "escalated meanwhile");
        let mut stage = stage.restarted();
        assert_eq!(stage.clear(), Some(Change::Clear), "cleared meanwhile");
    }

    #[test]
    fn what_a_restarted_source_found_and_somebody_removed_stays_away() {
        let mut stage = Stage::new();
        stage.arrives("a", Some(&alarm(P3)));
        assert_eq!(stage.raise(P3), None);
        stage.arrives("a", None);
        assert_eq!(stage.raise(P3), None);
    }

    #[test]
    fn only_own_alarms_vanish() {
        let mut stage = Stage::new();
        stage.arrives("a", Some(&alarm(P3)));
        stage.arrives("gone", Some(&alarm(P3)));
        stage.arrives("other", Some(&Alarm { source: "t".into(), ..alarm(P2) }));
        let gone = stage.engine.vanished("s", |name| name == "a", 1);
        let before = Some(alarm(P3));
        assert_eq!(gone, [NamedChange { name: "gone".into(), change: Change::Clear, before }]);
        assert_eq!(stage.review(), [Change::Clear], "of a, which is normal here");
    }

    #[test]
    fn a_marker_is_no_alarm() {
        let mut stage = Stage::new();
        let marker = Alarm { cleared: true, ..alarm(P3) };
        stage.arrives("a", Some(&marker));
        stage.arrives("gone", Some(&marker));
        assert_eq!((stage.clear(), stage.review()), (None, vec![]));
        assert_eq!(stage.engine.vanished("s", |_| false, 1), []);
        assert_eq!(stage.raise(P3), written(alarm(P3)), "as if there had never been one");
        stage.arrives("a", Some(&alarm(P3)));
        assert_eq!(stage.clear(), Some(Change::Clear));
        stage.arrives("a", Some(&marker));
        assert_eq!((stage.clear(), stage.review()), (None, vec![]));
    }

    #[test]
    fn a_latching_alarm_waits_for_its_acknowledgement() {
        let mut stage = Stage::new();
        let latching = RegisteredAlarm { latching: true, ..Default::default() };
        stage.registered.put("a", row(latching.to_value()));
        stage.raise(P3);
        stage.arrives("a", Some(&alarm(P3)));
        let latched = Alarm { latched: true, ..alarm(P3) };
        assert_eq!(stage.clear(), written(latched.clone()));
        stage.arrives("a", Some(&latched));
        assert_eq!((stage.clear(), stage.review()), (None, vec![]));
        stage.arrives("a", Some(&Alarm { acknowledged: true, ..latched }));
        assert_eq!(stage.review(), [Change::Clear]);
    }

    #[test]
    fn a_latching_alarm_acknowledged_first_clears_when_normal() {
        let mut stage = Stage::new();
        stage.registered.put("a", row(RegisteredAlarm { latching: true, ..Default::default() }.to_value()));
        stage.raise(P3);
        stage.arrives("a", Some(&acked(P3)));
        assert_eq!(stage.clear(), Some(Change::Clear));
    }

    #[test]
    fn cleared_alarms_are_forgotten_in_time() {
        let mut stage = Stage::new();
        for n in 0..5000 {
            let name: Arc<str> = format!("a{n}").into();
            let now = n * 1000;
            stage.engine.observe(&name, &State::Raised(alarm(P3)), now);
            stage.engine.observe(&name, &State::Normal, now);
        }
        assert!(stage.engine.own.len() < 2 * SWEEP_AT, "{} are remembered", stage.engine.own.len());
    }

    #[tokio::test]
    async fn a_change_of_the_table_wakes() {
        let mut stage = Stage::new();
        stage.arrives("a", Some(&alarm(P3)));
        stage.engine.changed().await;
    }
}
