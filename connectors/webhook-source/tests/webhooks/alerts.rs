//! Notifications and alerts become alarms.

use super::*;

#[tokio::test]
async fn notifications_become_alarms_on_change_only_and_clear_with_a_tombstone() {
    let running = start(&Kafka::new(), &[HEALTHBOT]).await;
    assert_eq!(running.status(&notification("normal", "first")).await, 200, "a clear without a set");
    assert_eq!(running.status(&notification("minor", "warm")).await, 200);
    assert_eq!(running.status(&notification("minor", "still warm")).await, 200);
    assert_eq!(running.status(&notification("major", "hot")).await, 200);
    assert_eq!(running.status(&notification("normal", "cool again")).await, 200);
    let stored = running.kafka.stored();
    assert!(stored.iter().all(|r| &*r.topic == "active-alarms" && r.key.as_str() == Some(NAME)));
    let alarms: Vec<Alarm> = stored[..2].iter().map(|r| Alarm::from_value(&r.value)).collect();
    assert_eq!((alarms[0].priority.name(), &*alarms[0].message), ("P3_PRODUCTIVITY", "warm"));
    assert_eq!((alarms[1].priority.name(), &*alarms[1].message), ("P2_PROPERTY", "hot"));
    assert_eq!((&*alarms[1].source, &*alarms[1].status, &*alarms[1].severity), ("hooks", "hot", "major"));
    assert_eq!(alarms[1].labels.get("device").map(String::as_str), Some("r1"));
    assert_eq!(stored.len(), 3);
    assert!(stored[2].value.is_null());
    running.stop().await;
}

#[tokio::test]
async fn a_restart_writes_only_differences() {
    let kafka = Kafka::new();
    let running = start(&kafka, &[HEALTHBOT]).await;
    assert_eq!(running.status(&notification("major", "hot")).await, 200);
    running.stop().await;
    let running = start(&kafka, &[HEALTHBOT]).await;
    assert_eq!(running.status(&notification("major", "hot")).await, 200);
    assert_eq!(kafka.stored().len(), 1);
    assert_eq!(running.status(&notification("normal", "")).await, 200);
    assert_eq!(kafka.stored().len(), 2);
}

#[tokio::test]
async fn a_latching_alarm_clears_when_it_is_acknowledged_also_after_a_restart() {
    let kafka = Kafka::new();
    let registered = RegisteredAlarm { latching: true, ..Default::default() };
    kafka.table("alarms").await.unwrap();
    let row = |value| Some(Row { schema: None, value, headers: Headers::new(), timestamp: None });
    kafka.put("alarms", NAME, row(registered.to_value()));
    let running = start(&kafka, &[HEALTHBOT]).await;
    assert_eq!(running.status(&notification("major", "hot")).await, 200);
    assert_eq!(running.status(&notification("normal", "")).await, 200);
    let latched = Alarm::from_value(&kafka.stored()[1].value);
    assert!(latched.latched);
    running.stop().await;
    let _running = start(&kafka, &[HEALTHBOT]).await;
    kafka.put("active-alarms", NAME, row(Alarm { acknowledged: true, ..latched }.to_value()));
    kafka.stored_count(3).await;
    assert!(kafka.stored()[2].value.is_null());
}

#[tokio::test]
async fn every_alert_of_a_group_is_an_alarm_of_its_own_and_retries_change_nothing() {
    let more = [("webhook.format", "alertmanager"), ("webhook.topic", "alerts-{{value.labels.job}}")];
    let running = start(&Kafka::new(), &more).await;
    for _ in 0..2 {
        assert_eq!(running.status(&parsed(FIRING)).await, 200);
    }
    assert_eq!(running.status(&parsed(RESOLVED)).await, 200);
    let (alarms, records): (Vec<_>, Vec<_>) =
        running.kafka.stored().into_iter().partition(|r| &*r.topic == "active-alarms");
    let shown = |r: &SourceRecord| (r.key.as_str().unwrap().to_owned(), r.value.is_null());
    let expected = [
        ("a4085f70c181adb3", false),
        ("a11d05025af428db", false),
        ("a4085f70c181adb3", true),
        ("a11d05025af428db", true),
    ];
    assert_eq!(alarms.iter().map(shown).collect::<Vec<_>>(), expected.map(|(key, null)| (key.to_owned(), null)));
    assert_eq!(Alarm::from_value(&alarms[0].value).message, "Pump 7 tripped");
    assert!(records.iter().all(|r| &*r.topic == "alerts-plant"), "beside them each alert as a record");
    assert_eq!(records.len(), 6, "of these each that was received");
}

#[tokio::test]
async fn a_group_with_one_bad_alert_is_refused_whole() {
    let more = [("webhook.format", "alertmanager"), ("alarm.priority", "critical:P1_LIFE")];
    let running = start(&Kafka::new(), &more).await;
    let mut body = parsed(FIRING);
    body["alerts"][1]["startsAt"] = json!("soon");
    let answer = running.post(&body).await;
    assert_eq!(answer.status(), 400);
    assert_eq!(answer.text().await.unwrap(), "alerts[1].startsAt: expected a time, found a text\n");
    let answer = running.post(&parsed(FIRING)).await;
    assert_eq!(answer.status(), 500, "the settings are wrong, not the alerts");
    assert!(answer.text().await.unwrap().contains("no severity \"warning\" and no *"));
    assert!(running.kafka.stored().is_empty());
}

#[tokio::test]
async fn a_clear_can_be_a_marker_that_a_restart_takes_for_no_alarm() {
    let kafka = Kafka::new();
    let more = [HEALTHBOT, ("alarm.clear.with", "marker"), ("alarm.copy.topic", "alarms-{{labels.device}}")];
    let running = start(&kafka, &more).await;
    assert_eq!(running.status(&notification("major", "hot")).await, 200);
    assert_eq!(running.status(&notification("normal", "")).await, 200);
    let stored = kafka.stored();
    assert_eq!(stored.iter().map(|r| &*r.topic).collect::<Vec<_>>(), ["active-alarms", "alarms-r1"].repeat(2));
    let marker = Alarm::from_value(&stored[2].value);
    assert!(marker.cleared && marker.message == "hot");
    assert_eq!(stored[2].value, stored[3].value);
    running.stop().await;
    let running = start(&kafka, &more).await;
    assert_eq!(running.status(&notification("normal", "")).await, 200);
    assert_eq!(kafka.stored().len(), 4, "there is nothing to clear");
    assert_eq!(running.status(&notification("major", "hot")).await, 200);
    assert_eq!(kafka.stored().len(), 6);
}
