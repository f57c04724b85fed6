//! Versions of plugins that are asked for (KIP-891): exact ones, `latest`, and Maven's ranges such as `[1.0,2.0)`.
//!
//! Every plugin has one version here, the one that the program was built with. Asking for another is refused with
//! Kafka Connect's text.

use std::{cmp::Ordering, fmt};

use connect_api::PluginInfo;

/// Refuses what does not match the version that the plugin has.
pub fn check(info: &PluginInfo, wanted: &str) -> Result<(), String> {
    if wanted == "latest" {
        return Ok(());
    }
    let wanted = wanted.trim();
    let ranges = parse(wanted).ok_or_else(|| format!("Invalid version specification: {wanted}"))?;
    if ranges.iter().any(|r| r.contains(info.version)) {
        return Ok(());
    }
    let shown: Vec<String> = ranges.iter().map(Range::to_string).collect();
    Err(format!(
        "Plugin {} not found that matches the version range {}, available versions: [{}]",
        info.class(),
        shown.join(","),
        info.version
    ))
}

struct Range {
    from: Option<String>,
    from_included: bool,
    to: Option<String>,
    to_included: bool,
}

impl Range {
    fn contains(&self, version: &str) -> bool {
        let above = self.from.as_deref().is_none_or(|from| match compare(version, from) {
            Ordering::Less => false,
            Ordering::Equal => self.from_included,
            Ordering::Greater => true,
        });
        above
            && self.to.as_deref().is_none_or(|to| match compare(version, to) {
                Ordering::Less => true,
                Ordering::Equal => self.to_included,
                Ordering::Greater => false,
            })
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (open, close) = (if self.from_included { '[' } else { '(' }, if self.to_included { ']' } else { ')' });
        write!(
            f,
            "{open}{},{}{close}",
            self.from.as_deref().unwrap_or_default(),
            self.to.as_deref().unwrap_or_default()
        )
    }
}

/// The ranges of a specification; a bare version is that version alone.
fn parse(text: &str) -> Option<Vec<Range>> {
    if !text.starts_with(['[', '(']) {
        let exact = Some(text.to_owned());
        return Some(vec![Range { from: exact.clone(), from_included: true, to: exact, to_included: true }]);
    }
    let mut ranges = Vec::new();
    let mut rest = text;
    while let Some(from_included) = rest.strip_prefix('[').map(|_| true).or(rest.strip_prefix('(').map(|_| false)) {
        let end = rest.find([']', ')'])?;
        let to_included = rest[end..].starts_with(']');
        let inside = &rest[1..end];
        let bound = |t: &str| Some(t.trim().to_owned()).filter(|t| !t.is_empty());
        ranges.push(match inside.split_once(',') {
            Some((from, to)) => Range { from: bound(from), from_included, to: bound(to), to_included },
            None if from_included && to_included => {
                let exact = Some(inside.trim().to_owned());
                Range { from: exact.clone(), from_included, to: exact, to_included }
            }
            None => return None,
        });
        rest = rest[end + 1..].trim_start_matches(',').trim();
    }
    rest.is_empty().then_some(ranges)
}

/// Maven's order: numbers by value, qualifiers such as `beta` and `rc` before the version itself.
fn compare(a: &str, b: &str) -> Ordering {
    let (a, b) = (parts(a), parts(b));
    let none = Part::Number(0);
    (0..a.len().max(b.len()))
        .map(|i| a.get(i).unwrap_or(&none).cmp(b.get(i).unwrap_or(&none)))
        .find(|o| *o != Ordering::Equal)
        .unwrap_or(Ordering::Equal)
}

/// A part of a version; the order of the variants is Maven's.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Before(u8),
    Word(String),
    Number(u64),
}

fn parts(version: &str) -> Vec<Part> {
    let mut made = Vec::new();
    for piece in version.to_ascii_lowercase().split(['.', '-']) {
        let mut rest = piece;
        while let Some(first) = rest.chars().next() {
            let digit = first.is_ascii_digit();
            let end = rest.find(|c: char| c.is_ascii_digit() != digit).unwrap_or(rest.len());
            let (word, behind) = rest.split_at(end);
            rest = behind;
            made.push(match word {
                _ if digit => Part::Number(word.parse().unwrap_or(u64::MAX)),
                "alpha" | "a" => Part::Before(0),
                "beta" | "b" => Part::Before(1),
                "milestone" | "m" => Part::Before(2),
                "rc" | "cr" => Part::Before(3),
                "snapshot" => Part::Before(4),
                "ga" | "final" | "release" => Part::Number(0),
                _ => Part::Word(word.to_owned()),
            });
        }
    }
    made
}

#[cfg(test)]
mod tests {
    use super::*;

    const INFO: PluginInfo = PluginInfo { name: "a", aliases: &["x.A"], version: "4.1.0", about: "" };

    #[test]
    fn versions_and_ranges_match_as_mavens_do() {
        for right in ["latest", "4.1.0", "4.1", " 4.1.0 ", "[4.0,5)", "(,5]", "[4.1.0]", "[1,2],[4,)", "(4.1-rc1,)"] {
            assert_eq!(check(&INFO, right), Ok(()), "{right}");
        }
        for wrong in ["0.0.1", "x", "(4.1.0,5)", "(,4.0)", "[4.1.1,)", "4.1.0-beta", ""] {
            assert!(check(&INFO, wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn texts_are_kafka_connects() {
        let text = |range: &str| {
            format!("Plugin x.A not found that matches the version range {range}, available versions: [4.1.0]")
        };
        for (wanted, range) in [("0.0.1", "[0.0.1,0.0.1]"), ("(,4.0)", "(,4.0)"), ("", "[,]"), (" ", "[,]")] {
            assert_eq!(check(&INFO, wanted), Err(text(range)));
        }
        assert_eq!(check(&INFO, "[5"), Err("Invalid version specification: [5".into()));
    }
}
