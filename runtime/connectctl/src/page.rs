//! A text of lines that fit the terminal.

use std::fmt::Write;

use crate::table::{columns, wrap};

/// What has been written so far, and how wide it may be.
#[derive(Debug)]
pub struct Page {
    /// Lines, each with its end.
    pub text: String,
    /// Columns; none where nobody looks.
    pub width: Option<usize>,
}

impl Page {
    /// Nothing yet.
    pub fn new(width: Option<usize>) -> Self {
        Self { text: String::new(), width }
    }

    /// Appends a line, which goes on below itself, indented, where it is too wide.
    pub fn line(&mut self, indent: usize, text: &str) {
        for line in wrap(text, indent, self.width) {
            self.text.push_str(&line);
            self.text.push('\n');
        }
    }

    /// Appends a title and what it is, in a column of its own.
    pub fn entry(&mut self, title: &str, value: &str) {
        self.titled(&format!("  {title:<13} "), value);
    }

    /// Appends a text with a title of that width in front, below which it goes on.
    pub fn titled(&mut self, title: &str, text: &str) {
        let mut lines = wrap(text, columns(title), self.width).into_iter();
        let first = lines.next().unwrap_or_default();
        // Writing to a string cannot fail.
        let _ = writeln!(self.text, "{}", format!("{title}{}", first.trim_start()).trim_end());
        lines.for_each(|line| {
            self.text.push_str(&line);
            self.text.push('\n');
        });
    }
}
