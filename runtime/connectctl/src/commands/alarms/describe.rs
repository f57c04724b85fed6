//! `connectctl alarms describe` and `history`: everything about alarms, and what has become of them.

use connect_api::{Value, time};
use connector_alarm::{
    Details, Kind,
    content::{others, shelved_by},
};
use serde_json::{Value as Json, json};

use super::{
    super::Context,
    entry::{Entry, Unread, Written},
    list::{priority_of, shelf_of, span},
    messages::ack_of,
    pick::{is_meant, name, named, not_there},
    replay::Replay,
    said::{Said, who},
    state::Known,
    topics::Topics,
};
use crate::{
    error::Failure,
    names::is_pattern,
    output::View,
    page::Page,
    paint,
    table::{Column, Table},
};

/// What `alarms describe` takes.
#[derive(Debug, clap::Args)]
pub(super) struct DescribeArgs {
    /// Names of the alarms; also patterns.
    #[arg(value_name = "NAME", add = crate::complete::alarms(), required = true, value_parser = name)]
    names: Vec<String>,

    /// So many of the latest records about each.
    #[arg(long, value_name = "N", default_value = "5", value_parser = clap::value_parser!(u32).range(0..=10_000))]
    records: u32,

    #[command(flatten)]
    topics: Topics,
}

/// What `alarms history` takes.
#[derive(Debug, clap::Args)]
pub(super) struct HistoryArgs {
    /// Name of the alarm.
    #[arg(value_name = "NAME", add = crate::complete::alarms(), value_parser = clap::builder::NonEmptyStringValueParser::new())]
    name: String,

    /// At most so many records, the latest.
    #[arg(long, value_name = "N", default_value = "100", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    limit: u32,

    #[command(flatten)]
    topics: Topics,
}

type Records = Vec<(Kind, Entry)>;

/// Describes alarms.
pub(super) async fn describe(args: &DescribeArgs, context: &Context<'_>) -> Result<(), Failure> {
    let mut replay = Replay::new(context, &args.topics, &Kind::ALL).await?;
    let alarms = replay.read().await?;
    let names = named(&args.names, &alarms, |_| true).map_err(Failure::Failed)?;
    let now = time::now_ms();
    let (mut found, mut unread) = (Vec::new(), Vec::new());
    for name in &names {
        let (mut records, problems) = replay.records_of(name).await?;
        let known = alarms.get(name);
        if known.is_none() && records.is_empty() && problems.is_empty() {
            return Err(Failure::Failed(not_there("known", name, &alarms, |_| true)));
        }
        unread.extend(problems);
        records.drain(..records.len().saturating_sub(args.records as usize));
        found.push((name.as_str(), known.cloned().unwrap_or_default(), records));
    }
    let data: Vec<Json> = found
        .iter()
        .map(|(name, known, records)| {
            let mut all = known.to_json(name, now);
            all["history"] = json!(lines(records));
            all
        })
        .collect();
    let text = |view: View| {
        let mut page = Page::new(view.width);
        for (index, (name, known, records)) in found.iter().enumerate() {
            if index > 0 {
                page.text.push('\n');
            }
            write(&mut page, name, known, records, now);
        }
        page.text
    };
    context.output.result(&data, || names.clone(), text)?;
    for (_, one) in &alarms.unread {
        // Plain names have their records told, the latest among them.
        if !unread.contains(one) && args.names.iter().any(|written| is_pattern(written) && is_meant(written, &one.name))
        {
            unread.push(one.clone());
        }
    }
    tell(&unread, context)
}

/// Shows the records about an alarm.
pub(super) async fn history(args: &HistoryArgs, context: &Context<'_>) -> Result<(), Failure> {
    let mut replay = Replay::new(context, &args.topics, &Kind::ALL).await?;
    let (mut records, unread) = replay.records_of(&args.name).await?;
    if records.is_empty() && unread.is_empty() {
        let alarms = replay.read().await?;
        return Err(Failure::Failed(not_there("known", &args.name, &alarms, |_| true)));
    }
    records.drain(..records.len().saturating_sub(args.limit as usize));
    let names = || vec![args.name.clone()];
    context.output.result(&lines(&records), names, |view| table(&records, view))?;
    tell(&unread, context)
}

fn tell(unread: &[Unread], context: &Context<'_>) -> Result<(), Failure> {
    unread.iter().for_each(|one| context.output.problem(&one.to_string()));
    if unread.is_empty() { Ok(()) } else { Err(Failure::Reported) }
}

fn lines(records: &Records) -> Vec<Json> {
    records.iter().map(|(kind, entry)| Said::of(*kind, entry).to_json(*kind, entry)).collect()
}

fn table(records: &Records, view: View) -> String {
    let mut columns =
        vec![Column::text("TIME"), Column::text("CHANGE"), Column::text("USER"), Column::text("PRODUCER").optional()];
    columns.push(Column::text("HOST").optional());
    if view.wide {
        columns.extend(["TOPIC", "OFFSET"].map(Column::text));
    }
    columns.push(Column::text("DETAIL").whole().cut(24));
    let mut table = Table::new(columns);
    for (kind, entry) in records {
        let (said, written) = (Said::of(*kind, entry), Written::of(&entry.raw));
        let or = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".into());
        let mut cells =
            vec![or(&written.time), said.word.to_owned(), or(&written.user), or(&written.producer), or(&written.host)];
        if view.wide {
            cells.push(entry.raw.topic.to_string());
            cells.push(format!("{}:{}", written.partition, written.offset));
        }
        cells.push(said.more);
        table.row(cells);
    }
    table.render(view.width)
}

/// All about an alarm.
pub(super) fn write(page: &mut Page, name: &str, known: &Known, records: &Records, now: i64) {
    page.line(0, &format!("{} {}", paint::paint(paint::Tone::Strong, name), paint::state(known.state(now).word())));
    let entry = |page: &mut Page, title: &str, text: &str| {
        if !text.is_empty() {
            page.entry(title, text);
        }
    };
    if let Some(active) = &known.active {
        let alarm = &active.alarm;
        page.line(0, "Active");
        entry(page, "priority", &paint::state(priority_of(known)));
        entry(page, "message", &alarm.message);
        entry(page, "severity", &alarm.severity);
        entry(page, "status", &alarm.status);
        entry(page, "value", alarm.value.as_deref().unwrap_or_default());
        entry(page, "source", &alarm.source);
        if let Some(raised) = known.raised() {
            entry(page, "raised", &format!("{} ({} ago)", time::rfc3339(raised), span(now - raised)));
        }
        let acknowledged = match (&active.ack, alarm.acknowledged) {
            (Some(ack), true) => {
                let of = ack_of(&ack.value).map(|of| format!(" with {of}")).unwrap_or_default();
                format!("yes{of}, {}", Written::of(&ack.raw).line())
            }
            (_, acknowledged) => if acknowledged { "yes" } else { "no" }.into(),
        };
        entry(page, "acknowledged", &acknowledged);
        if alarm.latched {
            entry(page, "latched", "all is well again; it stays until it is acknowledged");
        }
        let labels: Vec<String> = alarm.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
        entry(page, "labels", &labels.join(" "));
        write_others(page, Kind::Active, &active.origin.value);
        entry(page, "written", &Written::of(&active.origin.raw).line());
    }
    if let Some((shelf, origin)) = &known.shelf {
        page.line(0, "Shelf");
        let over = if shelf.holds_at(now) { shelf_of(known, now) } else { "its time is over".into() };
        entry(page, "on it", &over);
        entry(page, "until", &shelf.expiration.map(time::rfc3339).unwrap_or_default());
        entry(page, "user", shelved_by(&origin.value).unwrap_or_default());
        write_others(page, Kind::Shelved, &origin.value);
        entry(page, "written", &Written::of(&origin.raw).line());
    }
    if let Some((alarm, origin)) = &known.registered {
        page.line(0, "Registration");
        entry(page, "source", &alarm.source);
        entry(page, "description", &alarm.description);
        entry(page, "location", &alarm.location);
        entry(page, "category", &alarm.category);
        entry(page, "latching", if alarm.latching { "yes" } else { "no" });
        entry(page, "documentation", &alarm.documentation);
        let details = Details::from_value(&origin.value);
        entry(page, "rules", details.jar.as_deref().unwrap_or_default());
        entry(page, "screen", details.screen.as_deref().unwrap_or_default());
        let longest = details.longest_shelved.map(i64::from);
        entry(
            page,
            "on the shelf",
            &longest
                .map(|s| if s == 0 { "never".into() } else { format!("at most {}", span(s * 1000)) })
                .unwrap_or_default(),
        );
        let labels: Vec<String> = alarm.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
        entry(page, "labels", &labels.join(" "));
        write_others(page, Kind::Registered, &origin.value);
        entry(page, "written", &Written::of(&origin.raw).line());
    }
    if !records.is_empty() {
        page.line(0, "Latest records");
        for (kind, record) in records {
            let (said, written) = (Said::of(*kind, record), Written::of(&record.raw));
            let time = written.time.clone().unwrap_or_else(|| "-".into());
            let more = if said.more.is_empty() { String::new() } else { format!(" {}", said.more) };
            page.line(2, &format!("{time} {}{more} ({})", paint::state(said.word), who(&written)));
        }
    }
}

/// What other writers say by names of their own.
fn write_others(page: &mut Page, kind: Kind, value: &Value) {
    for (name, value) in others(kind, value) {
        page.entry(&name, &value.as_str().map_or_else(|| value.to_string(), str::to_owned));
    }
}

#[cfg(test)]
mod tests {
    use connector_alarm::{Alarm, Priority};

    use super::{super::state::tests::entry, *};
    use crate::paint::resolve;

    #[test]
    fn details_are_whole_in_every_terminal() {
        let message = "chassis temperature is above 70 degrees since the fan of the lower row has failed".to_owned();
        let alarm = Alarm { message: message.clone(), ..Alarm::new(Priority::Property) };
        let value = alarm.to_value();
        let records: Records =
            vec![(Kind::Active, entry("a", None, 0, Some(value))), (Kind::Active, entry("a", None, 1, None))];
        let shown = |width| resolve(&table(&records, View { width, wide: false }), false);
        let expected = "\
TIME                      CHANGE   USER  PRODUCER  DETAIL
2023-11-14T22:13:20.000Z  active   me    -         P2_PROPERTY chassis
                                                     temperature is above 70
                                                     degrees since the fan of
                                                     the lower row has failed
2023-11-14T22:13:20.000Z  cleared  me    -
";
        assert_eq!(shown(Some(80)), expected);
        for width in [60, 80, 100] {
            let text = shown(Some(width));
            assert!(text.lines().all(|l| l.chars().count() <= width), "{text}");
            assert!(text.contains("degrees") && text.contains("failed"), "{text}");
        }
    }
}
