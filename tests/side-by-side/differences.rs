//! What differs, and which differences are intended.

use std::{collections::BTreeSet, path::Path};

use regex::Regex;
use serde_json::Value as Json;

/// A difference between both sides.
#[derive(Debug)]
pub struct Difference {
    /// Where: the step, and the place in what came back.
    pub place: String,
    /// Kafka Connect's side.
    pub theirs: String,
    /// Ours.
    pub ours: String,
}

/// What stands for something that a side does not have.
pub const ABSENT: &str = "(absent)";

/// A kind of difference that is meant.
struct Intended {
    name: String,
    reason: String,
    place: Regex,
    theirs: Option<Regex>,
    ours: Option<Regex>,
    /// Only with the whole comparison; the short one does not get there.
    whole_only: bool,
    met: usize,
}

impl Intended {
    fn is(&self, found: &Difference) -> bool {
        let fits = |pattern: &Option<Regex>, text: &str| pattern.as_ref().is_none_or(|p| p.is_match(text));
        self.place.is_match(&found.place) && fits(&self.theirs, &found.theirs) && fits(&self.ours, &found.ours)
    }
}

/// Collects differences.
pub struct Report {
    intended: Vec<Intended>,
    unintended: usize,
    compared: usize,
}

impl Report {
    /// With the intended differences of a file: one document each, with `name`, `reason`, and expressions for `place`,
    /// `theirs` and `ours`.
    pub fn new(file: &Path) -> Result<Self, String> {
        let mut intended = Vec::new();
        for document in connect_files::read(file).map_err(|e| e.to_string())? {
            let settings = connect_files::flatten(&document).map_err(|(_, e)| format!("{}: {e}", file.display()))?;
            intended.push(intended_of(&settings).map_err(|e| format!("{}: {e}", file.display()))?);
        }
        Ok(Self { intended, unintended: 0, compared: 0 })
    }

    /// Compares two texts.
    pub fn texts(&mut self, place: &str, theirs: &str, ours: &str) {
        self.compared += 1;
        if theirs != ours {
            self.differ(place.to_owned(), theirs.to_owned(), ours.to_owned());
        }
    }

    /// Compares two values member by member.
    pub fn values(&mut self, place: &str, theirs: &Json, ours: &Json) {
        self.compared += 1;
        self.parts(place, theirs, ours);
    }

    fn parts(&mut self, place: &str, theirs: &Json, ours: &Json) {
        if theirs == ours {
            return;
        }
        match (theirs, ours) {
            (Json::Object(a), Json::Object(b)) => {
                let names: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
                for name in names {
                    self.part(&format!("{place}.{name}"), a.get(name), b.get(name));
                }
            }
            (Json::Array(a), Json::Array(b)) => self.lists(place, a, b),
            (Json::String(a), Json::String(b)) if is_trace(place) && says_the_same(a, b) => {}
            _ => self.differ(place.to_owned(), theirs.to_string(), ours.to_string()),
        }
    }

    fn part(&mut self, place: &str, theirs: Option<&Json>, ours: Option<&Json>) {
        match (theirs, ours) {
            (Some(a), Some(b)) => self.parts(place, a, b),
            (a, b) => {
                let text = |part: Option<&Json>| part.map_or_else(|| ABSENT.to_owned(), Json::to_string);
                self.differ(place.to_owned(), text(a), text(b));
            }
        }
    }

    /// Items that have a name are compared with those of the same name, and what is left in its order.
    fn lists(&mut self, place: &str, theirs: &[Json], ours: &[Json]) {
        let names = |all: &[Json]| all.iter().map(name).collect::<Option<Vec<String>>>();
        let (Some(their_names), Some(our_names)) = (names(theirs), names(ours)) else {
            for i in 0..theirs.len().max(ours.len()) {
                self.part(&format!("{place}[{i}]"), theirs.get(i), ours.get(i));
            }
            return;
        };
        let mut left: Vec<Option<&Json>> = ours.iter().map(Some).collect();
        let mut order = Vec::new();
        for (item, name) in theirs.iter().zip(&their_names) {
            let at = our_names.iter().zip(&left).position(|(other, left)| other == name && left.is_some());
            order.extend(at);
            self.part(&format!("{place}[{name}]"), Some(item), at.and_then(|at| left[at].take()));
        }
        for (item, name) in left.iter().zip(&our_names).filter(|(item, _)| item.is_some()) {
            self.part(&format!("{place}[{name}]"), None, *item);
        }
        if !order.is_sorted() {
            let ours: Vec<&str> = our_names.iter().filter(|n| their_names.contains(n)).map(String::as_str).collect();
            let theirs: Vec<&str> = their_names.iter().filter(|n| our_names.contains(n)).map(String::as_str).collect();
            self.differ(format!("{place} order"), theirs.join(" "), ours.join(" "));
        }
    }

    /// Notes a difference, and shows it at once unless it is intended.
    pub fn differ(&mut self, place: String, theirs: String, ours: String) {
        let found = Difference { place, theirs, ours };
        match self.intended.iter_mut().find(|intended| intended.is(&found)) {
            Some(intended) => intended.met += 1,
            None => {
                let [theirs, ours] = [&found.theirs, &found.ours].map(|text| shown(text));
                println!("DIFFERENT {}\n  kafka connect: {theirs}\n  connectd:      {ours}", found.place);
                self.unintended += 1;
            }
        }
    }

    /// How many comparisons there were.
    pub fn compared(&self) -> usize {
        self.compared
    }

    /// The end of the report, and whether nothing stands in it that must not.
    pub fn finish(&self, whole: bool) -> (String, bool) {
        let mut text = String::new();
        let unmet: Vec<&Intended> = self.intended.iter().filter(|i| i.met == 0 && (whole || !i.whole_only)).collect();
        for intended in &unmet {
            text.push_str(&format!(
                "NOT MET   {}: no difference is of this intended kind any more; remove it ({})\n",
                intended.name, intended.reason
            ));
        }
        text.push_str(&format!("{} comparisons\n", self.compared));
        for intended in self.intended.iter().filter(|i| i.met > 0) {
            text.push_str(&format!("  intended, {} times: {}: {}\n", intended.met, intended.name, intended.reason));
        }
        text.push_str(&format!("{} differences that are not intended\n", self.unintended));
        (text, self.unintended == 0 && unmet.is_empty())
    }
}

fn intended_of(settings: &[(String, String)]) -> Result<Intended, String> {
    let mut settings: std::collections::BTreeMap<&str, &str> =
        settings.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    let name = settings.remove("name").ok_or("an intended difference needs a name")?.to_owned();
    let mut taken = |key: &str| settings.remove(key);
    let pattern = |key: &str, text: &str| {
        Regex::new(&format!("(?s){text}")).map_err(|e| format!("{name}: {key} is no regular expression: {e}"))
    };
    let reason = taken("reason").ok_or_else(|| format!("{name} needs a reason"))?.to_owned();
    let place = pattern("place", taken("place").ok_or_else(|| format!("{name} needs a place"))?)?;
    let theirs = taken("theirs").map(|text| pattern("theirs", text)).transpose()?;
    let ours = taken("ours").map(|text| pattern("ours", text)).transpose()?;
    let whole_only = match taken("whole-only") {
        None | Some("false") => false,
        Some("true") => true,
        Some(other) => return Err(format!("{name}: whole-only is true or false, not {other}")),
    };
    if let Some(key) = settings.keys().next() {
        return Err(format!("{name}: unknown key {key}"));
    }
    Ok(Intended { name, reason, place, theirs, ours, whole_only, met: 0 })
}

fn is_trace(place: &str) -> bool {
    place.ends_with(".trace") || place.ends_with("[__connect.errors.exception.stacktrace].value")
}

/// Whether our trace has what tools look for in Kafka Connect's: the first line, and causes that are exceptions of Connect.
/// What a JVM was doing line by line is not of this program.
fn says_the_same(theirs: &str, ours: &str) -> bool {
    const CAUSE: &str = "Caused by: org.apache.kafka.connect.errors.";
    // In a header they are quoted.
    let [theirs, ours] = [theirs, ours].map(|trace| trace.replace("\\n", "\n"));
    let causes = |trace: &str| trace.lines().filter(|l| l.starts_with(CAUSE)).map(str::to_owned).collect::<Vec<_>>();
    let our_causes = causes(&ours);
    theirs.lines().next() == ours.lines().next() && causes(&theirs).iter().all(|cause| our_causes.contains(cause))
}

/// What an item of a list is known by.
fn name(item: &Json) -> Option<String> {
    if let Json::String(text) = item {
        return Some(text.clone());
    }
    let of = |pointer: &str| item.pointer(pointer).filter(|v| !v.is_null() && !v.is_object());
    let found = of("/value/name").or(of("/definition/name")).or(of("/name")).or(of("/id"));
    let found = match (of("/class"), of("/type")) {
        (Some(class), Some(kind)) => format!("{} {}", kind.as_str()?, class.as_str()?),
        _ => found?.to_string().trim_matches('"').to_owned(),
    };
    Some(found)
}

fn shown(text: &str) -> String {
    const LONGEST: usize = 1500;
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}… ({} bytes)", &text[..end], text.len()),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn report(intended: &str) -> Report {
        let dir = tempfile::tempdir().expect("folder");
        let file = dir.path().join("intended.yaml");
        std::fs::write(&file, intended).expect("file");
        Report::new(&file).expect("intended differences")
    }

    const VERSION: &str = "name: v\nreason: r\nplace: 'version$'\ntheirs: '^\"4'\n";

    #[test]
    fn what_is_not_intended_fails_and_so_does_what_is_intended_and_does_not_occur() {
        let mut met = report(VERSION);
        met.values("x → body", &json!({ "a": 1, "version": "4" }), &json!({ "a": 1, "version": "0" }));
        assert!(met.finish(false).1);
        met.values("x → body", &json!({ "a": 1 }), &json!({ "a": 2 }));
        assert!(!met.finish(false).1);
        let (text, fine) = report(VERSION).finish(false);
        assert!(!fine && text.contains("NOT MET   v"), "{text}");
        let rare = report(&format!("{VERSION}whole-only: true\n"));
        assert_eq!((rare.finish(false).1, rare.finish(true).1), (true, false));
    }

    #[test]
    fn traces_are_compared_by_what_tools_look_for() {
        const THEIRS: &str = "a.B: out\n\tat c.D\nCaused by: org.apache.kafka.connect.errors.DataException: bad\n\tat e.F\n\
                              Caused by: java.lang.X: y";
        let fine = |place: &str, ours: &str| {
            let mut report = report("name: n\nreason: r\nplace: never\nwhole-only: true\n");
            report.values("x", &json!({ place: THEIRS }), &json!({ place: ours }));
            report.finish(false).1
        };
        let ours = "a.B: out\nCaused by: more\nCaused by: org.apache.kafka.connect.errors.DataException: bad";
        assert!(fine("trace", ours) && !fine("text", ours));
        assert!(says_the_same(&THEIRS.replace('\n', "\\n"), &ours.replace('\n', "\\n")));
        assert!(!fine("trace", &ours.replace("bad", "good")) && !fine("trace", &ours.replace("a.B", "b")));
    }

    #[test]
    fn items_are_compared_with_those_of_their_name_and_their_order_by_itself() {
        let item = |name: &str, n: i32| json!({ "name": name, "n": n });
        for (theirs, ours, fine) in [
            (json!([item("a", 1), item("b", 2)]), json!([item("a", 1), item("b", 2)]), true),
            (json!([item("a", 1), item("b", 2)]), json!([item("b", 2), item("a", 1)]), false),
            (json!([item("a", 1)]), json!([item("a", 2)]), false),
            (json!([item("a", 1)]), json!([]), false),
            (json!(["x", "x"]), json!(["x"]), false),
        ] {
            let mut report = report("name: n\nreason: r\nplace: never\nwhole-only: true\n");
            report.values("x", &theirs, &ours);
            assert_eq!(report.finish(false).1, fine, "{theirs} {ours}");
        }
    }

    #[test]
    fn a_list_that_cannot_be_read_says_why() {
        let dir = tempfile::tempdir().expect("folder");
        let file = dir.path().join("intended.yaml");
        for (text, why) in [
            ("name: n\nplace: a\n", "n needs a reason"),
            ("name: n\nreason: r\nplace: '('\n", "is no regular expression"),
        ] {
            std::fs::write(&file, text).expect("file");
            let error = Report::new(&file).err().expect("an error");
            assert!(error.contains(why), "{error}");
        }
    }
}
