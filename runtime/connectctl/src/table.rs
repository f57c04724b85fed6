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
    /// Nothing of it is ever left out: long cells go on below themselves.
    whole: bool,
}

impl Column {
    /// A column of texts.
    pub fn text(title: &'static str) -> Self {
        Self { title, right: false, optional: false, cut: None, whole: false }
    }

    /// A column of numbers.
    pub fn number(title: &'static str) -> Self {
        Self { title, right: true, optional: false, cut: None, whole: false }
    }

    /// A column that is left out where the terminal is too narrow.
    pub fn optional(self) -> Self {
        Self { optional: true, ..self }
    }

    /// A column that is cut where the terminal is too narrow, and does not go: to so many columns before optional ones go,
    /// and at last further. Cells of a whole one go on below themselves instead.
    pub fn cut(self, wanted: usize) -> Self {
        Self { cut: Some(wanted), ..self }
    }

    /// A column that is needed to the last character, as what will be copied or cannot be told from others without its end:
    /// it does not go, and cells for which the terminal is too narrow go on below themselves.
    pub fn whole(self) -> Self {
        Self { whole: true, cut: Some(usize::MAX), ..self }
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
    /// than half of that, then optional columns go, from the right, then the first column is cut further and whole ones go on
    /// below, then further columns go, and at last the last column is cut. What may be cut gives way before whole columns do.
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
        self.give_way(&shown, &mut widths, width, |wanted| wanted);
        self.share(&shown, &mut widths, width);
        self.give_way(&shown, &mut widths, width, |_| SHORTEST);
        if let (Some(w), Some(last)) = (width, widths.len().checked_sub(1)) {
            let others = total(&widths) - widths[last];
            widths[last] = widths[last].min(w.saturating_sub(others).max(SHORTEST));
        }
        let titles: Vec<&str> = shown.iter().map(|i| self.columns[*i].title).collect();
        let mut text = paint(Tone::Strong, self.line(&titles, &shown, &widths, false).trim_end());
        text.push('\n');
        let mut before = None;
        for row in &self.rows {
            // Whose name it is has been said whole in the row above.
            let again = before == row.cells.first();
            before = row.cells.first();
            let cells: Vec<&str> = shown.iter().map(|i| row.cells.get(*i).map_or("", String::as_str)).collect();
            for cells in self.lines(&cells, &shown, &widths, again) {
                let cells: Vec<&str> = cells.iter().map(String::as_str).collect();
                text.push_str(self.line(&cells, &shown, &widths, true).trim_end());
                text.push('\n');
            }
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
            if place == 0 && !self.columns[*column].whole { widest.min(longest) } else { widest }
        };
        shown.iter().enumerate().map(width).collect()
    }

    /// Whether each row fits in a line as it is.
    pub fn fits(&self, width: Option<usize>) -> bool {
        let all: Vec<usize> = (0..self.columns.len()).collect();
        width.is_none_or(|most| total(&self.widths(&all, usize::MAX)) <= most)
    }

    /// Cuts columns that may be, from the right, as far as that is needed and not shorter than that.
    fn give_way(&self, shown: &[usize], widths: &mut [usize], width: Option<usize>, least: fn(usize) -> usize) {
        for place in (0..widths.len()).rev() {
            let column = self.columns[shown[place]];
            if let Some(wanted) = column.cut.filter(|_| !column.whole) {
                let over = width.map_or(0, |w| total(widths).saturating_sub(w));
                widths[place] = widths[place].min(widths[place].saturating_sub(over).max(least(wanted)));
            }
        }
    }

    /// Shares what room there is among whole columns: short ones get what they need, the others the same.
    fn share(&self, shown: &[usize], widths: &mut [usize], width: Option<usize>) {
        let Some(over) = width.and_then(|w| total(widths).checked_sub(w)) else { return };
        let mut places: Vec<usize> = (0..widths.len()).filter(|place| self.columns[shown[*place]].whole).collect();
        places.sort_by_key(|place| widths[*place]);
        let mut room = places.iter().map(|place| widths[*place]).sum::<usize>().saturating_sub(over);
        for (done, place) in places.iter().enumerate() {
            let fair = room / (places.len() - done);
            widths[*place] = widths[*place].min(fair.max(SHORTEST));
            room = room.saturating_sub(widths[*place]);
        }
    }

    /// A row as it is, or where a whole cell is wider than its column, in as many lines as that takes; not for a first cell
    /// that is the one above `again`.
    fn lines(&self, cells: &[&str], shown: &[usize], widths: &[usize], again: bool) -> Vec<Vec<String>> {
        let whole = |place: usize| self.columns[shown[place]].whole && !(again && place == 0);
        let pieces = |(place, cell): (usize, &&str)| match widths[place] {
            width if whole(place) && cell.width() > width => wrap(cell, 0, Some(width)),
            _ => vec![(*cell).to_owned()],
        };
        let pieces: Vec<Vec<String>> = cells.iter().enumerate().map(pieces).collect();
        let count = pieces.iter().map(Vec::len).max().unwrap_or_default();
        let piece = |line: usize| pieces.iter().map(|p| p.get(line).cloned().unwrap_or_default()).collect();
        (0..count).map(piece).collect()
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
            let mut rest = word;
            while columns(rest) > room {
                let (piece, behind) = rest.split_at(break_at(rest, room));
                line.push_str(piece);
                lines.push(std::mem::replace(&mut line, " ".repeat(indent + 2)));
                room = width - indent - 2;
                rest = behind;
            }
            line.push_str(rest);
            empty = false;
        }
        lines.push(line);
    }
    lines
}

/// Where a word is broken that is wider than so many columns: behind a mark of punctuation in the second half of what fits,
/// else where it must be; marks of colours go with what they end.
fn break_at(word: &str, room: usize) -> usize {
    let (mut used, mut end, mut good) = (0, 0, None);
    for (at, c) in word.char_indices() {
        let wide = if is_mark(c) { 0 } else { c.width().unwrap_or(0) };
        if used + wide > room {
            break;
        }
        used += wide;
        end = at + c.len_utf8();
        if used * 2 > room && ".,:;/_-=&?|".contains(c) {
            good = Some(end);
        }
    }
    good.unwrap_or(end)
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
    fn whole_columns_go_on_below_themselves_and_lose_nothing() {
        let columns = [
            Column::text("NAME").whole(),
            Column::text("KEY").whole(),
            Column::number("N"),
            Column::text("HOST").optional(),
        ];
        let mut t = Table::new(columns);
        let key = "errors.deadletterqueue.context.headers.enable";
        t.row(["influxdb-sink-of-the-plant".into(), key.into(), "17".into(), "127.0.0.1".into()]);
        t.row(["influxdb-sink-of-the-plant".into(), "topics".into(), "1".into(), "h".into()]);
        t.row(["b".into(), "x".repeat(40), "2".into(), "h".into()]);
        assert!(t.fits(None) && t.fits(Some(88)) && !t.fits(Some(87)));
        let lines = |width: usize| plain(&t, Some(width)).lines().map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(lines(88)[1], format!("influxdb-sink-of-the-plant  {key}  17  127.0.0.1"));
        assert_eq!(lines(77)[1], format!("influxdb-sink-of-the-plant  {key}  17"), "optional ones go first");
        let expected = [
            "NAME                  KEY                    N",
            "influxdb-sink-of-     errors.deadletterque  17",
            "  the-plant             ue.context.",
            "                        headers.enable",
            "influxdb-sink-of-th…  topics                 1",
            "b                     xxxxxxxxxxxxxxxxxxxx   2",
        ];
        assert_eq!(lines(46)[..6], expected);
        for width in 30..90 {
            let text = plain(&t, Some(width));
            assert!(text.lines().all(|line| line.width() <= width), "{width}: {text}");
            assert!(text.contains("17"), "{width}: {text}");
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
