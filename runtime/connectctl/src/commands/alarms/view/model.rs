//! What the view shows, and what a key does.

use std::{collections::BTreeSet, mem};

use ratatui::{
    crossterm::event::{Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers},
    widgets::TableState,
};

use super::super::{
    list::{Sort, message_of, sort},
    shelve::duration,
    state::{Alarms, Known, State},
};

/// Which alarms are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pane {
    Active,
    Acknowledged,
    Shelved,
}

/// How long an alarm is shelved where nothing is typed.
pub(super) const USUAL: &str = "1h";

impl Pane {
    pub(super) const ALL: [Pane; 3] = [Self::Active, Self::Acknowledged, Self::Shelved];

    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Active => "Active",
            Self::Acknowledged => "Acknowledged",
            Self::Shelved => "Shelved",
        }
    }

    pub(super) fn has(self, state: State) -> bool {
        matches!(
            (self, state),
            (Self::Active, State::Active) | (Self::Acknowledged, State::Acknowledged) | (Self::Shelved, State::Shelved)
        )
    }
}

/// What is typed at the bottom, or shown above all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Mode {
    /// Keys are commands.
    Browse,
    /// The text of the filter is typed.
    Filter,
    /// For how long these go on the shelf is typed.
    Time(Vec<String>, String),
    /// And why.
    Reason(Vec<String>, Option<i64>, String),
    /// All about the alarm that is chosen is shown.
    Detail,
    /// What keys do is shown.
    Help,
}

/// What the user wants done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Wish {
    Nothing,
    End,
    Acknowledge(Vec<String>),
    /// For so many milliseconds, or for ever; why.
    Shelve(Vec<String>, Option<i64>, String),
    Unshelve(Vec<String>),
}

impl Wish {
    /// What is said while it is done.
    pub(super) fn progress(&self) -> &'static str {
        match self {
            Self::Acknowledge(_) => "acknowledging …",
            Self::Shelve(..) => "shelving …",
            Self::Unshelve(_) => "unshelving …",
            Self::Nothing | Self::End => "",
        }
    }
}

/// What is shown.
#[derive(Debug)]
pub(super) struct Model {
    pub(super) pane: Pane,
    pub(super) sort: Sort,
    pub(super) reverse: bool,
    pub(super) filter: String,
    pub(super) mode: Mode,
    pub(super) marked: BTreeSet<String>,
    /// The alarm that is chosen, which stays so when others come and go.
    pub(super) chosen: Option<String>,
    pub(super) table: TableState,
    /// How many rows fit the screen.
    pub(super) page: usize,
    pub(super) note: String,
    /// Since when not all news can be had, and why.
    pub(super) lost: Option<(i64, String)>,
    unread: Option<String>,
    pub(super) colour: bool,
}

impl Model {
    pub(super) fn new(colour: bool) -> Self {
        Self {
            pane: Pane::Active,
            sort: Sort::Priority,
            reverse: false,
            filter: String::new(),
            mode: Mode::Browse,
            marked: BTreeSet::new(),
            chosen: None,
            table: TableState::default(),
            page: 10,
            note: String::new(),
            lost: None,
            unread: None,
            colour,
        }
    }

    /// Says something at the bottom.
    pub(super) fn tell(&mut self, text: &str) {
        text.clone_into(&mut self.note);
    }

    /// Says how many records cannot be decoded, when that has changed.
    pub(super) fn tell_unread(&mut self, count: usize, last: &str) {
        let text = format!("{count} records cannot be decoded, the last: {last}");
        if self.unread.as_ref() != Some(&text) {
            self.tell(&text);
            self.unread = Some(text);
        }
    }

    /// Kafka and the registry have answered, or one of them has not: then all stays as it was known at that time.
    pub(super) fn answered(&mut self, problem: Option<&str>, now: i64) {
        let since = self.lost.take().map_or(now, |(since, _)| since);
        self.lost = problem.map(|why| (since, why.to_owned()));
    }

    /// The rows of the pane.
    pub(super) fn rows<'a>(&self, alarms: &'a Alarms, now: i64) -> Vec<(&'a str, &'a Known)> {
        let wanted = self.filter.to_lowercase();
        let fits = |name: &str, known: &Known| {
            self.pane.has(known.state(now))
                && (wanted.is_empty()
                    || [name, known.source(), &message_of(known), super::super::list::priority_of(known)]
                        .iter()
                        .any(|text| text.to_lowercase().contains(&wanted)))
        };
        let all = alarms.all.iter().filter(|(name, known)| fits(name, known));
        let mut rows: Vec<(&str, &Known)> = all.map(|(name, known)| (&**name, known)).collect();
        sort(&mut rows, self.sort, now);
        if self.reverse {
            rows.reverse();
        }
        rows
    }

    /// Keeps the choice within these rows.
    pub(super) fn settle(&mut self, rows: &[(&str, &Known)]) {
        let place = self.chosen.as_ref().and_then(|chosen| rows.iter().position(|(name, _)| name == chosen));
        let place = place.or_else(|| self.table.selected()).unwrap_or(0).min(rows.len().saturating_sub(1));
        self.chosen = rows.get(place).map(|(name, _)| (*name).to_owned());
        self.table.select(self.chosen.is_some().then_some(place));
        self.marked.retain(|name| rows.iter().any(|(row, _)| row == name));
    }

    /// The alarms that a command is about: those that are marked, or the one that is chosen.
    fn meant(&self) -> Vec<String> {
        if self.marked.is_empty() {
            self.chosen.iter().cloned().collect()
        } else {
            self.marked.iter().cloned().collect()
        }
    }

    /// What follows from an event.
    pub(super) fn take(&mut self, event: &Event, alarms: &Alarms, now: i64) -> Wish {
        match event {
            Event::Key(key) if key.kind != KeyEventKind::Release => self.key(*key, alarms, now),
            // The screen is drawn anew in any case.
            _ => Wish::Nothing,
        }
    }

    fn key(&mut self, key: KeyEvent, alarms: &Alarms, now: i64) -> Wish {
        if let KeyCode::Char(letter) = key.code
            && key.modifiers.intersects(KeyModifiers::CONTROL | KeyModifiers::ALT | KeyModifiers::SUPER)
        {
            return self.combination(letter.to_ascii_lowercase(), key.modifiers);
        }
        match mem::replace(&mut self.mode, Mode::Browse) {
            Mode::Browse => self.browse(key.code, alarms, now),
            Mode::Detail | Mode::Help => Wish::Nothing,
            Mode::Filter => {
                match key.code {
                    KeyCode::Enter => return Wish::Nothing,
                    KeyCode::Esc => {
                        self.filter.clear();
                        return Wish::Nothing;
                    }
                    code => edit(&mut self.filter, code),
                }
                self.mode = Mode::Filter;
                Wish::Nothing
            }
            Mode::Time(names, mut text) => {
                self.mode = match key.code {
                    KeyCode::Esc => Mode::Browse,
                    KeyCode::Enter if text.trim() == "forever" => Mode::Reason(names, None, String::new()),
                    KeyCode::Enter => match duration(if text.trim().is_empty() { USUAL } else { &text }) {
                        Ok(ms) => Mode::Reason(names, Some(ms), String::new()),
                        Err(why) => {
                            self.note = format!("{why}, or forever");
                            Mode::Time(names, text)
                        }
                    },
                    code => {
                        edit(&mut text, code);
                        Mode::Time(names, text)
                    }
                };
                Wish::Nothing
            }
            Mode::Reason(names, ms, mut text) => match key.code {
                KeyCode::Esc => Wish::Nothing,
                KeyCode::Enter if ms.is_none() && text.trim().is_empty() => {
                    self.note = "what is on the shelf for ever needs a reason".into();
                    self.mode = Mode::Reason(names, ms, text);
                    Wish::Nothing
                }
                KeyCode::Enter => {
                    self.marked.clear();
                    Wish::Shelve(names, ms, text.trim().to_owned())
                }
                code => {
                    edit(&mut text, code);
                    self.mode = Mode::Reason(names, ms, text);
                    Wish::Nothing
                }
            },
        }
    }

    /// What follows from a letter that is pressed with Ctrl or Alt: not what the letter alone does.
    fn combination(&mut self, letter: char, modifiers: KeyModifiers) -> Wish {
        if modifiers != KeyModifiers::CONTROL {
            return Wish::Nothing;
        }
        let typed = match &mut self.mode {
            Mode::Filter => Some(&mut self.filter),
            Mode::Time(_, text) | Mode::Reason(_, _, text) => Some(text),
            Mode::Browse | Mode::Detail | Mode::Help => None,
        };
        match (letter, typed) {
            ('c' | 'd', _) => return Wish::End,
            ('u', Some(text)) => text.clear(),
            // Some terminals send it for the backspace.
            ('h', Some(text)) => drop(text.pop()),
            _ => {}
        }
        Wish::Nothing
    }

    fn browse(&mut self, code: KeyCode, alarms: &Alarms, now: i64) -> Wish {
        let rows = self.rows(alarms, now);
        self.settle(&rows);
        self.note.clear();
        let place = self.table.selected().unwrap_or(0);
        let last = rows.len().saturating_sub(1);
        let at = |to: usize| rows.get(to.min(last)).map(|(name, _)| (*name).to_owned());
        match code {
            KeyCode::Char('q') => return Wish::End,
            KeyCode::Esc if self.filter.is_empty() && self.marked.is_empty() => return Wish::End,
            KeyCode::Esc => {
                self.filter.clear();
                self.marked.clear();
            }
            KeyCode::Up | KeyCode::Char('k') => self.chosen = at(place.saturating_sub(1)),
            KeyCode::Down | KeyCode::Char('j') => self.chosen = at(place + 1),
            KeyCode::PageUp => self.chosen = at(place.saturating_sub(self.page)),
            KeyCode::PageDown => self.chosen = at(place + self.page),
            KeyCode::Home | KeyCode::Char('g') => self.chosen = at(0),
            KeyCode::End | KeyCode::Char('G') => self.chosen = at(last),
            KeyCode::Tab | KeyCode::Right => self.turn(1),
            KeyCode::BackTab | KeyCode::Left => self.turn(2),
            KeyCode::Char(n @ '1'..='3') => self.show(Pane::ALL[usize::from(n as u8 - b'1')]),
            KeyCode::Char(' ') => {
                if let Some(chosen) = self.chosen.clone() {
                    if !self.marked.remove(&chosen) {
                        self.marked.insert(chosen);
                    }
                    self.chosen = at(place + 1);
                }
            }
            KeyCode::Char('/') => self.mode = Mode::Filter,
            KeyCode::Char('o') => {
                self.sort = match self.sort {
                    Sort::Priority => Sort::Raised,
                    Sort::Raised => Sort::Name,
                    Sort::Name => Sort::Source,
                    Sort::Source | Sort::State => Sort::Priority,
                };
            }
            KeyCode::Char('r') => self.reverse = !self.reverse,
            KeyCode::Char('?' | 'h') => self.mode = Mode::Help,
            KeyCode::Enter if self.chosen.is_some() => self.mode = Mode::Detail,
            KeyCode::Char('a') => match self.pane {
                Pane::Active if self.chosen.is_some() => {
                    let names = self.meant();
                    self.marked.clear();
                    return Wish::Acknowledge(names);
                }
                _ => self.tell("only what is active can be acknowledged"),
            },
            KeyCode::Char('s') if self.chosen.is_some() => self.mode = Mode::Time(self.meant(), String::new()),
            KeyCode::Char('u') => match self.pane {
                Pane::Shelved if self.chosen.is_some() => {
                    let names = self.meant();
                    self.marked.clear();
                    return Wish::Unshelve(names);
                }
                _ => self.tell("only what is on the shelf can be taken off it"),
            },
            _ => {}
        }
        Wish::Nothing
    }

    fn turn(&mut self, by: usize) {
        let place = Pane::ALL.iter().position(|pane| *pane == self.pane).unwrap_or(0);
        self.show(Pane::ALL[(place + by) % Pane::ALL.len()]);
    }

    fn show(&mut self, pane: Pane) {
        self.pane = pane;
        self.chosen = None;
        self.marked.clear();
        self.table = TableState::default();
    }
}

fn edit(text: &mut String, code: KeyCode) {
    match code {
        KeyCode::Char(c) => text.push(c),
        KeyCode::Backspace => drop(text.pop()),
        _ => {}
    }
}
