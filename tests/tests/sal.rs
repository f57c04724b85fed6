//! SAL's plain-text messages become typed records by registered schemas: the example of `configs/connectors`.

use std::{collections::BTreeSet, fs, net::TcpListener, time::Duration};

use apache_avro::types::Value as Avro;
use connect_kafka::RawRecord;
use connector_sal::{OnError, Topic, convert};
use serde_json::{Value as Json, json};
use tocsin_tests::{Connectd, avro::Registry, file, kafka::Reader, wait};
use wiremock::{Mock, MockServer, ResponseTemplate, matchers::path};
use xtask::servers::{self, Kafka, without};

const SOON: Duration = Duration::from_secs(120);
const EXAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../configs/connectors");

/// An interface as SAL has it, in three files.
const TELEMETRY: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<SALTelemetrySet><SALTelemetry>
  <Subsystem>Dome</Subsystem><Version>3.8.35</Version><EFDB_Topic>Dome_wind</EFDB_Topic>
  <Explanation>Wind at the dome.</Explanation>
  <item><EFDB_Name>speed</EFDB_Name><Description>Speed.</Description><IDL_Type>double</IDL_Type><Units>m/s</Units></item>
  <item><EFDB_Name>drift</EFDB_Name><IDL_Type>float</IDL_Type><Units>m/s</Units></item>
  <item><EFDB_Name>direction</EFDB_Name><IDL_Type>string</IDL_Type></item>
  <item><EFDB_Name>gusts</EFDB_Name><IDL_Type>short</IDL_Type></item>
</SALTelemetry><SALTelemetry>
  <EFDB_Topic>Dome_many</EFDB_Topic>
  <item><EFDB_Name>all</EFDB_Name><IDL_Type>double</IDL_Type><Count>3</Count></item>
  <item><EFDB_Name>raw</EFDB_Name><IDL_Type>octet</IDL_Type></item>
  <item><EFDB_Name>on</EFDB_Name><IDL_Type>boolean</IDL_Type></item>
</SALTelemetry></SALTelemetrySet>"#;
const EVENTS: &str = "<SALEventSet><SALEvent><EFDB_Topic>Dome_logevent_state</EFDB_Topic><item>
  <EFDB_Name>state</EFDB_Name><IDL_Type>long</IDL_Type><Enumeration>OFFLINE, STANDBY</Enumeration></item>
  </SALEvent></SALEventSet>";
const COMMANDS: &str =
    "<SALCommandSet><SALCommand><EFDB_Topic>Dome_command_stop</EFDB_Topic></SALCommand></SALCommandSet>";

const WIND: &str =
    "Dome_telemetry Dome_wind:( 'rev 7' , 1547758756.33 , 1547758754.9 , 12 , 1 , 2 , 4.25, -0.5 , 'north' , 3)";
const STATE: &str =
    "Dome_event Dome_logevent_state:( 'r1' , 1547758757.5 , 1547758757.25 , 13 , 1 , 2 , STANDBY) and more";

/// A message of the wind with this number and this speed.
fn wind(number: usize, speed: f64) -> String {
    format!(
        "Dome_telemetry Dome_wind:( 'r' , 1547758756.33 , 1547758754.9 , {number} , 1 , 2 , {speed}, 0 , 'a, b' , 3)"
    )
}

fn topics() -> Vec<Topic> {
    let dir = tempfile::tempdir().expect("folder");
    let files = [("Telemetry", TELEMETRY), ("Events", EVENTS), ("Commands", COMMANDS)];
    let paths = files.map(|(kind, text)| file(dir.path(), &format!("Dome_{kind}.xml"), text).into());
    let made = convert(&paths, OnError::Stop);
    assert!(made.errors.is_empty(), "{:?}", made.errors);
    made.topics
}

/// The example, with this registry and what else is replaced.
fn example(dir: &std::path::Path, registry: &str, more: &str) -> String {
    let text = fs::read_to_string(format!("{EXAMPLES}/sal.yaml")).expect("example");
    assert!(text.lines().count() <= 15, "it is short");
    let text = text.replace("http://127.0.0.1:8081", registry);
    assert!(text.contains(registry));
    file(dir, "sal.yaml", &format!("{text}{more}"))
}

fn write(reader: &Reader, topic: &str, messages: impl IntoIterator<Item = impl AsRef<str>>) {
    reader.write_all(topic, messages.into_iter().map(|m| ("k".to_owned(), Some(m.as_ref().as_bytes().to_vec()))));
}

fn id(record: &RawRecord) -> u32 {
    let bytes = record.value.as_deref().expect("a value");
    assert_eq!(bytes[0], 0, "framed");
    u32::from_be_bytes([bytes[1], bytes[2], bytes[3], bytes[4]])
}

/// Decodes with the very schema.
struct Decoder<'a>(&'a Registry, &'a Topic);

impl Decoder<'_> {
    fn fields(&self, record: &RawRecord) -> Vec<(String, Avro)> {
        self.0.decode(record.value.as_deref().expect("a value"), &self.1.text())
    }

    fn field(&self, record: &RawRecord, name: &str) -> Avro {
        let fields = self.fields(record);
        fields.into_iter().find(|(n, _)| n == name).unwrap_or_else(|| panic!("a field {name}")).1
    }
}

fn header(record: &RawRecord, key: &str) -> String {
    let found = record.headers.iter().find(|(k, _)| **k == *key).and_then(|(_, v)| v.as_deref());
    String::from_utf8_lossy(found.unwrap_or_else(|| panic!("a header {key}"))).into_owned()
}

#[test]
fn messages_become_records_in_the_schemas_that_are_registered() {
    if without("kafka") || without("registry") {
        return;
    }
    let kafka = Kafka::start().expect("kafka");
    let server = servers::Registry::start().expect("registry");
    let (reader, registry) = (Reader::new(&kafka.bootstrap()), Registry::new(&server.url()));
    let topics = topics();
    let topic = |name: &str| topics.iter().find(|t| t.name == name).unwrap_or_else(|| panic!("{name}"));
    let ids: Vec<(&str, u32)> =
        topics.iter().map(|t| (t.name.as_str(), registry.register(&t.subject(), &t.text()))).collect();
    let id_of = |name: &str| ids.iter().find(|(n, _)| *n == name).expect("registered").1;

    let dir = tempfile::tempdir().expect("folder");
    for topic in ["Dome_command", "Dome_event", "Dome_telemetry", "dead-sal", "active-alarms", "lsst.sal.Dome_wind"] {
        reader.create(topic, 1, &[]);
    }
    let worker = format!(
        "bootstrap.servers={}\nkey.converter=StringConverter\nvalue.converter=AvroConverter\n\
         value.converter.schema.registry.url={}\noffset.storage.file.filename={}\noffset.flush.interval.ms=300\n",
        kafka.bootstrap(),
        server.url(),
        dir.path().join("offsets").display()
    );
    let worker = file(dir.path(), "worker.properties", &worker);
    let sal = example(dir.path(), &server.url(), "transforms.sal.schemas.refresh.ms: 300\nbatch.size: 100\n");
    let alarms = format!("{EXAMPLES}/sal-alarms.yaml");
    let mut connectd = Connectd::start(&["-c", &worker, &sal, &alarms], &dir.path().join("log"));

    // Messages as they are in the wild, bad ones between them.
    let bad = [
        "Dome_telemetry Dome_wind:( 'rev 7' , 1547758756.33 )",
        "Dome_telemetry Dome_wind:( 'r' , 1 , 2 , 12 , 1 , 2 , fast, -0.5 , 'north' , 3)",
        "Dome_telemetry Dome_nobody:( 'r' , 1 , 2 , 12 , 1 , 2 )",
        "not of SAL \u{e9}",
    ];
    write(&reader, "Dome_telemetry", std::iter::once(WIND).chain(bad));
    reader.write_all("Dome_telemetry", [("k".to_owned(), Some(vec![0xff, 0xfe])), ("k".to_owned(), None)]);
    write(&reader, "Dome_telemetry", [wind(1, 35.0)]);
    let header_items = "'r' , 1547758756.33 , 1547758754.9 , 12 , 1 , 2";
    let many = [
        format!("Dome_telemetry Dome_many:( {header_items} , 1.0e+05, +2, -3.5 , \u{e9}t\u{e9} , 0)"),
        format!("Dome_telemetry Dome_many:( {header_items} , 1, 2, 3 , x , true , too , many)"),
    ];
    write(&reader, "Dome_telemetry", many);
    write(&reader, "Dome_event", [STATE]);
    write(&reader, "Dome_command", [format!("Dome_command Dome_command_stop:( {header_items} )")]);

    let winds = reader.until("lsst.sal.Dome_wind", SOON, |all| all.len() == 2);
    assert!(winds.iter().all(|r| r.key.is_none() && id(r) == id_of("Dome_wind")), "{winds:?}");
    let of_wind = Decoder(&registry, topic("Dome_wind"));
    let mut fields = of_wind.fields(&winds[0]);
    let Avro::TimestampMillis(stamped) = fields.remove(0).1 else { panic!("{fields:?}") };
    assert!(stamped > 1_700_000_000_000, "now");
    let text = |text: &str| Avro::String(text.into());
    assert_eq!(
        fields,
        [
            ("sal_revcode", text("rev 7")),
            ("sal_created", Avro::TimestampMillis(1_547_758_756_330)),
            ("sal_ingested", Avro::TimestampMillis(1_547_758_754_900)),
            ("sal_sequence", Avro::Long(12)),
            ("sal_origin", Avro::Int(2)),
            ("sal_host", Avro::Int(1)),
            ("speed", Avro::Double(4.25)),
            ("drift", Avro::Float(-0.5)),
            ("direction", text("north")),
            ("gusts", Avro::Int(3)),
        ]
        .map(|(name, value)| (name.to_owned(), value))
    );
    assert_eq!(of_wind.field(&winds[1], "direction"), text("a, b"));
    let many = reader.until("lsst.sal.Dome_many", SOON, |all| all.len() == 2);
    let of_many = Decoder(&registry, topic("Dome_many"));
    let doubles = [100_000.0, 2.0, -3.5].map(Avro::Double).to_vec();
    assert_eq!(of_many.field(&many[0], "all"), Avro::Array(doubles));
    assert_eq!(of_many.field(&many[0], "raw"), Avro::Bytes("\u{e9}t\u{e9}".into()));
    assert_eq!([0, 1].map(|n| of_many.field(&many[n], "on")), [false, true].map(Avro::Boolean));
    let states = reader.until("lsst.sal.Dome_logevent_state", SOON, |all| all.len() == 1);
    let of_state = Decoder(&registry, topic("Dome_logevent_state"));
    assert_eq!(of_state.field(&states[0], "state"), Avro::Enum(1, "STANDBY".into()));
    let stops = reader.until("lsst.sal.Dome_command_stop", SOON, |all| all.len() == 1);
    assert_eq!(id(&stops[0]), id_of("Dome_command_stop"));

    // What is no message is set aside as it came, with the reason.
    let dead = reader.until("dead-sal", SOON, |all| all.len() == 6);
    let bytes: Vec<_> = dead.iter().map(|r| r.value.as_deref()).collect();
    let expected = bad.iter().map(|text| Some(text.as_bytes())).chain([Some(&[0xff, 0xfe][..]), None]);
    assert_eq!(bytes, expected.collect::<Vec<_>>());
    let reasons = [
        "none is left for field sal_ingested",
        "for field speed",
        "lsst.sal.Dome_nobody",
        "SUBSYSTEM_KIND",
        "UTF-8",
        "without value",
    ];
    for (record, reason) in dead.iter().zip(reasons) {
        let told = header(record, "__connect.errors.exception.stacktrace");
        assert!(told.contains(reason), "{told}");
        assert_eq!(header(record, "__connect.errors.stage"), "TRANSFORMATION");
    }

    // Nothing but the schemas that were there is registered, each once, as it was.
    let get = |path: &str| -> Json {
        let answer = reqwest::blocking::get(format!("{}/{path}", server.url())).expect("registry");
        answer.json().expect("json")
    };
    let subjects: BTreeSet<String> = serde_json::from_value(get("subjects")).expect("subjects");
    let own: BTreeSet<String> = topics.iter().map(Topic::subject).collect();
    assert_eq!(subjects.iter().filter(|s| s.contains("sal")).cloned().collect::<BTreeSet<_>>(), own);
    assert_eq!(get("subjects/lsst.sal.Dome_wind/versions"), json!([1]));
    let kept: Json =
        serde_json::from_str(get(&format!("schemas/ids/{}", id(&winds[0])))["schema"].as_str().expect("a schema"))
            .expect("json");
    let speed = kept["fields"].as_array().and_then(|all| all.iter().find(|f| f["name"] == "speed")).expect("speed");
    assert_eq!(speed["sal_units"], "m/s");

    // The records are what sal-alarms makes alarms of.
    let alarm = reader.latest("active-alarms", "Dome/wind/1", SOON, |alarm| alarm.is_some());
    assert!(alarm.value.is_some());
    let page = wait("the metrics", SOON, || {
        let page =
            reqwest::blocking::get(format!("{}/metrics", connectd.url())).expect("metrics").text().expect("text");
        page.contains(r#"saltransform_produced_total{connector="sal",task="0"} 6"#).then_some(page)
    });
    for name in ["saltransform_total_seconds", "saltransform_transform_seconds"] {
        assert!(page.contains(&format!(r#"{name}_count{{connector="sal",task="0"}} 6"#)), "{page}");
    }

    // Each message comes at least once, in order, across kill -9 while they are made and while others come.
    const MANY: usize = 4_000;
    let some = |part: usize| (100 + part * MANY / 2..100 + (part + 1) * MANY / 2).map(|n| wind(n, 1.0));
    write(&reader, "Dome_telemetry", some(0));
    let of = Decoder(&registry, topic("Dome_wind"));
    let numbers = |all: &[RawRecord]| -> Vec<i64> {
        let number = |r: &RawRecord| if let Avro::Long(n) = of.field(r, "sal_sequence") { n } else { panic!("{r:?}") };
        all.iter().map(number).collect()
    };
    reader.until("lsst.sal.Dome_wind", SOON, |all| all.len() >= MANY / 10);
    connectd.kill9();
    write(&reader, "Dome_telemetry", some(1));
    connectd.start_again();
    reader.until("lsst.sal.Dome_wind", SOON, |all| all.len() >= MANY * 3 / 5);
    connectd.kill9();
    connectd.start_again();
    let last = i64::try_from(100 + MANY).expect("a number") - 1;
    let all = reader.until("lsst.sal.Dome_wind", SOON, |all| {
        all.last().is_some_and(|r| numbers(std::slice::from_ref(r)) == [last])
    });
    let mut seen = BTreeSet::new();
    let first: Vec<i64> = numbers(&all).into_iter().filter(|n| seen.insert(*n)).collect();
    assert_eq!(first, [12, 1].into_iter().chain(100..=last).collect::<Vec<_>>());
    // A dead letter may come twice, too, but none is left out.
    assert!(reader.all("dead-sal").len() >= 6);

    // A newer schema is noticed while it runs.
    let mut wider = topic("Dome_wind").schema.clone();
    let fields = wider["fields"].as_array_mut().expect("fields");
    fields.push(json!({"name": "place", "type": "string", "default": "roof"}));
    let newer = registry.register("lsst.sal.Dome_wind", &wider.to_string());
    assert_ne!(newer, id_of("Dome_wind"));
    let log = dir.path().join("log");
    wait("the newer schema", SOON, || {
        fs::read_to_string(&log).expect("log").contains("lsst.sal.Dome_wind has a new schema").then_some(())
    });
    write(&reader, "Dome_telemetry", [wind(9999, 1.0)]);
    let all = reader.until("lsst.sal.Dome_wind", SOON, |all| {
        all.last().is_some_and(|r| numbers(std::slice::from_ref(r)) == [9999])
    });
    assert_eq!(all.last().map(id), Some(newer));
    assert_eq!(get("subjects/lsst.sal.Dome_wind/versions"), json!([1, 2]));

    // Rewinding: from the first message on again.
    let before = all.len();
    assert_eq!(connectd.send("PUT", "/connectors/sal/stop", None).0, 204);
    wait("the connector to stop", SOON, || {
        (connectd.get("/connectors/sal/status").1["connector"]["state"] == "STOPPED").then_some(())
    });
    let (code, answer) = connectd.send("DELETE", "/connectors/sal/offsets", None);
    assert_eq!(code, 200, "{answer}");
    assert_eq!(connectd.send("PUT", "/connectors/sal/resume", None).0, 202);
    let all = reader.until("lsst.sal.Dome_wind", SOON, |all| all.len() >= before + MANY + 3);
    assert_eq!(numbers(&all[before..]), [12, 1].into_iter().chain(100..=last).chain([9999]).collect::<Vec<_>>());
    assert!(all[before..].iter().all(|r| id(r) == newer));
}

#[test]
fn while_the_registry_is_away_messages_wait_and_none_is_set_aside() {
    let topics = topics();
    let wind = topics.iter().find(|t| t.name == "Dome_wind").expect("wind");
    // A port that nobody listens on until later.
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("address");
    drop(listener);

    let dir = tempfile::tempdir().expect("folder");
    let sal = example(dir.path(), &format!("http://{address}"), "");
    let connectd = Connectd::start(&[&sal], &dir.path().join("log"));
    let reader = Reader::new(&connectd.embedded_broker());
    write(&reader, "Dome_telemetry", [WIND]);
    wait("the registry to be missed", SOON, || {
        let (_, status) = connectd.get("/connectors/sal/status");
        status.to_string().contains("fetching the latest schema of subject lsst.sal.Dome_wind").then_some(())
    });

    let runtime = tokio::runtime::Runtime::new().expect("runtime");
    let registered = json!({"subject": wind.subject(), "version": 1, "id": 7, "schema": wind.text()});
    let _registry = runtime.block_on(async {
        let server = MockServer::builder().listener(TcpListener::bind(address).expect("the port again")).start().await;
        for path_ in ["/subjects/lsst.sal.Dome_wind/versions/latest", "/subjects/lsst.sal.Dome_wind"] {
            let answer = ResponseTemplate::new(200).set_body_json(&registered);
            Mock::given(path(path_)).respond_with(answer).mount(&server).await;
        }
        server
    });
    let records = reader.until("lsst.sal.Dome_wind", SOON, |all| all.len() == 1);
    assert_eq!(id(&records[0]), 7);
    assert!(!reader.topics().contains(&"dead-sal".to_owned()) || reader.all("dead-sal").is_empty());
}

#[test]
fn a_folder_of_schemas_serves_where_there_is_no_registry() {
    let dir = tempfile::tempdir().expect("folder");
    let schemas = dir.path().join("schemas");
    for topic in topics() {
        connector_sal::convert::write(&topic, &schemas).expect("written");
    }
    let text = format!(
        "name: sal\nconnector.class: kafka-source\ntopics: [Dome_event]\nsource.value.converter: StringConverter\n\
         transforms: [sal]\ntransforms.sal: {{ type: Sal, schemas.folder: {:?}, namespace: plain }}\n\
         value.converter: JsonConverter\nvalue.converter.schemas.enable: false\n",
        schemas.display()
    );
    let sal = file(dir.path(), "sal.yaml", &text);
    let connectd = Connectd::start(&[&sal], &dir.path().join("log"));
    let reader = Reader::new(&connectd.embedded_broker());
    write(&reader, "Dome_event", [STATE]);
    let records = reader.until("plain.Dome_logevent_state", SOON, |all| all.len() == 1);
    let value: Json = serde_json::from_slice(records[0].value.as_deref().expect("a value")).expect("json");
    assert_eq!((&value["state"], &value["sal_created"]), (&json!("STANDBY"), &json!(1_547_758_757_500_i64)));
}
