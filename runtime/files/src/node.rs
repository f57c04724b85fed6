//! Documents as trees that keep every scalar's text and position.

/// A place in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// From 1.
    pub line: usize,
    /// From 1.
    pub column: usize,
}

/// A node with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tree {
    /// The node.
    pub node: Node,
    /// Where it begins.
    pub position: Position,
}

/// What a document is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Node {
    /// A scalar as it was written, quotes and escapes resolved.
    Scalar(String),
    /// Nothing where a value belongs: `key:`, `null` or `~`.
    Null,
    /// A list.
    List(Vec<Tree>),
    /// A mapping in the order written; keys are distinct.
    Mapping(Vec<Entry>),
}

/// An entry of a mapping.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Key.
    pub key: String,
    /// Where the key begins.
    pub position: Position,
    /// Value.
    pub value: Tree,
    /// Whether the value was written in quotes or as a block: then it is text in JSON, too.
    pub quoted: bool,
}

impl Tree {
    /// The entries of a mapping.
    pub fn entries(&self) -> Option<&[Entry]> {
        match &self.node {
            Node::Mapping(entries) => Some(entries),
            _ => None,
        }
    }

    /// An entry of a mapping.
    pub fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries()?.iter().find(|e| e.key == key)
    }

    /// The scalar's text.
    pub fn text(&self) -> Option<&str> {
        match &self.node {
            Node::Scalar(text) => Some(text),
            _ => None,
        }
    }

    /// What kind of node this is, for error texts.
    pub fn kind(&self) -> &'static str {
        match self.node {
            Node::Scalar(_) => "a single value",
            Node::Null => "nothing",
            Node::List(_) => "a list",
            Node::Mapping(_) => "a mapping",
        }
    }
}
