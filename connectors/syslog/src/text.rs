//! Bytes as text, without loss.

use std::borrow::Cow;

/// How a text was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Charset {
    /// UTF-8, of which ASCII is a part.
    Utf8,
    /// ISO 8859-1, in which every byte is a character.
    Latin1,
}

impl Charset {
    /// Its name in records.
    pub fn name(self) -> &'static str {
        match self {
            Self::Utf8 => "utf-8",
            Self::Latin1 => "iso-8859-1",
        }
    }
}

/// Bytes as text.
#[derive(Debug)]
pub struct Decoded<'a> {
    /// The text.
    pub text: Cow<'a, str>,
    /// How it was written.
    pub charset: Charset,
}

impl<'a> Decoded<'a> {
    /// UTF-8, or else ISO 8859-1, which old devices speak; either way the bytes can be had back.
    pub fn of(bytes: &'a [u8]) -> Self {
        match std::str::from_utf8(bytes) {
            Ok(text) => Self { text: text.into(), charset: Charset::Utf8 },
            Err(_) => Self { text: bytes.iter().map(|b| char::from(*b)).collect(), charset: Charset::Latin1 },
        }
    }
}
