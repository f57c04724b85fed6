//! Leaves fields out and renames them.

use std::sync::Arc;

use connect_api::{Error, Map, Record, RecordMeta, Result, Schema, Struct, Value, config::Key};

use crate::{
    rebuild::{SchemaCache, copy_basics, field_value, require_map, require_struct},
    sided::{Side, Sided, names},
};

connect_api::config! {
    /// Settings of the transform.
    #[derive(Debug)]
    pub struct ReplaceFieldConfig {
        /// Fields to leave out; they are left out although they may be among those to include.
        exclude: Vec<String> = Key::new("exclude").default(""),
        /// The only fields to keep; empty keeps all.
        include: Vec<String> = Key::new("include").default(""),
        /// Fields to rename, as old:new,old:new. exclude and include mean the old names.
        renames: Vec<String> = Key::new("renames").default("").check(|r: &Vec<String>| renames(r).map(drop)),
        /// Whether a null field takes the default of its schema.
        replace_null_with_default: bool = Key::new("replace.null.with.default").default("true"),
    }
}

fn renames(items: &[String]) -> Result<Vec<(String, Arc<str>)>, String> {
    let pair = |item: &String| {
        // What is empty at the end is no part, as Java splits.
        let mut parts = item.trim_end_matches(':').split(':');
        match (parts.next(), parts.next(), parts.next()) {
            (Some(old), Some(new), None) => Ok((old.to_owned(), new.into())),
            _ => Err(format!("Invalid rename mapping: {item}")),
        }
    };
    items.iter().map(pair).collect()
}

/// `org.apache.kafka.connect.transforms.ReplaceField`
#[derive(Debug)]
pub struct ReplaceField {
    rules: Rules,
    with_default: bool,
    schemas: SchemaCache<(Schema, Arc<[usize]>)>,
}

#[derive(Debug)]
struct Rules {
    exclude: Vec<String>,
    include: Vec<String>,
    renames: Vec<(String, Arc<str>)>,
}

const PURPOSE: &str = "field replacement";

impl Sided for ReplaceField {
    type Config = ReplaceFieldConfig;

    names!("replace-field", "org.apache.kafka.connect.transforms.ReplaceField", "leaves fields out and renames them.");

    fn new(config: ReplaceFieldConfig) -> Result<Self> {
        Ok(Self {
            rules: Rules {
                exclude: config.exclude,
                include: config.include,
                renames: renames(&config.renames).map_err(Error::fatal)?,
            },
            with_default: config.replace_null_with_default,
            schemas: SchemaCache::new(),
        })
    }

    fn change(&mut self, side: Side, record: &mut Record, _meta: &RecordMeta) -> Result<()> {
        let (schema, value) = side.of(record);
        if value.is_null() {
            return Ok(());
        }
        if schema.is_none() {
            let map = require_map(side.take(record), PURPOSE)?;
            let kept = Arc::unwrap_or_clone(map).into_iter().filter_map(|(key, value)| match key {
                Value::String(name) => {
                    self.rules.keeps(&name).then(|| (Value::String(self.rules.renamed(&name)), value))
                }
                other => Some((other, value)),
            });
            let kept: Map = kept.collect();
            side.set(record, None, Value::Map(Arc::new(kept)));
            return Ok(());
        }
        let s = require_struct(value, PURPOSE)?;
        let (made, sources) = self.schemas.get(s.schema(), || self.rules.plan(s.schema()))?;
        let mut changed = Struct::new(&made)?;
        for (field, source) in made.fields().iter().zip(&*sources) {
            changed.put(field.name(), field_value(s, *source, self.with_default).clone())?;
        }
        side.set(record, Some(made), changed.into_value());
        Ok(())
    }
}

impl Rules {
    fn keeps(&self, name: &str) -> bool {
        let listed = |names: &[String]| names.iter().any(|n| n == name);
        !listed(&self.exclude) && (self.include.is_empty() || listed(&self.include))
    }

    fn renamed(&self, name: &Arc<str>) -> Arc<str> {
        // The last one counts where a name is given twice.
        self.renames.iter().rev().find(|(old, _)| **old == **name).map_or_else(|| name.clone(), |(_, new)| new.clone())
    }

    /// The new schema, and from which field each of its fields comes.
    fn plan(&self, schema: &Schema) -> Result<(Schema, Arc<[usize]>)> {
        let mut builder = copy_basics(schema, Schema::structure());
        let mut sources = Vec::new();
        for field in schema.fields().iter().filter(|f| self.keeps(f.name())) {
            builder = builder.field(self.renamed(field.shared_name()), field.schema().clone());
            sources.push(field.index());
        }
        Ok((builder.build()?, sources.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn apply(exclude: &[&str], pairs: &[&str], mut record: Record) -> Record {
        let owned = |items: &[&str]| items.iter().map(|i| (*i).to_owned()).collect();
        let config = ReplaceFieldConfig {
            exclude: owned(exclude),
            include: Vec::new(),
            renames: owned(pairs),
            replace_null_with_default: true,
        };
        let mut transform = ReplaceField::new(config).expect("settings");
        transform.change(Side::Value, &mut record, &RecordMeta::default()).expect("changed");
        record
    }

    #[test]
    fn fields_keep_their_own_values_whatever_others_would_be_renamed_to() {
        let schema =
            Schema::structure().field("a", Schema::int32()).field("b", Schema::int32()).build().expect("schema");
        let mut s = Struct::new(&schema).expect("struct");
        s.put("a", 1).and_then(|s| s.put("b", 2)).expect("put");
        let mut record = Record::new("t");
        (record.value_schema, record.value) = (Some(schema), s.into_value());
        assert_eq!(apply(&["a"], &["a:b"], record.clone()).value.to_string(), "Struct{b=2}");
        assert_eq!(apply(&[], &["a:b", "b:a"], record).value.to_string(), "Struct{b=1,a=2}");
    }
}
