//! Java properties into trees, over the java-properties crate.

use java_properties::{LineContent, PropertiesIter};

use crate::{
    Failure, Position, Tree,
    node::{Entry, Node},
};

/// Reads a properties file: ISO 8859-1 with `\uXXXX`, as Java does; what is UTF-8 is read as UTF-8.
pub(crate) fn parse(bytes: &[u8]) -> Result<Tree, Failure> {
    // Java reads bytes beyond ASCII as ISO 8859-1, which turns UTF-8 into rubbish: no one wants that.
    let encoding = if std::str::from_utf8(bytes).is_ok() { encoding_rs::UTF_8 } else { encoding_rs::WINDOWS_1252 };
    let mut entries: Vec<Entry> = Vec::new();
    for line in PropertiesIter::new_with_encoding(bytes, encoding) {
        let line = line.map_err(|e| {
            let at = e.line_number().map(|line| Position { line, column: 1 });
            (at, format!("not a valid properties file: {e}"))
        })?;
        let at = Position { line: line.line_number(), column: 1 };
        let LineContent::KVPair(key, value) = line.consume_content() else { continue };
        if let Some(first) = entries.iter().find(|e| e.key == key) {
            let text = format!("the key {key} stands twice, first in line {}; remove one of them", first.position.line);
            return Err((Some(at), text));
        }
        if key.is_empty() {
            return Err((Some(at), "the line has a value but no key".into()));
        }
        entries.push(Entry {
            key,
            position: at,
            value: Tree { node: Node::Scalar(value), position: at },
            quoted: true,
        });
    }
    Ok(Tree { node: Node::Mapping(entries), position: Position { line: 1, column: 1 } })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_continue_and_escapes_are_resolved() {
        let tree = parse(b"# c\na=1\nb : x\\\n   y\nc=\\u00e9\\n\nd\n").expect("properties");
        let texts: Vec<_> =
            tree.entries().expect("entries").iter().map(|e| (e.key.as_str(), e.value.text().unwrap_or(""))).collect();
        assert_eq!(texts, [("a", "1"), ("b", "xy"), ("c", "é\n"), ("d", "")]);
    }

    #[test]
    fn doubled_keys_are_refused_with_their_lines() {
        let (at, text) = parse(b"a=1\n\na=2\n").expect_err("twice");
        assert_eq!(at.map(|p| p.line), Some(3));
        assert!(text.contains("first in line 1"), "{text}");
        assert!(parse(b"a=\\u00zz\n").is_err());
    }
}
