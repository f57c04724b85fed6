//! `connectctl alarms list`

use connect_api::time;
use connector_alarm::{Details, Kind, Priority};

use super::{
    super::Context,
    pick::Filter,
    replay::{Replay, tell_unread},
    state::{Known, State},
    topics::Topics,
};
use crate::{
    error::Failure,
    output::View,
    table::{Column, Table},
    watch::Watch,
};

/// What lists are sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Sort {
    /// The highest first, and of one priority the newest.
    Priority,
    /// By name.
    Name,
    /// The newest first.
    Raised,
    /// By what raises them.
    Source,
    /// Active before acknowledged before shelved before normal.
    State,
}

/// What `alarms list` takes.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    filter: Filter,

    /// Only alarms that are active and acknowledged.
    #[arg(long, conflicts_with_all = ["shelved", "registered", "all"])]
    acknowledged: bool,

    /// Alarms that are on the shelf, active or not.
    #[arg(long, conflicts_with_all = ["registered", "all"])]
    shelved: bool,

    /// Alarms that are registered, whatever their state.
    #[arg(long, conflicts_with = "all")]
    registered: bool,

    /// All alarms that anything is known of.
    #[arg(long)]
    all: bool,

    /// What comes first.
    #[arg(long, value_enum, value_name = "WHAT", default_value_t = Sort::Priority)]
    sort: Sort,

    /// The other way round.
    #[arg(long)]
    reverse: bool,

    #[command(flatten)]
    topics: Topics,
    #[command(flatten)]
    watch: Watch,
}

impl Args {
    fn wants(&self, known: &Known, now: i64) -> bool {
        let state = known.state(now);
        self.filter.fits(known)
            && if self.all {
                true
            } else if self.registered {
                known.registered.is_some()
            } else if self.shelved {
                state == State::Shelved
            } else if self.acknowledged {
                state == State::Acknowledged
            } else {
                matches!(state, State::Active | State::Acknowledged)
            }
    }
}

pub(super) async fn run(args: &Args, context: &Context<'_>) -> Result<(), Failure> {
    args.watch.run(context, async || once(args, context).await).await
}

async fn once(args: &Args, context: &Context<'_>) -> Result<(), Failure> {
    let mut replay = Replay::new(context, &args.topics, &Kind::ALL).await?;
    let alarms = replay.read().await?;
    let now = time::now_ms();
    let names = if args.filter.names.is_empty() {
        alarms.names(|known| args.wants(known, now))
    } else {
        let found = super::pick::named(&args.filter.names, &alarms, |known| args.wants(known, now));
        found.map_err(Failure::Failed)?
    };
    let mut rows = Vec::with_capacity(names.len());
    for name in &names {
        match alarms.get(name) {
            Some(known) if args.wants(known, now) => rows.push((name.as_str(), known)),
            Some(known) => context.output.say(&format!("{name} is {}; --all shows it", known.state(now).word())),
            None => {
                let text = super::pick::not_there("known", name, &alarms, |_| true);
                return Err(Failure::Failed(text));
            }
        }
    }
    sort(&mut rows, args.sort, now);
    if args.reverse {
        rows.reverse();
    }
    if rows.is_empty() && alarms.unread.is_empty() && context.output.is_table() {
        context.output.say("there are no such alarms");
    }
    let data: Vec<_> = rows.iter().map(|(name, known)| known.to_json(name, now)).collect();
    let names = || rows.iter().map(|(name, _)| (*name).to_owned()).collect();
    context.output.result(&data, names, |view| table(&rows, view, now))?;
    tell_unread(&alarms, context)
}

/// Sorts; what is the same is sorted by name.
pub(super) fn sort(rows: &mut [(&str, &Known)], by: Sort, now: i64) {
    let priority = |known: &Known| known.active.as_ref().map_or(9, |a| a.priority.map_or(8, rank));
    let newest = |known: &Known| std::cmp::Reverse(known.raised());
    rows.sort_by(|(a, x), (b, y)| {
        let order = match by {
            Sort::Priority => (priority(x), newest(x)).cmp(&(priority(y), newest(y))),
            Sort::Name => std::cmp::Ordering::Equal,
            Sort::Raised => newest(x).cmp(&newest(y)),
            Sort::Source => x.source().cmp(y.source()),
            Sort::State => (x.state(now), priority(x)).cmp(&(y.state(now), priority(y))),
        };
        order.then(a.cmp(b))
    });
}

fn rank(priority: Priority) -> usize {
    Priority::ALL.iter().position(|p| *p == priority).unwrap_or_default()
}

/// How long ago, in the largest unit that fits.
pub(super) fn ago(ms: Option<i64>, now: i64) -> String {
    ms.map_or_else(|| "-".into(), |ms| span(now.saturating_sub(ms)))
}

/// So many milliseconds for people.
pub(super) fn span(ms: i64) -> String {
    let seconds = ms.max(0) / 1000;
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m", seconds / 60),
        3600..172_800 => format!("{}h{:02}m", seconds / 3600, seconds / 60 % 60),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// The priority, as it is written; nothing of alarms that have none.
pub(super) fn priority_of(known: &Known) -> &str {
    known.priority().unwrap_or("-")
}

/// What a person should read in one line.
pub(super) fn message_of(known: &Known) -> String {
    let text = match &known.active {
        Some(active) => {
            let alarm = &active.alarm;
            let short = [alarm.severity.as_str(), &alarm.status].into_iter().filter(|t| !t.is_empty());
            let mut text =
                if alarm.message.is_empty() { short.collect::<Vec<_>>().join(" ") } else { alarm.message.clone() };
            if alarm.latched {
                text = format!("(latched) {text}");
            }
            text
        }
        None => known.registered.as_ref().map(|(alarm, _)| alarm.description.clone()).unwrap_or_default(),
    };
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Until when it is on the shelf, and why.
pub(super) fn shelf_of(known: &Known, now: i64) -> String {
    let Some((shelf, _)) = known.shelf.as_ref().filter(|(shelf, _)| shelf.holds_at(now)) else { return "-".into() };
    let end = shelf.expiration.map_or_else(|| "for ever".into(), |end| format!("for {}", span(end - now)));
    if shelf.reason.is_empty() { end } else { format!("{end}: {}", shelf.reason) }
}

/// For how many seconds an alarm may be on the shelf, for people.
pub(super) fn longest(seconds: i64) -> String {
    if seconds == 0 { "never".into() } else { span(seconds * 1000) }
}

fn table(rows: &[(&str, &Known)], view: View, now: i64) -> String {
    if rows.is_empty() {
        return String::new();
    }
    // Names are what will be copied, and often differ at their ends only.
    let name = Column::text("NAME").whole().cut(24);
    let mut columns = vec![name, Column::text("STATE"), Column::text("PRIORITY"), Column::number("RAISED")];
    let mut shelves = rows.iter().map(|(_, known)| known.is_shelved(now));
    let (all_shelved, shelved) = (shelves.clone().all(|on| on), view.wide || shelves.any(|on| on));
    if shelved {
        // Where only the shelf is shown, it is what was asked for.
        let column = Column::text("SHELVED");
        columns.push(if all_shelved { column.cut(20) } else { column.optional() });
    }
    if view.wide {
        columns.push(Column::text("SHELVED BY"));
    }
    if view.wide {
        let more =
            ["SOURCE", "SEVERITY", "STATUS", "VALUE", "LABELS", "LOCATION", "CATEGORY", "USER", "PRODUCER", "HOST"];
        columns.extend(more.map(Column::text));
        columns.extend(["DOCUMENTATION", "SCREEN", "MOST SHELVED"].map(Column::text));
    }
    columns.push(Column::text("MESSAGE").cut(20));
    let mut table = Table::new(columns);
    for (name, known) in rows {
        let mut cells = vec![
            (*name).to_owned(),
            known.state(now).word().to_owned(),
            priority_of(known).to_owned(),
            ago(known.raised(), now),
        ];
        if shelved {
            cells.push(shelf_of(known, now));
        }
        if view.wide {
            cells.push(known.shelved_by().unwrap_or_else(|| "-".into()));
            cells.extend(wide(known));
        }
        cells.push(message_of(known));
        table.row(cells);
    }
    table.render(view.width)
}

fn wide(known: &Known) -> Vec<String> {
    let alarm = known.active.as_ref().map(|active| &active.alarm);
    let registered = known.registered.as_ref().map(|(alarm, _)| alarm);
    let details = known.registered.as_ref().map(|(_, origin)| Details::from_value(&origin.value));
    let written = known.active.as_ref().map(|active| super::entry::Written::of(&active.origin.raw));
    let or = |text: Option<&str>| text.filter(|t| !t.is_empty()).unwrap_or("-").to_owned();
    let labels = alarm.map(|a| a.labels.iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>().join(" "));
    vec![
        or(Some(known.source())),
        or(alarm.map(|a| a.severity.as_str())),
        or(alarm.map(|a| a.status.as_str())),
        or(alarm.and_then(|a| a.value.as_deref())),
        or(labels.as_deref()),
        or(registered.map(|a| a.location.as_str())),
        or(registered.map(|a| a.category.as_str())),
        or(written.as_ref().and_then(|w| w.user.as_deref())),
        or(written.as_ref().and_then(|w| w.producer.as_deref())),
        or(written.as_ref().and_then(|w| w.host.as_deref())),
        or(registered.map(|a| a.documentation.as_str())),
        or(details.as_ref().and_then(|d| d.screen.as_deref())),
        or(details.and_then(|d| d.longest_shelved).map(|s| longest(i64::from(s))).as_deref()),
    ]
}

#[cfg(test)]
mod tests {
    use connector_alarm::Alarm;

    use super::{
        super::state::{Alarms, tests::entry},
        *,
    };
    use crate::paint::resolve;

    fn alarms() -> Alarms {
        let mut alarms = Alarms::default();
        for (name, priority, message) in [
            ("pump", Priority::Property, "pressure\n is low"),
            ("door", Priority::Life, ""),
            ("fan", Priority::Property, "slow"),
        ] {
            let alarm = Alarm {
                message: message.into(),
                severity: "MAJOR".into(),
                status: "HIHI".into(),
                raised: Some(if name == "fan" { NOW - 60_000 } else { NOW - 7_500_000 }),
                acknowledged: name == "fan",
                latched: name == "pump",
                ..Alarm::new(priority)
            };
            alarms.apply(Kind::Active, entry(name, None, 0, Some(alarm.to_value())));
        }
        alarms
    }

    const NOW: i64 = 1_700_000_000_000;

    fn shown(by: Sort, width: Option<usize>) -> String {
        let alarms = alarms();
        let mut rows: Vec<(&str, &Known)> = alarms.all.iter().map(|(name, known)| (&**name, known)).collect();
        sort(&mut rows, by, NOW);
        resolve(&table(&rows, View { width, wide: false }, NOW), false)
    }

    #[test]
    fn the_highest_priority_is_first_and_of_one_priority_the_newest() {
        let expected = "\
NAME  STATE         PRIORITY     RAISED  MESSAGE
door  active        P1_LIFE       2h05m  MAJOR HIHI
fan   acknowledged  P2_PROPERTY      1m  slow
pump  active        P2_PROPERTY   2h05m  (latched) pressure is low
";
        assert_eq!(shown(Sort::Priority, Some(80)), expected);
        assert!(shown(Sort::Name, None).lines().nth(3).is_some_and(|l| l.starts_with("pump")));
        assert!(shown(Sort::Raised, None).lines().nth(1).is_some_and(|l| l.starts_with("fan")));
        assert!(shown(Sort::State, None).lines().nth(3).is_some_and(|l| l.starts_with("fan")));
        assert!(shown(Sort::Priority, Some(60)).contains("(latched) pressure…"));
        let narrow = shown(Sort::Priority, Some(45));
        assert!(narrow.lines().all(|line| line.chars().count() <= 45), "{narrow}");
    }

    #[test]
    fn times_are_short() {
        for (ms, text) in [
            (-5, "0s"),
            (59_999, "59s"),
            (60_000, "1m"),
            (3_600_000, "1h00m"),
            (7_500_000, "2h05m"),
            (172_800_000, "2d"),
        ] {
            assert_eq!(span(ms), text);
        }
        assert_eq!((ago(None, 5), ago(Some(1000), 4000)), ("-".into(), "3s".into()));
    }

    #[test]
    fn names_are_whole_in_every_terminal() {
        let mut alarms = Alarms::default();
        let names = ["edge/edge-2/chassis.temperature-inlet", "edge/edge-2/chassis.temperature-outlet"];
        for (offset, name) in names.into_iter().enumerate() {
            let message = "chassis temperature is above 70 degrees".to_owned();
            let alarm = Alarm { message, raised: Some(NOW), ..Alarm::new(Priority::Property) };
            alarms.apply(Kind::Active, entry(name, None, offset as i64, Some(alarm.to_value())));
        }
        let mut rows: Vec<(&str, &Known)> = alarms.all.iter().map(|(name, known)| (&**name, known)).collect();
        sort(&mut rows, Sort::Name, NOW);
        let shown = |width| resolve(&table(&rows, View { width: Some(width), wide: false }, NOW), false);
        let expected = "\
NAME                           STATE   PRIORITY     RAISED  MESSAGE
edge/edge-2/chassis.           active  P2_PROPERTY      0s  chassis temperature…
  temperature-inlet
edge/edge-2/chassis.           active  P2_PROPERTY      0s  chassis temperature…
  temperature-outlet
";
        assert_eq!(shown(80), expected);
        for width in [60, 80, 100, 120, 200] {
            let text = shown(width);
            assert!(text.lines().all(|l| l.chars().count() <= width), "{text}");
            let pieces = |line: &str| line.split_whitespace().next().unwrap_or_default().to_owned();
            let all: String = text.lines().skip(1).map(pieces).collect();
            assert_eq!(all, names.concat(), "{text}");
        }
    }

    #[test]
    fn the_shelf_is_shown_where_only_that_was_asked_for() {
        let mut alarms = Alarms::default();
        let name = "edge/edge-2/chassis.temperature-inlet";
        let message = "chassis temperature is above 70 degrees".to_owned();
        let alarm = Alarm { message, raised: Some(NOW), ..Alarm::new(Priority::Property) };
        alarms.apply(Kind::Active, entry(name, None, 0, Some(alarm.to_value())));
        let reason = "the fan is being replaced".to_owned();
        let shelf = connector_alarm::ShelvedAlarm { expiration: Some(NOW + 3_600_000), reason };
        alarms.apply(Kind::Shelved, entry(name, None, 1, Some(shelf.to_value())));
        let rows: Vec<(&str, &Known)> = alarms.all.iter().map(|(name, known)| (&**name, known)).collect();
        let text = resolve(&table(&rows, View { width: Some(80), wide: false }, NOW), false);
        assert!(text.contains("SHELVED") && text.contains("for 1h00m: "), "{text}");
    }
}
