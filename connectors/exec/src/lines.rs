//! Reads lines of a bounded length.

use std::io;

use tokio::io::{AsyncBufRead, AsyncBufReadExt as _};

/// A line without its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    /// The line, or its beginning.
    pub(crate) bytes: Vec<u8>,
    /// Whether it was longer than the limit; what is beyond it was passed over.
    pub(crate) too_long: bool,
}

/// The next line; `None` at the end. A last line without an end counts. Not cancel-safe.
pub(crate) async fn next(from: &mut (impl AsyncBufRead + Unpin), limit: usize) -> io::Result<Option<Line>> {
    let mut line = Line { bytes: Vec::new(), too_long: false };
    let mut began = false;
    loop {
        let buffer = from.fill_buf().await?;
        if buffer.is_empty() {
            return Ok(began.then_some(line));
        }
        began = true;
        let end = buffer.iter().position(|byte| *byte == b'\n');
        let part = &buffer[..end.unwrap_or(buffer.len())];
        let room = limit - line.bytes.len();
        line.too_long |= part.len() > room;
        line.bytes.extend_from_slice(&part[..part.len().min(room)]);
        let used = end.map_or(buffer.len(), |end| end + 1);
        from.consume(used);
        if end.is_some() {
            if line.bytes.last() == Some(&b'\r') && !line.too_long {
                line.bytes.pop();
            }
            return Ok(Some(line));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn lines_end_with_newlines_and_are_cut_at_the_limit() {
        // A buffer of two bytes: no line is whole in one.
        let mut from = tokio::io::BufReader::with_capacity(2, &b"ab\n\nabcdef\r\nab\r\nend"[..]);
        let mut all = Vec::new();
        while let Some(line) = next(&mut from, 4).await.expect("read") {
            all.push((String::from_utf8(line.bytes).expect("text"), line.too_long));
        }
        let all: Vec<_> = all.iter().map(|(text, cut)| (text.as_str(), *cut)).collect();
        assert_eq!(all, [("ab", false), ("", false), ("abcd", true), ("ab", false), ("end", false)]);
    }
}
