//! Colour: meant by marks within a text, which become escape sequences, or nothing, where the text is written.
//!
//! The marks are characters that Unicode reserves for use within a program, so that texts of others, whose control
//! characters are made visible, cannot do more than be coloured.

use std::{env, io::IsTerminal};

/// What a text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// All is well.
    Good,
    /// Something needs attention, or rests.
    Notice,
    /// Something has failed.
    Bad,
    /// Less important.
    Dim,
    /// A heading.
    Strong,
}

const END: char = '\u{FDD0}';
const MARKS: [(Tone, char, &str); 5] = [
    (Tone::Good, '\u{FDD1}', "\u{1b}[32m"),
    (Tone::Notice, '\u{FDD2}', "\u{1b}[33m"),
    (Tone::Bad, '\u{FDD3}', "\u{1b}[31m"),
    (Tone::Dim, '\u{FDD4}', "\u{1b}[2m"),
    (Tone::Strong, '\u{FDD5}', "\u{1b}[1m"),
];

/// The text with marks around it.
pub fn paint(tone: Tone, text: &str) -> String {
    let mark = MARKS.iter().find(|(t, ..)| *t == tone).map(|(_, mark, _)| *mark);
    mark.into_iter().chain(text.chars()).chain([END]).collect()
}

/// How a state of a connector or task is painted; none for a text that is no state.
pub fn tone_of(state: &str) -> Option<Tone> {
    match state {
        "RUNNING" | "ok" | "passed" => Some(Tone::Good),
        "FAILED" | "failed" | "fail" | "P1_LIFE" | "P2_PROPERTY" | "active" => Some(Tone::Bad),
        "PAUSED" | "STOPPED" | "UNASSIGNED" | "RESTARTING" | "UNKNOWN" | "warn" | "acknowledged"
        | "P3_PRODUCTIVITY" => Some(Tone::Notice),
        _ => None,
    }
}

/// The state, painted.
pub fn state(text: &str) -> String {
    tone_of(text).map_or_else(|| text.to_owned(), |tone| paint(tone, text))
}

/// Whether the character is a mark, which takes no room.
pub fn is_mark(c: char) -> bool {
    ('\u{FDD0}'..='\u{FDD5}').contains(&c)
}

/// The text as a terminal, or as something else gets it.
pub fn resolve(text: &str, colour: bool) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            c if !is_mark(c) => out.push(c),
            _ if !colour => {}
            END => out.push_str("\u{1b}[0m"),
            c => out.extend(MARKS.iter().filter(|(_, mark, _)| *mark == c).map(|(.., code)| *code)),
        }
    }
    out
}

/// Whether what is written there may be coloured: a terminal that can, whose user does not refuse (<https://no-color.org>).
pub fn wanted(stream: &impl IsTerminal) -> bool {
    let refused = env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty());
    stream.is_terminal() && !refused && env::var_os("TERM").is_none_or(|t| t != "dumb")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_become_sequences_on_terminals_only() {
        let text = format!("a {} b", state("FAILED"));
        assert_eq!(resolve(&text, true), "a \u{1b}[31mFAILED\u{1b}[0m b");
        assert_eq!(resolve(&text, false), "a FAILED b");
        assert_eq!(state("x"), "x");
    }
}
