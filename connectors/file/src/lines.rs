//! Cuts bytes into lines that end with `\n`, `\r\n` or `\r`.

/// A line without its end, and how many bytes it took with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line<'a> {
    /// The bytes of the line.
    pub bytes: &'a [u8],
    /// Bytes up to the next line.
    pub length: usize,
}

/// The first complete line. A lone `\r` at the end waits for the next byte, which may be its `\n`; what has
/// no end yet is no line.
pub fn first_line(bytes: &[u8]) -> Option<Line<'_>> {
    let at = bytes.iter().position(|b| *b == b'\n' || *b == b'\r')?;
    let length = match (bytes[at], bytes.get(at + 1)) {
        (b'\r', None) => return None,
        (b'\r', Some(b'\n')) => at + 2,
        _ => at + 1,
    };
    Some(Line { bytes: &bytes[..at], length })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_three_line_ends_are_known() {
        let mut rest: &[u8] = b"a\nb\r\nc\rd\n\ne";
        let mut lines = Vec::new();
        while let Some(line) = first_line(rest) {
            lines.push(line.bytes);
            rest = &rest[line.length..];
        }
        assert_eq!(lines, [b"a" as &[u8], b"b", b"c", b"d", b""]);
        assert_eq!(rest, b"e");
        assert_eq!(first_line(b"x\r"), None);
    }
}
