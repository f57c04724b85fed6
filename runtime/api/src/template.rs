//! Text templates and expressions over records, in Jinja syntax (minijinja), strict about unknown names.

use std::{
    collections::BTreeSet,
    sync::{Arc, LazyLock},
};

use minijinja::{Environment, ErrorKind, UndefinedBehavior};
use serde_json::{Map, Value as Json, json};

use crate::{Error, Record, Result, json::to_json, strict};

/// How values are escaped where a template inserts them, and what null is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Escape {
    /// As they are. Null is an error: a name, a path or a tag that it is part of would be wrong.
    None,
    /// As they are, for texts that people read, of which null leaves a blank.
    Prose,
    /// For a page of HTML: `<`, `>`, `&`, quotes and slashes as entities; null leaves a blank.
    Html,
    /// As JSON: texts in quotes, objects and lists as such, null as null.
    Json,
    /// Percent-encoded for a URL's path or query; only letters, digits and `-._~` stay. Null is an
    /// error.
    Url,
}

/// A parsed template.
///
/// Names: `topic`, `partition`, `timestamp` (milliseconds), `key`, `value`, `headers` (last of each key),
/// `offset` for records from Kafka; `value.field` reaches into structs and maps.
#[derive(Clone)]
pub struct Template {
    environment: Arc<Environment<'static>>,
    source: Arc<str>,
}

const NAME: &str = "template";

/// Why a template fails where null would be inserted.
#[derive(Debug)]
struct Null;

impl std::fmt::Display for Null {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("it is null")
    }
}

impl std::error::Error for Null {}

impl Template {
    /// Parses a template. The error names line and column.
    pub fn parse(source: &str, escape: Escape) -> Result<Self> {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.add_filter("urlencode", |text: String| percent_encode(&text));
        // Errors then know which expression failed.
        environment.set_debug(true);
        environment.set_auto_escape_callback(move |_| match escape {
            Escape::Json => minijinja::AutoEscape::Json,
            Escape::Html => minijinja::AutoEscape::Html,
            _ => minijinja::AutoEscape::None,
        });
        environment.set_formatter(move |out, state, value| match escape {
            _ if value.is_undefined() => Err(ErrorKind::UndefinedError.into()),
            Escape::None | Escape::Url if value.is_none() => {
                Err(minijinja::Error::new(ErrorKind::InvalidOperation, "null").with_source(Null))
            }
            Escape::Prose | Escape::Html if value.is_none() => Ok(()),
            Escape::Url if !value.is_safe() => {
                out.write_str(&percent_encode(&value.to_string())).map_err(minijinja::Error::from)
            }
            _ => minijinja::escape_formatter(out, state, value),
        });
        let added = environment.add_template_owned(NAME.to_owned(), source.to_owned());
        added.map_err(|e| Error::fatal(format!("parsing the template {source:?}: {}", describe(&e))))?;
        Ok(Self { environment: Arc::new(environment), source: source.into() })
    }

    /// The template's text.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Whether it uses none but these names, where no others can ever exist. The error names the others, and these.
    pub fn check_names(&self, known: &[&str]) -> Result<(), String> {
        let used = self.environment.get_template(NAME).map_err(|e| describe(&e))?.undeclared_variables(false);
        let is_known =
            |name: &str| known.contains(&name) || self.environment.globals().any(|(global, _)| global == name);
        let unknown: BTreeSet<&String> = used.iter().filter(|name| !is_known(name)).collect();
        if unknown.is_empty() {
            return Ok(());
        }
        let unknown: Vec<String> = unknown.into_iter().map(|name| format!("{name:?}")).collect();
        Err(format!("There is no name {} here; there are: {}", unknown.join(", "), known.join(", ")))
    }

    /// The text for a record. `extra` adds names or replaces those of the record. An unknown name is a
    /// data error, and so is null where [`Escape`] says so.
    pub fn render(&self, record: &Record, extra: Map<String, Json>) -> Result<String> {
        let mut names = record_names(record);
        names.extend(extra);
        self.render_names(&Json::Object(names))
    }

    /// The text with nothing but the given names.
    pub fn render_names(&self, names: &Json) -> Result<String> {
        let failed =
            |e: minijinja::Error| Error::data(format!("rendering the template {:?}: {}", self.source, self.why(&e)));
        self.environment.get_template(NAME).and_then(|t| t.render(names_of(names))).map_err(failed)
    }

    fn why(&self, e: &minijinja::Error) -> String {
        let expression = failed_part(&self.source, e);
        if std::error::Error::source(e).is_some_and(|cause| cause.is::<Null>()) {
            return format!("{expression} is null; ask for it with \"is not none\"");
        }
        match e.kind() {
            ErrorKind::UndefinedError => format!("{expression} does not exist; ask for it with \"is defined\""),
            _ => describe(e),
        }
    }
}

impl std::fmt::Debug for Template {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Template({:?})", self.source)
    }
}

// Expressions borrow their environment; one for all of the program lets them be kept compiled.
static EXPRESSIONS: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Chainable);
    environment
});

static STRICT: LazyLock<Environment<'static>> = LazyLock::new(strict::environment);

/// A parsed expression over the same names as [`Template`], such as `value.severity != 'normal'`.
///
/// A lenient one takes names that do not exist for undefined, which is false. A strict one fails with an error of the
/// data where it uses what is missing or null, and where it compares values of different kinds; `is defined`, `is none`,
/// `default(...)` and the left side of an `or` may use what is missing.
#[derive(Clone)]
pub struct Expression {
    compiled: Arc<minijinja::Expression<'static, 'static>>,
    source: Arc<str>,
    /// What was compiled, if the expression is strict.
    strict: Option<Arc<str>>,
}

impl Expression {
    /// Parses a lenient expression. The error names the place.
    pub fn parse(source: &str) -> Result<Self> {
        let compiled = EXPRESSIONS.compile_expression_owned(source.to_owned());
        let compiled = compiled.map_err(|e| unparsed(source, &describe(&e)))?;
        Ok(Self { compiled: Arc::new(compiled), source: source.into(), strict: None })
    }

    /// Parses a strict expression. The error names the place.
    pub fn parse_strict(source: &str) -> Result<Self> {
        Self::parse(source)?;
        let rewritten = strict::rewrite(source).ok_or_else(|| unparsed(source, "it cannot be checked strictly"))?;
        let compiled = STRICT.compile_expression_owned(rewritten.clone());
        let compiled = compiled.map_err(|e| unparsed(source, "it cannot be checked strictly").caused_by(e))?;
        Ok(Self { compiled: Arc::new(compiled), source: source.into(), strict: Some(rewritten.into()) })
    }

    /// The expression's text.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The expression's value over the names. If there is none, this is null, or an error of a strict expression.
    pub fn evaluate(&self, names: &Json) -> Result<Json> {
        let value = self.existing(names)?;
        if value.is_undefined() { Ok(Json::Null) } else { self.json(&value) }
    }

    /// The expression's value over the names, null if the expression as a whole names what is missing.
    pub fn evaluate_or_null(&self, names: &Json) -> Result<Json> {
        let value = self.eval(names)?;
        if value.is_undefined() { Ok(Json::Null) } else { self.json(&value) }
    }

    /// Whether the expression holds, by Jinja's rules of truth.
    pub fn holds(&self, names: &Json) -> Result<bool> {
        Ok(self.existing(names)?.is_true())
    }

    fn existing(&self, names: &Json) -> Result<minijinja::Value> {
        let value = self.eval(names)?;
        if value.is_undefined() && self.strict.is_some() {
            return Err(self.failure(&strict::missing("its result")));
        }
        Ok(value)
    }

    fn eval(&self, names: &Json) -> Result<minijinja::Value> {
        let names = if self.strict.is_some() { strict::names(names) } else { names_of(names) };
        self.compiled.eval(names).map_err(|e| self.failure(&self.why(&e)))
    }

    fn why(&self, e: &minijinja::Error) -> String {
        let refused = std::error::Error::source(e).and_then(|cause| cause.downcast_ref::<strict::Refused>());
        match (refused, &self.strict) {
            (Some(refused), _) => refused.to_string(),
            (None, Some(compiled)) if e.kind() == ErrorKind::UndefinedError => {
                // The name in backquotes is what was missing where it came from, which may be before the failed part.
                let origin = e.detail().and_then(|detail| detail.split('`').nth(1));
                strict::missing(origin.unwrap_or_else(|| failed_part(compiled, e)))
            }
            _ => describe(e),
        }
    }

    fn json(&self, value: &minijinja::Value) -> Result<Json> {
        serde_json::to_value(value).map_err(|e| self.failure(&e.to_string()))
    }

    fn failure(&self, why: &str) -> Error {
        Error::data(format!("evaluating the expression {:?}: {why}", self.source))
    }
}

fn unparsed(source: &str, why: &str) -> Error {
    Error::fatal(format!("parsing the expression {source:?}: {why}"))
}

/// The part of the text that failed.
fn failed_part<'s>(source: &'s str, e: &minijinja::Error) -> &'s str {
    let part = e.range().and_then(|range| {
        // Of a chain of attributes the range may have the end alone.
        let before = source.get(..range.start)?.trim_end_matches(|c: char| c.is_alphanumeric() || "._".contains(c));
        source.get(before.len()..range.end)
    });
    part.unwrap_or("a name")
}

impl std::fmt::Debug for Expression {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Expression({:?})", self.source)
    }
}

/// The names that templates and expressions know of a record.
pub fn record_names(record: &Record) -> Map<String, Json> {
    let headers: Map<String, Json> = record.headers.iter().map(|h| (h.key.to_string(), to_json(&h.value))).collect();
    let names = json!({
        "topic": &*record.topic,
        "partition": record.partition,
        "timestamp": record.timestamp,
        "key": to_json(&record.key),
        "value": to_json(&record.value),
        "headers": headers,
    });
    match names {
        Json::Object(names) => names,
        _ => Map::new(),
    }
}

fn names_of(names: &Json) -> minijinja::Value {
    minijinja::Value::from(minijinja::value::Serde(names))
}

fn describe(e: &minijinja::Error) -> String {
    let place = e.line().map(|l| format!(" (line {l})")).unwrap_or_default();
    match e.detail() {
        Some(detail) => format!("{}: {detail}{place}", e.kind()),
        None => format!("{}{place}", e.kind()),
    }
}

/// Percent-encodes everything but letters, digits and `-._~`.
pub fn percent_encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for b in text.bytes() {
        if b.is_ascii_alphanumeric() || b"-._~".contains(&b) {
            out.push(b as char);
        } else {
            out.push_str(&format!("%{b:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Value;

    fn record() -> Record {
        let mut r = Record::new("t");
        r.key = "a/b".into();
        r.value = Value::map([("message", Value::from("say \"hi\"")), ("n", Value::Int64(3))]);
        r
    }

    fn render(text: &str, escape: Escape) -> Result<String> {
        Template::parse(text, escape)?.render(&record(), Map::new())
    }

    #[test]
    fn values_are_escaped_for_where_they_go() {
        assert_eq!(render("{{key}}: {{value.message}}", Escape::None).expect("text"), "a/b: say \"hi\"");
        assert_eq!(
            render("{\"m\":{{value.message}},\"v\":{{value.n}}}", Escape::Json).expect("json"),
            "{\"m\":\"say \\\"hi\\\"\",\"v\":3}"
        );
        assert_eq!(
            render("<b>{{value.message ~ '<i>&'}}</b>{{value.n}}", Escape::Html).expect("html"),
            "<b>say &quot;hi&quot;&lt;i&gt;&amp;</b>3"
        );
        assert_eq!(
            render("http://h/{{key}}?q={{value.message}}", Escape::Url).expect("url"),
            "http://h/a%2Fb?q=say%20%22hi%22"
        );
    }

    #[test]
    fn unknown_names_are_errors_of_the_data_and_bad_syntax_of_the_settings() {
        let e = render("{{value.nope}}", Escape::None).expect_err("unknown");
        assert_eq!(e.class(), crate::ErrorClass::Data);
        assert!(render("{{value.nope}}", Escape::Url).is_err());
        let e = render("{{value", Escape::None).expect_err("syntax");
        assert_eq!(e.class(), crate::ErrorClass::Fatal);
        assert!(e.message().contains("{{value"), "{e}");
    }

    #[test]
    fn names_that_can_never_exist_are_told_with_those_that_can() {
        let check = |text: &str| Template::parse(text, Escape::None).expect("right").check_names(&["topic", "levels"]);
        assert_eq!(check("a.{{topic}}.{{levels[1].x}}{% for l in levels %}{{l}}{{loop.index}}{% endfor %}"), Ok(()));
        assert_eq!(check("{% set x = topic %}{{x|upper}}{{range(2)|first}}"), Ok(()));
        let expected = "There is no name \"Topic\", \"nope\" here; there are: topic, levels";
        assert_eq!(check("x{{nope.a}}{{Topic}}{{topic}}"), Err(expected.into()));
    }

    #[test]
    fn null_is_never_written_as_a_word() {
        let mut record = record();
        record.key = Value::Null;
        let render = |text: &str, escape| Template::parse(text, escape)?.render(&record, Map::new());
        for escape in [Escape::None, Escape::Url] {
            let e = render("http://h/{{value.n}}/{{ key }}", escape).expect_err("null");
            assert_eq!(e.class(), crate::ErrorClass::Data);
            assert!(e.message().contains("http://h/") && e.message().contains(": key is null; ask"), "{e}");
            let asked = "{{value.n}}{% if key is not none %}/{{key}}{% endif %}";
            assert_eq!(render(asked, escape).expect("text"), "3");
        }
        assert_eq!(render("{\"k\":{{key}}}", Escape::Json).expect("json"), "{\"k\":null}");
        for escape in [Escape::Prose, Escape::Html] {
            assert_eq!(render("at {{key}}.", escape).expect("text"), "at .");
        }
        for escape in [Escape::None, Escape::Prose, Escape::Json, Escape::Url] {
            let e = render("{{value.n}} {{value.nope}}", escape).expect_err("unknown");
            assert!(e.message().contains(": value.nope does not exist; ask"), "{e}");
            let e = render("{{value.nope.deeper}}", escape).expect_err("unknown");
            assert!(e.message().contains(": value.nope.deeper does not exist"), "{e}");
        }
    }

    #[test]
    fn expressions_see_the_record() {
        let names = Json::Object(record_names(&record()));
        assert!(Expression::parse("value.n > 2").and_then(|e| e.holds(&names)).expect("holds"));
        assert!(!Expression::parse("value.x.y").and_then(|e| e.holds(&names)).expect("chain"));
        assert_eq!(Expression::parse("value.n + 1").and_then(|e| e.evaluate(&names)).expect("sum"), json!(4));
    }
    fn strictly(source: &str, names: &Json) -> Result<Json> {
        Expression::parse_strict(source)?.evaluate(names)
    }

    #[test]
    fn strict_expressions_mean_what_lenient_ones_do_where_all_is_well() {
        let names =
            json!({"a": 7, "b": 2.5, "s": "x y", "on": true, "list": [1, 2], "map": {"in": 1, "not": {"or": 4}}});
        for (source, expected) in [
            ("a > 5", json!(true)),
            ("a >= 7 and b < 3 or a == 1", json!(true)),
            ("not a < 5", json!(true)),
            ("1 < b < a", json!(true)),
            ("1 < a < b", json!(false)),
            ("a - 2 * 2 == 3", json!(true)),
            ("-a < -1.5e0", json!(true)),
            ("(a > 9) == (b > 9)", json!(true)),
            ("'high' if a > 9 else 'low' if a > 5 else 'none'", json!("low")),
            ("{'x': a > 5, \"y\": [b > 5, on]}", json!({"x": true, "y": [false, true]})),
            ("'x' in s and 'z' not in s", json!(true)),
            ("a in list", json!(false)),
            ("list[1:] == [2]", json!(true)),
            ("map.in == 1 and map.not.or == 4", json!(true)),
            ("'it\\'s > or' == \"it's > or\"", json!(true)),
            ("a is gt 5 and a is not lt(5) and on is true", json!(true)),
            ("s | upper == 'X Y' and s | length > 2", json!(true)),
            ("s is in ['x y', 'b'] and a is number", json!(true)),
            ("(a if on else b) > 5", json!(true)),
            ("false or a", json!(7)),
        ] {
            assert_eq!(strictly(source, &names).expect(source), expected, "{source}");
            let lenient = Expression::parse(source).and_then(|e| e.evaluate(&names)).expect(source);
            assert_eq!(lenient, expected, "{source}");
        }
    }

    #[test]
    fn strict_expressions_refuse_what_is_missing_or_of_another_kind() {
        let names = json!({"n": 7, "s": "10", "nothing": null, "list": [1], "map": {}, "on": true});
        for (source, why) in [
            ("gone > 90", "gone is missing or null; allow"),
            ("nothing < 85", "nothing is missing or null; allow"),
            ("map.gone < 85", "map.gone is missing or null; allow"),
            ("map.gone.deeper < 85", "map.gone is missing or null; allow"),
            ("90 < gone", "gone is missing or null; allow"),
            ("gone == 'x'", "gone is missing or null; allow"),
            ("gone != 'x'", "gone is missing or null; allow"),
            ("gone in ['x']", "gone is missing or null; allow"),
            ("'x' in gone", "gone is missing or null; allow"),
            ("not gone", "gone is missing or null; allow"),
            ("gone and n > 5", "gone is missing or null; allow"),
            ("1 if gone else 2", "gone is missing or null; allow"),
            ("gone", "its result is missing or null; allow"),
            ("false or gone", "its result is missing or null; allow"),
            ("gone ~ 'x'", "gone is missing or null; allow"),
            ("gone | upper", "gone is missing or null; allow"),
            ("gone | int > 5", "gone is missing or null; allow"),
            ("gone + 1 > 5", "`gone` is undefined"),
            ("gone is gt(5)", "the left side is missing or null; allow"),
            ("(gone > 5) or true", "gone is missing or null; allow"),
            ("{'a': [gone > 5]}", "gone is missing or null; allow"),
            ("s > 90", "s is a text and 90 is a number, which cannot be compared"),
            ("list > 90", "list is a list and 90 is a number, which cannot be compared"),
            ("map > 90", "map is a map and 90 is a number, which cannot be compared"),
            ("on > 0", "on is true or false and 0 is a number, which cannot be compared"),
            ("s == 10", "s is a text and 10 is a number, which cannot be compared"),
            ("list < [2]", "list and [2] are each a list, which has no order"),
            ("n > 5 and s + 1 > 0", "invalid operation"),
        ] {
            let e = strictly(source, &names).expect_err(source);
            assert_eq!(e.class(), crate::ErrorClass::Data, "{source}");
            assert!(e.message().starts_with(&format!("evaluating the expression {source:?}: ")), "{e}");
            assert!(e.message().contains(why), "{source}: {e}");
        }
        assert_eq!(
            Expression::parse_strict("gone").and_then(|e| e.evaluate_or_null(&names)).expect("null"),
            Json::Null
        );
    }

    #[test]
    fn strict_expressions_can_allow_for_what_is_missing() {
        let names = json!({"n": 7, "nothing": null, "map": {}});
        for (source, expected) in [
            ("gone is defined and gone > 5", json!(false)),
            ("gone is not none and gone > 5", json!(false)),
            ("nothing is none and nothing == none and gone == none", json!(true)),
            ("gone | default(0) > 5", json!(false)),
            ("nothing | default(9) > 5", json!(true)),
            ("(gone or 9) > 5", json!(true)),
            ("gone or nothing or n", json!(7)),
            ("(gone or {}).deeper | default('x')", json!("x")),
            ("(gone | default({})).deeper is defined", json!(false)),
            ("n > 5 or gone > 5", json!(true)),
            ("n < 5 and gone > 5", json!(false)),
            ("n if n > 5 else gone", json!(7)),
            ("n in [1, none]", json!(false)),
        ] {
            assert_eq!(strictly(source, &names).expect(source), expected, "{source}");
        }
    }
}
