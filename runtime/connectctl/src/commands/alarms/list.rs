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
    let mut columns =
        vec![Column::text("NAME"), Column::text("STATE"), Column::text("PRIORITY"), Column::number("RAISED")];
    let shelved = view.wide || rows.iter().any(|(_, known)| known.is_shelved(now));
    if shelved {
        columns.push(Column::text("SHELVED").optional());
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
}
