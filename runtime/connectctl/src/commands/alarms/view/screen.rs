//! Drawing the view.

use connect_api::time;
use ratatui::{
    Frame,
    layout::{Constraint, Layout, Rect},
    style::{Color, Modifier, Style},
    text::{Line, Span},
    widgets::{Block, Clear, Paragraph, Row, Table, Wrap},
};

use super::{
    super::{
        describe::write,
        list::{Sort, ago, message_of, priority_of, shelf_of},
        state::{Alarms, Known},
    },
    model::{Mode, Model, Pane, USUAL},
};
use crate::{output::visible, page::Page, paint::resolve, table::wrap};

/// From so many columns on there is room for severity and source.
const WIDE: u16 = 110;
/// From so many columns on priorities are written out.
const MEDIUM: u16 = 80;

/// From so many columns on what keys do has a column of its own.
const NARROW: u16 = 60;

/// What keys do, in lines of that width at most.
const HELP: [(&str, &str); 12] = [
    ("Tab ← → 1 2 3", "active, acknowledged, shelved"),
    ("↑ ↓ PgUp PgDn Home End", "choose an alarm"),
    ("space", "mark several"),
    ("a", "acknowledge"),
    ("s", "put on the shelf"),
    ("u", "take off the shelf"),
    ("/", "find: name, source, text, priority"),
    ("o", "sort: priority, time, name, source"),
    ("r", "the other way round"),
    ("Enter", "all about the alarm"),
    ("Esc", "drop filter and marks, then quit"),
    ("q", "quit"),
];

/// The line of keys, from the longest; the first that fits is shown.
const KEYS: [&str; 5] = [
    "a acknowledge  s shelve  u unshelve  Enter details  / filter  o order  ? keys  q quit",
    "a ack  s shelve  u unshelve  / filter  ? keys  q quit",
    "a ack  s shelve  / filter  ? keys  q quit",
    "a ack  s shelve  ? keys  q quit",
    "? keys  q quit",
];

/// So many rows tell at most why there are no news.
const WHY: usize = 3;

/// Draws the whole screen.
pub(super) fn draw(frame: &mut Frame<'_>, model: &mut Model, alarms: &Alarms, now: i64) {
    let why = model.lost.as_ref().map(|(since, why)| visible(&format!("as of {}: {why}", clock(*since))));
    let mut why = why.map_or_else(Vec::new, |why| wrap(&why, 0, Some(usize::from(frame.area().width))));
    why.truncate(WHY);
    let rows = u16::try_from(why.len()).unwrap_or_default();
    let [head, body, status, foot] =
        Layout::vertical([Constraint::Length(1), Constraint::Min(1), Constraint::Length(rows), Constraint::Length(2)])
            .areas(frame.area());
    let why: Vec<Line<'_>> = why.into_iter().map(Line::from).collect();
    frame.render_widget(Paragraph::new(why).style(tinted(model, Color::Red)), status);
    draw_head(frame, head, model, alarms, now);
    let rows = model.rows(alarms, now);
    model.settle(&rows);
    model.page = usize::from(body.height.saturating_sub(1)).max(1);
    draw_rows(frame, body, model, &rows, now);
    draw_foot(frame, foot, model, rows.len());
    match &model.mode {
        Mode::Help => {
            let mut page = Page::new(Some(usize::from(body.width.saturating_sub(2))));
            for (keys, what) in HELP {
                match body.width {
                    NARROW.. => page.titled(&format!("{keys:<23} "), what),
                    _ => page.line(0, &format!("{keys}  {what}")),
                }
            }
            popup(frame, frame.area(), "Keys", &page.text);
        }
        Mode::Detail => {
            if let Some((name, known)) =
                model.chosen.as_ref().and_then(|chosen| rows.iter().find(|(name, _)| name == chosen))
            {
                let mut page = Page::new(Some(usize::from(body.width.saturating_sub(2))));
                write(&mut page, name, known, &Vec::new(), now);
                let text = resolve(&visible(&page.text), false);
                popup(frame, body, "Alarm", &text);
            }
        }
        _ => {}
    }
}

fn popup(frame: &mut Frame<'_>, body: Rect, title: &str, text: &str) {
    let lines: Vec<Line<'_>> = text.lines().map(|line| Line::from(line.to_owned())).collect();
    let height = u16::try_from(lines.len()).unwrap_or(u16::MAX).saturating_add(2).min(body.height);
    let area = Rect { height, ..body };
    frame.render_widget(Clear, area);
    let block = Block::bordered().title(format!(" {title} – any key closes "));
    frame.render_widget(Paragraph::new(lines).wrap(Wrap { trim: false }).block(block), area);
}

/// The time of day of a moment, in UTC.
fn clock(ms: i64) -> String {
    let text = time::rfc3339(ms);
    text.get(11..19).map_or_else(|| text.clone(), |clock| format!("{clock} UTC"))
}

fn draw_head(frame: &mut Frame<'_>, area: Rect, model: &Model, alarms: &Alarms, now: i64) {
    let mut counts = [0; 3];
    for known in alarms.all.values() {
        let state = known.state(now);
        for (count, pane) in counts.iter_mut().zip(Pane::ALL) {
            *count += usize::from(pane.has(state));
        }
    }
    let mut spans = Vec::new();
    for (pane, count) in Pane::ALL.into_iter().zip(counts) {
        let style = if pane == model.pane { Style::new().add_modifier(Modifier::REVERSED) } else { Style::new() };
        spans.push(Span::styled(format!(" {} {count} ", pane.title()), style));
        spans.push(Span::raw(" "));
    }
    frame.render_widget(Paragraph::new(Line::from(spans)), area);
}

fn tinted(model: &Model, colour: Color) -> Style {
    if model.colour { Style::new().fg(colour) } else { Style::new() }
}

fn draw_rows(frame: &mut Frame<'_>, area: Rect, model: &mut Model, rows: &[(&str, &Known)], now: i64) {
    if rows.is_empty() {
        let such = if model.filter.is_empty() { "" } else { " that fit the filter" };
        let text = format!("no {} alarms{such}", model.pane.title().to_lowercase());
        frame.render_widget(Paragraph::new(text), area);
        return;
    }
    let (wide, medium) = (area.width >= WIDE, area.width >= MEDIUM);
    let longest = rows.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    let name = u16::try_from(longest).unwrap_or(u16::MAX).min(area.width / 3).max(4);
    let mut titles = vec!["", "NAME", if medium { "PRIORITY" } else { "P" }, "SINCE"];
    let mut widths = vec![
        Constraint::Length(1),
        Constraint::Length(name),
        Constraint::Length(if medium { 15 } else { 2 }),
        Constraint::Length(6),
    ];
    if wide {
        titles.extend(["SEVERITY", "SOURCE"]);
        widths.extend([Constraint::Length(10), Constraint::Length(20)]);
    }
    if model.pane == Pane::Shelved {
        titles.push("SHELVED");
        widths.push(Constraint::Fill(1));
    }
    titles.push("MESSAGE");
    widths.push(Constraint::Fill(1));
    // Only what can be seen is made into cells.
    let chosen = model.table.selected().unwrap_or(0);
    let page = model.page.max(1);
    let first = (*model.table.offset_mut()).min(chosen).max((chosen + 1).saturating_sub(page));
    // No room stays empty below while there are rows above, as when the terminal has grown.
    let first = first.min(rows.len().saturating_sub(page));
    *model.table.offset_mut() = first;
    let shown = &rows[first..rows.len().min(first + page)];
    let made = shown.iter().map(|(name, known)| {
        let alarm = known.active.as_ref().map(|active| &active.alarm);
        let priority = priority_of(known);
        let mark = if model.marked.contains(*name) { "*" } else { "" };
        let short = if medium { priority } else { priority.get(..2).unwrap_or(priority) };
        let mut cells = vec![mark.to_owned(), visible(name), visible(short), ago(known.raised(), now)];
        if wide {
            cells.push(visible(alarm.map_or("", |a| &a.severity)));
            cells.push(visible(known.source()));
        }
        if model.pane == Pane::Shelved {
            cells.push(visible(&shelf_of(known, now)));
        }
        cells.push(visible(&message_of(known)));
        let style = match priority {
            "P1_LIFE" => tinted(model, Color::Red),
            "P2_PROPERTY" => tinted(model, Color::LightRed),
            "P3_PRODUCTIVITY" => tinted(model, Color::Yellow),
            _ => Style::new(),
        };
        Row::new(cells).style(style)
    });
    let table = Table::new(made.collect::<Vec<_>>(), widths)
        .header(Row::new(titles).style(Style::new().add_modifier(Modifier::BOLD)))
        .row_highlight_style(Style::new().add_modifier(Modifier::REVERSED));
    let mut state = ratatui::widgets::TableState::default().with_selected(Some(chosen - first));
    frame.render_stateful_widget(table, area, &mut state);
}

fn draw_foot(frame: &mut Frame<'_>, area: Rect, model: &Model, count: usize) {
    let order = match model.sort {
        Sort::Priority => "priority",
        Sort::Raised => "time",
        Sort::Name => "name",
        Sort::Source => "source",
        Sort::State => "state",
    };
    let first = match &model.mode {
        Mode::Filter => format!("filter: {}_", model.filter),
        Mode::Time(names, text) => {
            format!("shelve {} for (30m, 2h, 7d, forever; else {USUAL}): {text}_", several(names))
        }
        Mode::Reason(_, _, text) => format!("why: {text}_"),
        _ if !model.note.is_empty() => model.note.clone(),
        _ => {
            let reverse = if model.reverse { ", reversed" } else { "" };
            let filter = if model.filter.is_empty() { String::new() } else { format!(", filter: {}", model.filter) };
            let marked =
                if model.marked.is_empty() { String::new() } else { format!(", {} marked", model.marked.len()) };
            format!("{count} by {order}{reverse}{filter}{marked}")
        }
    };
    let typing = matches!(model.mode, Mode::Filter | Mode::Time(..) | Mode::Reason(..));
    let note = if typing && !model.note.is_empty() { format!("{}  ", model.note) } else { String::new() };
    let keys = match typing {
        true => format!("{note}Enter takes it  Esc leaves it"),
        false => keys(area.width).to_owned(),
    };
    let lines = vec![Line::from(visible(&first)), Line::styled(keys, Style::new().add_modifier(Modifier::DIM))];
    frame.render_widget(Paragraph::new(lines), area);
}

/// The keys that fit in so many columns.
fn keys(columns: u16) -> &'static str {
    let fits = |keys: &&&str| keys.chars().count() <= usize::from(columns);
    KEYS.iter().find(fits).or(KEYS.last()).copied().unwrap_or_default()
}

fn several(names: &[String]) -> String {
    match names {
        [name] => name.clone(),
        _ => format!("{} alarms", names.len()),
    }
}

#[cfg(test)]
mod tests {
    use connector_alarm::{Alarm, Kind, Priority, ShelvedAlarm};
    use ratatui::{
        Terminal,
        backend::TestBackend,
        crossterm::event::{Event, KeyCode, KeyEvent, KeyModifiers},
    };

    use super::{
        super::{super::state::tests::entry, model::Wish},
        *,
    };

    const NOW: i64 = 1_700_000_000_000;

    fn alarms() -> Alarms {
        let mut alarms = Alarms::default();
        let mut offset = 0;
        let mut put = |kind, name: &str, value| {
            offset += 1;
            alarms.apply(kind, entry(name, None, offset, Some(value)));
        };
        for (name, priority, message, acknowledged) in [
            ("pump", Priority::Property, "pressure is low", false),
            ("door", Priority::Life, "open\u{1b}[31m", false),
            ("fan", Priority::Diagnostic, "slow", true),
            ("valve", Priority::Productivity, "stuck", false),
        ] {
            let alarm = Alarm {
                message: message.into(),
                severity: "MAJOR".into(),
                source: "epics".into(),
                raised: Some(NOW - 125_000),
                acknowledged,
                ..Alarm::new(priority)
            };
            put(Kind::Active, name, alarm.to_value());
        }
        let shelf = ShelvedAlarm { expiration: Some(NOW + 7_200_000), reason: "being repaired".into() };
        put(Kind::Shelved, "valve", shelf.to_value());
        alarms
    }

    fn screen(model: &mut Model, alarms: &Alarms, columns: u16) -> Vec<String> {
        sized(model, alarms, columns, 8)
    }

    fn sized(model: &mut Model, alarms: &Alarms, columns: u16, rows: u16) -> Vec<String> {
        let mut terminal = Terminal::new(TestBackend::new(columns, rows)).expect("terminal");
        terminal.draw(|frame| draw(frame, model, alarms, NOW)).expect("drawn");
        let buffer = terminal.backend().buffer().clone();
        let row = |y: u16| (0..columns).map(|x| buffer[(x, y)].symbol()).collect::<String>().trim_end().to_owned();
        (0..rows).map(row).collect()
    }

    fn press(model: &mut Model, alarms: &Alarms, code: KeyCode) -> Wish {
        model.take(&Event::Key(KeyEvent::new(code, KeyModifiers::NONE)), alarms, NOW)
    }

    #[test]
    fn sixty_columns_show_the_most_important() {
        let (mut model, alarms) = (Model::new(false), alarms());
        let shown = screen(&mut model, &alarms, 60);
        assert_eq!(
            shown[..3],
            [" Active 2   Acknowledged 1   Shelved 1", "  NAME P  SINCE  MESSAGE", "  door P1 2m     open\u{FFFD}[31m"]
        );
        assert_eq!(shown[3], "  pump P2 2m     pressure is low");
        assert_eq!(shown[6], "2 by priority");
        assert_eq!(shown[7], "a ack  s shelve  u unshelve  / filter  ? keys  q quit");
    }

    #[test]
    fn the_keys_fit_whatever_the_width_is() {
        let (mut model, alarms) = (Model::new(false), alarms());
        for columns in 14..120 {
            let shown = screen(&mut model, &alarms, columns);
            assert!(KEYS.contains(&shown[7].as_str()), "{columns}: {}", shown[7]);
        }
        press(&mut model, &alarms, KeyCode::Char('?'));
        for columns in [40, 60, 80] {
            let shown = sized(&mut model, &alarms, columns, 24).join("\n");
            assert!(shown.contains("quit") && shown.contains("any key closes"), "{columns}: {shown}");
        }
        let shown = sized(&mut model, &alarms, 60, 24);
        assert!(shown[12].starts_with("│q ") && shown[13].starts_with('└'), "no line is broken: {shown:?}");
    }

    #[test]
    fn what_is_wrong_is_told_above_the_status_line_and_goes_when_it_is_well() {
        let (mut model, alarms) = (Model::new(false), alarms());
        let why = "reading schema 7: the schema registry at http://127.0.0.1:1 does not answer; is it running?";
        model.answered(Some(why), NOW);
        model.answered(Some(why), NOW + 60_000);
        let shown = sized(&mut model, &alarms, 60, 12);
        assert_eq!(shown[8], "as of 22:13:20 UTC: reading schema 7: the schema registry at");
        assert!(shown[9].ends_with("is it running?") && shown[10] == "2 by priority", "{shown:?}");
        assert!(shown[2].contains("door"), "what is known stays: {shown:?}");
        model.answered(None, NOW);
        let shown = sized(&mut model, &alarms, 60, 12);
        assert!(!shown.join("").contains("as of"), "{shown:?}");
        model.answered(Some(&"x ".repeat(400)), NOW);
        assert!(sized(&mut model, &alarms, 60, 12)[7].starts_with("as of"), "no more than three rows");
    }

    #[test]
    fn two_hundred_columns_show_more() {
        let (mut model, alarms) = (Model::new(true), alarms());
        let shown = screen(&mut model, &alarms, 200);
        assert_eq!(shown[1], "  NAME PRIORITY        SINCE  SEVERITY   SOURCE               MESSAGE");
        assert_eq!(shown[2], "  door P1_LIFE         2m     MAJOR      epics                open\u{FFFD}[31m");
    }

    #[test]
    fn keys_turn_panes_sort_filter_and_mark() {
        let (mut model, alarms) = (Model::new(false), alarms());
        press(&mut model, &alarms, KeyCode::Tab);
        assert!(screen(&mut model, &alarms, 60)[2].starts_with("  fan"), "acknowledged");
        assert_eq!(press(&mut model, &alarms, KeyCode::Char('a')), Wish::Nothing);
        assert!(screen(&mut model, &alarms, 60)[6].contains("only what is active"));
        press(&mut model, &alarms, KeyCode::Char('3'));
        let shown = screen(&mut model, &alarms, 100);
        assert!(shown[2].contains("valve") && shown[2].contains("for 2h00m: being repaired"), "{shown:?}");
        assert_eq!(press(&mut model, &alarms, KeyCode::Char('u')), Wish::Unshelve(vec!["valve".into()]));
        press(&mut model, &alarms, KeyCode::Char('1'));
        press(&mut model, &alarms, KeyCode::Char('r'));
        let shown = screen(&mut model, &alarms, 60);
        assert!(shown[2].contains("pump") && shown[6] == "2 by priority, reversed", "{shown:?}");
        press(&mut model, &alarms, KeyCode::Home);
        for _ in 0..2 {
            press(&mut model, &alarms, KeyCode::Char(' '));
        }
        assert_eq!(
            press(&mut model, &alarms, KeyCode::Char('a')),
            Wish::Acknowledge(vec!["door".into(), "pump".into()])
        );
        for key in ['/', 'l', 'o', 'w'] {
            press(&mut model, &alarms, KeyCode::Char(key));
        }
        press(&mut model, &alarms, KeyCode::Enter);
        let shown = screen(&mut model, &alarms, 60);
        assert!(shown[2].contains("pump") && shown[3].is_empty() && shown[6].ends_with("filter: low"), "{shown:?}");
        press(&mut model, &alarms, KeyCode::Esc);
        assert_eq!(press(&mut model, &alarms, KeyCode::Esc), Wish::End);
    }

    #[test]
    fn shelving_asks_for_how_long_and_why() {
        let (mut model, alarms) = (Model::new(false), alarms());
        screen(&mut model, &alarms, 60);
        press(&mut model, &alarms, KeyCode::Char('s'));
        press(&mut model, &alarms, KeyCode::Char('x'));
        press(&mut model, &alarms, KeyCode::Enter);
        assert!(screen(&mut model, &alarms, 60)[7].contains("is no time"));
        press(&mut model, &alarms, KeyCode::Backspace);
        press(&mut model, &alarms, KeyCode::Enter);
        press(&mut model, &alarms, KeyCode::Char('z'));
        let wish = press(&mut model, &alarms, KeyCode::Enter);
        assert_eq!(wish, Wish::Shelve(vec!["door".into()], Some(3_600_000), "z".into()));
    }

    #[test]
    fn letters_with_ctrl_or_alt_do_not_what_the_letters_do() {
        let (mut model, alarms) = (Model::new(false), alarms());
        screen(&mut model, &alarms, 60);
        let with = |model: &mut Model, letter: char, modifiers: KeyModifiers| {
            model.take(&Event::Key(KeyEvent::new(KeyCode::Char(letter), modifiers)), &alarms, NOW)
        };
        let before = format!("{model:?}");
        for letter in ['a', 's', 'u', 'q', 'r', 'o', 'h', 'g', 'k', 'j', ' ', '/', '?', '3', 'G'] {
            for modifiers in [KeyModifiers::CONTROL, KeyModifiers::ALT, KeyModifiers::CONTROL | KeyModifiers::ALT] {
                assert_eq!(with(&mut model, letter, modifiers), Wish::Nothing, "{letter}");
                assert_eq!(format!("{model:?}"), before, "{letter}");
            }
        }
        press(&mut model, &alarms, KeyCode::Char('?'));
        with(&mut model, 'a', KeyModifiers::CONTROL);
        assert_eq!(model.mode, Mode::Help, "nor does it close anything");
        press(&mut model, &alarms, KeyCode::Esc);
        for key in ['/', 'l', 'o', 'w'] {
            press(&mut model, &alarms, KeyCode::Char(key));
        }
        with(&mut model, 'a', KeyModifiers::CONTROL);
        assert_eq!(model.filter, "low");
        with(&mut model, 'h', KeyModifiers::CONTROL);
        assert_eq!(model.filter, "lo");
        with(&mut model, 'u', KeyModifiers::CONTROL);
        assert_eq!((model.filter.as_str(), &model.mode), ("", &Mode::Filter));
        // Capitals are letters.
        with(&mut model, 'X', KeyModifiers::SHIFT);
        assert_eq!(model.filter, "X");
        assert_eq!(with(&mut model, 'c', KeyModifiers::CONTROL), Wish::End);
    }

    #[test]
    fn a_terminal_that_grows_shows_the_rows_above() {
        let (mut model, mut alarms) = (Model::new(false), alarms());
        let pump = alarms.get("pump").cloned().expect("pump");
        for number in 10..22 {
            alarms.all.insert(format!("pump-{number}").into(), pump.clone());
        }
        press(&mut model, &alarms, KeyCode::End);
        let shown = screen(&mut model, &alarms, 60);
        assert!(shown[2].contains("pump-18") && shown[5].contains("pump-21"), "{shown:?}");
        let shown = sized(&mut model, &alarms, 60, 30);
        assert!(shown[2].contains("door") && shown[15].contains("pump-21"), "{shown:?}");
        let shown = sized(&mut model, &alarms, 60, 10);
        assert!(shown[2].contains("pump-16") && shown[7].contains("pump-21"), "{shown:?}");
    }

    #[test]
    fn the_choice_stays_with_its_alarm_and_a_small_screen_scrolls() {
        let (mut model, mut alarms) = (Model::new(false), alarms());
        press(&mut model, &alarms, KeyCode::Down);
        screen(&mut model, &alarms, 60);
        assert_eq!(model.chosen.as_deref(), Some("pump"));
        alarms.all.remove("door");
        screen(&mut model, &alarms, 60);
        assert_eq!(model.chosen.as_deref(), Some("pump"));
        let pump = alarms.get("pump").cloned().expect("pump");
        for number in 10..40 {
            alarms.all.insert(format!("pump-{number}").into(), pump.clone());
        }
        press(&mut model, &alarms, KeyCode::End);
        let shown = screen(&mut model, &alarms, 60);
        assert!(shown[5].contains("pump-39") && shown[2].contains("pump-36"), "{shown:?}");
        for tiny in [1, 3, 20] {
            screen(&mut model, &alarms, tiny);
        }
    }
}
