//! Paths to nested fields (KIP-821).

use std::sync::Arc;

use connect_api::{
    Error, Field, Result, Schema, Struct, TextKey, Value,
    config::{ConfigType, KeyType},
};

use crate::rebuild::{field_value, require_struct_or_null};

/// How the text of a path is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldSyntax {
    /// The text is the name of a field at the top.
    V1,
    /// Dots separate steps; backticks keep dots within a step.
    V2,
}

impl ConfigType for FieldSyntax {
    const KIND: KeyType = KeyType::String;

    fn parse(text: &str) -> Result<Self, String> {
        match text.to_ascii_uppercase().as_str() {
            "V1" => Ok(Self::V1),
            "V2" => Ok(Self::V2),
            _ => Err("String must be one of (case insensitive): V1, V2".into()),
        }
    }

    fn options() -> Vec<String> {
        vec!["V1".into(), "V2".into()]
    }
}

/// The steps from a struct or map to a field within it; at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldPath {
    before: Vec<Arc<str>>,
    last: Arc<str>,
}

const PURPOSE: &str = "nested field access";

impl FieldPath {
    /// Reads the text of a path; the error is complete.
    pub fn parse(text: &str, syntax: FieldSyntax) -> Result<Self, String> {
        let mut before: Vec<Arc<str>> = match syntax {
            FieldSyntax::V1 => vec![text.into()],
            FieldSyntax::V2 => steps(text)?,
        };
        let last = before.pop().ok_or_else(|| "the path of a field is empty; name the field".to_owned())?;
        Ok(Self { before, last })
    }

    /// The field in a schema; none if any step is missing.
    pub fn field_in<'a>(&self, schema: &'a Schema) -> Result<Option<&'a Field>> {
        let mut current = schema;
        for step in &self.before {
            match lookup(current, step)? {
                Some(field) => current = field.schema(),
                None => return Ok(None),
            }
        }
        lookup(current, &self.last)
    }

    /// The value in a struct; null if any step is missing or null.
    pub fn value_in_struct(&self, s: &Struct, with_default: bool) -> Result<Value> {
        let mut current = s;
        for step in &self.before {
            let Some(value) = current.get(step) else { return Ok(Value::Null) };
            match require_struct_or_null(value, PURPOSE)? {
                Some(inner) => current = inner,
                None => return Ok(Value::Null),
            }
        }
        let field = current.schema().field(&self.last);
        Ok(field.map_or(Value::Null, |f| field_value(current, f.index(), with_default).clone()))
    }

    /// The value in a map; null if any step is missing or null.
    pub fn value_in_map(&self, map: &connect_api::Map) -> Result<Value> {
        let mut current = map;
        for step in &self.before {
            match current.get(&TextKey(step)) {
                None | Some(Value::Null) => return Ok(Value::Null),
                Some(Value::Map(inner)) => current = inner,
                Some(other) => {
                    return Err(Error::data(format!(
                        "Only Map objects supported in absence of schema for [{PURPOSE}], found: {}",
                        other.java_class()
                    )));
                }
            }
        }
        Ok(current.get(&TextKey(&self.last)).cloned().unwrap_or_default())
    }
}

fn lookup<'a>(schema: &'a Schema, name: &str) -> Result<Option<&'a Field>> {
    match schema.kind() {
        connect_api::Type::Struct => Ok(schema.field(name)),
        _ => Err(Error::data("Cannot look up fields on non-struct type")),
    }
}

fn steps(path: &str) -> Result<Vec<Arc<str>>, String> {
    let mut steps = Vec::new();
    let mut rest = path;
    while !rest.is_empty() {
        if rest.starts_with('`') {
            let (step, behind) = quoted(rest).ok_or_else(|| {
                let at = path[..path.len() - rest.len()].encode_utf16().count();
                format!(
                    "Incomplete backtick pair in path: [{path}], consider adding a backslash before backtick at position \
                     {at} to escape it"
                )
            })?;
            steps.push(step.into());
            rest = behind;
        } else {
            let (step, behind) = rest.split_once('.').unwrap_or((rest, ""));
            steps.push(step.into());
            rest = behind;
        }
    }
    if path.ends_with('.') {
        steps.push("".into());
    }
    Ok(steps)
}

/// A step that begins with a backtick, and what follows its dot. The closing backtick is one in front of a
/// dot or of the end; a backslash in front of such a one makes it part of the name.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut step = String::new();
    let mut start = 1;
    let mut search = 1;
    loop {
        let at = search + text[search..].find('`')?;
        let escaped = text[..at].ends_with('\\');
        let behind = &text[at + 1..];
        if behind.is_empty() {
            if escaped {
                return None;
            }
            step.push_str(&text[start..at]);
            return Some((step, ""));
        }
        search = at + 1;
        if !behind.starts_with('.') {
            continue;
        }
        if escaped {
            step.push_str(&text[start..at - 1]);
            step.push('`');
            start = search;
            continue;
        }
        step.push_str(&text[start..at]);
        return Some((step, &behind[1..]));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v2(path: &str) -> Vec<String> {
        steps(path).expect("path").iter().map(|s| s.to_string()).collect()
    }

    #[test]
    fn dots_separate_steps_and_backticks_keep_them() {
        assert_eq!(v2("foo.bar.baz"), ["foo", "bar", "baz"]);
        assert_eq!(v2("`foo.bar`.baz"), ["foo.bar", "baz"]);
        assert_eq!(v2("`foo`.bar.`b`az`"), ["foo", "bar", "b`az"]);
        assert_eq!(v2("`foo\\`.bar`.x"), ["foo`.bar", "x"]);
        assert_eq!(v2("fo`o.b`a"), ["fo`o", "b`a"]);
        assert_eq!(v2("a..b."), ["a", "", "b", ""]);
        assert_eq!(v2("."), ["", ""]);
    }

    #[test]
    fn an_open_backtick_is_shown_by_its_position() {
        for path in ["a.`b.c", "a.`b.c\\`", "a.`"] {
            let e = FieldPath::parse(path, FieldSyntax::V2).expect_err("open");
            assert!(e.ends_with("consider adding a backslash before backtick at position 2 to escape it"), "{e}");
        }
        assert!(FieldPath::parse("", FieldSyntax::V2).is_err());
        assert!(FieldPath::parse("", FieldSyntax::V1).is_ok());
    }
}
