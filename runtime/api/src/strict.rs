//! What makes an expression strict: its comparisons and alternatives are written anew as what minijinja lets be checked.
//!
//! minijinja orders values of different kinds by their kinds, so that a text is above every number. As `a > b` cannot be
//! given another meaning there, `compare` stands in its place, and takes what is compared with how it was written.

use std::ops::Range;

use minijinja::{
    Environment, Error, ErrorKind, UndefinedBehavior, Value,
    value::{Serde, ValueKind},
};
use serde_json::Value as Json;

const COMPARE: &str = "__compare";
const EXISTING: &str = "__existing";
const COMPARISONS: [&str; 6] = ["==", "!=", "<", "<=", ">", ">="];
/// What ends an operand of a comparison.
const ENDS: [&str; 12] = [")", "]", "}", ",", ":", "=", "and", "or", "if", "else", "in", "not"];
/// Names of minijinja's tests that compare.
const TESTS: [(&str, &[&str]); 6] = [
    ("==", &["eq", "equalto", "=="]),
    ("!=", &["ne", "!="]),
    ("<", &["lt", "lessthan", "<"]),
    ("<=", &["le", "<="]),
    (">", &["gt", "greaterthan", ">"]),
    (">=", &["ge", ">="]),
];

/// Why an operand is refused, for people.
#[derive(Debug)]
pub struct Refused(String);

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Refused {}

fn refuse<T>(why: String) -> Result<T, Error> {
    Err(Error::new(ErrorKind::InvalidOperation, why.clone()).with_source(Refused(why)))
}

/// What is missing, for people.
pub fn missing(what: &str) -> String {
    format!("{what} is missing or null; allow for that with \"is defined\" or default(...)")
}

/// Where strict expressions are compiled.
pub fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    // Errors then know which part failed.
    environment.set_debug(true);
    environment.add_function(COMPARE, |a: &Value, op: &str, b: &Value, left: &str, right: &str| {
        compare(a, op, b, left, right)
    });
    environment.add_function(EXISTING, |value: &Value, text: &str| match value.is_undefined() {
        true => refuse(missing(text)),
        false => Ok(value.clone()),
    });
    environment.add_test("none", |value: &Value| value.is_none() || value.is_undefined());
    for (op, names) in TESTS {
        for name in names {
            environment
                .add_test(*name, move |a: &Value, b: &Value| compare(a, op, b, "the left side", "the right side"));
        }
    }
    environment
}

fn compare(a: &Value, op: &str, b: &Value, left: &str, right: &str) -> Result<bool, Error> {
    let equality = matches!(op, "==" | "!=");
    let is_null = |value: &Value| value.is_none() || value.is_undefined();
    // Who compares with none asks whether there is something.
    if equality && (a.is_none() || b.is_none()) {
        return Ok((is_null(a) && is_null(b)) == (op == "=="));
    }
    for (value, text) in [(a, left), (b, right)] {
        if is_null(value) {
            return refuse(missing(text));
        }
    }
    if kind(a) != kind(b) {
        return refuse(format!("{left} is {} and {right} is {}, which cannot be compared", kind(a), kind(b)));
    }
    if !equality && !matches!(a.kind(), ValueKind::Number | ValueKind::String) {
        return refuse(format!("{left} and {right} are each {}, which has no order", kind(a)));
    }
    Ok(match op {
        "==" => a == b,
        "!=" => a != b,
        "<" => a < b,
        "<=" => a <= b,
        ">" => a > b,
        _ => a >= b,
    })
}

fn kind(value: &Value) -> &'static str {
    match value.kind() {
        ValueKind::Bool => "true or false",
        ValueKind::Number => "a number",
        ValueKind::String => "a text",
        ValueKind::Seq | ValueKind::Iterable => "a list",
        ValueKind::Map => "a map",
        _ => "something else",
    }
}

/// The names as strict expressions see them: a member that is null is as one that is missing.
pub fn names(json: &Json) -> Value {
    match json {
        Json::Object(members) => {
            let there = members.iter().filter(|(_, member)| !member.is_null());
            Value::from_pairs(there.map(|(name, member)| (name.as_str(), names(member))))
        }
        Json::Array(items) => Value::from(items.iter().map(names).collect::<Vec<_>>()),
        scalar => Value::from(Serde(scalar)),
    }
}

/// An expression that minijinja has parsed, with its comparisons checked, and with what is missing as false on the left
/// of an `or`. `None` if it has a form that is not known here.
pub fn rewrite(source: &str) -> Option<String> {
    let mut rewriter = Rewriter { source, tokens: tokens(source), at: 0 };
    let rewritten = rewriter.choice();
    (rewriter.at == rewriter.tokens.len()).then_some(rewritten)
}

/// Words, string literals and symbols.
fn tokens(source: &str) -> Vec<Range<usize>> {
    let mut tokens = Vec::new();
    let mut chars = source.char_indices().peekable();
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    while let Some((start, c)) = chars.next() {
        if c.is_whitespace() {
            continue;
        }
        if is_word(c) {
            while chars.next_if(|(_, c)| is_word(*c)).is_some() {}
        } else if c == '\'' || c == '"' {
            while let Some((_, inner)) = chars.next() {
                if inner == '\\' {
                    chars.next();
                } else if inner == c {
                    break;
                }
            }
        } else if "=!<>".contains(c) {
            chars.next_if(|(_, c)| *c == '=');
        }
        tokens.push(start..chars.peek().map_or(source.len(), |(next, _)| *next));
    }
    tokens
}

/// Follows the precedence of Jinja: `if`, `or`, `and`, `not`, comparisons, everything else.
struct Rewriter<'s> {
    source: &'s str,
    tokens: Vec<Range<usize>>,
    at: usize,
}

impl<'s> Rewriter<'s> {
    fn peek(&self, ahead: usize) -> &'s str {
        self.tokens.get(self.at + ahead).map_or("", |token| &self.source[token.clone()])
    }

    fn take(&mut self, text: &str) -> bool {
        let found = self.peek(0) == text;
        self.at += usize::from(found);
        found
    }

    fn choice(&mut self) -> String {
        let mut out = self.any();
        while self.take("if") {
            let test = self.any();
            out = match self.take("else") {
                true => format!("({out} if {test} else {})", self.choice()),
                false => format!("({out} if {test})"),
            };
        }
        out
    }

    fn any(&mut self) -> String {
        let mut out = self.all();
        while self.take("or") {
            out = format!("(({out})|default(false) or {})", self.all());
        }
        out
    }

    fn all(&mut self) -> String {
        let mut out = self.not();
        while self.take("and") {
            out = format!("({out} and {})", self.not());
        }
        out
    }

    fn not(&mut self) -> String {
        if self.take("not") { format!("(not {})", self.not()) } else { self.comparison() }
    }

    fn comparison(&mut self) -> String {
        let (mut left, mut left_text) = self.operand();
        let mut links = Vec::new();
        loop {
            let op = match self.peek(0) {
                op if COMPARISONS.contains(&op) => op,
                "in" => "in",
                "not" if self.peek(1) == "in" => "not in",
                _ => break,
            };
            self.at += op.split(' ').count();
            let (right, right_text) = self.operand();
            links.push(if COMPARISONS.contains(&op) {
                format!("{COMPARE}({left}, '{op}', {right}, {}, {})", quoted(left_text), quoted(right_text))
            } else {
                format!("({EXISTING}({left}, {}) {op} {right})", quoted(left_text))
            });
            (left, left_text) = (right, right_text);
        }
        if links.is_empty() { left } else { format!("({})", links.join(" and ")) }
    }

    /// What a comparison is between, and how it is written.
    fn operand(&mut self) -> (String, &'s str) {
        let start = self.tokens.get(self.at).map_or(self.source.len(), |token| token.start);
        let (mut out, mut end) = (String::new(), start);
        while let Some(token) = self.tokens.get(self.at).cloned() {
            let text = &self.source[token.clone()];
            if ENDS.contains(&text) || COMPARISONS.contains(&text) {
                break;
            }
            // What follows is a name even if it reads as an operator.
            let named = match text {
                "." => 1,
                "is" if self.peek(1) == "not" => 2,
                "is" => 1,
                _ => 0,
            };
            self.at = (self.at + 1 + named).min(self.tokens.len());
            let last = self.tokens[self.at - 1].end;
            out.push_str(&self.source[end..last]);
            end = last;
            if matches!(text, "(" | "[" | "{") {
                out.push_str(&self.within());
                end = self.tokens.get(self.at).map_or(end, |close| close.start);
                if let Some(close) = self.tokens.get(self.at) {
                    out.push_str(&self.source[close.clone()]);
                    end = close.end;
                    self.at += 1;
                }
            }
        }
        (out, &self.source[start..end])
    }

    /// What is between brackets.
    fn within(&mut self) -> String {
        let mut out = String::new();
        loop {
            let before = self.at;
            out.push_str(&self.choice());
            if matches!(self.peek(0), "," | ":" | "=") {
                out.push_str(self.peek(0));
                self.at += 1;
            }
            if self.at == before || matches!(self.peek(0), ")" | "]" | "}") {
                return out;
            }
        }
    }
}

/// As a string literal.
fn quoted(text: &str) -> String {
    Json::from(text).to_string()
}
