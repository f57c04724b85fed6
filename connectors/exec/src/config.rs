//! Settings of the source.

use std::ops::Deref;

use connect_api::{
    config::{Config, ConfigDef, ConfigType, Key, KeyType, Millis, Problems, Reader},
    config_enum,
};

config_enum! {
    /// What a line is.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Format {
        /// A JSON object with the parts of a record.
        Records = "records",
        /// The JSON of a value.
        Values = "values",
        /// A value as text.
        Text = "text",
    }
}

/// A program and its arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// The program: a path, or a name that is looked for in PATH.
    pub program: String,
    /// Its arguments.
    pub arguments: Vec<String>,
}

impl ConfigType for Command {
    const KIND: KeyType = KeyType::String;

    fn parse(text: &str) -> Result<Self, String> {
        let words = shell_words::split(text).map_err(|e| format!("Not words of a command line: {e}"))?;
        let mut words = words.into_iter();
        let program = words.next().filter(|program| !program.is_empty());
        let program = program.ok_or("Expected a program and its arguments, such as python3 /opt/reader.py")?;
        Ok(Self { program, arguments: words.collect() })
    }
}

connect_api::config! {
    /// The source's own settings.
    #[derive(Debug, Clone)]
    pub struct OwnConfig {
        /// Program to run, with its arguments: words separated by blanks, in quotes where they have blanks themselves. No
        /// shell reads it: variables, patterns and pipes have no meaning.
        command: Command = Key::new("exec.command").high(),
        /// What a line of its output is: records for a JSON object with value and any of key, headers, topic, partition,
        /// timestamp and offset; values for the JSON of a value; text for a value as it is.
        format: Format = Key::new("exec.format").default("records").high(),
        /// Topic of records that name none.
        topic: Option<String> = Key::new("topic").high().check(|topic: &Option<String>| match topic {
            Some(name) => connect_api::config::topic_name(name),
            None => Ok(()),
        }),
        /// Folder that the program runs in. Default: that of the worker.
        directory: Option<String> = Key::new("exec.directory"),
        /// How long, in milliseconds, after the program has ended well it is run again, such as a script that looks once.
        /// Default: it is not run again before the task is restarted.
        repeat: Option<Millis> = Key::new("exec.repeat.ms"),
        /// Longest line in bytes. A longer one is a bad record, of which a dead letter has the beginning.
        line_limit: i32 = Key::new("exec.line.limit").default("1048576").low().at_least(1),
        /// Most lines of one batch. It has no more than 4 MiB of them, or a single one.
        batch_size: i32 = Key::new("batch.size").default("2000").low().at_least(1),
    }
}

/// Keys below which variables of the program's environment stand.
const ENVIRONMENT: &str = "exec.environment.";

/// Settings of the source with the program's environment.
#[derive(Debug, Clone)]
pub struct ExecConfig {
    own: OwnConfig,
    /// Variables beside those of the worker.
    pub environment: Vec<(String, String)>,
}

impl Deref for ExecConfig {
    type Target = OwnConfig;

    fn deref(&self) -> &OwnConfig {
        &self.own
    }
}

impl Config for ExecConfig {
    fn definition() -> ConfigDef {
        let mut definition = OwnConfig::definition();
        definition.family(ENVIRONMENT, "Variables of the program's environment, beside those of the worker.");
        definition
    }

    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let environment = reader.below(ENVIRONMENT).iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
        OwnConfig::read(reader).map(|own| Self { own, environment })
    }
}

impl ExecConfig {
    /// Rules that span several keys.
    pub fn validate(&self, problems: &mut Problems) {
        if self.format != Format::Records && self.topic.is_none() {
            problems.add("topic", "topic must be set: with exec.format=values or text no line names one");
        }
        for (name, value) in &self.environment {
            let key = format!("{ENVIRONMENT}{name}");
            if name.is_empty() || name.contains(['=', '\0']) || value.contains('\0') {
                problems.add(&key, format!("{key} cannot be a variable of an environment"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use connect_api::Settings;

    fn problems(given: &[(&str, &str)]) -> Vec<String> {
        let settings: Settings = given.iter().copied().collect();
        let mut problems = Problems::new();
        match ExecConfig::parse(&settings) {
            Ok(config) => config.validate(&mut problems),
            Err(found) => problems = found,
        }
        problems.iter().map(|p| p.key.clone()).collect()
    }

    #[test]
    fn a_command_is_words_without_a_shell() {
        let command = Command::parse(r#"python3 -u "a b.py" 'c,d' $HOME"#).expect("words");
        assert_eq!(command.program, "python3");
        assert_eq!(command.arguments, ["-u", "a b.py", "c,d", "$HOME"]);
        assert!(Command::parse(" ").is_err() && Command::parse("'open").is_err());
    }

    #[test]
    fn what_does_not_fit_together_is_named() {
        assert_eq!(problems(&[("exec.command", "x")]), Vec::<String>::new());
        assert_eq!(problems(&[("exec.command", "x"), ("exec.format", "text")]), ["topic"]);
        assert_eq!(problems(&[("exec.command", ""), ("topic", "a b")]), ["exec.command", "topic"]);
        assert_eq!(problems(&[("exec.command", "x"), ("exec.environment.A=B", "c")]), ["exec.environment.A=B"]);
    }
}
