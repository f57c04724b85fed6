//! How the bodies of several records become the body of one request.

use connect_api::config::{Key, Problems};

connect_api::config_enum! {
    /// What stands around and between the records of a batch.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Format {
        /// Each record is a request.
        None = "none",
        /// A JSON array.
        Array = "array",
        /// A line for each record.
        Ndjson = "ndjson",
        /// What the settings say.
        Custom = "custom",
    }
}

connect_api::config! {
    /// Several records in one request.
    #[derive(Debug, Clone)]
    pub struct BatchSettings {
        /// Whether a request takes several records, and how they are written: none for a request for each record, array for a
        /// JSON array, ndjson for a line for each record, custom for what webhook.batch.prefix, .separator and .suffix say.
        /// A batch is of one URL, method and set of headers. Of a batch that is refused as wrong, halves are sent until
        /// the bad record stands alone. How long records are waited for says put.linger.ms.
        format: Format = Key::new("webhook.batch.format").default("none"),
        /// Most records of a request. A batch is made of the records that the task gets at once: put.max.records and
        /// put.linger.ms say how many these are.
        records: i32 = Key::new("webhook.batch.max.records").default("500").at_least(1),
        /// Most bytes of a body. A record that is larger is sent alone.
        bytes: i32 = Key::new("webhook.batch.max.bytes").default("1048576").at_least(1),
        /// What a custom batch begins with. In this setting and the next ones \n stands for a line break, \r for a carriage
        /// return, \t for a tabulator, \s for a blank and \\ for a backslash.
        prefix: Option<String> = Key::new("webhook.batch.prefix").low().check(|t: &Option<String>| escapes(t.as_deref())),
        /// What stands between two records of a custom batch.
        separator: Option<String> = Key::new("webhook.batch.separator").low().check(|t: &Option<String>| escapes(t.as_deref())),
        /// What a custom batch ends with.
        suffix: Option<String> = Key::new("webhook.batch.suffix").low().check(|t: &Option<String>| escapes(t.as_deref())),
    }
}

impl BatchSettings {
    /// Rules that span several keys.
    pub fn validate(&self, problems: &mut Problems) {
        let all = [("prefix", &self.prefix), ("separator", &self.separator), ("suffix", &self.suffix)];
        if self.format == Format::Custom {
            return;
        }
        for (name, _) in all.iter().filter(|(_, text)| text.is_some()) {
            let key = format!("webhook.batch.{name}");
            problems.add(&key, format!("{key} needs webhook.batch.format=custom"));
        }
        let limits = [("max.records", self.records != 500), ("max.bytes", self.bytes != 1_048_576)];
        for (name, _) in limits.iter().filter(|(_, set)| *set && self.format == Format::None) {
            let key = format!("webhook.batch.{name}");
            problems.add(&key, format!("{key} has no effect without webhook.batch.format: set that, or remove it"));
        }
    }

    /// How batches are made; none where each record is a request.
    pub fn batch(&self) -> Option<Batch> {
        let text = |t: &Option<String>| t.as_deref().and_then(|t| unescape(t).ok()).unwrap_or_default();
        let (prefix, separator, suffix) = match self.format {
            Format::None => return None,
            Format::Array => ("[".into(), ",".into(), "]".into()),
            Format::Ndjson => (String::new(), "\n".into(), "\n".into()),
            Format::Custom => (text(&self.prefix), text(&self.separator), text(&self.suffix)),
        };
        let number = |n: i32| usize::try_from(n).unwrap_or(1);
        Some(Batch { prefix, separator, suffix, records: number(self.records), bytes: number(self.bytes) })
    }
}

/// How several bodies become one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// What a body begins with.
    pub prefix: String,
    /// What stands between two records.
    pub separator: String,
    /// What a body ends with.
    pub suffix: String,
    /// Most records.
    pub records: usize,
    /// Most bytes.
    pub bytes: usize,
}

impl Batch {
    /// How many of these bodies, by their sizes, fit in one, from the first; at least one.
    pub fn fitting(&self, sizes: impl Iterator<Item = usize>) -> usize {
        let mut total = self.prefix.len() + self.suffix.len();
        let fits = |size: &usize| {
            total += size + self.separator.len();
            total <= self.bytes.saturating_add(self.separator.len())
        };
        sizes.take(self.records).take_while(fits).count().max(1)
    }

    /// The body of these.
    pub fn join<'a>(&self, bodies: impl Iterator<Item = &'a [u8]>) -> Vec<u8> {
        let mut joined = self.prefix.as_bytes().to_vec();
        for (n, body) in bodies.enumerate() {
            if n > 0 {
                joined.extend_from_slice(self.separator.as_bytes());
            }
            joined.extend_from_slice(body);
        }
        joined.extend_from_slice(self.suffix.as_bytes());
        joined
    }
}

fn escapes(text: Option<&str>) -> Result<(), String> {
    text.map_or(Ok(()), |text| unescape(text).map(drop))
}

fn unescape(text: &str) -> Result<String, String> {
    let (mut out, mut rest) = (String::new(), text.chars());
    while let Some(c) = rest.next() {
        out.push(match (c, if c == '\\' { rest.next() } else { None }) {
            ('\\', Some('n')) => '\n',
            ('\\', Some('r')) => '\r',
            ('\\', Some('t')) => '\t',
            ('\\', Some('s')) => ' ',
            ('\\', Some('\\')) => '\\',
            ('\\', _) => return Err("A backslash stands before n, r, t, s or another backslash".into()),
            (c, _) => c,
        });
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use connect_api::{Settings, config::Config};

    fn batch(given: &[(&str, &str)]) -> Option<Batch> {
        BatchSettings::parse(&given.iter().copied().collect::<Settings>()).expect("settings").batch()
    }

    fn join(given: &[(&str, &str)]) -> String {
        let made = batch(given).expect("a batch").join([b"1".as_slice(), b"2", b"3"].into_iter());
        String::from_utf8(made).expect("text")
    }

    #[test]
    fn batches_are_written_as_set() {
        assert_eq!(batch(&[]), None);
        assert_eq!(join(&[("webhook.batch.format", "array")]), "[1,2,3]");
        assert_eq!(join(&[("webhook.batch.format", "ndjson")]), "1\n2\n3\n");
        let custom = [
            ("webhook.batch.format", "custom"),
            ("webhook.batch.prefix", "{\"all\":\\s["),
            ("webhook.batch.separator", ",\\n"),
            ("webhook.batch.suffix", "]}\\\\"),
        ];
        assert_eq!(join(&custom), "{\"all\": [1,\n2,\n3]}\\");
        let wrong = Settings::from([("webhook.batch.suffix", "\\x")]);
        assert_eq!(BatchSettings::parse(&wrong).expect_err("wrong").len(), 1);
    }

    #[test]
    fn no_batch_is_larger_than_it_may_be_unless_it_is_a_record_alone() {
        let batch = batch(&[
            ("webhook.batch.format", "array"),
            ("webhook.batch.max.records", "3"),
            ("webhook.batch.max.bytes", "12"),
        ]);
        let batch = batch.expect("a batch");
        for (sizes, expected) in [
            (vec![2, 2, 2], 3),
            (vec![2, 2, 2, 2], 3),
            (vec![4, 5, 1], 2),
            (vec![4, 6, 1], 1),
            (vec![10, 1], 1),
            (vec![100, 1], 1),
        ] {
            assert_eq!(batch.fitting(sizes.iter().copied()), expected, "{sizes:?}");
            let bodies: Vec<Vec<u8>> = sizes[..expected].iter().map(|n| vec![b'x'; *n]).collect();
            let length = batch.join(bodies.iter().map(Vec::as_slice)).len();
            assert!(length <= 12 || expected == 1, "{sizes:?}: {length}");
        }
    }

    #[test]
    fn what_a_format_has_no_use_for_is_a_problem() {
        let config = BatchSettings::parse(&Settings::from([("webhook.batch.suffix", "x")])).expect("single keys");
        let mut problems = Problems::new();
        config.validate(&mut problems);
        assert_eq!(problems.len(), 1);
    }
}
