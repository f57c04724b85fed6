//! Cuts bytes into lines that end with `\n`, `\r\n` or `\r`.

use std::ops::Range;

/// What was read of a file and is no line yet. Each byte is looked at once, however long a line is.
#[derive(Debug)]
pub struct Lines {
    bytes: Vec<u8>,
    /// Where the next line begins.
    start: usize,
    /// No line ends before here.
    scanned: usize,
    /// The longest line that is taken.
    limit: usize,
    /// Inside a line that was found to be too long.
    skipping: bool,
}

/// What comes next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// A line; see [`Lines::slice`].
    Line(Range<usize>),
    /// The beginning of a line that is longer than the limit. The rest of it is passed over.
    TooLong(Range<usize>),
}

impl Lines {
    /// Nothing yet; lines are taken up to so many bytes.
    pub fn new(limit: usize) -> Self {
        Self { bytes: Vec::new(), start: 0, scanned: 0, limit, skipping: false }
    }

    /// The bytes of a piece, until more is read.
    pub fn slice(&self, range: Range<usize>) -> &[u8] {
        &self.bytes[range]
    }

    /// The bytes that the last call passed, given how many they were.
    pub fn passed(&self, length: usize) -> &[u8] {
        &self.bytes[self.start - length..self.start]
    }

    /// Lets a reader append at most so many bytes.
    pub fn fill<E>(&mut self, most: usize, read: impl FnOnce(&mut [u8]) -> Result<usize, E>) -> Result<usize, E> {
        self.bytes.drain(..self.start);
        self.scanned -= self.start;
        self.start = 0;
        let old = self.bytes.len();
        self.bytes.resize(old + most, 0);
        let read = read(&mut self.bytes[old..]);
        self.bytes.truncate(old + read.as_ref().map_or(0, |n| *n));
        read
    }

    /// The next piece, and the bytes up to what follows it. A lone `\r` at the end waits for the next byte, which may
    /// be its `\n`; what has no end yet is no line. The number counts bytes that were passed over, too, also where
    /// there is no piece.
    pub fn next_piece(&mut self) -> (Option<Piece>, usize) {
        let mut passed = 0;
        loop {
            let (found, length) = match self.line_end() {
                Some((end, next)) => (Some(end), next - self.start),
                None if self.skipping => (None, self.scanned - self.start),
                None if self.scanned - self.start > self.limit => (None, self.scanned - self.start),
                None => return (None, passed),
            };
            let begin = self.start;
            self.start += length;
            self.scanned = self.start;
            let was_skipping = std::mem::replace(&mut self.skipping, found.is_none());
            let piece = match found {
                _ if was_skipping => None,
                Some(end) if end - begin <= self.limit => Some(Piece::Line(begin..end)),
                _ => Some(Piece::TooLong(begin..begin + self.limit)),
            };
            passed += length;
            if piece.is_some() || found.is_none() {
                return (piece, passed);
            }
        }
    }

    /// What is left when nothing will follow: the last line, which has no end, if there is one.
    pub fn rest(&mut self) -> (Option<Piece>, usize) {
        let (begin, length) = (self.start, self.bytes.len() - self.start);
        (self.start, self.scanned) = (self.bytes.len(), self.bytes.len());
        let ended = length > 0 && self.bytes[begin + length - 1] == b'\r';
        let end = begin + length - usize::from(ended);
        let skipped = std::mem::take(&mut self.skipping);
        if skipped || length == 0 { (None, length) } else { (Some(Piece::Line(begin..end)), length) }
    }

    /// Where the first line ends, and where the next one begins.
    fn line_end(&mut self) -> Option<(usize, usize)> {
        let unseen = &self.bytes[self.scanned..];
        let Some(at) = unseen.iter().position(|b| *b == b'\n' || *b == b'\r') else {
            self.scanned = self.bytes.len();
            return None;
        };
        let end = self.scanned + at;
        self.scanned = end;
        match (self.bytes[end], self.bytes.get(end + 1)) {
            (b'\r', None) => None,
            (b'\r', Some(b'\n')) => Some((end, end + 2)),
            _ => Some((end, end + 1)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds chunks; lines as they are, the beginnings of too long ones with `!`, and the rest with `?`.
    fn cut(limit: usize, chunks: &[&str]) -> (Vec<String>, usize) {
        let (mut lines, mut found, mut passed) = (Lines::new(limit), Vec::new(), 0);
        let text = |lines: &Lines, range| String::from_utf8_lossy(lines.slice(range)).into_owned();
        for chunk in chunks {
            let read = lines.fill::<()>(chunk.len(), |room| {
                room.copy_from_slice(chunk.as_bytes());
                Ok(chunk.len())
            });
            assert_eq!(read, Ok(chunk.len()));
            loop {
                let (piece, length) = lines.next_piece();
                passed += length;
                match piece {
                    Some(Piece::Line(range)) => found.push(text(&lines, range)),
                    Some(Piece::TooLong(range)) => found.push(text(&lines, range) + "!"),
                    None => break,
                }
            }
        }
        let (rest, length) = lines.rest();
        if let Some(Piece::Line(range)) = rest {
            found.push(text(&lines, range) + "?");
        }
        (found, passed + length)
    }

    fn assert_cut(limit: usize, chunks: &[&str], expected: &[&str]) {
        let (found, passed) = cut(limit, chunks);
        assert_eq!(found, expected, "{chunks:?}");
        assert_eq!(passed, chunks.concat().len(), "every byte of {chunks:?} is counted");
    }

    #[test]
    fn all_three_line_ends_are_known_wherever_chunks_end() {
        assert_cut(9, &["a\nb\r\nc\rd\n\ne"], &["a", "b", "c", "d", "", "e?"]);
        assert_cut(9, &["a\r", "\nb\r", "c", "\r"], &["a", "b", "c?"]);
        assert_cut(9, &["", "ab", "c\n"], &["abc"]);
        assert_cut(9, &[], &[]);
    }

    #[test]
    fn lines_beyond_the_limit_are_cut_short_and_passed_over() {
        assert_cut(3, &["abc\nabcd\nx\n"], &["abc", "abc!", "x"]);
        assert_cut(3, &["abcd", "efgh", "ij\r", "\nx\n"], &["abc!", "x"]);
        assert_cut(3, &["abcd", "efgh"], &["abc!"]);
        assert_cut(3, &["abcde\nfghij\n"], &["abc!", "fgh!"]);
        assert_cut(3, &["abc\r", "\n"], &["abc"]);
    }
}
