//! Jackson's words for JSON: its tokens, its places, and what is wrong with a body.

use std::fmt;

/// A place in the text, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub line: usize,
    pub column: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { line, column } = self;
        write!(
            f,
            "[Source: REDACTED (`StreamReadFeature.INCLUDE_SOURCE_IN_LOCATION` disabled); line: {line}, column: {column}]"
        )
    }
}

/// What is wrong with a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wrong {
    pub text: String,
    pub place: Place,
    pub chain: Vec<String>,
    /// Whether it is about JSON itself and not about what is wanted of it.
    pub syntax: bool,
}

impl Wrong {
    /// Says in which element of which kind of list it happened; the outermost is said last.
    pub(crate) fn at_index(mut self, class: &str, index: usize) -> Self {
        self.chain.insert(0, format!("{class}[{index}]"));
        self
    }

    /// Says in which member of which class it happened; the outermost is said last.
    pub(crate) fn inside(mut self, class: &str, member: &str) -> Self {
        self.chain.insert(0, format!("{class}[\"{member}\"]"));
        self
    }
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n at {}", self.text, self.place)?;
        if !self.chain.is_empty() {
            write!(f, " (through reference chain: {})", self.chain.join("->"))?;
        }
        Ok(())
    }
}

/// A token. The text of a string is read by the parser when it is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "Jackson's JsonToken, whose members name themselves")]
pub(crate) enum Token {
    StartObject,
    EndObject,
    StartArray,
    EndArray,
    FieldName,
    String,
    Int,
    Float,
    True,
    False,
    Null,
}

impl Token {
    /// Jackson's name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::StartObject => "START_OBJECT",
            Self::EndObject => "END_OBJECT",
            Self::StartArray => "START_ARRAY",
            Self::EndArray => "END_ARRAY",
            Self::FieldName => "FIELD_NAME",
            Self::String => "VALUE_STRING",
            Self::Int => "VALUE_NUMBER_INT",
            Self::Float => "VALUE_NUMBER_FLOAT",
            Self::True => "VALUE_TRUE",
            Self::False => "VALUE_FALSE",
            Self::Null => "VALUE_NULL",
        }
    }

    /// What Jackson calls the value that begins with it.
    pub(crate) fn shape(self) -> &'static str {
        match self {
            Self::StartArray | Self::EndArray => "Array",
            Self::Int => "Integer",
            Self::Float => "Floating-point",
            Self::True | Self::False => "Boolean",
            Self::String => "String",
            Self::Null => "Null",
            Self::StartObject | Self::EndObject | Self::FieldName => "Object",
        }
    }
}
