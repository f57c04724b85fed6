//! JSON as Jackson reads it: a pull parser whose refusals are Jackson's texts with its lines and columns.
//!
//! Clients of Kafka Connect match on these texts, and the place in them is what finds a mistake in a long body.
//! Columns count bytes, as Jackson's do. Texts of string values are read only when they are asked for, because that
//! decides which of two mistakes is reported.

use super::tokens::{Place, Token, Wrong};

type Read<T> = Result<T, Wrong>;

struct Scope {
    object: bool,
    start: Place,
    entries: usize,
    /// The name of a member has been read, its value has not.
    named: bool,
}

impl Scope {
    fn kind(&self) -> &'static str {
        if self.object { "Object" } else { "Array" }
    }
}

const NO_TOKEN: &str = "was expecting (JSON String, Number, Array, Object or token 'null', 'true' or 'false')";
const NO_VALUE: &str = "expected a valid value (JSON String, Number, Array, Object or token 'null', 'true' or 'false')";
const COMMENT: &str =
    "maybe a (non-standard) comment? (not recognized as one since Feature 'ALLOW_COMMENTS' not enabled for parser)";

/// Reads tokens one after the other.
pub(crate) struct Parser<'a> {
    bytes: &'a [u8],
    at: usize,
    line: usize,
    line_start: usize,
    scopes: Vec<Scope>,
    /// Where the current token begins, and where that is for people.
    start: usize,
    place: Place,
    /// The current token is a string that has been begun only.
    unread: bool,
    name: String,
}

impl<'a> Parser<'a> {
    /// A parser at the beginning of the bytes; a byte order mark is skipped.
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        let at = if bytes.starts_with(b"\xEF\xBB\xBF") { 3 } else { 0 };
        let place = Place { line: 1, column: 1 };
        Self {
            bytes,
            at,
            line: 1,
            line_start: 0,
            scopes: Vec::new(),
            start: at,
            place,
            unread: false,
            name: String::new(),
        }
    }

    /// The name of the member that the last [`Token::FieldName`] began.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// How deep the next token lies.
    pub(crate) fn depth(&self) -> usize {
        self.scopes.len()
    }

    /// A refusal of the current value, at its beginning.
    pub(crate) fn refuse(&self, text: impl Into<String>) -> Wrong {
        Wrong { text: text.into(), place: self.place, chain: Vec::new(), syntax: false }
    }

    /// A refusal at the point that reading has reached.
    pub(crate) fn refuse_here(&self, text: impl Into<String>) -> Wrong {
        Wrong { place: self.place_of(self.at), ..self.refuse(text) }
    }

    /// The current scalar as it was written, a string decoded.
    pub(crate) fn text(&mut self) -> Read<String> {
        if self.unread {
            self.unread = false;
            return self.string(" in VALUE_STRING", "string value");
        }
        Ok(String::from_utf8_lossy(&self.bytes[self.start..self.at]).into_owned())
    }

    /// The next token; none at the end of the text.
    pub(crate) fn next(&mut self) -> Read<Option<Token>> {
        if std::mem::take(&mut self.unread) {
            self.string(" in VALUE_STRING", "string value")?;
        }
        let named = self.scopes.last().is_some_and(|s| s.named);
        if named {
            // The colon has been read with the name.
            let within = self.within();
            let c = self.space(&within)?;
            if let Some(scope) = self.scopes.last_mut() {
                scope.named = false;
            }
            return self.value(c).map(Some);
        }
        let Some(mut c) = self.blank()? else {
            return match self.scopes.last() {
                None => Ok(None),
                Some(s) => {
                    let text = format!(": expected close marker for {} (start marker at {})", s.kind(), s.start);
                    Err(self.ended(&text))
                }
            };
        };
        if matches!(c, b']' | b'}') {
            return self.close(c).map(Some);
        }
        let Some(scope) = self.scopes.last_mut() else { return self.value(c).map(Some) };
        let (object, kind) = (scope.object, scope.kind());
        scope.entries += 1;
        if scope.entries > 1 {
            if c != b',' {
                return Err(self.unexpected(&format!("was expecting comma to separate {kind} entries")));
            }
            self.at += 1;
            let within = self.within();
            c = self.space(&within)?;
        }
        if !object {
            return self.value(c).map(Some);
        }
        if c != b'"' {
            return Err(self.unexpected("was expecting double-quote to start field name"));
        }
        self.mark();
        self.at += 1;
        self.name = self.string(" in field name", "name")?;
        let within = self.within();
        if self.space(&within)? != b':' {
            return Err(self.unexpected("was expecting a colon to separate field name and value"));
        }
        self.at += 1;
        if let Some(scope) = self.scopes.last_mut() {
            scope.named = true;
        }
        Ok(Some(Token::FieldName))
    }

    fn value(&mut self, c: u8) -> Read<Token> {
        self.mark();
        match c {
            b'{' | b'[' => {
                let object = c == b'{';
                self.scopes.push(Scope { object, start: self.place, entries: 0, named: false });
                self.at += 1;
                Ok(if object { Token::StartObject } else { Token::StartArray })
            }
            b'"' => {
                self.at += 1;
                self.unread = true;
                Ok(Token::String)
            }
            b'-' | b'0'..=b'9' => self.number(),
            b'+' => match self.bytes.get(self.at + 1) {
                Some(b'I') => Err(self.token()),
                _ => {
                    self.at += 1;
                    let text = "in numeric value: JSON spec does not allow numbers to have plus signs: enable \
                                `JsonReadFeature.ALLOW_LEADING_PLUS_SIGN_FOR_NUMBERS` to allow";
                    Err(self.syntax(format!("Unexpected character ('+' (code 43)) {text}"), self.at))
                }
            },
            b']' | b'}' if self.scopes.is_empty() => self.close(c),
            b']' | b'}' | b',' => Err(self.unexpected("expected a value")),
            b'/' => Err(self.unexpected(COMMENT)),
            c if c.is_ascii_alphabetic() || c >= 0x80 || matches!(c, b'_' | b'$') => self.word(),
            _ => Err(self.unexpected(NO_VALUE)),
        }
    }

    fn close(&mut self, c: u8) -> Read<Token> {
        let object = c == b'}';
        let c = char::from(c);
        let text = match self.scopes.last() {
            Some(s) if s.object == object => {
                self.mark();
                self.scopes.pop();
                self.at += 1;
                return Ok(if object { Token::EndObject } else { Token::EndArray });
            }
            Some(s) => {
                let wanted = if s.object { '}' } else { ']' };
                format!("Unexpected close marker '{c}': expected '{wanted}' (for {} starting at {})", s.kind(), s.start)
            }
            None => {
                let kind = if object { "Object" } else { "Array" };
                format!("Unexpected close marker '{c}': no open {kind} to close")
            }
        };
        Err(self.syntax(text, self.at))
    }

    fn word(&mut self) -> Read<Token> {
        for (word, token) in [("true", Token::True), ("false", Token::False), ("null", Token::Null)] {
            let rest = &self.bytes[self.at..];
            if rest.starts_with(word.as_bytes()) && !rest.get(word.len()).is_some_and(|c| in_word(char::from(*c))) {
                self.at += word.len();
                return Ok(token);
            }
        }
        Err(self.token())
    }

    /// The refusal of a word that is none of JSON's. Jackson reads at most 256 characters of it, and one behind it.
    fn token(&self) -> Wrong {
        let rest = String::from_utf8_lossy(&self.bytes[self.at..]);
        let signed = usize::from(rest.starts_with(['+', '-']));
        let full: String =
            rest.chars().enumerate().take_while(|(i, c)| *i < signed || in_word(*c)).map(|(_, c)| c).collect();
        if matches!(full.as_str(), "NaN" | "Infinity" | "-Infinity" | "+Infinity") {
            let text =
                format!("Non-standard token '{full}': enable `JsonReadFeature.ALLOW_NON_NUMERIC_NUMBERS` to allow");
            return self.syntax(text, self.at + full.len());
        }
        let word: String = full.chars().take(256).collect();
        let cut = if word.len() < full.len() { "..." } else { "" };
        let behind = self.at + word.len();
        let place = if cut.is_empty() && behind < self.bytes.len() { behind + 1 } else { behind };
        self.syntax(format!("Unrecognized token '{word}{cut}': {NO_TOKEN}"), place)
    }

    fn number(&mut self) -> Read<Token> {
        let mut token = Token::Int;
        if self.bytes[self.at] == b'-' {
            if self.bytes.get(self.at + 1) == Some(&b'I') {
                return Err(self.token());
            }
            self.at += 1;
            self.digit("expected digit (0-9) to follow minus sign, for valid numeric value")?;
        }
        if self.bytes[self.at] == b'0' && self.bytes.get(self.at + 1).is_some_and(u8::is_ascii_digit) {
            return Err(self.syntax("Invalid numeric value: Leading zeroes not allowed".into(), self.at + 1));
        }
        self.digits();
        if self.bytes.get(self.at) == Some(&b'.') {
            token = Token::Float;
            const POINT: &str = "Decimal point not followed by a digit";
            if self.at + 1 == self.bytes.len() {
                return Err(self.unexpected_in_number(POINT));
            }
            self.at += 1;
            self.digit(POINT)?;
            self.digits();
        }
        if matches!(self.bytes.get(self.at), Some(b'e' | b'E')) {
            token = Token::Float;
            self.at += 1;
            if matches!(self.bytes.get(self.at), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digit("Exponent indicator not followed by a digit")?;
            self.digits();
        }
        let behind = self.bytes.get(self.at);
        if self.scopes.is_empty() && behind.is_some_and(|c| !matches!(c, b' ' | b'\t' | b'\r' | b'\n')) {
            let why = if behind == Some(&b'/') { COMMENT } else { "Expected space separating root-level values" };
            return Err(self.unexpected_byte(&format!(": {why}")));
        }
        Ok(token)
    }

    fn digit(&self, otherwise: &str) -> Read<()> {
        match self.bytes.get(self.at) {
            Some(c) if c.is_ascii_digit() => Ok(()),
            Some(_) => Err(self.unexpected_in_number(otherwise)),
            None => Err(self.ended(" in null")),
        }
    }

    fn digits(&mut self) {
        while self.bytes.get(self.at).is_some_and(u8::is_ascii_digit) {
            self.at += 1;
        }
    }

    /// The rest of a string whose quote has been read.
    fn string(&mut self, ended: &str, what: &str) -> Read<String> {
        let mut text = Vec::new();
        loop {
            let Some(&c) = self.bytes.get(self.at) else { return Err(self.ended(ended)) };
            match c {
                b'"' => {
                    self.at += 1;
                    // Bytes were checked one character after the other.
                    return Ok(String::from_utf8_lossy(&text).into_owned());
                }
                b'\\' => {
                    let c = self.escape()?;
                    text.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                }
                c if c < b' ' => {
                    let text = format!(
                        "Illegal unquoted character ((CTRL-CHAR, code {c})): has to be escaped using backslash to be included in {what}"
                    );
                    return Err(self.syntax(text, self.at));
                }
                c if c < 0x80 => {
                    text.push(c);
                    self.at += 1;
                }
                _ => text.extend_from_slice(self.character()?),
            }
        }
    }

    /// A character of several bytes.
    fn character(&mut self) -> Read<&'a [u8]> {
        let rest = &self.bytes[self.at..];
        let length = match rest[0] {
            0xC2..=0xDF => 2,
            0xE0..=0xEF => 3,
            0xF0..=0xF4 => 4,
            c => return Err(self.syntax(format!("Invalid UTF-8 start byte 0x{c:x}"), self.at + 1)),
        };
        for i in 1..length {
            match rest.get(i) {
                Some(c) if c & 0xC0 == 0x80 => {}
                Some(c) => return Err(self.syntax(format!("Invalid UTF-8 middle byte 0x{c:x}"), self.at + i + 1)),
                None => return Err(self.ended(" in VALUE_STRING")),
            }
        }
        if std::str::from_utf8(&rest[..length]).is_err() {
            return Err(self.syntax(format!("Invalid UTF-8 middle byte 0x{:x}", rest[1]), self.at + 2));
        }
        self.at += length;
        Ok(&rest[..length])
    }

    fn escape(&mut self) -> Read<char> {
        const ENDED: &str = " in character escape sequence";
        self.at += 1;
        let Some(&c) = self.bytes.get(self.at) else { return Err(self.ended(ENDED)) };
        let c = match c {
            b'"' | b'\\' | b'/' => char::from(c),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                self.at += 1;
                return self.unicode();
            }
            _ => {
                let (shown, code) = self.shown();
                return Err(self.syntax(format!("Unrecognized character escape {shown} (code {code})"), self.at));
            }
        };
        self.at += 1;
        Ok(c)
    }

    /// The character of `\u` and four digits, or of two such halves; a half alone is shown as a question mark is.
    fn unicode(&mut self) -> Read<char> {
        let first = self.hex()?;
        if !(0xD800..0xDC00).contains(&first) || !self.bytes[self.at..].starts_with(b"\\u") {
            return Ok(char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER));
        }
        let back = self.at;
        self.at += 2;
        let second = self.hex()?;
        if !(0xDC00..0xE000).contains(&second) {
            self.at = back;
            return Ok(char::REPLACEMENT_CHARACTER);
        }
        let code = 0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00);
        Ok(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER))
    }

    fn hex(&mut self) -> Read<u32> {
        let mut code = 0;
        for _ in 0..4 {
            let Some(&c) = self.bytes.get(self.at) else { return Err(self.ended(" in character escape sequence")) };
            let Some(digit) = char::from(c).to_digit(16) else {
                return Err(self.unexpected("expected a hex-digit for character escape sequence"));
            };
            code = code * 16 + digit;
            self.at += 1;
        }
        Ok(code)
    }

    /// Skips white space; the next byte, if there is one.
    fn blank(&mut self) -> Read<Option<u8>> {
        while let Some(&c) = self.bytes.get(self.at) {
            match c {
                b'\n' => self.new_line(),
                b'\r' if self.bytes.get(self.at + 1) == Some(&b'\n') => {}
                b'\r' => self.new_line(),
                b' ' | b'\t' => {}
                c if c < b' ' => {
                    let text = format!(
                        "Illegal character ((CTRL-CHAR, code {c})): only regular white space (\\r, \\n, \\t) is allowed between tokens"
                    );
                    return Err(self.syntax(text, self.at + 1));
                }
                c => return Ok(Some(c)),
            }
            self.at += 1;
        }
        Ok(None)
    }

    fn new_line(&mut self) {
        self.line += 1;
        self.line_start = self.at + 1;
    }

    fn space(&mut self, ended: &str) -> Read<u8> {
        match self.blank()? {
            Some(b'/') => Err(self.unexpected(COMMENT)),
            Some(c) => Ok(c),
            None => Err(self.ended(ended)),
        }
    }

    fn within(&self) -> String {
        format!(" within/between {} entries", self.scopes.last().map_or("root", Scope::kind))
    }

    fn mark(&mut self) {
        self.start = self.at;
        self.place = self.place_of(self.at);
    }

    fn place_of(&self, at: usize) -> Place {
        Place { line: self.line, column: at - self.line_start + 1 }
    }

    fn syntax(&self, text: String, at: usize) -> Wrong {
        Wrong { text, place: self.place_of(at), chain: Vec::new(), syntax: true }
    }

    fn ended(&self, what: &str) -> Wrong {
        self.syntax(format!("Unexpected end-of-input{what}"), self.bytes.len())
    }

    /// The current character in quotes, and its code.
    fn shown(&self) -> (String, u32) {
        let rest = &self.bytes[self.at..];
        let text = String::from_utf8_lossy(&rest[..rest.len().min(4)]);
        let c = text.chars().next().unwrap_or_default();
        (format!("'{c}'"), u32::from(c))
    }

    fn unexpected(&self, why: &str) -> Wrong {
        let why = if self.bytes.get(self.at) == Some(&b'/') { COMMENT } else { why };
        let (shown, code) = self.shown();
        self.syntax(format!("Unexpected character ({shown} (code {code})): {why}"), self.at)
    }

    fn unexpected_in_number(&self, why: &str) -> Wrong {
        self.unexpected_byte(&format!(" in numeric value: {why}"))
    }

    /// In and behind numbers Jackson takes bytes for characters.
    fn unexpected_byte(&self, why: &str) -> Wrong {
        let byte = self.bytes.get(self.at).copied().unwrap_or_default();
        self.syntax(format!("Unexpected character ('{}' (code {byte})){why}", char::from(byte)), self.at)
    }
}

/// Whether a character can be part of a word, as in Java's identifiers.
fn in_word(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '$')
}
