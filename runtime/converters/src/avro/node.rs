//! Avro schemas as trees that keep every attribute.
//!
//! `apache_avro::Schema` drops the attributes of types without a name, and Connect's types live in them
//! (`{"type":"int","connect.type":"int8"}`). It still checks what is registered.

use std::{collections::HashMap, sync::Arc};

use connect_api::{Error, Result};
use serde_json::{Map as JsonMap, Value as Json};

/// A schema with the attributes that Avro itself does not know.
#[derive(Debug)]
pub struct Node {
    /// What it is.
    pub kind: Kind,
    /// Attributes beside those of its kind.
    pub props: JsonMap<String, Json>,
}

/// What a schema is.
#[derive(Debug)]
#[allow(missing_docs, reason = "the names are Avro's")]
pub enum Kind {
    Null,
    Boolean,
    Int,
    Long,
    Float,
    Double,
    Bytes,
    String,
    Fixed {
        name: Name,
        size: usize,
    },
    Enum {
        name: Name,
        doc: Option<String>,
        symbols: Vec<Arc<str>>,
        default: Option<String>,
    },
    Array(Arc<Node>),
    Map(Arc<Node>),
    Record {
        name: Name,
        doc: Option<String>,
        fields: Vec<RecordField>,
    },
    Union(Vec<Arc<Node>>),
    /// A named type within itself.
    Recursive(String),
}

/// Name of a named type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name {
    /// With the namespace.
    pub full: String,
}

impl Name {
    /// The part behind the namespace.
    pub fn short(&self) -> &str {
        self.full.rsplit('.').next().unwrap_or(&self.full)
    }

    fn namespace(&self) -> &str {
        self.full.rsplit_once('.').map_or("", |(namespace, _)| namespace)
    }
}

/// A field of a record.
#[derive(Debug)]
pub struct RecordField {
    /// Name.
    pub name: String,
    /// Documentation.
    pub doc: Option<String>,
    /// Default.
    pub default: Option<Json>,
    /// Schema.
    pub node: Arc<Node>,
    /// Attributes beside Avro's own.
    pub props: JsonMap<String, Json>,
}

impl Node {
    /// Parses a schema.
    pub fn parse(text: &str) -> Result<Arc<Node>> {
        let json: Json = serde_json::from_str(text).map_err(|e| Error::data("parsing an Avro schema").caused_by(e))?;
        Parser { named: HashMap::new() }.node(&json, "")
    }

    /// Full name of a named type.
    pub fn name(&self) -> Option<&Name> {
        match &self.kind {
            Kind::Fixed { name, .. } | Kind::Enum { name, .. } | Kind::Record { name, .. } => Some(name),
            _ => None,
        }
    }

    /// Avro's name of the type.
    pub fn type_name(&self) -> &'static str {
        match self.kind {
            Kind::Null => "null",
            Kind::Boolean => "boolean",
            Kind::Int => "int",
            Kind::Long => "long",
            Kind::Float => "float",
            Kind::Double => "double",
            Kind::Bytes => "bytes",
            Kind::String => "string",
            Kind::Fixed { .. } => "fixed",
            Kind::Enum { .. } => "enum",
            Kind::Array(_) => "array",
            Kind::Map(_) => "map",
            Kind::Record { .. } => "record",
            Kind::Union(_) => "union",
            Kind::Recursive(_) => "recursive type",
        }
    }

    /// The logical type, if it is one.
    pub fn logical_type(&self) -> Option<&str> {
        self.props.get("logicalType")?.as_str()
    }

    /// An attribute that is a text.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.props.get(name)?.as_str()
    }
}

struct Parser {
    // None while the type is being read: within itself it is recursive.
    named: HashMap<String, Option<Arc<Node>>>,
}

fn invalid(what: &str, json: &Json) -> Error {
    let mut shown = json.to_string();
    if shown.len() > 200 {
        let end = (0..=200).rev().find(|i| shown.is_char_boundary(*i)).unwrap_or(0);
        shown.truncate(end);
        shown.push('…');
    }
    Error::data(format!("parsing an Avro schema: {what}: {shown}"))
}

impl Parser {
    fn node(&mut self, json: &Json, namespace: &str) -> Result<Arc<Node>> {
        match json {
            Json::String(name) => self.reference(name, namespace, json),
            Json::Array(members) => {
                let members = members.iter().map(|m| self.node(m, namespace)).collect::<Result<_>>()?;
                Ok(Arc::new(Node { kind: Kind::Union(members), props: JsonMap::new() }))
            }
            Json::Object(object) => self.object(object, namespace, json),
            _ => Err(invalid("not a schema", json)),
        }
    }

    fn reference(&mut self, name: &str, namespace: &str, json: &Json) -> Result<Arc<Node>> {
        if let Some(kind) = primitive(name) {
            return Ok(Arc::new(Node { kind, props: JsonMap::new() }));
        }
        let full = qualify(name, namespace);
        let found = self.named.get(&full).map(|node| (full.clone(), node.clone()));
        let found = found.or_else(|| self.named.get(name).map(|node| (name.to_owned(), node.clone())));
        match found {
            Some((_, Some(node))) => Ok(node),
            Some((full, None)) => Ok(Arc::new(Node { kind: Kind::Recursive(full), props: JsonMap::new() })),
            None => Err(invalid("unknown type", json)),
        }
    }

    fn object(&mut self, object: &JsonMap<String, Json>, namespace: &str, json: &Json) -> Result<Arc<Node>> {
        let kind = match object.get("type") {
            Some(Json::String(kind)) => kind.as_str(),
            Some(nested @ (Json::Object(_) | Json::Array(_))) => return self.node(nested, namespace),
            _ => return Err(invalid("no type", json)),
        };
        let member = |name: &str| object.get(name).ok_or_else(|| invalid(&format!("no {name}"), json));
        let text = |name: &str| object.get(name).and_then(Json::as_str).map(str::to_owned);
        let (kind, own): (Kind, &[&str]) = match kind {
            "array" => (Kind::Array(self.node(member("items")?, namespace)?), &["items"]),
            "map" => (Kind::Map(self.node(member("values")?, namespace)?), &["values"]),
            "fixed" => {
                let name = self.define(object, namespace, json)?;
                let size = member("size")?.as_u64().and_then(|n| usize::try_from(n).ok());
                let size = size.ok_or_else(|| invalid("size is not a number", json))?;
                (Kind::Fixed { name, size }, &["name", "namespace", "aliases", "doc", "size"])
            }
            "enum" => {
                let name = self.define(object, namespace, json)?;
                let symbols = member("symbols")?.as_array().ok_or_else(|| invalid("symbols are not a list", json))?;
                let symbols = symbols.iter().map(|s| s.as_str().map(Arc::from)).collect::<Option<_>>();
                let symbols = symbols.ok_or_else(|| invalid("symbols are not texts", json))?;
                let kind = Kind::Enum { name, doc: text("doc"), symbols, default: text("default") };
                (kind, &["name", "namespace", "aliases", "doc", "symbols", "default"])
            }
            "record" | "error" => {
                let name = self.define(object, namespace, json)?;
                let fields = member("fields")?.as_array().ok_or_else(|| invalid("fields are not a list", json))?;
                let space = name.namespace();
                let fields = fields.iter().map(|f| self.field(f, space)).collect::<Result<_>>()?;
                let kind = Kind::Record { name, doc: text("doc"), fields };
                (kind, &["name", "namespace", "aliases", "doc", "fields"])
            }
            other => match primitive(other) {
                Some(kind) => (kind, &[]),
                None => return self.reference(other, namespace, json),
            },
        };
        let props = object.iter().filter(|(k, _)| *k != "type" && !own.contains(&k.as_str()));
        let props = props.map(|(k, v)| (k.clone(), v.clone())).collect();
        let node = Arc::new(Node { kind, props });
        if let Some(name) = node.name() {
            self.named.insert(name.full.clone(), Some(node.clone()));
        }
        Ok(node)
    }

    fn define(&mut self, object: &JsonMap<String, Json>, namespace: &str, json: &Json) -> Result<Name> {
        let name = object.get("name").and_then(Json::as_str).ok_or_else(|| invalid("no name", json))?;
        let space = object.get("namespace").and_then(Json::as_str).unwrap_or(namespace);
        let name = Name { full: qualify(name, space) };
        if self.named.insert(name.full.clone(), None).is_some() {
            return Err(invalid(&format!("{} is defined twice", name.full), json));
        }
        Ok(name)
    }

    fn field(&mut self, json: &Json, namespace: &str) -> Result<RecordField> {
        let name = json.get("name").and_then(Json::as_str).ok_or_else(|| invalid("field without name", json))?;
        let kind = json.get("type").ok_or_else(|| invalid("field without type", json))?;
        let own = ["name", "type", "doc", "default", "order", "aliases"];
        let props = json.as_object().into_iter().flatten().filter(|(k, _)| !own.contains(&k.as_str()));
        Ok(RecordField {
            props: props.map(|(k, v)| (k.clone(), v.clone())).collect(),
            name: name.to_owned(),
            doc: json.get("doc").and_then(Json::as_str).map(str::to_owned),
            default: json.get("default").cloned(),
            node: self.node(kind, namespace)?,
        })
    }
}

fn qualify(name: &str, namespace: &str) -> String {
    if name.contains('.') || namespace.is_empty() { name.to_owned() } else { format!("{namespace}.{name}") }
}

fn primitive(name: &str) -> Option<Kind> {
    Some(match name {
        "null" => Kind::Null,
        "boolean" => Kind::Boolean,
        "int" => Kind::Int,
        "long" => Kind::Long,
        "float" => Kind::Float,
        "double" => Kind::Double,
        "bytes" => Kind::Bytes,
        "string" => Kind::String,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_resolve_in_their_namespace_and_attributes_stay() {
        let node = Node::parse(
            r#"{"type":"record","name":"R","namespace":"a.b","x":1,"fields":[
                {"name":"e","type":{"type":"enum","name":"E","symbols":["A"]}},
                {"name":"f","type":["null","E"]},
                {"name":"g","type":{"type":"int","connect.type":"int8"}},
                {"name":"self","type":["null","a.b.R"]}]}"#,
        )
        .expect("schema");
        assert_eq!(node.props.get("x"), Some(&Json::from(1)));
        let Kind::Record { name, fields, .. } = &node.kind else { panic!("not a record") };
        assert_eq!((name.full.as_str(), name.short()), ("a.b.R", "R"));
        let Kind::Union(members) = &fields[1].node.kind else { panic!("not a union") };
        assert_eq!(members[1].name().map(|n| n.full.as_str()), Some("a.b.E"));
        assert_eq!(fields[2].node.text("connect.type"), Some("int8"));
        let Kind::Union(members) = &fields[3].node.kind else { panic!("not a union") };
        assert!(matches!(&members[1].kind, Kind::Recursive(name) if name == "a.b.R"));
    }

    #[test]
    fn wrong_schemas_are_errors() {
        let deep = "[".repeat(100_000);
        for text in [
            "",
            "1",
            "\"x\"",
            "{}",
            r#"{"type":"array"}"#,
            r#"{"type":"record","name":"R"}"#,
            r#"{"type":"fixed","name":"F","size":-1}"#,
            r#"["null",{"type":"enum","name":"E","symbols":[1]}]"#,
            r#"[{"type":"fixed","name":"F","size":1},{"type":"fixed","name":"F","size":1}]"#,
            &deep,
        ] {
            assert!(Node::parse(text).is_err(), "{text}");
        }
    }
}
