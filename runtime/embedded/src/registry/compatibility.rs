//! Whether one schema can read what another has written, by Avro's rules for resolving schemas.

use std::collections::HashMap;

use apache_avro::{
    Schema,
    error::CompatibilityError,
    schema::UnionSchema,
    schema_compatibility::{Compatibility, SchemaCompatibility},
};

/// Compatibility levels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Level {
    pub(crate) name: &'static str,
    backward: bool,
    forward: bool,
    pub(crate) transitive: bool,
}

const fn level(name: &'static str, backward: bool, forward: bool, transitive: bool) -> Level {
    Level { name, backward, forward, transitive }
}

const LEVELS: [Level; 7] = [
    level("BACKWARD", true, false, false),
    level("BACKWARD_TRANSITIVE", true, false, true),
    level("FORWARD", false, true, false),
    level("FORWARD_TRANSITIVE", false, true, true),
    level("FULL", true, true, false),
    level("FULL_TRANSITIVE", true, true, true),
    level("NONE", false, false, false),
];

impl Default for Level {
    fn default() -> Self {
        LEVELS[0]
    }
}

impl Level {
    /// The level of that name, in any case.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        LEVELS.into_iter().find(|l| l.name.eq_ignore_ascii_case(name))
    }

    /// Why the new schema may not follow the old one; `None` if it may.
    pub(crate) fn objection(self, new: &str, old: &str) -> Option<String> {
        if !self.backward && !self.forward {
            return None;
        }
        let parse = |text: &str| Schema::parse_str(text).map(|s| written_out(&s));
        let (new, old) = match (parse(new), parse(old)) {
            (Ok(new), Ok(old)) => (new, old),
            (Err(e), _) | (_, Err(e)) => return Some(e.to_string()),
        };
        let backward = self.backward.then(|| unreadable(&old, &new)).flatten();
        if let Some(why) = backward {
            return Some(format!("the new schema cannot read data of the old one: {why}"));
        }
        let forward = self.forward.then(|| unreadable(&new, &old)).flatten();
        forward.map(|why| format!("the old schema cannot read data of the new one: {why}"))
    }
}

fn unreadable(writer: &Schema, reader: &Schema) -> Option<String> {
    match SchemaCompatibility::can_read(writer, reader) {
        Ok(Compatibility::Full) => None,
        // What can be read only sometimes is incompatible, as with Avro for Java.
        Ok(Compatibility::Partial) => Some("members of a union or symbols of an enum are missing".into()),
        Err(e) => Some(describe(&e)),
    }
}

// The library's text for different types holds both of them, over many lines.
fn describe(e: &CompatibilityError) -> String {
    match e {
        CompatibilityError::WrongType { .. } => "the types differ".into(),
        CompatibilityError::FieldTypeMismatch(field, inner) => format!("field {field}: {}", describe(inner)),
        other => other.to_string(),
    }
}

/// The schema with each reference replaced by what it refers to, but for types within themselves.
///
/// The check compares references by name only, and a reference with a definition not at all; which of two
/// uses of a type defines it must not matter.
fn written_out(schema: &Schema) -> Schema {
    let mut out = Writer { named: HashMap::new(), budget: 10_000 };
    let made = out.schema(schema, &mut Vec::new());
    if out.budget == 0 { schema.clone() } else { made }
}

struct Writer {
    named: HashMap<String, Schema>,
    // Types that are used by types that are used … can grow without bound.
    budget: usize,
}

impl Writer {
    fn schema(&mut self, schema: &Schema, within: &mut Vec<String>) -> Schema {
        self.budget = self.budget.saturating_sub(1);
        if self.budget == 0 {
            return schema.clone();
        }
        if let Some(name) = schema.name()
            && !matches!(schema, Schema::Ref { .. })
        {
            self.named.insert(name.fullname(None), schema.clone());
        }
        match schema {
            Schema::Ref { name } => {
                let name = name.fullname(None);
                match self.named.get(&name).cloned() {
                    Some(definition) if !within.contains(&name) => self.schema(&definition, within),
                    _ => schema.clone(),
                }
            }
            Schema::Record(record) => {
                let mut record = record.clone();
                within.push(record.name.fullname(None));
                for field in &mut record.fields {
                    field.schema = self.schema(&field.schema, within);
                }
                within.pop();
                Schema::Record(record)
            }
            Schema::Array(array) => {
                let mut array = array.clone();
                array.items = Box::new(self.schema(&array.items, within));
                Schema::Array(array)
            }
            Schema::Map(map) => {
                let mut map = map.clone();
                map.types = Box::new(self.schema(&map.types, within));
                Schema::Map(map)
            }
            Schema::Union(union) => {
                let members = union.variants().iter().map(|m| self.schema(m, within)).collect();
                UnionSchema::new(members).map_or_else(|_| schema.clone(), Schema::Union)
            }
            other => other.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(level: &str, new: &str, old: &str) -> bool {
        Level::parse(level).expect("level").objection(new, old).is_none()
    }

    fn record(fields: &str) -> String {
        format!(r#"{{"type":"record","name":"R","fields":[{fields}]}}"#)
    }

    #[test]
    fn levels_say_who_reads_whom() {
        let one = record(r#"{"name":"a","type":"int"}"#);
        let required = record(r#"{"name":"a","type":"int"},{"name":"b","type":"int"}"#);
        let default = record(r#"{"name":"a","type":"int"},{"name":"b","type":"int","default":0}"#);
        let wider = record(r#"{"name":"a","type":"long"}"#);
        for (new, backward, forward) in [(&required, false, true), (&default, true, true), (&wider, true, false)] {
            assert_eq!(allows("BACKWARD", new, &one), backward, "{new}");
            assert_eq!(allows("FORWARD", new, &one), forward, "{new}");
            assert_eq!(allows("FULL", new, &one), backward && forward, "{new}");
            assert!(allows("none", new, &one));
        }
    }

    #[test]
    fn objections_name_the_field_in_one_line() {
        let level = Level::default();
        let (text, int) = (record(r#"{"name":"a","type":"string"}"#), record(r#"{"name":"a","type":"int"}"#));
        assert_eq!(
            level.objection(&text, &int).as_deref(),
            Some("the new schema cannot read data of the old one: field a: the types differ")
        );
    }

    #[test]
    fn what_is_readable_only_sometimes_is_not() {
        assert!(!allows("BACKWARD", "\"int\"", r#"["null","int"]"#));
        assert!(allows("BACKWARD", r#"["null","int"]"#, "\"int\""));
        let symbols = |s: &str| format!(r#"{{"type":"enum","name":"E","symbols":[{s}]}}"#);
        assert!(!allows("BACKWARD", &symbols("\"A\""), &symbols("\"A\",\"B\"")));
        assert!(allows("BACKWARD", &symbols("\"A\",\"B\""), &symbols("\"A\"")));
        let default = r#"{"type":"enum","name":"E","symbols":["A"],"default":"A"}"#;
        assert!(allows("BACKWARD", default, &symbols("\"A\",\"B\"")));
    }

    #[test]
    fn it_does_not_matter_which_use_defines_a_type() {
        let e = r#"{"type":"enum","name":"E","symbols":["A"]}"#;
        let old = record(&format!(r#"{{"name":"a","type":{e}}}"#));
        let new = record(&format!(r#"{{"name":"n","type":["null",{e}],"default":null}},{{"name":"a","type":"E"}}"#));
        assert!(allows("FULL", &new, &old));
        let list = |t: &str| {
            format!(
                r#"{{"type":"record","name":"L","fields":[{{"name":"v","type":"{t}"}},{{"name":"next","type":["null","L"],"default":null}}]}}"#
            )
        };
        assert!(allows("BACKWARD", &list("long"), &list("int")));
        assert!(!allows("FORWARD", &list("long"), &list("int")));
    }
}
