//! Names of connectors as commands take them: whole, as patterns, or as expressions.
//!
//! | Written | Means |
//! |---|---|
//! | `influxdb-sink` | this connector |
//! | `'*-sink'`, `'alarm-?'`, `'[ab]*'` | all whose names match, as file names do in a shell |
//! | `/^(a\|b)-sink$/` | all whose names the regular expression matches somewhere |
//!
//! A connector whose name is what was written is taken, whatever characters it has.

use glob::Pattern;
use regex::Regex;

use crate::{check::nearest, client::Client, error::Failure};

/// Names of connectors, at least one.
#[derive(Debug, Clone, clap::Args)]
pub struct Names {
    /// Names of connectors; also patterns such as '*-sink' and regular expressions such as '/^alarm-/'.
    #[arg(value_name = "NAME", required = true, value_parser = name, add = crate::complete::connectors())]
    pub names: Vec<String>,
}

/// Names of connectors, or none for all of them.
#[derive(Debug, Clone, clap::Args)]
pub struct SomeNames {
    /// Names of connectors; also patterns such as '*-sink' and regular expressions such as '/^alarm-/'. All without any.
    #[arg(value_name = "NAME", value_parser = name, add = crate::complete::connectors())]
    pub names: Vec<String>,
}

/// A name that can stand in the path of a URL.
pub fn name(text: &str) -> Result<String, String> {
    match text {
        "" => Err("the name is empty".into()),
        "." | ".." => Err("the REST API cannot address a connector of this name".into()),
        _ => match select(text) {
            Some(Err(e)) => Err(e),
            _ => Ok(text.to_owned()),
        },
    }
}

enum Selector {
    Glob(Pattern),
    Regex(Regex),
}

/// What selects several; none for a plain name.
fn select(text: &str) -> Option<Result<Selector, String>> {
    if let Some(inside) = text.strip_prefix('/').and_then(|t| t.strip_suffix('/')).filter(|t| !t.is_empty()) {
        return Some(Regex::new(inside).map(Selector::Regex).map_err(|e| {
            let reason = e.to_string();
            format!("{inside:?} is no regular expression: {}", reason.lines().last().unwrap_or_default())
        }));
    }
    let is_pattern = text.contains(['*', '?', '[']);
    is_pattern.then(|| Pattern::new(text).map(Selector::Glob).map_err(|e| format!("the pattern is wrong: {}", e.msg)))
}

impl Selector {
    fn matches(&self, name: &str) -> bool {
        match self {
            Self::Glob(pattern) => pattern.matches(name),
            Self::Regex(regex) => regex.is_match(name),
        }
    }
}

/// Whether the text may stand for several names.
pub fn is_pattern(text: &str) -> bool {
    select(text).is_some()
}

/// The names that are meant, each once, in the order written. The worker is only asked for its connectors where there is a
/// pattern; one that matches none is a failure.
pub async fn expand(written: &[String], client: &Client) -> Result<Vec<String>, Failure> {
    if !written.iter().any(|text| is_pattern(text)) {
        return Ok(distinct(written.to_vec()));
    }
    let known = client.names().await?;
    matching(written, &known, "connector", "connectctl list shows those that exist").map_err(Failure::Failed)
}

/// As [`expand`], of anything that has names: `kind` is the word for it, `hint` says how to see those that exist.
pub fn matching(written: &[String], known: &[String], kind: &str, hint: &str) -> Result<Vec<String>, String> {
    let mut found = Vec::new();
    for text in written {
        let selector = match select(text).filter(|_| !known.contains(text)) {
            None => {
                found.push(text.clone());
                continue;
            }
            Some(selector) => selector?,
        };
        let before = found.len();
        found.extend(known.iter().filter(|name| selector.matches(name)).cloned());
        if found.len() == before {
            return Err(format!("no {kind} matches {text}; {hint}"));
        }
    }
    Ok(distinct(found))
}

fn distinct(names: Vec<String>) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for name in names {
        if !found.contains(&name) {
            found.push(name);
        }
    }
    found
}

/// What to say of a name that is not among those known.
pub fn not_found(kind: &str, name: &str, known: &[String], hint: &str) -> String {
    match nearest(name, known.iter().map(String::as_str)) {
        Some(near) => format!("{kind} {name} not found; did you mean {near}?"),
        None => format!("{kind} {name} not found; {hint}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(written: &[&str]) -> Result<Vec<String>, String> {
        let texts = |all: &[&str]| all.iter().map(|t| (*t).to_owned()).collect::<Vec<_>>();
        let known = texts(&["alarm-sink", "influx-sink", "epics", "odd*name"]);
        matching(&texts(written), &known, "connector", "look")
    }

    #[test]
    fn patterns_and_expressions_select_what_matches() {
        assert_eq!(found(&["*-sink", "epics"]).expect("names"), ["alarm-sink", "influx-sink", "epics"]);
        assert_eq!(found(&["/^(epics|alarm-.*)$/"]).expect("names"), ["alarm-sink", "epics"]);
        assert_eq!(found(&["epics", "e*", "/pic/"]).expect("names"), ["epics"]);
        assert_eq!(found(&["odd*name"]).expect("names"), ["odd*name"]);
        // A plain name is not looked up: the worker will say that it does not know it.
        assert_eq!(found(&["other"]).expect("names"), ["other"]);
        assert_eq!(found(&["z*"]), Err("no connector matches z*; look".into()));
    }

    #[test]
    fn wrong_expressions_are_told_before_anything_is_asked() {
        assert!(name("/(/").is_err_and(|e| e.contains("no regular expression")));
        assert!(name("[a").is_err_and(|e| e.contains("pattern is wrong")));
        for plain in ["a/b", "/", "//", "a;b#c"] {
            assert!(name(plain).is_ok() && !is_pattern(plain), "{plain}");
        }
    }
}
