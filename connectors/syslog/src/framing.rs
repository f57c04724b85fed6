//! Messages out of a stream of bytes, as RFC 6587 tells them apart. Pure.

use connect_api::Bytes;

connect_api::config_enum! {
    /// How the messages of a connection are told apart.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Framing {
        /// By what a connection begins with: a digit is a length, all else a text.
        Auto = "auto",
        /// The length before each message.
        OctetCounting = "octet-counting",
        /// A newline or NUL behind each message.
        NonTransparent = "non-transparent",
    }
}

/// A message as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Its bytes, or the first of them.
    pub bytes: Bytes,
    /// Why it is not whole.
    pub wrong: Option<String>,
}

/// How a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The sender has ended it.
    Orderly,
    /// It broke, or was ended from here.
    Broken,
    /// It was cut off because a message took too long to come.
    Slow,
}

/// Why nothing more can be understood of a connection, with what came there.
#[derive(Debug, PartialEq, Eq)]
pub struct Broken(pub Frame);

/// The digits of the longest length.
const MOST_DIGITS: usize = 9;

/// Tells the messages of a connection apart. Holds one message at most, and what was pushed behind it.
#[derive(Debug)]
pub struct Framer {
    framing: Framing,
    limit: usize,
    buffer: Vec<u8>,
    /// Where in the buffer the next message begins.
    start: usize,
    /// Up to where no end was found.
    searched: usize,
    skip: Skip,
}

/// What is left of a message that was too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Skip {
    Nothing,
    Bytes(usize),
    ToEnd,
}

impl Framer {
    /// Of a connection that begins; messages beyond the limit are cut.
    pub fn new(framing: Framing, limit: usize) -> Self {
        Self { framing, limit, buffer: Vec::new(), start: 0, searched: 0, skip: Skip::Nothing }
    }

    /// Takes what was read.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.drain(..self.start);
        self.searched = self.searched.saturating_sub(self.start);
        self.start = 0;
        self.buffer.extend_from_slice(bytes);
    }

    /// Whether a message has begun and not ended.
    pub fn is_within(&self) -> bool {
        self.start < self.buffer.len() || self.skip != Skip::Nothing
    }

    /// The next message that is complete.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, Broken> {
        if !self.skipped() {
            return Ok(None);
        }
        // No message begins with these; some senders that count end messages by a newline all the same.
        while matches!(self.rest(), [b'\n' | b'\r' | 0, ..]) {
            self.take(1);
        }
        if let (Framing::Auto, [first, ..]) = (self.framing, self.rest()) {
            self.framing = if first.is_ascii_digit() { Framing::OctetCounting } else { Framing::NonTransparent };
        }
        match self.framing {
            Framing::Auto => Ok(None),
            Framing::OctetCounting => self.counted(),
            Framing::NonTransparent => Ok(self.terminated()),
        }
    }

    /// What came of a message whose end never came; nothing if there is none. A sender that ends the connection ends
    /// a message without a length, too.
    pub fn last(&mut self, end: End) -> Option<Frame> {
        let skipping = self.skip != Skip::Nothing;
        let bytes = Bytes::copy_from_slice(self.rest());
        (self.buffer, self.start, self.searched, self.skip) = (Vec::new(), 0, 0, Skip::Nothing);
        if skipping || bytes.is_empty() {
            return None;
        }
        let wrong = match end {
            End::Orderly if self.framing == Framing::NonTransparent => None,
            End::Orderly | End::Broken => Some("the connection has ended within it"),
            End::Slow => Some("its sender took longer than syslog.client.timeout.ms for it and was cut off"),
        };
        Some(Frame { bytes, wrong: wrong.map(Into::into) })
    }

    fn rest(&self) -> &[u8] {
        &self.buffer[self.start..]
    }

    fn take(&mut self, count: usize) -> Bytes {
        let taken = Bytes::copy_from_slice(&self.buffer[self.start..self.start + count]);
        self.start += count;
        self.searched = self.searched.max(self.start);
        taken
    }

    /// Leaves out what is left of a message that was too long; whether that is done.
    fn skipped(&mut self) -> bool {
        match self.skip {
            Skip::Nothing => {}
            Skip::Bytes(count) => {
                let here = count.min(self.rest().len());
                self.start += here;
                self.skip = if here < count { Skip::Bytes(count - here) } else { Skip::Nothing };
            }
            Skip::ToEnd => match self.rest().iter().position(|b| is_end(*b)) {
                Some(end) => {
                    self.start += end + 1;
                    self.skip = Skip::Nothing;
                }
                None => self.start = self.buffer.len(),
            },
        }
        self.searched = self.searched.max(self.start);
        self.skip == Skip::Nothing
    }

    fn counted(&mut self) -> Result<Option<Frame>, Broken> {
        let rest = self.rest();
        let digits = rest.iter().take(MOST_DIGITS + 1).take_while(|b| b.is_ascii_digit()).count();
        let length = rest[..digits].iter().fold(0usize, |n, digit| n * 10 + usize::from(digit - b'0'));
        match rest.get(digits) {
            None if digits <= MOST_DIGITS => return Ok(None),
            Some(b' ') if (1..=MOST_DIGITS).contains(&digits) => {}
            _ => {
                let bytes = Bytes::copy_from_slice(&rest[..rest.len().min(self.limit)]);
                let wrong = Some("it does not begin with its length, and the connection was closed for that".into());
                return Err(Broken(Frame { bytes, wrong }));
            }
        }
        let kept = length.min(self.limit);
        if rest.len() < digits + 1 + kept {
            return Ok(None);
        }
        self.take(digits + 1);
        let bytes = self.take(kept);
        if kept < length {
            self.skip = Skip::Bytes(length - kept);
        }
        Ok(Some(Frame { bytes, wrong: self.too_long(length) }))
    }

    fn terminated(&mut self) -> Option<Frame> {
        let from = self.searched.max(self.start);
        let end = self.buffer[from..].iter().position(|b| is_end(*b)).map(|at| from + at - self.start);
        self.searched = self.buffer.len();
        match end {
            Some(end) if end <= self.limit => {
                let bytes = self.take(end);
                self.start += 1;
                self.searched = self.start;
                Some(Frame { bytes, wrong: None })
            }
            None if self.rest().len() <= self.limit => None,
            _ => {
                let bytes = self.take(self.limit);
                // The end may be in what was searched for it.
                self.searched = self.start;
                self.skip = Skip::ToEnd;
                Some(Frame { bytes, wrong: self.too_long(usize::MAX) })
            }
        }
    }

    fn too_long(&self, length: usize) -> Option<String> {
        (length > self.limit).then(|| too_long(self.limit))
    }
}

/// Why a message is cut.
pub fn too_long(limit: usize) -> String {
    format!("it is longer than syslog.message.limit={limit} bytes, and cut there")
}

fn is_end(byte: u8) -> bool {
    matches!(byte, b'\n' | 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The messages of a stream that comes in pieces of this size; `!` before one that is not whole, `x` for the end.
    fn frames(framing: Framing, limit: usize, stream: &[u8], piece: usize) -> Vec<String> {
        let mut framer = Framer::new(framing, limit);
        let shown = |frame: Frame| {
            let mark = if frame.wrong.is_some() { "!" } else { "" };
            format!("{mark}{}", String::from_utf8_lossy(&frame.bytes))
        };
        let mut found = Vec::new();
        for bytes in stream.chunks(piece) {
            framer.push(bytes);
            loop {
                match framer.next_frame() {
                    Ok(Some(frame)) => found.push(shown(frame)),
                    Ok(None) => break,
                    Err(_) => {
                        found.push("x".into());
                        return found;
                    }
                }
            }
        }
        found.extend(framer.last(End::Orderly).map(shown));
        found
    }

    fn all_pieces(framing: Framing, limit: usize, stream: &[u8], expected: &[&str]) {
        for piece in [1, 2, 3, 7, 1000] {
            assert_eq!(frames(framing, limit, stream, piece), expected, "{framing:?} in pieces of {piece}");
        }
    }

    #[test]
    fn a_length_or_an_end_tells_messages_apart() {
        all_pieces(Framing::Auto, 100, b"5 <1>ab4 <2>c", &["<1>ab", "<2>c"]);
        all_pieces(Framing::Auto, 100, b"5 <1>\nb4 <2>c", &["<1>\nb", "<2>c"]);
        all_pieces(Framing::Auto, 100, b"<1>ab\n<2>c\0<3>d", &["<1>ab", "<2>c", "<3>d"]);
        all_pieces(Framing::Auto, 100, b"\n\n<1>a\r\n\n\n", &["<1>a\r"]);
        all_pieces(Framing::Auto, 100, b"5 <1>ab\n4 <2>c\n", &["<1>ab", "<2>c"]);
        all_pieces(Framing::NonTransparent, 100, b"5 <1>ab\n", &["5 <1>ab"]);
        all_pieces(Framing::Auto, 100, b"0 0 4 <2>c", &["", "", "<2>c"]);
    }

    #[test]
    fn what_is_too_long_is_cut_and_what_follows_is_found() {
        all_pieces(Framing::Auto, 4, b"<1>abcdef\n<2>c\n<3>d\n", &["!<1>a", "<2>c", "<3>d"]);
        all_pieces(Framing::Auto, 4, b"9 <1>abcdef4 <2>c", &["!<1>a", "<2>c"]);
        all_pieces(Framing::Auto, 4, b"<1>abcdef", &["!<1>a"]);
    }

    #[test]
    fn what_is_not_whole_is_known() {
        all_pieces(Framing::Auto, 100, b"5 <1>ab9 <2>c", &["<1>ab", "!9 <2>c"]);
        all_pieces(Framing::Auto, 100, b"12", &["!12"]);
        for broken in [&b"5 <1>ab<2>c"[..], b"5 <1>ab12345678901 x", b"5 <1>ab5<2>"] {
            for piece in [1, 4, 100] {
                let found = frames(Framing::Auto, 100, broken, piece);
                assert_eq!(found, ["<1>ab", "x"]);
            }
        }
        let mut framer = Framer::new(Framing::Auto, 100);
        framer.push(b"<1>a");
        assert_eq!(framer.next_frame(), Ok(None));
        assert!(framer.is_within() && framer.last(End::Broken).is_some_and(|frame| frame.wrong.is_some()), "cut off");
        assert!(!framer.is_within());
    }

    #[test]
    fn the_buffer_holds_one_message_and_what_was_pushed() {
        let mut framer = Framer::new(Framing::Auto, 1000);
        for _ in 0..1000 {
            framer.push(&[b'x'; 100]);
            while let Ok(Some(_)) = framer.next_frame() {}
            assert!(framer.buffer.capacity() < 4000, "{}", framer.buffer.capacity());
        }
    }
}
