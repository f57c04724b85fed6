//! Lenses' query language, as far as an InfluxDB sink has to do with it:
//!
//! ```text
//! INSERT INTO measurement SELECT * | column [AS name], … FROM topic
//!   [IGNORE path, …] [WITHTARGET [=] path] [WITHTIMESTAMP path | sys_time()] [TIMESTAMPUNIT [=] unit]
//!   [WITHTAG (path | path AS name | name = text, …)] [BATCH [=] n] ; …
//! ```
//!
//! Keywords are in any case, what follows the topic in any order. Names are letters, digits and `_ @ - + / : { }`, with
//! dots between them, or anything in back quotes or single quotes. Errors tell line and column.

use std::fmt;

/// What a statement says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Query {
    /// The measurement.
    pub target: String,
    /// What is written as fields.
    pub columns: Vec<Selected>,
    /// The topic.
    pub topic: String,
    /// Paths that are left out.
    pub ignored: Vec<String>,
    /// A path whose value is the measurement instead.
    pub dynamic_target: Option<String>,
    /// Where the time comes from.
    pub timestamp: Option<Timestamp>,
    /// Unit of times that are numbers, as written.
    pub unit: Option<String>,
    /// The tags.
    pub tags: Vec<Tagged>,
    /// Most points of a request.
    pub batch: Option<u32>,
}

/// A path, and the name that it gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selected {
    /// Names joined by dots; empty for the whole value.
    pub path: String,
    /// The last of those names.
    pub last: String,
    /// Whether `*` stood at the end: everything in it, under its own names.
    pub all: bool,
    /// The name behind `AS`.
    pub alias: Option<String>,
}

/// Where the time comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Timestamp {
    /// The clock.
    Clock,
    /// A path.
    Path(String),
}

/// A tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tagged {
    /// The value at a path, with the name behind `AS`.
    Path(String, Option<String>),
    /// A name and its text.
    Constant(String, String),
}

/// What is wrong with a text, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyntaxError {
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
    /// What was expected and what is there.
    pub what: String,
}

impl fmt::Display for SyntaxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}: {}", self.line, self.column, self.what)
    }
}

/// Reads the statements of a text, of which there must be one.
pub fn parse(text: &str) -> Result<Vec<Query>, SyntaxError> {
    let tokens = tokens(text)?;
    let mut parser = Parser { text, tokens: &tokens, next: 0 };
    let mut queries = Vec::new();
    loop {
        while parser.takes(&Token::Sign(';')) {}
        if parser.peek().is_none() {
            break;
        }
        queries.push(parser.query()?);
        if parser.peek().is_some() && !parser.takes(&Token::Sign(';')) {
            return Err(parser.unexpected("a clause, a semicolon or the end"));
        }
    }
    if queries.is_empty() { Err(parser.unexpected("INSERT INTO")) } else { Ok(queries) }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    /// A name without quotes, dots excepted; it may be a keyword.
    Word(String),
    /// What stood in quotes.
    Quoted(String),
    /// One of `* , . ( ) = ;`.
    Sign(char),
}

struct Placed {
    token: Token,
    at: usize,
    /// Whether nothing stands between it and the one before.
    joined: bool,
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || "_@-+/:{}!".contains(c)
}

fn tokens(text: &str) -> Result<Vec<Placed>, SyntaxError> {
    let mut tokens: Vec<Placed> = Vec::new();
    let (mut rest, mut joined) = (text, false);
    while let Some(c) = rest.chars().next() {
        let at = text.len() - rest.len();
        let (token, length) = match c {
            c if c.is_whitespace() => {
                (rest, joined) = (&rest[c.len_utf8()..], false);
                continue;
            }
            '*' | ',' | '.' | '(' | ')' | '=' | ';' => (Token::Sign(c), 1),
            '`' | '\'' => match rest[1..].find(c) {
                Some(0) => return Err(error(text, at, "nothing stands between the quotes".into())),
                Some(end) => (Token::Quoted(rest[1..=end].to_owned()), end + 2),
                None => return Err(error(text, at, format!("the quote {c} is not closed"))),
            },
            c if is_word(c) => {
                let end = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
                (Token::Word(rest[..end].to_owned()), end)
            }
            c => {
                let what = format!("{c:?} has no meaning here: put a name that has it into back quotes");
                return Err(error(text, at, what));
            }
        };
        tokens.push(Placed { token, at, joined });
        (rest, joined) = (&rest[length..], true);
    }
    Ok(tokens)
}

fn error(text: &str, at: usize, what: String) -> SyntaxError {
    let before = &text[..at];
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    SyntaxError { line, column, what }
}

struct Parser<'a> {
    text: &'a str,
    tokens: &'a [Placed],
    next: usize,
}

const CLAUSES: &str = "IGNORE, WITHTARGET, WITHTIMESTAMP, TIMESTAMPUNIT, WITHTAG or BATCH";

/// Clauses of the language that sinks of other kinds know.
const ELSEWHERE: [&str; 31] = [
    "AUTOCREATE",
    "AUTOEVOLVE",
    "PK",
    "PARTITIONBY",
    "DISTRIBUTEBY",
    "CLUSTERBY",
    "WITHFORMAT",
    "WITHUNWRAP",
    "STOREAS",
    "INCREMENTALMODE",
    "WITHTYPE",
    "WITHDOCTYPE",
    "WITHINDEXSUFFIX",
    "TTL",
    "WITHCONVERTER",
    "WITHJMSSELECTOR",
    "WITHKEY",
    "KEYDELIMITER",
    "WITHPIPELINE",
    "WITHPARTITIONER",
    "WITHSUBSCRIPTION",
    "WITHCOMPRESSION",
    "WITHDELAY",
    "WITHREGEX",
    "WITH_FLUSH_SIZE",
    "WITH_FLUSH_INTERVAL",
    "WITH_FLUSH_COUNT",
    "LIMIT",
    "WITHSTRUCTURE",
    "WITHGROUP",
    "PROPERTIES",
];

impl Parser<'_> {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.next).map(|placed| &placed.token)
    }

    fn at(&self) -> usize {
        self.tokens.get(self.next).map_or(self.text.trim_end().len(), |placed| placed.at)
    }

    fn unexpected(&self, wanted: &str) -> SyntaxError {
        let found = match self.peek() {
            None => "the text ends".to_owned(),
            Some(Token::Word(word)) => format!("there is {word}"),
            Some(Token::Quoted(word)) => format!("there is {word:?} in quotes"),
            Some(Token::Sign(c)) => format!("there is {c}"),
        };
        error(self.text, self.at(), format!("expected {wanted}, but {found}"))
    }

    fn takes(&mut self, token: &Token) -> bool {
        let found = self.peek() == Some(token);
        self.next += usize::from(found);
        found
    }

    fn sign(&mut self, sign: char) -> Result<(), SyntaxError> {
        if self.takes(&Token::Sign(sign)) { Ok(()) } else { Err(self.unexpected(&sign.to_string())) }
    }

    fn is_keyword(&self, keyword: &str) -> bool {
        matches!(self.peek(), Some(Token::Word(word)) if word.eq_ignore_ascii_case(keyword))
    }

    fn takes_keyword(&mut self, keyword: &str) -> bool {
        let found = self.is_keyword(keyword);
        self.next += usize::from(found);
        found
    }

    fn keyword(&mut self, keyword: &str) -> Result<(), SyntaxError> {
        if self.takes_keyword(keyword) { Ok(()) } else { Err(self.unexpected(keyword)) }
    }

    fn query(&mut self) -> Result<Query, SyntaxError> {
        for mode in ["UPSERT", "UPDATE"] {
            if self.is_keyword(mode) {
                let what =
                    format!("{mode} is not known to InfluxDB: write INSERT, which overwrites points of one time");
                return Err(error(self.text, self.at(), what));
            }
        }
        self.keyword("INSERT")?;
        self.keyword("INTO")?;
        let mut query = Query { target: self.path("the measurement")?, ..Query::default() };
        self.keyword("SELECT")?;
        query.columns = self.list(Self::selected)?;
        self.keyword("FROM")?;
        query.topic = self.path("the topic")?;
        let mut seen: Vec<String> = Vec::new();
        while let Some(Token::Word(word)) = self.peek() {
            let (clause, at) = (word.to_ascii_uppercase(), self.at());
            if seen.contains(&clause) {
                return Err(error(self.text, at, format!("{clause} is there twice")));
            }
            self.next += 1;
            self.clause(&clause, at, &mut query)?;
            seen.push(clause);
        }
        Ok(query)
    }

    fn clause(&mut self, clause: &str, at: usize, query: &mut Query) -> Result<(), SyntaxError> {
        match clause {
            "IGNORE" => query.ignored = self.list(|p| p.path("a name to ignore"))?,
            "WITHTARGET" => {
                self.takes(&Token::Sign('='));
                query.dynamic_target = Some(self.path("the member that names the measurement")?);
            }
            "WITHTIMESTAMP" => query.timestamp = Some(self.timestamp()?),
            "TIMESTAMPUNIT" => {
                self.takes(&Token::Sign('='));
                query.unit = Some(self.unit()?);
            }
            "WITHTAG" => {
                self.sign('(')?;
                query.tags = self.list(Self::tagged)?;
                self.sign(')')?;
            }
            "BATCH" => {
                self.takes(&Token::Sign('='));
                query.batch = Some(self.number()?);
            }
            other if ELSEWHERE.contains(&other) => {
                let what = format!("{other} has no meaning for InfluxDB: take it out");
                return Err(error(self.text, at, what));
            }
            _ => {
                self.next -= 1;
                return Err(self.unexpected(&format!("{CLAUSES}, a semicolon or the end")));
            }
        }
        Ok(())
    }

    fn list<T>(&mut self, item: impl Fn(&mut Self) -> Result<T, SyntaxError>) -> Result<Vec<T>, SyntaxError> {
        let mut items = vec![item(self)?];
        while self.takes(&Token::Sign(',')) {
            items.push(item(self)?);
        }
        Ok(items)
    }

    fn selected(&mut self) -> Result<Selected, SyntaxError> {
        if self.takes(&Token::Sign('*')) {
            return Ok(Selected { path: String::new(), last: String::new(), all: true, alias: None });
        }
        let (path, last, all) = self.path_or_all("a column or *")?;
        let alias = if all { None } else { self.alias()? };
        Ok(Selected { path, last, all, alias })
    }

    fn alias(&mut self) -> Result<Option<String>, SyntaxError> {
        if self.takes_keyword("AS") { self.path("the name behind AS").map(Some) } else { Ok(None) }
    }

    fn tagged(&mut self) -> Result<Tagged, SyntaxError> {
        let path = self.path("a tag")?;
        if self.takes(&Token::Sign('=')) {
            return Ok(Tagged::Constant(path, self.path("the tag's text")?));
        }
        Ok(Tagged::Path(path, self.alias()?))
    }

    fn timestamp(&mut self) -> Result<Timestamp, SyntaxError> {
        let is_call = matches!(
            self.tokens.get(self.next..self.next + 3),
            Some([name, Placed { token: Token::Sign('('), .. }, Placed { token: Token::Sign(')'), .. }])
                if matches!(&name.token, Token::Word(word) if word.eq_ignore_ascii_case("sys_time"))
        );
        if is_call {
            self.next += 3;
            return Ok(Timestamp::Clock);
        }
        self.path("the member with the time, or sys_time()").map(Timestamp::Path)
    }

    fn unit(&mut self) -> Result<String, SyntaxError> {
        const UNITS: [&str; 4] = ["NANOSECONDS", "MICROSECONDS", "MILLISECONDS", "SECONDS"];
        let unit = match self.peek() {
            Some(Token::Word(word) | Token::Quoted(word)) => word.to_ascii_uppercase(),
            _ => String::new(),
        };
        if !UNITS.contains(&unit.as_str()) {
            return Err(self.unexpected("NANOSECONDS, MICROSECONDS, MILLISECONDS or SECONDS"));
        }
        self.next += 1;
        Ok(unit)
    }

    fn number(&mut self) -> Result<u32, SyntaxError> {
        let number = match self.peek() {
            Some(Token::Word(word)) => word.parse().ok().filter(|n| *n > 0),
            _ => None,
        };
        let number = number.ok_or_else(|| self.unexpected("a number of at least 1"))?;
        self.next += 1;
        Ok(number)
    }

    fn path(&mut self, what: &str) -> Result<String, SyntaxError> {
        let (path, _, all) = self.path_or_all(what)?;
        if all {
            self.next -= 1;
            return Err(self.unexpected("a name behind the dot"));
        }
        Ok(path)
    }

    /// Names with dots between them and nothing else, the last of them, and whether `.*` stands at the end.
    fn path_or_all(&mut self, what: &str) -> Result<(String, String, bool), SyntaxError> {
        let mut path = String::new();
        loop {
            let last = match self.peek() {
                Some(Token::Word(word) | Token::Quoted(word)) => word.clone(),
                _ if path.is_empty() => return Err(self.unexpected(what)),
                _ => return Err(self.unexpected("a name behind the dot")),
            };
            path.push_str(&last);
            self.next += 1;
            let joined =
                |placed: Option<&Placed>, sign: char| placed.is_some_and(|p| p.joined && p.token == Token::Sign(sign));
            if !joined(self.tokens.get(self.next), '.') {
                return Ok((path, last, false));
            }
            self.next += 1;
            if joined(self.tokens.get(self.next), '*') {
                self.next += 1;
                return Ok((path, last, true));
            }
            if !self.tokens.get(self.next).is_some_and(|p| p.joined) {
                return Err(self.unexpected("a name behind the dot"));
            }
            path.push('.');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str) -> Query {
        let mut all = parse(text).unwrap_or_else(|e| panic!("{text}: {e}"));
        assert_eq!(all.len(), 1);
        all.remove(0)
    }

    fn wrong(text: &str) -> String {
        parse(text).expect_err(text).to_string()
    }

    #[test]
    fn what_tools_post_is_read() {
        let efd = "INSERT INTO lsst.sal.Dome-x SELECT * FROM lsst.sal.Dome-x WITHTIMESTAMP sys_time();INSERT INTO b \
                   SELECT * FROM b WITHTIMESTAMP sys_time()";
        let all = parse(efd).expect("two");
        assert_eq!((all[0].topic.as_str(), all[0].target.as_str()), ("lsst.sal.Dome-x", "lsst.sal.Dome-x"));
        assert_eq!((all.len(), &all[1].timestamp), (2, &Some(Timestamp::Clock)));
        let tags =
            one("INSERT INTO m SELECT * FROM t WITHTAG (DataMountaineer=awesome, Influx=rulz!, a.b AS c, d)").tags;
        let constant = |name: &str, text: &str| Tagged::Constant(name.into(), text.into());
        assert_eq!(tags[..2], [constant("DataMountaineer", "awesome"), constant("Influx", "rulz!")]);
        assert_eq!(tags[2..], [Tagged::Path("a.b".into(), Some("c".into())), Tagged::Path("d".into(), None)]);
        let quoted = one("insert into `a b`.'c;d' select 'x.y' As `z, z`, _key.*, b.* from t ;\n;");
        assert_eq!(quoted.target, "a b.c;d");
        let shown: Vec<_> = quoted.columns.iter().map(|c| (c.path.as_str(), c.last.as_str(), c.all)).collect();
        assert_eq!(shown, [("x.y", "x.y", false), ("_key", "_key", true), ("b", "b", true)]);
        assert_eq!(quoted.columns[0].alias.as_deref(), Some("z, z"));
    }

    #[test]
    fn mistakes_are_told_with_their_place_and_the_way_out() {
        for (text, said) in [
            ("", "line 1, column 1: expected INSERT INTO, but the text ends"),
            (" ;", "line 1, column 3: expected INSERT INTO, but the text ends"),
            ("INSERT m", "line 1, column 8: expected INTO, but there is m"),
            ("UPSERT INTO m", "line 1, column 1: UPSERT is not known to InfluxDB: write INSERT"),
            ("INSERT INTO m\nSELECT a. FROM t", "line 2, column 11: expected a name behind the dot, but there is FROM"),
            ("INSERT INTO m SELECT a b FROM t", "line 1, column 24: expected FROM, but there is b"),
            ("INSERT INTO m SELECT é, # FROM t", "line 1, column 25: '#' has no meaning here: put a name"),
            ("INSERT INTO m SELECT * FROM t WITHTAG a", "line 1, column 39: expected (, but there is a"),
            ("INSERT INTO m SELECT * FROM t WITHTAG(a, )", "line 1, column 42: expected a tag, but there is )"),
            ("INSERT INTO m SELECT * FROM t TIMESTAMPUNIT=HOURS", "line 1, column 45: expected NANOSECONDS,"),
            ("INSERT INTO m SELECT * FROM t BATCH=0", "line 1, column 37: expected a number of at least 1"),
            (
                "INSERT INTO m SELECT * FROM t WITHTIMESTAMP a WITHTIMESTAMP b",
                "column 47: WITHTIMESTAMP is there twice",
            ),
            ("INSERT INTO m SELECT * FROM t STOREAS x", "line 1, column 31: STOREAS has no meaning for InfluxDB"),
            ("INSERT INTO m SELECT * FROM t WITHTAGS(a)", "expected IGNORE, WITHTARGET,"),
            ("INSERT INTO m SELECT 'a FROM t", "line 1, column 22: the quote ' is not closed"),
            ("INSERT INTO m SELECT '' FROM t", "line 1, column 22: nothing stands between the quotes"),
            ("INSERT INTO m SELECT * FROM t WITHTARGET=a.*", "expected a name behind the dot, but there is *"),
        ] {
            assert!(wrong(text).contains(said), "{text}: {}", wrong(text));
        }
    }

    /// Numbers that look random and are the same each time.
    struct Dice(u64);

    impl Dice {
        fn below(&mut self, n: usize) -> usize {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            usize::try_from(self.0 % n as u64).expect("small")
        }

        fn flip(&mut self) -> bool {
            self.below(2) == 0
        }

        fn some<T>(&mut self, make: impl FnOnce(&mut Self) -> T) -> Option<T> {
            if self.flip() { Some(make(self)) } else { None }
        }

        /// A name and how it may be written.
        fn name(&mut self) -> (String, String) {
            const PLAIN: [&str; 8] = ["a", "B-c", "x_1", "@t", "p/q:r", "{z}", "7", "é+"];
            const QUOTED: [&str; 8] = ["a b", "from", ";", "a.b", "(,)", "''", "SELECT *", "\n#"];
            let plain = PLAIN[self.below(8)];
            match self.below(3) {
                0 => (plain.into(), plain.into()),
                1 => (plain.into(), format!("'{plain}'")),
                _ => {
                    let name = QUOTED[self.below(8)];
                    (name.into(), format!("`{name}`"))
                }
            }
        }

        fn path(&mut self) -> (String, String) {
            let (mut path, mut text) = self.name();
            for _ in 0..self.below(3) {
                let (name, written) = self.name();
                path = format!("{path}.{name}");
                text = format!("{text}.{written}");
            }
            (path, text)
        }

        fn list(&mut self, mut item: impl FnMut(&mut Self) -> String) -> String {
            let items: Vec<String> = (0..=self.below(3)).map(|_| item(self)).collect();
            items.join(if self.flip() { "," } else { " ,\n" })
        }

        fn keyword(&mut self, keyword: &str) -> String {
            keyword.chars().map(|c| if self.flip() { c.to_ascii_lowercase() } else { c }).collect()
        }

        fn equals(&mut self) -> &'static str {
            ["=", " = ", " "][self.below(3)]
        }

        fn column(&mut self, query: &mut Query) -> String {
            match self.below(3) {
                0 => {
                    query.columns.push(Selected { path: String::new(), last: String::new(), all: true, alias: None });
                    "*".into()
                }
                kind => {
                    let (path, mut text) = self.path();
                    let (last, written) = self.name();
                    let path = format!("{path}.{last}");
                    text = format!("{text}.{written}");
                    let alias = if kind == 1 { self.some(Self::path) } else { None };
                    match &alias {
                        Some((_, written)) => text = format!("{text} {} {written}", self.keyword("AS")),
                        None if kind == 2 => text.push_str(".*"),
                        None => {}
                    }
                    let alias = alias.map(|(alias, _)| alias);
                    query.columns.push(Selected { path, last, all: kind == 2, alias });
                    text
                }
            }
        }

        fn tag(&mut self, query: &mut Query) -> String {
            let (path, text) = self.path();
            match self.below(3) {
                0 => {
                    query.tags.push(Tagged::Path(path, None));
                    text
                }
                1 => {
                    let (alias, written) = self.path();
                    query.tags.push(Tagged::Path(path, Some(alias)));
                    format!("{text} {} {written}", self.keyword("as"))
                }
                _ => {
                    let (value, written) = self.path();
                    query.tags.push(Tagged::Constant(path, value));
                    format!("{text} = {written}")
                }
            }
        }

        fn clauses(&mut self, query: &mut Query) -> Vec<String> {
            let mut clauses = Vec::new();
            if self.flip() {
                let list = self.list(|dice| {
                    let (path, text) = dice.path();
                    query.ignored.push(path);
                    text
                });
                clauses.push(format!("{} {list}", self.keyword("IGNORE")));
            }
            if let Some((path, text)) = self.some(Self::path) {
                clauses.push(format!("{}{}{text}", self.keyword("WITHTARGET"), self.equals()));
                query.dynamic_target = Some(path);
            }
            if self.flip() {
                let (timestamp, text) = match self.some(Self::path) {
                    Some((path, text)) => (Timestamp::Path(path), text),
                    None => (Timestamp::Clock, format!("{}()", self.keyword("sys_time"))),
                };
                clauses.push(format!("{} {text}", self.keyword("WITHTIMESTAMP")));
                query.timestamp = Some(timestamp);
            }
            if self.flip() {
                let unit = ["NANOSECONDS", "MICROSECONDS", "MILLISECONDS", "SECONDS"][self.below(4)];
                clauses.push(format!("{}{}{}", self.keyword("TIMESTAMPUNIT"), self.equals(), self.keyword(unit)));
                query.unit = Some(unit.into());
            }
            if self.flip() {
                let list = self.list(|dice| dice.tag(query));
                clauses.push(format!("{}({list})", self.keyword("WITHTAG")));
            }
            if let Some(n) = self.some(|dice| dice.below(9) + 1) {
                clauses.push(format!("{}{}{n}", self.keyword("BATCH"), self.equals()));
                query.batch = u32::try_from(n).ok();
            }
            for i in (1..clauses.len()).rev() {
                let j = self.below(i + 1);
                clauses.swap(i, j);
            }
            clauses
        }

        fn query(&mut self) -> (Query, String) {
            let ((target, to), (topic, from)) = (self.path(), self.path());
            let mut query = Query { target, topic, ..Query::default() };
            let columns = self.list(|dice| dice.column(&mut query));
            let clauses = self.clauses(&mut query).join(" ");
            let [insert, into, select, of] = ["INSERT", "INTO", "SELECT", "FROM"].map(|word| self.keyword(word));
            (query, format!("{insert} {into} {to} {select} {columns} {of} {from} {clauses}"))
        }
    }

    #[test]
    fn what_a_statement_says_is_read_whatever_its_order_case_and_quotes() {
        let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
        for _ in 0..3000 {
            let (queries, texts): (Vec<_>, Vec<_>) = (0..=dice.below(2)).map(|_| dice.query()).unzip();
            let text = texts.join(";");
            assert_eq!(parse(&text).unwrap_or_else(|e| panic!("{text}: {e}")), queries, "{text}");
        }
    }

    #[test]
    fn any_text_is_read_or_refused_at_a_place_that_it_has() {
        let mut dice = Dice(7);
        for _ in 0..3000 {
            let (_, mut text) = dice.query();
            for _ in 0..=dice.below(4) {
                let at = dice.below(text.len() + 1);
                let at = (at..=text.len()).find(|at| text.is_char_boundary(*at)).expect("the end is one");
                match dice.below(3) {
                    0 => text.truncate(at),
                    1 => text.insert(at, ['\'', '`', '.', '(', ';', '#', '\n', 'é', '\u{0}'][dice.below(9)]),
                    _ => text.insert_str(at, ["FROM", " AS ", ".*", "=", ","][dice.below(5)]),
                }
            }
            if let Err(e) = parse(&text) {
                let line = text.split('\n').nth(e.line - 1).unwrap_or_else(|| panic!("{e} of {text:?}"));
                assert!((1..=line.chars().count() + 1).contains(&e.column), "{e} of {text:?}");
            }
        }
    }
}
