//! The one decision about alarms: what to write, given what the topic says and what was seen.

use crate::Alarm;

/// The state in which something that can alarm was seen.
#[derive(Debug, Clone, PartialEq)]
pub enum State {
    /// It alarms. The alarm is as new: not acknowledged.
    Raised(Alarm),
    /// All is well.
    Normal,
}

/// What is to be written.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// The alarm as it now is.
    Write(Alarm),
    /// A tombstone.
    Clear,
}

/// What the decision depends on besides the states.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Policy {
    /// The alarm clears only when it is both normal and acknowledged.
    pub latching: bool,
    /// Whether a change of message or value alone is written, too.
    pub message_updates: bool,
}

/// What a source writes that sees `seen` where the topic says `current`; `None` if that is the same.
///
/// - Escalation, which is a higher priority, resets the acknowledgement; every other update keeps it.
/// - An update keeps the time at which the alarm was raised.
/// - A tombstone is written only where there is something to clear.
pub fn change(current: Option<&Alarm>, seen: &State, policy: Policy) -> Option<Change> {
    match (current, seen) {
        (None, State::Normal) => None,
        (None, State::Raised(alarm)) => Some(Change::Write(alarm.clone())),
        (Some(current), State::Normal) if policy.latching && !current.acknowledged => {
            (!current.latched).then(|| Change::Write(Alarm { latched: true, ..current.clone() }))
        }
        (Some(_), State::Normal) => Some(Change::Clear),
        (Some(current), State::Raised(alarm)) => {
            let updated = Alarm {
                acknowledged: current.acknowledged && !alarm.priority.is_above(current.priority),
                raised: current.raised.or(alarm.raised),
                ..alarm.clone()
            };
            differ(current, &updated, policy).then_some(Change::Write(updated))
        }
    }
}

/// What a person's acknowledgement writes where the topic says `current`; `None` if there is nothing to acknowledge:
/// a cleared alarm is never brought back.
pub fn acknowledge(current: Option<&Alarm>) -> Option<Change> {
    let current = current.filter(|alarm| !alarm.acknowledged)?;
    Some(if current.latched { Change::Clear } else { Change::Write(Alarm { acknowledged: true, ..current.clone() }) })
}

fn differ(a: &Alarm, b: &Alarm, policy: Policy) -> bool {
    let essence = |alarm: &Alarm| (alarm.priority, alarm.acknowledged, alarm.latched);
    essence(a) != essence(b)
        || (&a.source, &a.severity, &a.status, &a.labels) != (&b.source, &b.severity, &b.status, &b.labels)
        || policy.message_updates && (&a.message, &a.value) != (&b.message, &b.value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Priority;

    fn alarm(priority: Priority) -> Alarm {
        Alarm { source: "s".into(), raised: Some(1), ..Alarm::new(priority) }
    }

    fn acked(priority: Priority) -> Alarm {
        Alarm { acknowledged: true, ..alarm(priority) }
    }

    fn seen(priority: Priority) -> State {
        State::Raised(Alarm { raised: Some(9), ..alarm(priority) })
    }

    const PLAIN: Policy = Policy { latching: false, message_updates: false };
    const LATCHING: Policy = Policy { latching: true, message_updates: false };

    #[test]
    fn only_changes_are_written() {
        let minor = alarm(Priority::Productivity);
        assert_eq!(change(None, &State::Normal, PLAIN), None);
        assert_eq!(change(Some(&minor), &seen(Priority::Productivity), PLAIN), None);
        assert_eq!(change(Some(&minor), &State::Normal, PLAIN), Some(Change::Clear));
        let Some(Change::Write(new)) = change(None, &seen(Priority::Life), PLAIN) else { panic!("nothing written") };
        assert_eq!((new.priority, new.raised), (Priority::Life, Some(9)));
    }

    #[test]
    fn escalation_resets_the_acknowledgement_and_other_updates_keep_it() {
        let current = acked(Priority::Productivity);
        let update = |seen: &State| match change(Some(&current), seen, PLAIN) {
            Some(Change::Write(alarm)) => (alarm.acknowledged, alarm.raised),
            other => panic!("{other:?} is no update"),
        };
        assert_eq!(update(&seen(Priority::Property)), (false, Some(1)), "escalated");
        assert_eq!(update(&seen(Priority::Diagnostic)), (true, Some(1)), "less urgent");
        let reason = State::Raised(Alarm { status: "LOLO".into(), ..alarm(Priority::Productivity) });
        assert_eq!(update(&reason), (true, Some(1)), "another reason");
        assert_eq!(change(Some(&current), &seen(Priority::Productivity), PLAIN), None);
    }

    #[test]
    fn message_and_value_are_no_change_unless_asked_for() {
        let current = alarm(Priority::Property);
        let talk = State::Raised(Alarm { message: "96".into(), value: Some("96".into()), ..current.clone() });
        assert_eq!(change(Some(&current), &talk, PLAIN), None);
        let updates = Policy { message_updates: true, ..PLAIN };
        assert!(matches!(change(Some(&current), &talk, updates), Some(Change::Write(a)) if a.message == "96"));
    }

    #[test]
    fn latching_alarms_need_both_normal_and_acknowledged() {
        let current = alarm(Priority::Property);
        let Some(Change::Write(latched)) = change(Some(&current), &State::Normal, LATCHING) else { panic!("not kept") };
        assert_eq!(latched, Alarm { latched: true, ..current });
        assert_eq!(change(Some(&latched), &State::Normal, LATCHING), None);
        assert_eq!(acknowledge(Some(&latched)), Some(Change::Clear));
        assert_eq!(change(Some(&acked(Priority::Property)), &State::Normal, LATCHING), Some(Change::Clear));
        let Some(Change::Write(again)) = change(Some(&latched), &seen(Priority::Property), LATCHING) else {
            panic!("not raised again")
        };
        assert!(!again.latched);
    }

    #[test]
    fn acknowledging_brings_nothing_back() {
        assert_eq!(acknowledge(None), None);
        assert_eq!(acknowledge(Some(&acked(Priority::Life))), None);
        assert_eq!(acknowledge(Some(&alarm(Priority::Life))), Some(Change::Write(acked(Priority::Life))));
    }
}
