//! YAML into trees, over saphyr's event parser.

use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle, Span};

use crate::{
    Failure, Position, Tree,
    node::{Entry, Node},
};

/// More nodes than any configuration has; aliases of aliases could make a file grow without end.
const MOST_NODES: usize = 200_000;
const DEEPEST: usize = 64;

/// The documents of a text. Empty documents are left out.
pub(crate) fn parse(text: &str) -> Result<Vec<Tree>, Failure> {
    let mut reader = Reader { parser: Parser::new_from_str(text), anchors: HashMap::new(), nodes: 0 };
    let mut documents = Vec::new();
    loop {
        let (event, span) = reader.next()?;
        match event {
            Event::StreamEnd => return Ok(documents),
            Event::DocumentStart(_) => {
                reader.anchors.clear();
                let (event, span) = reader.next()?;
                let (tree, _) = reader.tree(event, &span, 0)?;
                if tree.node != Node::Null {
                    documents.push(tree);
                }
            }
            _ => {
                let _ = span;
            }
        }
    }
}

fn position(span: &Span) -> Position {
    Position { line: span.start.line(), column: span.start.col() + 1 }
}

/// What usually helps where the parser says this.
fn way_out(message: &str) -> &'static str {
    const HINTS: &[(&str, &str)] = &[
        ("unprintable", "; is it a text file?"),
        ("tab", "; indent with blanks instead"),
        ("mapping values are not allowed", "; quote a value that holds ': ', and indent the keys of a mapping alike"),
        ("in quoted scalar", "; is a closing quote missing?"),
        ("a quoted scalar, found unexpected end", "; is a closing quote missing?"),
        ("unknown escape character", "; write \\\\ for a backslash, or use single quotes"),
        ("trailing content after double-quoted", "; quote the whole value, and write \\\" for a quote in it"),
        ("illegal placement of ':'", "; is a closing bracket missing above?"),
        ("flow mapping", "; is a closing brace or a comma missing above?"),
        ("flow sequence", "; is a closing bracket or a comma missing above?"),
        ("flow construct", "; is a closing bracket missing above?"),
        ("misplaced bracket", "; is an opening bracket missing, or should the value stand in quotes?"),
        ("did not find expected key", "; indent the keys of a mapping alike"),
        ("simple key expect", "; is a colon missing behind the key, or are keys not indented alike?"),
        ("unknown anchor", "; quote a value that begins with *"),
        ("anchor or alias", "; quote a value that begins with * or &"),
        ("unexpected character", "; quote the value"),
    ];
    HINTS.iter().find(|(part, _)| message.contains(part)).map_or("", |(_, hint)| hint)
}

struct Reader<'a> {
    parser: Parser<'a, saphyr_parser::StrInput<'a>>,
    anchors: HashMap<usize, (Tree, usize)>,
    nodes: usize,
}

impl<'a> Reader<'a> {
    fn next(&mut self) -> Result<(Event<'a>, Span), Failure> {
        match self.parser.next_event() {
            Some(Ok(found)) => Ok(found),
            Some(Err(e)) => {
                let at = Position { line: e.marker().line(), column: e.marker().col() + 1 };
                Err((Some(at), format!("not valid YAML: {}{}", e.info(), way_out(e.info()))))
            }
            None => Ok((Event::StreamEnd, Span::default())),
        }
    }

    fn count(&mut self, n: usize, at: Position) -> Result<(), Failure> {
        self.nodes += n;
        if self.nodes > MOST_NODES {
            return Err((Some(at), format!("the file has more than {MOST_NODES} values, aliases included")));
        }
        Ok(())
    }

    /// The tree that starts with the event, and whether it is a quoted scalar.
    fn tree(&mut self, event: Event<'a>, span: &Span, depth: usize) -> Result<(Tree, bool), Failure> {
        let at = position(span);
        self.count(1, at)?;
        if depth > DEEPEST {
            return Err((Some(at), format!("values are nested deeper than {DEEPEST} levels")));
        }
        let before = self.nodes;
        let (node, anchor, quoted) = match event {
            Event::Scalar(text, style, anchor, _) => {
                let plain = style == ScalarStyle::Plain;
                let null = plain && matches!(&*text, "" | "~" | "null" | "Null" | "NULL");
                (if null { Node::Null } else { Node::Scalar(text.into_owned()) }, anchor, !plain)
            }
            Event::SequenceStart(anchor, _) => (self.list(depth)?, anchor, false),
            Event::MappingStart(anchor, _) => (self.mapping(depth)?, anchor, false),
            Event::Alias(id) => {
                let Some((tree, size)) = self.anchors.get(&id).cloned() else {
                    return Err((Some(at), "the alias names an anchor that is not complete".into()));
                };
                self.count(size, at)?;
                return Ok((Tree { position: at, ..tree }, false));
            }
            other => return Err((Some(at), format!("unexpected {other:?}"))),
        };
        let tree = Tree { node, position: at };
        if anchor > 0 {
            self.anchors.insert(anchor, (tree.clone(), self.nodes - before + 1));
        }
        Ok((tree, quoted))
    }

    fn list(&mut self, depth: usize) -> Result<Node, Failure> {
        let mut items = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if matches!(event, Event::SequenceEnd) {
                return Ok(Node::List(items));
            }
            items.push(self.tree(event, &span, depth + 1)?.0);
        }
    }

    fn mapping(&mut self, depth: usize) -> Result<Node, Failure> {
        let mut entries: Vec<Entry> = Vec::new();
        let mut seen: HashMap<String, Position> = HashMap::new();
        loop {
            let (event, span) = self.next()?;
            let at = position(&span);
            let key = match event {
                Event::MappingEnd => return Ok(Node::Mapping(entries)),
                Event::Scalar(text, ..) => text.into_owned(),
                _ => return Err((Some(at), "a key must be a single value".into())),
            };
            if key == "<<" {
                return Err((Some(at), "merge keys (<<) are not supported; write the settings out".into()));
            }
            if let Some(first) = seen.insert(key.clone(), at) {
                let text = format!("the key {key} stands twice, first in line {}; remove one of them", first.line);
                return Err((Some(at), text));
            }
            let (event, span) = self.next()?;
            let (value, quoted) = self.tree(event, &span, depth + 1)?;
            entries.push(Entry { key, position: at, value, quoted });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scalars_keep_their_text() {
        let trees = parse("a: 1.50\nb: 0x1F\nc: 2026-11-21\nd: yes\ne: \"1\"\nf: |\n  x\n  y\n").expect("yaml");
        let texts: Vec<_> = trees[0].entries().expect("mapping").iter().filter_map(|e| e.value.text()).collect();
        assert_eq!(texts, ["1.50", "0x1F", "2026-11-21", "yes", "1", "x\ny\n"]);
        assert!(trees[0].entry("e").is_some_and(|e| e.quoted));
    }

    #[test]
    fn mistakes_are_named_with_their_place() {
        let fail = |text: &str| parse(text).expect_err(text);
        let (at, message) = fail("a: 1\nb: 2\na: 3\n");
        assert_eq!(at, Some(Position { line: 3, column: 1 }));
        assert!(message.contains("first in line 1"), "{message}");
        assert_eq!(fail("a: [1, 2\nb: 3\n").0.map(|p| p.line), Some(2));
        assert!(fail("a: *nope\n").1.contains("YAML"));
        assert!(fail("<<: {a: 1}\n").1.contains("merge"));
        assert!(fail("? [a]\n: 1\n").1.contains("single value"));
    }

    #[test]
    fn aliases_are_copied_but_not_without_end() {
        let trees = parse("a: &x {b: 1}\nc: *x\n").expect("yaml");
        assert_eq!(trees[0].entry("c").and_then(|e| e.value.entry("b")).and_then(|e| e.value.text()), Some("1"));
        let mut bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n".to_owned();
        for i in 1..10 {
            let items = vec![format!("*a{}", i - 1); 10].join(",");
            bomb.push_str(&format!("a{i}: &a{i} [{items}]\n"));
        }
        assert!(parse(&bomb).expect_err("bomb").1.contains("more than"));
    }

    #[test]
    fn documents_are_separate_and_empty_ones_left_out() {
        assert_eq!(parse("---\na: 1\n---\n---\nb: 2\n").expect("yaml").len(), 2);
        assert_eq!(parse("# nothing\n").expect("yaml").len(), 0);
        assert_eq!(parse("{\"a\":{\"b\":[1,2]}}").expect("json").len(), 1);
    }
}
