//! Tables without borders, with remarks below rows, that fit the terminal.

use comfy_table::{CellAlignment, ContentArrangement, presets};

use crate::output::visible;

/// The first column is not cut shorter than this.
const SHORTEST: usize = 12;
/// It is cut to half of the terminal before any column goes, but not for that to fewer than these.
const LONG: usize = 24;
/// That many columns stay, however narrow the terminal.
const MINIMUM: usize = 3;

/// A column.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    title: &'static str,
    right: bool,
    optional: bool,
}

impl Column {
    /// A column of texts.
    pub fn text(title: &'static str) -> Self {
        Self { title, right: false, optional: false }
    }

    /// A column of numbers.
    pub fn number(title: &'static str) -> Self {
        Self { title, right: true, optional: false }
    }

    /// A column that is left out where the terminal is too narrow.
    pub fn optional(self) -> Self {
        Self { optional: true, ..self }
    }
}

#[derive(Debug, Clone)]
struct Row {
    cells: Vec<String>,
    notes: Vec<(usize, String)>,
}

/// Rows under titles.
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

    /// The text, at most as wide as given: first cells of the first column that are longer than half of that are cut, then
    /// optional columns go, from the right, then the first column is cut further, then further columns go.
    pub fn render(&self, width: Option<usize>) -> String {
        let mut shown: Vec<usize> = (0..self.columns.len()).collect();
        let mut longest = usize::MAX;
        let mut table = self.layout(&shown, longest);
        if let Some(w) = width.filter(|w| natural_width(&table) > *w) {
            longest = LONG.max(w / 2);
            table = self.layout(&shown, longest);
        }
        while width.is_some_and(|w| natural_width(&table) > w) {
            if let Some(last) = shown.iter().rposition(|i| self.columns[*i].optional) {
                shown.remove(last);
            } else if longest > SHORTEST {
                let first = table.column_max_content_widths().first().map_or(0, |w| usize::from(*w));
                longest = longest.min(first).saturating_sub(1).max(SHORTEST);
            } else if shown.len() > MINIMUM {
                shown.pop();
                longest = usize::MAX;
            } else {
                break;
            }
            table = self.layout(&shown, longest);
        }
        let mut lines = table.lines();
        let mut text = String::new();
        let mut push = |line: &str| {
            text.push_str(line.trim_end());
            text.push('\n');
        };
        push(&lines.next().unwrap_or_default());
        for row in &self.rows {
            push(&lines.next().unwrap_or_default());
            for (indent, note) in &row.notes {
                wrap(note, *indent, width).iter().for_each(|l| push(l));
            }
        }
        text
    }

    /// One line per row, whatever the width; cells of the first column are at most so many characters long.
    fn layout(&self, shown: &[usize], longest: usize) -> comfy_table::Table {
        let mut table = comfy_table::Table::new();
        table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
        table.set_header(shown.iter().map(|i| self.columns[*i].title).collect::<Vec<_>>());
        for row in &self.rows {
            let cells = shown.iter().map(|i| row.cells.get(*i).map(String::as_str).unwrap_or_default());
            let cells = cells.enumerate().map(|(i, cell)| if i == 0 { cut(cell, longest) } else { cell.to_owned() });
            table.add_row(cells.collect::<Vec<_>>());
        }
        for (position, column) in table.column_iter_mut().enumerate() {
            column.set_padding((0, if position + 1 == shown.len() { 0 } else { 2 }));
            if self.columns[shown[position]].right {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        table
    }
}

fn cut(text: &str, longest: usize) -> String {
    if text.chars().count() <= longest {
        return text.to_owned();
    }
    text.chars().take(longest.saturating_sub(1)).chain(['…']).collect()
}

fn natural_width(table: &comfy_table::Table) -> usize {
    let widths = table.column_max_content_widths();
    widths.iter().map(|w| usize::from(*w) + 2).sum::<usize>().saturating_sub(2)
}

/// A text in lines of at most this width, the first indented and the others two more; its own line ends are kept.
pub fn wrap(text: &str, indent: usize, width: Option<usize>) -> Vec<String> {
    let width = width.unwrap_or(usize::MAX).max(indent + 12);
    let mut lines: Vec<String> = Vec::new();
    for part in visible(text).lines() {
        let mut line = " ".repeat(indent + if lines.is_empty() { 0 } else { 2 });
        let mut empty = true;
        for word in part.split_whitespace() {
            if !empty && line.chars().count() + 1 + word.chars().count() > width {
                lines.push(std::mem::replace(&mut line, " ".repeat(indent + 2)));
                empty = true;
            }
            if !empty {
                line.push(' ');
            }
            line.push_str(word);
            empty = false;
        }
        lines.push(line);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut t = Table::new([Column::text("NAME"), Column::number("N"), Column::text("WORKER").optional()]);
        t.row(["a-rather-long-name".into(), "1".into(), "127.0.0.1:8083".into()]);
        t.note(2, "why it does not do what it should do");
        t.row(["b".into(), "1000".into(), "w".into()]);
        t
    }

    #[test]
    fn columns_are_aligned() {
        let expected = "\
NAME                   N  WORKER
a-rather-long-name     1  127.0.0.1:8083
  why it does not do what it should do
b                   1000  w
";
        assert_eq!(table().render(None), expected);
        assert_eq!(table().render(Some(80)), expected);
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
        assert_eq!(table().render(Some(25)), expected);
        let expected = "\
NAME             N
a-rather-lo…     1
  why it does not
    do what it
    should do
b             1000
";
        assert_eq!(table().render(Some(18)), expected);
    }

    #[test]
    fn a_very_long_name_hides_nothing_in_a_terminal() {
        let mut t = Table::new([Column::text("NAME"), Column::text("STATE"), Column::text("WORKER").optional()]);
        t.row(["x".repeat(300), "RUNNING".into(), "127.0.0.1:8083".into()]);
        t.row(["y".into(), "FAILED".into(), "127.0.0.1:8083".into()]);
        assert!(t.render(None).contains(&"x".repeat(300)), "in a pipe names are whole");
        let text = t.render(Some(80));
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[1], format!("{}…  RUNNING  127.0.0.1:8083", "x".repeat(39)));
        assert_eq!(lines[2], format!("y{}FAILED   127.0.0.1:8083", " ".repeat(41)));
    }

    #[test]
    fn control_characters_are_made_visible() {
        let mut t = Table::new([Column::text("NAME")]);
        t.row(["a\u{1b}[31m\nb".into()]);
        t.note(2, "x\u{1b}[0m");
        assert_eq!(t.render(None), "NAME\na\u{FFFD}[31m b\n  x\u{FFFD}[0m\n");
    }
}
