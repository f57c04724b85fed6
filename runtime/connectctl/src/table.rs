//! Tables without borders, with remarks below rows, that fit the terminal.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use crate::{
    output::visible,
    paint::{Tone, is_mark, paint, tone_of},
};

/// The first column is not cut shorter than this.
const SHORTEST: usize = 12;
/// It is cut to half of the terminal before any column goes, but not for that to fewer than these.
const LONG: usize = 24;
/// That many columns stay, however narrow the terminal.
const MINIMUM: usize = 3;
/// Blanks between columns.
const GAP: usize = 2;

/// A column.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    title: &'static str,
    right: bool,
    optional: bool,
    /// To how many columns it may be cut before others go.
    cut: Option<usize>,
}

impl Column {
    /// A column of texts.
    pub fn text(title: &'static str) -> Self {
        Self { title, right: false, optional: false, cut: None }
    }

    /// A column of numbers.
    pub fn number(title: &'static str) -> Self {
        Self { title, right: true, optional: false, cut: None }
    }

    /// A column that is left out where the terminal is too narrow.
    pub fn optional(self) -> Self {
        Self { optional: true, ..self }
    }

    /// A column that is cut where the terminal is too narrow, and does not go: to so many columns before optional ones go,
    /// and at last further.
    pub fn cut(self, wanted: usize) -> Self {
        Self { cut: Some(wanted), ..self }
    }
}

#[derive(Debug, Clone)]
struct Row {
    cells: Vec<String>,
    notes: Vec<(usize, String)>,
}

/// Rows under titles. Cells that are states are coloured.
#[derive(Debug, Clone)]
pub struct Table {
    columns: Vec<Column>,
    rows: Vec<Row>,
}

impl Table {
    /// No rows yet.
    pub fn new(columns: impl Into<Vec<Column>>) -> Self {
        Self { columns: columns.into(), rows: Vec::new() }
    }

    /// Adds a row, a cell for every column.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        let cells = cells.into_iter().map(|c| visible(&c).replace('\n', " ")).collect();
        self.rows.push(Row { cells, notes: Vec::new() });
    }

    /// Adds a remark below the last row; it may be wider than any column.
    pub fn note(&mut self, indent: usize, text: impl Into<String>) {
        if let Some(row) = self.rows.last_mut() {
            row.notes.push((indent, text.into()));
        }
    }

    /// The text, at most as wide as given: first columns that may be cut are, and cells of the first column that are longer
    /// than half of that, then optional columns go, from the right, then the first column is cut further, then further
    /// columns go, and at last the last column is cut.
    pub fn render(&self, width: Option<usize>) -> String {
        let mut shown: Vec<usize> = (0..self.columns.len()).collect();
        let mut longest = usize::MAX;
        let mut widths = self.widths(&shown, longest);
        if let Some(w) = width.filter(|w| self.needed(&shown, &widths, usize::MAX) > *w) {
            longest = LONG.max(w / 2);
            widths = self.widths(&shown, longest);
        }
        while let Some(w) = width {
            let optional = shown.iter().rposition(|i| self.columns[*i].optional);
            let wanted = if optional.is_some() { usize::MAX } else { SHORTEST };
            if self.needed(&shown, &widths, wanted) <= w {
                break;
            }
            if let Some(last) = optional {
                shown.remove(last);
            } else if longest > SHORTEST {
                let first = widths.first().copied().unwrap_or_default();
                longest = longest.min(first).saturating_sub(1).max(SHORTEST);
            } else if shown.len() > MINIMUM {
                let last = shown.iter().rposition(|i| self.columns[*i].cut.is_none()).filter(|place| *place > 0);
                shown.remove(last.unwrap_or(shown.len() - 1));
                longest = usize::MAX;
            } else {
                break;
            }
            widths = self.widths(&shown, longest);
        }
        for place in (0..widths.len()).rev().filter(|place| self.columns[shown[*place]].cut.is_some()) {
            let over = width.map_or(0, |w| total(&widths).saturating_sub(w));
            widths[place] = widths[place].min(widths[place].saturating_sub(over).max(SHORTEST));
        }
        if let (Some(w), Some(last)) = (width, widths.len().checked_sub(1)) {
            let others = total(&widths) - widths[last];
            widths[last] = widths[last].min(w.saturating_sub(others).max(SHORTEST));
        }
        let titles: Vec<&str> = shown.iter().map(|i| self.columns[*i].title).collect();
        let mut text = paint(Tone::Strong, self.line(&titles, &shown, &widths, false).trim_end());
        text.push('\n');
        for row in &self.rows {
            let cells: Vec<&str> = shown.iter().map(|i| row.cells.get(*i).map_or("", String::as_str)).collect();
            text.push_str(self.line(&cells, &shown, &widths, true).trim_end());
            text.push('\n');
            for (indent, note) in &row.notes {
                for line in wrap(note, *indent, width) {
                    text.push_str(&line);
                    text.push('\n');
                }
            }
        }
        text
    }

    /// How wide each column is whose cells are shown whole; those of the first are at most so long.
    fn widths(&self, shown: &[usize], longest: usize) -> Vec<usize> {
        let width = |(place, column): (usize, &usize)| {
            let cells = self.rows.iter().filter_map(|row| row.cells.get(*column)).map(|cell| cell.width()).max();
            let widest = cells.unwrap_or_default().max(self.columns[*column].title.width());
            if place == 0 { widest.min(longest) } else { widest }
        };
        shown.iter().enumerate().map(width).collect()
    }

    /// How wide they are together where those that may be cut are: to what they want, or to `most` if that is less.
    fn needed(&self, shown: &[usize], widths: &[usize], most: usize) -> usize {
        let least = |(column, width): (&usize, &usize)| match self.columns[*column].cut {
            Some(wanted) => (*width).min(wanted.min(most)),
            None => *width,
        };
        let least: Vec<usize> = shown.iter().zip(widths).map(least).collect();
        total(&least)
    }

    fn line(&self, cells: &[&str], shown: &[usize], widths: &[usize], painted: bool) -> String {
        let mut line = String::new();
        for (place, cell) in cells.iter().enumerate() {
            let text = cut(cell, widths[place]);
            let blanks = " ".repeat(widths[place].saturating_sub(text.width()));
            let text = match tone_of(&text).filter(|_| painted && place > 0) {
                Some(tone) => paint(tone, &text),
                None => text,
            };
            if self.columns[shown[place]].right {
                line.extend([blanks, text]);
            } else {
                line.extend([text, blanks]);
            }
            line.push_str(&" ".repeat(GAP));
        }
        line
    }
}

fn total(widths: &[usize]) -> usize {
    (widths.iter().sum::<usize>() + GAP * widths.len()).saturating_sub(GAP)
}

fn cut(text: &str, longest: usize) -> String {
    if text.width() <= longest {
        return text.to_owned();
    }
    let mut room = longest.saturating_sub(1);
    let fits = |c: &char| {
        let left = room.checked_sub(c.width().unwrap_or(0));
        room = left.unwrap_or(room);
        left.is_some()
    };
    text.chars().take_while(fits).chain(['…']).collect()
}

/// How many columns a text takes, marks of colours aside.
pub fn columns(text: &str) -> usize {
    text.chars().filter(|c| !is_mark(*c)).filter_map(UnicodeWidthChar::width).sum()
}

/// A text in lines of at most this width, the first indented and the others two more; its own line ends are kept. A word
/// that is wider than a line is broken.
pub fn wrap(text: &str, indent: usize, width: Option<usize>) -> Vec<String> {
    let width = width.unwrap_or(usize::MAX).max(indent + 12);
    let mut lines: Vec<String> = Vec::new();
    for part in visible(text).lines() {
        let mut line = " ".repeat(indent + if lines.is_empty() { 0 } else { 2 });
        let mut empty = true;
        for word in part.split_whitespace() {
            if !empty && columns(&line) + 1 + columns(word) > width {
                lines.push(std::mem::replace(&mut line, " ".repeat(indent + 2)));
                empty = true;
            }
            if !empty {
                line.push(' ');
            }
            let mut room = width.saturating_sub(columns(&line));
            for c in word.chars() {
                let wide = if is_mark(c) { 0 } else { c.width().unwrap_or(0) };
                if wide > room {
                    lines.push(std::mem::replace(&mut line, " ".repeat(indent + 2)));
                    room = width - indent - 2;
                }
                room -= wide;
                line.push(c);
            }
            empty = false;
        }
        lines.push(line);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::paint::resolve;

    fn table() -> Table {
        let mut t = Table::new([Column::text("NAME"), Column::number("N"), Column::text("WORKER").optional()]);
        t.row(["a-rather-long-name".into(), "1".into(), "127.0.0.1:8083".into()]);
        t.note(2, "why it does not do what it should do");
        t.row(["b".into(), "1000".into(), "w".into()]);
        t
    }

    fn plain(table: &Table, width: Option<usize>) -> String {
        resolve(&table.render(width), false)
    }

    #[test]
    fn columns_are_aligned() {
        let expected = "\
NAME                   N  WORKER
a-rather-long-name     1  127.0.0.1:8083
  why it does not do what it should do
b                   1000  w
";
        assert_eq!(plain(&table(), None), expected);
        assert_eq!(plain(&table(), Some(80)), expected);
    }

    #[test]
    fn a_narrow_terminal_loses_optional_columns_and_then_ends_of_names() {
        let expected = "\
NAME                   N
a-rather-long-name     1
  why it does not do what
    it should do
b                   1000
";
        assert_eq!(plain(&table(), Some(25)), expected);
        let expected = "\
NAME             N
a-rather-lo…     1
  why it does not
    do what it
    should do
b             1000
";
        assert_eq!(plain(&table(), Some(18)), expected);
    }

    #[test]
    fn a_very_long_name_hides_nothing_in_a_terminal() {
        let mut t = Table::new([Column::text("NAME"), Column::text("STATE"), Column::text("WORKER").optional()]);
        t.row(["x".repeat(300), "RUNNING".into(), "127.0.0.1:8083".into()]);
        t.row(["y".into(), "FAILED".into(), "127.0.0.1:8083".into()]);
        assert!(plain(&t, None).contains(&"x".repeat(300)), "in a pipe names are whole");
        let text = plain(&t, Some(80));
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[1], format!("{}…  RUNNING  127.0.0.1:8083", "x".repeat(39)));
        assert_eq!(lines[2], format!("y{}FAILED   127.0.0.1:8083", " ".repeat(41)));
        assert!(t.render(None).contains(&paint(Tone::Bad, "FAILED")));
    }

    #[test]
    fn the_last_column_and_long_words_are_cut_to_fit() {
        let mut t = Table::new([Column::text("KEY"), Column::text("VALUE")]);
        t.row(["a".into(), "x".repeat(100)]);
        t.note(2, "z".repeat(70));
        t.row(["名前".into(), "y".into()]);
        let text = plain(&t, Some(40));
        assert!(text.lines().all(|l| l.width() <= 40), "{text}");
        assert!(text.contains("\n名前  y\n"), "{text}");
    }

    #[test]
    fn a_column_that_may_be_cut_does_not_go() {
        let columns = [
            Column::text("NAME"),
            Column::text("STATE"),
            Column::text("HOST").optional(),
            Column::text("USER"),
            Column::text("MESSAGE").cut(20),
        ];
        let mut t = Table::new(columns);
        t.row(["pump".into(), "active".into(), "127.0.0.1".into(), "alice".into(), "m".repeat(300)]);
        t.row(["b".into(), "normal".into(), "h".into(), "u".into(), "short".into()]);
        let row = |width| plain(&t, width).lines().nth(1).map(str::to_owned).unwrap_or_default();
        assert!(row(None).ends_with(&"m".repeat(300)));
        assert_eq!(row(Some(80)), format!("pump  active  127.0.0.1  alice  {}…", "m".repeat(47)));
        assert_eq!(row(Some(52)), format!("pump  active  127.0.0.1  alice  {}…", "m".repeat(19)));
        assert_eq!(row(Some(51)), format!("pump  active  alice  {}…", "m".repeat(29)), "then optional ones go");
        assert_eq!(row(Some(33)), format!("pump  active  alice  {}…", "m".repeat(11)));
        assert_eq!(row(Some(32)), format!("pump  active  {}…", "m".repeat(17)), "then others");
        for width in 26..100 {
            let text = plain(&t, Some(width));
            assert!(text.starts_with("NAME") && text.contains("MESSAGE"), "{width}: {text}");
            assert!(text.lines().all(|line| line.width() <= width), "{width}: {text}");
        }
    }

    #[test]
    fn control_characters_are_made_visible() {
        let mut t = Table::new([Column::text("NAME")]);
        t.row(["a\u{1b}[31m\nb".into()]);
        t.note(2, "x\u{1b}[0m");
        assert_eq!(plain(&t, None), "NAME\na\u{FFFD}[31m b\n  x\u{FFFD}[0m\n");
    }
}
