//! The character sets that texts can be written in, under their Java names.

use connect_api::{
    Error, Result,
    config::{ConfigType, KeyType},
};

/// A character set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Charset {
    /// UTF-8.
    Utf8,
    /// Seven bits.
    Ascii,
    /// The first 256 characters of Unicode, a byte each.
    Latin1,
    /// Two bytes a unit, with a mark of their order: big end first where it is written, or missing.
    Utf16,
    /// Two bytes a unit, big end first, without a mark.
    Utf16Be,
    /// Two bytes a unit, little end first, without a mark.
    Utf16Le,
}

/// Each name that Java knows the set by; the first is the one to show.
const NAMES: [(Charset, &[&str]); 6] = [
    (Charset::Utf8, &["UTF-8", "UTF8", "unicode-1-1-utf-8"]),
    (Charset::Ascii, &["US-ASCII", "ASCII", "ISO646-US", "646"]),
    (Charset::Latin1, &["ISO-8859-1", "ISO8859-1", "ISO8859_1", "ISO_8859-1", "latin1", "l1", "8859_1", "cp819"]),
    (Charset::Utf16, &["UTF-16", "UTF_16", "utf16", "unicode"]),
    (Charset::Utf16Be, &["UTF-16BE", "UTF_16BE", "X-UTF-16BE", "UnicodeBigUnmarked"]),
    (Charset::Utf16Le, &["UTF-16LE", "UTF_16LE", "X-UTF-16LE", "UnicodeLittleUnmarked"]),
];

impl ConfigType for Charset {
    const KIND: KeyType = KeyType::String;

    fn parse(text: &str) -> Result<Self, String> {
        let known = NAMES.iter().find(|(_, names)| names.iter().any(|name| name.eq_ignore_ascii_case(text)));
        known.map(|(charset, _)| *charset).ok_or_else(|| {
            let offered = Self::options().join(", ");
            format!("the character set {text} is not supported; there are {offered}")
        })
    }

    fn options() -> Vec<String> {
        NAMES.iter().map(|(_, names)| names[0].to_owned()).collect()
    }
}

impl Charset {
    /// The bytes of a text. A character that the set lacks is an error, where Java writes a question mark.
    pub(crate) fn encode(self, text: &str) -> Result<Vec<u8>> {
        let narrow = |limit: u32, name: &str| {
            let byte = |c: char| u8::try_from(u32::from(c)).ok().filter(|b| u32::from(*b) < limit);
            let missing =
                |c: char| Error::data(format!("{name} has no character {c:?}; set converter.encoding to UTF-8"));
            text.chars().map(|c| byte(c).ok_or_else(|| missing(c))).collect()
        };
        match self {
            Self::Utf8 => Ok(text.as_bytes().to_vec()),
            Self::Ascii => narrow(0x80, "US-ASCII"),
            Self::Latin1 => narrow(0x100, "ISO-8859-1"),
            Self::Utf16 if text.is_empty() => Ok(Vec::new()),
            Self::Utf16 => Ok([0xfeff].into_iter().chain(text.encode_utf16()).flat_map(u16::to_be_bytes).collect()),
            Self::Utf16Be => Ok(text.encode_utf16().flat_map(u16::to_be_bytes).collect()),
            Self::Utf16Le => Ok(text.encode_utf16().flat_map(u16::to_le_bytes).collect()),
        }
    }

    /// The text of bytes; those that mean nothing become the replacement character, as in Java.
    pub(crate) fn decode(self, bytes: &[u8]) -> String {
        match self {
            Self::Utf8 => String::from_utf8_lossy(bytes).into_owned(),
            Self::Ascii => {
                bytes.iter().map(|b| if b.is_ascii() { char::from(*b) } else { char::REPLACEMENT_CHARACTER }).collect()
            }
            Self::Latin1 => bytes.iter().copied().map(char::from).collect(),
            Self::Utf16 => match bytes {
                [0xff, 0xfe, text @ ..] => units(text, u16::from_le_bytes),
                [0xfe, 0xff, text @ ..] | text => units(text, u16::from_be_bytes),
            },
            Self::Utf16Be => units(bytes, u16::from_be_bytes),
            Self::Utf16Le => units(bytes, u16::from_le_bytes),
        }
    }
}

fn units(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> String {
    let (pairs, rest) = bytes.as_chunks::<2>();
    let mut text: String = char::decode_utf16(pairs.iter().map(|pair| unit(*pair)))
        .map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER))
        .collect();
    if !rest.is_empty() {
        text.push(char::REPLACEMENT_CHARACTER);
    }
    text
}
