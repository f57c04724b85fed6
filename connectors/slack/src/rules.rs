//! Where a message goes, whom it mentions, and which colour it has.

use std::collections::BTreeMap;

use connect_api::{Error, Result, template::Expression};
use serde::Deserialize;
use serde_json::Value as Json;

/// A rule as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    when: String,
    channel: Option<String>,
    mention: Option<String>,
}

/// A rule: what holds for records for which an expression is true.
#[derive(Debug, Clone)]
pub struct Rule {
    when: Expression,
    /// The channel.
    pub channel: Option<String>,
    /// What stands before new messages.
    pub mention: Option<String>,
}

/// Reads a JSON list of rules. The error is a reason.
pub fn parse(text: Option<&str>) -> Result<Vec<Rule>, String> {
    let Some(text) = text else { return Ok(Vec::new()) };
    let all: Vec<Written> =
        serde_json::from_str(text).map_err(|e| format!("Expected a list of {{when, channel, mention}}: {e}"))?;
    let rule = |(n, rule): (usize, Written)| {
        let at = |why: String| format!("Rule {}: {why}", n + 1);
        let Written { when, channel, mention } = rule;
        if channel.is_none() && mention.is_none() {
            return Err(at("it needs a channel or a mention".into()));
        }
        let when = Expression::parse_strict(&when).map_err(|e| at(e.one_line()))?;
        Ok(Rule { when, channel, mention })
    };
    all.into_iter().enumerate().map(rule).collect()
}

/// The rules that hold for a record. Errors are data errors.
pub fn holding<'a>(rules: &'a [Rule], names: &Json) -> Result<Vec<&'a Rule>> {
    let mut all = Vec::new();
    for rule in rules {
        if rule.when.holds(names).map_err(|e: Error| e.context("applying slack.rules"))? {
            all.push(rule);
        }
    }
    Ok(all)
}

/// Colours by priority.
#[derive(Debug, Clone)]
pub struct Colors(BTreeMap<String, String>);

impl Colors {
    /// Reads `NAME=#rrggbb`, several of them. The error is a reason.
    pub fn parse(all: &[String]) -> Result<Self, String> {
        let one = |text: &String| {
            let (name, color) = text.split_once('=').ok_or_else(|| format!("{text}: expected NAME=#rrggbb"))?;
            let (name, color) = (name.trim(), color.trim());
            let hex = color.strip_prefix('#').unwrap_or_default();
            if hex.len() != 6 || !hex.bytes().all(|b| b.is_ascii_hexdigit()) {
                return Err(format!("{color}: expected a colour as #rrggbb"));
            }
            Ok((name.to_owned(), color.to_owned()))
        };
        all.iter().map(one).collect::<Result<_, _>>().map(Self)
    }

    /// The colour of a record, by its priority or `cleared`.
    pub fn of(&self, names: &Json, cleared: bool) -> Option<&str> {
        let name = if cleared { "cleared" } else { names["value"]["priority"].as_str()? };
        self.0.get(name).map(String::as_str)
    }
}
