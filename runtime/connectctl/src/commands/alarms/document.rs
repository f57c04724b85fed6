//! Alarms as documents: what `alarms export` writes and `alarms import` reads.

use std::collections::BTreeMap;

use connect_api::time;
use connect_files::flatten;
use connector_alarm::{
    Alarm, Details, Kind, Priority, RegisteredAlarm, ShelvedAlarm,
    content::{others, shelved_by},
};
use serde_json::{Map, Value as Json, json};

use super::{messages::ack_of, pick::priority, state::Known};

/// What a document says of one alarm; what it does not mention stays as it is.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Document {
    /// Where it is: file and line.
    pub(super) place: String,
    pub(super) name: String,
    pub(super) active: Option<Active>,
    pub(super) shelved: Option<Shelved>,
    pub(super) registered: Option<Registered>,
}

/// What it says of an active alarm.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Active {
    /// The alarm; of the lowest priority where there is none of ours.
    pub(super) alarm: Alarm,
    /// The priority as it is to be written, also one that is none of ours.
    pub(super) priority: Option<String>,
    /// With which message of EPICS it is acknowledged.
    pub(super) ack: Option<String>,
    /// Members that no generation has.
    pub(super) others: Map<String, Json>,
}

/// What it says of a place on the shelf.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Shelved {
    pub(super) shelf: ShelvedAlarm,
    /// Who put it there, which only JLab's first generation has room for.
    pub(super) user: Option<String>,
    /// Members that no generation has.
    pub(super) others: Map<String, Json>,
}

/// What it says of a registration.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Registered {
    pub(super) alarm: RegisteredAlarm,
    pub(super) details: Details,
    /// Members that no generation has.
    pub(super) others: Map<String, Json>,
}

/// Whether a value has all of these members, which no generation has. What a document does not mention of them stays as it is.
pub(super) fn has_all(kind: Kind, value: &connect_api::Value, members: &Map<String, Json>) -> bool {
    let there = others(kind, value);
    members.iter().all(|(name, value)| there.get(name) == Some(value))
}

/// The document of what is known; without what is empty.
pub(super) fn of(name: &str, known: &Known) -> Json {
    let without_empty = |all: Json| match all {
        Json::Object(members) => {
            let said = |value: &Json| match value {
                Json::Null | Json::Bool(false) => false,
                Json::String(text) => !text.is_empty(),
                Json::Object(members) => !members.is_empty(),
                _ => true,
            };
            Json::Object(members.into_iter().filter(|(_, value)| said(value)).collect())
        }
        other => other,
    };
    let mut all = Map::from_iter([("name".to_owned(), Json::from(name))]);
    if let Some((alarm, origin)) = &known.registered {
        let details = Details::from_value(&origin.value);
        let mut labels = alarm.labels.clone();
        // What ours has no fields for is in its labels.
        if details.screen.is_some() {
            labels.remove("edmpath");
        }
        if details.longest_shelved.is_some() {
            labels.remove("maxshelvedduration");
        }
        let source = if details.jar.is_some() { "" } else { alarm.source.as_str() };
        let registered = json!({
            "source": source, "producerjar": details.jar, "description": alarm.description, "location": alarm.location,
            "category": alarm.category, "latching": alarm.latching, "documentation": alarm.documentation,
            "edmpath": details.screen, "maxshelvedduration": details.longest_shelved, "labels": labels,
            "others": others(Kind::Registered, &origin.value),
        });
        all.insert("registered".into(), without_empty(registered));
    }
    if let Some(active) = &known.active {
        let alarm = &active.alarm;
        let said = json!({
            "priority": known.priority(), "acknowledged": alarm.acknowledged, "source": alarm.source,
            "severity": alarm.severity, "status": alarm.status, "message": alarm.message, "value": alarm.value,
            "raised": alarm.raised.map(moment), "latched": alarm.latched, "labels": alarm.labels,
            "ack": active.ack.as_ref().and_then(|origin| ack_of(&origin.value)),
            "others": others(Kind::Active, &active.origin.value),
        });
        all.insert("active".into(), without_empty(said));
    }
    if let Some((shelf, origin)) = &known.shelf {
        let shelf = json!({
            "expiration": shelf.expiration.map(moment), "reason": shelf.reason, "user": shelved_by(&origin.value),
            "others": others(Kind::Shelved, &origin.value),
        });
        all.insert("shelved".into(), without_empty(shelf));
    }
    Json::Object(all)
}

/// A time as text; in milliseconds where it is too far away for that.
fn moment(ms: i64) -> Json {
    let text = time::rfc3339(ms);
    if time::parse_rfc3339(&text) == Some(ms) { text.into() } else { ms.into() }
}

/// The documents of a text: JSON lines, YAML, or definitions of JLab's console. All mistakes are told, with place and alarm.
pub(super) fn read(file: &str, text: &str) -> Result<Vec<Document>, Vec<String>> {
    let first = text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with('#')).unwrap_or_default();
    let trees: Vec<Result<(String, Json), String>> = if first.starts_with('{')
        && serde_json::from_str::<Json>(first).is_ok()
    {
        let line = |(number, line): (usize, &str)| {
            let place = format!("{file}:{}", number + 1);
            serde_json::from_str(line).map(|tree| (place.clone(), tree)).map_err(|e| format!("{place}: {e}"))
        };
        let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
        lines.map(line).collect()
    } else if first.contains('|') && !first.ends_with('|') && !first.contains(": ") {
        let lines = text.lines().enumerate().map(|(n, line)| (n, line.trim()));
        let lines = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
        lines
            .map(|(n, line)| {
                let (place, name) = (format!("{file}:{}", n + 1), line.split('|').next().unwrap_or_default().trim());
                definition(line).map_err(|e| format!("{place}: {name}: {e}")).map(|tree| (place, tree))
            })
            .collect()
    } else {
        let documents = connect_files::read_text("alarms.yaml", text).map_err(|e| vec![format!("{file}: {e}")])?;
        let mut all = Vec::new();
        for document in &documents {
            let place = format!("{file}:{}", document.position.line);
            match flatten::json(document, false) {
                Json::Array(items) => all.extend(
                    items.into_iter().enumerate().map(|(n, item)| Ok((format!("{place}: item {}", n + 1), item))),
                ),
                Json::Null => {}
                tree => all.push(Ok((place, tree))),
            }
        }
        all
    };
    let mut found: BTreeMap<String, String> = BTreeMap::new();
    let (mut documents, mut mistakes) = (Vec::with_capacity(trees.len()), Vec::new());
    for tree in trees {
        let read = tree.and_then(|(place, tree)| {
            let about = tree.get("name").and_then(Json::as_str).map(|name| format!("{name}: ")).unwrap_or_default();
            let document = document(&tree).map_err(|e| format!("{place}: {about}{e}"))?;
            if let Some(before) = found.insert(document.name.clone(), place.clone()) {
                return Err(format!("{place}: {} is there already, at {before}", document.name));
            }
            Ok(Document { place, ..document })
        });
        match read {
            Ok(document) => documents.push(document),
            Err(mistake) => mistakes.push(mistake),
        }
    }
    if mistakes.is_empty() { Ok(documents) } else { Err(mistakes) }
}

/// `NAME|PV|LOCATION|CATEGORY|DOCURL|EDMPATH`
fn definition(line: &str) -> Result<Json, String> {
    let parts: Vec<&str> = line.split('|').map(str::trim).collect();
    let [name, pv, location, category, documentation, screen] = parts[..] else {
        return Err(format!("expected NAME|PV|LOCATION|CATEGORY|DOCURL|EDMPATH, found {} parts", parts.len()));
    };
    let registered = json!({
        "source": pv, "location": location, "category": category, "documentation": documentation, "edmpath": screen,
    });
    Ok(json!({ "name": name, "registered": registered }))
}

/// The members of a mapping, each of which has to be taken.
struct Members<'j> {
    at: &'static str,
    left: BTreeMap<&'j str, &'j Json>,
}

impl<'j> Members<'j> {
    fn of(at: &'static str, tree: &'j Json) -> Result<Self, String> {
        let members = tree.as_object().ok_or_else(|| format!("{at} is no mapping"))?;
        Ok(Self { at, left: members.iter().map(|(key, value)| (key.as_str(), value)).collect() })
    }

    fn text(&mut self, name: &str) -> Result<Option<String>, String> {
        Ok(match self.left.remove(name) {
            None | Some(Json::Null) => None,
            Some(Json::String(text)) => Some(text.clone()),
            Some(value @ (Json::Number(_) | Json::Bool(_))) => Some(value.to_string()),
            Some(_) => return Err(format!("{}.{name} is no text", self.at)),
        })
    }

    fn flag(&mut self, name: &str) -> Result<bool, String> {
        match self.left.remove(name) {
            None | Some(Json::Null) => Ok(false),
            Some(Json::Bool(flag)) => Ok(*flag),
            Some(_) => Err(format!("{}.{name} is neither true nor false", self.at)),
        }
    }

    fn time(&mut self, name: &str) -> Result<Option<i64>, String> {
        let wrong = || format!("{}.{name} is no time such as 2026-12-01T06:00:00Z", self.at);
        match self.left.remove(name) {
            None | Some(Json::Null) => Ok(None),
            Some(Json::Number(ms)) => ms.as_i64().map(Some).ok_or_else(wrong),
            Some(Json::String(text)) => time::parse_rfc3339(text).map(Some).ok_or_else(wrong),
            Some(_) => Err(wrong()),
        }
    }

    fn labels(&mut self) -> Result<BTreeMap<String, String>, String> {
        let Some(labels) = self.left.remove("labels").filter(|labels| !labels.is_null()) else {
            return Ok(BTreeMap::new());
        };
        let all = labels.as_object().ok_or_else(|| format!("{}.labels is no mapping", self.at))?;
        let text = |value: &Json| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        Ok(all.iter().map(|(key, value)| (key.clone(), text(value))).collect())
    }

    fn others(&mut self) -> Result<Map<String, Json>, String> {
        match self.left.remove("others") {
            None | Some(Json::Null) => Ok(Map::new()),
            Some(Json::Object(members)) => Ok(members.clone()),
            Some(_) => Err(format!("{}.others is no mapping", self.at)),
        }
    }

    fn end(self) -> Result<(), String> {
        match self.left.keys().next() {
            Some(key) => Err(format!("{} has no {key}", self.at)),
            None => Ok(()),
        }
    }
}

fn document(tree: &Json) -> Result<Document, String> {
    let mut all = Members::of("the document", tree)?;
    let name = all.text("name")?.filter(|name| !name.is_empty()).ok_or("it has no name")?;
    let mut document = Document { name, ..Document::default() };
    if let Some(tree) = all.left.remove("registered").filter(|tree| !tree.is_null()) {
        let mut of = Members::of("registered", tree)?;
        let jar = of.text("producerjar")?;
        let source = of.text("source")?.or_else(|| jar.clone()).unwrap_or_default();
        let longest =
            of.text("maxshelvedduration")?.map(|n| n.parse().map_err(|_| "registered.maxshelvedduration is no number"));
        let details = Details { jar, screen: of.text("edmpath")?, longest_shelved: longest.transpose()? };
        let alarm = RegisteredAlarm {
            source,
            description: of.text("description")?.unwrap_or_default(),
            location: of.text("location")?.unwrap_or_default(),
            category: of.text("category")?.unwrap_or_default(),
            latching: of.flag("latching")?,
            documentation: of.text("documentation")?.unwrap_or_default(),
            labels: of.labels()?,
        };
        let others = of.others()?;
        of.end()?;
        document.registered = Some(Registered { alarm, details, others });
    }
    if let Some(tree) = all.left.remove("active").filter(|tree| !tree.is_null()) {
        let mut of = Members::of("active", tree)?;
        // Alarms of JLab's last generation have none; whether one that is not ours can be written, the schema knows.
        let written = of.text("priority")?.filter(|text| !text.trim().is_empty());
        let level = written.as_deref().and_then(|text| priority(text).ok());
        let written = level.map(|level| level.name().to_owned()).or(written);
        let alarm = Alarm {
            acknowledged: of.flag("acknowledged")?,
            source: of.text("source")?.unwrap_or_default(),
            severity: of.text("severity")?.unwrap_or_default(),
            status: of.text("status")?.unwrap_or_default(),
            message: of.text("message")?.unwrap_or_default(),
            value: of.text("value")?,
            raised: of.time("raised")?,
            latched: of.flag("latched")?,
            labels: of.labels()?,
            ..Alarm::new(level.unwrap_or(Priority::Diagnostic))
        };
        let (ack, others) = (of.text("ack")?, of.others()?);
        of.end()?;
        document.active = Some(Active { alarm, priority: written, ack, others });
    }
    if let Some(tree) = all.left.remove("shelved").filter(|tree| !tree.is_null()) {
        let mut of = Members::of("shelved", tree)?;
        let shelf = ShelvedAlarm { expiration: of.time("expiration")?, reason: of.text("reason")?.unwrap_or_default() };
        let (user, others) = (of.text("user")?.filter(|user| !user.is_empty()), of.others()?);
        of.end()?;
        document.shelved = Some(Shelved { shelf, user, others });
    }
    all.end()?;
    Ok(document)
}

#[cfg(test)]
mod tests {
    use super::*;

    const YAML: &str = "name: pump\nregistered:\n  source: T:ai0\n  latching: true\n  maxshelvedduration: 60\nactive:\n  priority: P1\n  value: 95.50\n\
        \x20 raised: 2026-11-22T06:00:00Z\n  labels: { zone: NL }\n---\nname: door\nshelved: { reason: broken }\n";

    #[test]
    fn yaml_and_json_lines_say_the_same() {
        let lines = r#"{"name":"pump","registered":{"source":"T:ai0","latching":true,"maxshelvedduration":60},"active":{"priority":"P1_LIFE","value":"95.50","raised":"2026-11-22T06:00:00Z","labels":{"zone":"NL"}}}

{"name":"door","shelved":{"reason":"broken"}}
"#;
        let documents = read("a.yaml", YAML).expect("yaml");
        let places = |documents: &[Document]| documents.iter().map(|d| d.place.clone()).collect::<Vec<_>>();
        let mut of_lines = read("a.json", lines).expect("json");
        assert_eq!(places(&of_lines), ["a.json:1", "a.json:3"]);
        of_lines.iter_mut().zip(&documents).for_each(|(one, other)| one.place.clone_from(&other.place));
        assert_eq!(documents, of_lines);
        let pump = &documents[0];
        let active = pump.active.as_ref().expect("active");
        assert_eq!((active.alarm.priority, active.alarm.value.as_deref()), (Priority::Life, Some("95.50")));
        assert_eq!(active.priority.as_deref(), Some("P1_LIFE"));
        assert_eq!(pump.registered.as_ref().and_then(|r| r.details.longest_shelved), Some(60));
        let shelf = ShelvedAlarm { expiration: None, reason: "broken".into() };
        assert_eq!(documents[1].shelved, Some(Shelved { shelf, ..Shelved::default() }));
    }

    #[test]
    fn what_is_exported_is_read_as_it_is() {
        let mut alarms = super::super::state::Alarms::default();
        let entry = |part: Option<&str>, tree: Json| {
            super::super::state::tests::entry("a", part, 0, Some(connect_api::json::from_json(&tree)))
        };
        alarms.apply(Kind::Active, entry(None, json!({ "priority": "P7", "message": "odd", "ticket": "T-1" })));
        alarms.apply(Kind::Shelved, entry(None, json!({ "user": "bob", "duration": { "expiration": 7 } })));
        alarms.apply(
            Kind::Registered,
            entry(None, json!({ "producer": { "jar": "r.jar" }, "edmPath": "x.edl", "group": 5 })),
        );
        let tree = of("a", alarms.get("a").expect("known"));
        assert_eq!(tree["shelved"], json!({ "expiration": "1970-01-01T00:00:00.007Z", "user": "bob" }));
        let read = document(&tree).expect("a document");
        let active = read.active.expect("active");
        assert_eq!((active.priority.as_deref(), active.alarm.priority), (Some("P7"), Priority::Diagnostic));
        assert_eq!(active.others["ticket"], "T-1");
        assert_eq!(read.shelved.expect("shelved").user.as_deref(), Some("bob"));
        let registered = read.registered.expect("registered");
        assert_eq!((registered.details.jar.as_deref(), &registered.others["group"]), (Some("r.jar"), &json!(5)));

        alarms.apply(Kind::Active, entry(Some("AlarmingEPICS"), json!({ "msg": { "sevr": "MINOR", "stat": "HIGH" } })));
        alarms.apply(Kind::Active, entry(Some("AckEPICS"), json!({ "msg": { "ack": "MAJOR_ACK" } })));
        let tree = of("a", alarms.get("a").expect("known"));
        let ours = json!({ "acknowledged": true, "ack": "MAJOR_ACK", "severity": "MINOR", "status": "HIGH" });
        assert_eq!(tree["active"], ours);
        assert_eq!(document(&tree).expect("a document").active.and_then(|a| a.ack).as_deref(), Some("MAJOR_ACK"));
    }

    #[test]
    fn times_that_have_no_text_and_labels_that_are_no_numbers_are_carried_over_too() {
        for ms in [0, 1_700_000_000_123, 4_000_000_000_000, 9_000_000_000_000_000, i64::MAX, -5] {
            let tree = json!({ "name": "a", "shelved": { "expiration": moment(ms) } });
            let read = document(&tree).expect("a document").shelved.expect("shelved");
            assert_eq!(read.shelf.expiration, Some(ms), "{tree}");
        }
        let mut alarms = super::super::state::Alarms::default();
        let tree = json!({ "source": "s", "labels": { "maxshelvedduration": "a day", "edmpath": "x.edl" } });
        let value = Some(connect_api::json::from_json(&tree));
        alarms.apply(Kind::Registered, super::super::state::tests::entry("a", None, 0, value));
        let registered = of("a", alarms.get("a").expect("known"))["registered"].clone();
        assert_eq!(registered["labels"], json!({ "maxshelvedduration": "a day" }));
        assert_eq!(registered["edmpath"], "x.edl");
    }

    #[test]
    fn definitions_of_the_console_are_registrations() {
        let documents =
            read("d", "# all\nalarm1|T:ai0|NL|RF|http://docs|/x.edl\n\nalarm2|T:ai1|SL|RF||\n").expect("definitions");
        let Registered { alarm, details, .. } = documents[0].registered.clone().expect("registered");
        assert_eq!((&*alarm.source, &*alarm.category, details.screen.as_deref()), ("T:ai0", "RF", Some("/x.edl")));
        assert_eq!(documents[1].name, "alarm2");
        assert_eq!(
            read("d", "a|b|c\nok|T:ai0|NL|RF||\nb|c\n"),
            Err(vec![
                "d:1: a: expected NAME|PV|LOCATION|CATEGORY|DOCURL|EDMPATH, found 3 parts".into(),
                "d:3: b: expected NAME|PV|LOCATION|CATEGORY|DOCURL|EDMPATH, found 2 parts".into(),
            ])
        );
    }

    #[test]
    fn mistakes_are_told_with_their_place() {
        for (text, problem) in [
            ("name: a\nactive: { prioritty: P1 }\n", "f:1: a: active has no prioritty"),
            ("active: { priority: P1 }\n", "f:1: it has no name"),
            ("name: a\nshelved: { expiration: soon }\n", "f:1: a: shelved.expiration is no time"),
            ("name: a\nshelved: { others: 1 }\n", "f:1: a: shelved.others is no mapping"),
            ("name: a\n---\nname: a\n", "is there already, at f:1"),
            ("{\"name\":\"a\"}\n{\n", "f:2: EOF"),
            ("name: a\nlatching: yes\n", "f:1: a: the document has no latching"),
        ] {
            let told = read("f", text).expect_err(text).join("\n");
            assert!(told.contains(problem), "{told}");
        }
        assert_eq!(read("f", ""), Ok(Vec::new()));
    }
}
