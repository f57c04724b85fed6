//! A text of lines that fit the terminal.

use crate::table::wrap;

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
}
