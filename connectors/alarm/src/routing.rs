//! Names of topics that come from templates.

use std::sync::Arc;

use connect_api::{Error, Result, Topic, template::Template};
use serde_json::{Value as Json, json};

use crate::Alarm;

/// The longest name of a topic.
const TOPIC_LIMIT: usize = 249;

/// The name of a topic, with underscores for what it cannot have. Names that are too long keep apart by a digest at
/// their end. The error says what the name would be.
pub fn topic_name(template: &Template, names: &Json) -> Result<String> {
    let rendered = template.render_names(names)?;
    let legal = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-') { c } else { '_' };
    let mut name: String = rendered.chars().map(legal).collect();
    if name.len() > TOPIC_LIMIT {
        // Two long names that begin alike must not become one.
        let digest = format!("-{:016x}", fnv(rendered.as_bytes()));
        name.truncate(TOPIC_LIMIT - digest.len());
        name.push_str(&digest);
    }
    if name.is_empty() || name.chars().all(|c| c == '.') && name.len() <= 2 {
        return Err(Error::data(format!("the topic's name would be {name:?}")));
    }
    Ok(name)
}

/// What templates over the alarm alone know.
pub(crate) const NAMES: [&str; 7] = ["name", "source", "severity", "status", "priority", "labels", "connector"];

/// The topic of an alarm by a template over the alarm alone, so that whoever knows the alarm finds its topic again.
pub(crate) fn topic_of(template: &Template, name: &str, alarm: &Alarm, connector: &Arc<str>) -> Result<Topic> {
    let names = json!({
        "name": name,
        "source": alarm.source,
        "severity": alarm.severity,
        "status": alarm.status,
        "priority": alarm.priority.name(),
        "labels": alarm.labels,
        "connector": &**connector,
    });
    Ok(topic_name(template, &names)?.into())
}

fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, b| (hash ^ u64::from(*b)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use connect_api::template::Escape;

    use super::*;

    fn name(template: &str, names: Json) -> Result<String> {
        topic_name(&Template::parse(template, Escape::None)?, &names)
    }

    #[test]
    fn names_are_made_legal_and_stay_different() {
        let template = "{{group}}.{{device}}";
        assert_eq!(name(template, json!({"group": "core", "device": "r 1/é"})).expect("a name"), "core.r_1__");
        let long = |end: &str| name(template, json!({"group": "x".repeat(300), "device": end})).expect("a name");
        assert_eq!(long("a").len(), TOPIC_LIMIT);
        assert_ne!(long("a"), long("b"));
        let e = name(template, json!({"group": "", "device": ""})).expect_err("a dot");
        assert_eq!(e.message(), "the topic's name would be \".\"");
        assert!(name(template, json!({"group": "core"})).expect_err("unknown").message().contains("device"));
    }
}
