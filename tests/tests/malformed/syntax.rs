//! Text that is no YAML, JSON or properties.

use crate::harness::Case;

pub(crate) const SYNTAX: &[Case] = cases![
    ("tab.yaml", "name: c\n\ttopics: t\n", ["tab.yaml:1:7: not valid YAML", "found a tab", "indent with blanks"]),
    (
        "bracket.yaml",
        "name: c\ntopics: [a, b\nfile: x\n",
        ["bracket.yaml:3:5: not valid YAML", "is a closing bracket missing"]
    ),
    ("quote.yaml", "name: \"c\nfile: x\n", ["quote.yaml:1:7: not valid YAML", "is a closing quote missing?"]),
    ("indent.yaml", "name: c\n  file: x\n", ["indent.yaml:2:7: not valid YAML", "indent the keys of a mapping alike"]),
    ("colon.yaml", "name: c\nfile: a: b\n", ["colon.yaml:2:8: not valid YAML", "quote a value that holds ': '"]),
    (
        "alias.yaml",
        "name: *x\n",
        ["alias.yaml:1:7: not valid YAML", "unknown anchor; quote a value that begins with *"]
    ),
    ("at.yaml", "name: @c\n", ["at.yaml:1:7: not valid YAML", "quote the value"]),
    (
        "merge.yaml",
        "<<: {a: b}\nname: c\n",
        ["merge.yaml:1:1: merge keys (<<) are not supported; write the settings out"]
    ),
    ("binary.yaml", "\u{0}\u{1}\u{1b}[31m", ["binary.yaml:1:1: not valid YAML", "is it a text file?"]),
    (
        "twice.yaml",
        sink!("file: /tmp/y\n"),
        ["twice.yaml:5:1: the key file stands twice, first in line 4; remove one of them"]
    ),
    (
        "dots.yaml",
        sink!("errors: {tolerance: all}\nerrors.tolerance: none\n"),
        [
            "dots.yaml:6:1: the key errors.tolerance stands twice, once nested and once with dots, first in line 5; remove one"
        ]
    ),
    (
        "comma.json",
        r#"{"name": "c", "config": {"a": "b",}}"#,
        ["comma.json:1:35: not valid JSON: key must be a string; is there a comma too many before this?"]
    ),
    (
        "comment.json",
        "{\"name\": \"c\",\n // x\n \"config\": {}}",
        ["comment.json:2:2: not valid JSON", "there are no comments"]
    ),
    (
        "cut.json",
        "{\"name\": \"c\",\n \"config\": {\"a\": \"b\"\n",
        ["cut.json:3:1: not valid JSON", "is a closing quote, brace or bracket missing?"]
    ),
    (
        "two.json",
        "{\"name\": \"c\"}\n{\"name\": \"d\"}\n",
        ["two.json:2:1: not valid JSON", "a JSON file holds one document"]
    ),
    (
        "twice.json",
        "{\"name\": \"c\",\n \"config\": {\"topics\": \"t\",\n \"topics\": \"u\"}}",
        ["twice.json:3:2: the key topics stands twice, first in line 2; remove one of them"]
    ),
    (
        "twice.properties",
        "name=c\n\nname=d\n",
        ["twice.properties:3:1: the key name stands twice, first in line 1; remove one of them"]
    ),
    ("escape.properties", "name=c\nfile=\\u00zz\n", ["escape.properties:2:1: not a valid properties file"]),
    ("nokey.properties", "name=c\n=x\n", ["nokey.properties:2:1: the line has a value but no key"]),
];
