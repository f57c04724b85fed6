//! What is said of an alarm, in the schemas of every generation and back.

use connect_api::{Schema, Value};
use connect_converters::connect_schema_from_avro;
use connector_alarm::{
    Alarm, Content, Details, Generation, Kind, Priority, RegisteredAlarm, ShelvedAlarm,
    content::{others, shelved_by},
    generations::schema_text,
};

fn schema(kind: Kind, generation: Generation) -> Schema {
    connect_schema_from_avro(schema_text(kind, generation).expect("a schema")).expect("an avro schema")
}

#[test]
fn every_schema_is_avro() {
    for kind in Kind::ALL {
        for generation in Generation::ALL {
            if let Some(text) = schema_text(kind, generation) {
                connect_schema_from_avro(text).unwrap_or_else(|e| panic!("{kind:?} {generation:?}: {e:?}"));
            }
        }
    }
}

#[test]
fn active_alarms_fit_where_there_is_room_and_what_is_left_out_is_named() {
    let alarm = Alarm { acknowledged: true, message: "hot".into(), raised: Some(7), ..Alarm::new(Priority::Life) };
    let content = Content::active(&alarm);
    for (generation, left) in [
        (Generation::Generic, &[][..]),
        (Generation::First, &["acknowledged", "message", "raised"]),
        (Generation::Second, &["message", "raised"]),
    ] {
        let schema = schema(Kind::Active, generation);
        assert_eq!(content.left_out(&schema), left, "{generation:?}");
        let value = content.fit(&schema).expect("fits");
        assert!(value.fits(&schema), "{generation:?}");
        assert_eq!(Alarm::from_value(&value).priority, Priority::Life);
    }
    let ours = content.fit(&schema(Kind::Active, Generation::Generic)).expect("fits");
    assert_eq!(Alarm::from_value(&ours), alarm);
}

#[test]
fn fields_of_others_are_kept() {
    let text = r#"{"type":"record","name":"ActiveAlarm","fields":[{"name":"priority","type":"string"},
        {"name":"acknowledged","type":"boolean","default":false},{"name":"ticket","type":["null","string"],"default":null},
        {"name":"at","type":["null",{"type":"long","logicalType":"timestamp-millis"}],"default":null}]}"#;
    let schema = connect_schema_from_avro(text).expect("schema");
    let before =
        Value::map([("ticket", Value::from("T-1")), ("priority", "P1_LIFE".into()), ("at", Value::Timestamp(5))]);
    let content = Content::active(&Alarm { acknowledged: true, ..Alarm::from_value(&before) }).with_others(&before);
    assert!(content.left_out(&schema).is_empty());
    let value = content.fit(&schema).expect("fits");
    assert_eq!(value.get("ticket").and_then(Value::as_str), Some("T-1"));
    assert_eq!((value.get("acknowledged"), value.get("at")), (Some(&Value::Boolean(true)), Some(&Value::Timestamp(5))));
    assert_eq!(content.left_out(&self::schema(Kind::Active, Generation::Second)), ["ticket", "at"]);
    // They can be told, and written again.
    let told = others(Kind::Active, &value);
    assert_eq!(told, *serde_json::json!({"ticket": "T-1", "at": told["at"]}).as_object().expect("members"));
    let alarm = Alarm::from_value(&value);
    let again = Content::active(&alarm).with_priority("P7").with_members(&told).fit(&schema).expect("fits");
    assert_eq!(again.get("priority").and_then(Value::as_str), Some("P7"));
    assert_eq!(others(Kind::Active, &again), told);
}

#[test]
fn registrations_fit_every_generation() {
    let alarm = RegisteredAlarm {
        source: "T:ai0".into(),
        location: "NL".into(),
        category: "RF".into(),
        latching: true,
        documentation: "http://docs".into(),
        ..RegisteredAlarm::default()
    };
    let details = Details { screen: Some("x.edl".into()), longest_shelved: Some(60), jar: None };
    for (generation, left) in [
        (Generation::Generic, &[][..]),
        (Generation::First, &["latching", "labels"]),
        (Generation::Second, &["labels"]),
        (Generation::Third, &[]),
    ] {
        let schema = schema(Kind::Registered, generation);
        let content = Content::registered(&alarm, &details, &schema);
        assert_eq!(content.left_out(&schema), left, "{generation:?}");
        let value = content.fit(&schema).expect("fits");
        let kept = Details::from_value(&value);
        assert_eq!(kept.screen.as_deref(), Some("x.edl"), "{generation:?}");
        let longest = matches!(generation, Generation::Generic | Generation::Third).then_some(60);
        assert_eq!(kept.longest_shelved, longest, "{generation:?}");
        let read = RegisteredAlarm::from_value(&value);
        let latching = generation != Generation::First;
        assert_eq!(
            RegisteredAlarm { labels: Default::default(), ..read },
            RegisteredAlarm { latching, ..alarm.clone() },
            "{generation:?}"
        );
    }
    let second = schema(Kind::Registered, Generation::Second);
    let fit = |alarm: &RegisteredAlarm, details: &Details| Content::registered(alarm, details, &second).fit(&second);
    let lacking = fit(&alarm, &Details::default());
    assert_eq!(lacking, Err("edmpath is missing".into()));
    let wrong = fit(&RegisteredAlarm { location: "Bath".into(), ..alarm.clone() }, &details);
    assert_eq!(wrong, Err("location: Bath is none of INJ, NL, SL, HA, HB, HC, HD".into()));
    let none = fit(&RegisteredAlarm { source: String::new(), ..alarm }, &details);
    assert_eq!(none, Err("producer is missing".into()));
    let jar = Details { jar: Some("r.jar".into()), ..details };
    let other = RegisteredAlarm {
        location: "NL".into(),
        category: "RF".into(),
        documentation: "d".into(),
        ..Default::default()
    };
    assert_eq!(RegisteredAlarm::from_value(&fit(&other, &jar).expect("fits")).source, "r.jar");
}

#[test]
fn shelves_of_the_first_generations_hold_either_an_end_or_a_reason() {
    let both = ShelvedAlarm { expiration: Some(9), reason: "why".into() };
    let forever = ShelvedAlarm { expiration: None, ..both.clone() };
    for (generation, alarm, left, read) in [
        (Generation::Generic, &both, &[][..], &both),
        (Generation::Third, &both, &[], &both),
        (Generation::Third, &forever, &[], &forever),
        (Generation::First, &both, &["reason"], &ShelvedAlarm { expiration: Some(9), reason: String::new() }),
        (Generation::Second, &both, &["reason"], &ShelvedAlarm { expiration: Some(9), reason: String::new() }),
        (Generation::Second, &forever, &[], &forever),
    ] {
        let schema = schema(Kind::Shelved, generation);
        let content = Content::shelved(alarm, "me", &schema);
        assert_eq!(content.left_out(&schema), left, "{generation:?}");
        assert_eq!(&ShelvedAlarm::from_value(&content.fit(&schema).expect("fits")), read, "{generation:?}");
    }
    for generation in Generation::ALL {
        let schema = schema(Kind::Shelved, generation);
        let value = Content::shelved(&both, "me", &schema).fit(&schema).expect("fits");
        assert_eq!(shelved_by(&value), (generation == Generation::First).then_some("me"), "{generation:?}");
        assert!(others(Kind::Shelved, &value).is_empty(), "{generation:?}");
    }
}
