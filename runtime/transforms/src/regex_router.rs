//! Gives records another topic by a regular expression.

use async_trait::async_trait;
use connect_api::{
    Error, PluginInfo, Record, RecordMeta, Result, TaskContext, Topic, Transform, TransformPlugin, config::Key,
};
use fancy_regex::{Captures, Regex};

use crate::regex::{anywhere, gave_up, whole};

connect_api::config! {
    /// Settings of the router.
    #[derive(Debug)]
    pub struct RegexRouterConfig {
        /// Regular expression that the whole name of the topic must match.
        regex: String = Key::new("regex").high().check(|r: &String| whole(r).map(drop)),
        /// The new name; $1 stands for the first group.
        replacement: String = Key::new("replacement").high(),
    }
}

/// `org.apache.kafka.connect.transforms.RegexRouter`
#[derive(Debug)]
pub struct RegexRouter {
    whole: Regex,
    part: Regex,
    replacement: String,
    last: Option<(Topic, Topic)>,
}

impl RegexRouter {
    fn new(config: RegexRouterConfig) -> Result<Self> {
        Ok(Self {
            whole: whole(&config.regex).map_err(Error::fatal)?,
            part: anywhere(&config.regex).map_err(Error::fatal)?,
            replacement: config.replacement,
            last: None,
        })
    }
}

#[async_trait]
impl TransformPlugin for RegexRouter {
    type Config = RegexRouterConfig;
    const INFO: PluginInfo = PluginInfo {
        name: "regex-router",
        aliases: &["org.apache.kafka.connect.transforms.RegexRouter"],
        version: env!("CARGO_PKG_VERSION"),
        about: "Gives records another topic: where the regular expression matches the whole name, the replacement. \
                Other records keep theirs.",
    };

    async fn build(config: RegexRouterConfig, _context: &TaskContext) -> Result<Box<dyn Transform>> {
        Ok(Box::new(Self::new(config)?))
    }
}

impl Transform for RegexRouter {
    fn apply(&mut self, mut record: Record, _meta: &RecordMeta) -> Result<Option<Record>> {
        // Records come in runs of one topic; its new name is made once.
        if let Some((from, to)) = &self.last
            && *from == record.topic
        {
            record.topic = to.clone();
            return Ok(Some(record));
        }
        // As in Java, the expression must match the whole name, but what is replaced is its first match in it,
        // which an alternative can make shorter.
        let failed = |e| gave_up(&record.topic, e);
        let found = match self.whole.is_match(&*record.topic).map_err(failed)? {
            true => self.part.captures(&*record.topic).map_err(failed)?,
            false => None,
        };
        let to = match found.as_ref().and_then(|groups| groups.get(0).map(|all| (groups, all.range()))) {
            Some((groups, all)) => {
                let new = expand(&self.replacement, &self.part, groups)?;
                Topic::from(format!("{}{new}{}", &record.topic[..all.start], &record.topic[all.end..]))
            }
            None => record.topic.clone(),
        };
        self.last = Some((record.topic, to.clone()));
        record.topic = to;
        Ok(Some(record))
    }
}

/// Java's replacement syntax: `$1`, `${name}`, and a backslash in front of what is meant literally. A group
/// number takes as many digits as there are groups for.
fn expand(replacement: &str, regex: &Regex, groups: &Captures<'_, str>) -> Result<String> {
    let wrong =
        |why: String, exception| Error::data(format!("the replacement {replacement:?} {why}")).exception(exception);
    let unknown = |name: &str, exception| wrong(format!("names group {name}, which the regex has not"), exception);
    let illegal = |why: &str| wrong(why.to_owned(), "java.lang.IllegalArgumentException");
    let mut out = String::new();
    let mut rest = replacement.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '\\' => out.push(rest.next().ok_or_else(|| illegal("ends with a backslash, which escapes nothing"))?),
            '$' if rest.peek() == Some(&'{') => {
                let name: String = rest.by_ref().skip(1).take_while(|c| *c != '}').collect();
                if !regex.capture_names().flatten().any(|known| known == name) {
                    return Err(unknown(&name, "java.lang.IllegalArgumentException"));
                }
                out.push_str(groups.name(&name).map_or("", |m| m.as_str()));
            }
            '$' => {
                let mut number = None;
                while let Some(digit) = rest.peek().and_then(|c| c.to_digit(10)) {
                    let longer = number.unwrap_or(0) * 10 + digit as usize;
                    if number.is_some() && longer >= groups.len() {
                        break;
                    }
                    number = Some(longer);
                    rest.next();
                }
                let number = number.ok_or_else(|| illegal("has a $ without a group; write \\$ for the sign"))?;
                if number >= groups.len() {
                    return Err(unknown(&number.to_string(), "java.lang.IndexOutOfBoundsException"));
                }
                out.push_str(groups.get(number).map_or("", |m| m.as_str()));
            }
            c => out.push(c),
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(regex: &str, replacement: &str, topic: &str) -> Result<String> {
        let mut router = RegexRouter::new(RegexRouterConfig { regex: regex.into(), replacement: replacement.into() })?;
        let changed = router.apply(Record::new(topic), &RecordMeta::default())?;
        Ok(changed.map(|r| r.topic.to_string()).unwrap_or_default())
    }

    #[test]
    fn only_whole_names_are_routed() {
        assert_eq!(route("foo-(.*)", "bar-$1", "foo-x").expect("routed"), "bar-x");
        assert_eq!(route("foo", "bar", "foo-x").expect("kept"), "foo-x");
        assert_eq!(route("foo|foobar", "x", "foobar").expect("the first match"), "xbar");
        assert_eq!(route("(a)(b)", "$2$10", "ab").expect("group 1 and a zero"), "ba0");
        assert_eq!(route("(?<n>a).*", "${n}\\$1", "ab").expect("named"), "a$1");
    }

    #[test]
    fn groups_that_do_not_exist_are_errors() {
        assert!(route("a", "$1", "a").is_err());
        assert!(route("a", "$x", "a").is_err());
        assert!(route("a", "x\\", "a").is_err());
    }
}
