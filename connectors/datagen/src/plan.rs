//! How the values of a topic are made.

use connect_api::{Result, Schema, Value, config_enum};

use crate::maker::{DEEPEST, Draw, Maker};

config_enum! {
    /// What records are as values.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Form {
        /// Structs with their schema.
        Struct = "struct",
        /// Maps without schema.
        Map = "map",
    }
}

/// Makers of values with their schema.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Makes the values.
    pub maker: Maker,
    /// Makers of records that hold themselves.
    pub named: Vec<Maker>,
    /// Schema of the values; none for values without.
    pub schema: Option<Schema>,
    /// Where walks begin.
    pub walks: Vec<f64>,
}

/// More values than a record needs: what is wrong is the length of a list within a list.
const MOST_VALUES: f64 = 1_000_000.0;

impl Plan {
    /// Makers whose records are not too large.
    ///
    /// # Errors
    ///
    /// If a record could have more than a million values.
    pub fn new(maker: Maker, named: Vec<Maker>, schema: Option<Schema>, walks: Vec<f64>) -> Result<Self, Vec<String>> {
        let (own, within) = maker.size();
        let most = own * (0..=DEEPEST as i32).map(|depth| within.powi(depth)).sum::<f64>();
        if most > MOST_VALUES {
            return Err(vec![format!(
                "a record could have {most:.0} values, of a million that are possible: lists and maps within each other \
                 have to be shorter, by length"
            )]);
        }
        Ok(Self { maker, named, schema, walks })
    }

    /// A value.
    ///
    /// # Errors
    ///
    /// If a template cannot be filled in.
    pub fn make(&self, draw: &mut Draw<'_>) -> Result<Value> {
        self.maker.make(draw)
    }

    /// Whether values have a field at this path.
    pub fn has(&self, path: &[String]) -> bool {
        let mut maker = &self.maker;
        path.iter().all(|name| {
            // What may be null may be a record all the same.
            if let Maker::Union(union) = maker
                && let [Some(one), None] | [None, Some(one)] = union.members.as_slice()
            {
                maker = one;
            }
            let Maker::Record(_, fields) = maker else { return false };
            fields.iter().find(|(field, _)| **field == **name).is_some_and(|(_, found)| {
                maker = found;
                true
            })
        })
    }
}
