//! From one topic of a SAL interface, an XML element, to its Avro schema.

use roxmltree::Node;
use serde_json::{Map, Value as Json, json};

use crate::plan::KAFKA_TIMESTAMP;

/// The elements that are topics.
const KINDS: [&str; 3] = ["SALCommand", "SALEvent", "SALTelemetry"];

/// Elements of a topic that become attributes of its schema.
const OF_TOPIC: [&str; 8] = ["Subsystem", "Version", "Author", "Alias", "Device", "Property", "Action", "Value"];

/// Elements of an item that are no attributes: they say what the field is, or repeat it.
const OF_FIELD: [&str; 7] = ["EFDB_Name", "Description", "IDL_Type", "IDL_Size", "Count", "Enumeration", "Units"];

/// Elements of an item whose texts are numbers.
const NUMBERS: [&str; 6] =
    ["Frequency", "Publishers", "Values_per_Publisher", "Size_in_bytes", "Instances_per_night", "Bytes_per_night"];

/// How the elements begin whose texts are true or false.
const FLAG: &str = "Needed_by_";

/// A topic and its schema.
#[derive(Debug, Clone, PartialEq)]
pub struct Topic {
    /// Name, such as `Dome_wind`.
    pub name: String,
    /// The Avro schema.
    pub schema: Json,
}

/// What is wrong with a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrong {
    /// Name of the topic, if it has one.
    pub topic: Option<String>,
    /// Name of the item, or its number if it has none.
    pub item: Option<String>,
    /// What is wrong, and the way out.
    pub reason: String,
}

impl Topic {
    /// The subject that the schema is registered under, and the topic that its records go to.
    pub fn subject(&self) -> String {
        format!("lsst.sal.{}", self.name)
    }

    /// The schema as text, the same for the same topic: members sorted, two blanks for each level, a newline at the end.
    pub fn text(&self) -> String {
        format!("{:#}\n", sorted(&self.schema))
    }

    /// The topics below an element.
    pub fn all(root: Node<'_, '_>) -> Vec<Result<Self, Wrong>> {
        let topics = root.descendants().filter(|node| KINDS.contains(&node.tag_name().name()));
        topics.map(|node| Self::of(node)).collect()
    }

    fn of(element: Node<'_, '_>) -> Result<Self, Wrong> {
        let name = text(element, "EFDB_Topic");
        let wrong = |(item, reason)| Wrong { topic: name.map(str::to_owned), item, reason };
        let schema = schema(element, name).map_err(wrong)?;
        Ok(Self { name: name.unwrap_or_default().to_owned(), schema })
    }
}

/// What is wrong, and in which item.
type Reason = (Option<String>, String);

fn schema(element: Node<'_, '_>, name: Option<&str>) -> Result<Json, Reason> {
    let name = name.ok_or_else(|| (None, "it has no EFDB_Topic, which is its name".to_owned()))?;
    is_name(name).map_err(|why| (None, format!("EFDB_Topic {why}")))?;
    let mut schema = Map::new();
    let mut set = |key: &str, value: Json| schema.insert(key.to_owned(), value);
    set("type", "record".into());
    set("namespace", "lsst.sal".into());
    set("name", name.into());
    if let Some(doc) = text(element, "Explanation") {
        set("doc", doc.into());
    }
    for tag in OF_TOPIC {
        if let Some(text) = text(element, tag) {
            set(&attribute(tag), text.into());
        }
    }
    set("sal_topic_type", element.tag_name().name().into());
    let mut fields = header();
    let mut names: Vec<String> = fields.iter().filter_map(|f| Some(f["name"].as_str()?.to_owned())).collect();
    let items = element.children().filter(|node| node.has_tag_name("item"));
    for (index, item) in items.enumerate() {
        let name = text(item, "EFDB_Name");
        let of_item = |why: String| (Some(name.map_or_else(|| format!("number {}", index + 1), str::to_owned)), why);
        let name = name.ok_or_else(|| of_item("it has no EFDB_Name".into()))?;
        is_name(name).map_err(|why| of_item(format!("EFDB_Name {why}")))?;
        if names.iter().any(|known| known == name) {
            return Err(of_item("another field has that name".into()));
        }
        names.push(name.to_owned());
        fields.push(field(item, name, index).map_err(of_item)?);
    }
    set("fields", fields.into());
    let schema = Json::Object(schema);
    apache_avro::Schema::parse(&schema).map_err(|e| (None, format!("what comes of it is no Avro schema: {e}")))?;
    Ok(schema)
}

/// The fields that all records have.
fn header() -> Vec<Json> {
    let time = json!({"type": "long", "logicalType": "timestamp-millis"});
    [
        (KAFKA_TIMESTAMP, &time, "Timestamp when the Kafka message was created."),
        ("sal_revcode", &"string".into(), "Revision code of the SAL topic."),
        ("sal_created", &time, "Timestamp when the SAL message was created."),
        ("sal_ingested", &time, "Timestamp when the SAL message was ingested."),
        ("sal_sequence", &"long".into(), "Sequence number of the SAL message."),
        ("sal_origin", &"int".into(), "Code of the SAL message's origin."),
        ("sal_host", &"int".into(), "Code of the SAL message's host."),
    ]
    .into_iter()
    .map(|(name, kind, doc)| json!({"name": name, "type": kind, "doc": doc}))
    .collect()
}

fn field(item: Node<'_, '_>, name: &str, index: usize) -> Result<Json, String> {
    let mut field = Map::new();
    let mut set = |key: &str, value: Json| field.insert(key.to_owned(), value);
    set("sal_index", index.into());
    set("name", name.into());
    if let Some(doc) = text(item, "Description") {
        set("doc", doc.into());
    }
    if let Some(units) = text(item, "Units") {
        set("sal_units", units.into());
    }
    for other in item.children().filter(Node::is_element) {
        let tag = other.tag_name().name();
        if let Some(text) = own_text(other).filter(|_| !OF_FIELD.contains(&tag)) {
            set(&attribute(tag), value(tag, text));
        }
    }
    set("type", kind(item, name)?);
    Ok(Json::Object(field))
}

fn kind(item: Node<'_, '_>, name: &str) -> Result<Json, String> {
    // Also of enumerations, although nothing of it is left there: SAL would not take them without.
    let idl = text(item, "IDL_Type").ok_or("it has no IDL_Type")?;
    let avro = avro_type(idl).ok_or_else(|| {
        format!("IDL_Type {idl:?} is none that is known; Avro has nothing for it but int, long, float, double, boolean, bytes and string")
    })?;
    if let Some(symbols) = text(item, "Enumeration") {
        let symbols: Vec<&str> = symbols.split(',').map(str::trim).collect();
        for (at, symbol) in symbols.iter().enumerate() {
            is_name(symbol).map_err(|why| format!("Enumeration {why}"))?;
            if symbols[..at].contains(symbol) {
                return Err(format!("Enumeration has {symbol} twice"));
            }
        }
        return Ok(json!({"type": "enum", "name": name, "symbols": symbols}));
    }
    let count = match text(item, "Count") {
        Some(count) => count.parse::<u32>().map_err(|_| format!("Count {count:?} is not a number of elements"))?,
        None => 1,
    };
    Ok(if count > 1 { json!({"type": "array", "items": avro, "sal_count": count}) } else { avro.into() })
}

fn avro_type(idl: &str) -> Option<&'static str> {
    Some(match idl {
        "boolean" => "boolean",
        "int" | "short" | "unsigned short" | "unsigned int" => "int",
        "long" | "long long" | "unsigned long" | "unsigned long long" => "long",
        "float" => "float",
        "double" => "double",
        "bytes" | "byte" | "octet" | "char" => "bytes",
        "string" => "string",
        _ => return None,
    })
}

/// A text of SAL's own, as a number or a truth where it is one.
fn value(tag: &str, text: &str) -> Json {
    let truth = || text.to_ascii_lowercase().parse::<bool>().ok().filter(|_| tag.starts_with(FLAG)).map(Json::from);
    let whole = || text.parse::<i64>().ok().filter(|_| tag != "Frequency").map(Json::from);
    let number = || whole().or_else(|| text.parse::<f64>().ok().map(Json::from).filter(|n| !n.is_null()));
    let read = if NUMBERS.contains(&tag) { number() } else { truth() };
    read.unwrap_or_else(|| text.into())
}

fn attribute(tag: &str) -> String {
    format!("sal_{}", tag.to_lowercase())
}

/// The text of the first child of this name, without the blanks around it; `None` where nothing is left.
fn text<'a>(parent: Node<'a, '_>, tag: &str) -> Option<&'a str> {
    parent.children().find(|node| node.has_tag_name(tag)).and_then(own_text)
}

fn own_text<'a>(element: Node<'a, '_>) -> Option<&'a str> {
    element.text().map(str::trim).filter(|text| !text.is_empty())
}

/// Whether Avro takes this for a name.
fn is_name(name: &str) -> Result<(), String> {
    let mut bytes = name.bytes();
    let is_right = bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
        && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if is_right { Ok(()) } else { Err(format!("{name:?} is no name: letters, digits and _, no digit first")) }
}

fn sorted(json: &Json) -> Json {
    match json {
        Json::Object(members) => {
            let mut all: Vec<_> = members.iter().collect();
            all.sort_by_key(|(key, _)| *key);
            all.into_iter().map(|(key, value)| (key.clone(), sorted(value))).collect()
        }
        Json::Array(items) => items.iter().map(sorted).collect(),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use roxmltree::Document;

    use super::*;

    fn topics(inner: &str) -> Vec<Result<Topic, Wrong>> {
        let text = format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<SALTelemetrySet>{inner}</SALTelemetrySet>");
        Topic::all(Document::parse(&text).expect("xml").root_element())
    }

    /// The fields of a topic with these items, behind the header.
    fn fields(items: &str) -> Result<Vec<Json>, Wrong> {
        let topic = format!("<SALTelemetry><EFDB_Topic>Dome_a</EFDB_Topic>{items}</SALTelemetry>");
        let topic = topics(&topic).remove(0)?;
        Ok(topic.schema["fields"].as_array().expect("fields")[7..].to_vec())
    }

    fn item(name: &str, rest: &str) -> String {
        format!("<item><EFDB_Name>{name}</EFDB_Name>{rest}</item>")
    }

    #[test]
    fn a_topic_becomes_a_record_with_its_attributes_behind_the_header() {
        let inner = "<SALEvent>
            <!-- none of this -->
            <Subsystem>Dome</Subsystem><Version>3.8.35</Version><Author>A. B. &amp; C</Author>
            <EFDB_Topic> Dome_logevent_state </EFDB_Topic><Alias>state</Alias><Device>all</Device>
            <Property/><Action>report</Action><Value> </Value>
            <Explanation>
              The state,
              as it is.
            </Explanation></SALEvent>
            <SALCommand><EFDB_Topic>Dome_command_stop</EFDB_Topic><Property>p</Property><Value>v</Value></SALCommand>";
        let all: Vec<Topic> = topics(inner).into_iter().collect::<Result<_, _>>().expect("topics");
        let [event, command] = &all[..] else { panic!("{all:?}") };
        assert_eq!(
            (event.name.as_str(), event.subject().as_str()),
            ("Dome_logevent_state", "lsst.sal.Dome_logevent_state")
        );
        let mut schema = event.schema.clone();
        let fields = schema.as_object_mut().and_then(|s| s.remove("fields")).expect("fields");
        assert_eq!(
            schema,
            json!({"type": "record", "namespace": "lsst.sal", "name": "Dome_logevent_state",
                "doc": "The state,\n              as it is.", "sal_subsystem": "Dome", "sal_version": "3.8.35",
                "sal_author": "A. B. & C", "sal_alias": "state", "sal_device": "all", "sal_action": "report",
                "sal_topic_type": "SALEvent"})
        );
        let names: Vec<_> =
            fields.as_array().expect("fields").iter().map(|f| f["name"].as_str().expect("a name")).collect();
        let header =
            ["kafka_timestamp", "sal_revcode", "sal_created", "sal_ingested", "sal_sequence", "sal_origin", "sal_host"];
        assert_eq!(names, header);
        let kinds: Vec<_> = fields.as_array().expect("fields").iter().map(|f| f["type"].clone()).collect();
        let time = json!({"type": "long", "logicalType": "timestamp-millis"});
        let plain = |name: &str| json!(name);
        let expected = [time.clone(), plain("string"), time.clone(), time, plain("long"), plain("int"), plain("int")];
        assert_eq!(kinds, expected);
        let (kind, property) = (&command.schema["sal_topic_type"], &command.schema["sal_property"]);
        assert_eq!((kind, property), (&json!("SALCommand"), &json!("p")));
    }

    #[test]
    fn items_become_fields_in_their_order_with_their_attributes() {
        let items = item(
            "speed",
            "<Description> Speed. </Description><Units> m/s </Units><IDL_Type>double</IDL_Type><IDL_Size>8</IDL_Size>
             <Count>1</Count><Frequency>0.5</Frequency><Publishers>2</Publishers><Size_in_bytes>x</Size_in_bytes>
             <Needed_by_DM>True</Needed_by_DM><Needed_by_OCS>perhaps</Needed_by_OCS><Conversion/>
             <Sensor_location>roof</Sensor_location><Explanation>e</Explanation>",
        ) + &item("b", "<IDL_Type>int</IDL_Type><Units/>");
        let fields = fields(&items).expect("fields");
        assert_eq!(
            fields,
            [
                json!({"sal_index": 0, "name": "speed", "doc": "Speed.", "sal_units": "m/s", "sal_frequency": 0.5,
                    "sal_publishers": 2, "sal_size_in_bytes": "x", "sal_needed_by_dm": true,
                    "sal_needed_by_ocs": "perhaps", "sal_sensor_location": "roof", "sal_explanation": "e",
                    "type": "double"}),
                json!({"sal_index": 1, "name": "b", "type": "int"}),
            ]
        );
    }

    #[test]
    fn types_counts_and_enumerations_become_what_avro_has() {
        let kind = |rest: &str| fields(&item("f", rest)).map(|fields| fields[0]["type"].clone());
        for (idl, avro) in [
            ("boolean int long float double bytes string", "boolean int long float double bytes string"),
            ("short unsigned_short unsigned_int", "int int int"),
            ("long_long unsigned_long unsigned_long_long", "long long long"),
            ("byte octet char", "bytes bytes bytes"),
        ] {
            for (idl, avro) in idl.split(' ').zip(avro.split(' ')) {
                let text = format!("<IDL_Type>{}</IDL_Type>", idl.replace('_', " "));
                assert_eq!(kind(&text).expect(idl), json!(avro));
                let array = json!({"type": "array", "items": avro, "sal_count": 3});
                assert_eq!(kind(&format!("{text}<Count> 3 </Count>")).expect(idl), array);
                assert_eq!(kind(&format!("{text}<Count>0</Count>")).expect(idl), json!(avro));
            }
        }
        let text = "<IDL_Type>int</IDL_Type><Count>2</Count><Enumeration>A, B ,C</Enumeration>";
        assert_eq!(kind(text).expect("an enum"), json!({"type": "enum", "name": "f", "symbols": ["A", "B", "C"]}));
        assert_eq!(kind("<IDL_Type>int</IDL_Type><Enumeration> </Enumeration>").expect("none"), json!("int"));
    }

    #[test]
    fn what_is_wrong_is_told_with_topic_and_item_and_leaves_the_others() {
        let int = "<IDL_Type>int</IDL_Type>";
        for (items, place, why) in [
            (item("a", int) + &item("b", "<IDL_Type>quaternion</IDL_Type>"), "b", "quaternion"),
            (item("a", ""), "a", "no IDL_Type"),
            (item("a", int) + &format!("<item>{int}</item>"), "number 2", "no EFDB_Name"),
            (item("9a", int), "9a", "is no name"),
            (item("a", int) + &item("a", int), "a", "another field has that name"),
            (item("sal_host", int), "sal_host", "another field has that name"),
            (item("a", &format!("{int}<Count>many</Count>")), "a", "Count \"many\""),
            (item("a", &format!("{int}<Enumeration>A,B=2</Enumeration>")), "a", "Enumeration \"B=2\""),
            (item("a", &format!("{int}<Enumeration>A,B,A</Enumeration>")), "a", "has A twice"),
        ] {
            let wrong = fields(&items).expect_err(why);
            assert_eq!((wrong.topic.as_deref(), wrong.item.as_deref()), (Some("Dome_a"), Some(place)));
            assert!(wrong.reason.contains(why), "{}", wrong.reason);
        }
        let all = topics(
            "<SALEvent/><SALEvent><EFDB_Topic>a-b</EFDB_Topic></SALEvent><SALEvent><EFDB_Topic>c</EFDB_Topic></SALEvent>",
        );
        let names: Vec<_> =
            all.iter().map(|t| t.as_ref().map(|t| t.name.as_str()).map_err(|w| w.topic.as_deref())).collect();
        assert_eq!(names, [Err(None), Err(Some("a-b")), Ok("c")]);
    }

    #[test]
    fn texts_are_the_same_for_the_same_topic() {
        let topic = "<SALEvent><EFDB_Topic>a</EFDB_Topic><Explanation>d</Explanation></SALEvent>";
        let text = topics(topic).remove(0).expect("a topic").text();
        let begin = "{\n  \"doc\": \"d\",\n  \"fields\": [\n    {\n      \"doc\": \"Timestamp when the Kafka message was created.\",\n      \
                     \"name\": \"kafka_timestamp\",\n      \"type\": {\n        \"logicalType\": \"timestamp-millis\",";
        assert!(text.starts_with(begin), "{text}");
        assert!(text.ends_with("  \"sal_topic_type\": \"SALEvent\",\n  \"type\": \"record\"\n}\n"), "{text}");
    }
}
